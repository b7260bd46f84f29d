"""openai-agents' realtime runner, unchanged, holds conversations with the embedded server."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine

import pytest

from realtime_sync.server import RealtimeServer, Reply
from realtime_sync.testing import ManualClock
from tests.server.sounds import silence, tone

pytestmark = pytest.mark.slow  # its import alone takes seconds

LONG = Reply("A long answer.", audio=tone(20_000))
DEADLINE = 50.0
Events = list[Any]


def run(server: RealtimeServer, talk: Callable[[Any, Events], Coroutine[Any, Any, None]], **settings: Any) -> Events:
    """One session of a runner with the tool ``get_weather``; returns its events, none of which told an error."""
    realtime = pytest.importorskip("agents.realtime", reason="needs the extra dev")
    agents = pytest.importorskip("agents", reason="needs the extra dev")
    agents.set_tracing_disabled(True)  # it would tell another host

    @agents.function_tool
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"Sun in {city}."

    agent = realtime.RealtimeAgent(name="Guide", instructions="Be brief.", tools=[get_weather])
    config = {
        "url": server.url.replace("http", "ws", 1) + "/realtime?model=gpt-realtime-2.1",
        "api_key": "any-key",
        "initial_model_settings": {"model_name": "gpt-realtime-2.1", **settings},
    }
    events: Events = []

    async def session() -> None:
        runner = realtime.RealtimeRunner(agent)
        async with await runner.run(model_config=config) as opened:
            await talk(opened, events)

    asyncio.run(asyncio.wait_for(session(), DEADLINE))
    assert [event for event in events if event.type == "error"] == []
    failed = [event for event in raw(events) if event.type == "exception"]
    assert failed == [], "it could not read an event"
    return events


def raw(events: Events) -> Events:
    """The model's own events, which the runner passes on."""
    return [event.data for event in events if event.type == "raw_model_event"]


def of_server(events: Events) -> list[str]:
    """The wire types of what the server sent."""
    return [event.data["type"] for event in raw(events) if event.type == "raw_server_event"]


async def read(session: Any, events: Events, enough: Callable[[Any], bool]) -> None:
    """Read until an event is enough."""
    async for event in session:
        events.append(event)
        if enough(event):
            return
    raise AssertionError("the session ended")


def is_wire(wire_type: str) -> Callable[[Any], bool]:
    return lambda event: bool(
        event.type == "raw_model_event"
        and event.data.type == "raw_server_event"
        and event.data.data["type"] == wire_type
    )


def last_said(events: Events) -> str:
    """The text of the last message in the history that the runner keeps."""
    histories = [event.history for event in events if event.type == "history_updated"]
    added = [event.item for event in events if event.type == "history_added"]
    items = [item for history in histories[-1:] for item in history] or added
    messages = [item for item in items if item.type == "message" and item.role == "assistant"]
    return " ".join(
        str(getattr(part, "text", None) or getattr(part, "transcript", None)) for part in messages[-1].content
    )


def test_the_runner_asks_in_text() -> None:
    async def talk(session: Any, events: Events) -> None:
        await session.send_message("Hello")
        await read(session, events, lambda event: event.type == "agent_end")

    with RealtimeServer() as server:
        events = run(server, talk, modalities=["text"])
    assert last_said(events) == "Hello! You said: Hello"


def test_the_runner_calls_a_tool() -> None:
    async def talk(session: Any, events: Events) -> None:
        await session.send_message("What is the weather in Paris?")
        await read(session, events, lambda event: event.type == "tool_end")
        await read(session, events, is_wire("response.done"))
        if of_server(events).count("response.done") < 2:
            await read(session, events, is_wire("response.done"))

    with RealtimeServer() as server:
        events = run(server, talk, modalities=["text"])
    (ended,) = [event for event in events if event.type == "tool_end"]
    assert ended.output == "Sun in Paris."
    assert last_said(events) == "The function returned: Sun in Paris."


@pytest.mark.parametrize("interrupt_response", [True, False])
def test_the_runner_interrupts_an_answer_that_is_still_being_said(interrupt_response: bool) -> None:
    async def talk(session: Any, events: Events) -> None:
        await session.send_message("Talk")
        await read(session, events, lambda event: event.type == "audio")
        await session.interrupt()
        await read(session, events, is_wire("conversation.item.truncated"))
        await session.send_message("Hello")
        await read(session, events, lambda event: event.type == "agent_end")

    long = Reply("A long answer.", audio=tone(20_000), delta_delay=0.01)
    with RealtimeServer(responder=lambda turn: long if turn.text_of(turn.last or {}) == "Talk" else "Hi.") as server:
        run(server, talk, turn_detection={"type": "server_vad", "interrupt_response": interrupt_response})


def test_the_runner_is_interrupted_while_it_hears_an_answer() -> None:
    async def talk(session: Any, events: Events) -> None:
        await session.send_audio(silence(400) + tone(800) + silence(400))
        await read(session, events, lambda event: event.type == "audio")
        await session.send_audio(tone(400))
        await read(session, events, lambda event: event.type == "audio_interrupted")
        await read(session, events, is_wire("conversation.item.truncated"))

    with RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=ManualClock()) as server:
        turn_detection = {"type": "server_vad", "interrupt_response": True, "silence_duration_ms": 200}
        events = run(server, talk, turn_detection=turn_detection)
        done = server.sessions[0].wait_for_sent("response.done")["response"]
    assert done["status_details"]["reason"] == "turn_detected"
    assert "response.output_audio.delta" in of_server(events)
