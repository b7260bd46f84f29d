"""What each client message of a live session may hold."""

from __future__ import annotations

from typing import Any, Mapping

from realtime_sync.server import checks
from realtime_sync.server.checks import Check, anything, by_tag, json_object, record, string
from realtime_sync.server.wire import Json, Refused

_ID: Mapping[str, Check] = {"type": anything, "event_id": checks.string_up_to(512)}


def _message(*required: str, **fields: Check) -> Check:
    return record({**_ID, **fields}, required)


_MESSAGE_ITEM = record(
    {
        "type": anything,
        "role": checks.one_of("user", "developer", "system", "assistant"),
        "content": anything,
        **dict.fromkeys(("id", "status", "phase"), string),
    },
    ["role", "content"],
)
_OUTPUT_ITEM = record(
    {
        **dict.fromkeys(("type", "output", "caller"), anything),
        **dict.fromkeys(("call_id", "id", "status", "name", "namespace"), string),
    },
    ["call_id", "output"],
)
# The other items of the Responses API: kept, and not looked at.
_OTHER_ITEMS = (
    "additional_tools apply_patch_call apply_patch_call_output code_interpreter_call compaction compaction_trigger "
    "computer_call computer_call_output configuration_update custom_tool_call custom_tool_call_output file_search_call "
    "function_call image_generation_call item_reference local_shell_call local_shell_call_output mcp_approval_request "
    "mcp_approval_response mcp_call mcp_list_tools program program_output reasoning shell_call shell_call_output "
    "tool_search_call tool_search_output web_search_call"
)
_any_item = by_tag(
    "type",
    {
        "message": _MESSAGE_ITEM,
        "function_call_output": _OUTPUT_ITEM,
        **dict.fromkeys(_OTHER_ITEMS.split(), anything),
    },
)


def _item(value: Any, path: str) -> None:
    json_object(value, path)
    is_easy = value.get("type") is None and "role" in value  # a message need not say that it is one
    (_MESSAGE_ITEM if is_easy else _any_item)(value, path)


_append = _message("content", "delegation_id", content=string, delegation_id=checks.nullable(string))
_MESSAGES: Mapping[str, Check] = {
    "session.start": _message("session", session=json_object),
    "session.update": _message("session", session=json_object),
    "session.input_audio.append": _message("audio", audio=string),
    "session.input_audio.mute": _message(),
    "session.input_audio.unmute": _message(),
    "session.output_audio.fixture.play": _message("audio", audio=string),
    "session.instructions.append": _append,
    "session.thinking.append": _append,
    "session.commentary.append": _append,
    "decision.create": _message("event_id"),
    "decision.item.create": _message("item", item=json_object),
    "decision.item.delete": _message("item_id", item_id=string),
    "response.item.create": _message("item", item=_item),
    "response.create": _message(),
    "session.close": _message(),
}


def check_message(message: Json, besides: Mapping[str, Check] = {}) -> None:
    """Raise ``Refused`` if the message's type, fields or values are not the protocol's.

    ``besides``: what another kind of connection may send, by its type.
    """
    wire_type = message.get("type")
    if wire_type is None:
        raise checks.missing("type")
    shapes = {**_MESSAGES, **besides}
    if not isinstance(wire_type, str) or wire_type not in shapes:
        listed = ", ".join(f"'{name}'" for name in shapes)
        raise Refused("invalid_event", f"Unknown event '{wire_type}'. Supported events are: {listed}.", "type")
    shapes[wire_type](message, "")
