"""A server's clock that runs faster than the real one: a conversation at the speed of speech need not be waited for."""

from __future__ import annotations

import threading
import time
from typing import Callable

from realtime_sync.server import SystemClock

TIMES = 8.0
"""How many of the server's seconds pass in a real one."""


class QuickClock(SystemClock):
    """``SystemClock``, ``TIMES`` as fast."""

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return time.monotonic() * TIMES

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        """See ``Clock.call_later``."""
        return super().call_later(seconds / TIMES, callback)

    def wait(self, event: threading.Event, seconds: float) -> None:
        """See ``Clock.wait``."""
        super().wait(event, seconds / TIMES)
