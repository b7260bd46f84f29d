"""Equality, hash and repr of values, for attrs classes that each session needs.

attrs would write and compile the three for each class, which took a twentieth of ``import realtime_sync``.
"""

from __future__ import annotations

import attrs


class Value:
    """What is equal if its fields are. For ``@attrs.frozen(repr=False, eq=False)``; all is as attrs would make it."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return _compared(self) == _compared(other)

    def __hash__(self) -> int:
        return hash((type(self), _compared(self)))

    def __repr__(self) -> str:
        shown = []
        for field in attrs.fields(type(self)):  # type: ignore[arg-type]
            if field.repr:
                value = getattr(self, field.name, attrs.NOTHING)  # an object that could not be made may lack it
                shown.append(f"{field.name}={field.repr(value) if callable(field.repr) else repr(value)}")
        return f"{type(self).__qualname__.rpartition('>.')[2]}({', '.join(shown)})"


def _compared(value: Value) -> tuple[object, ...]:
    return tuple(getattr(value, field.name) for field in attrs.fields(type(value)) if field.eq)  # type: ignore[arg-type]
