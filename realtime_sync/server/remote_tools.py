"""Remote MCP servers as the service has them: their tools are listed, approvals asked for, calls made.

There is no MCP server behind it: what a call returns is in the responder's ``MCPCall``. The order of events is that
of OpenAI's service (its own Ruby example and its .NET library's live tests, 2026-08): the response tells the call and
is done; the call is made behind it, once it is approved if that is needed; and the model goes on only when the
client asks for another response.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Mapping, Optional, Sequence, Union

from realtime_sync.server.clock import pause
from realtime_sync.server.items import Item
from realtime_sync.server.output_items import OutputMCPCall
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

MCPServers = Mapping[str, Sequence[Union[str, Json]]]
"""Tools by the label of their server: names, or whole descriptions as ``mcp_list_tools`` items hold them."""

_ANY_TOOL = ("search",)


class RemoteTools:
    """The remote tools of one session. All but the calls' threads runs under the session's lock."""

    def __init__(self, session: ServerSession, servers: Optional[MCPServers]) -> None:
        self._session = session
        self._servers = servers
        self._listed: dict[str, Json] = {}  # tools as the session or a response told them, by server label
        self._requests: dict[str, Optional[OutputMCPCall]] = {}  # by the request's id; None once it was answered
        self._approved: list[OutputMCPCall] = []  # to be made when the response that told them is done
        self._over = False
        self._waiting: set[threading.Event] = set()  # of the calls that take their time

    def list_tools(self, tools: Sequence[Json]) -> None:
        """Ask the servers that are new, or told anew, for their tools."""
        for tool in tools:
            if tool.get("type") == "mcp" and self._listed.get(tool["server_label"]) != tool:
                self._listed[tool["server_label"]] = tool
                self._list(tool)

    def _list(self, tool: Json) -> None:
        label = tool["server_label"]
        item = Item({"id": new_id("item"), "type": "mcp_list_tools", "server_label": label, "tools": []})
        previous = self._session.conversation.add(item)
        self._session.emit_item("conversation.item.added", previous, dict(item.wire))
        self._session.emit({"type": "mcp_list_tools.in_progress", "item_id": item.id})
        names = allowed_names(tool)
        found = (names or _ANY_TOOL) if self._servers is None else self._servers.get(label)
        if found is not None:
            schema = {"type": "object"}
            described = [{"name": it, "input_schema": schema} if isinstance(it, str) else dict(it) for it in found]
            item.wire["tools"] = [each for each in described if names is None or each["name"] in names]
        self._session.emit_item("conversation.item.done", previous, dict(item.wire))
        outcome = "failed" if found is None else "completed"
        self._session.emit({"type": f"mcp_list_tools.{outcome}", "item_id": item.id})

    def call_was_said(self, call: OutputMCPCall) -> None:
        """The model has said a call: it is made when the response is done, or approval is asked for."""
        wire = call.item.wire
        if not needs_approval(self._listed.get(wire["server_label"]), wire["name"]):
            self._approved.append(call)
            return
        told = {key: wire[key] for key in ("server_label", "name", "arguments")}
        request = Item({"id": new_id("mcpr"), "type": "mcp_approval_request", **told})
        wire["approval_request_id"] = request.id
        self._requests[request.id] = call
        self._session.add_item(request)

    def check_answer(self, answer: Json) -> None:
        """Raise ``Refused`` if an ``mcp_approval_response`` answers nothing that is asked."""
        request_id = answer["approval_request_id"]
        if self._requests.get(request_id) is None:
            told = "was answered already" if request_id in self._requests else "does not exist"
            message = f"Approval request with id '{request_id}' {told}."
            raise Refused("invalid_value", message, "item.approval_request_id")

    def answer(self, answer: Json) -> None:
        """Take in an answer that was checked."""
        call = self._requests[answer["approval_request_id"]]
        assert call is not None
        self._requests[answer["approval_request_id"]] = None
        if answer["approve"]:
            self._approved.append(call)
            self.make_calls()
            return
        reason = answer.get("reason") or "no reason given"
        call.item.wire["error"] = {"type": "tool_execution_error", "message": f"The call was not approved: {reason}"}
        call.finish()

    def make_calls(self) -> None:
        """Make the calls that may be made: those of responses that are done."""
        ready = [call for call in self._approved if call.run.cancelled.is_set()]
        self._approved = [call for call in self._approved if call not in ready]
        for call in ready:
            self._session.start_thread(lambda call=call: self._make(call), f"mcp-{call.item.wire['id']}")  # type: ignore[misc]

    def abandon(self) -> None:
        """The session has ended: wait for no call."""
        self._over = True
        for wake in self._waiting:
            wake.set()

    def _make(self, call: OutputMCPCall) -> None:
        with self._session.lock:
            call.tell("in_progress")
            wake = threading.Event()
            self._waiting.add(wake)
        pause(self._session.clock, call.call.delay, wake, lambda: self._over)
        with self._session.lock:
            self._waiting.discard(wake)
            call.item.wire["output"], call.item.wire["error"] = call.call.result
            call.finish("completed" if call.item.wire["error"] is None else "failed")


def allowed_names(tool: Json) -> Optional[Sequence[str]]:
    """The names of the tools that the session allows of a server; None: all."""
    allowed = tool.get("allowed_tools")
    names = allowed.get("tool_names") if isinstance(allowed, dict) else allowed
    return list(names) if names else None


def needs_approval(tool: Optional[Json], name: str) -> bool:
    """Whether a call of this tool must be approved; if nothing is said, it must."""
    policy = (tool or {}).get("require_approval") or "always"
    if isinstance(policy, str):
        return policy != "never"
    never = policy.get("never") or {}
    always = policy.get("always")
    if name in (never.get("tool_names") or ()):
        return False
    # A list of those that always need it says of the others that they do not.
    return always is None or name in (always.get("tool_names") or (name,))
