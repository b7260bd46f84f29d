"""Calls for the tests, a tool that hangs for as long as it is told to, and waiting with an end."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.tools import ToolContext

LONG = 20.0
"""Seconds that nothing here takes, unless it hangs."""


def call(name: str, call_id: str = "call_1", **arguments: Any) -> FunctionCallItem:
    return FunctionCallItem(call_id=call_id, name=name, arguments=json.dumps(arguments))


def tool_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("realtime-sync-tool")]


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class Gate:
    """A tool that runs until it is let go, and does not listen to its cancellation."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.contexts: list[ToolContext] = []

    def hang(self, context: ToolContext) -> str:
        self.contexts.append(context)
        self.entered.release()
        self.open.wait(LONG)
        return "late"

    def await_entered(self, times: int = 1) -> None:
        for _ in range(times):
            assert self.entered.acquire(timeout=LONG)


def add(a: int, b: int) -> int:
    return a + b
