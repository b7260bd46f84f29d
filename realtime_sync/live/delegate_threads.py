"""The threads on which a function of the caller's works for what was handed over.

A delegate is called on threads of its own, as tools are (``tools/calls.py``): it has a time-out, and one that hangs is
left behind, so that it holds neither the session's end nor the interpreter's. Its threads outlast a call; those here
take the requests in order, wait for the delegate, and have its result said. By default there is one, so that requests
are worked on one after the other: the model often hands over a mere continuation of the sentence before.

What the delegate raises is told to people (the log, and a warning once for each function); the model is only told that
the work could not be completed, for an error's text may hold a secret.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
from collections import deque
from typing import Callable, Final, Generic, Optional, TypeVar

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.engine import Engine
from realtime_sync.deadline import Deadline
from realtime_sync.errors import InvalidInputError, RealtimeSyncError
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.live.handover import Handover, HandoverQueue
from realtime_sync.tools.calls import CallThreads, RunningCall, ToolOutcome, Work
from realtime_sync.tools.results import result_text

H = TypeVar("H", bound=Handover)

logger = logging.getLogger(__name__)

Delegate = Callable[[DelegationRequest], object]
"""Works for a delegation. A text that it returns is said; None: nothing more is said; all else is said as JSON."""

FAILED = "The request could not be completed."
TIMED_OUT = "The request could not be completed in time."

TIMEOUT_SECONDS: Final = 120.0

# So many functions may hang before no other is called: twice as many threads, see tools/calls.py.
_LEAST_THREADS = 8
_MOST_SAID = 64


def check_callable(what: str, function: Callable[..., object]) -> None:
    """Raise ``InvalidInputError`` if a function cannot be called with one argument, on a thread."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidInputError(
            f"{what} is an async function, and runs on a thread here: make it a plain one that blocks"
        )
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise InvalidInputError(
            f"{what} must be a function of one argument, what was handed over: def {what}(request): ...; it is "
            f"{function!r:.60}"
        ) from None
    except ValueError:  # some builtins do not say what they take
        pass


def name_of(function: object) -> str:
    """A function's name, for messages."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


class DelegateThreads(Generic[H]):
    """Calls a function with each thing of a queue.

    ``kind``: what the function is, in messages. ``concurrency``: for how many at once. ``timeout``: seconds for each;
    None: no limit.
    """

    def __init__(
        self,
        engine: Engine,
        queue: HandoverQueue[H],
        function: Callable[[H], object],
        *,
        kind: str = "delegate",
        concurrency: int = 1,
        timeout: Optional[float] = TIMEOUT_SECONDS,
    ) -> None:
        self._engine = engine
        self._queue = queue
        self._function = function
        self._kind = kind
        self._concurrency = concurrency
        self._timeout = timeout
        self._said: deque[tuple[str, CommandHandle]] = deque(maxlen=_MOST_SAID)  # single operations, by any thread
        self._calls = CallThreads(max(concurrency, _LEAST_THREADS), "delegate")

    def begin(self) -> None:
        """Start to work. Raises ``NoMoreThreadsError``."""
        for _ in range(self._concurrency):
            context = contextvars.copy_context()  # so that traces and the like see the caller's
            self._engine.start_thread(functools.partial(context.run, self._serve), "delegate")

    def _serve(self) -> None:
        while isinstance(request := self._queue.take(Deadline(None)), Handover):
            try:
                self._work_for(request)
            except RealtimeSyncError as error:  # nobody waits here to whom it could be raised
                logger.error("nothing is said for %s: %s: %s", request._name, type(error).__name__, error)
            self._queue.finish(request)
            self._look_back()
        self._look_back()

    def _look_back(self) -> None:
        """Tell of results that the service has refused, or has not got: nobody waits for them."""
        for _ in range(len(self._said)):
            try:
                name, handle = self._said.popleft()
            except IndexError:  # another thread looks, too
                return
            if not handle.done:
                self._said.append((name, handle))
            elif handle.error is not None:
                logger.warning("the model may not have said the result for %s: %s", name, handle.error)

    def _work_for(self, request: H) -> None:
        work = Work(self._kind, name_of(self._function), lambda _: self._result(request), self._function)
        call = RunningCall("", work.name, work, self._calls, self._timeout, self._engine.observation)
        forget = request._cancellation.on_cancel(call.cancel)
        self._calls.submit(call)
        outcome = call.outcome()
        forget()
        text = _words_for(outcome, request)
        request._answered = True
        if text.strip():
            self._said.append((request._name, request._say("commentary", text)))
        if outcome.timed_out:
            request._cancellation.cancel()  # what the function says later is dropped

    def _result(self, request: H) -> str:
        result = self._function(request)
        return "" if result is None else result_text(result)


def _words_for(outcome: ToolOutcome, request: Handover) -> str:
    """What is to be said at the end of a call. One that was cancelled has logged it, if it says anything."""
    if outcome.error is None:
        return outcome.output
    if outcome.cancelled or request.answered or request._delegation_id is None:  # nobody waits for it
        return ""
    return TIMED_OUT if outcome.timed_out else FAILED
