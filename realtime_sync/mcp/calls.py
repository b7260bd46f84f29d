"""Which remote MCP calls a session has in hand, and how far each is: asked for, approved, begun, over.

What the service tells, and when (its vendor's own examples and live tests, 2026-08): a response tells the call and is
done; a request to approve it is an item of the conversation, before or behind that; once approved the call is made,
``response.mcp_call.completed`` or ``.failed`` says that it is over, and the model goes on only when it is asked for
another response. Other services tell less, or make the call within the response: each sign is taken as it comes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Optional

import attrs

from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.items import (
    ConversationItem,
    MCPApprovalRequestItem,
    MCPApprovalResponseItem,
    MCPCallItem,
)
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase, WholeItemUpdateBase
from realtime_sync.protocol.updates import (
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseMCPCallCompletedUpdate,
    ResponseMCPCallFailedUpdate,
    ResponseMCPCallInProgressUpdate,
    ResponseOutputItemAddedUpdate,
    ResponseOutputItemDoneUpdate,
)

ASK_KEY = "realtime_sync_mcp"
"""In the metadata of a response whose remote calls are followed by the ``ask`` that asked for it."""

DECIDES = "decides"
"""The value of ``ASK_KEY`` where that ``ask`` decides about approvals, too."""

# A call that gives no sign of being made, neither a request for approval nor a beginning, is not waited for longer.
SIGN_SECONDS = 10.0

_OVER = (ResponseMCPCallCompletedUpdate, ResponseMCPCallFailedUpdate)
_ITEMS = (WholeItemUpdateBase, ResponseOutputItemAddedUpdate, ResponseOutputItemDoneUpdate)
_CALL_EVENTS = (ResponseMCPCallInProgressUpdate, *_OVER)
_TOLD = (*_ITEMS, *_CALL_EVENTS, ResponseUpdateBase, SessionReconnectedUpdate)


@attrs.define(eq=False)
class RemoteCall:
    """One call: told by its item, by the request to approve it, or by both."""

    server_label: Optional[str]
    name: Optional[str]
    arguments: Optional[str]
    item_id: Optional[str] = None
    request: Optional[MCPApprovalRequestItem] = None
    response_id: Optional[str] = None
    approved: Optional[bool] = None
    begun: Optional[float] = None
    over: bool = False
    shown: bool = False

    @property
    def open(self) -> bool:
        """Whether it waits for a decision."""
        return self.request is not None and self.approved is None and not self.over

    def is_called(self, item: MCPCallItem | MCPApprovalRequestItem) -> bool:
        """Whether the item may be about this very call."""
        same_tool = (self.server_label, self.name) == (item.server_label, item.name)
        return same_tool and (not self.arguments or not item.arguments or self.arguments == item.arguments)


class RemoteCalls:
    """The remote calls of one session, from now on. A listener: fed on the reader thread, asked on any other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards all below; notified at each change
        self._calls: list[RemoteCall] = []
        self._dropped: set[str] = set()  # ids of items and requests that nobody waits for any more
        self._owners: dict[str, str] = {}  # response id -> what its ASK_KEY says
        self._aside: set[str] = set()  # ids of out-of-band responses: whoever asked for them looks after them
        self._running: set[str] = set()
        self._current: Optional[str] = None  # the response that began last
        self._last_sign = time.monotonic()
        self._stopped = False
        self.ended: Optional[End] = None

    # On the reader thread -------------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, _TOLD):
            with self._changed:
                self._see(update)
                self._changed.notify_all()

    def end(self, end: End) -> None:
        """The session has ended."""
        with self._changed:
            self.ended = end
            self._changed.notify_all()

    def _see(self, update: ConversationUpdate) -> None:
        if isinstance(update, ResponseCreatedUpdate):
            self._begin_response(update)
        elif isinstance(update, ResponseDoneUpdate):
            for item in update.response.output:
                self._take(item, update.response_id)
            self._running.discard(update.response_id or "")
        elif isinstance(update, _ITEMS):
            self._take(update.item, getattr(update, "response_id", None))
        elif isinstance(update, _CALL_EVENTS):
            self._take_sign(update.item_id, over=isinstance(update, _OVER))
        elif isinstance(update, SessionReconnectedUpdate):
            self._calls.clear()  # what the old connection had in hand is lost with it
            self._running.clear()

    def _begin_response(self, update: ResponseCreatedUpdate) -> None:
        response_id = update.response_id or ""
        if update.out_of_band:
            self._aside.add(response_id)
            return
        # Somebody has the model go on with what is over: the service by itself, the caller, voice activity detection.
        self._drop([call for call in self._calls if call.over and call.response_id not in self._owners])
        owner = (update.response.metadata or {}).get(ASK_KEY)
        if owner:
            self._owners[response_id] = str(owner)
        self._running.add(response_id)
        self._current = update.response_id

    def _take(self, item: ConversationItem, response_id: Optional[str]) -> None:
        if item.id in self._dropped or (response_id or "") in self._aside:
            return
        if isinstance(item, MCPApprovalResponseItem):
            for call in self._calls:
                if call.request is not None and call.request.id == item.approval_request_id and call.approved is None:
                    self._decide(call, bool(item.approve))
        elif isinstance(item, MCPApprovalRequestItem) and item.id:
            self._take_request(item, response_id)
        elif isinstance(item, MCPCallItem) and item.id:
            self._take_call(item, response_id)

    def _take_request(self, item: MCPApprovalRequestItem, response_id: Optional[str]) -> None:
        if any(call.request is not None and call.request.id == item.id for call in self._calls):
            return
        fitting = (c for c in self._calls if c.request is None and not c.over and not c.begun and c.is_called(item))
        self._put(next(fitting, None), item, response_id).request = item

    def _take_call(self, item: MCPCallItem, response_id: Optional[str]) -> None:
        call = next((call for call in self._calls if call.item_id == item.id), None)
        if call is None:
            told = item.approval_request_id
            loose = [call for call in self._calls if call.item_id is None and call.request is not None]
            fitting = [c for c in loose if (c.request.id == told if told and c.request else c.is_called(item))]
            call = self._put(fitting[0] if fitting else None, item, response_id)
            call.item_id = item.id
        call.arguments = item.arguments or call.arguments
        call.response_id = response_id or call.response_id
        if item.output is not None or item.error is not None:
            call.over = True

    def _put(
        self, call: Optional[RemoteCall], item: MCPCallItem | MCPApprovalRequestItem, response_id: Optional[str]
    ) -> RemoteCall:
        """The call, or a new one for this item."""
        self._last_sign = time.monotonic()
        if call is None:
            call = RemoteCall(item.server_label, item.name, item.arguments)
            call.response_id = response_id or self._current
            self._calls.append(call)
        return call

    def _take_sign(self, item_id: str, *, over: bool) -> None:
        for call in self._calls:
            if call.item_id == item_id:
                call.begun = call.begun or time.monotonic()
                call.over = call.over or over

    def _decide(self, call: RemoteCall, approved: bool) -> None:
        self._last_sign = time.monotonic()
        call.approved = approved
        call.over = call.over or not approved

    def _drop(self, calls: Iterable[RemoteCall]) -> None:
        for call in list(calls):
            self._calls.remove(call)
            request_id = call.request.id if call.request is not None else None
            self._dropped.update(each for each in (call.item_id, request_id) if each)

    # On any other thread ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Release who waits in ``next_step``."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def add_request(self, item: MCPApprovalRequestItem) -> None:
        """A request that was made before this began to listen."""
        with self._changed:
            self._take(item, None)
            self._changed.notify_all()

    def decided(self, request_id: str, approved: bool) -> None:
        """A decision was sent; its acknowledgement need not be waited for."""
        with self._changed:
            for call in self._calls:
                if call.request is not None and call.request.id == request_id and call.approved is None:
                    self._decide(call, approved)
            self._changed.notify_all()

    def next_step(self, slow: float) -> RemoteCall | list[RemoteCall] | None:
        """A call to decide about; or calls that are over, with which the model is to go on; None: all has ended.

        Without those that an ``ask`` looks after. ``slow``: seconds after which a call is not waited for any more.
        """
        with self._changed:
            while self.ended is None and not self._stopped:
                asked = next((c for c in self._calls if c.open and not c.shown and not self._is_decided_for(c)), None)
                if asked is not None:
                    asked.shown = True
                    return asked
                mine = [call for call in self._calls if call.response_id not in self._owners]
                # Nothing of an ask is kept once it is over.
                self._drop(call for call in self._calls if call.over and call not in mine)
                seconds = self._seconds_left(mine, slow)
                if mine and seconds == 0:
                    self._drop(mine)
                    return mine
                self._wait(seconds if mine else None)
        return None

    def next_of(self, response_id: Optional[str], slow: float, deadline: Deadline) -> RemoteCall | bool:
        """A call of this response to decide about; True once all its calls are over, False when time is up."""
        with self._changed:
            while self.ended is None:
                calls = self.of(response_id)
                asked = next((call for call in calls if call.open and not call.shown), None)
                if asked is not None:
                    asked.shown = True
                    return asked
                seconds = None if response_id in self._running else self._seconds_left(calls, slow)
                if seconds == 0:
                    return True
                if deadline.left == 0:
                    return False
                self._wait(min((each for each in (seconds, deadline.left) if each is not None), default=None))
        return False

    def of(self, response_id: Optional[str]) -> list[RemoteCall]:
        """The calls that a response has told, whatever has become of them."""
        with self._changed:
            return [call for call in self._calls if call.response_id == response_id]

    def _wait(self, seconds: Optional[float]) -> None:
        Deadline(seconds).wait(self._changed.wait)

    def _is_decided_for(self, call: RemoteCall) -> bool:
        return self._owners.get(call.response_id or "") == DECIDES

    def _seconds_left(self, calls: list[RemoteCall], slow: float) -> Optional[float]:
        """How long to wait for what is still to come of these calls: 0 is not at all; None is until it changes."""
        if any(call.open or call.response_id in self._running for call in calls):
            return None
        now = time.monotonic()
        ends = [call.begun + slow if call.begun else self._last_sign + SIGN_SECONDS for call in calls if not call.over]
        return max(0.0, max(ends, default=now) - now)
