"""GA and preview: the one table of their differences, and the rewriting of plain dicts both ways.

Everything above this module sees the *canonical* layout: messages with GA names and values, in which the settings
of sessions and responses are flat, named as the option classes name them (``voice``, ``input_audio_format``,
``turn_detection_options``). On the wire GA nests them (``session.audio.output.voice``) and preview spells them
otherwise (``session.input_audio_transcription``).

- ``read(message, dialect)``: wire to canonical. Lenient: either spelling is understood on any connection.
- ``write(message, dialect)``: canonical to wire. Strict: what the dialect cannot say raises.
- ``translate(message, source, target)``: wire to wire, for a server; what the target cannot say is left out.

No function changes its argument. Values that are not understood are passed on as they are.
"""

from __future__ import annotations

import enum
from typing import Any, Callable, Literal, Optional

import attrs

from realtime_sync.errors import UnsupportedByDialectError
from realtime_sync.protocol.kinds import PREVIEW_SPELLINGS

Json = dict[str, Any]


ProtocolName = Literal["realtime", "live"]
"""Which vocabulary a session speaks: that of conversations, or that of live sessions (GPT-Live)."""


class Dialect(enum.Enum):
    """Which spelling of the protocol an endpoint speaks; a property of the endpoint, chosen once."""

    GA = "ga"
    PREVIEW = "preview"


@attrs.frozen
class Place:
    """Where one setting stands: its canonical name, its path in GA, its name in preview (None: it has no place).

    ``flat`` is a flat name that some servers tell though the dialect's schemas do not have it; it is only read.
    """

    name: str
    ga: Optional[tuple[str, ...]]
    preview: Optional[str]
    flat: Optional[str] = None


def _same(name: str, preview: bool = True) -> Place:
    return Place(name, (name,), name if preview else None)


_OUTPUT_PLACES = (
    Place("content_modalities", ("output_modalities",), "modalities"),
    _same("instructions"),
    Place("voice", ("audio", "output", "voice"), "voice"),
    Place("output_audio_format", ("audio", "output", "format"), "output_audio_format"),
    _same("tools"),
    _same("tool_choice"),
    _same("parallel_tool_calls", preview=False),
    _same("reasoning", preview=False),
    _same("prompt", preview=False),
    Place("temperature", None, "temperature"),
    Place("max_output_tokens", ("max_output_tokens",), "max_response_output_tokens"),
)
SESSION_PLACES = (
    *_OUTPUT_PLACES,
    _same("model"),
    Place("input_audio_format", ("audio", "input", "format"), "input_audio_format"),
    Place("input_transcription_options", ("audio", "input", "transcription"), "input_audio_transcription"),
    Place("input_noise_reduction_options", ("audio", "input", "noise_reduction"), "input_audio_noise_reduction"),
    Place("turn_detection_options", ("audio", "input", "turn_detection"), "turn_detection"),
    Place("output_speed", ("audio", "output", "speed"), None, flat="speed"),
    Place("target_language", ("audio", "output", "language"), None),
    _same("tracing", preview=False),
    _same("truncation", preview=False),
    _same("include", preview=False),
)
RESPONSE_PLACES = (*_OUTPUT_PLACES, _same("conversation"), _same("metadata"), Place("input_items", ("input",), "input"))


class _Table:
    """Places as they are looked for: by what a message holds, not one after the other."""

    def __init__(self, places: tuple[Place, ...]) -> None:
        self.by_name = {place.name: place for place in places}
        self.formats = [name for name in self.by_name if name.endswith("_audio_format")]
        # The names by side and key, of what GA nests: ``audio.output.voice``.
        self.in_audio: dict[str, dict[str, str]] = {"input": {}, "output": {}}
        # The keys in a message, the best first, of what is flat and may be spelled otherwise than here.
        self.flat: list[tuple[str, list[str]]] = []
        for place in places:
            keys = [key for key in (place.preview, place.flat) if key]
            if place.ga and len(place.ga) > 1:
                _, side, key = place.ga
                self.in_audio[side][key] = place.name
            elif place.ga:
                keys = [place.ga[0], *keys]
            if set(keys) - {place.name}:
                self.flat.append((place.name, keys))


