"""For the tests of projects that use this library: a pytest plugin, a clock that moves when told to, replay.

The plugin (``realtime_sync.testing.plugin``) is found by pytest itself; all of this needs the extra ``server``.
Responders, scripts and faults are the server's: ``realtime_sync.server``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_sync.testing.clock import ManualClock
    from realtime_sync.testing.replay import ReplayScript, replay_server

__all__ = ["ManualClock", "ReplayScript", "replay_server"]


def __getattr__(name: str) -> object:
    """Load what needs the server when it is asked for: pytest loads the plugin, and with it this, in every run."""
    if name in __all__:
        module = "clock" if name == "ManualClock" else "replay"
        return getattr(importlib.import_module(f"realtime_sync.testing.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
