"""Messages both ways, from several threads at once, and what the peer may not do."""

from __future__ import annotations

import itertools
import os
import ssl
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial, partialmethod
from typing import Any

import pytest
import websocket

from realtime_sync.errors import ConnectionClosedError, InvalidInputError, MessageTooBigError, ProtocolViolationError
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.duplex import Duplex
from realtime_sync.transport.frames import text_frame
from tests.harness import within
from tests.transport.conftest import Bench, Running
from tests.transport.peer import BINARY, CLOSE, PING, PONG, TEXT, Link, close_frame, frame


def echo(link: Link) -> None:
    with suppress(EOFError, OSError):  # the client may leave without a word
        while True:
            opcode, data = link.read_frame()
            link.send(frame(opcode, data))
            if opcode == CLOSE:
                return


@pytest.mark.parametrize("name", ["send", "send_frame", "recv_frame", "lock"])
def test_websocket_client_still_has_what_duplex_overrides_or_uses(name: str) -> None:
    assert hasattr(websocket.WebSocket(), name)


def test_duplex_overrides_no_private_name_of_websocket_client() -> None:
    theirs = {name for name in (*dir(websocket.WebSocket()), *vars(websocket.WebSocket())) if not name.startswith("__")}
    ours = set(vars(Duplex)) - {"__module__", "__doc__", "__init__"}
    assert ours & theirs == {"send_frame", "recv_frame"}


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000])
def test_text_of_every_length_encoding_comes_back_as_it_went(bench: Bench, size: int) -> None:
    connection = bench.open(echo)
    text = "".join(chr(0x20 + i % 90) for i in range(size))
    connection.send_text(text)
    assert connection.receive() == text
    connection.send_text(text.encode())
    assert connection.receive() == text


def test_binary_messages_arrive_as_bytes(bench: Bench) -> None:
    connection = bench.open(lambda link: link.send(frame(BINARY, b"\xff\x00")))
    assert connection.receive() == b"\xff\x00"


def test_bytes_right_behind_the_handshake_are_not_lost(bench: Bench) -> None:
    def script(link: Link) -> None:
        link.upgrade(behind=frame(TEXT, "first") + frame(TEXT, "second")[:3])
        link.send(frame(TEXT, "second")[3:])

    connection = bench.connect(bench.serve(script))
    assert [connection.receive(), connection.receive()] == ["first", "second"]


def test_frames_cut_at_every_byte_are_put_together(bench: Bench) -> None:
    frames = frame(TEXT, "ä" * 10) + frame(TEXT, "b" * 200) + frame(PING, b"?") + frame(BINARY, b"c" * 3)

    def script(link: Link) -> None:
        for byte in frames:
            link.send(bytes([byte]))
        link.read_to_end()  # to close with the pong unread would be a reset

    connection = bench.open(script)
    assert [connection.receive() for _ in range(3)] == ["ä" * 10, "b" * 200, b"ccc"]


def test_fragments_are_joined_and_control_frames_between_them_answered(bench: Bench) -> None:
    word = "grüße".encode()

    def script(link: Link) -> None:
        link.send(frame(TEXT, word[:3], fin=False) + frame(PING, b"1") + frame(0, word[3:4], fin=False))
        assert link.read_frame() == (PONG, b"1")
        link.send(frame(0, word[4:]) + frame(BINARY, b"a", fin=False) + frame(0, b"b") + frame(TEXT, "next"))

    connection = bench.open(script)
    assert [connection.receive() for _ in range(3)] == ["grüße", b"ab", "next"]


def test_two_writers_and_a_reader_saturate_the_line_and_each_keeps_its_order(bench: Bench) -> None:
    count, payload = 1500, "x" * 100

    def script(link: Link) -> None:
        flood = Running(lambda: [link.send(frame(TEXT, f"{n}")) for n in range(count)])
        seen: dict[str, int] = {"a": 0, "b": 0}
        for _ in range(2 * count):
            who, number, rest = link.read_frame()[1].decode().split(":")
            assert (int(number), rest) == (seen[who], payload)
            seen[who] += 1
        flood.result()
        link.send(frame(TEXT, "all"))

    connection = bench.open(script)

    def write(who: str) -> None:
        for number in range(count):
            connection.send_text(f"{who}:{number}:{payload}")

    writers = [Running(partial(write, who)) for who in "ab"]
    assert [connection.receive() for _ in range(count)] == [str(n) for n in range(count)]
    assert connection.receive() == "all"
    for writer in writers:
        writer.result()