_SESSION, _RESPONSE = _Table(SESSION_PLACES), _Table(RESPONSE_PLACES)
_NO_PLACE = {
    Dialect.GA: "{} can only be set on preview endpoints; the GA protocol has removed it",
    Dialect.PREVIEW: "preview endpoints have no setting for {}",
}
# Fields inside a setting that preview's schemas do not know.
_NOT_IN_PREVIEW = {
    "turn_detection_options": ("idle_timeout_ms",),
    "input_transcription_options": ("languages", "keywords", "delay"),
    "input_noise_reduction_options": ("strength",),
}
# Content parts that no client may send there: the type, and what to say of it.
_PARTS_NOT_IN_PREVIEW = {
    "input_image": "no images (content part input_image)",
    "input_file": "no files (content part input_file)",
    "output_audio": "no audio of the assistant's (content part output_audio); give its words as output_text",
}
# How the types begin of the messages, of either side, that preview does not have.
_MESSAGES_NOT_IN_PREVIEW = (
    "output_audio_buffer.",
    "mcp_list_tools.",
    "response.mcp_call",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "session.close",
    "session.input_",
    "session.output_",
)
_GA_FORMATS: dict[str, Json] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
# How Qwen's service tells PCM: by a word, or in an object with a ``sample_rate`` (2026-03).
_QWEN_FORMATS: dict[str, Json] = {"pcm": {"type": "audio/pcm"}, "pcm24": {"type": "audio/pcm", "rate": 24000}}
# What vLLM's own endpoint hears. It does not tell it, and greets as nobody else does (2026-11).
_VLLM_FORMAT: Json = {"type": "audio/pcm", "rate": 16000}
_PREVIEW_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_GA_PARTS = {"text": "output_text", "audio": "output_audio"}
_PREVIEW_PARTS = {"output_text": "text", "output_audio": "audio"}
# Preview tells by the message's type what GA tells by the session's type.
_SESSION_TYPES = {"session.update": "realtime", "transcription_session.update": "transcription"}
_PREVIEW_TYPES = {ga: preview for preview, ga in PREVIEW_SPELLINGS.items()}
_PREVIEW_TYPES["conversation.item.added"] = "conversation.item.created"


# Reading: wire to canonical -----------------------------------------------------------------------------------


def read_type(wire_type: str, dialect: Dialect) -> str:
    """The GA name of a server message's type."""
    if wire_type == "conversation.item.created" and dialect is Dialect.PREVIEW:
        return "conversation.item.added"
    return PREVIEW_SPELLINGS.get(wire_type, wire_type)


def read(message: Json, dialect: Dialect = Dialect.GA) -> Json:
    """A wire message in the canonical layout, whichever spelling it uses."""
    message = dict(message)
    wire_type = message.get("type")
    if wire_type == "session.created" and "session" not in message and "id" in message:
        message["session"] = {"id": message.pop("id"), "input_audio_format": _VLLM_FORMAT}
    _change(message, "session", read_session)
    if wire_type == "error":
        message = read_error(message)
    if isinstance(wire_type, str):
        message["type"] = read_type(wire_type, dialect)
        if wire_type in _SESSION_TYPES and dialect is Dialect.PREVIEW and isinstance(message.get("session"), dict):
            message["type"] = "session.update"
            message["session"].setdefault("type", _SESSION_TYPES[wire_type])
    _change(message, "response", read_response)
    _change(message, "item", read_item)
    if wire_type in ("response.content_part.added", "response.content_part.done"):
        # Azure's preview named the part `content` for a while (rtclient's models, 2025).
        if "part" not in message and isinstance(message.get("content"), dict):
            message["part"] = message.pop("content")
        _change(message, "part", _read_part)
    return message


def _read_part(part: Json) -> Json:
    return _respelled(part, _GA_PARTS)


