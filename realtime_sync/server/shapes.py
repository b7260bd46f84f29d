"""What each client message may hold (GA, 2026-08), and the values of its enumerations."""

from __future__ import annotations

from typing import Sequence

from realtime_sync.server.wire import (
    Json,
    Refused,
    Shape,
    anything,
    array_of,
    boolean,
    by_tag,
    either,
    integer,
    json_object,
    missing,
    nullable,
    number,
    one_of,
    record,
    string,
    string_up_to,
    wrong_value,
)

# In the order in which the live service lists them (2026-09).
CLIENT_TYPES = (
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)
CALL_TYPES = (*CLIENT_TYPES, "output_audio_buffer.clear")  # of connections to a call alone

_AUDIO_FORMAT = by_tag(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": integer(24000, 24000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_TURN_DETECTION = by_tag(
    "type",
    {
        "server_vad": record(
            {
                "type": anything,
                "threshold": number(0.0, 1.0),
                "prefix_padding_ms": integer(0),
                "silence_duration_ms": integer(0),
                "create_response": boolean,
                "interrupt_response": boolean,
                "idle_timeout_ms": nullable(integer(5000, 30000)),
            }
        ),
        "semantic_vad": record(
            {
                "type": anything,
                "eagerness": one_of("low", "medium", "high", "auto"),
                "create_response": boolean,
                "interrupt_response": boolean,
            }
        ),
    },
)
_TRANSCRIPTION = record(
    {
        "model": string,
        "language": nullable(string),
        "languages": array_of(string),
        "keywords": array_of(string),
        "prompt": nullable(string),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    }
)
_AUDIO_INPUT = record(
    {
        "format": _AUDIO_FORMAT,
        "transcription": nullable(_TRANSCRIPTION),
        "noise_reduction": nullable(record({"type": one_of("near_field", "far_field")}, ["type"])),
        "turn_detection": nullable(_TURN_DETECTION),
    }
)
_VOICE = either(string=anything, object=record({"id": string}, ["id"]))
_MAX_TOKENS = either(number=integer(1, 4096), string=one_of("inf"))
_FUNCTION_TOOL = record(
    {"type": anything, "name": string, "description": nullable(string), "parameters": nullable(json_object)}, ["name"]
)
_MCP_FILTER = record({"tool_names": array_of(string), "read_only": boolean})
_MCP_TOOL = record(
    {
        "type": anything,
        "server_label": string,
        "server_url": string,
        "connector_id": string,
        "tunnel_id": string,
        "authorization": string,
        "server_description": string,
        "headers": nullable(json_object),
        "allowed_tools": nullable(either(array=array_of(string), object=_MCP_FILTER)),
        "allowed_callers": nullable(array_of(string)),
        "require_approval": nullable(
            either(string=one_of("always", "never"), object=record({"always": _MCP_FILTER, "never": _MCP_FILTER}))
        ),
        "defer_loading": boolean,
    },
    ["server_label"],
)


def _mcp_tool(value: object, path: str) -> None:
    _MCP_TOOL(value, path)
    assert isinstance(value, dict)
    if not any(value.get(name) for name in ("server_url", "connector_id", "tunnel_id")):
        raise missing(f"{path}.server_url")


_TOOLS = array_of(by_tag("type", {"function": _FUNCTION_TOOL, "mcp": _mcp_tool}))
_TOOL_CHOICE = either(
    string=one_of("none", "auto", "required"),
    object=by_tag(
        "type",
        {
            "function": record({"type": anything, "name": string}, ["name"]),
            "mcp": record({"type": anything, "server_label": string, "name": nullable(string)}, ["server_label"]),
        },
    ),
)
_INCLUDE = nullable(array_of(one_of("item.input_audio_transcription.logprobs")))


def _modalities(value: object, path: str) -> None:
    array_of(string)(value, path)
    # GA answers in one modality; audio always brings its transcript.
    if value not in (["text"], ["audio"]):
        raise Refused(
            "invalid_value",
            f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].",
            path,
        )


def _metadata(value: object, path: str) -> None:
    json_object(value, path)
    assert isinstance(value, dict)
    for key, entry in value.items():
        string_up_to(512)(entry, f"{path}.{key}")
    if len(value) > 16:
        message = (
            f"Invalid '{path}': too many properties. Expected an object with at most 16 properties, but got an object "
            f"with {len(value)} properties instead."
        )
        raise Refused("object_above_max_properties", message, path)


_RESPONSE_AUDIO = record({"output": record({"format": _AUDIO_FORMAT, "voice": _VOICE})})
_COMMON = {
    "instructions": string,
    "tools": _TOOLS,
    "tool_choice": _TOOL_CHOICE,
    "parallel_tool_calls": boolean,
    "reasoning": nullable(record({"effort": one_of("minimal", "low", "medium", "high", "xhigh")})),
    "max_output_tokens": _MAX_TOKENS,
    "prompt": nullable(record({"id": string, "version": nullable(string), "variables": nullable(json_object)}, ["id"])),
}
_TRACING = record({"workflow_name": string, "group_id": string, "metadata": json_object})
_RETENTION = record(
    {
        "type": anything,
        "retention_ratio": number(0.0, 1.0),
        "token_limits": record({"post_instructions": integer(0)}),
    },
    ["retention_ratio"],
)
_SPEED = number(0.25, 1.5)
_REALTIME_SESSION = {
    **_COMMON,
    "type": anything,
    "output_modalities": _modalities,
    "model": string,
    "audio": record(
        {"input": _AUDIO_INPUT, "output": record({"format": _AUDIO_FORMAT, "voice": _VOICE, "speed": _SPEED})}
    ),
    "include": _INCLUDE,
    "tracing": nullable(either(string=one_of("auto"), object=_TRACING)),
    "truncation": either(string=one_of("auto", "disabled"), object=by_tag("type", {"retention_ratio": _RETENTION})),
}
_TRANSCRIPTION_SESSION = {"type": anything, "audio": record({"input": _AUDIO_INPUT}), "include": _INCLUDE}

