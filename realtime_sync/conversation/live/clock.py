"""Where the timeline of a live session stands, as far as its updates tell."""

from __future__ import annotations

import math
from typing import Optional

STILL_SECONDS = 1.0
"""The model's track has a piece each tenth of a second, silences included; if none comes for so long, time stands."""


class TimelineClock:
    """Goes on with the wall clock while pieces of the model's track come, and is set forward by fragments.

    A fragment comes some half a second after its end, so this clock is that much late; it is never early. Moments are
    seconds of the clock at which updates are received. Before any piece of the track has come, nothing stands still.
    """

    def __init__(self) -> None:
        self._position_ms = 0.0  # when the last sign of life came
        self._last: Optional[float] = None  # sign of life
        self._has_track = False

    def track_came(self, at: float) -> None:
        """A piece of the model's track has come."""
        self._has_track = True
        self._advance(at)

    def fragment_came(self, end_ms: float, at: float) -> None:
        """A fragment has come, so the timeline has passed its end."""
        self._advance(at)
        self._position_ms = max(self._position_ms, end_ms)

    def position_ms(self, at: float) -> float:
        """Where the timeline is at this moment. If it stands, it has stood since the last sign of life."""
        return self._position_ms if self.is_still(at) else self.reached_ms(at)

    def reached_ms(self, at: float) -> float:
        """Where it seemed to be at this moment at most, until it was found to stand."""
        if self._last is None:
            return 0.0
        return self._position_ms + 1000 * max(0.0, min(at, self._still_at) - self._last)

    def is_still(self, at: float) -> bool:
        """True if the timeline stands: the service gets no audio, or the connection hangs."""
        return at >= self._still_at

    def reaches(self, position_ms: float) -> float:
        """When the timeline will be there, or is found to stand still before."""
        left = max(0.0, position_ms - self._position_ms) / 1000
        return min(self._still_at, (self._last or 0.0) + left)

    @property
    def _still_at(self) -> float:
        return (self._last or 0.0) + STILL_SECONDS if self._has_track else math.inf

    def _advance(self, at: float) -> None:
        self._position_ms = self.position_ms(at)
        self._last = at if self._last is None else max(at, self._last)
