"""Calls of functions in responses for which nobody waits: answers to speech, and responses that were begun by hand.

``run_tools`` serves them on the caller's thread; the functions among the tools of a session's settings are served on a
thread of the session, from the first such settings on until the session ends. Both do the same for each response: they
run what it calls, add the results, and ask the model to go on; the response that follows may call functions again.

Not served: the calls of an answer that an ``ask`` waits for, which makes them itself; those of a response whose caller
named its own tools, and makes their calls; and those of a response out of band, to which no result can be added.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Callable, Literal, Optional, Union, get_args

import attrs

import realtime_sync.errors as errors
from realtime_sync.core.ask import say_results
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.response_router import Owner
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Change
from realtime_sync.protocol import tool_options
from realtime_sync.protocol.commands import ConversationItemCreateCommand, SessionUpdateCommand
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import (
    ConversationFunctionTool,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
)
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import InputAudioBufferSpeechStartedUpdate, ResponseDoneUpdate
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.tools.rounds import UnattendedRounds, calls_to_make, cancel_elsewhere, is_cut_short, result_items
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.tools.runner import Tool, ToolRunner

logger = logging.getLogger(__name__)

OnInterruption = Literal["keep", "drop"]


def with_tools(options: Optional[ConversationResponseOptions], runner: ToolRunner) -> ConversationResponseOptions:
    """The options of a response that may call these tools, unless they name others."""
    options = options or ConversationResponseOptions()
    return options if isinstance(options.tools, list) else attrs.evolve(options, tools=runner.definitions)


def owner_of_calls(options: Optional[ConversationResponseOptions], runner: Optional[ToolRunner] = None) -> Owner:
    """Whose the calls of a response are: the asker's, if it runs them (``runner``) or has named its own tools."""
    named = options is not None and isinstance(options.tools, list)
    return Owner.TOOLS if named or runner is not None else Owner.SESSION


