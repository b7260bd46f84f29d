"""Following remote calls: an ``ask`` follows those of its own answer, ``approve_mcp`` follows all others.

Both wait until the calls of a response are decided and over, and then have the model go on. The decision is made by one
place: the callback of the ``ask``, else the session's (``approve_mcp``, one at a time); if there is neither, the
requests are left to the caller of ``ask``, in ``Answer.approvals``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Optional, Union

import attrs

import realtime_sync.errors as errors
from realtime_sync.core.answer import Answer
from realtime_sync.core.response_router import Owner
from realtime_sync.deadline import Deadline
from realtime_sync.mcp.approval import ApprovalCallback, decide, open_requests
from realtime_sync.mcp.approvals import MCPApprovals
from realtime_sync.mcp.calls import RemoteCall, RemoteCalls
from realtime_sync.protocol.items import ConversationItem, MCPApprovalRequestItem, MCPCallItem
from realtime_sync.secret import reportable
from realtime_sync.tools.rounds import Step, UnattendedRounds

logger = logging.getLogger(__name__)

# How long an approved call may take.
_SLOW_SECONDS = 600.0


@reportable
class MCPApprover:
    """Decides by a callback; a context manager. Made by ``session.approve_mcp()``.

    The callback is called on a thread of its own, so it may take its time and may use the session. What it raises
    rejects the call; the first such error is raised when the block is left.
    """

    def __init__(self, approvals: MCPApprovals, callback: ApprovalCallback, timeout: Optional[float] = None) -> None:
        if not callable(callback):
            raise errors.InvalidInputError(f"approve_mcp takes a function that decides a request, not {callback!r:.60}")
        self._approvals = approvals
        self._engine = approvals.engine
        self._callback = callback
        self._slow = Deadline(_SLOW_SECONDS if timeout is None else timeout).remaining
        self._calls = RemoteCalls(lambda: approvals.engine.responses)
        self._rounds = UnattendedRounds(approvals.engine)
        self._thread: Optional[threading.Thread] = None
        self.error: Optional[BaseException] = None

    def __repr__(self) -> str:
        state = "not begun" if self._thread is None else "deciding" if self._thread.is_alive() else "ended"
        return f"<MCPApprover of {self._engine.named()}: {state}>"

    def __enter__(self) -> MCPApprover:
        self._engine.check_open()
        try:
            self._approvals.enter(self)
            self._engine.listen(self._calls)
            for item in open_requests(self._engine.conversation()):
                self._calls.add_request(item)
            self._thread = self._engine.start_thread(self._work, "mcp")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        self._stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self._engine.timeouts.acknowledge)  # for the decision that it is about
        if self.error is not None and error is None:
            raise self.error

    def _stop(self) -> None:
        self._calls.stop()  # first: even if Ctrl-C comes here, the thread ends, and does the rest
        self._engine.stop_listening(self._calls)
        self._approvals.leave(self)

    def _work(self) -> None:
        try:
            while (step := self._calls.next_step(self._slow)) is not None:
                self._do(step)
        finally:
            self._stop()

    def _do(self, step: Union[RemoteCall, list[RemoteCall]]) -> None:
        try:
            if isinstance(step, list):
                self._rounds.ask_again(step[-1].response_id, [])
            elif step.request is not None:
                failure = decide(self._engine, self._callback, step.request)
                self.error = self.error or failure
        except errors.ConnectionReplacedError:
            logger.info("the connection was lost, so its remote calls are not followed any more; the session goes on")
        except (errors.ConnectionClosedError, errors.SessionNotOpenError):
            self._stop()  # the readers of the session get the reason
        except Exception as error:  # a refusal, no free conversation, or a defect: go on with the next requests
            logger.exception("the model could not be asked to go on after its remote calls")
            self.error = self.error or error


class MCPFollower:
    """Follows the remote calls of one ``ask``; a handler of ``run_rounds``."""

    def __init__(self, approvals: MCPApprovals, callback: Optional[ApprovalCallback]) -> None:
        self._approvals = approvals
        self._callback = callback
        self.calls = RemoteCalls(lambda: approvals.engine.responses)
        self.owner = Owner.REMOTE_CALLS if callback is None else Owner.REMOTE_CALLS | Owner.APPROVALS

    def handle(self, answer: Answer, deadline: Deadline) -> Step:
        """Wait until the remote calls of an answer are over, and decide about them."""
        kinds = (MCPCallItem, MCPApprovalRequestItem)
        if not any(isinstance(item, kinds) for item in answer.items) and not self.calls.of(answer.id):
            return Step()
        while isinstance(step := self.calls.next_step(_SLOW_SECONDS, answer.id, deadline), RemoteCall):
            if self._callback is None and self._approvals.approver is None:
                return Step(left=self._with_requests(answer))
            if self._callback is not None and step.request is not None:
                failure = decide(self._approvals.engine, self._callback, step.request)
                if failure is not None:
                    raise failure
        if step is None:
            self._approvals.engine.check_open()
            late = "the remote calls were not over in time; they may go on, and nobody waits for them"
            raise errors.WaitTimeoutError(late)
        went_on = answer.items and not isinstance(answer.items[-1], kinds)  # the service did, within the response
        return Step() if went_on else Step(results=())

    def abandon(self, answer: Answer) -> Sequence[ConversationItem]:
        """Nothing: the service makes these calls, and answers them."""
        return ()

    def _with_requests(self, answer: Answer) -> Answer:
        """The answer with the requests that nobody has decided, which may have come beside its response."""
        known = {item.id for item in answer.items}
        requests = [call.request for call in self.calls.of(answer.id) if call.request is not None and call.open]
        return attrs.evolve(answer, items=[*answer.items, *(item for item in requests if item.id not in known)])
