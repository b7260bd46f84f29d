"""Fields: the parameters of a function, and what a class (attrs, dataclass, TypedDict) is made with; their faults."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Sequence
from typing import Any, Optional, get_args, get_origin, get_type_hints

import attrs

if sys.version_info >= (3, 11):
    from typing import NotRequired, Required
else:
    from typing_extensions import NotRequired, Required  # cattrs needs it there, too

Schema = dict[str, Any]

NO_DEFAULT: Any = inspect.Parameter.empty  # attrs' own NOTHING would make a field with it a required one


class UndescribableError(TypeError):
    """A hint that has no JSON schema. Inside this folder only: users see ``ConfigurationError``."""


class MismatchError(TypeError):
    """A value does not fit. Inside this folder only: users see ``ToolArgumentError``.

    Attributes:
        faults: one text for each fault, without a full stop. It begins with the place inside the value, so the place of
            the value itself can be put in front: ``[2]: expected null, got a number``, ``.city is missing``.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(*faults)
        self.faults = faults


@attrs.frozen
class Field:
    """A parameter of a function, or a field of a class.

    Attributes:
        name: the name by which it is given.
        hint: its type hint.
        required: whether it must be given.
        default: the default that the model is told; ``NO_DEFAULT`` if there is none to be told.
        description: for the model; empty if there is none.
    """

    name: str
    hint: Any
    required: bool
    default: Any = NO_DEFAULT
    description: str = ""


def items_of(members: Sequence[Schema]) -> Schema:
    """The ``items`` of an array whose elements are each of another kind: the service refuses an array without."""
    kinds = [member for number, member in enumerate(members) if member not in members[:number]]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds and {} not in kinds else {}


def has_fields(cls: type[Any]) -> bool:
    """Whether it is an attrs class, a dataclass or a TypedDict."""
    return attrs.has(cls) or dataclasses.is_dataclass(cls) or _is_typed_dict(cls)


def fields_of(cls: type[Any], described: dict[str, str]) -> list[Field]:
    """The fields of a class by the names that its ``__init__`` takes.

    Args:
        cls: a class that ``has_fields``.
        described: the descriptions of its fields by name.

    Raises:
        UndescribableError: the class's type hints cannot be resolved.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:  # an annotation may be any expression, and fail in any way
        raise UndescribableError(f"the hints of {cls.__name__} cannot be resolved: {error}") from error
    if _is_typed_dict(cls):
        return [_typed_dict_field(cls, name, hint, described.get(name, "")) for name, hint in hints.items()]
    members: Any = attrs.fields(cls) if attrs.has(cls) else dataclasses.fields(cls)
    return [_member_field(member, hints, described) for member in members if member.init]


def own_docstring(cls: type[Any]) -> Optional[str]:
    """The docstring that was written for this very class."""
    text: Optional[str] = cls.__dict__.get("__doc__")
    made_by_dataclass = dataclasses.is_dataclass(cls) and (text or "").startswith(f"{cls.__name__}(")
    return None if made_by_dataclass else text


def _is_typed_dict(cls: type[Any]) -> bool:
    """Of ``typing`` or ``typing_extensions``, which on 3.10 do not know each other's."""
    return issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _typed_dict_field(cls: Any, name: str, hint: Any, description: str) -> Field:
    if get_origin(hint) in (Required, NotRequired):
        return Field(name, get_args(hint)[0], get_origin(hint) is Required, description=description)
    return Field(name, hint, name in cls.__required_keys__, description=description)


def _member_field(member: Any, hints: dict[str, Any], described: dict[str, str]) -> Field:
    """The field that a member of ``attrs.fields`` or ``dataclasses.fields`` describes."""
    absent = member.default is attrs.NOTHING or member.default is dataclasses.MISSING
    by_factory = (
        isinstance(member.default, attrs.Factory)  # type: ignore[arg-type]
        or getattr(member, "default_factory", dataclasses.MISSING) is not dataclasses.MISSING
    )
    default = NO_DEFAULT if absent or by_factory else member.default
    name = getattr(member, "alias", member.name)
    hint, description = hints.get(member.name, Any), described.get(member.name, "")
    return Field(name, hint, absent and not by_factory, default, description)
