"""For the tests of projects that use this library: a pytest plugin, a simulated caller, a clock that moves when told
to, replay.

The plugin (``realtime_sync.testing.plugin``) is found by pytest itself; all of this needs the extra ``server``.
Responders, scripts and faults are the server's: ``realtime_sync.server``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.testing.calls.call import CallAction, CallScript
    from realtime_sync.testing.calls.caller import CallLine, SimulatedCaller
    from realtime_sync.testing.calls.clips import Speakable
    from realtime_sync.testing.calls.ear import CallUtterance
    from realtime_sync.testing.calls.lines import BrowserLine, TelephoneLine
    from realtime_sync.testing.calls.record import ToolRun
    from realtime_sync.testing.calls.report import CallFailed, CallReport
    from realtime_sync.testing.calls.steps import (
        AwaitAnswer,
        AwaitHangUp,
        CallStep,
        FallSilent,
        HangUp,
        Interrupt,
        Press,
        Say,
    )
    from realtime_sync.testing.clock import ManualClock
    from realtime_sync.testing.replay import ReplayScript, replay_server
else:  # pytest loads the plugin, and with it this, in every run
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "calls.call": "CallAction CallScript",
            "calls.caller": "CallLine SimulatedCaller",
            "calls.clips": "Speakable",
            "calls.ear": "CallUtterance",
            "calls.lines": "BrowserLine TelephoneLine",
            "calls.record": "ToolRun",
            "calls.report": "CallFailed CallReport",
            "calls.steps": "AwaitAnswer AwaitHangUp CallStep FallSilent HangUp Interrupt Press Say",
            "clock": "ManualClock",
            "replay": "ReplayScript replay_server",
        },
    )

__all__ = [
    # somebody who calls
    "SimulatedCaller",
    "Say",
    "AwaitAnswer",
    "Interrupt",
    "FallSilent",
    "Press",
    "HangUp",
    "AwaitHangUp",
    "Speakable",
    "CallStep",
    "CallAction",
    "CallScript",
    "CallLine",
    "BrowserLine",
    "TelephoneLine",
    "CallReport",
    "CallUtterance",
    "ToolRun",
    "CallFailed",
    # time, and what was recorded
    "ManualClock",
    "ReplayScript",
    "replay_server",
]
