"""Type hints as JSON schema (draft 2020-12), and as words for the model.

What is described here is what ``arguments.py`` accepts: a hint that has no schema is refused, and each schema allows
neither more nor less than what is accepted.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import inspect
import json
import sys
import types
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin, get_type_hints

import attrs

from realtime_sync.tools.docstrings import read_docstring
from realtime_sync.tools.results import plain_value

if sys.version_info >= (3, 11):
    from typing import NotRequired, Required
else:
    from typing_extensions import NotRequired, Required  # cattrs needs it there, too

Schema = dict[str, Any]

NO_DEFAULT: Any = inspect.Parameter.empty  # attrs' own NOTHING would make a field with it a required one
_SIMPLE: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    Any: {},
    object: {},
}
_ARRAYS: dict[Any, type[Any]] = {
    list: list,
    collections.abc.Sequence: list,
    collections.abc.Iterable: list,
    tuple: tuple,
}
_OBJECTS = (dict, collections.abc.Mapping)


class UndescribableError(TypeError):
    """A hint that has no JSON schema. Inside this folder only: users see ``ConfigurationError``."""


@attrs.frozen
class Field:
    """A parameter of a function, or a field of a class. ``default``: ``NO_DEFAULT`` if the model is to know of none."""

    name: str
    hint: Any
    required: bool
    default: Any = NO_DEFAULT
    description: str = ""


def schema_of(hint: Any, inside: tuple[type[Any], ...] = ()) -> Schema:
    """The schema of one hint; ``inside``: the classes that are being described. Raises ``UndescribableError``."""
    if get_origin(hint) is Annotated:
        described = [note for note in get_args(hint)[1:] if isinstance(note, str)]
        return {**schema_of(get_args(hint)[0], inside), **({"description": described[0]} if described else {})}
    if isinstance(hint, collections.abc.Hashable) and hint in _SIMPLE:
        return dict(_SIMPLE[hint])
    if is_union(hint):
        return _union_schema([schema_of(member, inside) for member in get_args(hint)])
    if choices := choices_of(hint):
        return _choice_schema([value for value, _ in choices])
    if array_kind(hint):
        return _array_schema(hint, inside)
    if is_object(hint):
        return _mapping_schema(hint, inside)
    if isinstance(hint, type) and has_fields(hint):
        return _class_schema(hint, inside)
    raise UndescribableError(f"{_shown(hint)} cannot be described to the model")


def object_schema(fields: list[Field], inside: tuple[type[Any], ...] = ()) -> Schema:
    """An object with these fields and no other."""
    return {
        "type": "object",
        "properties": {field.name: _field_schema(field, inside) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


# What kind of hint it is ------------------------------------------------------------------------------------


def bare(hint: Any) -> Any:
    """What ``Annotated`` stands for; any other hint as it is."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def is_union(hint: Any) -> bool:
    """``Union[...]``, ``Optional[...]`` or ``A | B``."""
    return get_origin(hint) in (Union, types.UnionType)


def is_object(hint: Any) -> bool:
    """A dict or mapping, with or without its types."""
    return hint in _OBJECTS or get_origin(hint) in _OBJECTS


def array_kind(hint: Any) -> Optional[type[Any]]:
    """The class that an array becomes, or None if ``hint`` is no array."""
    origin = get_origin(hint) or hint
    return _ARRAYS.get(origin) if isinstance(origin, collections.abc.Hashable) else None


def element_hints(hint: Any) -> tuple[Any, Optional[list[Any]]]:
    """Of an array: its elements' hint and None; of a tuple of a fixed length: Any and each element's hint."""
    arguments = get_args(hint)
    # `get_args` returns () for a bare `tuple` and for `tuple[()]` alike.
    if array_kind(hint) is not tuple or get_origin(hint) is None:
        return (arguments[0] if arguments else Any), None
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0], None
    return Any, [member for member in arguments if member != ()]  # 3.10 returns ((),) for `Tuple[()]`


def choices_of(hint: Any) -> list[tuple[Any, Any]]:
    """The JSON values that a ``Literal`` or ``Enum`` takes, each with its Python value; empty if it is neither."""
    if get_origin(hint) is Literal:
        members = get_args(hint)
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        members = tuple(hint)
        if not members:
            raise UndescribableError(f"{hint.__name__} has no members")
    else:
        return []
    choices = [(member.value if isinstance(member, enum.Enum) else member, member) for member in members]
    for value, _ in choices:
        if value is not None and not isinstance(value, (str, int, float)):
            raise UndescribableError(f"{_shown(hint)} has the value {value!r}, which is no string, number or boolean")
    return choices


def has_fields(cls: type[Any]) -> bool:
    """An attrs class, a dataclass or a TypedDict."""
    return attrs.has(cls) or dataclasses.is_dataclass(cls) or is_typed_dict(cls)


