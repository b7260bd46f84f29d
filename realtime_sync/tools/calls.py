"""Calls of functions by the model: each on a thread of its own, so many at once, each with a time-out.

What is called is a tool, or another function of the caller's that works for the model (``Work``). The life of a call:
it waits in the queue, runs on a thread, and has an outcome, which is written once.

- At most ``most`` calls run at once; the others wait in the order in which they came. A thread takes the first call of
  the queue, runs it, and takes the next; it ends when no call waits.
- Python cannot end a thread. A call that is given up, because its time is up or it was cancelled, has its outcome at
  once, and its function is asked to stop; what the function returns later is dropped. Until then its thread is left
  behind, and another thread takes its place.
- There are at most ``2 * most`` threads. If all of them are left behind, the calls that wait fail.
- Each wait for an outcome keeps the time of all running calls: it gives up every call whose time is up. If nobody waits
  for an outcome, no call is given up.
- Threads are daemons, so a function that hangs does not keep the interpreter alive. ``concurrent.futures`` joins its
  threads at exit, and is not used for that reason.

One lock guards the queue, the threads and the writing of outcomes. No function, callback or log is called under it.
"""

from __future__ import annotations

import contextvars
import itertools
import json
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from realtime_sync.deadline import Deadline
from realtime_sync.errors import NoMoreThreadsError, ToolCancelledError, ToolError, UsageError, WaitTimeoutError
from realtime_sync.interrupts import Change
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested, start_thread
from realtime_sync.tools.cancellation import ToolCancellation, ToolContext
from realtime_sync.user_code import warn_once
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation

_log = logging.getLogger(__name__)

_OURS = (ToolError, WaitTimeoutError)


@attrs.frozen
class ToolOutcome:
    """How a call ended.

    Attributes:
        call_id: the service's name of the call.
        name: the tool's name.
        output: the text for the model, however the call ended.
        error: what the function raised, or ``ToolArgumentError``, ``ToolCancelledError`` (``cancelled``),
            ``WaitTimeoutError`` (``timed_out``), ``ToolError`` (no such tool); None if it returned.
        duration: seconds from the start of the function until this outcome; 0.0 if it never started.
        timed_out: True if the call was given up because its time was up.
        cancelled: True if the call was cancelled.
    """

    call_id: str
    name: str
    output: str
    error: Optional[BaseException] = None
    duration: float = 0.0
    timed_out: bool = False
    cancelled: bool = False


@attrs.frozen(repr=False, eq=False)
class Work(Value):
    """What a call runs.

    Attributes:
        kind: what it is, for messages: ``"tool"``.
        name: the function's name.
        run: calls the function, and makes a text of what it returns.
        function: the function as it was written, for the warning that it has failed.
        arguments: what the model gave, as it wrote it; None if that is not known.
    """

    kind: str
    name: str
    run: Callable[[ToolContext], str]
    function: Callable[..., object]
    arguments: Optional[str] = None


