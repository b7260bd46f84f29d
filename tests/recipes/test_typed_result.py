"""A typed result: from a model that answers in words, that errs, and that never calls."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import attrs
import pytest

from realtime_sync import ConversationSessionOptions
from realtime_sync.server import FunctionCall, Turn
from tests.core.answers import received
from tests.core.harness import House
from tests.recipes.guide import recipe


@attrs.frozen
class Booking:
    """Takes down what is booked."""

    city: str
    nights: Annotated[int, "how many nights"] = attrs.field(validator=attrs.validators.gt(0))
    breakfast: bool = False


@dataclasses.dataclass
class Visit:
    """Takes down a visit."""

    town: str
    sights: list[str]


def total(net: float, rate: float = 0.2) -> float:
    """Adds the tax.

    Args:
        net: without tax
        rate: of the tax
    """
    return net * (1 + rate)


class Model:
    """Does what it is told, step by step; then it says "Done."."""

    def __init__(self, *steps: Any) -> None:
        self.steps = [*steps]
        self.turns: list[Turn] = []

    def __call__(self, turn: Turn) -> Any:
        self.turns.append(turn)
        return self.steps.pop(0) if self.steps else "Done."


def asked(house: House, model: Model, kind: Any, **options: Any) -> Any:
    house.serve(responder=model)
    session = house.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    return recipe("ask_for").ask_for(session, "Two nights in Paris, please.", kind, **options)


def call(name: str, **arguments: Any) -> FunctionCall:
    return FunctionCall(name, arguments)


def test_the_result_is_of_the_class(plain: House) -> None:
    model = Model(call("Booking", city="Paris", nights=2))
    assert asked(plain, model, Booking) == Booking("Paris", 2)
    (tool,) = model.turns[0].tools
    assert (tool["name"], tool["description"]) == ("Booking", "Takes down what is booked.")
    assert tool["parameters"]["properties"]["nights"]["description"] == "how many nights"
    assert model.turns[0].tool_choice == "required"
    assert model.turns[1].tool_choice == "auto"  # else it would have to call for ever


def test_a_model_that_answers_in_words_is_asked_again(plain: House) -> None:
    model = Model("With pleasure!", call("Booking", city="Paris", nights=2, breakfast=True))
    assert asked(plain, model, Booking) == Booking("Paris", 2, breakfast=True)
    questions = [
        message["item"]["content"][0]["text"] for message in received(plain.live, "conversation.item.create")[:2]
    ]
    assert questions == ["Two nights in Paris, please.", "Please call Booking."]


@pytest.mark.parametrize(
    "wrong", [{"city": "Paris"}, {"city": "Paris", "nights": "many"}, {"city": "Paris", "nights": 0}]
)
def test_what_does_not_fit_goes_back_to_the_model(plain: House, wrong: dict[str, Any]) -> None:
    model = Model(call("Booking", **wrong), call("Booking", city="Paris", nights=2))
    assert asked(plain, model, Booking, attempts=1) == Booking("Paris", 2)
    assert "nights" in model.turns[1].items[-1]["output"]


def test_a_model_that_never_calls_is_given_up(plain: House) -> None:
    model = Model("No.", "No.", "No.")
    with pytest.raises(ValueError, match="has not called Booking"):
        asked(plain, model, Booking)
    assert len(model.turns) == 3


def test_a_dataclass_will_do(plain: House) -> None:
    model = Model(call("Visit", town="Rome", sights=["the Forum"]))
    assert asked(plain, model, Visit) == Visit("Rome", ["the Forum"])


def test_a_function_will_do(plain: House) -> None:
    model = Model(call("total", net=100.0))
    assert asked(plain, model, total) == pytest.approx(120.0)
    assert model.turns[0].tools[0]["parameters"]["properties"]["net"]["description"] == "without tax"
