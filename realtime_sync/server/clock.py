"""Time as the service knows it: session expiry, pacing and delays go by a clock that a test may replace.

``SystemClock`` has one daemon thread, started by the first timer and ended by ``close()``. No lock is held while a
callback runs: the heap's guards the heap alone.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import Callable, Optional, Protocol

from realtime_sync.threads import start_thread

Cancel = Callable[[], None]


class Clock(Protocol):
    """What the server asks of a clock. ``realtime_sync.testing.ManualClock`` is one that moves when it is told to."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancel:
        """Call back once after so many seconds, on a thread of the clock's. Returns what cancels it."""

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Return once the event is set or so many seconds have passed; the event may be set by the clock to wake."""


def pause(clock: Clock, seconds: float, wake: threading.Event, is_over: Callable[[], bool]) -> None:
    """Wait so many seconds by the clock, at most until ``is_over()``; set ``wake`` to have that asked."""
    until = clock.monotonic() + seconds
    while seconds > 0 and not is_over():
        clock.wait(wake, seconds)
        wake.clear()  # the clock may have set it, too
        seconds = until - clock.monotonic()


class Timers:
    """A heap of callbacks by due time, shared by the real clock and the manual one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the heap
        self._heap: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._order = itertools.count()

    def add(self, due: float, callback: Callable[[], None]) -> Cancel:
        """Register a callback; the result unregisters it."""
        cell = [callback]
        with self._lock:
            heapq.heappush(self._heap, (due, next(self._order), cell))
        return cell.clear

    def pending(self) -> int:
        """How many callbacks are still to be called."""
        with self._lock:
            return sum(bool(cell) for _, _, cell in self._heap)

    def next_due(self) -> Optional[float]:
        """When the earliest callback is due; None if there is none."""
        with self._lock:
            while self._heap and not self._heap[0][2]:
                heapq.heappop(self._heap)
            return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Optional[tuple[float, Callable[[], None]]]:
        """Take the earliest callback that is due at ``now``, with its due time; None if there is none."""
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                due, _, cell = heapq.heappop(self._heap)
                callbacks = tuple(cell)  # at once: another thread may empty it between a test and a look
                if callbacks:
                    return due, callbacks[0]
            return None


class SystemClock:
    """The real time, with one daemon thread that runs what is due. ``close()`` ends the thread."""

    def __init__(self) -> None:
        self._timers = Timers()
        self._changed = threading.Event()
        self._stopped = False
        self._start_lock = threading.Lock()  # guards the starting of the one thread
        self._thread: Optional[threading.Thread] = None

    def monotonic(self) -> float:
        """Seconds of ``time.monotonic``."""
        return time.monotonic()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Cancel:
        """See ``Clock.call_later``."""
        with self._start_lock:
            if self._thread is None and not self._stopped:
                self._thread = start_thread(self._run, "realtime-server-clock")
        cancel = self._timers.add(time.monotonic() + seconds, callback)
        self._changed.set()
        return cancel

    def wait(self, event: threading.Event, seconds: float) -> None:
        """See ``Clock.wait``; here the event's own time-out does it."""
        event.wait(seconds)

    def close(self, timeout: float = 1.0) -> None:
        """Run nothing more and end the thread, waiting at most ``timeout`` seconds for it."""
        with self._start_lock:
            self._stopped, thread = True, self._thread
        self._changed.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped:
            due = self._timers.next_due()
            # At most a minute: every wait has a deadline, and a spurious look at the heap costs nothing.
            self._changed.wait(60.0 if due is None else min(60.0, max(0.0, due - time.monotonic())))
            self._changed.clear()
            while not self._stopped:
                entry = self._timers.take_due(time.monotonic())
                if entry is None:
                    break
                entry[1]()
