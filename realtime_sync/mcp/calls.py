"""Which remote MCP calls of a session have not ended, and how far each is.

What the service sends, and when (its vendor's own examples and live tests, 2026-08): a response contains the call and
is done; a request to approve it is an item of the conversation, before or behind that; once approved, the call is made;
``response.mcp_call.completed`` or ``.failed`` comes when it is over, and the model goes on only when it is asked for
another response. Other services send less, or make the call within the response. The rules:

- A call is known by its item, by the request to approve it, or by both. The two are joined by the id of the request if
  the call's item has it, else by server, tool and arguments.
- A call is over when it has an output or an error, was rejected, or has its event of the end.
- A call is not waited for any longer if it gives no sign of being made (``SIGN_SECONDS``), or takes too long.
- The calls of an ``ask`` are left to it, and are not gone on with by anybody else; about their approval the session's
  callback decides, unless that ``ask`` decides, too. Calls of responses out of band are nobody's here.
- If another response begins, somebody has had the model go on (the service by itself, the caller, an ``ask``, voice
  activity detection): what was over by then is done with.
- A new connection begins without calls.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Callable, Optional, Union

import attrs

from realtime_sync.core.response_router import Owner, Recent, ResponseRouter
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Change
from realtime_sync.protocol import updates
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.items import ConversationItem, MCPApprovalRequestItem, MCPApprovalResponseItem, MCPCallItem
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase, WholeItemUpdateBase

SIGN_SECONDS = 10.0

_FOR_EVER = Deadline(None)

_OVER = (updates.ResponseMCPCallCompletedUpdate, updates.ResponseMCPCallFailedUpdate)
_ITEMS = (WholeItemUpdateBase, updates.ResponseOutputItemAddedUpdate, updates.ResponseOutputItemDoneUpdate)
_CALL_EVENTS = (updates.ResponseMCPCallInProgressUpdate, *_OVER)
_RELEVANT = (*_ITEMS, *_CALL_EVENTS, ResponseUpdateBase, SessionReconnectedUpdate)


@attrs.define(eq=False)
class RemoteCall:
    """One call.

    Attributes:
        server_label: the MCP server, as the session's tools name it.
        name: the tool.
        arguments: as the model wrote them.
        response_id: the response that made the call; for a request beside a response, the one that began last.
        owner: whose calls that response's are.
        item_id: the id of the call's item; None until it has come.
        request: the request to approve the call; None if none has come.
        decided: True once the request was answered.
        begun: when the service began to make the call, by ``time.monotonic()``; None before.
        over: True once nothing more is to come of it.
        shown: True once it was given out for a decision.
    """

    server_label: Optional[str]
    name: Optional[str]
    arguments: Optional[str]
    response_id: Optional[str]
    owner: Owner
    item_id: Optional[str] = None
    request: Optional[MCPApprovalRequestItem] = None
    decided: bool = False
    begun: Optional[float] = None
    over: bool = False
    shown: bool = False

    @property
    def request_id(self) -> Optional[str]:
        """The id of the request to approve it, if there is one."""
        return self.request.id if self.request is not None else None

    @property
    def open(self) -> bool:
        """Whether it waits for a decision."""
        return self.request is not None and not self.decided and not self.over

    def is_followed_with(self, response_id: Optional[str]) -> bool:
        """Whether it is of this response; None: whether no ``ask`` follows it."""
        return self.response_id == response_id if response_id else Owner.REMOTE_CALLS not in self.owner

    def may_have(self, item: Union[MCPCallItem, MCPApprovalRequestItem]) -> bool:
        """Whether an item that is not known yet may be about this very call."""
        if self.item_id if isinstance(item, MCPCallItem) else self.request or self.over or self.begun:
            return False  # it has one already, or needs none any more
        if isinstance(item, MCPCallItem) and item.approval_request_id:
            return self.request_id == item.approval_request_id
        same_tool = (self.server_label, self.name) == (item.server_label, item.name)
        return same_tool and (not self.arguments or not item.arguments or self.arguments == item.arguments)


class RemoteCalls:
    """The remote calls of one session, from now on. A listener: fed on the reader thread, asked on any other."""

    def __init__(self, responses: Callable[[], ResponseRouter]) -> None:
        self._responses = responses  # of the connection in use; its lock may be taken under the one here
        self._lock = threading.Lock()  # guards all below
        self._changed = Change()  # told of each change
        self._calls: list[RemoteCall] = []
        self._dropped = Recent()  # ids of items and requests that nobody waits for any more
        self._current: Optional[str] = None  # the response that began last
        self._last_sign = time.monotonic()
        self._stopped = False

    # On the reader thread -------------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, _RELEVANT):
            with self._lock:
                self._see(update)
            self._changed.tell()

    def end(self, end: End) -> None:
        """The session has ended."""
        self.stop()

    def _see(self, update: ConversationUpdate) -> None:
        if isinstance(update, updates.ResponseCreatedUpdate):
            if not update.out_of_band:
                self._drop(call for call in self._calls if call.over)
                self._current = update.response_id
        elif isinstance(update, updates.ResponseDoneUpdate):
            for item in update.response.output:
                self._take(item, update.response_id)
        elif isinstance(update, _ITEMS):
            self._take(update.item, getattr(update, "response_id", None))
        elif isinstance(update, _CALL_EVENTS):
            for call in self._calls:
                if call.item_id == update.item_id:
                    call.begun = call.begun or time.monotonic()
                    call.over = call.over or isinstance(update, _OVER)
        elif isinstance(update, SessionReconnectedUpdate):
            self._calls.clear()

    def _take(self, item: ConversationItem, response_id: Optional[str]) -> None:
        response = self._responses().get(response_id)
        if not item.id or item.id in self._dropped or (response is not None and response.out_of_band):
            return
        if isinstance(item, MCPApprovalResponseItem):
            for call in self._calls:
                if call.open and call.request_id == item.approval_request_id:
                    call.decided, call.over = True, not item.approve
                    self._last_sign = time.monotonic()
        elif isinstance(item, MCPApprovalRequestItem):
            self._call_of(item, response_id).request = item
        elif isinstance(item, MCPCallItem):
            call = self._call_of(item, response_id)
            call.item_id = item.id
            call.arguments = item.arguments or call.arguments
            if response_id:
                call.response_id, call.owner = response_id, self._responses().owner_of(response_id)
            call.over = call.over or item.output is not None or item.error is not None

    def _call_of(self, item: Union[MCPCallItem, MCPApprovalRequestItem], response_id: Optional[str]) -> RemoteCall:
        """The call that an item is about: the one that has it, else one that it may be about, else a new one."""
        known = [call for call in self._calls if item.id in (call.item_id, call.request_id)]
        calls = known or [call for call in self._calls if call.may_have(item)]
        if not calls:
            response_id = response_id or self._current
            owner = self._responses().owner_of(response_id)
            calls = [RemoteCall(item.server_label, item.name, item.arguments, response_id, owner)]
            self._calls += calls
        if not known:
            self._last_sign = time.monotonic()
        return calls[0]

    def _drop(self, calls: Iterable[RemoteCall]) -> None:
        for call in list(calls):
            self._calls.remove(call)
            self._dropped.add(call.item_id)
            self._dropped.add(call.request_id)

    # On any other thread ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Release the threads that wait here."""
        self._stopped = True
        self._changed.tell()

    def add_request(self, item: MCPApprovalRequestItem) -> None:
        """A request that was made before this began to listen."""
        with self._lock:
            self._take(item, None)

    def of(self, response_id: Optional[str]) -> list[RemoteCall]:
        """The calls of a response, whatever has become of them."""
        with self._lock:
            return list(filter(lambda call: call.response_id == response_id, self._calls))

    def next_step(
        self, slow: float, response_id: Optional[str] = None, deadline: Deadline = _FOR_EVER
    ) -> Union[RemoteCall, list[RemoteCall], None]:
        """Wait until there is something to do about remote calls.

        Args:
            slow: seconds that an approved call may take.
            response_id: the response whose calls are meant; None: all calls but those that an ``ask`` follows.
            deadline: how long to wait.

        Returns:
            A call to decide about; or all of the calls, once they are over and the model is to go on; or None, if time
            is up or the session has ended.
        """
        seconds: Optional[float] = None  # to wait for what is still to come

        def step() -> Optional[tuple[Union[RemoteCall, list[RemoteCall], None]]]:
            nonlocal seconds
            if self._stopped:
                return (None,)
            mine = [call for call in self._calls if call.is_followed_with(response_id)]
            # The session's callback decides about the calls that an ask follows, too, unless that ask decides.
            others = [call for call in self._calls if Owner.APPROVALS not in call.owner]
            for call in mine if response_id else others:
                if call.open and not call.shown:
                    call.shown = True
                    return (call,)
            seconds = self._seconds_left(mine, slow) if mine or response_id else None
            if seconds != 0:
                return None
            self._drop(mine)
            return (mine,)

        def locked_step() -> Optional[tuple[Union[RemoteCall, list[RemoteCall], None]]]:
            with self._lock:
                return step()

        found = self._changed.wait_for(locked_step, deadline, lambda: seconds)
        return found[0] if found else None

    def _seconds_left(self, calls: list[RemoteCall], slow: float) -> Optional[float]:
        """How long to wait for what is still to come of these calls: 0 is not at all; None is until it changes."""
        running = self._responses().open_ids
        if any(call.open or call.response_id in running for call in calls):
            return None
        now = time.monotonic()
        ends = [call.begun + slow if call.begun else self._last_sign + SIGN_SECONDS for call in calls if not call.over]
        return max(0.0, max(ends, default=now) - now)
