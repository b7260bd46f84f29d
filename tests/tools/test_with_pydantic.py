"""Parameters in pydantic's words: what they say reaches the model, and holds."""

from __future__ import annotations

import dataclasses
import datetime
import json
import uuid
from typing import Annotated, Any, Callable, Literal, Optional, Union

import attrs
import jsonschema
import pytest

from realtime_sync.errors import ConfigurationError, ToolArgumentError
from realtime_sync.tools import FunctionTool, function_tool

pydantic: Any = pytest.importorskip("pydantic")
annotated_types: Any = pytest.importorskip("annotated_types")
Field = pydantic.Field


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = Field(9, ge=0, le=9)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


class Order(pydantic.BaseModel):
    """What is ordered."""

    title: str = Field(description="its name", min_length=2)
    on: datetime.date
    size: tuple[int, str] = (1, "m")
    pets: list[Union[Cat, Dog]] = []  # noqa: RUF012  pydantic copies it
    number: Optional[int] = Field(None, alias="No")


class Chain(pydantic.BaseModel):
    next: Optional[Chain] = None


@pydantic.dataclasses.dataclass
class Point:
    x: int = Field(gt=0)


def taking(hint: Any, *default: Any) -> tuple[FunctionTool[..., Any], list[Any]]:
    """A tool with one parameter, and what it is called with."""
    seen: list[Any] = []

    def tool(x: Any = None) -> None:
        seen.append(x)

    tool.__annotations__["x"] = hint
    tool.__defaults__ = default
    return function_tool(tool), seen


def schema_of(tool: FunctionTool[..., Any]) -> Any:
    jsonschema.Draft202012Validator.check_schema(tool.parameters)
    return tool.parameters["properties"]["x"]


@pytest.mark.parametrize(
    ("hint", "schema", "right", "wrong"),
    [
        (
            Annotated[int, Field(ge=1, le=10, description="How many")],
            {"type": "integer", "minimum": 1, "maximum": 10, "description": "How many"},
            10,
            [0, 11, "many", None],
        ),
        (Annotated[str, Field(pattern="^a+$")], {"type": "string", "pattern": "^a+$"}, "aa", ["b"]),
        (
            Annotated[list[int], Field(min_length=1)],
            {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            [1],
            [[], ["a"]],
        ),
        (Annotated[int, annotated_types.Gt(0)], {"type": "integer", "exclusiveMinimum": 0}, 1, [0]),
        (pydantic.PositiveInt, {"type": "integer", "exclusiveMinimum": 0}, 1, [-1]),
        (Annotated[str, annotated_types.Len(2, 3)], {"type": "string", "minLength": 2, "maxLength": 3}, "ab", ["a"]),
        (
            Optional[Annotated[int, Field(ge=1, description="n")]],
            {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "n"},
            None,
            [0],
        ),
        (
            Annotated[tuple[int, str], Field(description="a pair")],
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 2,
                "maxItems": 2,
                "description": "a pair",
            },
            (1, "a"),
            [[1]],
        ),
        (
            Annotated[Union[Cat, Dog], Field(discriminator="kind")],
            None,
            Dog(kind="dog"),
            [{"kind": "cow"}, {"kind": "cat", "lives": 10}],
        ),
        (Point, None, Point(1), [{}, {"x": 0}]),
        (list[Point], None, [Point(1)], [[{"x": 0}]]),
    ],
)
def test_bounds_are_told_and_hold(hint: Any, schema: Any, right: Any, wrong: list[Any]) -> None:
    tool, seen = taking(hint)
    assert schema in (None, schema_of(tool))
    plain = pydantic.TypeAdapter(hint).dump_python(right, mode="json")
    assert jsonschema.Draft202012Validator(schema_of(tool)).is_valid(plain)
    tool.call(json.dumps({"x": plain}))
    assert seen == [right]
    for value in wrong:
        with pytest.raises(ToolArgumentError, match="tool was not called: x"):
            tool.call(json.dumps({"x": value}))
    assert seen == [right]


