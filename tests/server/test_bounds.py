"""What a client can have the server keep, and for how long."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import socket
import struct
from typing import Callable, Iterator

import pytest

from realtime_sync.server import RealtimeServer, http
from tests.core.harness import Running, until, within
from tests.server.conftest import Peer, server_threads
from tests.server.sounds import tone

pytestmark = pytest.mark.medium

MIB = 1024 * 1024
UPGRADE = (
    b"GET /v1/realtime?model=gpt-realtime-2.1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
CONTINUATION, TEXT, BINARY = 0, 1, 2


def frame(opcode: int, payload: bytes = b"", *, last: bool = False) -> bytes:
    """A client's frame, with a mask that changes nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = struct.pack("!BH", 0x80 | 126, size) if size < 65536 else struct.pack("!BQ", 0x80 | 127, size)
    return bytes([last << 7 | opcode]) + length + bytes(4) + payload


@pytest.fixture
def raw(server: RealtimeServer) -> Iterator[socket.socket]:
    """A connection that has not said anything yet."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10.0) as connected:
        yield connected


def read_to_the_end(raw: socket.socket) -> bytes:
    got = b""
    try:
        while more := raw.recv(65536):
            got += more
    except ConnectionResetError:
        pass
    return got


def flood(raw: socket.socket, data: bytes, until: bytes) -> None:
    """Send this over and over until the server says that."""

    def send() -> None:
        with contextlib.suppress(OSError):
            for _ in range(10_000):
                raw.sendall(data)

    sending, got = Running(send), b""
    while until not in got:
        more = raw.recv(65536)
        assert more, got
        got += more
    raw.shutdown(socket.SHUT_RDWR)
    sending.result()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_without_end_is_closed_with_1009(server: RealtimeServer, raw: socket.socket, opcode: int) -> None:
    raw.sendall(UPGRADE + frame(opcode, b"x"))
    flood(raw, frame(CONTINUATION, b"x" * MIB), until=b"a message has at most 33554432 bytes")
    assert server.wait_for_session().wait_until_closed() == 1009


def test_a_frame_without_end_is_closed_with_1009(server: RealtimeServer, raw: socket.socket) -> None:
    raw.sendall(UPGRADE + bytes([TEXT]) + struct.pack("!BQ", 0x80 | 127, 2**62) + bytes(4))
    flood(raw, b"x" * MIB, until=b"a message has at most 33554432 bytes")
    assert server.wait_for_session().wait_until_closed() == 1009


def test_empty_frames_without_end_are_closed_with_1009(server: RealtimeServer, raw: socket.socket) -> None:
    raw.sendall(UPGRADE + frame(TEXT))
    flood(raw, frame(CONTINUATION) * 1000, until=b"in 16384 frames")
    assert server.wait_for_session().wait_until_closed() == 1009


def test_a_long_message_in_many_frames_is_taken(server: RealtimeServer, raw: socket.socket) -> None:
    audio = base64.b64encode(bytes(3 * MIB))
    message = b'{"type": "input_audio_buffer.append", "audio": "' + audio + b'"}'
    pieces = [frame(TEXT), *(frame(CONTINUATION, message[at : at + 1000]) for at in range(0, len(message), 1000))]
    raw.sendall(UPGRADE + b"".join(pieces) + frame(CONTINUATION, last=True))
    server.wait_for_session().wait_for_message("input_audio_buffer.append")
    assert not [event for event in server.sessions[0].sent if event["type"] == "error"]


def test_nothing_is_read_from_a_client_while_it_reads_nothing(
    server: RealtimeServer, open_peer: Callable[..., Peer]
) -> None:
    peer = open_peer(server, checked=False)
    sound = {"type": "input_audio", "audio": base64.b64encode(tone(4000)).decode()}
    item = {"id": "long", "type": "message", "role": "user", "content": [sound]}
    peer.say("conversation.item.create", item=item)
    for _ in range(300):
        peer.say("conversation.item.retrieve", item_id="long")  # 256,000 bytes each time
    session = server.wait_for_session()
    until(lambda: session.connection is not None and not session.connection._wants_more())
    assert session.sent_count < 200
    for _ in range(300):
        peer.until("conversation.item.retrieved")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET /v1/realtime",
        UPGRADE[:-2],
        b"POST /v1/realtime/calls HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n",
    ],
)
def test_a_request_must_be_there_in_time_however_it_drips(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(http, "_HANDSHAKE_TIMEOUT", 0.3)
    with (
        RealtimeServer() as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=0.05) as raw,
        within(3.0),
    ):
        raw.sendall(head)
        ended = False
        while not ended:
            try:
                raw.sendall(b"x")
                ended = raw.recv(100) == b""
            except TimeoutError:
                pass
            except OSError:
                ended = True
        until(lambda: len(server_threads()) <= 2)


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (b"9" * 5000, 400),
        (b"9" * 30, 400),
        (b"+1", 411),
        (b"1e3", 411),
        (b"", 411),
        (b"9" * 12, 413),
    ],
)
def test_a_length_that_is_none_is_refused(
    server: RealtimeServer, raw: socket.socket, caplog: pytest.LogCaptureFixture, told: bytes, status: int
) -> None:
    raw.sendall(b"POST /v1/realtime/calls HTTP/1.1\r\nHost: h\r\nContent-Length: " + told + b"\r\n\r\n")
    head, _, body = read_to_the_end(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
