"""Servers that tell the whole without the pieces: it is an answer, and a stream of one piece."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.harness import House
from tests.core.imitator import Imitator, Message, Said, created, done, piece

PLACE: Message = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
TEXT_DONE: Message = {"type": "response.output_text.done", **PLACE, "text": "Hello"}
SAID_DONE: Message = {"type": "response.output_audio_transcript.done", **PLACE, "transcript": "Hello"}
OLD_SAID_DONE: Message = {**SAID_DONE, "type": "response.audio_transcript.done"}


def item(**part: Any) -> Message:
    return {"id": "item_1", "type": "message", "role": "assistant", "content": [part]}


TEXT_PART: Message = {"type": "response.content_part.done", **PLACE, "part": {"type": "text", "text": "Hello"}}
SAID_PART: Message = {"type": "response.content_part.done", **PLACE, "part": {"type": "audio", "transcript": "Hello"}}
TEXT_ITEM: Message = {"type": "response.output_item.done", **PLACE, "item": item(type="output_text", text="Hello")}
SAID_ITEM: Message = {"type": "response.output_item.done", **PLACE, "item": item(type="audio", transcript="Hello")}

WRITTEN: dict[str, list[Said]] = {
    "text.done": [created(), TEXT_DONE, done()],
    "content_part.done": [created(), TEXT_PART, done()],
    "output_item.done": [created(), TEXT_ITEM, done()],
    "response.done": [created(), done(output=[TEXT_ITEM["item"]])],
    "all of them": [created(), TEXT_DONE, TEXT_PART, TEXT_ITEM, done(output=[TEXT_ITEM["item"]])],
    "all of them, and pieces": [
        created(),
        piece("Hel"),
        piece("lo"),
        TEXT_DONE,
        TEXT_PART,
        TEXT_ITEM,
        done(output=[TEXT_ITEM["item"]]),
    ],
    "pieces, and ends without texts (xAI)": [
        created(),
        piece("Hello"),
        {**TEXT_DONE, "text": None},
        {**TEXT_PART, "part": {"type": "text", "text": ""}},
        done(output=[item(type="text")]),
    ],
}
SPOKEN: dict[str, list[Said]] = {
    "transcript.done": [created(), SAID_DONE, done()],
    "one for each sentence (Hugging Face)": [
        created(),
        {**OLD_SAID_DONE, "transcript": "Hel"},
        {**OLD_SAID_DONE, "transcript": "lo"},
        done(),
    ],
    "content_part.done": [created(), SAID_PART, done()],
    "output_item.done": [created(), SAID_ITEM, done()],
    "response.done": [created(), done(output=[SAID_ITEM["item"]])],
    "pieces and all of them": [
        created(),
        piece("Hello", kind="audio_transcript"),
        SAID_DONE,
        SAID_PART,
        SAID_ITEM,
        done(output=[SAID_ITEM["item"]]),
    ],
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_was_written_is_told_once(plain: House, name: str) -> None:
    with plain.raw(Imitator({"response.create": WRITTEN[name]})).respond("Hi", timeout=10) as response:
        assert "".join(response.text_deltas(timeout=10)) == "Hello"
        answer = response.wait(10)
    assert (answer.text, answer.transcript) == ("Hello", "")
    assert answer.timings.first_text is not None


@pytest.mark.parametrize("name", SPOKEN)
def test_what_was_spoken_is_told_once(plain: House, name: str) -> None:
    with plain.raw(Imitator({"response.create": SPOKEN[name]})).respond("Hi", timeout=10) as response:
        assert {delta.kind for delta in response.deltas(timeout=10)} == {"transcript"}
        assert "".join(delta.text for delta in response.deltas(timeout=10)) == "Hello"
        answer = response.wait(10)
    assert (answer.text, answer.transcript) == ("", "Hello")


def test_a_text_that_comes_in_pieces_is_not_told_again_as_a_transcript(plain: House) -> None:
    """As SGLang's server does: it writes what it speaks (2026-08)."""
    both = {**item(type="text", text="Hello"), "content": [{"type": "text", "text": "Hello"}]}
    both["content"].append({"type": "audio", "transcript": "Hello"})
    said = [created(), piece("Hello", kind="text"), done(output=[both])]
    with plain.raw(Imitator({"response.create": said})).respond("Hi", timeout=10) as response:
        assert "".join(delta.text for delta in response.deltas(timeout=10)) == "Hello"
