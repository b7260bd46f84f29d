"""The example test of the Flask application: it passes, and finds what was planted into the application."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import test_flask_app as example
import weather

from realtime_sync import function_tool

pytestmark = pytest.mark.medium

line, realtime_server = example.line, example.realtime_server
test_who_interrupts_is_listened_to = example.test_who_interrupts_is_listened_to
test_the_weather_is_told = example.test_a_caller_is_told_the_weather_where_it_was_asked_for


@function_tool(name="get_weather")
def weather_of_another_list(city: Literal["London", "Rome"]) -> dict[str, object]:
    """Tells today's weather in a city."""
    return {"city": city, **weather.REPORTS[city]}


@pytest.fixture
def described_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application tells the model of the wrong cities, so that it calls the tool with one of those."""
    monkeypatch.setattr(example, "get_weather", weather_of_another_list)


@pytest.fixture
def looked_up_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model says the right city, and the application makes another one of it."""
    monkeypatch.setattr(weather, "station_of", lambda city: "Rome")


def found(simulated_caller: Any, line: Any) -> str:
    """What the example test fails with."""
    with pytest.raises(AssertionError) as failed:
        example.test_a_caller_is_told_the_weather_where_it_was_asked_for(simulated_caller, line)
    return str(failed.value)


@pytest.mark.slow
def test_a_tool_called_with_the_wrong_city_is_found(described_wrongly: None, simulated_caller: Any, line: Any) -> None:
    told = found(simulated_caller, line)
    assert told.startswith("The tool ran as get_weather(city='London'), not with city='Paris'.\n")
    assert "caller       What is the weather like in Paris today?\n" in told
    assert "application  Here is the answer: city: London" in told


def test_a_city_that_the_application_gets_wrong_is_found(
    looked_up_wrongly: None, simulated_caller: Any, line: Any
) -> None:
    assert "'city': 'Rome'" in found(simulated_caller, line)
