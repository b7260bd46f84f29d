"""Every fault does what it says, when it says."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import struct
import threading
import time
from typing import Any, Callable

import pytest
import websocket

from realtime_sync.errors import InvalidInputError
from realtime_sync.server import Act, Faults, RealtimeServer, Refusal, faults
from realtime_sync.server.connection import ServerConnection
from tests.core.harness import within
from tests.server.conftest import TIMEOUT, Peer


@pytest.mark.parametrize("code", [-1, 1005, 1006, 1015, 65536])
def test_a_code_that_no_close_frame_holds_is_refused_where_it_is_told(
    peer: Peer, server: RealtimeServer, code: int
) -> None:
    with pytest.raises(InvalidInputError, match=str(code)):
        faults.close(code)
    with pytest.raises(InvalidInputError, match=str(code)):
        server.sessions[0].close(code)
    peer.update(instructions="still here")


@pytest.mark.parametrize("name", ["delay", "slow_handshake", "handshake_bytes"])
def test_less_than_nothing_is_no_fault(name: str) -> None:
    told: dict[str, Any] = {name: -1}
    with pytest.raises(InvalidInputError, match=name):
        Faults(**told)


def raw_handshake(server: RealtimeServer) -> socket.socket:
    """A plain socket that has sent an upgrade request."""
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    plain.sendall(
        b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer k\r\n\r\n"
    )
    return plain


def everything(plain: socket.socket) -> bytes:
    data = b""
    while chunk := plain.recv(65536):
        data += chunk
    return data


def test_a_drop_resets_the_connection(peer: Peer, server: RealtimeServer) -> None:
    server.sessions[0].inject(faults.drop())
    with pytest.raises(ConnectionResetError):
        peer.ws.recv()
    assert server.sessions[0].wait_until_closed() == 1006


def test_an_act_waits_for_its_count_of_messages_sent(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(faults=Faults(acts=[faults.drop(after_sent=3)])) as server:
        peer = open_peer(server)
        peer.recv()
        peer.user_says("one")
        assert [peer.recv()["type"] for _ in range(2)] == ["conversation.item.added", "conversation.item.done"]
        with pytest.raises(ConnectionResetError):
            peer.ws.recv()


def counted(data: bytes) -> tuple[int, bytes]:
    """How many messages of the session's own these bytes begin with, and what comes behind them."""
    count = 0
    while data[:1] == b"\x81" and len(data) > 10:
        size, head = {126: (int.from_bytes(data[2:4], "big"), 4), 127: (int.from_bytes(data[2:10], "big"), 10)}.get(
            data[1], (data[1], 2)
        )
        message = data[head : head + size]
        if len(message) < size or not message.startswith(b'{"type":"'):  # the acts' own have a space there
            break
        count, data = count + 1, data[head + size :]
    return count, data


def frames_of(plain: socket.socket) -> bytes:
    """What comes behind the answer to the handshake, to the end of the stream."""
    plain.settimeout(10)
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := plain.recv(1 << 20):
            data += chunk
    return bytes(data).partition(b"\r\n\r\n")[2]


END = Act("end", ServerConnection.shut_down_sending)
"""Ends the stream behind all that was emitted, also where a fault has it go nowhere."""


def framed(text: str) -> bytes:
    return b"\x81" + bytes([len(text)]) + text.encode()


UNKNOWN = '{"type": "response.from_the_future", "event_id": "event_unknown", "answer": 42}'
HUGE = b'{"type": "huge", "padding": "' + b"x" * 50_000 + b'"}'
# What each puts on the wire, and whether the session's messages go on behind it.
ACTS: dict[str, tuple[Callable[..., Act], bytes, bool]] = {
    "drop": (faults.drop, b"", False),
    "eof": (faults.eof, b"", False),
    "silence": (faults.silence, b"", False),
    "close": (functools.partial(faults.close, 4000, "bye"), b"\x88\x05\x0f\xa0bye", False),
    "half_a_message": (faults.half_a_message, b'\x81\x7e\x01\x00{"type": "response.done", ', False),
    "stop_reading": (faults.stop_reading, b"", True),
    "send": (functools.partial(faults.send, b"\x00\x01"), b"\x82\x02\x00\x01", True),
    "send_raw": (functools.partial(faults.send_raw, b"raw"), b"raw", True),
    "not_json": (faults.not_json, framed("this is {not JSON"), True),
    "unknown_event": (faults.unknown_event, framed(UNKNOWN), True),
    "huge_message": (functools.partial(faults.huge_message, 50_000), b"\x81\x7e\xc3\x6f" + HUGE, True),
    "invalid_utf8": (faults.invalid_utf8, b"\x81\x04\xff\xfe\xfd\xfc", True),
    "bad_frame": (faults.bad_frame, b"\xff\x02ab", True),
}