_ID = string_up_to(32)  # of items and calls (live, 2026-08)
_STATUS = one_of("completed", "incomplete", "in_progress")
_ITEM_COMMON = {"id": _ID, "object": one_of("realtime.item"), "type": anything, "status": _STATUS}


def _message(role: str, parts: dict[str, Shape]) -> Shape:
    content = array_of(by_tag("type", parts))
    return record({**_ITEM_COMMON, "role": one_of(role), "content": content}, ["role", "content"])


_TEXT_PART = record({"type": anything, "text": string}, ["text"])
_OUTPUT_AUDIO_PART = record({"type": anything, "audio": string, "transcript": nullable(string)})
_MESSAGES = by_tag(
    "role",
    {
        "system": _message("system", {"input_text": _TEXT_PART}),
        "user": _message(
            "user",
            {
                "input_text": _TEXT_PART,
                "input_audio": record({"type": anything, "audio": string, "transcript": nullable(string)}, ["audio"]),
                "input_image": record({"type": anything, "image_url": string, "detail": string}, ["image_url"]),
            },
        ),
        "assistant": _message("assistant", {"output_text": _TEXT_PART, "output_audio": _OUTPUT_AUDIO_PART}),
    },
)
_ITEMS: dict[str, Shape] = {
    "message": _MESSAGES,
    "function_call": record(
        {**_ITEM_COMMON, "call_id": _ID, "name": string, "arguments": string}, ["name", "arguments"]
    ),
    "function_call_output": record({**_ITEM_COMMON, "call_id": _ID, "output": string}, ["call_id", "output"]),
    "mcp_approval_response": record(
        {
            "id": _ID,
            "type": anything,
            "approval_request_id": string,
            "approve": boolean,
            "reason": nullable(string),
        },
        ["approval_request_id", "approve"],
    ),
}
_ITEM = by_tag("type", _ITEMS)
_INPUT_ITEM = by_tag("type", {**_ITEMS, "item_reference": record({"type": anything, "id": string}, ["id"])})
_RESPONSE = record(
    {
        **_COMMON,
        "output_modalities": _modalities,
        "audio": _RESPONSE_AUDIO,
        "conversation": one_of("auto", "none"),
        "metadata": nullable(_metadata),
        "input": nullable(array_of(_INPUT_ITEM)),
    }
)


def _envelope(fields: dict[str, Shape], required: tuple[str, ...] = ()) -> Shape:
    return record({"type": anything, "event_id": string_up_to(512), **fields}, required)


_SHAPES: dict[str, Shape] = {
    "session.update": _envelope({"session": json_object}, ("session",)),
    "session.close": _envelope({}),
    "input_audio_buffer.append": _envelope({"audio": string}, ("audio",)),
    "session.input_audio_buffer.append": _envelope({"audio": string}, ("audio",)),
    "input_audio_buffer.commit": _envelope({}),
    "input_audio_buffer.clear": _envelope({}),
    "conversation.item.create": _envelope({"previous_item_id": nullable(string), "item": _ITEM}, ("item",)),
    "conversation.item.truncate": _envelope(
        {"item_id": string, "content_index": integer(0), "audio_end_ms": integer(0)},
        ("item_id", "content_index", "audio_end_ms"),
    ),
    "conversation.item.delete": _envelope({"item_id": string}, ("item_id",)),
    "conversation.item.retrieve": _envelope({"item_id": string}, ("item_id",)),
    "response.create": _envelope({"response": nullable(_RESPONSE)}),
    "response.cancel": _envelope({"response_id": nullable(string)}),
    "output_audio_buffer.clear": _envelope({}),
}


def check_message(message: Json, supported: Sequence[str] = CLIENT_TYPES) -> None:
    """Raise ``Refused`` where the message's type, fields or values are not the protocol's.

    What a ``session.update`` holds is for ``check_session``.
    """
    wire_type = message.get("type")
    if wire_type is None:
        raise Refused("invalid_event", "The 'type' field is missing.")
    if wire_type not in supported:
        raise wrong_value(wire_type, "type", supported)
    _SHAPES[wire_type](message, "")


def check_session(session: Json, own_type: str) -> None:
    """Raise ``Refused`` where the settings are not those of a session of this type (realtime or transcription)."""
    told = session.get("type")
    if told is None:
        raise missing("session.type")
    if told not in ("realtime", "transcription"):
        raise wrong_value(told, "session.type", ("realtime", "transcription"))
    if told != own_type:
        message = f"Passing a {told} session update event to a {own_type} session is not allowed."
        raise Refused("invalid_value", message, "session.type")
    record(_REALTIME_SESSION if own_type == "realtime" else _TRANSCRIPTION_SESSION)(session, "session")


def check_translation_session(session: Json) -> None:
    """Raise ``Refused`` where the settings are not those of a translation session."""
    audio_input = record(
        {
            "transcription": nullable(record({"model": string}, ["model"])),
            "noise_reduction": nullable(record({"type": one_of("near_field", "far_field")}, ["type"])),
        }
    )
    audio = record({"input": audio_input, "output": record({"language": string})})
    record({"type": one_of("translation"), "audio": audio})(session, "session")
