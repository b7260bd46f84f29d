"""Work that the model of a live session gives away, and what it says meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_sync.server.clock import Cancel
from realtime_sync.server.live.words import grid_at
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_UNTIL_ACKNOWLEDGED_MS = 300.0
_DECISIONS_DELAY_MS = 400  # more, if nothing is told


class TwinDelegations:
    """Those of one session. Every method is called under its lock."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self._acknowledgements: dict[str, Cancel] = {}  # by the delegation's id, until they are said

    def create(self, *, after_words: bool) -> str:
        """Delegate, right behind the last of the user's words that was heard, or at once. Returns the id."""
        session, own = self._session, new_id("item")
        heard = session.ears.last
        offset = int(session.timeline_ms) if heard is None else heard.start_ms
        if after_words and heard is not None and not session.rules.faults.delegation_before_words:
            session.schedule.add(session.ears.told_at_ms, lambda: self._tell(own, offset))
            session.pump()
        else:
            self._tell(own, offset)
        return own

    def _tell(self, own: str, offset_ms: int, *, again: bool = True) -> None:
        session = self._session
        if session.has_ended:
            return
        target = str(session.options["delegation"]["type"])
        delegation: Json = {"id": own, "type": "delegation", "target": target}
        begin = session.target.prepare(delegation)
        session.emit({"type": "session.delegation.created", "offset_ms": offset_ms, "delegation": delegation})
        begin()
        later = session.rules.faults.delegates_again_ms
        if again and later is not None:
            second = offset_ms + int(later)
            session.schedule.add(session.model_ms + later, lambda: self._tell(new_id("item"), second, again=False))
        self._plan_acknowledgement(own)

    def _plan_acknowledgement(self, own: str) -> None:
        session = self._session
        if not session.rules.acknowledgement:
            return
        told = session.options["delegation"]
        delay = told.get("acknowledgement_delay_ms", _DECISIONS_DELAY_MS if told["type"] == "decisions" else 0)
        place = grid_at(session.model_ms + _UNTIL_ACKNOWLEDGED_MS + delay)

        def say() -> None:
            self._acknowledgements.pop(own)
            session.mouth.say(session.rules.acknowledgement, place)

        self._acknowledgements[own] = session.schedule.add(place - 100, say)

    def acknowledge_no_more(self) -> None:
        """What was to be said of delegations, and has not begun, is not said any more."""
        for cancel in self._acknowledgements.values():
            cancel()
        self._acknowledgements.clear()
