"""Serving the approvals of remote MCP tools, and having the model go on once the calls are over."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Callable, Optional, Union

import attrs

from realtime_sync.core.answer import Answer
from realtime_sync.core.ask import OnDelta, begin_response, finished_answer
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionReplacedError,
    InvalidInputError,
    SessionNotOpenError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.mcp.approval import ApprovalCallback, MCPApproval, MCPApprovals
from realtime_sync.mcp.calls import ASK_KEY, DECIDES, RemoteCall, RemoteCalls
from realtime_sync.protocol.items import ConversationItem, MCPApprovalRequestItem, MCPCallItem
from realtime_sync.protocol.options import ConversationMCPTool, ConversationResponseOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.tools.loop import freed

logger = logging.getLogger(__name__)

# How long an approved call may take, and how long the model is waited for to begin to go on.
_PATIENCE_SECONDS = 600.0
# A model that calls tools for ever is a bug somewhere, and it costs money.
_MOST_ROUNDS = 32


# For as long as a block runs --------------------------------------------------------------------------------------


class _Worker:
    """A thread that hands requests on as they come, and asks for another response once the calls are over."""

    def __init__(self, desk: MCPApprovals, timeout: Optional[float]) -> None:
        self._desk = desk
        self._engine = desk.engine
        self._slow = _PATIENCE_SECONDS if timeout is None else Deadline(timeout).left or 0.0
        self.calls = RemoteCalls()
        self.error: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None

    def start(self, take: Callable[[MCPApprovalRequestItem], object], end: Callable[[], object]) -> None:
        """Begin; ``take`` gets each request and ``end`` is called last, both on the worker's thread."""
        self._engine.check_open()
        self._desk.attend(self)
        try:
            self._engine.listen(self.calls)
            for item in self._desk.open_requests():
                self.calls.add_request(item)
            self._thread = self._engine.start_thread(lambda: self._work(take, end), "mcp")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Take no more requests. Idempotent."""
        self._engine.stop_listening(self.calls)
        self.calls.stop()
        self._desk.leave(self)

    def join(self) -> None:
        """Wait for what the thread is about, a decision for one."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._engine.timeouts.acknowledge)

    def _work(self, take: Callable[[MCPApprovalRequestItem], object], end: Callable[[], object]) -> None:
        try:
            while (step := self.calls.next_step(self._slow)) is not None:
                self._do(step, take)
        except (ConnectionClosedError, SessionNotOpenError):
            pass  # whoever reads the session is told
        finally:
            self.stop()
            end()

    def _do(self, step: Union[RemoteCall, list[RemoteCall]], take: Callable[[MCPApprovalRequestItem], object]) -> None:
        try:
            if isinstance(step, list):
                begin_response(self._engine, [], None, Deadline(_PATIENCE_SECONDS))
            elif step.request is not None:
                take(step.request)
        except ConnectionReplacedError:
            logger.info("the connection was lost, and its remote calls with it; the session goes on")
        except (ConnectionClosedError, SessionNotOpenError):
            raise
        except Exception as error:  # refused, no turn to be had, or a defect: the next requests are served all the same
            logger.exception("the model could not be asked to go on")
            self.error = self.error or error


class MCPApprover:
    """Decides by a callback; a context manager. Made by ``session.approve_mcp()``.

    Works on a thread of its own, so the callback may take its time and may use the session. What it raises rejects
    the call, and is raised when the block is left, the first of it; the others go on.
    """

    def __init__(self, desk: MCPApprovals, callback: ApprovalCallback, timeout: Optional[float] = None) -> None:
        if not callable(callback):
            raise InvalidInputError(f"approve_mcp takes a function of a request, not {callback!r:.60}")
        self._desk = desk
        self._callback = callback
        self._worker = _Worker(desk, timeout)

    def __enter__(self) -> MCPApprover:
        self._worker.start(self._take, lambda: None)
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._worker.stop()
        self._worker.join()
        if self._worker.error is not None and error is None:
            raise self._worker.error

    def _take(self, item: MCPApprovalRequestItem) -> None:
        failure = self._desk.consult(self._callback, item)
        self._worker.error = self._worker.error or failure


class MCPApprovalStream:
    """An iterator of requests, the open ones first. Made by ``session.mcp_approvals()``; close it, or use ``with``.

    Iteration ends with ``close()`` and after an orderly close of the session, and raises ``ConnectionClosedError``
    after any other end. Once all requests are decided and the calls are over, the model is asked to go on, as in
    ``approve_mcp``.
    """

    def __init__(self, desk: MCPApprovals, timeout: Optional[float] = None) -> None:
        Deadline(timeout)  # refuses what is no time-out, here and not at the first wait
        self._desk = desk
        self._timeout = timeout
        worker = _Worker(desk, None)
        requests: queue.SimpleQueue[Optional[MCPApprovalRequestItem]] = queue.SimpleQueue()  # None: the end
        self._requests = requests
        worker.start(requests.put, lambda: requests.put(None))
        # The worker knows the queue and not the stream: one that is dropped unclosed must not decide for ever.
        self._finalizer = weakref.finalize(self, worker.stop)
        self._finalizer.atexit = False

    def __iter__(self) -> MCPApprovalStream:
        return self

    def __next__(self) -> MCPApproval:
        """The next request. Raises ``WaitTimeoutError`` when the stream's time is up; iteration may go on."""
        taken: list[Optional[MCPApprovalRequestItem]] = []

        def take(seconds: Optional[float]) -> bool:
            with contextlib.suppress(queue.Empty):
                taken.append(self._requests.get(seconds != 0, seconds))
            return bool(taken)

        self._desk.engine.check_process()
        if not Deadline(self._timeout).wait(take):
            raise WaitTimeoutError(f"no approval was asked for within {self._timeout} s; the session goes on")
        if taken[0] is None:
            self._requests.put(None)  # for the other threads that wait
            end = self._desk.engine.end
            if end is None or end.clean or not self._finalizer.alive:  # the latter: closed
                raise StopIteration
            raise end.reason.with_traceback(None)
        return MCPApproval(taken[0], self._desk.decide)

    def close(self) -> None:
        """Take no more requests; whoever waits for one is released. Idempotent."""
        self._finalizer()

    def __enter__(self) -> MCPApprovalStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