def test_each_message_has_its_turn_in_the_order_of_the_wire(bench: Bench) -> None:
    arrived: list[str] = []

    def script(link: Link) -> None:
        arrived.extend(link.read_frame()[1].decode() for _ in range(400))
        link.send(frame(TEXT, "all"))

    connection = bench.open(script)
    turns: list[str] = []

    def take_turn(message: str) -> None:
        turns.append(message)
        os.sched_yield()  # to whoever would overtake it

    def write(who: str) -> None:
        for number in range(200):
            with connection.turn:
                take_turn(f"{who}{number}")
                connection.write(text_frame(f"{who}{number}"))

    writers = [Running(partial(write, who)) for who in "ab"]
    assert connection.receive() == "all"
    for writer in writers:
        writer.result()
    assert turns == arrived


@pytest.mark.parametrize("error", [RuntimeError("no"), TimeoutError("no"), BrokenPipeError("no")])
def test_what_a_message_raises_at_its_turn_is_raised_and_the_connection_goes_on(bench: Bench, error: Exception) -> None:
    connection = bench.open(echo)
    with pytest.raises(type(error)) as caught, connection.turn:
        raise error
    connection.after_turn()
    assert caught.value is error
    connection.send_text("next")
    assert connection.receive() == "next"


class Watched:
    """A socket that notes when two threads are in it at once, and takes its time so that they would be."""

    def __init__(self, sock: Any) -> None:
        self.fileno, self._sock = sock.fileno, sock
        self.calls: Counter[str] = Counter()
        self.overlaps: list[str] = []
        self._inside = threading.Lock()

    def _alone(self, name: str, *args: Any) -> Any:
        self.calls[name] += 1
        if not self._inside.acquire(blocking=False):
            self.overlaps.append(name)
            return None
        try:
            time.sleep(0.0002)
            return getattr(self._sock, name)(*args)
        finally:
            self._inside.release()

    recv = partialmethod(_alone, "recv")
    send = partialmethod(_alone, "send")
    close = partialmethod(_alone, "close")


class NotedWaiter:
    """A waiter that tells when a thread comes to wait."""

    def __init__(self, waiter: Any) -> None:
        self.close, self._waiter = waiter.close, waiter
        self.entered = threading.Event()

    def wait(self, events: int, seconds: float) -> Any:
        self.entered.set()
        return self._waiter.wait(events, seconds)


class WantsToRead:
    """A socket whose TLS must read before it can write, once; the reader takes what there is to be read."""

    def __init__(self, sock: Any) -> None:
        self.fileno, self.recv, self.close, self._sock = sock.fileno, sock.recv, sock.close, sock
        self.wanted = 0

    def send(self, data: Any) -> Any:
        self.wanted += 1
        if self.wanted == 1:
            raise ssl.SSLWantReadError
        return self._sock.send(data)


def test_a_writer_that_wants_to_read_does_not_wait_for_what_the_reader_has_taken(plain: Bench) -> None:
    connection = plain.open(echo, Timeouts(send=5))
    connection._duplex._socket = sock = WantsToRead(connection._duplex._socket)
    with within(2):
        connection.send_text("Hi")
    assert sock.wanted == 2
    assert connection.receive() == "Hi"


def test_one_thread_at_a_time_is_in_a_call_on_the_socket(bench: Bench) -> None:
    """What OpenSSL asks for; without it a saturated connection is lost now and then."""
    connection = bench.open(echo)
    connection._duplex._socket = watched = Watched(connection._duplex._socket)

    def write() -> None:
        with suppress(ConnectionClosedError):
            while True:
                connection.send_text("x" * 100)

    writers = [Running(write) for _ in range(2)]
    for _ in range(100):
        connection.receive()
    connection.dispose()
    for writer in writers:
        writer.result()
    assert watched.overlaps == []
    assert min(watched.calls[name] for name in ("recv", "send", "close")) > 0


