"""The one cattrs converter: a frame's text to an update, a command to a frame's text.

Reading never raises for what a server says. A message is structured as its class demands; where that fails, the
offending places are mended (dropped, or filled with an empty value where the class needs one) and told in
``update.faults``. Writing is strict: what cannot be sent raises ``InvalidInputError``.
"""

from __future__ import annotations

import base64
import functools
import json
import operator
import types
from typing import Any, Callable, Literal, Optional, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.errors import AttributeValidationNote, ClassValidationError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn, override

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import commands, items, options, updates  # noqa: F401  commands, updates: fill the registry
from realtime_sync.protocol.characters import joined_or_none
from realtime_sync.protocol.dialects import Dialect, Json, read, read_type, write
from realtime_sync.protocol.parsing import parse
from realtime_sync.protocol.registry import REALTIME, UNSET, Command, Options, Registry, UnsetType, WireObject
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate, UnreadableUpdate

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

# Fields that this library adds; a server's field of the same name goes into `extra`.
_OURS = ("extra", "raw_content", "raw_bytes", "faults", "arrived_at")
# JSON's safe numbers: beyond them (and NaN, and infinity) nothing is meant, and arithmetic may fail.
_HIGHEST = 2**53
# A message nests at most six classes deep and each pass mends a whole level, so this is never reached by data.
_MOST_PASSES = 40


def decode(text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME) -> ConversationUpdate:
    """The update that a text frame holds; ``UnknownUpdate`` or ``UnreadableUpdate`` where it is none that we know."""
    try:
        message = parse(text)
        if not isinstance(message, dict):
            return _unreadable(text, f"expected a JSON object, got {_json_type(message)}")
        wire_type = message.get("type")
        if not isinstance(wire_type, str):
            return _unreadable(text, "the message has no type")
        return _read_update(message, wire_type, text, dialect, registry)
    except ValueError as error:
        return _unreadable(text, f"not JSON: {error}")
    except RecursionError:
        return _unreadable(text, "nested too deeply to be read")


def decode_binary(frame: bytes) -> ConversationUpdate:
    """The update that stands for a binary frame, which the protocol does not have."""
    return UnreadableUpdate(type="", raw_bytes=frame, faults=(f"a binary frame of {len(frame)} bytes",))


def decode_frame(frame: Union[str, bytes], dialect: Dialect, arrived_at: float) -> ConversationUpdate:
    """The update that a received frame holds, stamped with the moment."""
    update = decode(frame, dialect) if isinstance(frame, str) else decode_binary(frame)
    object.__setattr__(update, "arrived_at", arrived_at)  # frozen for everyone but the codec
    return update


def decode_command(text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME) -> Command:
    """The command that a client's frame holds, for servers. Strict: raises ``InvalidInputError`` where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise InvalidInputError(f"expected a JSON object, got {_json_type(message)}")
    try:
        message = read(message, dialect)
        cls = registry.commands.get(message["type"]) if isinstance(message.get("type"), str) else None
        if cls is None:
            raise InvalidInputError(f"unknown client message {message.get('type')!r}")
        del message["type"]
        command: Command = _converter.structure(message, cls)
    except RecursionError as error:
        raise InvalidInputError("nested too deeply to be read") from error
    except cattrs.BaseValidationError as error:
        raise InvalidInputError("; ".join(cattrs.transform_error(error))) from error
    return command


def encode(command: Command, dialect: Dialect = Dialect.GA) -> str:
    """A command as a frame's text. Raises ``UnsupportedByDialectError`` or another ``InvalidInputError``."""
    try:
        message = write({"type": command.wire_type, **_converter.unstructure(command)}, dialect)
    except RecursionError as error:
        raise InvalidInputError("this cannot be sent as JSON: it holds itself, or is nested too deeply") from error
    return to_text(message)


def to_text(message: Any) -> str:
    """Compact JSON, checked to be sendable as UTF-8."""
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"this cannot be sent as JSON: {error}") from error
    return sendable(text)


def sendable(text: str) -> str:
    """The text with the halves of characters that meet in it joined; raises ``InvalidInputError`` for one alone."""
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


# Reading ----------------------------------------------------------------------------------------------------


