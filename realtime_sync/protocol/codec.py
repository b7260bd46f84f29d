"""The cattrs converters: a frame's text to an update, a command to a frame's text.

Reading never raises for what a server says. A message is structured as its class demands; where that fails, the
offending places are mended (dropped, or filled with an empty value where the class needs one) and told in
``update.faults``. Writing is strict: what cannot be sent raises ``InvalidInputError``.

A message is read in one of three ways, of which each gives what the next one gives:

- *At once*: deltas and the like hold texts and numbers alone, which are used as they are. If a message's values are of
  the same types as those of one that was read before, its update is made of the message itself (``_Reader.at_once``).
- *Quickly*: by a converter whose hooks take what fits as it is, and raise something for all else (``_quick_hook``).
- *Carefully*: by a converter whose errors say what is wrong, and where (``careful_converter``). It is asked when the
  quick one has raised, and it reads commands. What it says of a message holds.

``tests/protocol/test_ways_of_reading.py`` compares them.
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
from realtime_sync.protocol.characters import all_joined, joined_or_none
from realtime_sync.protocol.dialects import Dialect, Json, read, read_type, write
from realtime_sync.protocol.parsing import parse
from realtime_sync.protocol.registry import REALTIME, UNSET, Command, Options, Registry, UnsetType, WireObject
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate, UnreadableUpdate

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
ClassHook = Callable[[type[Any], cattrs.BaseConverter], Hook]

# Fields that this library adds; a server's field of the same name goes into `extra`.
_OURS = ("extra", "raw_content", "raw_bytes", "faults", "arrived_at")
# JSON's safe numbers: beyond them (and NaN, and infinity) nothing is meant, and arithmetic may fail.
_LOWEST, _HIGHEST = -(2**53), 2**53
_NUMBERS = frozenset({int, float})
# What is the same in JSON and in Python.
_AS_THEY_ARE: frozenset[type] = frozenset({str, bool, int, float, type(None)})
# The types of fields whose values are used as they stand in a message, with those values' own types.
_JSON_TYPES: dict[Any, type] = {**{each: each for each in _AS_THEY_ARE}, dict[str, Any]: dict}
# The types of fields of the updates that may be made at once.
_PLAIN = (str, int, float, Optional[str], Optional[int], Optional[float])
# The types of defaults that all objects may share.
_DEFAULTS = (type(None), bool, str, int, float, tuple, UnsetType)
# The fields that a reader puts into each update.
_PUT = ("raw_content", "extra", "arrived_at")
# Updates are frozen for everyone but the codec.
_new, _set = object.__new__, object.__setattr__
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_GA = Dialect.GA  # an enum finds its members in 0.1 us in Python 3.11
# A text with no more brackets is not nested too deeply.
_SURELY_FLAT = 300
# A message nests at most six classes deep and each pass mends a whole level, so this is never reached by data.
_MOST_PASSES = 40


def decode(
    text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME, *, arrived_at: float = 0.0
) -> ConversationUpdate:
    """The update that a text frame holds; ``UnknownUpdate`` or ``UnreadableUpdate`` where it is none that we know."""
    readers = registry.ga_readers if dialect is _GA else registry.preview_readers
    try:
        message = parse(text)
        try:
            reader: _Reader = readers[message["type"]]
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
        return _unreadable(text, f"expected a JSON object, got {_json_type(message)}", arrived_at)
    wire_type = message.get("type")
    if not isinstance(wire_type, str):
        return _unreadable(text, "the message has no type", arrived_at)
    reader = _made_reader(wire_type, dialect, registry)
    if reader is not None:
        return reader.read(message, text, arrived_at, dialect)
    event_id = message.pop("event_id", None) if isinstance(message.get("event_id"), str) else None
    del message["type"]
    return UnknownUpdate(type=wire_type, event_id=event_id, extra=message, raw_content=text, arrived_at=arrived_at)


def decode_binary(frame: bytes, *, arrived_at: float = 0.0) -> ConversationUpdate:
    """The update that stands for a binary frame, which the protocol does not have."""
    told = f"a binary frame of {len(frame)} bytes"
    return UnreadableUpdate(type="", raw_bytes=frame, faults=(told,), arrived_at=arrived_at)


def decode_command(text: str, dialect: Dialect = Dialect.GA, registry: Registry = REALTIME) -> Command:
    """The command that a client's frame holds, for servers. Strict: raises ``InvalidInputError`` where it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise InvalidInputError(f"expected a JSON object, got {_json_type(message)}")
    try:
        _check_depth(message, text)
        message = read(message, dialect)
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