def test_a_message_alone_takes_one_read(bench: Bench) -> None:
    """Each try that finds nothing lets other threads in, and they are many."""
    connection = bench.open(echo)
    connection._duplex._socket = watched = Watched(connection._duplex._socket)
    connection._duplex._reading = waiter = NotedWaiter(connection._duplex._reading)
    reads = []
    for number in range(6):
        waiter.entered.clear()
        reading = Running(connection.receive)
        assert waiter.entered.wait(5)
        connection.send_text(str(number))
        assert reading.result() == str(number)
        reads.append(watched.calls["recv"])
    assert [later - earlier for earlier, later in itertools.pairwise(reads)] == [1] * 5


def test_what_makes_no_short_message_is_refused_also_behind_one_that_is(bench: Bench) -> None:
    """Whole in the buffer, where the short way looks at it first."""
    cases = {"masked": (b"\x81\x85" + bytes(200), 1000), "max_message_bytes": (frame(TEXT, "x" * 60), 50)}
    for told, (second, most) in cases.items():
        data = frame(TEXT, "x" * 50) + second
        connection = bench.open(partial(Link.send, data=data), max_message_bytes=most)
        assert connection.receive() == "x" * 50
        with pytest.raises(ProtocolViolationError, match=told):
            connection.receive()


def test_large_messages_both_ways_at_once_do_not_lock_each_other(bench: Bench) -> None:
    size = 4_000_000

    def script(link: Link) -> None:
        sending = Running(lambda: link.send(frame(BINARY, b"s" * size)))
        assert link.read_frame() == (TEXT, b"c" * size)
        sending.result()

    connection = bench.open(script)
    sending = Running(lambda: connection.send_text(b"c" * size))
    assert connection.receive() == b"s" * size
    sending.result()


def test_text_that_has_no_utf8_form_is_refused_and_the_connection_goes_on(plain: Bench) -> None:
    connection = plain.open(echo)
    with pytest.raises(InvalidInputError, match="UTF-8"):
        connection.send_text("\ud800")
    connection.send_text("good")
    assert connection.receive() == "good"


