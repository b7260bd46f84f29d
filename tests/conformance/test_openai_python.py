"""openai-python, unchanged, holds conversations with the embedded server: its sync client, its async one, REST."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Callable, Coroutine, Iterator

import openai
import pytest
from openai.resources.realtime.realtime import AsyncRealtimeConnection, RealtimeConnection

from realtime_sync.server import RealtimeServer, Reply
from realtime_sync.testing import ManualClock
from tests.server.sounds import silence, tone

MODEL = "gpt-realtime-2.1"
TEXT: Any = {"type": "realtime", "output_modalities": ["text"]}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
LONG = Reply("A long answer.", audio=tone(20_000))
DEADLINE = 40.0


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer(api_keys=["right"]) as running:
        yield running


@pytest.fixture
def client(server: RealtimeServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="right", base_url=server.url) as ours:
        yield ours


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def until(connection: RealtimeConnection, wire_type: str) -> Any:
    """Read until an event of this type; an error before it fails the test."""
    for event in connection:
        assert event.type != "error" or wire_type == "error", event
        if event.type == wire_type:
            return event
    raise AssertionError(f"the connection ended before {wire_type}")


async def until_async(connection: AsyncRealtimeConnection, wire_type: str) -> Any:
    async for event in connection:
        assert event.type != "error" or wire_type == "error", event
        if event.type == wire_type:
            return event
    raise AssertionError(f"the connection ended before {wire_type}")


def in_time(work: Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, None]], server: RealtimeServer) -> None:
    async def run() -> None:
        async with openai.AsyncOpenAI(api_key="right", base_url=server.url) as ours:
            await asyncio.wait_for(work(ours), DEADLINE)

    asyncio.run(run())


# Sync --------------------------------------------------------------------------------------------------------------


def test_the_sync_client_asks_in_text(client: openai.OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        assert until(connection, "session.created").session.type == "realtime"
        connection.session.update(session=TEXT)
        connection.conversation.item.create(item=user("Hello"))
        connection.response.create()
        deltas = []
        for event in connection:
            if event.type == "response.output_text.delta":
                deltas.append(event.delta)
            if event.type == "response.done":
                break
        assert "".join(deltas) == "Hello! You said: Hello"
        assert event.response.output[0].content[0].text == "Hello! You said: Hello"
        assert event.response.usage.total_tokens > 0


def test_the_sync_client_speaks_and_is_answered_aloud(client: openai.OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        audio: Any = {"input": {"transcription": {"model": "whisper-1"}}}
        connection.session.update(session={"type": "realtime", "audio": audio})
        said = silence(400) + tone(1000) + silence(400)
        for start in range(0, len(said), 9600):
            connection.input_audio_buffer.append(audio=base64.b64encode(said[start : start + 9600]).decode())
        heard = until(connection, "input_audio_buffer.speech_stopped")
        assert heard.audio_end_ms > 1000
        pcm = b""
        for event in connection:
            if event.type == "response.output_audio.delta":
                pcm += base64.b64decode(event.delta)
            if event.type == "response.done":
                break
        assert event.response.status == "completed"
        assert len(pcm) > 4800


def test_the_sync_client_calls_a_tool(client: openai.OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.session.update(session={**TEXT, "tools": [WEATHER]})
        connection.conversation.item.create(item=user("What is the weather in Paris?"))
        connection.response.create()
        arguments = until(connection, "response.function_call_arguments.done")
        call = until(connection, "response.done").response.output[0]
        assert (call.name, call.arguments, arguments.call_id) == ("get_weather", '{"city": "Paris"}', call.call_id)
        output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Sun."}
        connection.conversation.item.create(item=output)
        connection.response.create()
        done = until(connection, "response.done").response
        assert done.output[0].content[0].text == "The function returned: Sun."


def test_the_sync_client_interrupts_and_truncates() -> None:
    clock = ManualClock()  # it stands still: the answer lasts until it is interrupted
    with (
        RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=clock) as server,
        openai.OpenAI(api_key="right", base_url=server.url) as client,
        client.realtime.connect(model=MODEL) as connection,
    ):
        connection.conversation.item.create(item=user("Talk"))
        connection.response.create()
        delta = until(connection, "response.output_audio.delta")
        connection.input_audio_buffer.append(audio=base64.b64encode(tone(400)).decode())
        until(connection, "input_audio_buffer.speech_started")
        done = until(connection, "response.done").response
        assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
        connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=50)
        assert until(connection, "conversation.item.truncated").audio_end_ms == 50
        connection.conversation.item.retrieve(item_id=delta.item_id)
        item = until(connection, "conversation.item.retrieved").item
        assert len(base64.b64decode(item.content[0].audio)) == 50 * 48
        connection.response.create()
        until(connection, "response.output_audio.delta")
        connection.response.cancel()
        assert until(connection, "response.done").response.status_details.reason == "client_cancelled"


def test_the_sync_client_is_told_of_errors(client: openai.OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.conversation.item.delete(item_id="none", event_id="mine")
        error = until(connection, "error").error
        assert (error.code, error.event_id) == ("item_delete_invalid_item_id", "mine")


# Async -------------------------------------------------------------------------------------------------------------


def test_the_async_client_asks_in_text_and_calls_a_tool(server: RealtimeServer) -> None:
    async def work(ours: openai.AsyncOpenAI) -> None:
        async with ours.realtime.connect(model=MODEL) as connection:
            await connection.session.update(session={**TEXT, "tools": [WEATHER]})
            await connection.conversation.item.create(item=user("What is the weather in Rome?"))
            await connection.response.create()
            call = (await until_async(connection, "response.done")).response.output[0]
            output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
            await connection.conversation.item.create(item=output)
            await connection.response.create()
            done = (await until_async(connection, "response.done")).response
            assert done.output[0].content[0].text == "The function returned: Rain."

    in_time(work, server)


def test_the_async_client_speaks_and_interrupts() -> None:
    async def work(ours: openai.AsyncOpenAI) -> None:
        async with ours.realtime.connect(model=MODEL) as connection:
            said = silence(400) + tone(800) + silence(400)
            await connection.input_audio_buffer.append(audio=base64.b64encode(said).decode())
            delta = await until_async(connection, "response.output_audio.delta")
            await connection.input_audio_buffer.append(audio=base64.b64encode(tone(400)).decode())
            done = (await until_async(connection, "response.done")).response
            assert done.status_details.reason == "turn_detected"
            truncate = connection.conversation.item.truncate
            await truncate(item_id=delta.item_id, content_index=0, audio_end_ms=50)
            assert (await until_async(connection, "conversation.item.truncated")).item_id == delta.item_id

    with RealtimeServer(responder=lambda turn: LONG, audio_pace=1.0, clock=ManualClock()) as server:
        in_time(work, server)


# REST --------------------------------------------------------------------------------------------------------------


def test_a_client_secret_of_the_rest_client_opens_a_session(server: RealtimeServer, client: openai.OpenAI) -> None:
    session: Any = {"type": "realtime", "model": MODEL, "instructions": "Be brief."}
    secret = client.realtime.client_secrets.create(
        session=session, expires_after={"anchor": "created_at", "seconds": 60}
    )
    assert secret.session.type == "realtime"
    with (
        openai.OpenAI(api_key=secret.value, base_url=server.url) as browser,
        browser.realtime.connect(model=MODEL) as connection,
    ):
        created: Any = until(connection, "session.created")
        assert created.session.instructions == "Be brief."


def test_the_rest_client_reads_refusals(server: RealtimeServer, client: openai.OpenAI) -> None:
    stranger = openai.OpenAI(api_key="wrong", base_url=server.url, max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        stranger.realtime.client_secrets.create()
    bad: Any = {"type": "realtime", "bogus": 1}
    with pytest.raises(openai.BadRequestError, match="Unknown parameter") as caught:
        client.realtime.client_secrets.create(session=bad)
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "session.bogus")


def test_the_rest_client_answers_a_call_and_watches_it(server: RealtimeServer, client: openai.OpenAI) -> None:
    call_id, other = server.place_call(), server.place_call()
    client.realtime.calls.accept(call_id, type="realtime", model=MODEL, output_modalities=["text"])
    client.realtime.calls.reject(other, status_code=486)
    assert server.call(other).reject_status == 486
    with client.realtime.connect(call_id=call_id) as connection:
        connection.conversation.item.create(item=user("Hello"))
        connection.response.create()
        assert until(connection, "response.done").response.status == "completed"
    client.realtime.calls.refer(call_id, target_uri="tel:+14155550123")
    assert server.call(call_id).referred_to == "tel:+14155550123"
    with pytest.raises(openai.NotFoundError):
        client.realtime.calls.hangup(call_id)


def test_the_rest_client_makes_a_webrtc_call(server: RealtimeServer, client: openai.OpenAI) -> None:
    offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    session: Any = {"type": "realtime", "model": MODEL, "instructions": "Hi."}
    answer = client.realtime.calls.create(sdp=offer, session=session)
    call_id = answer.response.headers["location"].rpartition("/")[2]
    assert answer.text.startswith("v=0\r\n")
    client.realtime.calls.hangup(call_id)
    assert server.call(call_id).state == "ended"
