"""openai-python's ``client.live``, unchanged, holds spoken conversations with the embedded server: sync and async.

Every event is read as strictly as its own types allow; the client itself would take anything.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosed

from realtime_sync.server import RealtimeServer
from tests.conformance.quick_clock import TIMES, QuickClock

pytestmark = pytest.mark.medium

live_types = pytest.importorskip("openai.types.live", reason="needs openai >= 3.57")
live = pytest.importorskip("openai.lib.live", reason="needs openai >= 3.57")

SECONDS = 0.1
SILENCE = base64.b64encode(bytes(4800)).decode()  # so many seconds of it
DEADLINE = 40.0
SESSION: Any = {"model": "gpt-live-1.1", "instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
BACKEND: Any = {"type": "responses", "responses": {"model": "gpt-5.6-luna", "tools": [WEATHER]}}


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    clock = QuickClock()
    with contextlib.closing(clock), RealtimeServer(api_keys=["right"], clock=clock) as running:
        yield running


@pytest.fixture
def client(server: RealtimeServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="right", base_url=server.url) as ours:
        yield ours


class Reading:
    """Reads events strictly, and keeps them. ``connection`` may be None where the events come from elsewhere."""

    def __init__(self, connection: Any = None) -> None:
        from pydantic import TypeAdapter

        self._connection = connection
        self._adapter: Any = TypeAdapter(live_types.ServerEvent)
        self.seen: list[Any] = []

    def take(self, frame: bytes) -> Any:
        """What a frame says; a frame that is not as the types say fails the test."""
        self.seen.append(self._adapter.validate_json(frame))
        return self.seen[-1]

    def until(self, wire_type: str, **fields: Any) -> Any:
        """Read until an event of this type with these fields; an error before it fails the test."""
        while True:
            event = self.take(self._connection.recv_bytes())
            assert event.type != "error" or wire_type == "error", event
            if event.type == wire_type and all(getattr(event, name) == value for name, value in fields.items()):
                return event

    def until_said(self, words: str, side: str = "output") -> None:
        """Read until a side has said this; the model, if none is named."""
        while words not in self.said(side):
            self.until(f"session.{side}_transcript.delta")

    def said(self, side: str) -> str:
        """All words of a side so far: "input" or "output"."""
        return "".join(event.delta for event in self.seen if event.type == f"session.{side}_transcript.delta")

    def samples(self) -> bytes:
        """The model's sound so far."""
        deltas = [event.delta for event in self.seen if event.type == "session.output_audio.delta"]
        return b"".join(map(base64.b64decode, deltas))


@contextlib.contextmanager
def microphone(connection: Any) -> Iterator[None]:
    """Silence at the speed of speech, by the server's clock."""
    over = threading.Event()

    def feed() -> None:
        while not over.wait(SECONDS / TIMES):
            connection.session.input_audio.append(audio=SILENCE)

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        yield
    finally:
        over.set()
        feeding.join()


# Sync --------------------------------------------------------------------------------------------------------------


def test_the_sync_client_holds_a_conversation_and_does_what_is_delegated(
    server: RealtimeServer, client: openai.OpenAI
) -> None:
    with client.live.connect() as connection:
        reading = Reading(connection)
        connection.session.start(session=SESSION, event_id="first")
        started = reading.until("session.started")
        assert (started.client_event_id, started.session.model) == ("first", "gpt-live-1.1")
        twin = server.wait_for_live_session()
        with microphone(connection):
            twin.hear("Please check my delivery.")
            twin.delegate()
            delegation = reading.until("session.delegation.created").delegation
            assert delegation.target == "client"
            assert reading.said("input") == "Please check my delivery."
            connection.session.commentary.append(
                content="It comes at noon.", delegation_id=delegation.id, event_id="result"
            )
            reading.until("session.commentary.appended", client_event_id="result")
            reading.until_said("It comes at noon.")
        assert any(reading.samples()), "it was said aloud"
        connection.session.close()
        closed = reading.until("session.closed")
        assert closed.reason == "close_requested"
        assert closed.usage.seconds > 0
        assert list(connection) == [], "the connection ends in an orderly way"


def test_the_sync_client_sends_every_command(server: RealtimeServer, client: openai.OpenAI) -> None:
    with client.live.connect() as connection, microphone_after_start(connection) as reading:
        connection.session.instructions.append(content="Speak English.", delegation_id=None, event_id="rule")
        reading.until("session.instructions.appended", client_event_id="rule")
        connection.session.thinking.append(content="It is Monday.", delegation_id=None, event_id="thought")
        reading.until("session.thinking.appended", client_event_id="thought")
        connection.session.input_audio.mute(event_id="mute")
        reading.until("session.input_audio.muted", client_event_id="mute")
        connection.session.input_audio.unmute(event_id="unmute")
        reading.until("session.input_audio.unmuted", client_event_id="unmute")
        connection.session.output_audio.fixture.play(audio=SILENCE, event_id="clip")
        reading.until("session.output_audio.fixture.playing", client_event_id="clip")
        reading.until("session.output_audio.fixture.played")
        connection.session.update(session={}, event_id="look")
        assert reading.until("session.updated", client_event_id="look").session.model == "gpt-live-1.1"