# Reading ----------------------------------------------------------------------------------------------------


class _Reader:
    """How messages of one type are read. Any thread may use it: what two remember at once is the same.

    An update is made without its constructor, which takes a dozen keywords and sets a dozen attributes: that would be
    1.3 us more where a piece of text takes 2.8. So update classes have no slots, no converters and no validators.

    Args:
        cls: Their class.
        differs: True if dialects differ inside them.
    """

    def __init__(self, cls: type[ConversationUpdate], differs: bool) -> None:
        self._cls = cls
        self._differs = differs
        self._values = _quick_values(cls, _converter)
        fields = attrs.fields(cls)
        self._is_plain = all(field.type in _PLAIN or field.name in _OURS for field in fields)
        # ``...``, which no message can hold, stands for what must be put there.
        self._absent: Json = {field.name: ... for field in fields}
        self._absent.update({field.name: field.default for field in fields if type(field.default) in _DEFAULTS})
        self._absent.update(dict.fromkeys(_PUT, ...))
        self._required = frozenset(name for name, value in self._absent.items() if value is ...) - set(_PUT)
        # By the types of all values, in the order of the fields: the names of those that are numbers.
        self._seen: dict[tuple[type, ...], list[str]] = {}

    def at_once(self, message: Json, text: str, arrived_at: float) -> Optional[ConversationUpdate]:
        """The update of a message whose like was read before; None if there was none."""
        if not self._is_plain:
            return None
        update: ConversationUpdate = _new(self._cls)
        values = update.__dict__
        values |= self._absent
        values |= message
        numbers = self._seen.get(tuple(map(type, values.values())))
        if numbers is None:
            return None
        for name in numbers:
            if not _LOWEST <= values[name] <= _HIGHEST:
                return None
        values["raw_content"] = text
        values["extra"] = {}
        values["arrived_at"] = arrived_at
        return update

    def read(self, message: Json, text: str, arrived_at: float, dialect: Dialect) -> ConversationUpdate:
        """The update of any message."""
        if self._differs:
            _check_depth(message, text)
            wire_type = message["type"]
            message = read(message, dialect)
            message["type"] = wire_type
        try:
            told, extra = self._values(message)
        except Exception:
            return self._read_carefully(message, text, arrived_at)
        if not self._required <= told.keys():
            return self._read_carefully(message, text, arrived_at)
        update: ConversationUpdate = _new(self._cls)
        values = update.__dict__
        values |= self._absent
        values |= told
        if self._is_plain and not extra:
            numbers = [name for name, value in values.items() if type(value) in _NUMBERS]
            self._seen[tuple(map(type, values.values()))] = numbers
        values["raw_content"] = text
        values["extra"] = extra
        values["arrived_at"] = arrived_at
        return update

    def _read_carefully(self, message: Json, text: str, arrived_at: float) -> ConversationUpdate:
        """The update of a message of which something may not be as its class demands."""
        structure = careful_converter().get_structure_hook(self._cls)
        try:
            update: ConversationUpdate = structure(message, self._cls)
        except ClassValidationError as error:
            update = _mended(message, self._cls, structure, error)
        _set(update, "raw_content", text)
        _set(update, "arrived_at", arrived_at)
        return update


def _mended(
    message: Json, cls: type[ConversationUpdate], structure: Hook, error: ClassValidationError
) -> ConversationUpdate:
    """The update of a message that is not as its class demands."""
    faults: list[str] = []
    for _ in range(_MOST_PASSES):
        _mend(message, error, "$", faults)
        try:
            update: ConversationUpdate = structure(message, cls)
        except ClassValidationError as again:
            error = again
        else:
            _set(update, "faults", tuple(faults))
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


