"""What completion offers, and what a prompt shows: what is for people, in a line, and what each thing is."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import realtime_sync
from realtime_sync import (
    AzureOpenAIClient,
    CommandHandle,
    FileTranscription,
    OpenAIClient,
    Recording,
    Response,
    Transcription,
    TranscriptionSegment,
    UpdateStream,
)
from realtime_sync.server import RealtimeServer, Reply, Turn
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.voice.sending import AudioSend

KEY = "sk-a-key-that-nobody-is-to-see-0123456789"
LONGEST = 400  # characters of a repr, however much a thing holds

MODULES = [
    "realtime_sync",
    *(f"realtime_sync.{name}" for name in ["audio", "conversation", "dotnet", "recording", "server"]),
    *(f"realtime_sync.{name}" for name in ["speaking", "testing", "timeline", "tools", "transcribing", "voice"]),
]


@pytest.fixture
def session() -> Iterator[RealtimeConversationSession]:
    def respond(turn: Turn) -> Reply:
        return Reply("word " * 400, audio=bytes(48_000))

    with RealtimeServer(responder=respond) as server:
        client = OpenAIClient(KEY, endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session() as session:
            yield session


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_for_people_shows_its_names_and_nothing_else(name: str) -> None:
    module = importlib.import_module(name)
    shown = [each for each in dir(module) if not each.startswith("__")]
    assert set(shown) == {each for each in module.__all__ if not each.startswith("__")}
    assert [each for each in shown if isinstance(getattr(module, each), ModuleType)] == []


def test_an_answer_in_the_making_and_its_like_offer_what_is_for_people() -> None:
    reading = {"text_deltas", "transcript_deltas", "deltas", "audio_chunks", "items"}
    assert public(Response) == {*reading, "answer", "cancel", "done", "has_begun_to_come", "id", "wait"}
    assert public(UpdateStream) == {"close", "receive", "wait_for", "waiting_bytes"}
    assert public(AudioSend) == {"bytes_sent", "cancel", "cancelled", "done", "error", "wait"}
    handle = CommandHandle("session.update", "event_1", 1.0, lambda: None)
    assert public(handle) == {"done", "error", "event_id", "sent_again", "type", "update", "wait"}


def test_an_embedded_server_offers_what_is_for_people() -> None:
    where, happens = {"azure_endpoint", "port", "url"}, {"faults", "inject", "place_call", "settings"}
    live = {"live_call", "live_sessions", "place_live_call", "wait_for_live_session"}
    rest = {"call", "close", "sessions", "shut_down", "wait_for_session"}
    with RealtimeServer() as server:
        assert public(server) == {*where, *happens, *live, *rest}


def test_streams_and_iterators_of_a_session_offer_what_is_for_people(session: RealtimeConversationSession) -> None:
    with session.respond("Hello") as response:
        assert public(response.text_deltas()) == set()
    assert public(session.updates()) == set()
    for stream in (session.turns(), session.transcripts(), session.translation()):
        assert public(stream) == {"close"}


def test_an_iterator_over_an_answer_says_of_which_and_how_far_it_is(session: RealtimeConversationSession) -> None:
    with session.respond("Hello") as response:
        chunks, words, texts = response.audio_chunks(), response.transcript_deltas(), response.text_deltas()
        response.wait()
    count = sum(1 for _ in response.audio_chunks())
    assert repr(chunks) == f"<audio_chunks of response {response.id}: 0 taken, {count} waiting, no more will come>"
    next(words)
    assert repr(words).startswith(f"<transcript_deltas of response {response.id}: 1 taken, ")
    assert " 0 taken, 0 waiting" in repr(texts)
    assert repr(response.items()) == f"<items of response {response.id}: 0 taken, 1 waiting, no more will come>"
    assert len(list(response.deltas())) == len(list(words)) + 1


def test_a_stream_says_of_which_session_it_is_and_how_much_waits(session: RealtimeConversationSession) -> None:
    of = f"of session {session.id}: "
    stream, turns = session.subscribe(), session.turns()
    assert repr(stream) == f"<UpdateStream {of}0 waiting (0 bytes)>"
    session.add_item("Hello").wait()
    kinds = [stream.receive().kind]  # conversation.item.added, and conversation.item.done behind it
    stream.wait_for("conversation.item.done", 10)
    assert (kinds, stream.waiting_bytes) == (["conversation.item.added"], 0)
    assert repr(session.updates()).startswith(f"<updates {of}")
    assert repr(turns).startswith(f"<TurnStream {of}0 ready; updates: ")
    assert repr(session.transcripts()).startswith(f"<TranscriptStream {of}")
    assert repr(session.translation()).startswith(f"<TranslationStream {of}")
    turns.close()
    assert repr(turns) == f"<TurnStream {of}0 ready; updates: closed>"
    session.close()
    assert repr(stream).endswith(" bytes), no more will come>")
    assert repr(session.updates()).endswith("no more will come>")


def test_no_repr_is_long_or_shows_a_key(session: RealtimeConversationSession, tmp_path: Path) -> None:
    answer = session.ask("Hello")
    handle = session.clear_input_audio()
    handle.wait()
    client = OpenAIClient(KEY, endpoint="https://example.com/v1?api-key=secret-value-1", proxy="http://me:password@p")
    azure = AzureOpenAIClient("https://example.openai.azure.com", KEY)
    segments = tuple(TranscriptionSegment(start=at, end=at + 1, text="word " * 20) for at in range(1000))
    transcription = Transcription(segments=segments, duration=1000)
    shown: list[Any] = [answer, handle, session, client, azure, client.endpoint, azure.endpoint, transcription]
    shown += [client.get_realtime_conversation_client("m"), client.get_realtime_conversation_client("m").calls]
    shown += [FileTranscription(path="a.mp3", transcription=transcription), session.approve_mcp(lambda request: True)]
    shown += [session.interrupt_on_speech(realtime_sync.PlaybackPosition()), session.start_sending_audio(bytes(4800))]
    for thing in shown:
        told = repr(thing)
        assert len(told) <= LONGEST, told
        assert " object at 0x" not in told
        assert [secret for secret in (KEY, "password", "secret-value-1") if secret in told] == []
    assert "audio=<48000 bytes>" in repr(answer)


def test_the_repr_of_a_recording_counts_what_it_holds(session: RealtimeConversationSession, tmp_path: Path) -> None:
    session.close()
    with RealtimeServer() as server:
        client = OpenAIClient(KEY, endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session(recording=tmp_path / "r.jsonl"):
            pass
    told = repr(Recording.read(tmp_path / "r.jsonl"))
    assert "connections=<1 connections>, faults=<0 faults>" in told
    assert len(told) <= LONGEST