VIOLATIONS = {
    "a reserved bit": (frame(TEXT, "x", rsv=4), 1002),
    "a reserved data opcode": (frame(3, "x"), 1002),
    "a reserved control opcode": (frame(11), 1002),
    "a masked frame": (b"\x81\x81\x00\x00\x00\x00x", 1002),
    "a fragmented ping": (frame(PING, b"", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(0, b"x"), 1002),
    "a message within a message": (frame(TEXT, "x", fin=False) + frame(TEXT, "y"), 1002),
    "a close frame of one byte": (frame(CLOSE, b"x"), 1002),
    "a close code that is not to be sent": (close_frame(1006), 1002),
    "a close code out of range": (close_frame(5000), 1002),
    "a close reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"ok\xff"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a fragment that is not UTF-8, before the last": (frame(TEXT, b"\xff", fin=False), 1007),
    "text that ends within a character": (frame(TEXT, b"\xc3", fin=False) + frame(0), 1007),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_answered_with_its_code_and_ends_the_connection(bench: Bench, name: str) -> None:
    data, code = VIOLATIONS[name]
    answers: list[tuple[int, bytes]] = []

    def script(link: Link) -> None:
        link.send(data)
        answers.append(link.read_frame())

    connection = bench.open(script)
    with pytest.raises(ProtocolViolationError) as caught:
        connection.receive()
    with pytest.raises(ProtocolViolationError) as again:
        connection.receive()
    assert again.value is caught.value
    assert connection.close_info is not None
    assert (connection.close_info.code, connection.close_info.initiator) == (code, "local")
    with pytest.raises(ProtocolViolationError):
        connection.send_text("more")
    bench.stack.close()
    assert answers == [(CLOSE, struct.pack("!H", code))]


def test_websocket_clients_loop_over_the_bytes_of_a_text_is_never_run(
    plain: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes 0.75 ms for 4 kB, with the GIL held."""
    looped_over: list[bytes] = []
    monkeypatch.setattr(websocket._abnf, "validate_utf8", looped_over.append)
    monkeypatch.setattr(websocket._utils, "validate_utf8", looped_over.append)
    text = "ä" * 2000
    frames = frame(TEXT, text) + frame(TEXT, text.encode()[:999], fin=False) + frame(0, text.encode()[999:])
    connection = plain.open(lambda link: link.send(frames + close_frame(1000, "ä")))
    assert [connection.receive(), connection.receive()] == [text, text]
    with pytest.raises(ConnectionClosedError, match="ä"):
        connection.receive()
    assert looped_over == []


def test_an_announced_tebibyte_ends_the_connection_before_a_byte_of_it_is_read(bench: Bench) -> None:
    answers: list[tuple[int, bytes]] = []

    def script(link: Link) -> None:
        link.send(b"\x82\x7f" + struct.pack("!Q", 2**40))
        answers.append(link.read_frame())

    connection = bench.open(script)
    with pytest.raises(MessageTooBigError, match="max_message_bytes"):
        connection.receive()
    bench.stack.close()
    assert answers == [(CLOSE, struct.pack("!H", 1009))]


def test_the_limit_holds_for_a_message_and_not_for_a_fragment(plain: Bench) -> None:
    def script(link: Link) -> None:
        link.send(frame(TEXT, b"x" * 1000))
        for _ in range(2):
            link.send(frame(TEXT, b"x" * 500, fin=False) + frame(0, b"x" * 500))
        link.send(frame(TEXT, b"x" * 500, fin=False) + frame(0, b"x" * 400, fin=False) + frame(0, b"x" * 101))
        assert link.read_frame() == (CLOSE, struct.pack("!H", 1009))

    connection = plain.open(script, max_message_bytes=1000)
    assert [len(connection.receive()) for _ in range(3)] == [1000, 1000, 1000]
    with pytest.raises(MessageTooBigError):
        connection.receive()


@pytest.mark.parametrize("limit", [None, 2**20])
@pytest.mark.parametrize("piece", [b"", b"x"])
def test_a_message_in_fragments_without_end_is_given_up(bench: Bench, piece: bytes, limit: int | None) -> None:
    """Empty ones count, too: they cost memory and time, and no byte of max_message_bytes."""

    def script(link: Link) -> None:
        link.send(frame(TEXT, b"", fin=False))
        with suppress(OSError):
            while True:
                link.send(frame(0, piece, fin=False) * 5000)

    connection = bench.open(script, max_message_bytes=limit)
    with within(3), pytest.raises(MessageTooBigError, match="fragments"):
        connection.receive()
    assert connection.close_info is not None
    assert connection.close_info.code == 1009


def test_many_fragments_are_joined_and_the_next_message_has_as_many_again(plain: Bench) -> None:
    message = frame(TEXT, b"x", fin=False) + frame(0, b"", fin=False) * 5000 + frame(0, b"y" * 5, fin=False) * 5000
    connection = plain.open(lambda link: [link.send(message + frame(0, b"z")) for _ in range(2)])
    for _ in range(2):
        assert connection.receive() == "x" + "y" * 25_000 + "z"


def test_without_a_limit_large_messages_pass(plain: Bench) -> None:
    data = os.urandom(3_000_000)
    connection = plain.open(lambda link: link.send(frame(BINARY, data)), max_message_bytes=None)
    assert connection.receive() == data


def test_an_interrupt_while_receiving_ends_the_connection(plain: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = plain.open(lambda link: link.read_to_end())

    def interrupt() -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection._duplex, "_fetch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        connection.receive()
    with pytest.raises(ConnectionClosedError, match="interrupted"):
        connection.receive()


def test_no_thread_is_left_by_a_connection(bench: Bench) -> None:
    before = threading.active_count()
    connection = bench.open(echo)
    connection.send_text("x")
    connection.receive()
    connection.dispose()
    bench.stack.close()
    assert threading.active_count() <= before
