"""How a connection ends: each way with its error, for everyone who waits, in bounded time, no descriptor left."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from realtime_sync.errors import (
    CloseInfo,
    ConnectionClosedError,
    ConnectionLostError,
    InvalidInputError,
    PeerUnresponsiveError,
    SendStalledError,
)
from realtime_sync.timeouts import Timeouts
from tests.core.harness import within
from tests.transport.conftest import FAST, Bench, Running, descriptors
from tests.transport.peer import CLOSE, PING, PONG, TEXT, Link, Peer, close_frame, frame

HUGE = b"x" * 4_000_000  # more than the kernel buffers take (small_buffers, TCP_NOTSENT_LOWAT)


def silent(link: Link) -> None:
    link.read_to_end()


def ends_with(connection: Any, kind: type[ConnectionClosedError] = ConnectionClosedError) -> ConnectionClosedError:
    """Read to the end; the error."""

    def read() -> None:
        while True:
            connection.receive()

    with pytest.raises(kind) as caught:
        read()
    with pytest.raises(kind) as again:
        connection.receive()
    assert again.value is caught.value
    assert connection.close_info is caught.value.close_info
    return caught.value


# The close handshake.


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "moved"), (1011, "ünwell"), (4000, "x" * 123)])
def test_the_peers_close_code_and_reason_are_kept_and_its_code_is_echoed(bench: Bench, code: int, reason: str) -> None:
    answers: list[tuple[int, bytes]] = []

    def script(link: Link) -> None:
        link.send(frame(TEXT, "last") + close_frame(code, reason))
        answers.append(link.read_frame())

    connection = bench.open(script)
    assert connection.close_info is None
    assert connection.receive() == "last"
    assert ends_with(connection).close_info == CloseInfo(code, reason, "remote")
    bench.stack.close()
    assert answers == [(CLOSE, struct.pack("!H", code))]


def test_a_close_frame_without_a_code_is_1005_and_clean(bench: Bench) -> None:
    def script(link: Link) -> None:
        link.send(frame(CLOSE))
        assert link.read_frame() == (CLOSE, b"")

    error = ends_with(bench.open(script))
    assert error.close_info == CloseInfo(1005, "", "remote")
    assert error.close_info.clean


def test_start_close_sends_one_frame_and_receive_ends_locally_after_what_was_under_way(bench: Bench) -> None:
    def script(link: Link) -> None:
        assert link.read_frame() == (CLOSE, struct.pack("!H", 4001) + b"bye")
        link.send(frame(TEXT, "late") + frame(PING, b"too late to answer") + close_frame(4001, "bye"))
        assert link.read_to_end() == b""

    connection = bench.open(script)
    for _ in range(3):
        connection.start_close(4001, "bye")
    with pytest.raises(ConnectionClosedError, match="closed here"):
        connection.send_text("after the close frame")
    assert connection.receive() == "late"
    assert ends_with(connection).close_info == CloseInfo(4001, "bye", "local")
    connection.dispose()


@pytest.mark.parametrize("how", ["end of stream", "reset", "abort"])
def test_after_start_close_every_end_is_the_local_one(bench: Bench, how: str) -> None:
    def script(link: Link) -> None:
        link.read_frame()
        if how == "reset":
            link.reset()
        elif how == "abort":
            link.read_to_end()

    connection = bench.open(script)
    connection.start_close()
    if how == "abort":
        connection.abort()
    assert ends_with(connection).close_info == CloseInfo(1000, "", "local")
    connection.dispose()


def test_start_close_is_bounded_where_a_writer_is_stuck_and_ends_it(bench: Bench) -> None:
    release = threading.Event()
    timeouts = Timeouts(close=0.3, send=10)
    connection = bench.open(lambda link: release.wait(10), timeouts, small_buffers=True)
    writer = Running(lambda: connection.send_text(HUGE))
    _until_stuck(connection)
    with within(1):
        connection.start_close()
    with pytest.raises(ConnectionClosedError):
        writer.result()
    assert ends_with(connection).close_info == CloseInfo(1000, "", "local")
    release.set()


def _fill(connection: Any) -> None:
    """Leave no room in the socket, and no writer who waits for it."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection._duplex._socket.send(HUGE)


def test_start_close_is_bounded_where_there_is_no_room_for_its_frame(plain: Bench) -> None:
    release = threading.Event()
    timeouts = Timeouts(close=0.3, send=10)
    connection = plain.open(lambda link: release.wait(10), timeouts, small_buffers=True)
    _fill(connection)
    with within(1):
        connection.start_close()
    assert ends_with(connection).close_info == CloseInfo(1000, "", "local")
    release.set()


