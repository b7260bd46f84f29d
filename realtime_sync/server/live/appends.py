"""Instructions, thinking and commentary that are put into a live session: refused, placed, acknowledged, spoken."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.live.settings import tokens_of
from realtime_sync.server.live.words import GRID_MS, grid_after
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_MOST_TOKENS = 500
_ACKNOWLEDGED_MS = 30.0  # behind its place, when the model is there: some 0.75 s after it came


class TwinAppends:
    """Those of one session. Every method is called under its lock."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self._pending: set[str] = set()

    @property
    def are_pending(self) -> bool:
        """Whether any has not been acknowledged."""
        return bool(self._pending)

    def take(self, message: Json) -> None:
        """Place an append on the timeline: behind now, which takes a timeline that goes on. Raises ``Refused``."""
        self._check(message)
        kind, content = str(message["type"]).split(".")[1], str(message["content"])
        session, own = self._session, new_id("append")
        start = grid_after(session.timeline_ms)
        self._pending.add(own)
        tell = functools.partial(self._acknowledge, own, kind, start, message.get("event_id"))
        session.schedule.add(start + _ACKNOWLEDGED_MS, tell)
        if kind != "instructions":
            session.delegations.acknowledge_no_more()
        if kind == "commentary":
            session.mouth.say(content, start if session.stands else start - GRID_MS, retold=True)
        session.heard_context(kind, content)

    def _check(self, message: Json) -> None:
        count = tokens_of(message["content"])
        if count > _MOST_TOKENS:
            told = f"'content' has about {count} tokens, but may have at most {_MOST_TOKENS}."
            raise Refused("invalid_value", told, "content")
        if message["delegation_id"] is not None and self._session.options["delegation"]["type"] == "responses":
            raise Refused("invalid_value", "'delegation_id' must be null with Responses delegation.", "delegation_id")
        if self._session.fixture.is_playing:
            raise Refused("invalid_event", "Nothing can be appended while a fixture is playing.")

    def _acknowledge(self, own: str, kind: str, start: int, event_id: Optional[str]) -> None:
        self._pending.discard(own)
        told = {"type": f"session.{kind}.appended", "start_ms": start, "end_ms": start + GRID_MS}
        self._session.emit(told, event_id)
