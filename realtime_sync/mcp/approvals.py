"""Who decides about a session's remote calls: each session has it, and few have remote tools."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

import realtime_sync.errors as errors
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.protocol.options import ConversationMCPTool, ConversationResponseOptions
from realtime_sync.protocol.registry import UNSET

if TYPE_CHECKING:
    from realtime_sync.mcp.approval import ApprovalCallback
    from realtime_sync.mcp.loop import MCPApprover, MCPFollower


class MCPApprovals:
    """Who decides about the remote calls of one session."""

    def __init__(self, engine: RealtimeEngine) -> None:
        self.engine = engine
        self.approver: Optional[MCPApprover] = None
        self._lock = threading.Lock()  # guards the change of approver

    def enter(self, approver: MCPApprover) -> None:
        """Let it decide from now on. Raises ``UsageError`` if another one does."""
        with self._lock:
            if self.approver is not None:
                other = "another approve_mcp() block of this session decides already; leave that one first"
                raise errors.UsageError(other)
            self.approver = approver

    def leave(self, approver: MCPApprover) -> None:
        """It decides no more."""
        with self._lock:
            if self.approver is approver:
                self.approver = None

    @contextlib.contextmanager
    def following(
        self, options: Optional[ConversationResponseOptions], callback: Optional[ApprovalCallback]
    ) -> Iterator[list[MCPFollower]]:
        """What follows the remote calls of the answers that the block asks for; empty if there are no remote tools."""
        options = options or ConversationResponseOptions()
        tools = options.tools
        if tools is UNSET:
            tools = self.engine.session.tools if self.engine.session is not None else []
        if options.conversation == "none" or not any(isinstance(tool, ConversationMCPTool) for tool in tools or ()):
            yield []
            return
        from realtime_sync.mcp.loop import MCPFollower

        follower = MCPFollower(self, callback)
        with self.engine.listening(follower.calls):
            yield [follower]