@pytest.mark.parametrize("held_up", ["by a writer", "by a full socket"])
def test_an_interrupt_of_a_close_is_not_swallowed_and_the_connection_can_still_be_ended(
    plain: Bench, held_up: str
) -> None:
    release = threading.Event()
    timeouts = Timeouts(close=10, send=10)
    connection = plain.open(lambda link: release.wait(10), timeouts, small_buffers=True)
    writers = []
    if held_up == "by a writer":
        writers.append(Running(lambda: connection.send_text(HUGE)))
        _until_stuck(connection)
    else:
        _fill(connection)
    with within(5), pytest.raises(KeyboardInterrupt), _interrupted(lambda: connection._duplex.closing is not None):
        connection.start_close()
    connection.abort()
    assert ends_with(connection).close_info == CloseInfo(1000, "", "local")
    for writer in writers:
        with pytest.raises(ConnectionClosedError):
            writer.result()
    release.set()


@pytest.mark.parametrize(("code", "reason"), [(999, ""), (1005, ""), (1006, ""), (1015, ""), (1000, "ü" * 62)])
def test_what_cannot_be_sent_in_a_close_frame_is_refused(plain: Bench, code: int, reason: str) -> None:
    connection = plain.open(silent)
    with pytest.raises(InvalidInputError):
        connection.start_close(code, reason)
    assert connection.close_info is None


# Broken connections.


@pytest.mark.parametrize("sent", [b"", frame(TEXT, "cut off")[:4], b"\x81"])
def test_an_end_of_stream_is_a_loss_with_a_cause(bench: Bench, sent: bytes) -> None:
    error = ends_with(bench.open(lambda link: link.send(sent)), ConnectionLostError)
    assert error.close_info == CloseInfo(1006, "", "lost")
    assert isinstance(error.__cause__, EOFError)


def test_a_reset_is_a_loss_with_its_cause(bench: Bench) -> None:
    def script(link: Link) -> None:
        link.read_frame()  # not before the handshake's answer was read: a reset makes the kernel drop it
        link.reset()

    connection = bench.open(script)
    connection.send_text("ready")
    error = ends_with(connection, ConnectionLostError)
    assert error.close_info == CloseInfo(1006, "", "lost")
    assert isinstance(error.__cause__, (ConnectionResetError, EOFError))


def test_a_close_frame_followed_by_a_reset_is_a_typed_end_either_way(bench: Bench) -> None:
    def script(link: Link) -> None:
        link.read_frame()
        link.send(close_frame(4004, "why"))
        link.reset()

    connection = bench.open(script)
    connection.send_text("ready")
    # The kernel may drop what was received before a reset: then it is a loss, but never anything else.
    error = ends_with(connection)
    assert error.close_info in (CloseInfo(4004, "why", "remote"), CloseInfo(1006, "", "lost"))


def test_a_writer_that_finds_the_socket_broken_gets_the_reason_that_is_still_unread(bench: Bench) -> None:
    def script(link: Link) -> None:
        link.send(frame(TEXT, "the real reason") + close_frame(4008, "policy"))
        link.sock.shutdown(socket.SHUT_RDWR)

    connection = bench.open(script)

    def write() -> None:
        while True:
            connection.send_text("x" * 10_000)

    writer = Running(write)
    while connection._duplex._sealed is None:  # the writer has met the broken socket
        assert writer.alive
        os.sched_yield()
    assert connection.receive() == "the real reason"
    error = ends_with(connection)
    assert error.close_info == CloseInfo(4008, "policy", "remote")
    with pytest.raises(ConnectionClosedError) as caught:
        writer.result()
    assert caught.value is error


# Stalls, silence, keepalive.


def _is_stuck(connection: Any) -> bool:
    """Does a writer wait for room?"""
    duplex = connection._duplex
    return duplex.lock.locked() and duplex._users > 1


def _until_stuck(connection: Any) -> None:
    deadline = time.monotonic() + 5
    while not _is_stuck(connection):
        assert time.monotonic() < deadline, "the writer never blocked"
        os.sched_yield()


