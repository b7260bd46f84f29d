"""Calls the Flask application with a simulated caller: no key, no network, no browser.

    .venv/bin/pip install -e ".[server]" flask flask-sock pytest
    cd examples
    ../.venv/bin/python -m pytest test_flask_app.py

The caller says the sample recordings, which the embedded server knows by heart. With the extra ``voice``, leave out the
fixture ``realtime_server``: then the caller says any text, and the server understands it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask_app.app import create_app
from weather import get_weather
from web_service import Service
from werkzeug.serving import make_server

from realtime_sync import OpenAIClient
from realtime_sync.server import RealtimeServer
from realtime_sync.server.speech import recorded_speech
from realtime_sync.testing import AwaitAnswer, BrowserLine, Interrupt, Say, SimulatedCaller

AUDIO = Path(__file__).parent / "audio"
TREE = AUDIO / "what_is_the_tallest_tree.wav"  # What is the tallest tree in the world?
WEATHER = AUDIO / "what_is_the_weather.wav"  # What is the weather like in Paris today?
PACE = 4.0  # times faster than people speak

MakeCaller = Callable[..., SimulatedCaller]


@pytest.fixture
def realtime_server() -> Iterator[RealtimeServer]:
    """In place of the plugin's: the service that the application talks to."""
    with RealtimeServer(speech=recorded_speech()) as server:
        yield server


@pytest.fixture
def line(realtime_server: RealtimeServer) -> Iterator[BrowserLine]:
    """The socket with which a page of the application talks."""
    model = OpenAIClient("any-key", endpoint=realtime_server.url, proxy=False)
    client = model.get_realtime_conversation_client("gpt-realtime-2.1")
    with closing(Service(client, tools=[get_weather])) as service:
        web = make_server("127.0.0.1", 0, create_app(service), threaded=True)
        serving = threading.Thread(target=web.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield BrowserLine(f"ws://127.0.0.1:{web.server_port}/talk")
        finally:
            web.shutdown()
            web.server_close()
            serving.join(20)


def test_a_caller_is_told_the_weather_where_it_was_asked_for(simulated_caller: MakeCaller, line: BrowserLine) -> None:
    report = simulated_caller([WEATHER], pace=PACE).call(line)
    report.assert_tool("get_weather", city="Paris")
    assert report.tool("get_weather").result == {"city": "Paris", "sky": "clear", "celsius": 19}
    report.assert_said("Paris, sky: clear")
    report.assert_answered_within(2.0 * PACE)  # an answer takes real time


def test_who_interrupts_is_listened_to(simulated_caller: MakeCaller, line: BrowserLine) -> None:
    script = [Say(TREE), Interrupt(WEATHER, after=1.5), AwaitAnswer()]
    report = simulated_caller(script, pace=PACE).call(line)
    report.assert_silent_within(1.0 * PACE)
    report.assert_not_said("116 metres")  # which was not heard any more
    report.assert_said("Paris")