@pytest.mark.parametrize("count", [1, 10])
@pytest.mark.parametrize("name", ACTS)
def test_an_act_happens_behind_exactly_its_count_of_messages(name: str, count: int) -> None:
    make, wire, goes_on = ACTS[name]
    gate = threading.Event()  # holds the connection's thread, so that all is emitted before the act's turn comes
    held = Act("held", lambda connection: waits(gate))
    with RealtimeServer(faults=Faults(acts=[held, make(after_sent=count)])) as server, raw_handshake(server) as plain:
        session = server.wait_for_session()
        session.wait_for_sent("session.created")
        for _ in range(25):
            session.emit({"type": "input_audio_buffer.cleared"})
        session.inject(END)
        gate.set()
        before, rest = counted(frames_of(plain))
        if name == "stop_reading":
            assert before == 26
            return
        assert before == count
        assert rest.startswith(wire)
        assert counted(rest[len(wire) :]) == (26 - count if goes_on else 0, b"")


def waits(gate: threading.Event) -> None:
    assert gate.wait(10)


@pytest.mark.parametrize("act", [faults.eof, faults.silence])
def test_what_was_counted_is_written_first_however_slowly_it_is_read(act: Callable[..., Act]) -> None:
    with RealtimeServer(faults=Faults(acts=[act(after_sent=301)])) as server, raw_handshake(server) as plain:
        session = server.wait_for_session()
        session.wait_for_sent("session.created")
        for _ in range(301):  # more than the buffers of two sockets hold
            session.emit({"type": "huge", "padding": "x" * 40_000})
        session.inject(END)
        data = frames_of(plain)
        assert len(data) > 300 * 40_000
        assert counted(data) == (301, b"")