@contextlib.contextmanager
def _interrupted(when: Callable[[], bool]) -> Iterator[None]:
    """KeyboardInterrupt in the main thread, once ``when`` is true."""
    interrupted = threading.Event()

    def handler(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    def interrupt() -> None:
        deadline = time.monotonic() + 5
        while not when():
            assert time.monotonic() < deadline, "there is nothing to interrupt"
            os.sched_yield()
        # Again and again: a signal that comes just before the system call does not interrupt it.
        while not interrupted.wait(0.05):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        interrupter = Running(interrupt)
        try:
            yield
        finally:
            interrupter.result()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_send_that_makes_no_progress_ends_the_connection_for_everyone(bench: Bench) -> None:
    release = threading.Event()
    connection = bench.open(lambda link: release.wait(10), Timeouts(send=0.4), small_buffers=True)
    reader = Running(connection.receive)
    first = Running(lambda: connection.send_text(HUGE))
    _until_stuck(connection)
    second = Running(lambda: connection.send_text("waits behind it"))
    for call in (first, second, reader):
        with pytest.raises(SendStalledError, match=r"Timeouts\.send"):
            call.result()
    with pytest.raises(SendStalledError):
        connection.send_text("never after a cut frame")
    release.set()


def test_a_slow_peer_that_takes_bytes_now_and_then_is_no_stall(bench: Bench) -> None:
    def script(link: Link) -> None:
        for _ in range(24):
            threading.Event().wait(0.05)
            link.read(100_000)  # far less than what the kernel's send buffer holds
        link.read_to_end()

    connection = bench.open(script, Timeouts(send=0.6), small_buffers=True)
    began = time.monotonic()
    connection.send_text(HUGE)
    assert time.monotonic() - began > 1
    connection.start_close()


def test_pings_are_answered_and_messages_received_while_a_writer_is_stuck(bench: Bench) -> None:
    got = threading.Event()

    def script(link: Link) -> None:
        for number in range(50):
            link.send(frame(PING, f"{number}") + frame(TEXT, f"{number}"))
        assert got.wait(5)
        assert link.read_frame() == (TEXT, HUGE)
        assert link.read_frame() == (PONG, b"49")  # the latest is enough
        link.send(frame(TEXT, "done"))

    connection = bench.open(script, small_buffers=True)
    writer = Running(lambda: connection.send_text(HUGE))
    _until_stuck(connection)
    assert [connection.receive() for _ in range(50)] == [str(number) for number in range(50)]
    got.set()
    assert connection.receive() == "done"
    writer.result()


def test_pongs_that_find_a_full_socket_and_no_writer_are_sent_when_there_is_room(bench: Bench) -> None:
    """The reader itself must go on reading, else both sides would wait for each other."""
    flooded = threading.Event()
    pings = 30_000

    def script(link: Link) -> None:
        for number in range(0, pings, 100):
            link.send(b"".join(frame(PING, f"{n}".rjust(125)) for n in range(number, number + 100)))
        link.send(frame(TEXT, "flooded"))
        assert flooded.wait(10)
        last, payload = -1, b""
        while last < pings - 1:
            opcode, payload = link.read_frame()
            assert opcode == PONG
            assert int(payload) > last
            last = int(payload)
        link.send(frame(TEXT, "all"))

    connection = bench.open(script, small_buffers=True)
    assert connection.receive() == "flooded"
    flooded.set()
    assert connection.receive() == "all"


def test_pings_are_answered_while_other_threads_send(bench: Bench) -> None:
    def script(link: Link) -> None:
        for number in range(50):
            link.send(frame(PING, f"{number}"))
            while link.read_frame() != (PONG, f"{number}".encode()):
                pass  # the writers' frames
        link.send(frame(TEXT, "no pong was lost"))
        link.read_to_end()

    connection = bench.open(script)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            connection.send_text("x" * 50)

    writers = [Running(write) for _ in range(2)]
    assert connection.receive() == "no pong was lost"
    stop.set()
    for writer in writers:
        writer.result()


def test_a_silent_peer_is_pinged_and_then_given_up(bench: Bench) -> None:
    frames: list[tuple[int, bytes]] = []

    def script(link: Link) -> None:
        frames.append(link.read_frame())
        link.read_to_end()

    connection = bench.open(script, Timeouts(ping_interval=0.2, ping=0.3))
    began = time.monotonic()
    with within(1.5):
        error = ends_with(connection, PeerUnresponsiveError)
    assert time.monotonic() - began > 0.45
    assert error.close_info == CloseInfo(1006, "", "lost")
    connection.dispose()
    bench.stack.close()
    assert [opcode for opcode, _ in frames] == [PING]


def test_a_peer_that_answers_pings_is_kept(bench: Bench) -> None:
    def script(link: Link) -> None:
        for _ in range(5):
            opcode, data = link.read_frame()
            assert opcode == PING
            link.send(frame(PONG, data))
        link.send(frame(TEXT, "still here"))

    assert bench.open(script, Timeouts(ping_interval=0.1, ping=1)).receive() == "still here"


class TLSByHand(Link):
    """The server's end of a connection whose TLS records can be sent in parts."""

    def __init__(self, plain: Link, context: ssl.SSLContext) -> None:
        self.head, self._buffer, self._plain = b"", b"", plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._go_on(lambda: self._tls.do_handshake() or True)

    def _go_on(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                done = call()
            except ssl.SSLWantReadError:
                done = None
            self._plain.send(self._outgoing.read())
            if done is not None:
                return done
            self._incoming.write(self._plain.receive())

    def sealed(self, data: bytes) -> bytes:
        self._tls.write(data)
        return self._outgoing.read()

    def send(self, data: bytes) -> None:
        self._plain.send(self.sealed(data))

    def receive(self) -> bytes:
        return bytes(self._go_on(lambda: self._tls.read(65536)))


def test_part_of_a_tls_record_is_a_sign_of_life(secure: Bench) -> None:
    def script(plain: Link) -> None:
        link = TLSByHand(plain, secure.certified())
        link.upgrade()
        record = link.sealed(frame(TEXT, "x" * 1000))
        for start in range(0, len(record), 60):
            plain.send(record[start : start + 60])
            threading.Event().wait(0.1)

    peer = secure.stack.enter_context(Peer(script))
    connection = secure.connect(f"wss://127.0.0.1:{peer.port}/", Timeouts(ping_interval=0.3, ping=0.4))
    assert connection.receive() == "x" * 1000


def test_a_peer_that_takes_a_long_frame_bit_by_bit_is_alive_though_it_says_nothing(bench: Bench) -> None:
    """No ping gets past the frame, so it could not answer one."""

    def script(link: Link) -> None:
        for _ in range(32):
            threading.Event().wait(0.025)
            link.read(62_500)
        assert len(link.read(2_000_014)) == 2_000_014  # HUGE with its head, but for what was read
        link.send(frame(TEXT, "taken"))
        link.read_to_end()

    connection = bench.open(script, Timeouts(ping_interval=0.1, ping=0.4), small_buffers=True)
    reader = Running(connection.receive)
    connection.send_text(HUGE)
    assert reader.result() == "taken"
    with within(2):  # and what it took is no excuse later
        ends_with(connection, PeerUnresponsiveError)


def test_a_silent_peer_is_given_up_even_where_the_ping_cannot_be_written(bench: Bench) -> None:
    release = threading.Event()
    timeouts = Timeouts(send=10, ping_interval=0.2, ping=0.3)
    connection = bench.open(lambda link: release.wait(10), timeouts, small_buffers=True)
    writer = Running(lambda: connection.send_text(HUGE))
    ends_with(connection, PeerUnresponsiveError)
    with pytest.raises(PeerUnresponsiveError):
        writer.result()
    release.set()


# Abort, dispose, interrupts, forks.


def test_abort_wakes_the_reader_and_every_writer_at_once_with_its_error(bench: Bench) -> None:
    release = threading.Event()
    connection = bench.open(lambda link: release.wait(10), small_buffers=True)
    reader = Running(connection.receive)
    writers = [Running(lambda: connection.send_text(HUGE)) for _ in range(3)]
    _until_stuck(connection)
    error = ConnectionLostError("enough")
    with within(1):
        connection.abort(error)
        connection.abort(ConnectionLostError("the first one holds"))
        for call in (reader, *writers):
            with pytest.raises(ConnectionLostError) as caught:
                call.result(5)
            assert caught.value is error
    release.set()


def test_abort_without_an_error_is_a_loss(plain: Bench) -> None:
    connection = plain.open(silent)
    connection.abort()
    assert ends_with(connection, ConnectionLostError).close_info == CloseInfo(1006, "", "lost")


def test_dispose_in_the_middle_of_everything_gives_the_connections_error_and_never_a_foreign_descriptor(
    bench: Bench,
) -> None:
    release = threading.Event()
    for _ in range(5):
        connection = bench.open(lambda link: release.wait(10), small_buffers=True)
        calls = [Running(connection.receive), *(Running(lambda c=connection: c.send_text(HUGE)) for _ in range(2))]
        _until_stuck(connection)
        connection.dispose()
        others = [socket.socketpair() for _ in range(10)]  # take the numbers that were released
        connection.dispose()
        for call in calls:
            with pytest.raises(ConnectionLostError, match="disposed"):
                call.result()
        for pair in others:
            for end in pair:
                end.setblocking(False)
                with pytest.raises(BlockingIOError):
                    end.recv(1)  # nothing was written to it
            pair[0].close()
            pair[1].close()
    release.set()


def test_dispose_leaves_no_descriptor(bench: Bench) -> None:
    release = threading.Event()
    peer = bench.serve(lambda link: (link.upgrade(), release.wait(20)))
    before = descriptors()
    try:
        for _ in range(50):
            connection = bench.connect(peer)
            reader = Running(connection.receive)
            connection.dispose()
            with pytest.raises(ConnectionLostError):
                reader.result()
        assert descriptors() - before <= 50  # the peer's; fewer where one of an earlier test was still being closed
    finally:
        release.set()


def test_an_interrupt_in_the_middle_of_a_frame_ends_the_connection_and_nothing_follows(bench: Bench) -> None:
    received: list[bytes] = []
    release = threading.Event()

    def script(link: Link) -> None:
        release.wait(10)
        received.append(link.read_to_end())

    connection = bench.open(script, Timeouts(send=10, close=0.2), small_buffers=True)
    with pytest.raises(KeyboardInterrupt), _interrupted(lambda: _is_stuck(connection)):
        connection.send_text(HUGE)
    for _ in range(2):
        with pytest.raises(ConnectionLostError, match="interrupted"):
            connection.send_text("must not follow")
    connection.start_close()
    ends_with(connection, ConnectionLostError)
    connection.dispose()
    release.set()
    bench.stack.close()
    assert len(received[0]) < len(HUGE)
    assert received[0][:2] == b"\x81\xff"


def test_a_forked_child_forgets_and_the_parents_connection_goes_on(bench: Bench) -> None:
    def script(link: Link) -> None:
        assert link.read_frame() == (TEXT, b"from the parent")
        link.send(frame(TEXT, "to the parent"))
        assert link.read_frame() == (CLOSE, struct.pack("!H", 1000))
        link.send(close_frame(1000))

    connection = bench.open(script)
    reader = Running(connection.receive)
    duplex = connection._duplex
    with duplex.lock, duplex._io:  # held by threads of the parent, as they may be at any fork
        child = _fork(lambda: _in_child(connection))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    connection.send_text("from the parent")
    assert reader.result() == "to the parent"
    connection.start_close()
    assert ends_with(connection).close_info.initiator == "local"


def _fork(call: Any) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: forking with threads is the point here
        child = os.fork()
    if child:
        return child
    try:
        call()
        os._exit(0)
    except BaseException:
        os._exit(1)


def _in_child(connection: Any) -> None:
    before = descriptors()
    connection.forget()
    assert before - descriptors() == (2 if hasattr(os, "eventfd") else 3)  # the socket, and what wakes those that wait
    with pytest.raises(ConnectionLostError, match="parent"):
        connection.receive()
    with pytest.raises(ConnectionLostError, match="parent"):
        connection.send_text("x")
    connection.start_close()
    connection.abort()
    connection.dispose()


def test_descriptors_above_1024_work(plain: Bench) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("too few descriptors are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    fillers = [os.dup(0) for _ in range(1100)]
    try:
        connection = plain.open(lambda link: link.send(frame(TEXT, "high")))
        assert connection._duplex._socket.fileno() > 1024
        assert connection.receive() == "high"
        assert selectors.DefaultSelector is not selectors.SelectSelector
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_repr_says_whether_it_is_open_and_nothing_secret(plain: Bench) -> None:
    connection = plain.open(silent, headers={"Authorization": "Bearer SECRET"})
    assert repr(connection) == "<Connection open>"
    connection.abort()
    assert "1006" in repr(connection)
    assert "SECRET" not in repr(vars(connection)) + repr(FAST)


def test_ctrl_c_ends_the_wait_for_another_message_though_a_pong_is_due(plain: Bench) -> None:
    release = threading.Event()

    def script(link: Link) -> None:
        link.send(frame(PING, b"there?"))
        release.wait(20)

    connection = plain.open(script, Timeouts(send=10), small_buffers=True)
    writer = Running(lambda: connection.send_text(HUGE))
    _until_stuck(connection)
    reader = Running(connection.receive)

    def waits() -> bool:
        return _is_stuck(connection) and bool(connection._duplex._control)

    with within(5), pytest.raises(KeyboardInterrupt), _interrupted(waits):
        connection.send_text("next")
    connection.abort()
    for one in (reader, writer):
        with pytest.raises(ConnectionClosedError):
            one.result()
    release.set()