class SessionTools:
    """The functions of one session's settings, which may change while it lives, and the serving of calls."""

    def __init__(self, engine: RealtimeEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()  # guards the writing of all below
        self.runner: Optional[ToolRunner] = None
        """What runs the session's functions; None if it has none."""
        self._served = False

    def runner_for(
        self, tools: Union[ToolRunner, Iterable[Tool], None], options: Optional[ConversationResponseOptions]
    ) -> Optional[ToolRunner]:
        """What runs the tools of an ``ask``: those given, else those of its options, else the session's."""
        if tools is not None:
            return as_runner(tools)
        return self.runner if options is None or options.tools is UNSET else runner_of(options.tools)

    def change(self, tools: Setting[list[ConversationTool]]) -> None:
        """The service is about to get these tools instead of those that it had; UNSET changes nothing."""
        if tools is UNSET:
            return
        runner, calls, begin = runner_of(tools), ServedCalls(self._engine, drop=False), False
        try:
            with self._lock:
                self.runner = runner
                begin = runner is not None and not self._served
                self._served = self._served or begin
            if begin:
                self._engine.listen(calls)  # from now on: the service may call one as soon as it knows of them
                self._engine.start_thread(lambda: self._serve(calls), "tools")
        except BaseException:
            if begin:  # the next change begins anew
                self._served = False
                self._engine.stop_listening(calls)
                calls.end(End(errors.ConnectionClosedError("the tools are not served after all"), clean=True))
            raise

    def run(self, runner: ToolRunner, on_interruption: OnInterruption) -> None:
        """Serve calls on this thread until the session ends; see ``RealtimeConversationSession.run_tools``."""
        if on_interruption not in get_args(OnInterruption):
            raise errors.InvalidInputError(f'on_interruption is "keep" or "drop", not {on_interruption!r}')
        calls = ServedCalls(self._engine, drop=on_interruption == "drop")
        with self._engine.listening(calls):
            self._announce(runner.definitions)
            while not isinstance(response := calls.next(), End):
                calls.serve(response, runner)
        if not response.clean:
            raise errors.told_again(response.reason)

    def _announce(self, tools: list[ConversationTool]) -> None:
        command = SessionUpdateCommand(session=ConversationSessionOptions(tools=tools))
        try:
            self._engine.send(command, before=lambda: self.change(tools)).wait()
        except errors.ConnectionReplacedError:
            pass  # the next connection gets them
        except errors.WaitTimeoutError as error:  # some servers acknowledge no settings, and keep them (Hugging Face's)
            logger.warning("the service may not know of the tools; calls that come are served: %s", error)

    def _serve(self, calls: ServedCalls) -> None:
        while not isinstance(response := calls.next(), End):
            runner = self.runner
            if runner is None:
                continue  # the calls are of tools that are run elsewhere
            try:
                calls.serve(response, runner)
            except errors.RealtimeSyncError as error:  # nobody waits here to whom it could be raised
                logger.error("the model was not asked to go on after its tools: %s: %s", type(error).__name__, error)


def as_runner(tools: Union[ToolRunner, Iterable[Tool]]) -> ToolRunner:
    """A runner for ``tools``. It need not be closed: waits that end early cancel its calls, and no thread idles."""
    from realtime_sync.tools.runner import ToolRunner

    return tools if isinstance(tools, ToolRunner) else ToolRunner(tools)


def runner_of(tools: Setting[list[ConversationTool]]) -> Optional[ToolRunner]:
    """What runs the functions among the tools of some options; None if there are none."""
    if not tools:
        return None
    runner = as_runner(tools)
    return runner if runner.tools else None


def _definition_of(function: Callable[..., object]) -> ConversationFunctionTool:
    from realtime_sync.tools.tool import function_tool

    return function_tool(function).definition


tool_options.describe = _definition_of


@attrs.frozen(repr=False, eq=False)
class _CallingResponse(Value):
    """A response that has called functions, and how often the user had begun to speak when it was done."""

    id: Optional[str]
    calls: list[FunctionCallItem]
    turn: int


class ServedCalls:
    """The calls that wait to be made, and whether the user has spoken since. A listener.

    It keeps calls only, so it does not fill up while a function runs.

    Args:
        engine: the session's.
        drop: whether calls are cancelled when the user begins to speak.
    """

    def __init__(self, engine: RealtimeEngine, drop: bool) -> None:
        self._engine = engine
        self._drop = drop
        self._lock = threading.Lock()  # guards those marked with *
        self._changed = Change()  # told when there is something to take
        self._waiting: deque[_CallingResponse] = deque()  # *
        self._turn = 0  # * how often the user has begun to speak
        self._end: Optional[End] = None  # *
        self._running: Optional[ToolCancellation] = None  # * of the calls that were made last
        self._rounds = UnattendedRounds(engine)  # the serving thread's alone

    # On the reader thread -----------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        cancelled = None
        with self._lock:
            if isinstance(update, InputAudioBufferSpeechStartedUpdate):
                self._turn += 1
                cancelled = self._running if self._drop else None
            elif isinstance(update, ResponseDoneUpdate) and self._is_served(update):
                calls = calls_to_make(update.response.output)
                if calls:
                    self._waiting.append(_CallingResponse(update.response_id, calls, self._turn))
                    self._changed.tell()
        if cancelled is not None:
            cancel_elsewhere(self._engine, cancelled)

    def end(self, end: End) -> None:
        """The session has ended; nobody waits for results."""
        with self._lock:
            self._end = end
            cancelled = self._running
        self._changed.tell()
        if cancelled is not None:
            cancel_elsewhere(self._engine, cancelled)

    def _is_served(self, update: ResponseDoneUpdate) -> bool:
        """See the head of this module. A response that was cut short has its calls half written."""
        theirs = Owner.TOOLS in self._engine.responses.owner_of(update.response_id)
        return not (theirs or update.out_of_band or is_cut_short(update.response.status))

    # On the serving thread ----------------------------------------------------------------------------------------

    def next(self) -> Union[_CallingResponse, End]:
        """The next response with calls; the end once it has come."""
        while True:
            self._changed.wait_for(lambda: self._end or self._waiting, Deadline(None))
            with self._lock:
                if self._end or self._waiting:
                    return self._end or self._waiting.popleft()

    def serve(self, response: _CallingResponse, runner: ToolRunner) -> None:
        """Make the calls of a response, and have the model go on with their results."""
        if not all(map(runner.runs, response.calls)):
            return  # some are made elsewhere, and the results of one response are given together
        calls = [call for call in response.calls if self._engine.responses.claim_call(call.call_id)]
        if not calls:
            return
        cancellation = self._cancellation(response.turn)
        batch = runner.batch(calls, self._engine.observation)
        try:
            results = result_items(batch.run(cancellation))
        except BaseException:  # Ctrl-C, or the runner is closed
            say_results(self._engine, result_items(batch.given_up()))
            raise
        # If the session has ended, next() gives the end. If it goes on over another connection, the calls are lost.
        with suppress(errors.ConnectionClosedError, errors.SessionNotOpenError):
            if not cancellation.cancelled:
                self._rounds.ask_again(response.id, results)
                return
            # The user has spoken, and is answered for that: the results are added, and no answer is asked for.
            for handle in [self._engine.send(ConversationItemCreateCommand(item=item)) for item in results]:
                with suppress(errors.WaitTimeoutError):  # some servers acknowledge no items
                    handle.wait()

    def _cancellation(self, turn: int) -> ToolCancellation:
        """Make what cancels the calls of this turn; it is cancelled already if the user has spoken since."""
        cancellation = ToolCancellation()
        with self._lock:
            self._running = cancellation
            late = self._end is not None or (self._drop and self._turn != turn)
        if late:
            cancellation.cancel()
        return cancellation