def is_typed_dict(cls: Any) -> bool:
    """Of ``typing`` or ``typing_extensions``, which on 3.10 do not know each other's."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def fields_of(cls: type[Any]) -> list[Field]:
    """What a class of ours or theirs is made with, by the names that its ``__init__`` takes."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:  # an annotation may be any expression, and fail in any way
        raise UndescribableError(f"the hints of {cls.__name__} cannot be resolved: {error}") from error
    described = read_docstring(_own_docstring(cls)).parameters
    if is_typed_dict(cls):
        return [_typed_dict_field(cls, name, hint, described.get(name, "")) for name, hint in hints.items()]
    found: list[Field] = []
    members: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    for member in members:
        if not member.init:
            continue
        factory = getattr(member, "default_factory", dataclasses.MISSING)
        known = member.default not in (attrs.NOTHING, dataclasses.MISSING)
        plain = known and not isinstance(member.default, attrs.Factory)  # type: ignore[arg-type]
        found.append(
            Field(
                getattr(member, "alias", member.name),
                hints.get(member.name, Any),
                not known and factory is dataclasses.MISSING,
                member.default if plain else NO_DEFAULT,
                described.get(member.name, ""),
            )
        )
    return found


def _typed_dict_field(cls: Any, name: str, hint: Any, description: str) -> Field:
    if get_origin(hint) in (Required, NotRequired):
        return Field(name, get_args(hint)[0], get_origin(hint) is Required, description=description)
    return Field(name, hint, name in cls.__required_keys__, description=description)


# Schemas of what has parts ----------------------------------------------------------------------------------


def _field_schema(field: Field, inside: tuple[type[Any], ...]) -> Schema:
    try:
        schema = schema_of(field.hint, inside)
    except UndescribableError as error:
        raise UndescribableError(f"{field.name}: {error}") from error
    # What is said here of the parameter tells more than its class's docstring, less than Annotated's.
    if field.description and get_origin(field.hint) is not Annotated:
        schema["description"] = field.description
    if field.default is not NO_DEFAULT:
        try:
            schema["default"] = plain_value(field.default)
        except (TypeError, ValueError):
            pass  # a sentinel: the parameter is optional all the same
    return schema


def _union_schema(members: list[Schema]) -> Schema:
    if {} in members:
        return {}
    described = [member for member in members if "description" in member]
    if len(members) == 2 and {"type": "null"} in members and described:
        # What is said of the one is said of the whole: models read the description beside the parameter's name.
        return {"anyOf": members, "description": described[0].pop("description")}
    return {"anyOf": members}


def _choice_schema(values: list[Any]) -> Schema:
    kinds = {type(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else Any
    return {**_SIMPLE.get(kind, {}), "enum": values}


def _array_schema(hint: Any, inside: tuple[type[Any], ...]) -> Schema:
    element, fixed = element_hints(hint)
    if fixed is not None:
        schema: Schema = {"type": "array", "minItems": len(fixed), "maxItems": len(fixed)}
        return {**schema, "prefixItems": [schema_of(member, inside) for member in fixed]} if fixed else schema
    items = schema_of(element, inside)
    return {"type": "array", **({"items": items} if items else {})}


def _mapping_schema(hint: Any, inside: tuple[type[Any], ...]) -> Schema:
    key, value = get_args(hint) or (str, Any)
    if key is not str:
        raise UndescribableError(f"{_shown(hint)} has keys that are not str, and JSON has no other")
    values = schema_of(value, inside)
    return {"type": "object", **({"additionalProperties": values} if values else {})}


def _class_schema(cls: type[Any], inside: tuple[type[Any], ...]) -> Schema:
    if cls in inside:
        raise UndescribableError(f"{cls.__name__} holds itself; give it a fixed depth, or a dict")
    schema = object_schema(fields_of(cls), (*inside, cls))
    description = read_docstring(_own_docstring(cls)).description
    return {**schema, "description": description} if description else schema


def _own_docstring(cls: type[Any]) -> Optional[str]:
    text: Optional[str] = cls.__dict__.get("__doc__")
    made_by_dataclass = dataclasses.is_dataclass(cls) and (text or "").startswith(f"{cls.__name__}(")
    return None if made_by_dataclass else text


# Words ------------------------------------------------------------------------------------------------------


def in_words(schema: Schema) -> str:
    """What a schema asks for, such as ``an integer``, for a sentence that begins with "expected"."""
    if "anyOf" in schema:
        return " or ".join(in_words(member) for member in schema["anyOf"])
    if "enum" in schema:
        values = ", ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
        return values if len(schema["enum"]) == 1 else f"one of {values}"
    if "format" in schema:
        return {"date-time": "a date and time like 2026-01-31T09:30:00Z", "date": "a date like 2026-01-31"}[
            schema["format"]
        ]
    if "maxItems" in schema:
        return f"an array of {schema['maxItems']} elements"
    names = {"integer": "an integer", "array": "an array", "object": "an object", "null": "null"}
    return names.get(schema.get("type", ""), f"a {schema['type']}" if "type" in schema else "any value")


def json_type(value: Any) -> str:
    """What a parsed JSON value is, in words."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
