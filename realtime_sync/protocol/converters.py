"""The cattrs converters, one quick and one careful, and what they say of fields, numbers and JSON types.

Both read a JSON object as its class demands, and give the same of what fits. The quick one's hooks take it as it is,
and raise something for all else. The careful one's errors say what is wrong, and where; ``mending.py`` reads them.
Objects are written by the quick one.
"""

from __future__ import annotations

import functools
import json
import operator
import types
from typing import Any, Callable, Literal, Optional, TypeVar, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.gen import make_dict_structure_fn, make_mapping_structure_fn, override

from realtime_sync.protocol import items, options
from realtime_sync.protocol.dialects import Json
from realtime_sync.protocol.registry import UNSET, Options, UnsetType, WireObject
from realtime_sync.protocol.tool_options import definition_of
from realtime_sync.protocol.update_base import ConversationUpdate

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]
ClassHook = Callable[[type[Any], cattrs.BaseConverter], Hook]

OURS = ("extra", "raw_content", "raw_bytes", "faults", "arrived_at")
"""Fields that this library adds; a server's field of the same name goes into `extra`."""

LOWEST, HIGHEST = -(2**53), 2**53
"""JSON's safe numbers: beyond them (and NaN, and infinity) nothing is meant, and arithmetic may fail."""

NUMBERS = frozenset({int, float})
# What is the same in JSON and in Python.
_AS_THEY_ARE: frozenset[type] = frozenset({str, bool, int, float, type(None)})
# The types of fields whose values are used as they stand in a message, with those values' own types.
_JSON_TYPES: dict[Any, type] = {**{each: each for each in _AS_THEY_ARE}, dict[str, Any]: dict}
# Updates are frozen for everyone but those who read messages.
_new, _set = object.__new__, object.__setattr__