def test_a_model_is_described_in_one_piece_and_made() -> None:
    tool, seen = taking(Order)
    assert schema_of(tool) == {
        "type": "object",
        "description": "What is ordered.",
        "properties": {
            "title": {"type": "string", "description": "its name", "minLength": 2},
            "on": {"type": "string", "format": "date"},
            "size": {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 2,
                "maxItems": 2,
                "default": [1, "m"],
            },
            "pets": {
                "type": "array",
                "default": [],
                "items": {
                    "anyOf": [
                        {
                            "type": "object",
                            "properties": {
                                "kind": {"type": "string", "const": "cat"},
                                "lives": {"type": "integer", "default": 9, "minimum": 0, "maximum": 9},
                            },
                            "required": ["kind"],
                        },
                        {
                            "type": "object",
                            "properties": {"kind": {"type": "string", "const": "dog"}},
                            "required": ["kind"],
                        },
                    ]
                },
            },
            "No": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
        "required": ["title", "on"],
    }
    tool.call('{"x": {"title": "tea", "on": "2026-01-31", "pets": [{"kind": "cat"}], "No": 5}}')
    assert seen == [Order(title="tea", on=datetime.date(2026, 1, 31), pets=[Cat(kind="cat")], No=5)]
    with pytest.raises(ToolArgumentError) as caught:
        tool.call('{"x": {"title": "t", "size": [1]}}')
    assert "x.title: String should have at least 2 characters; x.on: Field required; x.size[1]" in str(caught.value)
    with pytest.raises(ToolArgumentError, match="x is missing, expected an object"):
        tool.call("{}")


def test_a_field_as_the_default_makes_a_parameter_required_or_is_its_default() -> None:
    required, seen = taking(int, Field(..., gt=0, description="In years"))
    assert schema_of(required) == {"type": "integer", "exclusiveMinimum": 0, "description": "In years"}
    assert required.parameters["required"] == ["x"]
    with pytest.raises(ToolArgumentError, match="x is missing, expected an integer"):
        required.call("{}")
    for default, told in ((Field(5, gt=0), {"default": 5}), (Field(None), {"default": None}), (Field(default=5), {})):
        optional, seen = taking(int, default)
        assert optional.parameters["required"] == []
        assert told.items() <= schema_of(optional).items()
        optional.call("{}")
        optional.call('{"x": 7}')
        assert seen == [default.default, 7]


def test_what_a_default_factory_makes_is_new_for_each_call_and_not_told() -> None:
    for hint, default in (
        (list[int], (Field(default_factory=list),)),
        (Annotated[list[int], Field(default_factory=list)], ()),
    ):
        tool, seen = taking(hint, *default)
        assert tool.parameters["required"] == []
        assert schema_of(tool) == {"type": "array", "items": {"type": "integer"}}
        tool.call("{}")
        tool.call("{}")
        assert seen == [[], []]
        assert seen[0] is not seen[1]


def test_the_docstring_describes_a_parameter_whose_field_has_no_description() -> None:
    def count(
        n: Annotated[int, Field(ge=1)], m: Annotated[int, Field(description="its own")], k: int = Field(1)
    ) -> None:
        """Count.

        Args:
            n: how many
            m: not this
            k: how often
        """

    properties = function_tool(count).parameters["properties"]
    assert [properties[name]["description"] for name in "nmk"] == ["how many", "its own", "how often"]


def test_a_model_is_a_result_and_a_default_too() -> None:
    number = uuid.UUID(int=5)

    class Thing(pydantic.BaseModel):
        id: uuid.UUID

    def give(thing: Any = Thing(id=number)) -> Any:  # noqa: B008  as people write it
        return {"things": [thing]}

    give.__annotations__["thing"] = Thing
    tool = function_tool(give)
    assert tool.parameters["properties"]["thing"]["default"] == {"id": str(number)}
    assert json.loads(tool.call("{}")) == {"things": [{"id": str(number)}]}


@dataclasses.dataclass
class Plain:
    x: int = Field(gt=0)


@attrs.define
class Box:
    x: int


class Validated(pydantic.BaseModel):
    x: int

    @pydantic.field_validator("x")
    @classmethod
    def odd(cls, x: int) -> int:
        raise OSError("the validator's own")


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Chain, "parameter x: Chain holds itself"),
        (Plain, "only pydantic's classes understand"),
        (Annotated[Box, Field(description="of ours")], "pydantic cannot read"),
        (Annotated[Callable[[], int], Field(description="of nobody")], "cannot be described"),
    ],
)
def test_what_would_be_lost_is_refused(hint: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        taking(hint)


def test_what_a_validator_raises_is_told_to_the_model() -> None:
    tool, _ = taking(Validated)
    with pytest.raises(ToolArgumentError, match="x: OSError: the validator's own"):
        tool.call('{"x": {"x": 1}}')


def test_a_number_that_is_infinite_is_refused_as_elsewhere() -> None:
    for tool, seen in (taking(float), taking(Annotated[float, Field(gt=0)]), taking(list[pydantic.PositiveFloat])):
        value = "[1e999]" if tool.parameters["properties"]["x"]["type"] == "array" else "1e999"
        with pytest.raises(ToolArgumentError, match="number is too large"):
            tool.call(f'{{"x": {value}}}')
        assert seen == []


def test_a_schema_may_name_several_types() -> None:
    tool, seen = taking(Annotated[int, Field(json_schema_extra={"type": ["integer", "null"]})])
    assert tool.parameters["properties"]["x"] == {"type": ["integer", "null"]}
    with pytest.raises(ToolArgumentError, match="x is missing, expected a value"):
        tool.call("{}")
    tool.call('{"x": 1}')
    assert seen == [1]


def test_the_fields_of_others_are_refused() -> None:
    class FieldInfo:  # as pydantic 1 has it
        __module__ = "pydantic.v1.fields"

    class Meta:
        __module__ = "msgspec"

    for hint, default in (
        (int, (FieldInfo(),)),
        (Annotated[int, FieldInfo()], ()),
        (Annotated[int, FieldInfo()], (5,)),
    ):
        with pytest.raises(ConfigurationError, match=r"parameter x: .* of pydantic 1 says would be lost"):
            taking(hint, *default)
    with pytest.raises(ConfigurationError, match="msgspec"):
        taking(Annotated[int, Meta()])
