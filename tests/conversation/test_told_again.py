"""What is told again changes nothing: whatever a server repeats, and whenever."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import Conversation, ConversationUpdate, Transcript, Turn
from realtime_sync.conversation.transcripts import TranscriptCollector
from realtime_sync.conversation.turns import TurnTracker
from realtime_sync.protocol.update_base import ItemStreamingPartDeltaUpdate
from realtime_sync.protocol.updates import (
    ConversationItemInputAudioTranscriptionDeltaUpdate,
    SessionCreatedUpdate,
)
from tests.protocol.recorded import SESSIONS

Updates = Sequence[ConversationUpdate]
RECORDED = sorted(path.name for path in SESSIONS.glob("*.jsonl"))
PIECES = (ItemStreamingPartDeltaUpdate, ConversationItemInputAudioTranscriptionDeltaUpdate)


def said(name: str) -> list[ConversationUpdate]:
    frames = (json.loads(line) for line in Path(SESSIONS / name).read_text("utf-8").split("\n") if line)
    return [ConversationUpdate.from_json(frame["raw"]) for frame in frames if frame.get("dir") == "s2c"]


def at_once(updates: Updates) -> Updates:
    """Each update twice, but for pieces: nothing tells a repeated one from the next."""
    return [each for update in updates for each in ([update] if isinstance(update, PIECES) else [update, update])]


def at_the_end(updates: Updates) -> Updates:
    return [*updates, *(each for each in updates if not isinstance(each, (*PIECES, SessionCreatedUpdate)))]


def mixed_in_later(updates: Updates) -> Updates:
    """Each update again, somewhere behind the first time."""
    chance = random.Random(20261128)
    told = [(float(place), update) for place, update in enumerate(updates)]
    again = [
        (chance.uniform(at, len(updates)), each)
        for at, each in told
        if not isinstance(each, (*PIECES, SessionCreatedUpdate))
    ]
    return [update for _, update in sorted([*told, *again], key=lambda pair: pair[0])]


WAYS: dict[str, Callable[[Updates], Updates]] = {
    function.__name__: function for function in (at_once, at_the_end, mixed_in_later)
}


def collected(collector: Any, updates: Updates) -> Iterator[Any]:
    for update in updates:
        yield from collector.apply(update)
    yield from collector.rest()


def turns(updates: Updates) -> list[Turn]:
    return list(collected(TurnTracker(), updates))


def transcripts(updates: Updates) -> list[Transcript]:
    return list(collected(TranscriptCollector(), updates))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_session_that_is_told_twice_is_the_same(name: str, way: str) -> None:
    once, again = said(name), WAYS[way](said(name))
    assert [str(turn) for turn in turns(again)] == [str(turn) for turn in turns(once)]
    assert [turn.response_ids for turn in turns(again)] == [turn.response_ids for turn in turns(once)]
    assert transcripts(again) == transcripts(once)
    talk, same = Conversation(), Conversation()
    for update in once:
        talk.apply(update)
    for update in again:
        same.apply(update)
    assert [item.id for item in same.items] == [item.id for item in talk.items]
    assert same == talk


def committed(item_id: str) -> dict[str, Any]:
    return {"type": "input_audio_buffer.committed", "item_id": item_id}


def completed(item_id: str, text: str = "") -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item_id, "content_index": 0, "transcript": text or f"said {item_id}"}


def segment(item_id: str, name: str) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.segment"
    return {
        "type": kind,
        "item_id": item_id,
        "content_index": 0,
        "id": name,
        "text": name,
        "speaker": "A",
        "start": 0,
        "end": 1,
    }


def deleted(item_id: str) -> dict[str, Any]:
    return {"type": "conversation.item.deleted", "item_id": item_id}


def started(item_id: str) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_started", "item_id": item_id, "audio_start_ms": 0}


def stopped(item_id: str) -> dict[str, Any]:
    return {"type": "input_audio_buffer.speech_stopped", "item_id": item_id, "audio_end_ms": 900}


def begun(name: str) -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": name, "status": "in_progress", "conversation_id": "c"}}


def done(name: str) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": name, "status": "completed", "conversation_id": "c"}}


def read(*messages: dict[str, Any]) -> list[ConversationUpdate]:
    return [ConversationUpdate.from_json(json.dumps(message)) for message in messages]


@pytest.mark.parametrize(
    "messages",
    [
        [committed("a"), committed("a"), committed("b"), completed("a"), completed("b")],
        [committed("a"), committed("b"), committed("b"), completed("b"), completed("a")],
        [committed("a"), completed("a"), committed("a"), committed("b"), completed("b")],
        [committed("a"), completed("a"), completed("a"), committed("b"), completed("a"), completed("b")],
        [completed("a"), committed("a"), committed("b"), completed("b")],
        [committed("x"), deleted("x"), committed("x"), committed("a"), completed("a"), completed("b"), committed("b")],
        [deleted("x"), deleted("x"), committed("x"), committed("a"), deleted("x"), completed("a"), completed("b")],
    ],
)
def test_each_transcript_comes_once_and_waits_for_nothing_that_is_over(messages: list[dict[str, Any]]) -> None:
    collector = TranscriptCollector()
    given = [transcript for update in read(*messages) for transcript in collector.apply(update)]
    assert [(transcript.item_id, transcript.text) for transcript in given] == [("a", "said a"), ("b", "said b")]
    assert collector.rest() == []


def test_the_end_gives_each_finished_transcript_once() -> None:
    messages = [committed("lost"), committed("a"), committed("a"), completed("a"), completed("a")]
    assert [transcript.item_id for transcript in transcripts(read(*messages))] == ["a"]


def test_a_segment_that_is_told_again_is_there_once() -> None:
    messages = [
        committed("a"),
        segment("a", "one"),
        segment("a", "two"),
        segment("a", "one"),
        completed("a"),
        segment("a", "one"),
    ]
    (transcript,) = transcripts(read(*messages))
    assert [part.text for part in transcript.segments] == ["one", "two"]
    talk = Conversation()
    for update in read(*messages):
        talk.apply(update)
    transcription = talk.transcription("a")
    assert transcription is not None
    assert [part.text for part in transcription.segments] == ["one", "two"]
    assert Conversation.from_json(talk.to_json()) == talk


def test_a_piece_that_is_never_transcribed_is_not_waited_for_without_end() -> None:
    collector = TranscriptCollector()
    assert not [given for update in read(committed("lost")) for given in collector.apply(update)]
    names = [f"item {number}" for number in range(1000)]
    updates = read(*(message for name in names for message in (committed(name), completed(name))))
    given = [transcript.item_id for update in updates for transcript in collector.apply(update)]
    assert given == names
    assert [transcript.item_id for update in read(completed("lost")) for transcript in collector.apply(update)] == [
        "lost"
    ]


def test_the_times_of_a_piece_do_not_depend_on_their_order() -> None:
    for messages in ([started("a"), stopped("a"), started("a")], [stopped("a"), started("a"), stopped("a")]):
        (transcript,) = transcripts(read(*messages, committed("a"), completed("a")))
        assert (transcript.start, transcript.end) == (0, 0.9)


TALK = [started("a"), stopped("a"), committed("a"), begun("r"), done("r")]


@pytest.mark.parametrize("late", TALK)
def test_what_is_told_again_of_a_turn_begins_no_other(late: dict[str, Any]) -> None:
    next_one = [started("b"), stopped("b"), committed("b"), begun("s"), done("s")]
    given = turns(read(*TALK, late, *next_one, late))
    assert [(turn.user_item_ids, turn.response_ids) for turn in given] == [(("a",), ("r",)), (("b",), ("s",))]


def test_a_server_that_uses_a_response_id_again_has_a_turn_for_each() -> None:
    given = turns(read(*TALK, started("b"), stopped("b"), committed("b"), begun("r"), done("r")))
    assert [(turn.user_item_ids, turn.response_ids) for turn in given] == [(("a",), ("r",)), (("b",), ("r",))]
