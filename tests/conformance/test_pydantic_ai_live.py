"""pydantic-ai's GPT-Live model, unchanged, converses with the embedded server, and its agent's tool is called."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Coroutine

import pytest

from realtime_sync.server import RealtimeServer

pytestmark = pytest.mark.slow  # its import alone takes seconds, and it speaks at the speed of speech

DEADLINE = 45.0


def run(server: RealtimeServer, talk: Callable[[Any], Coroutine[Any, Any, None]]) -> Any:
    """One session of an agent with the tool ``get_weather``; returns the session, as it was at its end."""
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="needs the extra dev, and Python 3.11")
    realtime = pytest.importorskip("pydantic_ai.realtime.openai_live", reason="needs pydantic-ai with GPT-Live")
    providers = pytest.importorskip("pydantic_ai.providers.openai")

    agent = pydantic_ai.Agent(instructions="Use the tools.")

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"Sun in {city}."

    provider = providers.OpenAIProvider(base_url=server.url, api_key="any-key")
    model = realtime.OpenAILiveModel("gpt-live-1.1+gpt-5.6-luna", provider=provider)
    settings = {"openai_live_idle_audio": True, "openai_live_turn_silence_ms": 1000, "openai_voice": "marin"}

    async def session() -> Any:
        async with agent.realtime(model, model_settings=settings).session() as opened:
            await talk(opened)
        return opened

    return asyncio.run(asyncio.wait_for(session(), DEADLINE))


async def until_the_turn_is_over(session: Any) -> list[Any]:
    """All events until the model has said its answer; none of them tells an error."""
    events = []
    async for event in session:
        assert event.event_kind != "realtime_session_error", event
        events.append(event)
        if event.event_kind == "realtime_turn_complete":
            return events
    raise AssertionError("the session ended")


def spoken(session: Any) -> list[tuple[str, str]]:
    """Who said what, in the history that the agent keeps."""
    parts = [part for message in session.all_messages() for part in message.parts]
    return [(part.speaker, part.transcript) for part in parts if part.part_kind == "speech"]


def test_the_agent_hears_and_is_heard() -> None:
    def converse() -> None:
        twin = server.wait_for_live_session()
        twin.hear("Can you hear me?")
        twin.wait_for_sent("session.input_transcript.delta", count=4)  # a word each
        twin.say("Yes, I can hear you.")

    async def talk(session: Any) -> None:
        conversing = asyncio.create_task(asyncio.to_thread(converse))  # it sends no silence before somebody reads
        await until_the_turn_is_over(session)
        await conversing

    with RealtimeServer() as server:
        session = run(server, talk)
    assert spoken(session) == [("user", "Can you hear me?"), ("assistant", "Yes, I can hear you.")]


def test_the_agents_tool_is_called_by_the_backend_and_its_result_is_said() -> None:
    results = []

    async def talk(session: Any) -> None:
        twin = await asyncio.to_thread(server.wait_for_live_session)
        twin.hear("What is the weather in Paris?")
        twin.delegate()
        while not any("Sun in Paris." in text for speaker, text in spoken(session) if speaker == "assistant"):
            events = await until_the_turn_is_over(session)
            results.extend(event for event in events if event.event_kind == "function_tool_result")

    with RealtimeServer() as server:
        run(server, talk)
    assert [event.part.content for event in results] == ["Sun in Paris."]
