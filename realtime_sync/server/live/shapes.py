"""What each client message of a live session may hold."""

from __future__ import annotations

from typing import Any, Mapping

from realtime_sync.server import checks
from realtime_sync.server.checks import Check, anything, by_tag, json_object, record, string
from realtime_sync.server.wire import Json, Refused

_ID: Mapping[str, Check] = {"type": anything, "event_id": checks.string_up_to(512)}


def _message(*required: str, **fields: Check) -> Check:
    return record({**_ID, **fields}, required)


def _nullable_string(value: Any, path: str) -> None:
    if value is not None:
        string(value, path)


_item = by_tag(
    "type",
    {
        "message": record(
            {"type": anything, "role": checks.one_of("user", "developer", "system"), "content": anything, "id": string},
            ["role", "content"],
        ),
        "function_call_output": record(
            {"type": anything, "call_id": string, "output": anything, "id": string, "status": string},
            ["call_id", "output"],
        ),
    },
)
_append = _message("content", "delegation_id", content=string, delegation_id=_nullable_string)
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
SUPPORTED = tuple(_MESSAGES)


def check_message(message: Json, **besides: Check) -> None:
    """Raise ``Refused`` if the message's type, fields or values are not the protocol's.

    ``besides``: what another kind of connection may send, by its type with ``_`` for each dot.
    """
    wire_type = message.get("type")
    if wire_type is None:
        raise checks.missing("type")
    shapes = {**_MESSAGES, **{name.replace("_", "."): shape for name, shape in besides.items()}}
    if wire_type not in shapes:
        listed = ", ".join(f"'{name}'" for name in shapes)
        raise Refused("invalid_event", f"Unknown event '{wire_type}'. Supported events are: {listed}.", "type")
    shapes[wire_type](message, "")
