"""For the tests of projects that use this library: a pytest plugin, a clock that moves when told to, replay.

The plugin (``realtime_sync.testing.plugin``) is found by pytest itself; all of this needs the extra ``server``.
Responders, scripts and faults are the server's: ``realtime_sync.server``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.testing.clock import ManualClock
    from realtime_sync.testing.replay import ReplayScript, replay_server
else:  # pytest loads the plugin, and with it this, in every run
    __getattr__, __dir__ = lazily(__name__, {"clock": "ManualClock", "replay": "ReplayScript replay_server"})

__all__ = ["ManualClock", "ReplayScript", "replay_server"]
