"""A snapshot of a conversation: as it was, whatever comes later, for next to nothing, and on any thread."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from realtime_sync import Conversation, ConversationItem, ConversationUpdate
from tests.conversation.test_told_again import RECORDED, read, said
from tests.core.imitator import created, done, piece


@pytest.mark.parametrize("keep_audio", [False, True])
@pytest.mark.parametrize("name", RECORDED)
def test_a_snapshot_and_what_it_was_taken_of_do_not_change_each_other(name: str, keep_audio: bool) -> None:
    updates = said(name)[:80]
    talk = Conversation(keep_audio=keep_audio)
    snapshots: list[tuple[Conversation, str, int]] = []
    for place, update in enumerate(updates):
        snapshots.append((talk.snapshot(), talk.to_json(), place))
        talk.apply(update)
    assert all(snapshot.to_json() == text for snapshot, text, _ in snapshots)
    whole = talk.to_json()
    for snapshot, text, place in snapshots[:: max(1, len(snapshots) // 10)]:
        second = snapshot.snapshot()
        for update in updates[place:]:
            snapshot.apply(update)
        assert (snapshot.to_json(), second.to_json(), talk.to_json()) == (whole, text, whole)


def test_what_is_done_to_a_snapshot_stays_there() -> None:
    talk = Conversation(keep_audio=True)
    for update in read(created(conversation_id="c"), piece("Hel"), piece("AAAA", kind="output_audio", content_index=1)):
        talk.apply(update)
    talk.add_item(ConversationItem.create_user_message("Hello", id="mine"))
    before = talk.to_json()
    snapshot = talk.snapshot()
    snapshot.add_audio("mine", b"\1\2")
    snapshot.forget_audio("item_of_resp_1")
    snapshot.add_item(ConversationItem.create_user_message("Bye", id="another"))
    cut = {"type": "conversation.item.truncated", "item_id": "item_of_resp_1", "content_index": 1, "audio_end_ms": 0}
    for update in read(piece("lo"), cut, done(conversation_id="c")):
        snapshot.apply(update)
    snapshot._carry_over({"mine": "yours"})
    assert talk.to_json() == before
    assert [item.id for item in snapshot.items] == ["yours"]


def a_long_talk(turns: int) -> Conversation:
    talk = Conversation()
    for number in range(turns):
        talk.add_item(ConversationItem.create_user_message(f"Question {number}", id=f"q{number}"))
        answer = {
            "id": f"a{number}",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "x"}],
        }
        for message in (created(f"r{number}"), done(f"r{number}", output=[answer], conversation_id="c")):
            talk.apply(ConversationUpdate.from_json(json.dumps(message)))
    assert len(talk.items) == 2 * turns
    return talk


def test_a_snapshot_of_a_thousand_items_takes_less_than_a_millisecond() -> None:
    talk = a_long_talk(500)
    spans = []
    for _ in range(30):
        talk.items
        begin = time.perf_counter()
        talk.snapshot()
        spans.append(time.perf_counter() - begin)
    assert min(spans) < 0.001


def test_snapshots_are_read_while_the_conversation_goes_on() -> None:
    talk, lock, over, errors = a_long_talk(20), threading.Lock(), threading.Event(), list[BaseException]()

    def look() -> None:
        try:
            while not over.is_set():
                with lock:
                    snapshot = talk.snapshot()
                (response,) = (each for each in snapshot.responses if each.id == "resp_1")
                told: Any = response.output[0]
                assert told.text == "ab" * (len(told.text) // 2)
                assert Conversation.from_json(snapshot.to_json()) == snapshot
        except BaseException as error:
            errors.append(error)

    talk.apply(read(created(conversation_id="c"))[0])
    talk.apply(read(piece("ab"))[0])
    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for update in read(piece("ab")) * 300:
        with lock:
            talk.apply(update)
    over.set()
    for reader in readers:
        reader.join(10)
    assert not errors, errors[0]
    told: Any = talk.responses[-1].output[0]
    assert told.text == "ab" * 301