@attrs.frozen
class _Reader:
    """How messages of one type are read: their class, its cattrs hook, and whether dialects differ inside them."""

    cls: type[ConversationUpdate]
    structure: Hook
    differs: bool


def _read_update(message: Json, wire_type: str, text: str, dialect: Dialect, registry: Registry) -> ConversationUpdate:
    readers = registry.ga_readers if dialect is Dialect.GA else registry.preview_readers
    reader: Optional[_Reader] = readers.get(wire_type) or _made_reader(wire_type, dialect, registry, readers)
    if reader is None:
        event_id = message.pop("event_id", None) if isinstance(message.get("event_id"), str) else None
        del message["type"]
        return UnknownUpdate(type=wire_type, event_id=event_id, extra=message, raw_content=text)
    if reader.differs:
        message = read(message, dialect)
        message["type"] = wire_type
    try:
        update: ConversationUpdate = reader.structure(message, reader.cls)
    except ClassValidationError as error:
        update = _mended(message, reader, error)
    object.__setattr__(update, "raw_content", text)  # frozen for everyone but the codec
    return update


def _mended(message: Json, reader: _Reader, error: ClassValidationError) -> ConversationUpdate:
    """The update of a message that is not as its class demands."""
    faults: list[str] = []
    for _ in range(_MOST_PASSES):
        _mend(message, error, "$", faults)
        try:
            update: ConversationUpdate = reader.structure(message, reader.cls)
        except ClassValidationError as again:
            error = again
        else:
            object.__setattr__(update, "faults", tuple(faults))
            return update
    return UnknownUpdate(type=str(message.get("type")), extra=message, faults=tuple(faults))


def _mend(container: Any, error: Exception, path: str, faults: list[str]) -> None:
    """Take the places that ``error`` names out of ``container``, deepest first."""
    if not isinstance(error, (ClassValidationError, IterableValidationError)):
        return
    located: list[tuple[Any, Any]] = list(error.group_exceptions()[0])
    for exception, note in reversed(located):  # from the end, so that indexes stay right while elements go
        key = note.name if isinstance(note, AttributeValidationNote) else note.index
        place = f"{path}.{key}" if isinstance(container, dict) else f"{path}[{key}]"
        if isinstance(exception, (ClassValidationError, IterableValidationError)):
            _mend(container[key], exception, place, faults)
        elif isinstance(note, AttributeValidationNote):
            _mend_field(container, error, note, place, faults)
        else:
            faults.append(f"left out {place}: {exception}")
            del container[key]


def _mend_field(wire: Json, error: Exception, note: AttributeValidationNote, place: str, faults: list[str]) -> None:
    assert isinstance(error, ClassValidationError)
    required = attrs.fields_dict(error.cl)[note.name].default is attrs.NOTHING
    if note.name in wire:
        faults.append(f"wrong type at {place}: {_json_type(wire.pop(note.name))}")
    elif required:
        faults.append(f"missing {place}")
    if required:
        wire[note.name] = _empty(note.type)


def _empty(wanted: Any) -> Any:
    """The JSON value that means the least, of a type that a required field has."""
    simple = {str: "", int: 0, float: 0.0, bool: False}
    return simple[wanted] if wanted in simple else [] if get_origin(wanted) is list else {}


def _unreadable(text: str, fault: str) -> UnreadableUpdate:
    return UnreadableUpdate(type="", raw_content=text, faults=(fault,))


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    name = names.get(type(value))
    return name or ("a number" if -_HIGHEST <= value <= _HIGHEST else "a number beyond all that is meant")


# The converter's hooks --------------------------------------------------------------------------------------


def _only(kind: type[T], name: str) -> Hook:
    """Take a JSON value of this type as it is, and refuse any other."""

    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, kind):
            raise TypeError(f"expected {name}, got {_json_type(value)}")
        return value

    return structure


def _structure_int(value: Any, _: Any) -> int:
    number = _number(value)
    if isinstance(number, int):
        return number
    if number.is_integer():  # some servers' JSON libraries write 1000.0
        return int(number)
    raise TypeError("expected a whole number, got a fraction")


def _structure_float(value: Any, _: Any) -> float:
    return float(_number(value))


