"""Type hints of a tool's parameters: as JSON schema (draft 2020-12), as words, and as Python values.

A ``Kind`` is all that is known of one hint. ``_SIMPLE`` lists the kinds of hints without parts; a function below makes
each kind that has parts out of the kinds of its parts. A hint that has no kind is refused.

Values are converted strictly, so that a wrong argument is reported and not bent: ``1`` is a float too and ``1.0`` an
integer, as in JSON schema; otherwise there is no ``"1"`` for ``1``, and no ``1`` for true. An object has no key that is
not one of its fields. Of a union, the first member that fits is used.
"""

from __future__ import annotations

import collections.abc
import datetime
import enum
import itertools
import json
import re
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Callable, Literal, Union, get_args, get_origin

import attrs

from realtime_sync.tools import with_pydantic
from realtime_sync.tools.docstrings import read_docstring
from realtime_sync.tools.fields import (
    NO_DEFAULT,
    Field,
    MismatchError,
    Schema,
    UndescribableError,
    fields_of,
    has_fields,
    items_of,
    own_docstring,
)
from realtime_sync.tools.results import plain_value

Classes = tuple[type[Any], ...]

# RFC 3339, but seconds, their fraction and the zone may be missing, as models often leave them out.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,6})\d*)?(?:([Zz])|([+-]\d\d):?(\d\d))?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@attrs.frozen(eq=False)
class Kind:
    """What a hint means.

    Attributes:
        schema: the JSON schema, for the model.
        words: what is expected, such as ``an integer``.
        fits: whether a parsed JSON value is of this kind; its parts are not looked at.
        convert: makes the Python value of a value that fits; raises ``MismatchError`` for its parts.
    """

    schema: Schema
    words: str
    fits: Callable[[Any], bool]
    convert: Callable[[Any], Any] = lambda value: value

    def read(self, value: Any) -> Any:
        """The Python value of a parsed JSON value. Raises ``MismatchError``."""
        if not self.fits(value):
            raise MismatchError(f": expected {self.words}, got {json_type(value)}")
        return self.convert(value)


def kind_of(hint: Any, inside: Classes = ()) -> Kind:
    """The kind of a hint.

    Args:
        hint: a resolved type hint.
        inside: the classes that are being described.

    Raises:
        UndescribableError: the hint has no kind.
    """
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:  # whose notes need not be hashable
        return _annotated_kind(hint, inside)
    if isinstance(hint, collections.abc.Hashable) and hint in _SIMPLE:
        return _SIMPLE[hint]
    if origin in (Union, types.UnionType):
        return _union_kind([kind_of(member, inside) for member in arguments])
    if origin is Literal:
        return _choice_kind(arguments)
    if origin is tuple:
        return _tuple_kind(hint, inside)
    if origin in _ARRAYS:
        return _array_kind(_ARRAYS[origin], kind_of(arguments[0] if arguments else Any, inside))
    if origin in (dict, collections.abc.Mapping):
        return _mapping_kind(arguments or (str, Any), inside)
    if isinstance(hint, type) and issubclass(hint, enum.Enum) and len(hint):
        return _choice_kind(tuple(hint))
    if with_pydantic.is_pydantics(hint):
        return _pydantic_kind(hint)
    if isinstance(hint, type) and has_fields(hint):
        return _class_kind(hint, inside)
    remedy = "it has no members" if isinstance(hint, enum.EnumMeta) else "take str, list, dict, a dataclass or the like"
    raise UndescribableError(f"{_shown(hint)} cannot be described to the model: {remedy}")


def object_kind(fields: Iterable[Field], inside: Classes = (), unknown: str = "is not known") -> Kind:
    """A JSON object with these fields and no other, which becomes a dict.

    Args:
        fields: each with the name that it has in the object.
        inside: the classes that are being described.
        unknown: what is said of other keys.

    Raises:
        UndescribableError: the hint of a field has no kind.
    """
    kinds = {field.name: _field_kind(field, inside) for field in fields}
    required = [field.name for field in fields if field.required]

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        known = [key for key in value if key in kinds]
        missing = [f".{key} is missing, expected {kinds[key].words}" for key in required if key not in value]
        surplus = [f".{key} {unknown}" for key in value if key not in kinds]
        made = _read_parts([(f".{key}", kinds[key], value[key]) for key in known], missing, surplus)
        return dict(zip(known, made, strict=True))

    schema = {
        "type": "object",
        "properties": {name: kind.schema for name, kind in kinds.items()},
        "required": required,
        "additionalProperties": False,
    }
    return Kind(schema, "an object", _is(dict), convert)


def _read_parts(
    parts: Iterable[tuple[str, Kind, Any]], missing: Iterable[str] = (), surplus: Iterable[str] = ()
) -> list[Any]:
    """Read all parts of a value, each given with its place; raises one error with the faults of all of them."""
    made: list[Any] = []
    wrong: list[str] = []
    for place, kind, value in parts:
        try:
            made.append(kind.read(value))
        except MismatchError as error:
            wrong += [place + fault for fault in error.faults]
    if faults := [*missing, *wrong, *surplus]:
        raise MismatchError(*faults)
    return made


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)


