"""For the tests of projects that use this library: a pytest plugin, a clock that moves when it is told to.

The plugin (``realtime_sync.testing.plugin``) is found by pytest itself; its fixtures need the extra ``server``.
"""

from __future__ import annotations

from realtime_sync.testing.clock import ManualClock

__all__ = ["ManualClock"]
