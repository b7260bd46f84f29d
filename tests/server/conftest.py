"""A raw peer for the server, so that it is tested independently of our client: websocket-client, JSON, nothing else."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any, Callable, Iterator, Optional

import pytest
import websocket

from realtime_sync.server import RealtimeServer
from tests.server import wire_schemas

Json = dict[str, Any]
TIMEOUT = 10.0


class Peer:
    """One raw connection. Everything that comes is checked against the spec's schemas."""

    def __init__(
        self,
        server: RealtimeServer,
        path: str = "/v1/realtime?model=gpt-realtime-2.1",
        *,
        headers: tuple[str, ...] = ("Authorization: Bearer any-key",),
        dialect: str = "ga",
        checked: bool = True,
        sslopt: Optional[dict[str, Any]] = None,
    ) -> None:
        url = server.azure_endpoint.replace("http", "ws", 1) + path
        self.ws = websocket.create_connection(
            url,
            header=list(headers),
            subprotocols=["realtime"],
            timeout=TIMEOUT,
            skip_utf8_validation=True,
            sslopt=sslopt or {},
            suppress_origin=True,
            redirect_limit=0,
        )
        self.dialect = dialect
        self.checked = checked
        self.seen: list[Json] = []

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.ws.shutdown()

    def send(self, text: str) -> None:
        self.ws.send(text)

    def say(self, wire_type: str, **fields: Any) -> None:
        self.send(json.dumps({"type": wire_type, **fields}))

    def user_says(self, text: str, **fields: Any) -> None:
        part = {"type": "input_text", "text": text}
        self.say("conversation.item.create", item={"type": "message", "role": "user", "content": [part]}, **fields)

    def recv(self) -> Json:
        """The next event; pings are answered on the way."""
        text = self.ws.recv()
        assert text != "", "the server closed the connection"
        event: Json = json.loads(text)
        self.seen.append(event)
        if self.checked:
            wire_schemas.check_server_event(event, self.dialect)
        return event

    def until(self, match: str | Callable[[Json], bool]) -> Json:
        """Read until an event of this type, or one that fulfils this."""
        while True:
            event = self.recv()
            if event["type"] == match if isinstance(match, str) else match(event):
                return event

    def error(self) -> Json:
        """Read until an error; its inner object."""
        error: Json = self.until("error")["error"]
        return error

    def close_frame(self) -> tuple[int, str]:
        """Read to the close frame: its code and reason."""
        while True:
            opcode, frame = self.ws.recv_data_frame(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(frame.data[:2], "big"), frame.data[2:].decode()

    def types(self, *, merged: bool = True) -> list[str]:
        """The types seen so far; runs of the same one as one where ``merged``."""
        kinds = [event["type"] for event in self.seen]
        if not merged:
            return kinds
        return [kind for index, kind in enumerate(kinds) if not index or kinds[index - 1] != kind]

    def append(self, pcm: bytes, size: int = 9600) -> None:
        for start in range(0, len(pcm), size):
            self.say("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + size]).decode())

    def vad_off(self, **audio_input: Any) -> None:
        self.update(audio={"input": {"turn_detection": None, **audio_input}})

    def update(self, **session: Any) -> Json:
        self.say("session.update", session={"type": "realtime", **session})
        return self.until("session.updated")["session"]  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer() as running:
        yield running


@pytest.fixture
def peer(server: RealtimeServer) -> Iterator[Peer]:
    with Peer(server) as connected:
        assert connected.recv()["type"] == "session.created"
        yield connected


@pytest.fixture
def open_peer() -> Iterator[Callable[..., Peer]]:
    """Opens peers that are closed after the test: ``open_peer(server, ...)``."""
    opened: list[Peer] = []

    def connect(*args: Any, **kwargs: Any) -> Peer:
        opened.append(Peer(*args, **kwargs))
        return opened[-1]

    yield connect
    for one in opened:
        one.ws.shutdown()


def server_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("realtime-server")]
