"""Audio at the speed of speech: by a clock, so that the errors of single waits do not add up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Optional, Protocol

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.checks import check_number
from realtime_sync.interrupts import Flag

# After a stall so much audio may be sent at once; the rest of the delay stays, as it would with a microphone.
_MOST_BEHIND_SECONDS = 1.0


class PacingClock(Protocol):
    """Time for whoever paces; a test may have one in which ten minutes pass at once."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""

    def wait(self, seconds: float) -> None:
        """Return about so many seconds later."""


class RealClock:
    """``time.monotonic()``, ``speed`` times as fast. ``wake``: a flag that ends every wait once it is set."""

    def __init__(self, speed: float = 1.0, wake: Optional[Flag] = None) -> None:
        check_number("speed", speed, above=0)
        self._speed = speed
        self._wake = wake or Flag()

    def now(self) -> float:
        """See ``PacingClock.now``."""
        return time.monotonic() * self._speed

    def wait(self, seconds: float) -> None:
        """See ``PacingClock.wait``."""
        self._wake.wait(seconds / self._speed)


class Pacer:
    """Says when audio is due: its first sample at the first call, every other one as much later as it is heard later.

    ``pace``: 1.0 is the speed of speech, 2.0 twice as fast. What is due is reckoned from the beginning, so a wait that
    took too long shortens the next one. Behind by more than ``most_behind`` seconds (a stalled source or connection),
    it catches up by so much and leaves the rest of the delay. Not for several threads at once.
    """

    def __init__(
        self, pace: float = 1.0, clock: Optional[PacingClock] = None, *, most_behind: float = _MOST_BEHIND_SECONDS
    ) -> None:
        check_number("pace", pace, above=0)
        self._pace = pace
        self._clock = clock or RealClock()
        self._most_behind = most_behind
        self._started: Optional[float] = None
        self.delayed = 0.0
        """Seconds that were given up after stalls: so much later than planned is what comes now."""

    def wait_until(self, audio_seconds: float) -> None:
        """Wait until the sample at ``audio_seconds`` is due; returns at once where it is."""
        now = self._clock.now()
        if self._started is None:
            self._started = now
        due = self._started + audio_seconds / self._pace
        late = now - due - self._most_behind
        if late > 0:
            self._started += late
            self.delayed += late
        elif due > now:
            self._clock.wait(due - now)


def paced(chunks: Iterable[bytes], format: SampleFormat, pacer: Pacer) -> Iterator[bytes]:
    """The chunks, each when it is due; ends when the last has been heard, so that more may follow at once."""
    given = 0
    for chunk in chunks:
        pacer.wait_until(format.seconds(given))
        yield chunk
        given += len(chunk)
    pacer.wait_until(format.seconds(given))
