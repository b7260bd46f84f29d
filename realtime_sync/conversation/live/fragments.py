"""Fragments: a word or a few, of one side, with their place on the session's timeline."""

from __future__ import annotations

import copy
import math
from typing import Literal, Optional

import attrs

from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.live.updates import (
    LiveSessionInputTranscriptDeltaUpdate,
    LiveSessionOutputTranscriptDeltaUpdate,
    LiveSessionStartedUpdate,
)
from realtime_sync.protocol.update_base import ConversationUpdate

Speaker = Literal["user", "assistant"]
"""Who speaks in a live session."""

# A sideband repeats the last seconds under the same ids; at three fragments a second that is some minutes.
_MOST_REMEMBERED = 1024
# Words come late by a second or so. What goes back further is no late word, but another timeline.
_MOST_LATE_MS = 10_000.0


_SPEAKERS: dict[type[ConversationUpdate], Speaker] = {
    LiveSessionInputTranscriptDeltaUpdate: "user",
    LiveSessionOutputTranscriptDeltaUpdate: "assistant",
}

FRAGMENT_UPDATES = (*_SPEAKERS, LiveSessionStartedUpdate, SessionReconnectedUpdate)
"""What a ``FragmentReader`` is to be given; it takes no notice of others."""


@attrs.frozen(kw_only=True)
class LiveFragment:
    """A piece of what one side said. The pieces of one side add up to its words: each has its own leading space.

    Attributes:
        speaker: ``"user"`` or ``"assistant"``.
        text: A word, a part of one, or a few.
        start_ms: Where it begins on the session's timeline, in milliseconds.
        end_ms: Where it ends, the first moment after it; mostly 200 later.
        timeline: The number of that timeline, from 1: a session that went on over a new connection has several, and
            each begins at 0.
        arrived_at: When it was received, in seconds by ``time.monotonic()``.
    """

    speaker: Speaker
    text: str
    start_ms: float
    end_ms: float
    timeline: int = 1
    arrived_at: float = attrs.field(default=0.0, repr=False)


class FragmentReader:
    """Knows the fragments among updates, and to which timeline they belong. What is told again is no fragment."""

    def __init__(self) -> None:
        self.timeline = 1
        """The number of the timeline that the updates tell of. One without words is not counted."""
        self._session_id: Optional[str] = None
        self._newest_ms = -math.inf  # of this timeline's words
        self._seen: dict[str, None] = {}

    def read(self, update: ConversationUpdate, at: float) -> Optional[LiveFragment]:
        """The fragment that an update, received at this moment, is; None if it is none, or was told before."""
        if isinstance(update, LiveSessionStartedUpdate):
            self._greeted(update.session.id)
        elif isinstance(update, SessionReconnectedUpdate):
            self._begin_anew()
        speaker = _SPEAKERS.get(type(update))
        if speaker is None:
            return None
        start, end = update.start_ms, update.end_ms  # type: ignore[attr-defined]
        if not (math.isfinite(start) and math.isfinite(end)) or self._was_seen(update.event_id):
            return None
        if start < self._newest_ms - _MOST_LATE_MS:
            self._begin_anew()
        self._newest_ms = max(self._newest_ms, end)
        return LiveFragment(
            speaker=speaker,
            text=update.delta,  # type: ignore[attr-defined]
            start_ms=start,
            end_ms=max(start, end),
            timeline=self.timeline,
            arrived_at=at,
        )

    def copy(self) -> FragmentReader:
        """An independent copy."""
        copied = copy.copy(self)
        copied._seen = self._seen.copy()
        return copied

    def _greeted(self, session_id: Optional[str]) -> None:
        before, self._session_id = self._session_id, session_id
        if before is not None and before != session_id:  # else it is the same one, attached once more
            self._begin_anew()

    def _begin_anew(self) -> None:
        if self._newest_ms > -math.inf:
            self.timeline += 1
        self._newest_ms = -math.inf
        self._seen.clear()

    def _was_seen(self, event_id: Optional[str]) -> bool:
        if event_id is None:
            return False
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        if len(self._seen) > _MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False
