"""A clock for ``RealtimeServer(clock=...)`` with which an hour passes at once."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import Callable

from realtime_sync.errors import InvalidInputError


class ManualClock:
    """Time that moves by ``advance()`` alone. May be used by several servers and threads at once.

    The service's time goes by it: session expiry, when pings are sent, pacing and delays of replies. The network's
    does not: how long a peer has to answer a ping stays real time.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._changed = threading.Condition()  # guards _now and _timers
        self._now = start
        self._timers: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._numbers = itertools.count()

    def __repr__(self) -> str:
        with self._changed:
            return f"<ManualClock at {self._now:g} s, {self._pending()} timers pending>"

    def monotonic(self) -> float:
        """Seconds, by this clock."""
        with self._changed:
            return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back within the ``advance()`` that reaches that time, on its thread. Returns what cancels it."""
        cell = [callback]
        with self._changed:
            heapq.heappush(self._timers, (self._now + seconds, next(self._numbers), cell))
            self._changed.notify_all()
        return cell.clear

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Return once the event is set; it is set by the clock after so many seconds. At most a real minute."""
        cancel = self.call_later(seconds, event.set)
        event.wait(60.0)
        cancel()

    def advance(self, seconds: float) -> None:
        """Let time pass: whatever falls due is done in its order, each at its own time, before this returns.

        Raises ``InvalidInputError`` for less than 0 seconds: no clock of the server's runs backwards.
        """
        if seconds < 0:
            raise InvalidInputError(f"a clock does not run backwards: {seconds!r} s")
        with self._changed:
            end = self._now + seconds
        while True:
            with self._changed:
                while self._timers and not self._timers[0][2]:
                    heapq.heappop(self._timers)
                if not self._timers or self._timers[0][0] > end:
                    self._now = max(self._now, end)
                    return
                due, _, cell = heapq.heappop(self._timers)
                self._now = max(self._now, due)
                calls = list(cell)
            for call in calls:
                call()

    def wait_for_timers(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Wait, in real time, until at least so many timers are pending; False where they are not in time.

        For a test that must not advance before the server has begun to wait. Each session has one timer for its end
        and, unless ``ping_interval`` is None, one for its pings; each delay, pace or call that goes on has one more.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._pending() >= count, timeout)

    def _pending(self) -> int:
        return sum(bool(entry[2]) for entry in self._timers)  # a cancelled one is empty
