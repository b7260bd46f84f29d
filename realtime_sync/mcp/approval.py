"""Remote MCP tools: the service asks whether it may call one, and is answered once.

The service makes the calls; the application says of each whether it may (``require_approval``). A session has one
place where that is decided at a time: a callback, an iterator of requests, or an ``ask`` for its own answer; those are
in ``mcp_running.py``.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
from typing import Any, Callable, Optional, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.errors import InvalidInputError, UsageError
from realtime_sync.protocol.commands import ConversationItemCreateCommand
from realtime_sync.protocol.items import (
    ConversationItem,
    MCPApprovalRequestItem,
    MCPApprovalResponseItem,
    MCPCallItem,
)

logger = logging.getLogger(__name__)


@attrs.frozen
class MCPDecision:
    """What a callback says of a call, with the reason that the model is told; None: none."""

    approve: bool
    reason: Optional[str] = None


class MCPApproval:
    """The service asks whether it may call a remote tool: ``approve()`` or ``reject()`` it, once.

    ``id`` names the request, ``server_label`` the MCP server, ``name`` its tool. ``arguments`` are those that the model
    wrote; None where they are no JSON object, which ``arguments_text`` shows as it came.
    """

    def __init__(
        self, item: MCPApprovalRequestItem, decide: Callable[[str, bool, Optional[str]], CommandHandle]
    ) -> None:
        self._item = item
        self._decide = decide

    @property
    def id(self) -> str:
        """The request's id."""
        return self._item.id or ""

    @property
    def server_label(self) -> str:
        """The MCP server's label, as the session's tools have it."""
        return self._item.server_label or ""

    @property
    def name(self) -> str:
        """The tool's name."""
        return self._item.name or ""

    @property
    def arguments_text(self) -> str:
        """The arguments as the model wrote them."""
        return self._item.arguments or ""

    @property
    def arguments(self) -> Optional[dict[str, Any]]:
        """The arguments; None where the model wrote no JSON object."""
        try:
            value = json.loads(self.arguments_text or "{}")
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def approve(self, reason: Optional[str] = None) -> CommandHandle:
        """Have the call made. Raises ``UsageError`` where the request was answered already, and as all commands."""
        return self._decide(self.id, True, reason)

    def reject(self, reason: Optional[str] = None) -> CommandHandle:
        """Have it not made; the model may be told the reason. Raises as ``approve`` does."""
        return self._decide(self.id, False, reason)

    def __repr__(self) -> str:
        told = self.arguments_text if len(self.arguments_text) <= 80 else f"{self.arguments_text[:77]}..."
        return f"<MCPApproval {self.id}: {self.server_label}.{self.name}({told})>"


ApprovalCallback = Callable[[MCPApproval], Union[bool, MCPDecision]]
"""Says whether a call may be made. What it raises rejects the call."""


class MCPApprovals:
    """Where one session's approvals are decided. Made by the session; costs nothing until it is used."""

    def __init__(self, engine: RealtimeEngine) -> None:
        self.engine = engine
        self._lock = threading.Lock()  # guards _decided and _attendant
        self._decided: set[str] = set()  # ids of requests that were answered here
        self._attendant: Optional[object] = None

    @property
    def is_attended(self) -> bool:
        """Whether a callback or an iterator decides at the moment."""
        return self._attendant is not None

    def decide(self, request_id: str, approve: bool, reason: Optional[str]) -> CommandHandle:
        """Answer a request, once. Raises ``UsageError`` where it was answered already, by whomever."""
        self.engine.check_open()
        if reason is not None and not isinstance(reason, str):
            raise InvalidInputError(f"reason must be a text or None, not {reason!r:.60}")
        with self._lock:
            twice = request_id in self._decided
            self._decided.add(request_id)
        if twice or request_id in self.engine.read_conversation(_answered):
            raise UsageError(f"the request {request_id} was answered already; a request is decided once")
        answer_id = f"item_{secrets.token_hex(12)}"  # tells its acknowledgement from others
        answer = ConversationItem.create_mcp_approval_response(request_id, approve, reason=reason, id=answer_id)
        try:
            return self.engine.send(ConversationItemCreateCommand(item=answer))
        except BaseException:  # it was not sent
            with self._lock:
                self._decided.discard(request_id)
            raise

    def consult(self, callback: ApprovalCallback, item: MCPApprovalRequestItem) -> Optional[BaseException]:
        """Have the callback decide, and send what it says; returns what it raised, which rejects."""
        request, failure = MCPApproval(item, self.decide), None
        try:
            told = callback(request)
            decision = MCPDecision(told) if isinstance(told, bool) else told
            if not isinstance(decision, MCPDecision):
                raise InvalidInputError(f"an approval callback returns True, False or an MCPDecision, not {told!r:.60}")
        except BaseException as error:
            logger.exception("the approval callback failed; the call is rejected")
            decision, failure = MCPDecision(False, "the application could not decide"), error
        try:
            self.decide(request.id, decision.approve, decision.reason)
        except UsageError:  # by another thread meanwhile, or by the callback itself
            logger.info("the request %s was answered elsewhere", request.id)
        return failure

    def open_requests(self) -> list[MCPApprovalRequestItem]:
        """The requests in the conversation that nobody has answered."""
        return self.engine.read_conversation(_open_requests)

    def attend(self, who: object) -> None:
        """Let somebody decide from now on. Raises ``UsageError`` where somebody else does."""
        with self._lock:
            if self._attendant is not None:
                raise UsageError(
                    "approvals are decided elsewhere already: one approve_mcp() or mcp_approvals() at a time"
                )
            self._attendant = who

    def leave(self, who: object) -> None:
        """They decide no more."""
        with self._lock:
            if self._attendant is who:
                self._attendant = None


def _answered(conversation: Conversation) -> set[Optional[str]]:
    return {item.approval_request_id for item in conversation.items if isinstance(item, MCPApprovalResponseItem)}


def _open_requests(conversation: Conversation) -> list[MCPApprovalRequestItem]:
    # A call that is over needs no decision, whoever has taken it.
    over = {item.approval_request_id for item in conversation.items if isinstance(item, MCPCallItem) and _is_over(item)}
    done = _answered(conversation) | over
    return [item for item in conversation.items if isinstance(item, MCPApprovalRequestItem) and item.id not in done]


def _is_over(item: MCPCallItem) -> bool:
    return item.output is not None or item.error is not None
