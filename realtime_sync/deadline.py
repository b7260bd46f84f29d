"""Waiting for other threads with a deadline that Ctrl-C can end."""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import Callable, Optional

from realtime_sync.checks import check_number

# On Windows a lock cannot be interrupted by Ctrl-C before CPython 3.14 (cpython#125541), so waits there are sliced.
_SLICE = 0.1 if sys.platform == "win32" and sys.version_info < (3, 14) else None


class Deadline:
    """A time-out that covers several waits: ``timeout`` seconds from now; None is for ever, 0 is not at all.

    ``name`` is what messages call it. Raises ``InvalidInputError`` if ``timeout`` is no number of seconds.
    """

    def __init__(self, timeout: Optional[float], name: str = "timeout") -> None:
        check_number(name, timeout, "seconds", at_most=math.inf, optional=True)
        self.seconds, self.name = timeout, name
        # Locks refuse a longer wait than TIMEOUT_MAX (292 years here, 50 days on Windows), and so infinity, too.
        self._end = None if timeout is None else time.monotonic() + min(timeout, threading.TIMEOUT_MAX / 2)

    @property
    def left(self) -> Optional[float]:
        """Seconds left, at least 0; None where there is no end."""
        return None if self._end is None else self.remaining

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0; infinity if there is no end."""
        return math.inf if self._end is None else max(0.0, self._end - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """An earlier deadline for a part of the work: ``seconds`` from now, but never later than this one."""
        return Deadline(min(seconds, self.remaining))

    def acquire(self, lock: threading.Lock) -> bool:
        """Acquire a lock; False once time is up."""
        if self._end is None and _SLICE is None:
            return lock.acquire()
        return self.wait(lambda seconds: lock.acquire(timeout=-1 if seconds is None else seconds))

    def wait(self, wait: Callable[[Optional[float]], bool]) -> bool:
        """Call ``wait(seconds)`` (an event's or a condition's) until it returns True; False once time is up."""
        while True:
            left = self.left
            seconds = left if _SLICE is None or (left is not None and left < _SLICE) else _SLICE
            if wait(seconds):
                return True
            if left is not None and left <= (seconds or 0.0):
                return False
