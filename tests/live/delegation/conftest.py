"""A live session by a clock that moves when it is told to, and the functions that work for it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest

from realtime_sync import OpenAIClient
from realtime_sync.errors import ConnectionLostError
from realtime_sync.live.session import LiveSession
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate
from realtime_sync.server import LiveFaults, LiveRules, RealtimeServer, TwinSession
from realtime_sync.testing import ManualClock
from tests.core.harness import CALM, KEY
from tests.harness import until

SILENCE = base64.b64encode(bytes(4800)).decode()
STEP = 0.1


class Talk:
    """A client's session and the server's side of it. Time passes by ``silence`` alone."""

    def __init__(self, rules: LiveRules, **start: Any) -> None:
        self.clock = ManualClock()
        self.server = RealtimeServer(clock=self.clock, live=rules, ping_interval=None)
        client = OpenAIClient(KEY, endpoint=self.server.url, timeouts=CALM).get_realtime_conversation_client("m")
        self.session: LiveSession = client.start_live_session(keep_clock=False, **start)
        self.twin: TwinSession = self.server.wait_for_live_session()
        self.pieces = 0
        self.silence(1.0)

    def silence(self, seconds: float) -> None:
        """Send silence, and let as much time pass; all that the server has said by then is sent."""
        for _ in range(round(seconds / STEP)):
            self.pieces += 1
            self.session.send_message({"type": "session.input_audio.append", "audio": SILENCE})
            self.twin.wait_for_message("session.input_audio.append", count=self.pieces)
            self.clock.advance(STEP)

    def until(self, condition: Callable[[], Any]) -> None:
        """Let time pass, a second at a time, until something is so; for 20 seconds of the wall's clock."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            self.silence(1.0)

    def asks(self, text: str, seconds: Optional[float] = None) -> str:
        """The user says this and the model delegates; returns the delegation's id once it was told."""
        told = self._delegations()
        self.twin.hear(text)
        delegation = self.twin.delegate()
        if seconds is not None:
            self.silence(seconds)
        else:
            self.until(lambda: self._delegations() > told)
        return delegation

    def _delegations(self) -> int:
        return sum(event["type"] == "session.delegation.created" for event in list(self.twin.sent))

    def appended(self, delegation: Optional[str] = None) -> list[tuple[str, str]]:
        """What was appended for a delegation, in order: the kind and the text."""
        return [
            (message["type"].split(".")[1], message["content"])
            for message in list(self.twin.received)
            if message["type"].endswith((".commentary.append", ".thinking.append"))
            and delegation in (None, message["delegation_id"])
        ]

    def wait_for_appends(self, count: int, delegation: Optional[str] = None) -> list[tuple[str, str]]:
        until(lambda: len(self.appended(delegation)) >= count, 10.0)
        return self.appended(delegation)

    def spoken(self) -> str:
        """All that the model has said so far."""
        told = (event for event in list(self.twin.sent) if event["type"] == "session.output_transcript.delta")
        return "".join(event["delta"] for event in told)

    def close(self) -> None:
        closing = threading.Thread(target=self.session.close, daemon=True)
        closing.start()
        deadline = time.monotonic() + 20
        while closing.is_alive() and time.monotonic() < deadline:
            self.clock.advance(0.3)
            closing.join(0.02)
        self.server.close()
        assert not closing.is_alive(), "the session does not close"


def lose_connection(session: LiveSession) -> None:
    """Publish what a session tells that goes on over another connection."""
    engine = session._engine
    with engine.delivering:
        engine.publish(SessionDisconnectedUpdate(type="session.disconnected", reason=ConnectionLostError("lost")))


@pytest.fixture
def talk() -> Iterator[Callable[..., Talk]]:
    """Opens sessions: ``talk(delegate=look_up)``; ``faults`` and ``rules`` are the server's."""
    talks: list[Talk] = []

    def begin(faults: Optional[LiveFaults] = None, rules: Optional[dict[str, Any]] = None, **start: Any) -> Talk:
        live = LiveRules(**{"faults": faults or LiveFaults(), "acknowledgement": "", **(rules or {})})
        talks.append(Talk(live, **start))
        return talks[-1]

    yield begin
    for each in talks:
        each.close()
