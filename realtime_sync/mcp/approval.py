"""What is decided about the call of a remote tool: the request, the decision, and sending it.

The service calls remote tools by itself; of each call that needs an approval it asks whether it may be made. The
request is an item of the conversation, and so is the decision, which is sent once.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any, Callable, Optional, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.commands import ConversationItemCreateCommand
from realtime_sync.protocol.items import ConversationItem, MCPApprovalRequestItem, MCPApprovalResponseItem, MCPCallItem
from realtime_sync.protocol.parsing import json_object
from realtime_sync.user_code import warn_once
from realtime_sync.words import cut

logger = logging.getLogger(__name__)

_SHOWN = 80  # characters of arguments, in a REPL


@attrs.frozen
class MCPDecision:
    """What a callback decides about a call.

    Attributes:
        approve: True if the call may be made.
        reason: goes to the model with the decision; None if it needs no reason.
    """

    approve: bool
    reason: Optional[str] = None

    def __attrs_post_init__(self) -> None:
        """Refuse a reason that is no text."""
        if self.reason is not None and not isinstance(self.reason, str):
            raise InvalidInputError(f"the reason of a decision must be a text or None, not {self.reason!r:.60}")


@attrs.frozen
class MCPApproval:
    """The service asks whether it may call a remote tool.

    Attributes:
        id: the request's id.
        server_label: the MCP server, as the session's tools name it.
        name: the tool.
        arguments_text: the arguments as the model wrote them; see ``arguments``, too.
    """

    id: str
    server_label: str
    name: str
    arguments_text: str = attrs.field(repr=lambda text: repr(cut(text, _SHOWN)))

    @classmethod
    def of(cls, item: MCPApprovalRequestItem) -> MCPApproval:
        """The request that an item makes."""
        return cls(item.id or "", item.server_label or "", item.name or "", item.arguments or "")

    @property
    def arguments(self) -> Optional[dict[str, Any]]:
        """The arguments; None if the model wrote no JSON object."""
        return json_object(self.arguments_text or "{}")


ApprovalCallback = Callable[[MCPApproval], Union[bool, MCPDecision]]
"""Says whether a call may be made. If it raises, the call is rejected."""


def decide(engine: RealtimeEngine, callback: ApprovalCallback, item: MCPApprovalRequestItem) -> Optional[BaseException]:
    """Have the callback decide about a call, and send its decision.

    Returns:
        What the callback raised, which rejects the call; None if it decided.
    """
    failure = None
    try:
        answer = callback(MCPApproval.of(item))
        decision = MCPDecision(answer) if isinstance(answer, bool) else answer
        if not isinstance(decision, MCPDecision):
            raise InvalidInputError(f"an approval callback returns True, False or an MCPDecision, not {answer!r:.60}")
    except BaseException as error:
        logger.exception("the approval callback failed, so the call is rejected")
        warn_once(callback, error, "the approval callback", "the call was rejected")
        decision, failure = MCPDecision(False, "the application could not decide"), error
    if item.id in _answered(engine.conversation()):
        logger.info("the request %s was answered elsewhere, so the callback's decision is not sent", item.id)
        return failure
    answer_id = f"item_{secrets.token_hex(12)}"  # so that its acknowledgement is known
    answer_item = ConversationItem.create_mcp_approval_response(
        item.id or "", decision.approve, reason=decision.reason, id=answer_id
    )
    engine.send(ConversationItemCreateCommand(item=answer_item))
    return failure


def open_requests(conversation: Conversation) -> list[MCPApprovalRequestItem]:
    """The requests in a conversation that nobody has answered, and whose call is not over."""
    calls = [item for item in conversation.items if isinstance(item, MCPCallItem)]
    over = {call.approval_request_id for call in calls if call.output is not None or call.error is not None}
    done = _answered(conversation) | over
    return [item for item in conversation.items if isinstance(item, MCPApprovalRequestItem) and item.id not in done]


def _answered(conversation: Conversation) -> set[Optional[str]]:
    return {item.approval_request_id for item in conversation.items if isinstance(item, MCPApprovalResponseItem)}
