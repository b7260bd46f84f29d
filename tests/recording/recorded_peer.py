"""A raw client whose wire is recorded, as a session's engine will have it: websocket-client, JSON, a writer."""

from __future__ import annotations

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
from tests.server.conftest import Peer

_KEYS = ("api-key: k", "Authorization: Bearer k")
_PATHS = {
    Dialect.GA: "/v1/realtime?model=m",
    Dialect.PREVIEW: "/openai/realtime?deployment=m&api-version=2025-04-01-preview",
}


class RecordedPeer(Peer):
    """One connection; what goes and comes is recorded if there is a writer."""

    def __init__(self, server: RealtimeServer, writer: RecordingWriter | None, dialect: Dialect) -> None:
        super().__init__(server, _PATHS[dialect], headers=_KEYS, dialect=dialect.value, checked=False)
        self.writer = writer
        self.closed = False
        self.received: list[str] = []
        if writer is not None:
            writer.connected(server.azure_endpoint.replace("http", "ws", 1) + _PATHS[dialect], 1, dialect)

    def send(self, text: str) -> None:
        if self.writer is not None:
            self.writer.sent(text)
        super().send(text)

    def recv(self) -> dict[str, Any]:
        """The next message; raises if the connection has ended."""
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


@contextmanager
def recorded_peer(
    server: RealtimeServer,
    path: Path | None = None,
    dialect: Dialect = Dialect.GA,
    **options: Any,
) -> Iterator[RecordedPeer]:
    """A connection, recorded at ``path`` where one is given."""
    writer = RecordingWriter(path, **options) if path is not None else None
    peer = RecordedPeer(server, writer, dialect)
    try:
        yield peer
    finally:
        peer.ws.shutdown()  # type: ignore[no-untyped-call]
        if writer is not None:
            if not peer.closed:
                writer.disconnected(CloseInfo(1000, "", "local"))
            writer.close()
            assert writer.error is None