@reportable
class RunningCall:
    """A call on its way; made by ``ToolRunner.start``.

    The function's end, the end of its time, or ``cancel()`` gives it its outcome; the first of them counts.
    """

    def __init__(
        self,
        call_id: str,
        name: str,
        work: Optional[Work],
        threads: CallThreads,
        timeout: Optional[float],
        observation: Optional[Observation] = None,
    ) -> None:
        self.call_id = call_id
        self.name = name
        kind, arguments = (work.kind, work.arguments) if work is not None else ("tool", None)
        self.what = f"{kind} {name}"
        self._observed = (
            None if observation is None else observation.call(kind, name, call_id, arguments, lambda: self.settled)
        )
        self.cancellation = ToolCancellation()
        self.settled: Optional[ToolOutcome] = None  # written once, by CallThreads.settle
        self._work = work
        self._threads = threads
        self._timeout = timeout
        self._variables = contextvars.copy_context()  # so that traces and the like see the caller's
        self.started: Optional[float] = None  # when its time began to count; written once, by CallThreads
        self.cancellation.on_cancel(self.cancel)

    def __repr__(self) -> str:
        return f"<RunningCall {self.name} {self.call_id} {'done' if self.done else 'running'}>"

    @property
    def done(self) -> bool:
        """True once there is an outcome; a call whose time is up is given up when this is asked."""
        self.give_up_in_time()
        return self.settled is not None

    @aside_if_nested
    def cancel(self) -> None:
        """Ask the function to stop, and give the call its outcome at once; calling it again does nothing."""
        self._give_up(ToolCancelledError(f"the {self.what} was cancelled"), cancelled=True)

    def outcome(self, timeout: Optional[float] = None) -> ToolOutcome:
        """Wait for the call's end. What the function raises is in the outcome, and is not raised here.

        Args:
            timeout: seconds to wait at most; None waits until the call's own time-out.

        Returns:
            How the call ended.

        Raises:
            WaitTimeoutError: the call has not ended in time; it goes on.
        """
        if not self._threads.wait(self, Deadline(timeout)):
            raise WaitTimeoutError(f"the {self.what} has not finished within {timeout} s; it goes on")
        assert self.settled is not None
        return self.settled

    # Called by CallThreads ----------------------------------------------------------------------------------------

    @property
    def seconds_left(self) -> Optional[float]:
        """How long it may still run; None if it has not begun, or has no time-out."""
        if self.started is None or self._timeout is None:
            return None
        return max(0.0, self.started + self._timeout - time.monotonic())

    def execute(self) -> None:
        """Call the function, and settle its outcome unless the call was given up meanwhile."""
        self._variables.run(self._execute)  # all of it, so that what is logged here belongs to the caller's trace

    def _execute(self) -> None:
        assert self._work is not None
        context = ToolContext(self.call_id, self.name, self.cancellation)
        error: Optional[BaseException] = None
        try:
            output = self._called(self._work, context)
        except BaseException as raised:  # SystemExit, too: the function raised it, and it must not end this thread
            output, error = _error_text(raised), raised
        if not self._settle(output, error) and not isinstance(error, ToolCancelledError):
            text = "The %s was given up, and has ended after %.1f s; its result is dropped"
            _log.warning(text, self.what, self._seconds_since_start(), exc_info=error)

    def _called(self, work: Work, context: ToolContext) -> str:
        if self._observed is None:
            return work.run(context)
        with self._observed.around():
            return work.run(context)

    def give_up_in_time(self) -> None:
        """Give the call up if its time is up."""
        if self.seconds_left == 0:
            error = WaitTimeoutError(f"the {self.what} took longer than {self._timeout} s and was given up")
            self._give_up(error, timed_out=True)

    def fail(self, reason: str) -> None:
        """Give the call an outcome without having called anything."""
        self._give_up(ToolError(reason))

    def _give_up(self, error: BaseException, **how: bool) -> None:
        """Settle the outcome (``how``: its ``timed_out`` or ``cancelled``), and only then ask the function to stop.

        So a result or an error that comes because the function was asked to stop is dropped.
        """
        if self._settle(_error_text(error), error, **how):
            self._threads.provide()
            self.cancellation.cancel()

    def _settle(self, output: str, error: Optional[BaseException], **how: bool) -> bool:
        """Give the call its outcome; False if it has one already."""
        outcome = ToolOutcome(self.call_id, self.name, output, error, self._seconds_since_start(), **how)
        if error is not None and not outcome.cancelled and self.settled is None:
            self._tell(error)  # before anybody who waits for the outcome goes on
        if not self._threads.settle(self, outcome):
            return False
        if self._observed is not None:
            self._observed.ended(outcome)
        return True

    def _tell(self, error: BaseException) -> None:
        """Tell the people who wrote the function: the model, which is told in any case, does not mend it."""
        ours = isinstance(error, _OURS)  # its message says all that there is to say
        what, traceback = (error, None) if ours else (type(error).__name__, error)
        _log.warning("The %s failed, and the model is told: %s", self.what, what, exc_info=traceback)
        if self._work is not None and not isinstance(error, ToolError):  # wrong arguments are the model's fault
            warn_once(self._work.function, error, f"the {self.what}", "the model was told so")

    def _seconds_since_start(self) -> float:
        return 0.0 if self.started is None else time.monotonic() - self.started


