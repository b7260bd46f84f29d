"""What the model is told of a function."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Optional, TypedDict, TypeVar, Union

import attrs
import jsonschema
import pytest
from typing_extensions import Doc

from realtime_sync.errors import ConfigurationError
from realtime_sync.protocol.codec import encode
from realtime_sync.protocol.commands import SessionUpdateCommand
from realtime_sync.protocol.options import ConversationSessionOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.tools import FunctionTool, ToolContext, function_tool
from realtime_sync.tools.docstrings import google_parameters, read_docstring


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, enum.Enum):
    YES = "yes"


class Nothing(enum.Enum):
    pass


class Odd(enum.Enum):
    PAIR = (1, 2)


@attrs.define
class Place:
    """Where it is.

    Attributes:
        latitude: degrees north
    """

    latitude: float
    _note: Optional[str] = None
    tags: list[str] = attrs.field(factory=list)
    made: int = attrs.field(default=0, init=False)


@dataclass
class Trip:
    to: Place
    days: int = 1
    stops: list[Place] = field(default_factory=list)


@attrs.define
class Node:
    children: list[Node]


@attrs.define
class Unresolvable:
    what: NoSuchName  # type: ignore[name-defined]  # noqa: F821


class Film(TypedDict):
    title: str


class RatedFilm(Film, total=False):
    stars: Annotated[int, "1 to 5"]


def schema_for(hint: Any) -> Any:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint
    return function_tool(function).parameters["properties"]["x"]


def arrays_without_items(schema: Any) -> list[Any]:
    """The arrays that the service refuses, and all that says more than it takes."""
    if isinstance(schema, list):
        return [found for part in schema for found in arrays_without_items(part)]
    if not isinstance(schema, dict):
        return []
    wrong = (schema.get("type") == "array" and "items" not in schema) or "prefixItems" in schema
    return [schema] * wrong + arrays_without_items(list(schema.values()))


PLACE = {
    "type": "object",
    "properties": {
        "latitude": {"type": "number", "description": "degrees north"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["latitude"],
    "additionalProperties": False,
    "description": "Where it is.",
}
HINTS: list[tuple[Any, Any]] = [
    (str, {"type": "string"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (bool, {"type": "boolean"}),
    (None, {"type": "null"}),
    (Any, {}),
    (datetime.datetime, {"type": "string", "format": "date-time"}),
    (datetime.date, {"type": "string", "format": "date"}),
    (Optional[str], {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    (Optional[Any], {}),
    (
        Optional[Annotated[str, "who"]],
        {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "who"},
    ),
    (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
    (Literal[1, "a", None], {"enum": [1, "a", None]}),
    (Literal[Unit.CELSIUS], {"type": "string", "enum": ["c"]}),
    (Unit, {"type": "string", "enum": ["c", "f"]}),
    (Level, {"type": "integer", "enum": [1, 2]}),
    (Word, {"type": "string", "enum": ["yes"]}),
    (list, {"type": "array", "items": {}}),
    (list[Any], {"type": "array", "items": {}}),
    (set, {"type": "array", "items": {}}),
    (set[int], {"type": "array", "items": {"type": "integer"}}),
    (frozenset[Unit], {"type": "array", "items": {"type": "string", "enum": ["c", "f"]}}),
    (AbstractSet[str], {"type": "array", "items": {"type": "string"}}),
    (Collection[str], {"type": "array", "items": {"type": "string"}}),
    (MutableSequence[str], {"type": "array", "items": {"type": "string"}}),
    (Sequence, {"type": "array", "items": {}}),
    (list[int], {"type": "array", "items": {"type": "integer"}}),
    (Sequence[Unit], {"type": "array", "items": {"type": "string", "enum": ["c", "f"]}}),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
    (
        tuple[int, str],
        {
            "type": "array",
            "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            "minItems": 2,
            "maxItems": 2,
            "description": "In this order: an integer, a string",
        },
    ),
    (tuple[float, float], {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
    (tuple[int, Any], None),
    (tuple[()], {"type": "array", "items": {}, "minItems": 0, "maxItems": 0}),
    (tuple, {"type": "array", "items": {}}),
    (dict[str, list], {"type": "object", "additionalProperties": {"type": "array", "items": {}}}),
    (dict, {"type": "object"}),
    (dict[str, Any], {"type": "object"}),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    (Mapping[str, list[bool]], None),
    (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
    (list[Annotated[Unit, "one unit"]], None),
    (Annotated[int, Doc("how many")], {"type": "integer", "description": "how many"}),
    (Annotated[int, ["a note that has no hash"]], {"type": "integer"}),
    (Place, PLACE),
    (Annotated[Place, "the goal"], {**PLACE, "description": "the goal"}),
    (
        Trip,
        {
            "type": "object",
            "properties": {
                "to": PLACE,
                "days": {"type": "integer", "default": 1},
                "stops": {"type": "array", "items": PLACE},
            },
            "required": ["to"],
            "additionalProperties": False,
        },
    ),
    (
        RatedFilm,
        {
            "type": "object",
            "properties": {"title": {"type": "string"}, "stars": {"type": "integer", "description": "1 to 5"}},
            "required": ["title"],
            "additionalProperties": False,
        },
    ),
]


@pytest.mark.parametrize(("hint", "schema"), HINTS, ids=lambda value: str(value)[:40])
def test_every_kind_of_hint_has_its_schema(hint: Any, schema: Any) -> None:
    told = schema_for(hint)
    jsonschema.Draft202012Validator.check_schema(told)
    assert arrays_without_items(told) == []
    if schema is not None:
        assert told == schema


def test_not_required_keys_of_a_typed_dict_are_optional() -> None:
    typing: Any = __import__("typing" if sys.version_info >= (3, 11) else "typing_extensions")
    film = typing.TypedDict("film", {"title": str, "year": typing.NotRequired[int]})
    told = schema_for(film)
    assert told["required"] == ["title"]
    assert told["properties"]["year"] == {"type": "integer"}


@function_tool
def get_weather(
    city: str,
    days: Annotated[int, "how many days ahead"] = 1,
    unit: Unit = Unit.CELSIUS,
    since: Optional[datetime.date] = None,
    *,
    context: ToolContext,
) -> str:
    """Tell the weather
    in a city.

    Call it for *every* question about weather.

    Args:
        city: its name,
            in English
        days: not this text, but the one beside the hint
        unit (Unit): of the temperature
        context: not for the model

    Returns:
        A sentence.
    """
    return f"{city} {days} {unit.name} {since} {context.name}"


WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "its name, in English"},
        "days": {"type": "integer", "description": "how many days ahead", "default": 1},
        "unit": {"type": "string", "enum": ["c", "f"], "description": "of the temperature", "default": "c"},
        "since": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}], "default": None},
    },
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_definition_holds_the_docstring_the_hints_and_the_defaults() -> None:
    definition = get_weather.definition
    assert (definition.type, definition.name) == ("function", "get_weather")
    assert definition.description == "Tell the weather in a city.\n\nCall it for *every* question about weather."
    assert definition.parameters == WEATHER


def test_without_docstring_parser_the_definition_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docstring_parser", None)
    assert function_tool(get_weather.function).definition == get_weather.definition


def test_other_styles_of_docstring_are_read_where_docstring_parser_is_installed() -> None:
    pytest.importorskip("docstring_parser", reason="needs the extra tools")
    sphinx = "Add.\n\n:param a: the first\n:returns: the sum"
    numpy = "Add.\n\nParameters\n----------\na : int\n    the first\n\nReturns\n-------\nint\n    the sum"
    for text in (sphinx, numpy):
        told = read_docstring(text)
        assert (told.description, told.parameters) == ("Add.", {"a": "the first"})


@pytest.mark.parametrize("text", ["Args:\n    a: one", "Args:\n\n    a (int): one\n    b:\n\nReturns:\n    c: no"])
def test_the_fallback_reads_google_style(text: str) -> None:
    assert google_parameters(text) == {"a": "one"}


def test_a_note_ahead_of_a_colon_in_prose_is_no_section() -> None:
    assert read_docstring("Find a user.\n\nNote this: it is slow.").description == (
        "Find a user.\n\nNote this: it is slow."
    )


def test_a_tool_is_still_the_function() -> None:
    assert get_weather("Rome", context=ToolContext(name="me")) == "Rome 1 CELSIUS None me"
    assert get_weather.__name__ == "get_weather"
    assert get_weather.__doc__
    assert get_weather.__doc__.startswith("Tell")
    assert repr(get_weather) == "<FunctionTool get_weather(city, days, unit, since)>"


def test_a_definition_is_the_callers_own() -> None:
    assert get_weather.definition.parameters
    get_weather.definition.parameters.clear()
    assert get_weather.definition.parameters == WEATHER


def test_a_definition_can_be_sent() -> None:
    command = SessionUpdateCommand(session=ConversationSessionOptions(tools=[get_weather.definition]))
    assert '"name":"get_weather"' in encode(command)


def test_what_the_decorator_is_told_comes_before_what_the_function_says() -> None:
    @function_tool(name="weather-2", description="Else.", strict=True, timeout=5)
    def f() -> None:
        """This."""

    assert (f.name, f.description, f.timeout) == ("weather-2", "Else.", 5)
    assert f.definition.extra == {"strict": True}
    assert f.parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    again: FunctionTool[[], None] = function_tool(f, name="g")
    assert again.description == "This."


def test_a_function_without_docstring_has_no_description() -> None:
    def f() -> None: ...

    assert function_tool(f).definition.description is UNSET


class Calculator:
    def __init__(self, base: int) -> None:
        self.base = base

    def add(self, n: int) -> int:
        """Add to the base."""
        return self.base + n

    @classmethod
    def make(cls, n: int) -> int:
        return n

    @staticmethod
    def double(n: int) -> int:
        return 2 * n

    def __call__(self, n: int) -> int:
        """Be called."""
        return self.base * n


def test_bound_methods_partials_and_callable_objects_are_functions_too() -> None:
    calculator = Calculator(40)
    assert function_tool(calculator.add).call('{"n": 2}') == "42"
    assert function_tool(calculator.add).description == "Add to the base."
    assert function_tool(Calculator.make).call('{"n": 2}') == "2"
    assert function_tool(Calculator.double).call('{"n": 2}') == "4"
    assert function_tool(calculator, name="times").call('{"n": 2}') == "80"
    part = function_tool(functools.partial(get_weather.function, "Rome"), name="part")
    assert "city" not in part.parameters["properties"]
    assert part.description.startswith("Tell the weather")


def test_a_wrapped_function_is_described_as_the_one_inside() -> None:
    @functools.wraps(get_weather.function)
    def wrapper(*args: Any, **kwargs: Any) -> str:
        return "wrapped " + get_weather.function(*args, **kwargs)

    tool = function_tool(wrapper)
    assert tool.parameters == WEATHER
    assert tool.call('{"city": "Rome"}').startswith("wrapped Rome")


def test_attributes_of_the_function_do_not_become_the_tools() -> None:
    def f() -> None: ...

    vars(f).update(name="wrong", timeout=-1, call=None)
    tool = function_tool(f)
    assert (tool.name, tool.timeout, tool.call("{}")) == ("f", None, "null")


def test_generic_classes_are_refused_for_now() -> None:
    T = TypeVar("T")

    @attrs.define
    class Box(Generic[T]):
        inside: T

    with pytest.raises(ConfigurationError):
        schema_for(Box[int])


def wordy() -> None: ...


wordy.__doc__ = "word " * 220


def positional(x: int, /) -> None: ...
def starred(*xs: int) -> None: ...
def double_starred(**xs: int) -> None: ...
def unhinted(x) -> None: ...  # type: ignore[no-untyped-def]
def unresolvable(x: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def arbitrary(x: Path) -> None: ...
def a_callable(x: Callable[[], int]) -> None: ...
def some_bytes(x: bytes) -> None: ...
def a_class(x: type[int]) -> None: ...
def recursive(x: Node) -> None: ...
def bad_field(x: Unresolvable) -> None: ...
def int_keys(x: dict[int, str]) -> None: ...
def a_queue(x: collections.deque[str]) -> None: ...
def nested(x: list[dict[str, Path]]) -> None: ...
def empty_enum(x: Nothing) -> None: ...
def odd_enum(x: Odd) -> None: ...
async def coroutine(x: int) -> None: ...
async def async_generator(x: int) -> AsyncIterator[int]:
    yield x


def generator(x: int) -> Iterator[int]:
    yield x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (positional, "parameter x"),
        (starred, "parameter *xs"),
        (double_starred, "parameter **xs"),
        (unhinted, "parameter x has no type hint"),
        (Calculator.add, "function_tool(obj.method)"),
        (unresolvable, "NoSuchName"),
        (arbitrary, "parameter x: Path"),
        (a_callable, "parameter x"),
        (some_bytes, "parameter x: bytes"),
        (a_class, "parameter x"),
        (recursive, "parameter x: children: Node holds itself"),
        (bad_field, "NoSuchName"),
        (int_keys, "keys that are not str"),
        (a_queue, "cannot be described to the model: take str, list, dict"),
        (nested, "parameter x: Path"),
        (empty_enum, "no members"),
        (odd_enum, "(1, 2)"),
        (coroutine, "async"),
        (async_generator, "async"),
        (generator, "generator"),
    ],
)
def test_what_cannot_be_described_is_refused_by_name(function: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        function_tool(function)
    assert function.__name__ in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["", "with blank", "ünicode", "x" * 65, "new\n"])
def test_a_name_that_the_service_refuses_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the name of a tool"):
        function_tool(name=name)(get_weather.function)


def test_a_description_that_the_service_refuses_is_refused_with_what_to_do() -> None:
    assert len(function_tool(description="d" * 1024)(get_weather.function).description) == 1024
    for described in (function_tool(description="d" * 1025), function_tool):
        with pytest.raises(ConfigurationError, match=r"has 1,0\d\d characters, .* 1,024 .* give description="):
            described(wordy)


@pytest.mark.parametrize("wrong", [lambda: None, 5, Place, functools.partial(get_weather)])
def test_what_is_no_function_with_a_name_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        function_tool(wrong)


@pytest.mark.parametrize("timeout", [0, -1, True, "5", float("nan")])
def test_a_time_out_that_is_no_time_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        function_tool(timeout=timeout)(get_weather.function)


def test_a_default_that_json_cannot_say_makes_optional_all_the_same() -> None:
    sentinel: Any = object()

    def f(x: int = sentinel) -> bool:
        return x is sentinel

    tool = function_tool(f)
    assert tool.parameters["properties"] == {"x": {"type": "integer"}}
    assert tool.call("{}") == "true"
