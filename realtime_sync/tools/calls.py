"""One call of a function by the model: its state, its outcome."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Optional

import attrs

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ToolCancelledError, ToolError, WaitTimeoutError
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.tools.cancellation import ToolCancellation, ToolContext
from realtime_sync.tools.tool import FunctionTool

if TYPE_CHECKING:
    from realtime_sync.tools.pool import CallPool

_log = logging.getLogger(__name__)


@attrs.frozen
class ToolOutcome:
    """How a call ended. ``output`` is the text for the model, whatever happened.

    ``error``: what the function raised, or ``ToolArgumentError``, ``ToolCancelledError`` (``cancelled``),
    ``WaitTimeoutError`` (``timed_out``), ``ToolError`` (no such tool); None where it returned.
    ``duration``: seconds from the start of the function until this outcome; 0.0 where it never started.
    """

    call_id: str
    name: str
    output: str
    error: Optional[BaseException] = None
    duration: float = 0.0
    timed_out: bool = False
    cancelled: bool = False


class RunningCall:
    """A call on its way; made by ``ToolRunner.start``.

    Who may end it: the worker, when the function returns; the watch, when its time is up; anybody, by ``cancel()``.
    The first one settles the outcome, and what comes later is dropped.
    """

    def __init__(
        self,
        call: FunctionCallItem,
        tool: Optional[FunctionTool[..., object]],
        pool: CallPool,
        timeout: Optional[float],
    ) -> None:
        self.call_id = call.call_id or ""
        self.name = call.name or ""
        self.cancellation = ToolCancellation()
        self._arguments = call.arguments or ""
        self._tool = tool
        self._pool = pool
        self._timeout = timeout
        self._variables = contextvars.copy_context()  # so that traces and the like see the caller's
        self._lock = threading.Lock()  # guards the change of _outcome from None to its value
        self._outcome: Optional[ToolOutcome] = None
        self._settled = threading.Event()
        self._started: Optional[float] = None
        self.cancellation.on_cancel(self._on_cancel)

    def __repr__(self) -> str:
        return f"<RunningCall {self.name} {self.call_id} {'done' if self.done else 'running'}>"

    @property
    def done(self) -> bool:
        """True once there is an outcome."""
        return self._settled.is_set()

    def cancel(self) -> None:
        """Tell the function to stop and settle the outcome at once; its late result is dropped. Again is nothing."""
        self.cancellation.cancel()

    def outcome(self, timeout: Optional[float] = None) -> ToolOutcome:
        """Wait for the end, for at most ``timeout`` seconds; None is until the call's own time-out.

        Raises ``WaitTimeoutError``; the call goes on. Errors of the function are in the outcome, not raised.
        """
        if not Deadline(timeout).wait(self._settled.wait):
            raise WaitTimeoutError(f"the tool {self.name} has not finished within {timeout} s")
        assert self._outcome is not None
        return self._outcome

    # The pool's side --------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> Optional[float]:
        """By ``time.monotonic``; None while it is waiting for a worker, or where there is no time-out."""
        return None if self._started is None or self._timeout is None else self._started + self._timeout

    def begin(self) -> None:
        """Its time runs from now."""
        self._started = time.monotonic()

    def execute(self) -> bool:
        """Call the function, on a worker. False where somebody else has settled the outcome meanwhile."""
        if self.done:
            return False
        try:
            outcome = self._ended(self._variables.run(self._text))
        except BaseException as error:  # SystemExit too: it is the function's, and not ours to end a thread by
            outcome = self._ended(_error_text(error), error)
        if self._settle(outcome):
            return True
        told = "returned" if outcome.error is None else f"raised {type(outcome.error).__name__}"
        obeyed = isinstance(outcome.error, ToolCancelledError)
        _log.log(
            logging.DEBUG if obeyed else logging.WARNING,
            "The tool %s %s %.1f s after its start, when nobody waited any more; dropped",
            self.name,
            told,
            outcome.duration,
        )
        return False

    def time_out(self) -> None:
        """Settle the outcome as timed out, and tell the function."""
        error = WaitTimeoutError(f"the tool {self.name} took longer than {self._timeout} s and was given up")
        if self._settle(self._ended(_error_text(error), error, timed_out=True)):
            self._pool.leave_behind(self)
            self.cancellation.cancel()

    def fail(self, reason: str) -> None:
        """Settle the outcome without having called anything."""
        error = ToolError(reason)
        self._settle(self._ended(_error_text(error), error))

    def _settle(self, outcome: ToolOutcome) -> bool:
        """Keep the first outcome, and say whether this was it."""
        with self._lock:
            if self._outcome is not None:
                return False
            self._outcome = outcome
        if outcome.error is not None and not outcome.cancelled:
            ours = isinstance(outcome.error, (ToolError, WaitTimeoutError))  # its message says it all
            _log.warning(
                "The tool %s failed, and the model is told: %s",
                self.name,
                outcome.error if ours else type(outcome.error).__name__,
                exc_info=None if ours else outcome.error,
            )
        self._settled.set()
        return True

    def _text(self) -> str:
        assert self._tool is not None
        return self._tool.call(self._arguments, ToolContext(self.call_id, self.name, self.cancellation))

    def _on_cancel(self) -> None:
        error = ToolCancelledError(f"the tool {self.name} was cancelled")
        if self._settle(self._ended(_error_text(error), error, cancelled=True)):
            self._pool.leave_behind(self)

    def _ended(
        self, output: str, error: Optional[BaseException] = None, *, timed_out: bool = False, cancelled: bool = False
    ) -> ToolOutcome:
        duration = 0.0 if self._started is None else time.monotonic() - self._started
        return ToolOutcome(self.call_id, self.name, output, error, duration, timed_out, cancelled)


def _error_text(error: BaseException) -> str:
    """For the model: what was raised, without the traceback."""
    try:
        told = str(error)
    except Exception:  # an exception's own text may fail
        told = ""
    ours = isinstance(error, (ToolError, WaitTimeoutError))
    text = told if ours else f"{type(error).__name__}: {told}" if told else type(error).__name__
    return json.dumps({"error": text}, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")
