"""How the service checks what a client says: shapes, and the errors it answers with.

A shape is a function ``(value, path)`` that raises ``Refused`` in the service's words. ``shapes.py`` puts them
together for each client message.
"""

from __future__ import annotations

import json
import random
import string as letters
from typing import Any, Callable, Mapping, NoReturn, Optional, Sequence, Union

Json = dict[str, Any]
_ID_LETTERS = letters.ascii_letters + letters.digits
Shape = Callable[[Any, str], None]


class Refused(Exception):
    """A client message that the service answers with an ``error`` event; the session goes on."""

    def __init__(
        self, code: Optional[str], message: str, param: Optional[str] = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.param = param

    def event(self, client_event_id: Optional[str]) -> Json:
        """The ``error`` event, naming the client's message by the ``event_id`` it had, if any."""
        return {
            "type": "error",
            "error": {
                "type": self.kind,
                "code": self.code,
                "message": self.message,
                "param": self.param,
                "event_id": client_event_id,
            },
        }


def new_id(prefix: str, length: int = 21) -> str:
    """An identifier in the service's form, such as ``item_E6U0xpLmn5e80rVGpEeKv``."""
    return prefix + "_" + "".join(random.choices(_ID_LETTERS, k=length))


def server_error() -> Refused:
    """What the service says of a defect of its own."""
    return Refused(None, "The server had an error while processing your request.", kind="server_error")


def read_json(text: Union[str, bytes]) -> object:
    """The value of a JSON text. Raises ``ValueError`` where it is none, or nested too deeply to be read."""
    try:
        return json.loads(text, parse_constant=_no_json)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_json(constant: str) -> NoReturn:
    # Python's reader takes NaN and Infinity; told back to a client, they would be no JSON there.
    raise ValueError(f"{constant} is no JSON")


def missing(path: str) -> Refused:
    """The service's error for a parameter that must be there."""
    return Refused("missing_required_parameter", f"Missing required parameter: '{path}'.", path)


def wrong_value(value: object, path: str, supported: Sequence[str]) -> Refused:
    """The service's error for a value outside an enumeration."""
    quoted = [f"'{name}'" for name in supported]
    listed = (
        quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f"{',' if len(quoted) > 2 else ''} and {quoted[-1]}"
    )
    return Refused("invalid_value", f"Invalid value: '{value}'. Supported values are: {listed}.", path)


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names: dict[type, str] = {
        int: "an integer",
        float: "a decimal",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names.get(type(value), "something else")


def _expected(what: str, value: object, path: str) -> Refused:
    message = f"Invalid type for '{path}': expected {what}, but got {_kind_of(value)} instead."
    return Refused("invalid_type", message, path)


def anything(value: object, path: str) -> None:
    """No check."""


def string(value: object, path: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise _expected("a string", value, path)


def string_up_to(most: int) -> Shape:
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


def boolean(value: object, path: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise _expected("a boolean", value, path)


def json_object(value: object, path: str) -> None:
    """Any object."""
    if not isinstance(value, dict):
        raise _expected("an object", value, path)


def integer(low: Optional[int] = None, high: Optional[int] = None) -> Shape:
    """An integer, within bounds (inclusive) where given."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _expected("an integer", value, path)
        _check_range("integer", value, low, high, path)

    return check


def number(low: Optional[float] = None, high: Optional[float] = None) -> Shape:
    """An integer or decimal, within bounds (inclusive) where given."""

    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _expected("a decimal", value, path)
        _check_range("decimal", value, low, high, path)

    return check


def _check_range(kind: str, value: float, low: Optional[float], high: Optional[float], path: str) -> None:
    if low is not None and value < low:
        text = f"Invalid '{path}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead."
        raise Refused(f"{kind}_below_min_value", text, path)
    if high is not None and value > high:
        text = f"Invalid '{path}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead."
        raise Refused(f"{kind}_above_max_value", text, path)


def one_of(*values: str) -> Shape:
    """A string of an enumeration."""

    def check(value: Any, path: str) -> None:
        string(value, path)
        if value not in values:
            raise wrong_value(value, path, values)

    return check


def nullable(shape: Shape) -> Shape:
    """The shape, or null."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            shape(value, path)

    return check


def array_of(shape: Shape) -> Shape:
    """A list, each entry of the shape."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _expected("an array", value, path)
        for index, entry in enumerate(value):
            shape(entry, f"{path}[{index}]")

    return check


def either(**by_type: Shape) -> Shape:
    """The shape for the value's type: ``string=``, ``number=``, ``object=``; another type is refused."""
    kinds: dict[type, str] = {str: "string", int: "number", dict: "object", list: "array"}
    expected = "one of " + " or ".join(_kind_of(kind()) for kind in kinds if kinds[kind] in by_type)

    def check(value: Any, path: str) -> None:
        shape = None if isinstance(value, bool) else by_type.get(kinds.get(type(value), ""))
        if shape is None:
            raise _expected(expected, value, path)
        shape(value, path)

    return check


def record(fields: Mapping[str, Shape], required: Sequence[str] = ()) -> Shape:
    """An object with these fields and no others; ``required`` ones must be there."""

    def check(value: Any, path: str) -> None:
        json_object(value, path)
        prefix = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise missing(prefix + name)
        for name, inner in value.items():
            if name not in fields:
                raise Refused("unknown_parameter", f"Unknown parameter: '{prefix}{name}'.", prefix + name)
            fields[name](inner, prefix + name)

    return check


def by_tag(tag: str, shapes: Mapping[str, Shape], default: Optional[str] = None) -> Shape:
    """An object whose field ``tag`` says which of the shapes it has."""

    def check(value: Any, path: str) -> None:
        json_object(value, path)
        name = value.get(tag, default)
        where = f"{path}.{tag}" if path else tag
        if name is None:
            raise missing(where)
        if not isinstance(name, str) or name not in shapes:  # an array or an object cannot be looked up
            raise wrong_value(name, where, list(shapes))
        shapes[name](value, path)

    return check
