"""A session with xAI's voice agents, which tell some things in ways of their own (2026-11)."""

from __future__ import annotations

import json

import pytest

from realtime_sync import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    ConversationItemInputAudioTranscriptionUpdatedUpdate,
    ConversationUpdate,
    PingUpdate,
    UnreadableUpdate,
)
from tests.core.harness import House
from tests.core.imitator import Imitator, Message, created, done, piece
from tests.transport.peer import BINARY, frame

TRANSCRIPT = "conversation.item.input_audio_transcription"
STOPPED: list[Message] = [
    {"type": "input_audio_buffer.speech_stopped", "item_id": "item_1", "audio_end_ms": 900},
    {"type": "input_audio_buffer.committed", "item_id": "item_1"},
]
ANSWER = [created(conversation_id="c"), piece("Hi.", kind="output_audio_transcript"), done(conversation_id="c")]


def so_far(text: str, manner: str) -> Message:
    """What was heard so far, in either of xAI's two spellings."""
    told = {"item_id": "item_1", "content_index": 0, "transcript": text}
    if manner == "updated":
        return {"type": f"{TRANSCRIPT}.updated", **told}
    return {"type": f"{TRANSCRIPT}.completed", "status": "in_progress", **told}


def heard(manner: str) -> list[Message]:
    started = {"type": "input_audio_buffer.speech_started", "item_id": "item_1", "audio_start_ms": 0}
    return [started, so_far("Hello?", manner), so_far("Hello, my name is", manner)]


FINAL = {
    "type": f"{TRANSCRIPT}.completed",
    "item_id": "item_1",
    "status": "completed",
    "transcript": "Hello, I am Ann.",
}


@pytest.mark.parametrize("manner", ["updated", "completed"])
def test_what_was_heard_so_far_takes_the_place_of_what_was_told_before(plain: House, manner: str) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns, transcripts = session.turns(timeout=10), session.transcripts()
    server.say(*heard(manner))
    for expected in ("Hello?", "Hello, my name is"):
        update = session.wait_for(ConversationItemInputAudioTranscriptionUpdatedUpdate, 10)
        assert (update.transcript, update.oddities) == (expected, ())
    assert session.conversation.transcription("item_1").text == "Hello, my name is"
    assert session.conversation.transcription("item_1").status == "in_progress"
    server.say(*STOPPED, FINAL, *ANSWER)
    assert next(turns).user_transcript == "Hello, I am Ann."
    assert next(transcripts).text == "Hello, I am Ann."
    assert session.conversation.transcription("item_1").status == "completed"
    assert session.conversation.usage.transcriptions == 1


def test_a_turn_has_what_was_heard_so_far_if_nothing_else_comes(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    server.say(*heard("updated"), *STOPPED, *ANSWER)
    assert next(turns).user_transcript == "Hello, my name is"


def test_what_is_told_so_far_after_the_end_is_late(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    server.say(*heard("updated"), *STOPPED, FINAL, so_far("Hello, I", "updated"), *ANSWER)
    session.wait_for("response.done", 10)
    assert session.conversation.transcription("item_1").text == "Hello, I am Ann."


def test_a_ping_is_known_and_wants_no_answer(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    server.say({"type": "ping", "event_id": "e", "timestamp": 1785214080296, "previous_item_id": None})
    update = session.wait_for("ping", 10)
    assert isinstance(update, PingUpdate)
    assert (update.timestamp, update.oddities, server.heard) == (1785214080296, (), [])


def test_a_binary_frame_is_told_as_what_it_is_and_the_session_goes_on(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    server.say(frame(BINARY, b"\1\0\2\0"), *ANSWER)
    update = session.wait_for(UnreadableUpdate, 10)
    assert update.raw_bytes == b"\1\0\2\0"
    assert "audio.output.transport" in update.oddities[0]
    assert session.wait_for("response.done", 10)


def test_a_finished_transcript_is_read_as_one_whatever_its_status() -> None:
    for status in ("completed", None, "a new one"):
        update = ConversationUpdate.from_json(json.dumps({**FINAL, "content_index": 0, "status": status}))
        assert isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate)
        assert (update.status, update.oddities) == (status, ())