def read_session(session: Json) -> Json:
    """A wire session in the canonical layout. Nothing is lost: what has no place stays where it was."""
    flat = _read_places(session, _SESSION)
    detection = flat.get("turn_detection_options")
    # "Off" is null in GA, {"type": "none"} in Azure's preview, {"type": null} at xAI (2026).
    if isinstance(detection, dict) and detection.get("type", "") in (None, "none"):
        flat["turn_detection_options"] = None
    return flat


def read_error(message: Json) -> Json:
    """An ``error`` message with its details in an object; vLLM has a text there, and the code beside it (2026-08)."""
    told = message.get("error")
    if isinstance(told, dict) or not (told or "message" in message):
        return message
    rest = {key: value for key, value in message.items() if key not in ("error", "message", "code", "param")}
    beside = {key: message[key] for key in ("message", "code", "param") if key in message}
    return {**rest, "error": {**beside, **({"message": told} if told else {})}}


def read_response(response: Json) -> Json:
    """A wire response, or the parameters of one, in the canonical layout."""
    flat = _read_places(response, _RESPONSE)
    for key in ("output", "input_items"):
        if isinstance(flat.get(key), list):
            flat[key] = [read_item(item) if isinstance(item, dict) else item for item in flat[key]]
    return flat


def read_item(item: Json) -> Json:
    """A wire item with its content parts' types in the GA spelling."""
    return _with_parts_respelled(item, _GA_PARTS)


def _read_places(wire: Json, table: _Table) -> Json:
    flat: Json = {}
    rest = dict(wire)
    audio = wire.get("audio")
    if isinstance(audio, dict):
        rest["audio"] = left = dict(audio)
        for side, names in table.in_audio.items():
            inner = audio.get(side)
            if isinstance(inner, dict) and not names.keys().isdisjoint(inner):
                flat.update({names[key]: value for key, value in inner.items() if key in names})
                left[side] = {key: value for key, value in inner.items() if key not in names}
                if not left[side]:
                    del left[side]
        if flat and not left:
            del rest["audio"]
    for name, keys in table.flat:
        if name not in flat:
            for key in keys:
                if key in rest:
                    flat[name] = rest.pop(key)
                    break
    rest.update(flat)
    for name in table.formats:
        if name in rest:
            rest[name] = _read_format(rest[name])
    choice = rest.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        rest["tool_choice"] = {**{k: v for k, v in choice.items() if k != "function"}, **choice["function"]}
    return rest


def _read_format(told: Any) -> Any:
    if isinstance(told, str):
        return _GA_FORMATS.get(told, _QWEN_FORMATS.get(told, {"type": told}))
    known = _QWEN_FORMATS.get(str(told.get("type"))) if isinstance(told, dict) else None
    if known is None:
        return told
    rest = {key: value for key, value in told.items() if key not in ("type", "sample_rate")}
    return {**known, **({"rate": told["sample_rate"]} if "sample_rate" in told else {}), **rest}


# Writing: canonical to wire -----------------------------------------------------------------------------------


def write(message: Json, dialect: Dialect, *, strict: bool = True) -> Optional[Json]:
    """A canonical message in the dialect's spelling.

    Raises ``UnsupportedByDialectError`` where the dialect has no words for it; with ``strict=False`` leaves that
    part out instead, and returns None if the whole message has no counterpart.
    """
    message = dict(message)
    if dialect is Dialect.PREVIEW:
        return _written_to_preview(message, strict)
    if message.get("type") == "transcription_session.update":
        _change(message, "session", lambda session: _flat_on_ga(session, strict))
        return message
    for key, table in (("session", _SESSION), ("response", _RESPONSE)):
        if isinstance(message.get(key), dict):
            message[key] = _written_to_ga(message[key], table, strict)
    return message


def translate(message: Json, source: Dialect, target: Dialect) -> Optional[Json]:
    """A wire message of one dialect as a wire message of the other; None if the other has none (for servers)."""
    return write(read(message, source), target, strict=False)