def _unreadable(text: str, fault: str, arrived_at: float) -> UnreadableUpdate:
    return UnreadableUpdate(type="", raw_content=text, faults=(fault,), arrived_at=arrived_at)


def _check_depth(message: Json, text: str) -> None:
    """Raises RecursionError for what Python's functions cannot walk through; its JSON reader may go deeper."""
    if text.count("{") + text.count("[") > _SURELY_FLAT:
        all_joined(message)


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    name = names.get(type(value))
    return name or ("a number" if _LOWEST <= value <= _HIGHEST else "a number beyond all that is meant")


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
    if not _LOWEST <= value <= _HIGHEST:  # nor is NaN
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


def _quick_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Hook:
    """As ``_careful_hook``, three times as fast; but what it raises is only that something may be wrong.

    Nothing is compiled for it, as cattrs would: a class that is seen for the first time costs a tenth.
    """
    quick_values = _quick_values(cls, converter)

    def structure(value: Any, _: Any) -> Any:
        values, extra = quick_values(value)
        structured = cls(**values)
        if extra:
            _set(structured, "extra", extra)
        return structured

    return structure


def _quick_values(cls: type[Any], converter: cattrs.BaseConverter) -> Callable[[Json], tuple[Json, Json]]:
    """What makes, of a JSON object, the values of a class's fields, and ``extra``."""
    attrs.resolve_types(cls)
    ways = {field.name: _way(field, converter) for field in attrs.fields(cls) if field.name not in _OURS}
    told_by_class = {"type"} if getattr(cls, "session_type", None) else ()

    def quick_values(value: Json) -> tuple[Json, Json]:
        values: Json = {}
        extra: Json = {}
        for key, told in value.items():
            way = ways.get(key)
            if way is None:
                if key not in told_by_class:
                    extra[key] = told
                continue
            name, as_it_is, hook, wanted = way
            is_number = as_it_is.get(type(told))
            if is_number is None:
                values[name] = hook(told, wanted)
            elif is_number and not _LOWEST <= told <= _HIGHEST:
                raise TypeError
            else:
                values[name] = told
        return values, extra

    return quick_values


def _way(field: attrs.Attribute[Any], converter: cattrs.BaseConverter) -> tuple[str, dict[type, bool], Hook, Any]:
    """How a field is read: its name; of which types it takes a value as it is; for others, the hook and its argument.

    The types say whether they are numbers, which have bounds.
    """
    wanted: Any = field.type
    members = [wanted]
    if get_origin(wanted) in (Union, types.UnionType):  # a word that it names is one of many: any text is taken
        members = [str if get_origin(each) is Literal else each for each in get_args(wanted)]
    as_it_is = {_JSON_TYPES[each]: each in _NUMBERS for each in members if each in _JSON_TYPES}
    others = [each for each in members if each not in _JSON_TYPES and each is not UnsetType]
    if len(others) == 1:  # a union's hook would come to the same one
        wanted = others[0]
    if field.name == "arguments":
        return field.name, as_it_is, _arguments_hook(nullable=field.default is None), wanted
    return field.name, as_it_is, converter.get_structure_hook(wanted), wanted


def _careful_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Hook:
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
            _set(structured, "extra", unknown)
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


def _structure_tool_choice(converter: cattrs.BaseConverter, class_hook: ClassHook) -> Hook:
    whole = functools.cache(lambda: class_hook(options.ConversationToolChoice, converter))

    def structure(value: Any, wanted: Any) -> Any:
        return options.ConversationToolChoice(type=value) if isinstance(value, str) else whole()(value, wanted)

    return structure


