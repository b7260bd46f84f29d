"""Checks of JSON values, in the service's words.

A ``Check`` is a function of a value and its path that raises ``Refused`` if the value is not as it must be.
``shapes.py`` puts the checks together for each client message.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, Optional, Sequence

from realtime_sync.server.wire import Refused

Check = Callable[[Any, str], None]
_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    dict: "an object",
    list: "an array",
    type(None): "null",
}


def missing(path: str) -> Refused:
    """The service's error for a parameter that must be there."""
    return Refused("missing_required_parameter", f"Missing required parameter: '{path}'.", path)


def wrong_value(value: object, path: str, supported: Sequence[str]) -> Refused:
    """The service's error for a value outside an enumeration."""
    *first, last = [f"'{name}'" for name in supported]
    listed = f"{', '.join(first)}{',' if len(first) > 1 else ''} and {last}" if first else last
    return Refused("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.", path)


def _wrong_type(expected: str, value: object, path: str) -> Refused:
    got = _KINDS.get(type(value), "something else")
    return Refused("invalid_type", f"Invalid type for '{path}': expected {expected}, but got {got} instead.", path)


def _of_type(*types: type) -> Check:
    """A value of one of these types, named by the last. True and False are no numbers."""

    def check(value: object, path: str) -> None:
        if type(value) not in types:
            raise _wrong_type(_KINDS[types[-1]], value, path)

    return check


string = _of_type(str)
boolean = _of_type(bool)
json_object = _of_type(dict)
_integer = _of_type(int)
_decimal = _of_type(int, float)
_array = _of_type(list)


def anything(value: object, path: str) -> None:
    """No check."""


def string_up_to(most: int) -> Check:
    """A string of at most so many characters."""

    def check(value: Any, path: str) -> None:
        string(value, path)
        if len(value) > most:
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length {most}, but got a string "
                f"with length {len(value)} instead."
            )
            raise Refused("string_above_max_length", message, path)

    return check


def name_up_to(most: int) -> Check:
    """A string of letters, digits, ``_`` and ``-``, at most so many."""

    def check(value: Any, path: str) -> None:
        string_up_to(most)(value, path)
        if not re.fullmatch("[a-zA-Z0-9_-]+", value):
            expected = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            raise Refused("invalid_value", f"Invalid '{path}': string does not match pattern. {expected}", path)

    return check


def integer(low: Optional[int] = None, high: Optional[int] = None) -> Check:
    """An integer, within bounds (inclusive) if they are given."""
    return _bounded(_integer, "integer", low, high)


def number(low: Optional[float] = None, high: Optional[float] = None) -> Check:
    """An integer or a decimal, within bounds (inclusive) if they are given."""
    return _bounded(_decimal, "decimal", low, high)


def _bounded(of_type: Check, kind: str, low: Optional[float], high: Optional[float]) -> Check:
    def check(value: Any, path: str) -> None:
        of_type(value, path)
        if low is not None and value < low:
            text = f"Invalid '{path}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead."
            raise Refused(f"{kind}_below_min_value", text, path)
        if high is not None and value > high:
            text = f"Invalid '{path}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead."
            raise Refused(f"{kind}_above_max_value", text, path)

    return check


def one_of(*values: str) -> Check:
    """A string of an enumeration."""

    def check(value: Any, path: str) -> None:
        string(value, path)
        if value not in values:
            raise wrong_value(value, path, values)

    return check


def nullable(inner: Check) -> Check:
    """What the check demands, or null."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def array_of(inner: Check) -> Check:
    """A list, each entry of which passes the check."""

    def check(value: Any, path: str) -> None:
        _array(value, path)
        for index, entry in enumerate(value):
            inner(entry, f"{path}[{index}]")

    return check


def either(checks: Mapping[type, Check]) -> Check:
    """The check for the value's type; a value of another type is refused."""
    expected = "one of " + " or ".join(_KINDS[kind] for kind in checks)

    def check(value: Any, path: str) -> None:
        inner = checks.get(type(value))
        if inner is None:
            raise _wrong_type(expected, value, path)
        inner(value, path)

    return check


def record(fields: Mapping[str, Check], required: Sequence[str] = ()) -> Check:
    """An object with these fields and no others; the ``required`` ones must be there, any other may be null, too."""

    def check(value: Any, path: str) -> None:
        json_object(value, path)
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise missing(prefix + name)
        for name, inner in value.items():
            if name not in fields:
                raise Refused("unknown_parameter", f"Unknown parameter: '{prefix}{name}'.", prefix + name)
            if inner is not None or name in required:
                fields[name](inner, prefix + name)

    return check


def by_tag(tag: str, checks: Mapping[str, Check]) -> Check:
    """An object whose field ``tag`` says which of the checks it must pass."""

    def check(value: Any, path: str) -> None:
        json_object(value, path)
        name = value.get(tag)
        place = f"{path}.{tag}" if path else tag
        if name is None:
            raise missing(place)
        if not isinstance(name, str) or name not in checks:  # an array or an object cannot be looked up
            raise wrong_value(name, place, list(checks))
        checks[name](value, path)

    return check
