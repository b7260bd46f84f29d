"""The handles of commands that the service works on along the session's timeline.

Nobody waits for what cannot come: a wait raises ``ClockStoppedError`` if the clock stands, or as soon as it comes to
stand (``clock.py``).

Locks: none. A handle is settled by single assignments, as in ``core/commands.py``; the parts of a whole may be settled
by several threads, which all settle it alike.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Callable, Optional

from realtime_sync.core.commands import CommandHandle
from realtime_sync.deadline import Deadline
from realtime_sync.errors import WaitTimeoutError, told_again
from realtime_sync.interrupts import Flag
from realtime_sync.live.clock import LiveClock
from realtime_sync.protocol.update_base import ConversationUpdate

# The service does not tell of a clip that was cut short; so much longer than it lasts it may still be playing.
_LATE_SECONDS = 3.0


def wait_with_clock(flag: Flag, deadline: Deadline, clock: LiveClock, what: str) -> bool:
    """Wait until the flag is set; False if time is up before. Raises ``ClockStoppedError`` once the clock stands."""

    def look() -> bool:
        if not flag.is_set() and deadline.left != 0:
            clock.check(what)
        return flag.is_set()

    return flag.wait_for(look, deadline, lambda: None if clock.kept else clock.runs_for)


class LiveCommandHandle(CommandHandle):
    """A command that is placed on the timeline: ``wait()`` raises ``ClockStoppedError`` once that stands."""

    def __init__(
        self, type: str, event_id: Optional[str], timeout: float, check: Callable[[], None], clock: LiveClock
    ) -> None:
        super().__init__(type, event_id, timeout, check)
        self._clock = clock
        self._then: Optional[Callable[[], None]] = None  # called when it is settled

    def _settled_within(self, deadline: Deadline) -> bool:
        return wait_with_clock(self._settled, deadline, self._clock, f"the acknowledgement of {self.type}")

    def _settle(self, update: Optional[ConversationUpdate], error: Optional[Exception] = None) -> None:
        super()._settle(update, error)
        if self._then is not None:
            self._then()


class PartsHandle(LiveCommandHandle):
    """A text that was sent in several parts: acknowledged when all are, by the last one's update.

    Attributes:
        parts: The handles of the parts, in order.
    """

    def __init__(self, parts: Sequence[LiveCommandHandle]) -> None:
        last = parts[-1]
        super().__init__(last.type, last.event_id, last._timeout, last._check, last._clock)
        self.parts = tuple(parts)
        for part in parts:
            part._then = self._look
        self._look()  # some may be settled by now

    def _look(self) -> None:
        refused = next((part.error for part in self.parts if part.error is not None), None)
        if refused is not None:
            self._settle(None, refused)
        elif all(part.done for part in self.parts):
            self._settle(self.parts[-1].update)


class LiveClip(CommandHandle):
    """A clip that the service was told to play: ``wait()`` until it begins, ``wait_until_played()`` to its end.

    Attributes:
        seconds: How long it lasts.
    """

    def __init__(
        self, type: str, event_id: Optional[str], timeout: float, check: Callable[[], None], clock: LiveClock
    ) -> None:
        super().__init__(type, event_id, timeout, check)
        self._clock = clock
        self._over = Flag()  # it was played, or will not be; set last
        self._played = False
        self._why: Optional[Exception] = None  # it will not be
        self._late = 0.0  # when it has ended, whatever is heard of it, by time.monotonic(); 0.0: it was not sent
        self.seconds = 0.0

    @property
    def played(self) -> bool:
        """True once it has left the service, to its end."""
        return self._played

    @property
    def playing(self) -> bool:
        """True from when it was sent until it has ended, as far as that is known."""
        return not self._over.is_set() and time.monotonic() < self._late

    def wait_until_played(self, timeout: Optional[float] = None) -> None:
        """Wait until it has left the service, to its end.

        Args:
            timeout: Seconds to wait. None: as long as it lasts, and ``Timeouts.acknowledge``.

        Raises:
            ServerError: The service refused it.
            ConnectionClosedError: The connection ended first.
            ClockStoppedError: No audio flows, so that the session's clock stands.
            WaitTimeoutError: It was not played in time, or was cut short: the service does not tell which.
        """
        self._check()
        seconds = self.seconds + self._timeout if timeout is None else timeout
        wait_with_clock(self._over, Deadline(seconds), self._clock, "the end of the clip")
        if not self._played and self._why is not None:
            raise told_again(self._why)
        if not self._played:
            raise WaitTimeoutError(f"the clip was not played to its end within {seconds:g} s, or it was cut short")

    def _is_sent(self, seconds: float) -> None:
        """It was sent, and lasts so long."""
        self.seconds = seconds
        self._late = time.monotonic() + seconds + _LATE_SECONDS

    def _end(self, why: Optional[Exception] = None) -> None:
        """It was played to its end, or will not be. Called by the session; the first call counts."""
        if not self._over.is_set():
            self._played, self._why = why is None, why
            self._over.set()

    def _settle(self, update: Optional[ConversationUpdate], error: Optional[Exception] = None) -> None:
        super()._settle(update, error)
        if self.error is not None:
            self._end(self.error)
