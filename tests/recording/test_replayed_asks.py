"""Any recording answers an ``ask``: of other services, made by other clients, which chose other ids and metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Union

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationResponseOptions,
    OpenAIClient,
    RealtimeConversationClient,
    Timeouts,
    function_tool,
)
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.recording import Recording, RecordingWriter
from realtime_sync.server import RealtimeServer
from realtime_sync.testing.replay import replay_server
from tests.protocol.recorded import SESSIONS
from tests.recording.made import SESSION, Made

RECORDED = sorted(SESSIONS.glob("*.jsonl"))


def frames(path: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]
    return [(line["dir"], json.loads(line["raw"])) for line in lines if line["dir"] != "meta"]


def recording_of(path: Path, target: Path) -> Recording:
    """The session of another client, as this library would have written it down; one connection for each greeting."""
    told = frames(path)
    preview = any(message["type"] == "response.text.done" for _, message in told)
    writer, number = RecordingWriter(target), 0
    for direction, message in told:
        if number == 0 or message["type"] == "session.created":
            number += 1
            writer.connected("wss://recorded/v1/realtime?model=m", number, Dialect.PREVIEW if preview else Dialect.GA)
        (writer.received if direction == "s2c" else writer.sent)(json.dumps(message))
    writer.close()
    return Recording.read(target)


def client_of(server: RealtimeServer, recording: Recording) -> RealtimeConversationClient:
    options: dict[str, Any] = {"proxy": False, "timeouts": Timeouts(greeting=0.5)}  # one recording has no greeting
    client: Union[OpenAIClient, AzureOpenAIClient] = OpenAIClient("k", endpoint=server.url, **options)
    if recording.dialect is Dialect.PREVIEW:
        version = "2025-04-01-preview"
        client = AzureOpenAIClient(server.azure_endpoint, "k", api_version=version, **options)
    return client.get_realtime_conversation_client("m")


@contextmanager
def asking(recording: Recording, **options: Any) -> Iterator[Any]:
    """A session with the replay, which has nothing to complain of at the end."""
    with replay_server(recording, **options) as server, client_of(server, recording) as client:
        with client.start_conversation_session() as session:
            yield session
        script: Any = server.settings.script
        assert script.failures == []


def last_words(told: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """What the model has said in each answer that calls nothing: as deltas."""
    words = ("response.text.delta", "response.output_text.delta", "response.output_audio_transcript.delta")
    said, answers = "", []
    for _, message in told:
        if message["type"] in words:
            said += message["delta"]
        elif message["type"] == "response.done" and said:
            answers.append(said)
            said = ""
    return answers


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_session_answers_an_ask(path: Path, tmp_path: Path) -> None:
    recording, told = recording_of(path, tmp_path / "r.jsonl"), frames(path)
    calls = [message["arguments"] for _, message in told if message["type"].endswith("call_arguments.done")]
    made: list[str] = []

    @function_tool
    def get_weather(city: str = "nowhere") -> str:
        """Tell the weather."""
        made.append(city)
        return "foggy"

    heard = []
    with replay_server(recording, strict=False) as server, client_of(server, recording) as client:
        for _ in recording.connections:
            with client.start_conversation_session() as session:
                answer = session.ask("What is it?", tools=[get_weather], timeout=10)
                heard.append(str(answer))
                assert answer.completed
                assert len(session.conversation.responses) == 1 + bool(calls)
    assert heard == last_words(told)
    assert made == [json.loads(arguments)["city"] for arguments in calls]


def test_the_metadata_of_another_client_become_those_of_this_one(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION)
    made.sent("conversation.item.create", item={"id": "item_old", "type": "message"}, event_id="old")
    made.told("conversation.item.added", item={"id": "item_old", "type": "message"}, previous_item_id=None)
    made.sent("response.create", event_id="old2", response={"metadata": {"asked_by": "somebody"}})
    made.told("response.created", response={"id": "r", "conversation_id": "c", "metadata": {"asked_by": "somebody"}})
    made.told("response.done", response={"id": "r", "status": "completed", "metadata": {"asked_by": "somebody"}})
    recording = made.done()
    for strict in (True, False):
        with asking(recording, strict=strict) as session:
            answer = session.ask("Hello", ConversationResponseOptions(metadata={"mine": "1"}), timeout=5)
            assert answer.response.metadata["mine"] == "1"
            assert [item.id for item in session.conversation.items] != ["item_old"]


def test_a_session_of_this_library_that_asked_answers_another_ask(tmp_path: Path) -> None:
    with RealtimeServer(responder=lambda turn: "Paris.") as server:
        client = OpenAIClient("k", endpoint=server.url, proxy=False).get_realtime_conversation_client("m")
        with client, client.start_conversation_session(recording=tmp_path / "r.jsonl") as session:
            first = session.ask("What is the capital of France?")
    recording = Recording.read(tmp_path / "r.jsonl")
    for strict in (True, False):
        with asking(recording, strict=strict) as session:
            answer = session.ask("And now?", timeout=5)
            assert (answer.transcript, answer.audio) == (first.transcript, first.audio)


def test_a_client_that_asks_more_than_was_recorded_is_left_alone_until_it_leaves(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).sent("response.create")
    made.told("response.created", response={"id": "r"}).told("response.done", response={"id": "r"})
    made.sent("input_audio_buffer.clear")
    recording = made.done()
    with asking(recording, strict=False, timeout=0.1) as session:
        session.add_item("not recorded")
        assert session.ask(timeout=5).status is None
        session.add_item("nor this")