def test_silence_leaves_the_message_that_it_was_to_wait_for_unanswered(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(faults=Faults(acts=[faults.silence(after_received=2)])) as server:
        peer = open_peer(server)
        peer.update()
        peer.say("session.update", session={"type": "realtime"})
        server.sessions[0].wait_for_message("session.update", TIMEOUT, count=2)
        server.sessions[0].inject(END)
        with pytest.raises(websocket.WebSocketConnectionClosedException):
            peer.ws.recv()


def test_an_act_of_ones_own_acts_in_its_turn(open_peer: Callable[..., Peer]) -> None:
    def perform(connection: ServerConnection) -> None:
        connection.send('{"type": "one"}')
        connection.send('{"type": "two"}')
        connection.close(4000)

    gate = threading.Event()
    acts = [Act("held", lambda connection: waits(gate)), Act("mine", perform, after_sent=2)]
    with RealtimeServer(faults=Faults(acts=acts, delay=0.01)) as server:
        peer = open_peer(server, checked=False)
        session = server.wait_for_session()
        session.wait_for_sent("session.created")
        for _ in range(3):
            session.emit({"type": "input_audio_buffer.cleared"})
        gate.set()
        came = [peer.recv()["type"] for _ in range(4)]
        assert came == ["session.created", "input_audio_buffer.cleared", "one", "two"]
        assert peer.close_frame() == (4000, "")


@pytest.mark.parametrize("acts", [faults.drop(), faults.drop, [faults.drop], None, "drop"])
def test_what_is_no_list_of_acts_is_refused_where_it_is_told(acts: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"must be a list of acts, such as \[drop\(after_sent=3\)\]"):
        Faults(acts=acts)


def test_what_is_no_act_is_not_injected(peer: Peer, server: RealtimeServer) -> None:
    wrong: Any = faults.drop
    with pytest.raises(InvalidInputError, match=r"<function drop .* but must be an act, such as drop\(\)"):
        server.sessions[0].inject(wrong)
    peer.update(instructions="still here")


def test_an_act_waits_for_its_count_of_messages_received(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(faults=Faults(acts=[faults.close(1011, "overloaded", after_received=2)])) as server:
        peer = open_peer(server)
        peer.update()
        peer.update()
        assert peer.close_frame() == (1011, "overloaded")
        peer.ws.send_close(1000, b"")
        assert server.sessions[0].wait_until_closed() == 1011
        assert server.sessions[0].close_reason == "overloaded"


def test_faults_can_be_set_while_sessions_live(peer: Peer, server: RealtimeServer) -> None:
    server.faults = Faults(acts=[faults.unknown_event()])
    peer.checked = False
    assert peer.recv()["type"] == "response.from_the_future"
    server.faults = Faults()
    peer.update(instructions="still here")


def test_an_end_of_stream_comes_without_a_close_frame(peer: Peer, server: RealtimeServer) -> None:
    server.sessions[0].inject(faults.eof())
    with pytest.raises(websocket.WebSocketConnectionClosedException):
        peer.ws.recv()


def test_silence_answers_nothing_and_keeps_the_connection(peer: Peer, server: RealtimeServer) -> None:
    server.sessions[0].inject(faults.silence())
    peer.ws.ping("are you there?")
    peer.say("session.update", session={"type": "realtime"})
    peer.ws.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        peer.ws.recv_data_frame(control_frame=True)
    assert server.sessions[0].close_code is None


def upload(peer: Peer, size: int) -> None:
    for _ in range(0, size, 262_144):
        peer.say("input_audio_buffer.append", audio="A" * 262_144)


def test_a_server_that_stops_reading_stalls_the_sender_and_still_sends(peer: Peer, server: RealtimeServer) -> None:
    session = server.sessions[0]
    session.inject(faults.stop_reading())
    session.emit({"type": "input_audio_buffer.cleared"})
    assert peer.recv()["type"] == "input_audio_buffer.cleared"
    peer.ws.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        upload(peer, 200 * 262_144)


def test_a_delay_holds_back_each_message(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(faults=Faults(delay=0.1)) as server:
        begin = time.monotonic()
        peer = open_peer(server)
        peer.update()
        assert time.monotonic() - begin >= 0.2
        assert peer.types() == ["session.created", "session.updated"]


def test_garbage_of_every_kind_reaches_the_wire(open_peer: Callable[..., Peer]) -> None:
    acts = [faults.not_json(), faults.send(b"\x00\x01"), faults.invalid_utf8(), faults.huge_message(200_000)]
    with RealtimeServer(faults=Faults(acts=[*acts, faults.bad_frame()])) as server:
        peer = open_peer(server)
        peer.recv()
        frames = [peer.ws.recv_data() for _ in range(4)]
        assert frames[0] == (websocket.ABNF.OPCODE_TEXT, b"this is {not JSON")
        assert frames[1] == (websocket.ABNF.OPCODE_BINARY, b"\x00\x01")
        assert frames[2] == (websocket.ABNF.OPCODE_TEXT, b"\xff\xfe\xfd\xfc")
        assert len(frames[3][1]) > 200_000
        with pytest.raises(websocket.WebSocketProtocolException):
            peer.ws.recv_data()


def test_raw_bytes_leave_room_for_what_follows(peer: Peer, server: RealtimeServer) -> None:
    (live,) = server.sessions
    live.inject(faults.send_raw((b"\x89\x7d" + bytes(125)) * 5_000))  # pings, more than a sender of bulk waits for
    live.emit({"type": "input_audio_buffer.cleared"})
    peer.until("input_audio_buffer.cleared")
    assert live.connection is not None
    assert live.connection.wait_for_room(5.0)


@pytest.mark.parametrize("framing", ["length", "chunked", "truncated", "until-close"])
def test_a_refusal_comes_as_it_is_framed(framing: str) -> None:
    body = json.dumps({"error": {"code": "rate_limit_exceeded", "message": "slow down"}})
    refusal = Refusal(429, {"retry-after": "2", "content-type": "application/json"}, body, framing)
    with RealtimeServer(faults=Faults(refuse=refusal)) as server:
        plain = raw_handshake(server)
        answer = everything(plain)
        plain.close()
    head, _, got = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: 2" in head
    assert b"x-request-id: req_" in head
    if framing == "truncated":
        assert f"content-length: {len(body)}".encode() in head
        assert 0 < len(got) < len(body)
    elif framing == "chunked":
        assert got.endswith(b"0\r\n\r\n")
        assert b"rate_limit_exceeded" in got.replace(b"\r\n", b"") or b"slow down" in got
    else:
        assert got == body.encode()
        assert (b"content-length" in head) == (framing == "length")


def test_a_refusal_can_end_after_so_many_times(open_peer: Callable[..., Peer]) -> None:
    with RealtimeServer(faults=Faults(refuse=Refusal(503, times=2))) as server:
        for _ in range(2):
            with pytest.raises(websocket.WebSocketBadStatusException):
                Peer(server)
        assert open_peer(server).recv()["type"] == "session.created"


def test_a_slow_handshake_drips_and_closing_the_server_ends_it() -> None:
    with RealtimeServer(faults=Faults(slow_handshake=0.05)) as server:
        begin = time.monotonic()
        plain = raw_handshake(server)
        got = b""
        while len(got) < 5:
            got += plain.recv(1)
        assert time.monotonic() - begin >= 0.2
        assert b"HTTP/".startswith(got)
        with within(2.0):
            server.close()
        plain.close()


def test_a_frame_of_the_clients_that_breaks_the_protocol_is_closed_with_1002(server: RealtimeServer) -> None:
    plain = raw_handshake(server)
    plain.sendall(b"\xff\x82abcd\x00\x00")  # reserved bits, and an opcode that does not exist
    answer = everything(plain)
    plain.close()
    assert b"\x88" in answer
    assert struct.pack("!H", 1002) in answer
