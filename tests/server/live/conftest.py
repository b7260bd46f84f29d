"""A raw peer of live sessions, and a session by a clock that moves when it is told to."""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Iterator

import pytest
import websocket

from realtime_sync.server import LiveRules, RealtimeServer, TwinSession
from realtime_sync.testing import ManualClock
from tests.server.conftest import Peer
from tests.server.live.schemas import check_live_event
from tests.server.sounds import silence

Json = dict[str, Any]
PATH = "/v1/live/sessions"


class LivePeer(Peer):
    """One raw connection to a live session. Everything that comes is checked against the closed schemas."""

    def __init__(self, server: RealtimeServer, path: str = PATH, **options: Any) -> None:
        super().__init__(server, path, **options)
        self.events: list[Json] = []
        """What has come, but for the sound."""
        self.sound = bytearray()

    def recv(self) -> Json:
        text = self.ws.recv()
        assert text != "", "the server closed the connection"
        return self.take(text)

    def take(self, text: str | bytes) -> Json:
        event: Json = json.loads(text)
        self.seen.append(event)
        if self.checked:
            check_live_event(event)
        if event["type"] == "session.output_audio.delta":
            self.sound += base64.b64decode(event["delta"])
        else:
            self.events.append(event)
        return event

    def start(self, event_id: str | None = None, **session: Any) -> Json:
        named = {} if event_id is None else {"event_id": event_id}
        self.say("session.start", **named, session={"model": "gpt-live-1", **session})
        return self.until("session.started")["session"]  # type: ignore[no-any-return]

    def rest(self) -> int:
        """Read to the end of the connection; its close code, 1005 for none."""
        while True:
            opcode, frame = self.ws.recv_data_frame(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(frame.data[:2], "big") if frame.data else 1005
            if opcode == websocket.ABNF.OPCODE_TEXT:
                self.take(frame.data)

    def text(self, speaker: str) -> str:
        """All that was told of one speaker's words: input or output."""
        return "".join(each["delta"] for each in self.events if each["type"] == f"session.{speaker}_transcript.delta")

    def types(self, *, merged: bool = True) -> list[str]:
        kinds = [event["type"] for event in self.events]
        return [kind for index, kind in enumerate(kinds) if not (merged and index and kinds[index - 1] == kind)]


class Call:
    """A session whose time is a manual clock's: what a peer and its twin do, step by step."""

    def __init__(self, server: RealtimeServer, clock: ManualClock, path: str = PATH, **session: Any) -> None:
        self.server, self.clock = server, clock
        self.peer = LivePeer(server, path)
        self.appends = 0
        self.seconds = 0.0  # since the start
        self.settings = self.peer.start(**session)
        self.twin: TwinSession = next(twin for twin in server.live_sessions if twin.id == self.settings["id"])

    def audio(self, pcm: bytes, *, piece_ms: int = 100, bytes_per_ms: int = 48) -> None:
        """Send audio in real time."""
        size = piece_ms * bytes_per_ms
        for start in range(0, len(pcm), size):
            piece = pcm[start : start + size]
            self.append(piece)
            self.advance(len(piece) / bytes_per_ms / 1000)

    def append(self, audio: bytes) -> None:
        """Send audio at once."""
        self.appends += 1
        self.peer.say("session.input_audio.append", audio=base64.b64encode(audio).decode())
        self.twin.wait_for_message("session.input_audio.append", count=self.appends)

    def silence(self, seconds: float) -> None:
        """Send silence in real time."""
        self.audio(silence(round(seconds * 1000)))

    def advance(self, seconds: float) -> None:
        """Let time pass without any audio."""
        self.clock.advance(seconds)
        self.seconds += seconds

    def send(self, wire_type: str, **fields: Any) -> None:
        """Send a message, and wait until it has been handled."""
        count = sum(message["type"] == wire_type for message in self.twin.received) + 1
        self.peer.say(wire_type, **fields)
        self.twin.wait_for_message(wire_type, count=count)

    def commentary(self, content: str, **fields: Any) -> None:
        self.send("session.commentary.append", content=content, **{"delegation_id": None, **fields})

    def hang_up(self) -> int:
        """Close, and read all; the close code."""
        self.send("session.close")
        self.clock.advance(1.0)
        return self.peer.rest()


def said(call: Call) -> str:
    return "".join(each["delta"] for each in call.twin.sent if each["type"] == "session.output_transcript.delta")


def until_planned(call: Call) -> None:
    """Let the threads of a session end, which have planned what is said."""
    for thread in call.twin.threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def open_call() -> Iterator[Callable[..., Call]]:
    """Opens sessions: ``open_call(rules=LiveRules(...), server={...}, instructions="...")``."""
    servers: list[RealtimeServer] = []
    calls: list[Call] = []

    def begin(
        rules: LiveRules | None = None, *, server: dict[str, Any] | None = None, path: str = PATH, **session: Any
    ) -> Call:
        clock = ManualClock()
        servers.append(RealtimeServer(clock=clock, live=rules, ping_interval=None, **(server or {})))
        calls.append(Call(servers[-1], clock, path, **session))
        return calls[-1]

    yield begin
    for call in calls:
        call.peer.ws.shutdown()
    for running in servers:
        running.close()
