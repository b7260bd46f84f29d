"""Running the functions that the model calls: several at once, each with its time-out."""

from __future__ import annotations

import collections
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Callable, Optional, Union

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConfigurationError
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import ConversationFunctionTool, ConversationTool
from realtime_sync.tools.calls import RunningCall, ToolOutcome
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.tools.pool import CallPool
from realtime_sync.tools.tool import FunctionTool, checked_timeout, function_tool

Tool = Union[FunctionTool[..., object], Callable[..., object], ConversationTool]
"""What ``tools=`` takes: tools, plain functions (made tools), and definitions of what is run elsewhere."""


class ToolRunner:
    """Runs calls on at most ``max_workers`` daemon threads, which are started when needed and end when idle.

    ``timeout``: seconds that a call may take from when its function starts, where its tool says nothing else; None
    is for ever. Functions that outlast it are left behind; once ``max_workers`` of them hang, the threads are not
    replaced any more, and where none is left, calls fail at once. Any thread may use it. ``with`` closes it.

    Raises ``ConfigurationError`` for two tools of one name, and for functions that cannot be described.
    """

    def __init__(self, tools: Iterable[Tool], *, max_workers: int = 8, timeout: Optional[float] = 30.0) -> None:
        if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
            raise ConfigurationError(f"max_workers must be a whole number of at least 1, not {max_workers!r}")
        if not isinstance(tools, Iterable):
            raise ConfigurationError(f"tools are given as a list, a single one too: [{tools!r:.60}]")
        made = [tool if isinstance(tool, (FunctionTool, ConversationTool)) else function_tool(tool) for tool in tools]
        self._definitions = [tool.definition if isinstance(tool, FunctionTool) else tool for tool in made]
        _refuse_duplicates(self._definitions)
        self._tools = {tool.name: tool for tool in made if isinstance(tool, FunctionTool)}
        self._timeout = checked_timeout(timeout, "a ToolRunner")
        self._max_workers = max_workers
        self._pool = CallPool(max_workers)
        self._pid = os.getpid()

    def __enter__(self) -> ToolRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ToolRunner {', '.join(self._tools) or 'without tools'}>"

    @property
    def definitions(self) -> list[ConversationTool]:
        """What the service is told of the tools, in their order: for ``ConversationSessionOptions.tools``."""
        return list(self._definitions)

    @property
    def tools(self) -> Mapping[str, FunctionTool[..., object]]:
        """The tools that are run here, by name."""
        return types.MappingProxyType(self._tools)

    def runs(self, call: FunctionCallItem) -> bool:
        """False where the call is of a tool that is only defined here, and run elsewhere."""
        defined = [tool.name for tool in self._definitions if isinstance(tool, ConversationFunctionTool)]
        return call.name in self._tools or call.name not in defined

    def start(self, call: FunctionCallItem) -> RunningCall:
        """Begin a call and return at once. An unknown name is an outcome, too. Raises ``UsageError`` once closed."""
        if os.getpid() != self._pid:  # after a fork: the threads are the parent's, and the lock may be held for ever
            self._pool, self._pid = CallPool(self._max_workers), os.getpid()
        tool = self._tools.get(call.name or "")
        timeout = self._timeout if tool is None or tool.timeout is None else tool.timeout
        running = RunningCall(call, tool, self._pool, timeout)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            running.fail(f"there is no tool {running.name!r}; the tools are: {known}")
        else:
            self._pool.submit(running)
        return running

    def run(
        self,
        calls: Sequence[FunctionCallItem],
        cancellation: Optional[ToolCancellation] = None,
        timeout: Optional[float] = None,
    ) -> list[ToolOutcome]:
        """Run the calls side by side and return their outcomes in the order of ``calls``.

        ``timeout``: seconds for all together, then they are cancelled and ``WaitTimeoutError`` is raised; None: each
        has its own time-out only. ``cancellation`` cancels them all. An exception in the waiting thread (Ctrl-C) does
        so too, and goes on.
        Raises ``UsageError`` once closed; what the functions raise is in the outcomes.
        """
        deadline = Deadline(timeout)
        started: list[RunningCall] = []
        forget: list[Callable[[], None]] = []
        try:
            for call in calls:
                started.append(self.start(call))
                if cancellation is not None:
                    forget.append(cancellation.on_cancel(started[-1].cancel))
            return [running.outcome(deadline.left) for running in started]
        except BaseException:
            for running in started:
                running.cancel()
            raise
        finally:
            for undo in forget:
                undo()

    def close(self, timeout: float = 2.0) -> None:
        """Cancel what runs, and wait up to ``timeout`` seconds for the threads to end; from any thread, repeatedly.

        Threads of functions that do not stop are left behind; being daemons, they do not keep the interpreter alive.
        """
        if os.getpid() == self._pid:
            self._pool.close(timeout)


def _refuse_duplicates(definitions: Iterable[ConversationTool]) -> None:
    names = [tool.name for tool in definitions if isinstance(tool, ConversationFunctionTool)]
    twice = sorted(name for name, times in collections.Counter(names).items() if times > 1)
    if twice:
        raise ConfigurationError(f"two tools have the name {twice[0]!r}; give one of them another by name=...")