def _number(value: Any) -> Union[int, float]:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, got {_json_type(value)}")
    if not -_HIGHEST <= value <= _HIGHEST:  # nor is NaN
        raise TypeError("expected a number that can be counted with")
    number: Union[int, float] = value
    return number


def _container_hook(kind: type[Any], name: str, make: Callable[..., Hook]) -> Callable[..., Hook]:
    """A factory of hooks for lists or dicts that refuses other JSON types: a string would become a list of letters."""
    check = _only(kind, name)

    def factory(wanted: Any, converter: cattrs.BaseConverter) -> Hook:
        inner = make(wanted, converter)
        return lambda value, _: inner(check(value, kind), wanted)

    return factory


def _union_hook(wanted: Any, converter: cattrs.BaseConverter) -> Hook:
    """A union whose members have different JSON types: the value's own type says which one it is."""
    table: dict[type, tuple[Hook, Any]] = {}
    nullable = type(None) in get_args(wanted)
    for member in get_args(wanted):
        if member in (UnsetType, type(None)):
            continue
        if get_origin(member) is Literal:
            member = str
        json_type = get_origin(member) or (dict if attrs.has(member) else member)
        table[json_type] = (converter.get_structure_hook(member), member)
        if member is options.ConversationToolChoice:
            table[str] = table[dict]
    if float in table:
        table.setdefault(int, table[float])
    elif int in table:
        table.setdefault(float, table[int])

    def structure(value: Any, _: Any) -> Any:
        if value is None and nullable:
            return None
        hook = table.get(type(value))
        if hook is None:
            raise TypeError(f"unexpected {_json_type(value)}")
        return hook[0](value, hook[1])

    return structure


def _arguments_hook(*, nullable: bool) -> Hook:
    """The arguments of a call are JSON text. Some servers send the object itself: it is told as its text."""

    def structure(value: Any, _: Any) -> Optional[str]:
        if value is None and not nullable:
            raise TypeError("expected a string, got null")
        return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return structure


def _class_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Hook:
    """Structure one class; what it has no field for goes into ``extra``."""
    ours = {field.name: override(omit=True) for field in attrs.fields(cls) if field.name in _OURS}
    for field in attrs.fields(cls):
        if field.name == "arguments":
            ours["arguments"] = override(struct_hook=_arguments_hook(nullable=field.default is None))
    inner: Hook = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=True, **ours)  # type: ignore[arg-type]
    known = frozenset(field.name for field in attrs.fields(cls)) - frozenset(_OURS)
    if getattr(cls, "session_type", None):
        known |= {"type"}  # the class says it

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {_json_type(value)}")
        structured = inner(value, cls)
        if not known.issuperset(value):
            unknown = {key: value[key] for key in value if key not in known}
            object.__setattr__(structured, "extra", unknown)
        return structured

    return structure


def _family_hook(converter: cattrs.BaseConverter, classes: dict[str, type[T]], unknown: type[T]) -> Hook:
    """Classes told apart by the field ``type``. Their own hooks are made on first use, see ``_made_reader``."""

    def structure(value: Any, _: Any) -> Any:
        name = value.get("type") if isinstance(value, dict) else None
        return converter.structure(value, classes.get(name, unknown) if isinstance(name, str) else unknown)

    return structure


def _session_hook(converter: cattrs.BaseConverter) -> Hook:
    """A session's options by their ``type``; a translation's have none, and what some clients tell others has none."""
    kinds = {"realtime": options.ConversationSessionOptions, "transcription": options.TranscriptionSessionOptions}
    of_translations = {field.name for field in attrs.fields(options.TranslationSessionOptions)}

    def structure(value: Any, _: Any) -> Any:
        told = value if isinstance(value, dict) else {}
        untold = options.TranslationSessionOptions if of_translations.issuperset(told) else kinds["realtime"]
        name = told.get("type")
        cls = kinds.get(name, options.TranslationSessionOptions) if isinstance(name, str) else untold
        return converter.structure(value, cls)

    return structure


def _structure_tool_choice(converter: cattrs.BaseConverter) -> Hook:
    whole = functools.cache(lambda: _class_hook(options.ConversationToolChoice, converter))

    def structure(value: Any, wanted: Any) -> Any:
        return options.ConversationToolChoice(type=value) if isinstance(value, str) else whole()(value, wanted)

    return structure


