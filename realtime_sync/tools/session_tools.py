"""The functions among the tools of a session's options: run for whoever asks, and for what was spoken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Optional, Union

from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.streams import End
from realtime_sync.errors import RealtimeSyncError
from realtime_sync.protocol.options import ConversationResponseOptions, ConversationTool
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.tools import FunctionTool, Tool, ToolRunner
from realtime_sync.tools.loop import Conversing, Inbox, as_runner, serve

logger = logging.getLogger(__name__)


def made_runner(tools: Setting[list[ConversationTool]]) -> Optional[ToolRunner]:
    """What runs the functions among ``options.tools``; None where there are none."""
    known = [tool for tool in tools or () if isinstance(tool, (FunctionTool, ConversationTool))]
    return ToolRunner(known) if any(isinstance(tool, FunctionTool) for tool in known) else None


class SessionTools:
    """Those of one session, which may change while it lives.

    What the model calls in an ``ask`` is run there; all else on a thread of its own, from the first functions on until
    the session ends.
    """

    def __init__(self, session: Conversing, engine: RealtimeEngine) -> None:
        self._session = session
        self._engine = engine
        self._lock = threading.Lock()  # guards all below
        self._runner: Optional[ToolRunner] = None
        self._earlier: list[ToolRunner] = []  # whose functions may still run
        self._served = False

    @property
    def runner(self) -> Optional[ToolRunner]:
        """What runs the session's functions; None where it has none."""
        with self._lock:
            return self._runner

    @contextmanager
    def runner_for(
        self, tools: Union[ToolRunner, Iterable[Tool], None], options: Optional[ConversationResponseOptions]
    ) -> Iterator[Optional[ToolRunner]]:
        """What runs the tools of an ``ask``: those given, else those of its options, else the session's."""
        if tools is not None:
            with as_runner(tools) as runner:
                yield runner
        elif options is not None and options.tools is not UNSET:
            own = made_runner(options.tools)
            with own or nullcontext():
                yield own
        else:
            yield self.runner

    def change(self, tools: Setting[list[ConversationTool]]) -> None:
        """The session is about to be told of these, instead of those that it had; UNSET changes nothing."""
        if tools is UNSET:
            return
        runner = made_runner(tools)
        with self._lock:
            if self._runner is not None:
                self._earlier.append(self._runner)
            self._runner = runner
            begin = runner is not None and not self._served
            self._served = self._served or begin
        if begin:
            inbox = Inbox(drop=False)
            self._engine.listen(inbox)  # from now on: the service may call one as soon as it knows of them
            self._engine.start_thread(lambda: self._serve(inbox), "tools")

    def _serve(self, inbox: Inbox) -> None:
        while not isinstance(item := inbox.next(), End):
            runner = self.runner
            if runner is None:
                continue  # the calls are of tools that are run elsewhere
            try:
                serve(self._session, runner, inbox, *item)
            except RealtimeSyncError as error:  # nobody waits here whom it could be told
                logger.error("the model could not go on after its tools: %s: %s", type(error).__name__, error)
        with self._lock:
            runners = [*self._earlier, *([self._runner] if self._runner else [])]
        for runner in runners:
            runner.close()