def _unstructure_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Callable[[Any], Json]:
    """A class as a dict: without what is not to be sent, with ``extra``, with the session's type where it has one."""
    # None is null where UNSET is absent; it is absent where the class knows no UNSET.
    absent = [
        (field.name, UNSET if issubclass(cls, Options) or field.default is UNSET else None)
        for field in attrs.fields(cls)
        if field.name not in _OURS
    ]
    session_type: Optional[str] = getattr(cls, "session_type", None)

    def unstructure(value: Any) -> Json:
        fields: Json = {"type": session_type} if session_type else {}
        for name, nothing in absent:
            field = getattr(value, name)
            if field is not nothing:
                # By the value's own class, not the field's: a field may hold any kind of item or tool.
                fields[name] = field if type(field) in _AS_THEY_ARE else converter.unstructure(field)
        if value.extra:
            fields.update(value.extra)
        return fields

    return unstructure


def _register_plain_containers(converter: cattrs.BaseConverter) -> None:
    """Lists and dicts, of which most hold nothing but what JSON has: cattrs's hooks take three times as long."""

    def plain(value: Any) -> Any:
        return value if type(value) in _AS_THEY_ARE else converter.unstructure(value)

    converter.register_unstructure_hook(list, lambda values: [plain(value) for value in values])
    converter.register_unstructure_hook(dict, lambda values: {plain(key): plain(values[key]) for key in values})


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


def _made_converter(class_hook: ClassHook, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    add_factory = converter.register_structure_hook_factory
    converter.register_structure_hook(str, _only(str, "a string"))
    converter.register_structure_hook(bool, _only(bool, "a boolean"))
    converter.register_structure_hook(int, _structure_int)
    converter.register_structure_hook(float, _structure_float)
    add_factory(_generic(list), _container_hook(list, "an array", list_structure_factory))
    add_factory(_generic(dict), _container_hook(dict, "an object", make_mapping_structure_fn))
    add_factory(_generic(Union, types.UnionType), _union_hook)
    add_factory(_is_ours, class_hook)
    converter.register_unstructure_hook_factory(_is_ours, _unstructure_hook)
    converter.register_unstructure_hook_func(_is_described_tool, lambda tool: converter.unstructure(tool.definition))
    _register_plain_containers(converter)
    converter.register_unstructure_hook(options.ConversationToolChoice, _unstructure_tool_choice)
    _register_families(converter, class_hook)
    return converter


def _register_families(converter: cattrs.BaseConverter, class_hook: ClassHook) -> None:
    known_items: list[type[Any]] = items.ConversationItem.__subclasses__()
    item_types = {attrs.fields(cls).type.default: cls for cls in known_items}
    tools: dict[str, type[Any]] = {"function": options.ConversationFunctionTool, "mcp": options.ConversationMCPTool}
    families: list[tuple[Any, Hook]] = [
        (options.ConversationToolChoice, _structure_tool_choice(converter, class_hook)),
        (options.ConversationTool, _family_hook(converter, tools, options.UnknownTool)),
        (items.ConversationItem, _family_hook(converter, item_types, items.UnknownItem)),
        (options.SessionOptions, _session_hook(converter)),
    ]
    for base, hook in families:
        # By a function, because a hook for a class would hold for its subclasses too, and call itself for ever.
        converter.register_structure_hook_func(functools.partial(operator.eq, base), hook)


_converter = _made_converter(_quick_hook, detailed=False)


@functools.cache
def careful_converter() -> cattrs.Converter:
    """The converter whose errors say what is wrong, and where. On first use: most sessions need none."""
    return _made_converter(_careful_hook, detailed=True)


def _made_reader(wire_type: str, dialect: Dialect, registry: Registry) -> Optional[_Reader]:
    """On first use, because few sessions see all classes. Any thread may make one; what two make is the same."""
    readers = registry.ga_readers if dialect is Dialect.GA else registry.preview_readers
    # The specification's own example of a DTMF event has a blank before its type (2026-08).
    name = wire_type.strip()
    if name not in readers:
        cls = registry.updates.get(read_type(name, dialect))
        if cls is None:
            return None
        differs = not {"session", "response", "item", "part", "error"}.isdisjoint(attrs.fields_dict(cls))
        readers[name] = _Reader(cls, differs)
    reader: _Reader = readers[name]
    return reader
