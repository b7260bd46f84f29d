"""What hooks are told of a GPT-Live session beside its connections and calls: who it is, and what it has used.

There are no answers: the model speaks when it likes, and nobody says that it has ended.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Optional

from realtime_sync.conversation.pricing import UsageTotals
from realtime_sync.core.observation import Note, Observation, Scribe
from realtime_sync.core.wire_session import WireSession
from realtime_sync.hooks import HookEvent
from realtime_sync.live.session import LiveSession
from realtime_sync.live.usage import LiveMeter
from realtime_sync.protocol.live.updates import LiveSessionStartedUpdate, LiveSessionUpdatedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

_ABOUT = (LiveSessionStartedUpdate, LiveSessionUpdatedUpdate)


class LiveScribe(Scribe):
    """See the module."""

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self._meter: Optional[LiveMeter] = None

    def opened(self, session: WireSession) -> None:
        """See ``Scribe``."""
        assert isinstance(session, LiveSession), "a session of another protocol"
        self._meter = session._meter

    def wants(self, update: ConversationUpdate) -> Optional[Note]:
        """See ``Scribe``."""
        return functools.partial(self.note, update) if isinstance(update, _ABOUT) else super().wants(update)

    def note(self, update: ConversationUpdate) -> Iterator[HookEvent]:
        """See ``Scribe``."""
        session = self._observation.session
        if isinstance(update, _ABOUT):
            session.id = update.session.id or session.id
            session.model = update.session.model or session.model
        yield from super().note(update)

    def totals(self) -> tuple[Optional[UsageTotals], Optional[float], Optional[float]]:
        """See ``Scribe``."""
        if self._meter is None:
            return None, None, None
        used = self._meter.usage
        tokens = UsageTotals.sum(used.backend.values()) if used.backend else None
        return tokens, used.cost(), used.seconds
