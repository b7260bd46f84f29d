"""Servers that say that an answer makes an item, and never that the item is in the conversation (Hugging Face's)."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_sync import Conversation
from tests.conversation.test_told_again import read
from tests.core.harness import House, until
from tests.core.imitator import Imitator, Message, added, created, done, piece

SECOND = "A" * 64_000  # base64 of 48,000 bytes: a second of speech
TOLD = {"conversation_id": "conv_1"}
ITEM = {"id": "item_of_resp_1", "type": "message", "role": "assistant", "content": []}


def output_item(step: str, **fields: Any) -> Message:
    return {
        "type": f"response.output_item.{step}",
        "response_id": "resp_1",
        "output_index": 0,
        "item": {**ITEM, **fields},
    }


SPOKEN = piece(SECOND, kind="output_audio")
WAYS: dict[str, list[Message]] = {
    "an item": [output_item("added", status="in_progress"), SPOKEN],
    "its pieces": [SPOKEN],
    "a part": [{**SPOKEN, "type": "response.content_part.added", "part": {"type": "audio"}}, SPOKEN],
}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("told", WAYS)
def test_an_answer_is_interrupted_though_only_its_response_tells_of_it(plain: House, told: str, ended: bool) -> None:
    def cancelled(message: Message) -> list[Message]:
        return [done(status="cancelled", **TOLD)]

    def truncated(message: Message) -> list[Message]:
        return [{**message, "type": "conversation.item.truncated"}]

    said = [created(**TOLD), *WAYS[told], *([done(**TOLD)] if ended else [])]
    answers = {"response.create": said, "response.cancel": cancelled, "conversation.item.truncate": truncated}
    server = Imitator({"conversation.item.create": added, **answers})
    session = plain.raw(server)
    with session.respond("Hello", timeout=5) as response:
        next(response.audio_chunks(timeout=5))
        until(lambda: response.done or not ended)
        interruption = session.interrupt(heard_ms=400)
    assert (interruption.item_id, interruption.audio_end_ms, interruption.truncated) == ("item_of_resp_1", 400, True)
    assert interruption.response_id == (None if ended else "resp_1")
    assert ("response.cancel" in server.types()) is not ended
    assert session.conversation.heard_ms("item_of_resp_1") == 400


def test_such_an_answer_stays_in_the_conversation_in_its_place() -> None:
    talk = Conversation()
    question: Message = {"id": "question", "type": "message", "role": "user", "content": []}
    for update in read(
        {"type": "conversation.item.added", "item": question}, created(**TOLD), *WAYS["its pieces"], done(**TOLD)
    ):
        talk.apply(update)
    assert [item.id for item in talk.items] == ["question", "item_of_resp_1"]
    assert talk.audio_ms("item_of_resp_1") == 1000


def test_the_place_that_is_told_later_counts() -> None:
    talk = Conversation()
    messages = [{"type": "conversation.item.added", "item": {**ITEM, "id": name}} for name in ("a", "b")]
    messages += [created(**TOLD), output_item("added")]
    messages += [{"type": "conversation.item.added", "item": {**ITEM, "id": "c"}, "previous_item_id": "b"}]
    for update in read(*messages):
        talk.apply(update)
    assert [item.id for item in talk.items] == ["a", "b", "c", "item_of_resp_1"]
    for update in read({"type": "conversation.item.added", "item": ITEM, "previous_item_id": "a"}):
        talk.apply(update)
    assert [item.id for item in talk.items] == ["a", "item_of_resp_1", "b", "c"]


@pytest.mark.parametrize("told", WAYS)
def test_an_answer_beside_the_conversation_stays_beside_it(told: str) -> None:
    talk = Conversation()
    for update in read(created(conversation_id=None), *WAYS[told], output_item("done"), done(conversation_id=None)):
        talk.apply(update)
        assert talk.items == []


@pytest.mark.parametrize("told", WAYS)
def test_what_was_deleted_does_not_come_back_with_its_response(told: str) -> None:
    talk = Conversation()
    deleted: Message = {"type": "conversation.item.deleted", "item_id": "item_of_resp_1"}
    for update in read(created(**TOLD), *WAYS[told], deleted, *WAYS[told], output_item("done"), done(**TOLD)):
        talk.apply(update)
    assert talk.items == []
