"""The session's clock, as far as this side can know it: it runs while audio comes, and 2.8 s longer.

The service places everything on a timeline (milliseconds), which goes on in step with real time while audio comes, and
stands some 2.8 s after the last of it: no output, no acknowledgement, no usage (as measured, 2026-09). Who waits for
the service then waits in vain, so it asks here first.

No lock: each field is written in one assignment, by the thread that sends audio, and read by any.
"""

from __future__ import annotations

import time
from typing import Optional

from realtime_sync.errors import ClockStoppedError

RUNS_ON_SECONDS = 2.8


class LiveClock:
    """See the module. ``kept``: this library sends silence when nobody sends audio."""

    def __init__(self) -> None:
        self.kept = False
        self.begun_at: Optional[float] = None  # the first audio, by time.monotonic()
        self.begun_before: Optional[float] = None  # the same, on the connection before this one
        self._until = 0.0  # to this moment the last audio lasts
        self._expected_at = -RUNS_ON_SECONDS  # when a sender began

    def sent(self, seconds: float, now: Optional[float] = None) -> None:
        """So many seconds of audio were sent. They last from the end of what was sent before, or from now on."""
        now = time.monotonic() if now is None else now
        if self.begun_at is None:
            self.begun_at = now
        self._until = max(self._until, now) + seconds

    def restart(self) -> None:
        """A new connection has a clock of its own, which no audio has begun yet."""
        self.begun_before = self.begun_at
        self.begun_at, self._until = None, 0.0

    def expect(self) -> None:
        """A sender has begun, whose first audio may take a moment."""
        self._expected_at = time.monotonic()

    @property
    def runs_for(self) -> float:
        """Seconds until the clock stands if no more audio is sent; 0.0 if it stands."""
        last = self._expected_at if self.begun_at is None else max(self._until, self._expected_at)
        return max(0.0, last + RUNS_ON_SECONDS - time.monotonic())

    def check(self, what: str) -> None:
        """Raise ``ClockStoppedError`` if ``what`` would be waited for in vain."""
        if not self.kept and self.runs_for == 0.0:
            since = "no audio was sent yet" if self.begun_at is None else "no audio was sent for 2.8 s"
            raise ClockStoppedError(
                f"{what} cannot come now: {since}, so the session's clock stands, and the service works on nothing. "
                "Send audio meanwhile (silence will do), or start the session with keep_clock=True, the default"
            )