# For one answer ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def following(
    desk: MCPApprovals,
    options: Optional[ConversationResponseOptions],
    callback: Optional[ApprovalCallback],
    on_delta: Optional[OnDelta],
) -> Iterator[MCPFollower]:
    """Follow the remote calls of the answers that the block asks for; see ``MCPFollower``."""
    follower = MCPFollower(desk, callback, on_delta)
    if not follower.is_needed(options):
        yield follower
        return
    with desk.engine.listening(follower.calls):
        yield follower


class MCPFollower:
    """Follows the remote calls of an ``ask`` until the model answers without one; hands on what it says meanwhile."""

    def __init__(
        self, desk: MCPApprovals, callback: Optional[ApprovalCallback], on_delta: Optional[OnDelta] = None
    ) -> None:
        self._desk = desk
        self._on_delta = on_delta
        self._engine = desk.engine
        self._callback = callback
        self._needed = False
        self.calls = RemoteCalls()

    def is_needed(self, options: Optional[ConversationResponseOptions]) -> bool:
        """Whether the answer may call remote tools: those of the options, else those of the session."""
        if options is not None and options.conversation == "none":
            return False
        told = options.tools if options is not None and options.tools is not UNSET else UNSET
        session = self._engine.session
        tools = told if told is not UNSET else session.tools if session is not None else ()
        self._needed = any(isinstance(tool, ConversationMCPTool) for tool in tools or ())
        return self._needed

    def answer(
        self, items: Sequence[ConversationItem], options: Optional[ConversationResponseOptions], deadline: Deadline
    ) -> Answer:
        """The answer to ``items`` that calls no remote tool any more, or that needs somebody else to go on.

        The latter asks for approvals and nobody is there to decide them (``answer.approvals``), calls functions, or was
        cut short. Raises ``WaitTimeoutError`` when time is up, and as ``finished_answer``.
        """
        if not self._needed:
            return finished_answer(self._engine, items, options, deadline, self._on_delta)
        options = self._marked(options or ConversationResponseOptions())
        answer = finished_answer(self._engine, items, options, deadline, self._on_delta)
        for _ in range(_MOST_ROUNDS):
            if answer.status not in ("completed", None) or not self._calls_tools(answer):
                return answer
            if not self._are_over(answer, deadline):
                return self._with_requests(answer)
            if answer.function_calls or not _ends_with_a_call(answer):
                return answer
            options = freed(options, self._engine.session)
            answer = finished_answer(self._engine, [], options, deadline, self._on_delta)
        raise UsageError(f"the model called remote tools {_MOST_ROUNDS} times without answering")

    def _marked(self, options: ConversationResponseOptions) -> ConversationResponseOptions:
        """The options of a response that is followed, which says so."""
        owner = DECIDES if self._callback is not None else "ask"
        return attrs.evolve(options, metadata={**(options.metadata or {}), ASK_KEY: owner})

    def _calls_tools(self, answer: Answer) -> bool:
        told = any(isinstance(item, (MCPCallItem, MCPApprovalRequestItem)) for item in answer.items)
        return answer.id is not None and (told or bool(self.calls.of(answer.id)))

    def _are_over(self, answer: Answer, deadline: Deadline) -> bool:
        """Wait for all calls of the answer, and decide about them; False where nobody is there to decide."""
        while True:
            step = self.calls.next_of(answer.id, _PATIENCE_SECONDS, deadline)
            if step is True:
                return True
            if isinstance(step, RemoteCall) and step.request is not None:
                if self._callback is not None:
                    failure = self._desk.consult(self._callback, step.request)
                    if failure is not None:
                        raise failure
                elif not self._desk.is_attended:
                    return False
                continue
            self._engine.check_open()
            raise WaitTimeoutError("the remote calls were not over in time; they may go on")

    def _with_requests(self, answer: Answer) -> Answer:
        known = {item.id for item in answer.items}
        requests = [call.request for call in self.calls.of(answer.id) if call.request is not None]
        return attrs.evolve(answer, items=[*answer.items, *(item for item in requests if item.id not in known)])


def _ends_with_a_call(answer: Answer) -> bool:
    """False where the service has gone on within the response."""
    return not answer.items or isinstance(answer.items[-1], (MCPCallItem, MCPApprovalRequestItem))