@contextlib.contextmanager
def microphone_after_start(connection: Any, **session: Any) -> Iterator[Reading]:
    """A session that has started, with a microphone."""
    reading = Reading(connection)
    connection.session.start(session={**SESSION, **session})
    reading.until("session.started")
    with microphone(connection):
        yield reading


def test_the_grouper_of_transcripts_reads_what_both_have_said(server: RealtimeServer, client: openai.OpenAI) -> None:
    closed: list[Any] = []
    with (
        client.live.connect() as connection,
        live.TranscriptGrouper() as grouper,
        microphone_after_start(connection) as reading,
    ):
        grouper.on("segment.closed", closed.append)
        twin = server.wait_for_live_session()
        twin.hear("Is the shop open today?")
        reading.until_said("today?", "input")
        twin.say("Yes, until noon.")
        reading.until_said("noon.")
        for event in reading.seen:
            grouper.push(event)
    segments = [event.segment for event in closed]
    assert [(segment.speaker, segment.text) for segment in segments] == [
        ("user", "Is the shop open today?"),
        ("assistant", "Yes, until noon."),
    ]


def test_the_backend_calls_a_function_of_the_client(server: RealtimeServer, client: openai.OpenAI) -> None:
    with client.live.connect() as connection, microphone_after_start(connection, delegation=BACKEND) as reading:
        twin = server.wait_for_live_session()
        twin.hear("What is the weather in Paris?")
        twin.delegate()
        assert reading.until("session.delegation.created").delegation.target == "responses"
        call = until_called(reading)
        assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "Paris"}')
        output: Any = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sun."}
        connection.response.item.create(item=output)
        connection.response.create()
        reading.until_said("Sun.")


def until_called(reading: Reading) -> Any:
    """The first function call that the backend makes."""
    while True:
        nested = reading.until("response.event").event
        if nested["type"] == "response.output_item.done" and nested["item"]["type"] == "function_call":
            return nested["item"]


def test_what_is_wrong_is_an_error_that_names_the_command(client: openai.OpenAI) -> None:
    with client.live.connect() as connection:
        reading = Reading(connection)
        connection.session.start(session={**SESSION, "audio": {"output": {"voice": "nobody"}}}, event_id="bad")
        assert reading.until("error").error.client_event_id == "bad"
        ends(connection)


def test_a_wrong_key_is_refused(server: RealtimeServer) -> None:
    with openai.OpenAI(api_key="wrong", base_url=server.url) as client, client.live.connect() as connection:
        assert Reading(connection).until("error").error.code == "invalid_api_key"
        ends(connection)


def ends(connection: Any) -> None:
    """The connection ends now: before ``session.started`` every error is fatal."""
    with pytest.raises(ConnectionClosed):
        connection.recv()


# Async -------------------------------------------------------------------------------------------------------------


class AsyncReading(Reading):
    """``Reading`` of an asynchronous connection."""

    async def until_seen(self, wire_type: str) -> Any:
        """``until``."""
        while True:
            event = self.take(await self._connection.recv_bytes())
            assert event.type != "error", event
            if event.type == wire_type:
                return event


@contextlib.asynccontextmanager
async def async_microphone(connection: Any) -> AsyncIterator[None]:
    async def feed() -> None:
        while True:
            await connection.session.input_audio.append(audio=SILENCE)
            await asyncio.sleep(SECONDS / TIMES)

    feeding = asyncio.create_task(feed())
    try:
        yield
    finally:
        feeding.cancel()


def test_the_async_client_holds_a_conversation_and_does_what_is_delegated(server: RealtimeServer) -> None:
    async def work(client: openai.AsyncOpenAI) -> None:
        segments: list[Any] = []
        async with client.live.connect() as connection, live.AsyncTranscriptGrouper() as grouper:
            grouper.on("segment.closed", segments.append)
            reading = AsyncReading(connection)
            await connection.session.start(session=SESSION)
            await reading.until_seen("session.started")
            twin = await asyncio.to_thread(server.wait_for_live_session)
            async with async_microphone(connection):
                twin.hear("Please check my delivery.")
                twin.delegate()
                created = await reading.until_seen("session.delegation.created")
                await connection.session.commentary.append(
                    content="It comes at noon.", delegation_id=created.delegation.id
                )
                while "It comes at noon." not in reading.said("output"):
                    await reading.until_seen("session.output_transcript.delta")
            await connection.session.close()
            assert (await reading.until_seen("session.closed")).usage.seconds > 0
            for event in reading.seen:
                await grouper.push(event)
        assert {event.segment.speaker for event in segments} == {"user", "assistant"}

    async def run() -> None:
        async with openai.AsyncOpenAI(api_key="right", base_url=server.url) as ours:
            await asyncio.wait_for(work(ours), DEADLINE)

    asyncio.run(run())
