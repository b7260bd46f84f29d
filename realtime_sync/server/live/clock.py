"""The timeline of a live session: pure; samples and moments in, milliseconds out.

As captures show it (2026-10): the timeline begins with the first audio. It goes in step with the time of day while
audio comes, and for 2.8 s after the last of it; then it stands, until audio comes again, and goes on without a jump.
Audio faster than real time pushes it forward: it is never behind the audio that was received.

The model is behind it by 0.6 s, and catches up when the timeline stands: what a session tells of a millisecond, it
tells when the model is there.
"""

from __future__ import annotations

from typing import Optional

import attrs

KEPT_RUNNING_MS = 2800.0
"""So long the timeline goes on when no more audio comes."""
LAG_MS = 600.0
"""How far the model is behind a timeline that runs."""
_LATE_MS = 500.0
"""Audio that is late by no more than this was held up on its way: it fills the gap, and is no surplus."""


@attrs.define
class TwinTimeline:
    """All moments are seconds of one clock, and never go back; all results are milliseconds of the timeline."""

    _at: Optional[float] = attrs.field(default=None, init=False)  # the moment of _ms; None before any audio
    _ms: float = attrs.field(default=0.0, init=False)
    _heard_ms: float = attrs.field(default=0.0, init=False)  # where the audio that was received ends
    _stands_at_ms: float = attrs.field(default=0.0, init=False)  # where it stands if no more comes
    _model_ms: float = attrs.field(default=0.0, init=False)

    @property
    def has_begun(self) -> bool:
        """Whether any audio has come."""
        return self._at is not None

    @property
    def stands_at_ms(self) -> float:
        """Where the timeline stands, or will stand if no more audio comes."""
        return self._stands_at_ms

    def take(self, audio_ms: float, moment: float) -> float:
        """So much audio has come. Returns where on the timeline it begins."""
        now = self.now_ms(moment)
        self.model_ms(moment)  # which does not go back when the timeline goes on
        start = max(self._heard_ms, now - _LATE_MS)
        self._heard_ms = round(start + audio_ms, 3)
        # What is told of a piece is its beginning: its end is heard later, in step.
        self._at, self._ms = moment, max(now, start)
        self._stands_at_ms = round(max(self._heard_ms, self._ms) + KEPT_RUNNING_MS, 3)
        return start

    def now_ms(self, moment: float) -> float:
        """Where the timeline is."""
        return min(self._passed(moment), self._stands_at_ms)

    def stands(self, moment: float) -> bool:
        """Whether it waits for audio."""
        return self._passed(moment) >= self._stands_at_ms

    def model_ms(self, moment: float) -> float:
        """Where the model is on it."""
        self._model_ms = max(self._model_ms, min(self.now_ms(moment), round(self._passed(moment) - LAG_MS, 3)))
        return self._model_ms

    def seconds_until_model(self, ms: float, moment: float) -> float:
        """Seconds until the model is there, which must not be behind where the timeline stands."""
        return max(0.0, ms + LAG_MS - self._passed(moment)) / 1000

    def _passed(self, moment: float) -> float:
        """Where the timeline would be if it did not stand."""
        return 0.0 if self._at is None else round(self._ms + max(0.0, moment - self._at) * 1000, 3)
