"""Calls for the tests, a tool that hangs for as long as it is told to, and waiting with an end."""

from __future__ import annotations

import json
import threading
from typing import Any, Callable

from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.tools import ToolContext
from tests.harness import until

LONG = 20.0
"""Seconds that nothing here takes, unless it hangs."""


def call(name: str, call_id: str = "call_1", **arguments: Any) -> FunctionCallItem:
    return FunctionCallItem(call_id=call_id, name=name, arguments=json.dumps(arguments))


def tool_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("realtime-sync-tool")]


def wait_until(condition: Callable[[], Any]) -> None:
    until(condition, LONG)


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