def json_type(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    name = names.get(type(value))
    return name or ("a number" if LOWEST <= value <= HIGHEST else "a number beyond all that is meant")


def _only(kind: type[T], name: str) -> Hook:
    """Take a JSON value of this type as it is, and refuse any other."""

    def structure(value: Any, _: Any) -> T:
        if not isinstance(value, kind):
            raise TypeError(f"expected {name}, got {json_type(value)}")
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
        raise TypeError(f"expected a number, got {json_type(value)}")
    if not LOWEST <= value <= HIGHEST:  # nor is NaN
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
            raise TypeError(f"unexpected {json_type(value)}")
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
    quick_values = quick_values_of(cls, converter)
    init = cls.__init__

    def structure(value: Any, _: Any) -> Any:
        values, extra = quick_values(value)
        structured = _new(cls)  # without the advice about wrong names that ``cls(...)`` has for people
        init(structured, **values)
        if extra:
            _set(structured, "extra", extra)
        return structured

    return structure


def quick_values_of(cls: type[Any], converter: cattrs.BaseConverter) -> Callable[[Json], tuple[Json, Json]]:
    """What makes, of a JSON object, the values of a class's fields, and ``extra``."""
    attrs.resolve_types(cls)
    ways = {field.name: _way(field, converter) for field in attrs.fields(cls) if field.name not in OURS}
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
            elif is_number and not LOWEST <= told <= HIGHEST:
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
    as_it_is = {_JSON_TYPES[each]: each in NUMBERS for each in members if each in _JSON_TYPES}
    others = [each for each in members if each not in _JSON_TYPES and each is not UnsetType]
    if len(others) == 1:  # a union's hook would come to the same one
        wanted = others[0]
    if field.name == "arguments":
        return field.name, as_it_is, _arguments_hook(nullable=field.default is None), wanted
    return field.name, as_it_is, converter.get_structure_hook(wanted), wanted


def _careful_hook(cls: type[Any], converter: cattrs.BaseConverter) -> Hook:
    """Structure one class; what it has no field for goes into ``extra``."""
    ours = {field.name: override(omit=True) for field in attrs.fields(cls) if field.name in OURS}
    for field in attrs.fields(cls):
        if field.name == "arguments":
            ours["arguments"] = override(struct_hook=_arguments_hook(nullable=field.default is None))
    inner: Hook = make_dict_structure_fn(cls, converter, _cattrs_detailed_validation=True, **ours)  # type: ignore[arg-type]
    known = frozenset(field.name for field in attrs.fields(cls)) - frozenset(OURS)
    if getattr(cls, "session_type", None):
        known |= {"type"}  # the class says it

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, got {json_type(value)}")
        structured = inner(value, cls)
        if not known.issuperset(value):
            unknown = {key: value[key] for key in value if key not in known}
            _set(structured, "extra", unknown)
        return structured

    return structure


def _family_hook(converter: cattrs.BaseConverter, classes: dict[str, type[T]], unknown: type[T]) -> Hook:
    """Classes told apart by the field ``type``. Their own hooks are made on first use, see ``readers.py``."""

    def structure(value: Any, _: Any) -> Any:
        name = value.get("type") if isinstance(value, dict) else None
        return converter.structure(value, classes.get(name, unknown) if isinstance(name, str) else unknown)

    return structure


def _session_hook(converter: cattrs.BaseConverter) -> Hook:
    """A session's options by their ``type``; a translation's have none, and what some clients tell others has none."""
    kinds: dict[str, type[Any]] = {
        "realtime": options.ConversationSessionOptions,
        "transcription": options.TranscriptionSessionOptions,
    }
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
    # None is null where UNSET is absent, or the field must be there; it is absent where the class knows no UNSET.
    absent = [
        (field.name, UNSET if issubclass(cls, Options) or field.default in (UNSET, attrs.NOTHING) else None)
        for field in attrs.fields(cls)
        if field.name not in OURS
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


def _is_called(cls: Any) -> bool:
    """A class of functions, or of objects that are called as such: among what is sent, they are tools."""
    return any("__call__" in vars(base) for base in cls.__mro__)


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
    converter.register_unstructure_hook_func(_is_called, lambda tool: converter.unstructure(definition_of(tool)))
    converter.register_unstructure_hook_func(_is_described_tool, lambda tool: converter.unstructure(tool.definition))
    _register_plain_containers(converter)
    converter.register_unstructure_hook(options.ConversationToolChoice, _unstructure_tool_choice)
    _register_by_kind(converter, class_hook)
    return converter


def _register_by_kind(converter: cattrs.BaseConverter, class_hook: ClassHook) -> None:
    """What is told apart by more than the field ``type``, and then the families."""
    # By functions, because a hook for a class would hold for its subclasses too, and call itself for ever.
    choice = _structure_tool_choice(converter, class_hook)
    for base, hook in ((options.ConversationToolChoice, choice), (options.SessionOptions, _session_hook(converter))):
        converter.register_structure_hook_func(functools.partial(operator.eq, base), hook)
    for family in _families:
        _add_family(converter, *family)


def _add_family(
    converter: cattrs.BaseConverter, base: type[Any], classes: dict[str, type[Any]], unknown: type[Any]
) -> None:
    hook = _family_hook(converter, classes, unknown)
    converter.register_structure_hook_func(functools.partial(operator.eq, base), hook)


# Classes that the field ``type`` tells apart: their base, which fields name, the classes by type, and the unknown one.
_families: list[tuple[type[Any], dict[str, type[Any]], type[Any]]] = [
    (
        options.ConversationTool,
        {"function": options.ConversationFunctionTool, "mcp": options.ConversationMCPTool},
        options.UnknownTool,
    ),
    (
        items.ConversationItem,
        {attrs.fields(cls).type.default: cls for cls in items.ConversationItem.__subclasses__()},
        items.UnknownItem,
    ),
]

quick_converter = _made_converter(_quick_hook, detailed=False)


@functools.cache
def careful_converter() -> cattrs.Converter:
    """The converter whose errors say what is wrong, and where. On first use: most sessions need none."""
    return _made_converter(_careful_hook, detailed=True)


def add_family(base: type[Any], classes: dict[str, type[Any]], unknown: type[Any]) -> None:
    """Classes that the field ``type`` tells apart, of a vocabulary that is imported later than this module.

    Args:
        base: The class that fields name.
        classes: By ``type``.
        unknown: For all other types; what it has no field for is in its ``extra``.
    """
    _families.append((base, classes, unknown))
    _add_family(quick_converter, base, classes, unknown)
    careful_converter.cache_clear()