def json_type(value: Any) -> str:
    """The type of a parsed JSON value, in words."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


# Without parts ----------------------------------------------------------------------------------------------


def _is(*classes: type[Any]) -> Callable[[Any], bool]:
    return lambda value: type(value) in classes


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_integer(value: Any) -> bool:
    return type(value) is int or (isinstance(value, float) and value.is_integer())


def _float(value: float) -> float:
    if abs(value) > sys.float_info.max:  # an integer of 400 digits, or 1e999, which is JSON, too
        raise MismatchError(": the number is too large")
    return float(value)


def _datetime(text: str) -> datetime.datetime:
    found = _DATE_TIME.fullmatch(text)
    assert found is not None
    date, time, seconds, fraction, utc, hours, minutes = found.groups()
    zone = "+00:00" if utc else f"{hours}:{minutes}" if hours else ""
    try:  # one spelling, because what `fromisoformat` reads differs from version to version
        return datetime.datetime.fromisoformat(f"{date}T{time}{seconds or ':00'}.{(fraction or '0'):0<6}{zone}")
    except ValueError as error:
        raise MismatchError(f": no such date and time: {error}") from error


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise MismatchError(f": no such date: {error}") from error


_ARRAYS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    **dict.fromkeys((list, collections.abc.Iterable, collections.abc.Collection, collections.abc.Sequence), list),
    **dict.fromkeys((set, collections.abc.Set, collections.abc.MutableSet), set),
    collections.abc.MutableSequence: list,
    frozenset: frozenset,
}
_NULL = Kind({"type": "null"}, "null", _is(type(None)))
_ANYTHING = Kind({}, "any value", lambda value: True)
_SIMPLE: dict[Any, Kind] = {
    str: Kind({"type": "string"}, "a string", _is(str)),
    bool: Kind({"type": "boolean"}, "a boolean", _is(bool)),
    int: Kind({"type": "integer"}, "an integer", _is_integer, int),
    float: Kind({"type": "number"}, "a number", _is(int, float), _float),
    None: _NULL,
    type(None): _NULL,
    datetime.datetime: Kind(
        {"type": "string", "format": "date-time"},
        "a date and time like 2026-01-31T09:30:00Z",
        _matches(_DATE_TIME),
        _datetime,
    ),
    datetime.date: Kind({"type": "string", "format": "date"}, "a date like 2026-01-31", _matches(_DATE), _date),
    Any: _ANYTHING,
    object: _ANYTHING,
}


# With parts -------------------------------------------------------------------------------------------------


def _annotated_kind(hint: Any, inside: Classes) -> Kind:
    notes = get_args(hint)[1:]
    if any(type(note).__module__.partition(".")[0] == "msgspec" for note in notes):
        raise UndescribableError(f"{_shown(hint)}: what msgspec's Meta says would be lost; say it in pydantic's Field")
    kind = _pydantic_kind(hint) if with_pydantic.is_pydantics(hint) else kind_of(get_args(hint)[0], inside)
    # A text, or typing.Doc("a text").
    texts = [text for note in notes if isinstance(text := getattr(note, "documentation", note), str)]
    return _described(kind, texts[0]) if texts else kind


def _pydantic_kind(hint: Any) -> Kind:
    schema, read = with_pydantic.described(hint)
    words = {"object": "an object", "array": "an array", "string": "a string", "boolean": "a boolean"}
    words |= {"integer": "an integer", "number": "a number"}
    told = schema.get("type")  # a list of types, if the user has written so
    return Kind(schema, words.get(told, "a value") if isinstance(told, str) else "a value", lambda value: True, read)


def _described(kind: Kind, description: str) -> Kind:
    return attrs.evolve(kind, schema={**kind.schema, "description": description}) if description else kind


def _field_kind(field: Field, inside: Classes) -> Kind:
    try:
        kind = kind_of(field.hint, inside)
    except UndescribableError as error:
        raise UndescribableError(f"{field.name}: {error}") from error
    if with_pydantic.is_field_info(field.default):
        raise UndescribableError(
            f"{field.name}: only pydantic's classes understand a default Field(...); write Annotated[T, Field(...)]"
        )
    # The description of the parameter says more than its class's docstring, and less than Annotated's.
    if get_origin(field.hint) is not Annotated or "description" not in kind.schema:
        kind = _described(kind, field.description)
    if field.default is NO_DEFAULT:
        return kind
    try:
        return attrs.evolve(kind, schema={**kind.schema, "default": plain_value(field.default)})
    except (TypeError, ValueError):
        return kind  # a sentinel: the parameter is optional all the same


def _union_kind(members: list[Kind]) -> Kind:
    real = [member for member in members if member is not _NULL]
    words = " or ".join(member.words for member in members)

    def convert(value: Any) -> Any:
        if value is None and _NULL in members:
            return None
        if len(real) == 1:
            return real[0].read(value)  # its own words say best what is wrong
        # 1.0 is an integer too, and 1 a float: a number's own type comes first.
        own = _SIMPLE[type(value)] if type(value) in (int, float) else None
        for member in sorted(members, key=lambda member: member is not own):
            try:
                return member.read(value)
            except MismatchError:
                continue
        raise MismatchError(f": expected {words}, got {json_type(value)}")

    return Kind(_union_schema([member.schema for member in members]), words, lambda value: True, convert)


def _union_schema(members: list[Schema]) -> Schema:
    if {} in members:
        return {}
    if len(members) == 2 and _NULL.schema in members:
        # What is said of the one is said of the whole: models read the description beside the parameter's name.
        members = [dict(member) for member in members]
        texts = [member.pop("description") for member in members if "description" in member]
        return {"anyOf": members, **({"description": texts[0]} if texts else {})}
    return {"anyOf": members}


def _choice_kind(members: Sequence[Any]) -> Kind:
    """The members of a ``Literal`` or an ``Enum``."""
    values = [member.value if isinstance(member, enum.Enum) else member for member in members]
    for value in values:
        if value is not None and not isinstance(value, (str, int, float)):
            raise UndescribableError(f"{value!r} cannot be a choice: it is no string, number or boolean")

    def chosen(value: Any) -> list[Any]:
        same = [choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in values]
        return [member for member, is_same in zip(members, same, strict=True) if is_same]

    classes = {type(value) for value in values}
    simple = _SIMPLE[classes.pop()] if len(classes) == 1 else _ANYTHING
    texts = ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    words = texts if len(values) == 1 else f"one of {texts}"
    schema = {**simple.schema, "enum": values}
    return Kind(schema, words, lambda value: bool(chosen(value)), lambda value: chosen(value)[0])


def _tuple_kind(hint: Any, inside: Classes) -> Kind:
    # `get_args` returns () for a bare `tuple` and for `tuple[()]` alike; 3.10 returns ((),) for `Tuple[()]`.
    members = [member for member in get_args(hint) if member != ()]
    if get_origin(hint) is None:
        return _array_kind(tuple, _ANYTHING)
    if members[1:] == [Ellipsis]:
        return _array_kind(tuple, kind_of(members[0], inside))
    kinds = [kind_of(member, inside) for member in members]
    size = len(kinds)

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == size

    # The service takes no "prefixItems": of elements of several kinds it is told in words which comes first.
    items = items_of([kind.schema for kind in kinds])
    schema: Schema = {"type": "array", "items": items, "minItems": size, "maxItems": size}
    if any(kind.schema != items for kind in kinds):
        schema["description"] = "In this order: " + ", ".join(kind.words for kind in kinds)
    return Kind(schema, f"an array of {size} elements", fits, lambda value: tuple(_read_elements(kinds, value)))


def _read_elements(kinds: Iterable[Kind], value: list[Any]) -> list[Any]:
    return _read_parts((f"[{i}]", kind, part) for i, (kind, part) in enumerate(zip(kinds, value, strict=False)))


def _array_kind(make: Callable[[Iterable[Any]], Any], element: Kind) -> Kind:
    def convert(value: list[Any]) -> Any:
        elements = _read_elements(itertools.repeat(element), value)
        try:
            return make(elements)
        except TypeError:  # an element is not hashable
            raise MismatchError(": a set cannot hold arrays or objects") from None

    return Kind({"type": "array", "items": element.schema}, "an array", _is(list), convert)


def _mapping_kind(arguments: tuple[Any, ...], inside: Classes) -> Kind:
    key, element = arguments
    if key is not str:
        raise UndescribableError(f"a dict has keys that are not str, but {_shown(key)}, and JSON has no other keys")
    kind = kind_of(element, inside)

    def convert(value: dict[str, Any]) -> dict[str, Any]:
        made = _read_parts((f"[{json.dumps(name)}]", kind, part) for name, part in value.items())
        return dict(zip(value, made, strict=True))

    schema = {"type": "object", **({"additionalProperties": kind.schema} if kind.schema else {})}
    return Kind(schema, "an object", _is(dict), convert)


def _class_kind(cls: type[Any], inside: Classes) -> Kind:
    if cls in inside:
        raise UndescribableError(f"{cls.__name__} holds itself; give it a fixed depth, or a dict")
    docstring = read_docstring(own_docstring(cls))
    arguments = object_kind(fields_of(cls, docstring.parameters), (*inside, cls))

    def convert(value: dict[str, Any]) -> Any:
        made = arguments.convert(value)
        try:
            return cls(**made)
        except Exception as error:  # a class of the user's may raise anything
            # attrs' validators put more than their sentence into the exception.
            text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
            raise MismatchError(f": {type(error).__name__}: {text}") from error

    return _described(attrs.evolve(arguments, convert=convert), docstring.description)
