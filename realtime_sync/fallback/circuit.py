"""The circuit breaker of one service.

States: *closed*, the service is used; *open*, it is down and left alone for a grace; *half-open*, the grace is over,
and one attempt at a time is let through. If that succeeds, the circuit is closed; if it fails, it is open for twice as
long. Who was let through and never says how it went (Ctrl-C, say) holds the others up for a grace at most.

What is known counts, whoever tells it: an attempt that was made while the circuit was open (because all others had
failed, too) and succeeded closes it; if it failed, nothing changes.

Lock: ``_lock`` guards all fields; nothing is taken under it, and it is held for no call but the clock's. ``state`` is
read without it.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Literal, Optional

from realtime_sync.fallback.detector import FailureDetector
from realtime_sync.fallback.settings import FallbackSettings
from realtime_sync.secret import reportable

CircuitState = Literal["closed", "open", "half-open"]


@reportable
class Circuit:
    """See the module. Any thread may call any method."""

    def __init__(self, settings: FallbackSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._detector = FailureDetector(settings.failures, settings.within)
        self._until: Optional[float] = None  # when the grace ends; None: closed
        self._grace = settings.grace  # of the next time
        self._tried_until = 0.0  # half-open: somebody tries; from then on the next one may

    @property
    def state(self) -> CircuitState:
        """As it is now."""
        until = self._until
        if until is None:
            return "closed"
        return "open" if self._clock() < until else "half-open"

    def admits(self) -> bool:
        """Whether the service may be tried now. Who is let through says how it went: ``succeeded`` or ``failed``."""
        with self._lock:
            now = self._clock()
            if self._until is None:
                return True
            if now < self._until or now < self._tried_until:
                return False
            self._tried_until = now + self._settings.grace
            return True

    def succeeded(self) -> None:
        """The service works."""
        with self._lock:
            self._detector.clear()
            self._until, self._grace, self._tried_until = None, self._settings.grace, 0.0

    def failed(self, *, down: bool = False, wait: Optional[float] = None) -> None:
        """The service does not work.

        ``down``: it needs no more failures to know that it is down. ``wait``: seconds for which it asked to be left
        alone; None: it did not.
        """
        with self._lock:
            now = self._clock()
            if self._until is not None and now < self._until:
                return
            half_open = self._until is not None
            if half_open or self._detector.failed(now) or down or wait is not None:
                grace = self._grace if wait is None else min(wait, self._settings.max_grace)
                self._until, self._tried_until = now + grace, 0.0
                if wait is None:
                    self._grace = min(2 * self._grace, self._settings.max_grace)
                self._detector.clear()

    def __repr__(self) -> str:
        return f"<Circuit {self.state}>"
