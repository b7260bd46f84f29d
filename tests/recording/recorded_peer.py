"""A raw client whose wire is recorded, as a session's engine will have it: websocket-client, JSON, a writer."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

from realtime_sync.errors import CloseInfo
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.recording import RecordingWriter
from realtime_sync.server import RealtimeServer

TIMEOUT = 15.0
_PATHS = {
    Dialect.GA: "/v1/realtime?model=m",
    Dialect.PREVIEW: "/openai/realtime?deployment=m&api-version=2025-04-01-preview",
}


class RecordedPeer:
    """One connection."""

    def __init__(self, server: RealtimeServer, writer: RecordingWriter | None, dialect: Dialect, number: int) -> None:
        url = server.azure_endpoint.replace("http", "ws", 1) + _PATHS[dialect]
        self.writer = writer
        self.dialect = dialect
        self.closed = False
        self.received: list[str] = []
        self.ws = websocket.create_connection(url, header=["api-key: k", "Authorization: Bearer k"], timeout=TIMEOUT)
        if writer is not None:
            writer.connected(url, number, dialect)

    def say(self, wire_type: str, **fields: Any) -> None:
        self.send(json.dumps({"type": wire_type, **fields}))

    def send(self, text: str) -> None:
        if self.writer is not None:
            self.writer.sent(text)
        self.ws.send(text)

    def append(self, pcm: bytes, size: int = 4800) -> None:
        for start in range(0, len(pcm), size):
            self.say("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + size]).decode())

    def user_says(self, text: str, **fields: Any) -> None:
        content = [{"type": "input_text", "text": text}]
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields})

    def recv(self) -> dict[str, Any]:
        """The next message; raises where the connection has ended."""
        opcode, data = self.ws.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(data[:2], "big")
            if self.writer is not None:
                self.closed = True
                self.writer.disconnected(CloseInfo(code, data[2:].decode(), "remote"))
            raise ConnectionError(f"closed with {code} {data[2:].decode()}")
        frame = data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data
        if self.writer is not None:
            self.writer.received(frame)
        self.received.append(frame)
        message: dict[str, Any] = json.loads(frame)
        return message

    def until(self, wire_type: str) -> dict[str, Any]:
        while True:
            message = self.recv()
            if message["type"] == wire_type:
                return message


@contextmanager
def recorded_peer(
    server: RealtimeServer,
    path: Path | None = None,
    dialect: Dialect = Dialect.GA,
    **options: Any,
) -> Iterator[RecordedPeer]:
    """A connection, recorded at ``path`` where one is given."""
    writer = RecordingWriter(path, **options) if path is not None else None
    peer = RecordedPeer(server, writer, dialect, 1)
    try:
        yield peer
    finally:
        peer.ws.shutdown()  # type: ignore[no-untyped-call]
        if writer is not None:
            if not peer.closed:
                writer.disconnected(CloseInfo(1000, "", "local"))
            writer.close()
            assert writer.error is None
