"""Checks of arguments and settings: each kind is described here, once, in the same words everywhere."""

from __future__ import annotations

import os
import sys
from typing import Any, Callable, Optional

import attrs

from realtime_sync.errors import ConfigurationError, InvalidInputError, RealtimeSyncError

_LARGEST = sys.float_info.max  # so that infinity is refused, unless a call allows it with ``at_most=math.inf``

Validator = Callable[[object, "attrs.Attribute[Any]", Any], None]


def check_number(
    name: str,
    value: object,
    unit: str = "",
    *,
    at_least: float = 0,
    above: Optional[float] = None,
    at_most: float = _LARGEST,
    optional: bool = False,
    error: type[RealtimeSyncError] = InvalidInputError,
) -> None:
    """Raise unless ``value`` is a number in the range. True and False are no numbers, nor is NaN.

    Args:
        name: The argument or setting, as the message calls it.
        value: What the caller gave.
        unit: What the number counts, such as ``"seconds"``.
        at_least: The smallest number that is allowed.
        above: In place of ``at_least``: the number itself is not allowed.
        at_most: The largest number that is allowed; by default any that is finite.
        optional: None is allowed, too.
        error: The class to raise.
    """
    if optional and value is None:
        return
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        enough = value >= at_least if above is None else value > above
        if enough and value <= at_most:
            return
    _refuse("number", name, value, unit, _range(at_least, above, at_most), optional, error)


def check_whole(
    name: str,
    value: object,
    unit: str = "",
    *,
    at_least: int = 0,
    at_most: float = _LARGEST,
    optional: bool = False,
    error: type[RealtimeSyncError] = InvalidInputError,
) -> None:
    """Raise unless ``value`` is a whole number (an ``int``) in the range; arguments as for ``check_number``."""
    if optional and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= at_most:
        _refuse("whole number", name, value, unit, _range(at_least, None, at_most), optional, error)


def check_path(name: str, path: object, *, error: type[RealtimeSyncError] = InvalidInputError) -> None:
    """Raise unless ``path`` can be one: text or a path object, without NUL. Whether it is there, the system says."""
    if not isinstance(path, (str, os.PathLike)):
        raise error(f"{name} must be a path, not {path!r:.60}")
    if "\0" in os.fsdecode(path):
        raise error(f"{name} must be a path, and no path holds a NUL as {os.fsdecode(path)!r:.60} does")


def check_function(name: str, value: object) -> None:
    """Raise InvalidInputError unless ``value`` can be called, or is None."""
    if value is not None and not callable(value):
        raise InvalidInputError(f"{name} must be a function or None, not {value!r:.60}")


def validated_by(check: Callable[..., None], unit: str = "", **limits: Any) -> Validator:
    """A validator for a field of a settings class: ``check`` is ``check_number`` or ``check_whole``, with its limits.

    It raises ConfigurationError and names the class and the field.
    """

    def validate(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        name = f"{type(instance).__name__}.{attribute.name}"
        check(name, value, unit, error=ConfigurationError, **limits)

    return validate


def _range(at_least: float, above: Optional[float], at_most: float) -> str:
    begin = f"from {at_least:,}" if above is None else f"above {above:,}"
    if at_most >= _LARGEST:
        return begin
    return f"{begin} {'to' if above is None else 'and at most'} {at_most:,}"


def _refuse(
    kind: str, name: str, value: object, unit: str, limits: str, optional: bool, error: type[RealtimeSyncError]
) -> None:
    of_unit = f" of {unit}" if unit else ""
    or_none = ", or None" if optional else ""
    raise error(f"{name} must be a {kind}{of_unit} {limits}{or_none}, not {value!r:.60}")
