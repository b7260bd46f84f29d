"""Servers that hear what is spoken and never say that it was committed (Hugging Face's speech-to-speech, 2026-08)."""

from __future__ import annotations

import pytest

from tests.core.harness import House
from tests.core.imitator import Imitator, Message, created, done, piece

TRANSCRIPT = "conversation.item.input_audio_transcription"


def utterance(number: int, *, transcribed: bool = True) -> list[Message]:
    item_id = f"item_user_{number}"
    said: list[Message] = [
        {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 900},
    ]
    pieces: list[Message] = [
        {"type": f"{TRANSCRIPT}.delta", "item_id": item_id, "delta": "Que"},
        {"type": f"{TRANSCRIPT}.completed", "item_id": item_id, "transcript": f"Question {number}"},
    ]
    return [*said, *(pieces if transcribed else [])]


def answer(number: int) -> list[Message]:
    name = f"resp_{number}"
    spoken = piece(f"Answer {number}", name, kind="output_audio_transcript")
    item = {"id": spoken["item_id"], "type": "message", "role": "assistant", "status": "completed"}
    item["content"] = [{"type": "output_audio", "transcript": f"Answer {number}"}]
    told = {"conversation_id": "conv_1"}
    return [created(name, **told), spoken, done(name, output=[item], **told)]


@pytest.mark.parametrize("transcribed", [True, False])
def test_each_turn_has_what_the_user_said_and_when(plain: House, transcribed: bool) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    for number in range(2):
        server.say(*utterance(number, transcribed=transcribed), *answer(number))
        turn = next(turns)
        assert turn.transcript == f"Answer {number}"
        assert turn.user_transcript == (f"Question {number}" if transcribed else None)
        assert list(turn.user_item_ids) == [f"item_user_{number}"]
        assert turn.timeline.speech_seconds is not None


def test_the_conversation_has_both_sides_in_order(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    for number in range(2):
        server.say(*utterance(number), *answer(number))
        session.wait_for("response.done", 10)
    told = [(item.role, item.content[0].transcript) for item in session.conversation.items]
    assert told == [
        (role, f"{words} {n}") for n in range(2) for role, words in (("user", "Question"), ("assistant", "Answer"))
    ]


def test_several_utterances_before_an_answer_are_one_turn(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    server.say(*utterance(1), *utterance(2), *answer(1))
    turn = next(turns)
    assert turn.user_transcript == "Question 1\nQuestion 2"


def test_a_noise_that_was_never_answered_is_no_turn(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    server.say(*utterance(1, transcribed=False), *utterance(2), *answer(2))
    assert list(next(turns).user_item_ids) == ["item_user_2"]


def test_who_commits_is_read_as_before(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    first = utterance(1)
    committed = {"type": "input_audio_buffer.committed", "item_id": "item_user_1"}
    server.say(*first[:2], committed, *first[2:], *answer(1))
    turn = next(turns)
    assert (list(turn.user_item_ids), turn.user_transcript) == (["item_user_1"], "Question 1")
    assert turn.timeline.committed is not None


def heard(number: int) -> Message:
    """All that LiteLLM's bridge to Gemini says of what the user has said (2026-11)."""
    return {"type": f"{TRANSCRIPT}.completed", "item_id": f"item_user_{number}", "transcript": f"Question {number}"}


def test_speech_that_only_its_transcript_tells_of_begins_a_turn(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    for number in range(2):
        server.say(heard(number), *answer(number))
        turn = next(turns)
        assert (turn.user_transcript, turn.transcript) == (f"Question {number}", f"Answer {number}")
        server.say(heard(number))  # told again, it begins no other


def test_a_transcript_that_comes_late_is_not_the_next_turns(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    turns = session.turns(timeout=10)
    first, second = answer(1), answer(2)
    server.say(*first[:2], heard(1), first[2], heard(2), *second)
    assert (next(turns).user_transcript, next(turns).user_transcript) == (None, "Question 2")
