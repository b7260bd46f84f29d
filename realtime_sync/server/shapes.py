"""What each client message may hold, read off the classes of ``protocol``.

The classes say which fields there are, of which types, and where a setting stands in GA's messages. They are
more open than the service, because a client must be able to say what a later service understands. What the service
demands beyond them (GA, 2026-08) stands in the tables here: bounds, words, what is required. What is not required may
be null.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any, Callable, Collection, Literal, Mapping, Optional, Sequence, Union

import attrs

from realtime_sync.protocol import commands as _commands  # noqa: F401  its import fills the registry
from realtime_sync.protocol import items, options
from realtime_sync.protocol.dialects import RESPONSE_PLACES, SESSION_PLACES, Place
from realtime_sync.protocol.registry import REALTIME, UnsetType
from realtime_sync.server import checks
from realtime_sync.server.checks import Check, anything, array_of, by_tag, either, integer, one_of, record
from realtime_sync.server.tool_schemas import check_parameters
from realtime_sync.server.wire import Json, Refused

# In the order in which the live service lists them (2026-09).
_CLIENT_TYPES = (
    "session.update session.close input_audio_buffer.append session.input_audio_buffer.append "
    "input_audio_buffer.commit input_audio_buffer.clear conversation.item.create conversation.item.truncate "
    "conversation.item.delete conversation.item.retrieve response.create response.cancel"
)
CLIENT_TYPES = tuple(_CLIENT_TYPES.split())
CALL_TYPES = (*CLIENT_TYPES, "output_audio_buffer.clear")  # of connections to a call alone
_UNIONS = (Union, types.UnionType)
# In the order in which the service lists them (2026-08); it has three more for text to speech alone.
_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
_REQUIRED: Mapping[type, Sequence[str]] = {
    options.CustomVoice: ("id",),
    options.InputNoiseReductionOptions: ("type",),
    options.TruncationOptions: ("retention_ratio",),
    items.MessageItem: ("role", "content"),
    items.FunctionCallItem: ("name", "arguments"),
    items.FunctionCallOutputItem: ("call_id", "output"),
    items.MCPApprovalResponseItem: ("approval_request_id", "approve"),
    items.ItemReference: ("id",),
}


def _modalities(value: object, path: str) -> None:
    array_of(checks.string)(value, path)
    # GA answers in one modality; audio always brings its transcript.
    if value not in (["text"], ["audio"]):
        message = f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        raise Refused("invalid_value", message, path)


def _metadata(value: Any, path: str) -> None:
    checks.json_object(value, path)
    for key, entry in value.items():
        checks.string_up_to(512)(entry, f"{path}.{key}")
    if len(value) > 16:
        message = (
            f"Invalid '{path}': too many properties. Expected an object with at most 16 properties, but got an object "
            f"with {len(value)} properties instead."
        )
        raise Refused("object_above_max_properties", message, path)


# Checks of fields, by name or by class and name, that are stricter than their types.
_STRICTER: dict[str, Check] = {
    "model": checks.string,  # a deployment has a name of its own, and so have the models that a test makes up
    "type": anything,  # it was looked up by this
    "role": anything,
    "session": checks.json_object,  # checked by itself, once its kind is known
    "event_id": checks.string_up_to(512),
    "ConversationItem.id": checks.string_up_to(32),  # live, 2026-08
    "ConversationItem.call_id": checks.string_up_to(32),
    "ConversationItem.object": one_of("realtime.item"),
    "content_modalities": _modalities,
    "ConversationResponseOptions.metadata": _metadata,
    "ConversationFunctionTool.name": checks.name_up_to(64),
    "ConversationFunctionTool.description": checks.string_up_to(1024),  # live, 2025-01
    "InputNoiseReductionOptions.type": one_of("near_field", "far_field"),
    "max_output_tokens": either({str: one_of("inf"), int: integer(1, 4096)}),
    "output_speed": checks.number(0.25, 1.5),
    "rate": integer(24000, 24000),
    "threshold": checks.number(0.0, 1.0),
    "prefix_padding_ms": integer(0),
    "silence_duration_ms": integer(0),
    "idle_timeout_ms": integer(5000, 30000),
    "retention_ratio": checks.number(0.0, 1.0),
    "post_instructions": integer(0),
    "content_index": integer(0),
    "audio_end_ms": integer(0),
}
_BY_CLASS: dict[type, Check] = {}  # of classes that are told apart by a tag
_BY_TYPE: Mapping[type, Check] = {
    str: checks.string,
    int: integer(),
    float: checks.number(),
    bool: checks.boolean,
    dict: checks.json_object,
}


def _of_class(cls: type, names: Optional[Collection[str]] = None, required: Sequence[str] = ()) -> Check:
    """The check of an object of a class: of all its fields, or of those named."""
    if names is None and cls in _BY_CLASS:
        return _BY_CLASS[cls]
    fields = _fields(cls, names)
    demanded = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING and field.name in fields]
    return record(fields, [*demanded, *_REQUIRED.get(cls, ()), *required])


def _fields(cls: type, names: Optional[Collection[str]] = None) -> dict[str, Check]:
    hints = typing.get_type_hints(cls)
    found = [field.name for field in attrs.fields(cls) if field.name != "extra"]
    return {name: _of_field(cls, name, hints[name]) for name in found if names is None or name in ("type", *names)}


def _of_field(cls: type, name: str, wanted: Any) -> Check:
    keys = [*(f"{base.__name__}.{name}" for base in cls.__mro__), name]
    return next((_STRICTER[key] for key in keys if key in _STRICTER), None) or _of_hint(wanted)


def _of_hint(wanted: Any) -> Check:
    """The check of a field's type; of several that JSON can tell apart, the one that the value has."""
    members = typing.get_args(wanted) if typing.get_origin(wanted) in _UNIONS else (wanted,)
    words = [word for member in members if typing.get_origin(member) is Literal for word in typing.get_args(member)]
    by_kind: dict[type, Check] = {str: one_of(*words)} if words else {}  # and not what the str beside them leaves open
    for member in members:
        if member not in (UnsetType, type(None)) and typing.get_origin(member) is not Literal:
            by_kind.setdefault(*_of_member(member))
    return either(by_kind) if len(by_kind) > 1 else next(iter(by_kind.values()))


