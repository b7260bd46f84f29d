"""What a session puts together is bounded: an answer, a turn, the conversation. The session goes on, and it is told."""

from __future__ import annotations

import json
import logging
import tracemalloc
from typing import Any

import pytest

from realtime_sync import Conversation, ConversationItem, ConversationUpdate, QueueLimits, ResponseFailedError
from realtime_sync.conversation.transcripts import TranscriptCollector
from realtime_sync.conversation.turns import TurnTracker
from tests.conversation.test_told_again import begun, committed, completed, done, read, segment
from tests.core.harness import House
from tests.core.imitator import Imitator, Message, added, created, one_after_another, piece
from tests.core.imitator import done as done_with

pytestmark = pytest.mark.medium

SPEECH = piece("A" * 8000, kind="output_audio")


def talkative(*pieces: Message) -> Imitator:
    """Answers with these pieces, until it is cancelled; its second answer is short."""
    short = [created("resp_2"), piece("Short", "resp_2"), done_with("resp_2")]
    answers = one_after_another([created(), *pieces], short)
    cancelled = [done_with(status="cancelled")]
    return Imitator({"conversation.item.create": added, "response.create": answers, "response.cancel": cancelled})


@pytest.mark.parametrize("kind", ["output_audio", "output_text"])
def test_an_answer_that_is_too_long_is_cancelled_and_what_came_is_there(plain: House, kind: str) -> None:
    server = talkative(*[piece("A" * 8000, kind=kind)] * 100)
    session = plain.raw(server, limits=QueueLimits(answer=100_000))
    with pytest.raises(ResponseFailedError, match=r"longer than QueueLimits\.answer allows") as caught:
        session.ask("Speak", timeout=10)
    answer: Any = caught.value.answer
    assert 80_000 < (len(answer.audio) * 4 / 3 if kind == "output_audio" else len(answer.text)) <= 100_000
    assert session.ask("And now?", timeout=10).text == "Short"
    assert server.types().count("response.cancel") == 1


def test_the_pieces_that_came_are_read_before_an_answer_is_told_to_be_too_long(plain: House) -> None:
    session = plain.raw(talkative(*[SPEECH] * 50), limits=QueueLimits(answer=100_000))
    with session.respond("Speak", timeout=10) as response:
        chunks = response.audio_chunks(timeout=10)
        heard = [next(chunks) for _ in range(12)]
        with pytest.raises(ResponseFailedError, match=r"QueueLimits\.answer"):
            next(chunks)
    assert heard == [bytes(6000)] * 12


def test_of_a_turn_that_is_too_long_the_end_is_left_out(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    server = Imitator({})
    session = plain.raw(server, limits=QueueLimits(answer=20_000))
    turns = session.turns(timeout=5)
    server.say(
        committed("a"), begun("resp_1"), *[piece("x" * 1000)] * 100, done_with(), committed("b"), begun("s"), done("s")
    )
    long, next_one = next(turns), next(turns)
    assert long.user_item_ids == ("a",)
    assert 10_000 < len(long.text) <= 20_000
    assert next_one.response_ids == ("s",)
    assert long.status == "completed"
    assert caplog.text.count("more words than QueueLimits.answer allows") == 1


def test_what_the_user_says_in_a_turn_is_bounded_too() -> None:
    tracker = TurnTracker(most_bytes=20_000)
    delta = {"type": "conversation.item.input_audio_transcription.delta", "item_id": "a", "delta": "x" * 1000}
    (turn,) = [
        turn for update in read(committed("a"), *[delta] * 100, begun("r"), done("r")) for turn in tracker.apply(update)
    ]
    assert 10_000 < len(turn.user_transcript or "") <= 20_000


def items(count: int, size: int = 1000) -> list[Message]:
    content = [{"type": "input_text", "text": "x" * size}]
    told = ({"id": f"item_{number}", "type": "message", "role": "user", "content": content} for number in range(count))
    return [{"type": "conversation.item.added", "item": item} for item in told]


def test_of_a_conversation_that_is_too_long_the_oldest_items_are_left_out(
    plain: House, caplog: pytest.LogCaptureFixture
) -> None:
    server = Imitator({"conversation.item.create": added})
    session = plain.raw(server, limits=QueueLimits(conversation=100_000))
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        server.say(*items(300))
        session.add_item(ConversationItem.create_user_message("Still there?", id="last")).wait(5)
    talk = session.conversation
    names = [item.id for item in talk.items]
    assert names == [*(f"item_{number}" for number in range(talk.forgotten, 300)), "last"]
    assert 20 <= len(names) <= 100
    assert caplog.text.count("QueueLimits.conversation") == 1
    assert talk.history_losses() == [f"the oldest {talk.forgotten} items: they were too much to be kept"]
    assert Conversation.from_json(talk.to_json()) == talk


FLOODS: dict[str, Any] = {
    "items": lambda n: items(1, 100)[0] | {"item": {**items(1, 100)[0]["item"], "id": f"item_{n}"}},
    "items with fields of their own": lambda n: {
        "type": "conversation.item.added",
        "item": {"id": f"i{n}", "type": "?", "x": "y" * 500},
    },
    "items behind others that never come": lambda n: {
        "type": "conversation.item.added",
        "item": {"id": f"i{n}", "type": "message", "role": "user", "content": []},
        "previous_item_id": f"never_{n}",
    },
    "items behind null": lambda n: {
        "type": "conversation.item.added",
        "item": {"id": f"i{n}", "type": "message", "role": "user", "content": []},
        "previous_item_id": None,
    },
    "responses that begin": lambda n: created(f"r{n}"),
    "responses that end": lambda n: done_with(f"r{n}"),
    "answers in the conversation": lambda n: piece("word", f"r{n}") | {"response_id": f"r{n}"},
    "pieces of one text": lambda n: piece("a piece of a text that never ends"),
    "parts of one item": lambda n: piece("word", content_index=n),
    "arguments": lambda n: {**piece("word"), "type": "response.function_call_arguments.delta", "call_id": "c"},
    "segments": lambda n: segment("a", f"segment_{n}"),
    "transcripts": lambda n: completed(f"i{n}"),
    "deleted items": lambda n: {"type": "conversation.item.deleted", "item_id": f"i{n}"},
    "log probabilities": lambda n: {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": "a",
        "delta": "",
        "logprobs": [{"token": "x", "logprob": -1.0}],
    },
}


@pytest.mark.parametrize("name", FLOODS)
def test_no_flood_fills_the_memory(name: str) -> None:
    talk, collector = Conversation(most_bytes=100_000), TranscriptCollector()
    made = [json.dumps(FLOODS[name](number)) for number in range(2000)]

    def pour(messages: list[str]) -> None:
        for message in messages:
            update = ConversationUpdate.from_json(message)
            talk.apply(update)
            if name != "segments":
                collector.apply(update)

    pour(made[:1000])
    tracemalloc.start()
    try:
        pour(made[1000:])
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 600_000


def test_a_conversation_of_ones_own_keeps_all() -> None:
    talk = Conversation()
    for update in read(*items(2000)):
        talk.apply(update)
    assert (len(talk.items), talk.forgotten) == (2000, 0)