def _put_to_places(flat: Json, table: _Table, dialect: Dialect, strict: bool) -> Json:
    """Flat settings at the dialect's places for them, in its spelling."""
    preview = dialect is Dialect.PREVIEW
    rest: Json = {}
    wire: Json = {}
    for name, value in flat.items():
        place = table.by_name.get(name)
        if place is None:
            rest[name] = value
        elif preview and place.preview:
            wire[place.preview] = _preview_value(name, value, strict)
        elif not preview and place.ga:
            _put(wire, place.ga, _detection_on_ga(value) if name == "turn_detection_options" else value)
        else:
            _refuse(strict, _NO_PLACE[dialect].format(name))
    return _merged(wire, rest) if rest else wire


def _written_to_ga(flat: Json, table: _Table, strict: bool) -> Json:
    if flat.get("type") == "transcription":
        _check_no_modalities(flat, strict)
    return _put_to_places(flat, table, Dialect.GA, strict)


def _check_no_modalities(flat: Json, strict: bool) -> None:
    if "content_modalities" in flat:
        _refuse(strict, _NO_PLACE[Dialect.GA].format("content_modalities"))


def _refuse(strict: bool, why: str) -> None:
    """Raise for what the dialect cannot say, unless it is to be left out."""
    if strict:
        raise UnsupportedByDialectError(why)


def _flat_on_ga(flat: Json, strict: bool) -> Json:
    """The session of GA's older message for transcription sessions, which has kept preview's shape."""
    _check_no_modalities(flat, strict)
    flat = dict(flat)
    if "turn_detection_options" in flat:
        flat["turn_detection_options"] = _detection_on_ga(flat["turn_detection_options"])
    if isinstance(flat.get("input_audio_format"), dict):
        flat["input_audio_format"] = _flat_format("input_audio_format", flat["input_audio_format"], strict)
    names = {place.name: place.preview for place in SESSION_PLACES}
    return {names.get(name) or name: value for name, value in flat.items() if name != "type"}


def _detection_on_ga(value: Any) -> Any:
    return None if isinstance(value, dict) and value.get("type") == "none" else value


def _written_to_preview(message: Json, strict: bool) -> Optional[Json]:
    wire_type = message.get("type")
    if isinstance(wire_type, str) and wire_type.startswith(_MESSAGES_NOT_IN_PREVIEW):
        _refuse(strict, f"preview endpoints have no {wire_type} message")
        return None
    if wire_type == "conversation.item.done":
        return None  # only a server says this; preview tells it by response.output_item.done alone
    if isinstance(wire_type, str):
        message["type"] = _PREVIEW_TYPES.get(wire_type, wire_type)
    session = message.get("session")
    if isinstance(session, dict):
        transcription = session.get("type") == "transcription"
        if transcription and isinstance(wire_type, str) and wire_type.startswith("session."):
            message["type"] = f"transcription_{wire_type}"
        message["session"] = _preview_session(session, transcription, strict)
    _change(message, "response", lambda response: _preview_response(response, wire_type == "response.create", strict))
    _change(message, "item", lambda item: _preview_item(item, strict))
    _change(message, "part", lambda part: _respelled(part, _PREVIEW_PARTS))
    return message


def _preview_session(flat: Json, transcription: bool, strict: bool) -> Json:
    flat = {key: value for key, value in flat.items() if key != "type"}
    include = flat.pop("include", None) if transcription else None
    wire = _put_to_places(flat, _SESSION, Dialect.PREVIEW, strict)
    # Preview knows "off" as an object, not as null (Azure, 2024-10-01-preview).
    if "turn_detection" in wire and wire["turn_detection"] is None:
        wire["turn_detection"] = {"type": "none"}
    if include is not None:
        wire["include"] = include
    return wire


def _preview_response(flat: Json, is_request: bool, strict: bool) -> Json:
    wire = _put_to_places(flat, _RESPONSE, Dialect.PREVIEW, strict)
    if not is_request and "max_response_output_tokens" in wire:  # a response object keeps GA's name
        wire["max_output_tokens"] = wire.pop("max_response_output_tokens")
    for key in ("output", "input"):
        if isinstance(wire.get(key), list):
            wire[key] = [_preview_item(item, strict) if isinstance(item, dict) else item for item in wire[key]]
    return wire


