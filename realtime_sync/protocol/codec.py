"""A frame's text to an update, a command to a frame's text.

Reading never raises for what a server says. A message is structured as its class demands; where that fails, the
offending places are mended (dropped, or filled with an empty value where the class needs one) and told in
``update.faults``. Writing is strict: what cannot be sent raises ``InvalidInputError``.

The converters are in ``converters.py``; ``readers.py`` says how a message becomes an update.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import commands, updates  # noqa: F401  they fill the registry
from realtime_sync.protocol.characters import joined_or_none
from realtime_sync.protocol.converters import careful_converter, json_type, quick_converter
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.hiding import secret_extra
from realtime_sync.protocol.parsing import parse
from realtime_sync.protocol.readers import Reader, check_depth, made_reader
from realtime_sync.protocol.registry import REALTIME, Command, Options, Registry
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate, UnreadableUpdate
from realtime_sync.secret import discreet

T = TypeVar("T", bound=Options)

_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_GA = Dialect.GA  # an enum finds its members in 0.1 us in Python 3.11


def decode(
    text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME, *, arrived_at: float = 0.0
) -> ConversationUpdate:
    """The update that a text frame holds; ``UnknownUpdate`` or ``UnreadableUpdate`` where it is none that we know."""
    readers = registry.ga_readers if dialect is _GA else registry.preview_readers
    try:
        message = parse(text)
        try:
            reader: Reader = readers[message["type"]]
        except (KeyError, TypeError):
            return _decoded_first(message, text, dialect, registry, arrived_at)
        return reader.at_once(message, text, arrived_at) or reader.read(message, text, arrived_at, dialect)
    except ValueError as error:
        return _unreadable(text, f"not JSON: {error}", arrived_at)
    except RecursionError:
        return _unreadable(text, "nested too deeply to be read", arrived_at)


def _decoded_first(
    message: Any, text: str, dialect: Dialect, registry: Registry, arrived_at: float
) -> ConversationUpdate:
    """The update of what is no message, or the first of its type."""
    if not isinstance(message, dict):
        return _unreadable(text, f"expected a JSON object, got {json_type(message)}", arrived_at)
    wire_type = message.get("type")
    if not isinstance(wire_type, str):
        return _unreadable(text, "the message has no type", arrived_at)
    reader = made_reader(wire_type, dialect, registry)
    if reader is not None:
        return reader.read(message, text, arrived_at, dialect)
    event_id = message.pop("event_id", None) if isinstance(message.get("event_id"), str) else None
    del message["type"]
    return UnknownUpdate(type=wire_type, event_id=event_id, extra=message, raw_content=text, arrived_at=arrived_at)


def decode_binary(frame: bytes, *, arrived_at: float = 0.0) -> ConversationUpdate:
    """The update that stands for a binary frame, which the protocol does not have."""
    told = (
        f"a binary frame of {len(frame)} bytes, which the protocol does not have; xAI sends an answer's audio so "
        "if audio.output.transport is 'binary': set it to 'json', its default"
    )
    return UnreadableUpdate(type="", raw_bytes=frame, faults=(told,), arrived_at=arrived_at)


def decode_command(text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME) -> Command:
    """The command that a client's frame holds, for servers. Strict: raises ``InvalidInputError`` where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise InvalidInputError(f"expected a JSON object, got {json_type(message)}")
    try:
        check_depth(message, text)
        message = registry.read(message, dialect)
        cls = registry.commands.get(message["type"]) if isinstance(message.get("type"), str) else None
        if cls is None:
            raise InvalidInputError(f"unknown client message {message.get('type')!r}")
        del message["type"]
        command: Command = careful_converter().structure(message, cls)
    except RecursionError as error:
        raise InvalidInputError("nested too deeply to be read") from error
    except cattrs.BaseValidationError as error:
        raise InvalidInputError("; ".join(cattrs.transform_error(error))) from error
    return command


@discreet
def decode_tool(tool: Mapping[str, Any], family: type[T]) -> T:
    """The tool of a family that JSON of the wire says. Raises ``InvalidInputError`` where it is none."""
    try:
        if not isinstance(tool.get("type"), str):
            raise InvalidInputError("it has no type")
        decoded: T = careful_converter().structure(dict(tool), family)
    except (RecursionError, InvalidInputError, cattrs.BaseValidationError) as error:
        told = isinstance(error, cattrs.BaseValidationError)
        reason = "; ".join(cattrs.transform_error(error)) if told else str(error)
        raise InvalidInputError(
            f"this is no tool ({reason}); a function's JSON is "
            '{"type": "function", "name": ..., "description": ..., "parameters": {...}}'
        ) from None
    decoded.extra = secret_extra(decoded.extra)
    return decoded


def encode(command: Command, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME) -> str:
    """A command as a frame's text. Raises ``UnsupportedByDialectError`` or another ``InvalidInputError``."""
    try:
        message = registry.write({"type": command.wire_type, **quick_converter.unstructure(command)}, dialect)
    except RecursionError as error:
        raise InvalidInputError("this cannot be sent as JSON: it holds itself, or is nested too deeply") from error
    return to_text(message)


def retold(text: str, source: Dialect, target: Dialect, registry: Registry = REALTIME) -> str:
    """A command's frame of one dialect in the other's spelling. Raises ``UnsupportedByDialectError``."""
    return to_text(registry.write(registry.read(json.loads(text), source), target))


def to_text(message: Any) -> str:
    """Compact JSON, checked to be sendable as UTF-8."""
    try:
        text = _encoder.encode(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"this cannot be sent as JSON: {error}") from error
    return sendable(text)


def sendable(text: str) -> str:
    """The text with the halves of characters that meet in it joined; raises ``InvalidInputError`` for one alone."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        whole = joined_or_none(text)
        if whole is None:
            raise InvalidInputError(
                f"this cannot be sent as JSON: there is half of a character ({error.object[error.start]!a}) in "
                "a text, as if the text had been cut, or decoded with another encoding than its own"
            ) from error
        return whole
    return text


def append_frame(audio: bytes | bytearray | memoryview, wire_type: str = "input_audio_buffer.append") -> bytes:
    """An append frame, by a short way of its own: base64 needs no JSON escaping."""
    return b'{"type":"%b","audio":"%b"}' % (wire_type.encode(), base64.b64encode(audio))


def _unreadable(text: str, fault: str, arrived_at: float) -> UnreadableUpdate:
    return UnreadableUpdate(type="", raw_content=text, faults=(fault,), arrived_at=arrived_at)
