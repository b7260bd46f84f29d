"""Running the functions that the model calls: several at once, each with its time-out."""

from __future__ import annotations

import functools
import os
import threading
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from realtime_sync.checks import check_whole
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConfigurationError
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import ConversationFunctionTool, ConversationTool
from realtime_sync.protocol.tool_options import as_tool
from realtime_sync.secret import reportable
from realtime_sync.tools.calls import CallThreads, RunningCall, ToolOutcome, Work
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.tools.tool import FunctionTool, checked_timeout, function_tool

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation

Tool = Union[FunctionTool[..., object], Callable[..., object], ConversationTool, Mapping[str, Any]]
"""What ``tools=`` takes: tools, plain functions (made tools), and definitions, also JSON, of what is run elsewhere."""


def _made(tool: Tool) -> Union[FunctionTool[..., object], ConversationTool]:
    known: Any = as_tool(tool) if isinstance(tool, Mapping) else tool
    if not isinstance(known, FunctionTool) and hasattr(known, "definition"):
        known = known.definition
    return known if isinstance(known, (FunctionTool, ConversationTool)) else function_tool(known)


class CallBatch:
    """The calls of one response."""

    def __init__(self, calls: Sequence[RunningCall], begin: Callable[[RunningCall], None]) -> None:
        self._calls = calls
        self._begin = begin

    def run(self, cancellation: ToolCancellation, timeout: Optional[float] = None) -> list[ToolOutcome]:
        """As ``ToolRunner.run``."""
        deadline = Deadline(timeout)
        forget = cancellation.on_cancel(self._cancel)
        try:
            for running in self._calls:
                self._begin(running)
            return [running.outcome(deadline.left) for running in self._calls]
        except BaseException:
            self._cancel()
            raise
        finally:
            forget()

    def given_up(self) -> list[ToolOutcome]:
        """Cancel those that have not ended; the outcomes of all."""
        self._cancel()
        return [running.outcome() for running in self._calls]

    def _cancel(self) -> None:
        for running in self._calls:
            running.cancel()


@reportable
class ToolRunner:
    """Runs the calls of tools, several at once, each on a daemon thread. ``with`` closes it; any thread may use it.

    A function that outlasts its time is left behind, and its call is answered as timed out; another call takes its
    place. If ``2 * max_workers`` functions have been left behind and none has returned, further calls fail at once.

    Args:
        tools: tools, plain functions, and definitions of tools that are run elsewhere.
        max_workers: how many calls may run at once; the others wait for one of these to end.
        timeout: seconds that a call may take from the start of its function, unless its tool has a time-out of its
            own; None means no time-out.

    Raises:
        ConfigurationError: two tools have one name, or a function cannot be described to the model.
    """

    def __init__(self, tools: Iterable[Tool], *, max_workers: int = 8, timeout: Optional[float] = 30.0) -> None:
        check_whole("max_workers", max_workers, at_least=1, error=ConfigurationError)
        given: object = tools
        if isinstance(given, (str, bytes)):  # which are iterable, too
            raise ConfigurationError(f"tools are functions, given as a list: [lookup], not {tools!r:.60}")
        if not isinstance(tools, Iterable):
            raise ConfigurationError(f"tools are given as a list, a single one too: [{tools!r:.60}]")
        made = [_made(tool) for tool in tools]
        self._definitions = [tool.definition if isinstance(tool, FunctionTool) else tool for tool in made]
        self._names = [tool.name for tool in self._definitions if isinstance(tool, ConversationFunctionTool)]
        for name in self._names:
            if self._names.count(name) > 1:
                raise ConfigurationError(f"two tools have the name {name!r}; give one of them another name by name=...")
        self._tools = {tool.name: tool for tool in made if isinstance(tool, FunctionTool)}
        self._timeout = checked_timeout(timeout, "a ToolRunner")
        self._max_workers = max_workers
        self._threads = CallThreads(max_workers)
        self._pid = os.getpid()

    def __enter__(self) -> ToolRunner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ToolRunner {', '.join(self._tools) or 'without tools'}>"

    @property
    def definitions(self) -> list[ConversationTool]:
        """The tools as the service gets them, in their order: for ``ConversationSessionOptions.tools``."""
        return list(self._definitions)

    @property
    def tools(self) -> Mapping[str, FunctionTool[..., object]]:
        """The tools that are run here, by name."""
        return types.MappingProxyType(self._tools)

    def runs(self, call: FunctionCallItem) -> bool:
        """False if the call is of a tool that is only defined here, and run elsewhere."""
        return call.name in self._tools or call.name not in self._names

    def start(self, call: FunctionCallItem) -> RunningCall:
        """Begin a call, and return at once. Its time-out counts while somebody waits for its outcome, or looks.

        Args:
            call: what the model called; an unknown name has an outcome, too.

        Returns:
            The call, whose ``outcome()`` is to be waited for.

        Raises:
            UsageError: the runner is closed.
        """
        running = self._made_call(call)
        try:
            self._begin(running)
        except BaseException:
            running.cancel()  # it may be in the queue already
            raise
        return running

    def run(
        self,
        calls: Sequence[FunctionCallItem],
        cancellation: Optional[ToolCancellation] = None,
        timeout: Optional[float] = None,
    ) -> list[ToolOutcome]:
        """Run calls side by side, and wait for all of them. An exception in this thread (Ctrl-C) cancels them.

        Args:
            calls: what the model called.
            cancellation: cancels all of the calls when it is cancelled; None if nobody is to cancel them.
            timeout: seconds for all of the calls together; None if each is to have its own time-out only.

        Returns:
            The outcomes in the order of ``calls``; what the functions raised is in them.

        Raises:
            WaitTimeoutError: the calls have not ended within ``timeout``; they are cancelled.
            UsageError: the runner is closed.
        """
        return self.batch(calls).run(cancellation or ToolCancellation(), timeout)

    def batch(self, calls: Sequence[FunctionCallItem], observation: Optional[Observation] = None) -> CallBatch:
        """Calls that are to run side by side, not yet begun. For this library. ``observation``: of their session."""
        return CallBatch([self._made_call(call, observation) for call in calls], self._begin)

    def close(self, timeout: float = 2.0) -> None:
        """Cancel what runs, and wait for the threads to end; from any thread, and as often as you like.

        Threads of functions that do not stop are left behind; being daemons, they do not keep the interpreter alive.

        Args:
            timeout: seconds to wait for the threads at most.
        """
        if os.getpid() == self._pid:
            self._threads.close(timeout, threading.current_thread())

    def _made_call(self, call: FunctionCallItem, observation: Optional[Observation] = None) -> RunningCall:
        if os.getpid() != self._pid:  # after a fork: the threads are the parent's, and the lock may be held for ever
            self._threads, self._pid = CallThreads(self._max_workers), os.getpid()
        tool = self._tools.get(call.name or "")
        timeout = self._timeout if tool is None or tool.timeout is None else tool.timeout
        work = (
            None
            if tool is None
            else Work(
                "tool", tool.name, functools.partial(tool.call, call.arguments or ""), tool.function, call.arguments
            )
        )
        return RunningCall(call.call_id or "", call.name or "", work, self._threads, timeout, observation)

    def _begin(self, running: RunningCall) -> None:
        if running.name in self._tools:
            self._threads.submit(running)
        else:
            running.fail(f"there is no tool {running.name!r}; the tools are: {', '.join(self._tools) or 'none'}")
