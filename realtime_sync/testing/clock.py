"""A clock for ``RealtimeServer(clock=...)`` with which an hour passes at once."""

from __future__ import annotations

import threading
from typing import Callable

from realtime_sync.errors import InvalidInputError
from realtime_sync.secret import reportable
from realtime_sync.server.clock import Timers


@reportable
class ManualClock:
    """Time that moves by ``advance()`` alone. May be used by several servers and threads at once.

    The service's time goes by it: session expiry, when pings are sent, pacing and delays of replies. The network's
    does not: how long a peer has to answer a ping stays real time.
    """

    def __init__(self, start: float = 1000.0) -> None:
        self._lock = threading.Lock()  # guards _now
        self._changed = threading.Condition(self._lock)
        self._now = start
        self._timers = Timers()

    def __repr__(self) -> str:
        with self._lock:
            return f"<ManualClock at {self._now:g} s, {self._timers.pending()} timers pending>"

    def monotonic(self) -> float:
        """Seconds, by this clock."""
        with self._lock:
            return self._now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back within the ``advance()`` that reaches that time, on its thread. Returns what cancels it."""
        with self._lock:
            cancel = self._timers.add(self._now + seconds, callback)
            self._changed.notify_all()
        return cancel

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
            raise InvalidInputError(f"seconds is {seconds!r}, but a clock does not run backwards.")
        with self._lock:
            end = self._now + seconds
        while True:
            with self._lock:
                due, callback = self._timers.take_due(end) or (end, None)
                self._now = max(self._now, due)
            if callback is None:
                return
            callback()

    def wait_for_timers(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Wait, in real time, until at least so many timers are pending; False if they are not in time.

        For a test that must not advance before the server has begun to wait. Each session has one timer for its end
        and, unless ``ping_interval`` is None, one for its pings; each delay, pace or call that goes on has one more.
        """
        with self._lock:
            return self._changed.wait_for(lambda: self._timers.pending() >= count, timeout)