def _of_member(member: Any) -> tuple[type, Check]:
    if typing.get_origin(member) is list:
        return list, array_of(_of_hint(typing.get_args(member)[0]))
    if attrs.has(member):
        return dict, _of_class(member)
    kind = typing.get_origin(member) or member
    return kind, _BY_TYPE[kind]


def _made_by(make: Callable[..., Any]) -> Check:
    """The check of an object with the fields that one of its class's constructors takes."""
    parameters = inspect.signature(make).parameters
    required = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    return _of_class(make.__self__, list(parameters), required)  # type: ignore[attr-defined]


def _of_settings(cls: type, places: Sequence[Place], **otherwise: Check) -> Check:
    """The check of settings that are nested as GA has them; a setting that GA has no place for is unknown."""
    settings = {**_fields(cls), **otherwise}
    tree: Json = {"type": settings["type"]} if "type" in settings else {}
    for place in places:
        if place.ga is not None and place.name in settings:
            *folders, name = place.ga
            folder = tree
            for key in folders:
                folder = folder.setdefault(key, {})
            folder[name] = settings[place.name]
    return _of_tree(tree)


def _of_tree(tree: Json) -> Check:
    return record({name: _of_tree(inner) if isinstance(inner, dict) else inner for name, inner in tree.items()})


# The classes whose fields depend on a tag ---------------------------------------------------------------------


def _mcp_tool(value: Any, path: str) -> None:
    _of_mcp_tool(value, path)
    if not any(value.get(name) for name in ("server_url", "connector_id", "tunnel_id")):
        raise checks.missing(f"{path}.server_url")


def _function_tool(value: Any, path: str) -> None:
    _of_function_tool(value, path)
    check_parameters(value, path)


def _turn_detection(value: Any, path: str) -> None:
    _of_detection(value, path)
    for name in (
        "create_response",
        "interrupt_response",
    ):  # the only ones that are known to refuse null (live, 2025-09)
        if name in value:
            checks.boolean(value[name], f"{path}.{name}")


def _part(*required: str, optional: Sequence[str] = ()) -> Check:
    return _of_class(items.ConversationContentPart, [*required, *optional], required)


def _message(**parts: Check) -> Check:
    fields = {**_fields(items.MessageItem), "content": array_of(by_tag("type", parts))}
    return record(fields, _REQUIRED[items.MessageItem])


