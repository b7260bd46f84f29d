"""What becomes of the arguments that the model wrote, and of what a function returns."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import attrs
import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime_sync.errors import InvalidInputError, ToolArgumentError, ToolError
from realtime_sync.tools import FunctionTool, ToolContext, function_tool


class Unit(enum.Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):
    YES = "yes"


@attrs.define
class Place:
    latitude: float = attrs.field(validator=attrs.validators.lt(90.0))
    _note: Optional[str] = attrs.field(default=None, validator=attrs.validators.in_(["n", None]))


@dataclass
class Trip:
    to: Place
    stops: list[Place]
    day: Optional[datetime.date] = None


class Film(TypedDict, total=False):
    title: str


UTC = datetime.timezone.utc


def taking(hint: Any) -> tuple[FunctionTool[..., object], list[Any]]:
    """A tool with one parameter ``x``, and what it was called with."""
    seen: list[Any] = []

    def tool(x: Any) -> None:
        seen.append(x)

    tool.__annotations__["x"] = hint
    return function_tool(tool), seen


RIGHT: list[tuple[Any, str, Any]] = [
    (str, '"a"', "a"),
    (str, '""', ""),
    (int, "3", 3),
    (int, "3.0", 3),
    (float, "3", 3.0),
    (float, "0.5", 0.5),
    (bool, "false", False),
    (None, "null", None),
    (Any, '{"a": [1]}', {"a": [1]}),
    (Optional[int], "null", None),
    (Optional[int], "1", 1),
    (Union[int, str], '"1"', "1"),
    (Union[int, float], "1.0", 1.0),
    (Union[float, int], "1", 1),
    (Union[str, int, None], "null", None),
    (Union[datetime.date, str], '"2026-01-31"', datetime.date(2026, 1, 31)),
    (Union[datetime.date, str], '"soon"', "soon"),
    (Union[Place, Film], '{"title": "Alien"}', {"title": "Alien"}),
    (Literal["a", 1], "1", 1),
    (Literal["a", True], "true", True),
    (Unit, '"f"', Unit.FAHRENHEIT),
    (Level, "1", Level.LOW),
    (Word, '"yes"', Word.YES),
    (Literal[Unit.CELSIUS], '"c"', Unit.CELSIUS),
    (Annotated[Unit, "in"], '"c"', Unit.CELSIUS),
    (list, "[1, null]", [1, None]),
    (list[float], "[1, 2.5]", [1.0, 2.5]),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (tuple[int, ...], "[1, 2, 3]", (1, 2, 3)),
    (tuple[()], "[]", ()),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (dict[str, Optional[Unit]], '{"a": "c", "b": null}', {"a": Unit.CELSIUS, "b": None}),
    (datetime.date, '"2026-01-31"', datetime.date(2026, 1, 31)),
    (datetime.datetime, '"2026-01-31T09:30:00Z"', datetime.datetime(2026, 1, 31, 9, 30, tzinfo=UTC)),
    (datetime.datetime, '"2026-01-31T09:30:00.5+00:00"', datetime.datetime(2026, 1, 31, 9, 30, 0, 500000, UTC)),
    (datetime.datetime, '"2026-01-31 09:30"', datetime.datetime(2026, 1, 31, 9, 30)),
    (Place, '{"latitude": 1, "note": "n"}', Place(1.0, "n")),
    (Trip, '{"to": {"latitude": 1}, "stops": []}', Trip(Place(1.0), [])),
    (Film, '{"title": "Alien"}', {"title": "Alien"}),
    (Film, "{}", {}),
]
WRONG: list[tuple[Any, str, str]] = [
    (str, "1", "x: expected a string, got a number"),
    (str, "null", "x: expected a string, got null"),
    (int, '"1"', "x: expected an integer, got a string"),
    (int, "true", "x: expected an integer, got a boolean"),
    (int, "1.5", "x: expected an integer, got a number"),
    (int, "1e999", "x: expected an integer, got a number"),
    (float, "true", "x: expected a number, got a boolean"),
    (float, "1e999", "x: the number is too large"),
    (float, "1" + "0" * 400, "x: the number is too large"),
    (bool, "1", "x: expected a boolean, got a number"),
    (None, "0", "x: expected null, got a number"),
    (Optional[int], '"a"', "x: expected an integer, got a string"),
    (Union[int, str], "[]", "x: expected an integer or a string, got an array"),
    (Literal["a", "b"], '"c"', 'x: expected one of "a", "b", got a string'),
    (Literal[1], "true", "x: expected 1, got a boolean"),
    (Unit, '"CELSIUS"', 'x: expected one of "c", "f", got a string'),
    (Unit, "[]", 'x: expected one of "c", "f", got an array'),
    (Word, '"no"', 'x: expected "yes", got a string'),
    (list[int], '"12"', "x: expected an array, got a string"),
    (list[int], "{}", "x: expected an array, got an object"),
    (list[int], '[1, "a", 2, null]', "x[1]: expected an integer, got a string; x[3]: expected an integer, got null"),
    (tuple[int, str], "[1]", "x: expected an array of 2 elements, got an array"),
    (dict[str, int], "[]", "x: expected an object, got an array"),
    (dict[str, int], '{"a b": ""}', 'x["a b"]: expected an integer, got a string'),
    (datetime.date, '"31.1.2026"', "x: expected a date like 2026-01-31, got a string"),
    (datetime.date, '"2026-02-30"', "x: no such date"),
    (datetime.datetime, '"2026-01-31"', "x: expected a date and time like 2026-01-31T09:30:00Z, got a string"),
    (datetime.datetime, '"2026-01-31T25:00:00Z"', "x: no such date and time"),
    (datetime.datetime, "5", "x: expected a date and time"),
    (Place, "5", "x: expected an object, got a number"),
    (Place, "{}", "x.latitude is missing"),
    (Place, '{"latitude": 1, "_note": "n"}', "x._note is not known"),
    (Place, '{"latitude": 91}', "x: ValueError: 'latitude' must be < 90.0: 91"),
    (Place, '{"latitude": 1, "note": "m"}', "x: ValueError: '_note' must be in ['n', None] (got 'm')."),
    (Trip, '{"to": {}, "stops": [{"latitude": "1"}]}', "x.to.latitude is missing, expected a number; x.stops[0]"),
    (Film, '{"titel": ""}', "x.titel is not known"),
    (Film, "[]", "x: expected an object, got an array"),
    (dict[str, list[Film]], '{"a": [{}, {"b": 1}]}', 'x["a"][1].b is not known'),
]


@pytest.mark.parametrize(("hint", "text", "value"), RIGHT)
def test_a_fitting_argument_arrives_as_a_value_of_the_hint(hint: Any, text: str, value: Any) -> None:
    tool, seen = taking(hint)
    assert tool.call(f'{{"x": {text}}}') == "null"
    assert seen == [value]
    assert type(seen[0]) is type(value)


@pytest.mark.parametrize(("hint", "text", "words"), WRONG)
def test_a_wrong_argument_is_told_with_its_place_and_what_was_expected(hint: Any, text: str, words: str) -> None:
    tool, seen = taking(hint)
    with pytest.raises(ToolArgumentError) as caught:
        tool.call(f'{{"x": {text}}}')
    assert str(caught.value).startswith(f"tool was not called: {words}")
    assert seen == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "the arguments are not JSON"),
        ('{"x": NaN}', "NaN is not in JSON"),
        ("[" * 100_000, "the arguments are not JSON"),
        ("[1]", "the arguments must be a JSON object, not an array"),
        ("null", "must be a JSON object, not null"),
        ("{}", "x is missing, expected an integer"),
        ("", "x is missing, expected an integer"),
        ('{"x": 1, "y": 2, "z": 3}', "y is not a parameter; z is not a parameter. Its parameters: x."),
        ('{"self": 1}', "x is missing, expected an integer; self is not a parameter"),
    ],
)
def test_arguments_that_are_no_arguments_are_told(text: str, words: str) -> None:
    tool, _ = taking(int)
    with pytest.raises(ToolArgumentError) as caught:
        tool.call(text)
    assert words in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ToolError)
    assert not isinstance(caught.value, InvalidInputError)


def test_every_fault_is_told_at_once() -> None:
    @function_tool
    def f(a: int, b: str, c: bool = False) -> None: ...

    with pytest.raises(ToolArgumentError) as caught:
        f.call('{"b": 1, "c": "no", "d": 0}')
    assert str(caught.value) == (
        "f was not called: a is missing, expected an integer; b: expected a string, got a number; "
        "c: expected a boolean, got a string; d is not a parameter. Its parameters: a, b, c."
    )


def test_what_the_model_leaves_out_is_the_functions_own_default() -> None:
    marker = object()

    @function_tool
    def f(a: int, b: Any = marker) -> bool:
        return b is marker

    assert f.call('{"a": 1}') == "true"
    assert f.call('{"a": 1, "b": 1}') == "false"


def test_a_default_of_none_may_be_sent_as_null() -> None:
    @function_tool
    def f(a: int = None) -> bool:  # type: ignore[assignment]  # noqa: RUF013
        return a is None

    assert f.call('{"a": null}') == "true"


def test_the_context_is_given_and_cannot_be_sent() -> None:
    @function_tool
    def f(a: int, context: ToolContext, other: Optional[ToolContext] = None) -> str:
        return f"{a} {context.call_id} {context.name} {other is context}"

    assert list(f.parameters["properties"]) == ["a"]
    assert f.call('{"a": 1}', ToolContext("call_1", "f")) == "1 call_1 f True"
    assert f.call('{"a": 1}') == "1  f True"
    with pytest.raises(ToolArgumentError, match="context is not a parameter"):
        f.call('{"a": 1, "context": {}}')


def test_what_the_function_raises_is_raised() -> None:
    @function_tool
    def f() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        f.call("{}")


# Results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (0, "0"),
        (0.0, "0.0"),
        (False, "false"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        ((1, "ä"), '[1, "ä"]'),
        ({"a": {1}}, '{"a": [1]}'),
        (Unit.CELSIUS, '"c"'),
        (Level.LOW, "1"),
        (Word.YES, '"yes"'),
        (Place(1.0, "n"), '{"latitude": 1.0, "note": "n"}'),
        (
            Trip(Place(1.0), [], datetime.date(2026, 1, 31)),
            '{"to": {"latitude": 1.0, "note": null}, "stops": [], "day": "2026-01-31"}',
        ),
        (datetime.datetime(2026, 1, 31, 9, 30, tzinfo=UTC), '"2026-01-31T09:30:00+00:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), '"1.10"'),
        (PurePosixPath("a/b"), '"a/b"'),
        ("\ud800", "\ufffd"),
        (["\ud800"], '["\ufffd"]'),
    ],
)
def test_a_result_is_sent_as_what_it_is(result: Any, text: str) -> None:
    def f() -> Any:
        return result

    assert function_tool(f).call("{}") == text


@pytest.mark.parametrize("result", [float("nan"), object(), open, Place, b"bytes", {Unit.CELSIUS: 1}])
def test_a_result_that_json_cannot_say_raises(result: Any) -> None:
    def f() -> Any:
        return result

    with pytest.raises((TypeError, ValueError)):
        function_tool(f).call("{}")


# Any arguments ----------------------------------------------------------------------------------------------

CHECKS: dict[Any, Callable[[Any], bool]] = {
    str: lambda value: type(value) is str,
    int: lambda value: type(value) is int,
    float: lambda value: type(value) is float,
    bool: lambda value: type(value) is bool,
    None: lambda value: value is None,
    Literal["a", 1, True]: lambda value: value in ("a", 1, True),
    Unit: lambda value: type(value) is Unit,
}
simple = st.sampled_from(list(CHECKS))
hints = st.recursive(
    simple,
    lambda inner: (
        inner.map(lambda hint: list.__class_getitem__(hint))
        | inner.map(lambda hint: dict.__class_getitem__((str, hint)))
        | inner.map(lambda hint: Optional.__getitem__(hint))
        | st.tuples(inner, inner).map(lambda pair: Union.__getitem__(pair))
        | st.tuples(inner, inner).map(lambda pair: tuple.__class_getitem__(pair))
    ),
    max_leaves=4,
)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    leaves | st.sampled_from(["a", "c", "f", "", "1"]) | st.sampled_from([1, 1.0, 0, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
NAMES = "abc"


def is_of(hint: Any, value: Any) -> bool:
    if hint in CHECKS:
        return CHECKS[hint](value)
    if hint is type(None):
        return value is None
    arguments: tuple[Any, ...] = hint.__args__
    kind = getattr(hint, "__origin__", None)
    if kind is list:
        return type(value) is list and all(is_of(arguments[0], element) for element in value)
    if kind is dict:
        return type(value) is dict and all(is_of(arguments[1], element) for element in value.values())
    if kind is tuple:
        return type(value) is tuple and all(is_of(*pair) for pair in zip(arguments, value, strict=True))
    return any(is_of(member, value) for member in arguments)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(hints, st.booleans()), max_size=3), st.data())
def test_any_arguments_either_call_the_function_with_its_types_or_are_refused_as_the_schema_says(
    parameters: list[tuple[Any, bool]], data: st.DataObject
) -> None:
    seen: list[dict[str, Any]] = []
    named = dict(zip(NAMES, parameters, strict=False))
    spelled = ", ".join(f"{name}=..." if optional else name for name, (_, optional) in named.items())
    scope: dict[str, Any] = {"seen": seen}
    exec(f"def f(*, {spelled}): seen.append(locals())" if spelled else "def f(): seen.append({})", scope)
    scope["f"].__annotations__.update({name: hint for name, (hint, _) in named.items()})
    tool = function_tool(scope["f"])

    jsonschema.Draft202012Validator.check_schema(tool.parameters)
    arguments = data.draw(st.dictionaries(st.sampled_from(NAMES), values, max_size=3))
    valid = jsonschema.Draft202012Validator(tool.parameters).is_valid(arguments)
    try:
        tool.call(json.dumps(arguments))
    except ToolArgumentError:
        assert not valid
        assert seen == []
    else:
        assert valid
        for name, (hint, optional) in named.items():
            value = seen[0][name]
            assert is_of(hint, value) or (optional and value is ...)


@settings(max_examples=100, deadline=None)
@given(st.text())
@example('{"x": 1}')
def test_any_text_at_all_calls_or_is_refused(text: str) -> None:
    tool, seen = taking(int)
    try:
        tool.call(text)
    except ToolArgumentError:
        assert seen == []
    else:
        assert type(seen[0]) is int