def _unstructure_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Callable[[Any], Json]:
    """A class as a dict: without what is not to be sent, with ``extra``, with the session's type where it has one."""
    # None is null where UNSET is absent; it is absent where the class knows no UNSET.
    absent = {
        field.name: UNSET if issubclass(cls, Options) or field.default is UNSET else None
        for field in attrs.fields(cls)
        if field.name not in _OURS
    }
    session_type: Optional[str] = getattr(cls, "session_type", None)

    def unstructure(value: Any) -> Json:
        present = ((name, getattr(value, name)) for name in absent)
        # By the value's own class, not the field's: a field may hold any kind of item or tool.
        fields = {name: converter.unstructure(field) for name, field in present if field is not absent[name]}
        return {**({"type": session_type} if session_type else {}), **fields, **value.extra}

    return unstructure


def _unstructure_tool_choice(choice: options.ConversationToolChoice) -> Any:
    fields = {"type": choice.type, "name": choice.name, "server_label": choice.server_label, **choice.extra}
    present = {key: value for key, value in fields.items() if not isinstance(value, UnsetType)}
    # A word alone is a mode ("auto", "none", ...), whichever the service may add.
    return choice.type if len(present) == 1 and choice.type not in ("function", "mcp") else present


def _generic(*origins: Any) -> Callable[[Any], bool]:
    return lambda wanted: get_origin(wanted) in origins


def _is_ours(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, (WireObject, ConversationUpdate))


def _is_described_tool(cls: Any) -> bool:
    return isinstance(getattr(cls, "definition", None), property)


def _made_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    add_factory = converter.register_structure_hook_factory
    converter.register_structure_hook(str, _only(str, "a string"))
    converter.register_structure_hook(bool, _only(bool, "a boolean"))
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(float, _structure_float)
    add_factory(_generic(list), _container_hook(list, "an array", list_structure_factory))
    add_factory(_generic(dict), _container_hook(dict, "an object", make_mapping_structure_fn))
    add_factory(_generic(Union, types.UnionType), _union_hook)
    add_factory(_is_ours, _class_hook)
    converter.register_unstructure_hook_factory(_is_ours, _unstructure_hook)
    converter.register_unstructure_hook_func(_is_described_tool, lambda tool: converter.unstructure(tool.definition))
    converter.register_unstructure_hook(options.ConversationToolChoice, _unstructure_tool_choice)
    _register_families(converter)
    return converter


def _register_families(converter: cattrs.BaseConverter) -> None:
    known_items: list[type[Any]] = items.ConversationItem.__subclasses__()
    item_types = {attrs.fields(cls).type.default: cls for cls in known_items}
    tools: dict[str, type[Any]] = {"function": options.ConversationFunctionTool, "mcp": options.ConversationMCPTool}
    families: list[tuple[Any, Hook]] = [
        (options.ConversationToolChoice, _structure_tool_choice(converter)),
        (options.ConversationTool, _family_hook(converter, tools, options.UnknownTool)),
        (items.ConversationItem, _family_hook(converter, item_types, items.UnknownItem)),
        (options.SessionOptions, _session_hook(converter)),
    ]
    for base, hook in families:
        # By a function, because a hook for a class would hold for its subclasses too, and call itself for ever.
        converter.register_structure_hook_func(functools.partial(operator.eq, base), hook)


_converter = _made_converter()


def _made_reader(wire_type: str, dialect: Dialect, registry: Registry, readers: dict[str, _Reader]) -> _Reader | None:
    """On first use, because cattrs takes a millisecond a class and few sessions see all of them.

    Any thread may fill ``readers``; what two make at once is the same.
    """
    # The specification's own example of a DTMF event has a blank before its type (2026-08).
    name = wire_type.strip()
    if name in readers:
        return readers[name]
    cls = registry.updates.get(read_type(name, dialect))
    if cls is None:
        return None
    differs = not {"session", "response", "item", "part", "error"}.isdisjoint(attrs.fields_dict(cls))
    readers[name] = _Reader(cls, _converter.get_structure_hook(cls), differs)
    return readers[name]