_of_mcp_tool = _of_class(options.ConversationMCPTool)
_choice = options.ConversationToolChoice
_STRICTER["tool_choice"] = either(
    {
        str: one_of("none", "auto", "required"),
        dict: by_tag("type", {"function": _made_by(_choice.function), "mcp": _made_by(_choice.mcp)}),
    }
)
_STRICTER["voice"] = either({str: one_of(*_VOICES), dict: _of_class(options.CustomVoice)})
_detection = options.TurnDetectionOptions
_of_detection = by_tag(
    "type", {"server_vad": _made_by(_detection.server_vad), "semantic_vad": _made_by(_detection.semantic_vad)}
)
_BY_CLASS[_detection] = _turn_detection
_format = options.AudioFormat
_g711 = _of_class(_format, names=())
_BY_CLASS[_format] = by_tag("type", {"audio/pcm": _of_class(_format), "audio/pcmu": _g711, "audio/pcma": _g711})
_BY_CLASS[options.TruncationOptions] = by_tag("type", {"retention_ratio": _of_class(options.TruncationOptions)})
_of_function_tool = _of_class(options.ConversationFunctionTool)
_BY_CLASS[options.ConversationTool] = by_tag("type", {"function": _function_tool, "mcp": _mcp_tool})
_MESSAGES = {
    "system": _message(input_text=_part("text")),
    "user": _message(
        input_text=_part("text"),
        input_audio=_part("audio", optional=["transcript"]),
        input_image=_part("image_url", optional=["detail"]),
    ),
    "assistant": _message(output_text=_part("text"), output_audio=_part(optional=["audio", "transcript"])),
}
_ITEMS = {
    "message": by_tag("role", _MESSAGES),
    "function_call": _of_class(items.FunctionCallItem),
    "function_call_output": _of_class(items.FunctionCallOutputItem),
    "mcp_approval_response": _of_class(items.MCPApprovalResponseItem),
}
_BY_CLASS[items.ConversationItem] = by_tag("type", _ITEMS)
_STRICTER["input_items"] = array_of(by_tag("type", {**_ITEMS, "item_reference": _of_class(items.ItemReference)}))
_BY_CLASS[options.ConversationResponseOptions] = _of_settings(options.ConversationResponseOptions, RESPONSE_PLACES)

_transcription = options.InputTranscriptionOptions
_transcription_places = [place for place in SESSION_PLACES if place.name != "content_modalities"]  # preview's alone
_SESSIONS = {
    "realtime": _of_settings(options.ConversationSessionOptions, SESSION_PLACES, type=anything),
    "transcription": _of_settings(options.TranscriptionSessionOptions, _transcription_places, type=anything),
    "translation": _of_settings(
        options.TranslationSessionOptions,
        SESSION_PLACES,
        type=one_of("translation"),
        input_transcription_options=_of_class(_transcription, ["model"], ["model"]),
    ),
}
_MESSAGE_TYPES = {wire_type: _of_class(REALTIME.commands[wire_type]) for wire_type in CALL_TYPES}


def check_message(message: Json, supported: Sequence[str] = CLIENT_TYPES) -> None:
    """Raise ``Refused`` if the message's type, fields or values are not the protocol's.

    What a ``session.update`` holds is for ``check_session``.
    """
    wire_type = message.get("type")
    if wire_type is None:
        raise Refused("invalid_event", "The 'type' field is missing.")
    if wire_type not in supported:
        raise checks.wrong_value(wire_type, "type", supported)
    _MESSAGE_TYPES[wire_type]({key: value for key, value in message.items() if key != "type"}, "")


def check_session(session: Json, own_type: str) -> None:
    """Raise ``Refused`` if the settings are not those of a session of this type.

    ``own_type``: ``realtime``, ``transcription`` or ``translation``; the last one is alone on its path, and need not
    be told.
    """
    if own_type != "translation":
        told, known = session.get("type"), ("realtime", "transcription")
        if told is None:
            raise checks.missing("session.type")
        if told not in known:
            raise checks.wrong_value(told, "session.type", known)
        if told != own_type:
            message = f"Passing a {told} session update event to a {own_type} session is not allowed."
            raise Refused("invalid_value", message, "session.type")
    _SESSIONS[own_type](session, "session")