def _preview_item(item: Json, strict: bool) -> Json:
    if str(item.get("type", "")).startswith("mcp_"):
        _refuse(strict, f"preview endpoints have no {item['type']} items")
    parts = item["content"] if isinstance(item.get("content"), list) else []
    lacking = [_PARTS_NOT_IN_PREVIEW.get(str(part.get("type"))) for part in parts if isinstance(part, dict)]
    if any(lacking):
        _refuse(strict, f"preview endpoints take {next(filter(None, lacking))}")
    return _with_parts_respelled(item, _PREVIEW_PARTS)


def _preview_value(name: str, value: Any, strict: bool) -> Any:
    """A setting's value in preview's spelling."""
    if isinstance(value, list):
        return _preview_list(name, value, strict)
    if not isinstance(value, dict):
        return value
    if name.endswith("_audio_format"):
        return _flat_format(name, value, strict)
    if name == "tool_choice":
        return _preview_tool_choice(value, strict)
    if name == "voice" and "id" in value:
        _refuse(strict, "preview endpoints have no custom voices; give the name of one of theirs")
    forbidden = [key for key in _NOT_IN_PREVIEW.get(name, ()) if key in value]
    if forbidden:
        _refuse(strict, f"preview endpoints have no setting for {name}.{forbidden[0]}")
    return {key: part for key, part in value.items() if key not in forbidden}


def _preview_list(name: str, value: list[Any], strict: bool) -> list[Any]:
    if name == "content_modalities" and value == ["audio"] and strict:
        return ["audio", "text"]  # its words for audio with a transcript; it refuses audio alone, and GA both
    if name != "tools":
        return value
    known = [tool for tool in value if not (isinstance(tool, dict) and tool.get("type") == "mcp")]
    if len(known) < len(value):
        _refuse(strict, "preview endpoints have no MCP tools; give function tools only")
    return known


def _flat_format(name: str, value: Json, strict: bool) -> Any:
    """The one word that preview, and GA's older message for transcription sessions, have for a format."""
    lacking = "preview endpoints, and the message transcription_session.update, have no setting for"
    told = value.get("rate")
    if told not in (None, 24000 if value.get("type") == "audio/pcm" else 8000):
        _refuse(strict, f"{lacking} {name}.rate; it cannot be {told}")
    more = [key for key in value if key not in ("type", "rate")]
    if more:
        _refuse(strict, f"{lacking} {name}.{more[0]}")
    return _PREVIEW_FORMATS.get(str(value.get("type")), value.get("type"))


def _preview_tool_choice(value: Json, strict: bool) -> Any:
    if value.get("type") == "function":
        return {"type": "function", "function": {key: told for key, told in value.items() if key != "type"}}
    if value.get("type") != "mcp":
        return value
    _refuse(strict, "preview endpoints have no MCP tools; tool_choice can only be a function")
    return "auto"


# Plain dicts -----------------------------------------------------------------------------------------------


def _change(message: Json, key: str, change: Callable[[Json], Json]) -> None:
    inner = message.get(key)
    if isinstance(inner, dict):
        message[key] = change(inner)


def _respelled(part: Json, spellings: dict[str, str]) -> Json:
    part_type = part.get("type")
    return {**part, "type": spellings[part_type]} if isinstance(part_type, str) and part_type in spellings else part


def _with_parts_respelled(item: Json, spellings: dict[str, str]) -> Json:
    content = item.get("content")
    if not isinstance(content, list):
        return item
    return {**item, "content": [_respelled(part, spellings) if isinstance(part, dict) else part for part in content]}


def _put(wire: Json, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        wire = wire.setdefault(key, {})
    wire[path[-1]] = value


def _merged(wire: Json, rest: Json) -> Json:
    """``rest`` laid over ``wire``, dict into dict, so that ``extra`` can reach nested places."""
    merged = dict(wire)
    for key, value in rest.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
