"""Hints in pydantic's words (models, ``Field``, ``PositiveInt``): pydantic describes and reads their values itself.

It is imported only if a hint of its own, or of ``annotated_types``, is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Callable, Optional, get_args, get_origin

from realtime_sync.tools.fields import NO_DEFAULT, MismatchError, Schema, UndescribableError, items_of

_MARKS = ("__get_pydantic_core_schema__", "__pydantic_validator__")  # types and models; its dataclasses
_PACKAGES = ("pydantic", "annotated_types")
_VALUES = ("const", "default", "enum", "examples")  # what stands there is no schema


def is_field_info(value: object) -> bool:
    """Whether it is what ``pydantic.Field(...)`` returns. Raises ``UndescribableError`` for that of pydantic 1."""
    found = any(cls.__name__ == "FieldInfo" and _package(cls) == "pydantic" for cls in type(value).__mro__)
    if found and not hasattr(value, "is_required"):
        raise UndescribableError("what Field of pydantic 1 says would be lost; use that of pydantic 2")
    return found


def default_info(default: Any, hint: Any) -> Optional[Any]:
    """The ``Field`` that is a parameter's default, or, if it has none, stands in its hint and has one."""
    if is_field_info(default):
        return default
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated and default is NO_DEFAULT else ()
    return next((note for note in notes if is_field_info(note) and not note.is_required()), None)


def is_pydantics(hint: Any) -> bool:
    """Whether pydantic is to read a hint: a class of its own kind, or a hint with notes that only it understands."""
    if get_origin(hint) is Annotated:
        return any(is_field_info(note) or _package(type(note)) in _PACKAGES for note in get_args(hint)[1:])
    return isinstance(hint, type) and any(hasattr(hint, mark) for mark in _MARKS)


def described(hint: Any) -> tuple[Schema, Callable[[Any], Any]]:
    """The schema of a hint, and what makes the Python value of a JSON value, or raises ``MismatchError``.

    Raises:
        UndescribableError: pydantic cannot read the hint, or is not there.
    """
    try:
        import pydantic

        adapter = pydantic.TypeAdapter[Any](hint)
    except (ImportError, AttributeError) as error:
        raise UndescribableError(f"{hint} is for pydantic to read, and it takes pydantic 2: {error}") from error
    except Exception as error:  # of pydantic's many, or of a class's own
        raise UndescribableError(f"pydantic cannot read {hint}: {error}") from error
    try:
        schema = adapter.json_schema()
    except pydantic.PydanticInvalidForJsonSchema as error:
        raise UndescribableError(f"{hint} cannot be described to the model: {error}") from error

    def read(value: Any) -> Any:
        try:
            text = json.dumps(value, allow_nan=False)
        except ValueError:  # 1e999 is JSON, too
            raise MismatchError(": a number is too large") from None
        try:
            return adapter.validate_json(text)
        except pydantic.ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            raise MismatchError(*(f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults)) from error
        except Exception as error:  # a validator of the user's may raise anything
            raise MismatchError(f": {type(error).__name__}: {error}") from error

    return _in_one_piece(schema, schema.get("$defs", {}), ()), read


def _package(cls: type[Any]) -> str:
    return cls.__module__.partition(".")[0]


def _place(location: Iterable[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _in_one_piece(schema: Any, definitions: Schema, inside: tuple[str, ...]) -> Any:
    """A schema without references, titles (which say the names again) and what the service does not take."""
    if isinstance(schema, list):
        return [_in_one_piece(part, definitions, inside) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made: Schema = {}
    for key, value in schema.items():
        if key == "$ref":
            name = value.rpartition("/")[2]
            if name in inside:
                raise UndescribableError(f"{name} holds itself; give it a fixed depth, or a dict")
            made = {**_in_one_piece(definitions[name], definitions, (*inside, name)), **made}
        elif key == "properties":
            made[key] = {name: _in_one_piece(part, definitions, inside) for name, part in value.items()}
        elif key == "prefixItems":
            made["items"] = items_of(_in_one_piece(value, definitions, inside))
        elif key not in ("$defs", "title", "discriminator"):
            made[key] = value if key in _VALUES else _in_one_piece(value, definitions, inside)
    return made