class CallThreads:
    """The queue of one runner's calls, and the threads that run them; the rules are at the head of this module.

    ``most``: how many calls run at once. ``kind``: of what is called, for the names of the threads.
    """

    def __init__(self, most: int, kind: str = "tool") -> None:
        self._most = most
        self._kind = kind
        self._lock = threading.Lock()  # guards all below, and the writing of RunningCall.settled
        self._changed = Change()  # told when a call begins or has its outcome
        self._queue: deque[RunningCall] = deque()
        # Each thread, and its call; None while it is about to take one. A call that is settled has left it behind.
        self._threads: dict[threading.Thread, Optional[RunningCall]] = {}
        self._ending: list[threading.Thread] = []  # they take no call any more, but may live for another moment
        self._numbers = itertools.count(1)
        self._closed = False

    def submit(self, call: RunningCall) -> None:
        """Run the call as soon as there is room for it. Raises ``UsageError`` once closed."""
        with self._lock:
            if self._closed:
                raise UsageError("this ToolRunner is closed; make a new one")
            if call.settled is None:  # it may have been cancelled already
                self._queue.append(call)
        self.provide()

    def settle(self, call: RunningCall, outcome: ToolOutcome) -> bool:
        """Write a call's outcome; False if it has one already."""
        with self._lock:
            if call.settled is not None:
                return False
            call.settled = outcome
            if self._threads.get(threading.current_thread()) is call:  # its function has returned: not left behind
                self._threads[threading.current_thread()] = None
            if call in self._queue:
                self._queue.remove(call)
        self._changed.tell()
        return True

    def wait(self, call: RunningCall, deadline: Deadline) -> bool:
        """Wait until the call has its outcome, and give up each call whose time is up; False if time is up here."""

        def is_settled() -> bool:
            for each in self._running():
                each.give_up_in_time()
            return call.settled is not None

        def seconds_left() -> Optional[float]:
            return min((each.seconds_left for each in self._running() if each.seconds_left is not None), default=None)

        return self._changed.wait_for(is_settled, deadline, seconds_left)

    def _running(self) -> list[RunningCall]:
        """The calls that run and have no outcome yet."""
        with self._lock:
            return [*(call for call in self._at_work() if call is not None)]

    def provide(self) -> None:
        """Start the threads that the waiting calls need; fail those calls if no thread is left for them."""
        reason = "earlier calls have not returned, and no thread is left for it"
        with self._lock:
            try:
                self._start_threads()
            except NoMoreThreadsError as error:
                reason = str(error)
            hopeless = [] if self._at_work() else list(self._queue)
        for call in hopeless:
            call.fail(f"the {call.what} was not called: {reason}")

    @aside_if_nested
    def close(self, timeout: float, caller: threading.Thread) -> None:
        """Cancel every call, and wait up to ``timeout`` seconds for the threads to end, but for the caller's."""
        deadline = Deadline(timeout)
        with self._lock:
            self._closed = True
            calls = [*self._queue, *(call for call in self._threads.values() if call is not None)]
            threads = [*self._threads, *self._ending]
        for call in calls:
            call.cancel()
        for thread in threads:
            if thread is not caller:  # a tool may close its runner
                thread.join(deadline.left)

    def _at_work(self) -> list[Optional[RunningCall]]:
        """What the threads do that are not left behind. Needs the lock."""
        assert self._lock.locked()
        return [call for call in self._threads.values() if call is None or call.settled is None]

    def _needs_thread(self) -> bool:
        at_work = self._at_work()
        room = len(at_work) < self._most and len(self._threads) < 2 * self._most
        return room and len(self._queue) > at_work.count(None)

    def _start_threads(self) -> None:
        while self._needs_thread():
            self._start_thread()

    def _start_thread(self) -> None:
        thread = start_thread(self._work, f"realtime-sync-{self._kind}-{next(self._numbers)}")
        self._threads[thread] = None  # before the thread takes a call, for which it needs the lock

    def _work(self) -> None:
        while (call := self._next_call()) is not None:
            call.execute()

    def _next_call(self) -> Optional[RunningCall]:
        """The next call for this thread; None if it is not needed any more."""
        thread = threading.current_thread()
        with self._lock:
            self._threads[thread] = None
            if self._queue and not self._closed and len(self._at_work()) <= self._most:
                call = self._threads[thread] = self._queue.popleft()
                call.started = time.monotonic()
                self._changed.tell()  # the threads that wait have another deadline to keep
                return call
            del self._threads[thread]
            self._ending = [*(each for each in self._ending if each.is_alive()), thread]
            return None


def _error_text(error: BaseException) -> str:
    """For the model: what was raised, without the traceback."""
    try:
        message = str(error)
    except Exception:  # an exception's own text may fail
        message = ""
    if not isinstance(error, _OURS):
        message = f"{type(error).__name__}: {message}".removesuffix(": ")
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
