"""Numbers that no service means, in every place where servers tell numbers: the session and its readers live."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import Conversation, ConversationUpdate, Reconnect
from realtime_sync.protocol.registry import WireObject
from tests.core.harness import House, within
from tests.core.imitator import Imitator, added
from tests.harness import DATA
from tests.protocol.recorded import all_lines

NUMBERS = ["NaN", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", "-1", "0.5", "true", '"7"', "0", "[7]", "-0.0"]
NUMBERS += ["1" * 400, "-" + "1" * 400, "1" * 5000, str(2**53), str(2**63), str(-(2**63))]
MARK = "a number stands here"


def places() -> Iterator[str]:
    """Every kind of message with a mark in each place where it has a number, once for each kind and place."""
    seen: set[tuple[Any, ...]] = set()
    examples = json.loads((DATA / "protocol" / "examples.json").read_text("utf-8"))
    told = [entry["example"] for kinds in examples.values() for entry in kinds.values()]
    for message in [*told, *map(_read, all_lines())]:
        for path in _paths(message):
            place = (message.get("type"), *("*" if isinstance(key, int) else key for key in path))
            if place not in seen:
                seen.add(place)
                yield _marked(message, path)


def _read(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _paths(inner, (*path, key))


def _marked(message: dict[str, Any], path: tuple[Any, ...]) -> str:
    copied = json.loads(json.dumps(message))
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = MARK
    return json.dumps(copied)


MESSAGES = [message.replace(f'"{MARK}"', number) for message in places() for number in NUMBERS]


def test_the_places_are_found() -> None:
    assert len(MESSAGES) > 100 * len(NUMBERS)


def test_a_number_that_is_read_can_be_counted_with() -> None:
    for text in MESSAGES:
        for number in _numbers_of(ConversationUpdate.from_json(text)):
            assert abs(number) <= 2**53, text[:200]  # nor is it NaN


def _numbers_of(thing: Any) -> Iterator[float]:
    if isinstance(thing, (int, float)):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for inner in thing:
            yield from _numbers_of(inner)
    elif isinstance(thing, (ConversationUpdate, WireObject)):
        for field in type(thing).__attrs_attrs__:  # type: ignore[union-attr]
            if field.name != "extra":  # what has no name here is told as it came
                yield from _numbers_of(getattr(thing, field.name))


def test_no_number_ends_a_session_that_reconnects(plain: House) -> None:
    server = Imitator({"conversation.item.create": added})
    session = plain.raw(server, start={"reconnect": Reconnect()})
    transcripts, turns = session.transcripts(timeout=20), session.turns(timeout=20)
    with within(30):
        server.say(*MESSAGES)
        server.say({"type": "input_audio_buffer.committed", "item_id": "the last"})
        server.say({"type": "conversation.item.input_audio_transcription.completed", "item_id": "the last"})
        while next(transcripts).item_id != "the last":
            pass
        session.add_item("Are you there?").wait(10)
    talk = session.conversation
    for item in talk.items:
        assert (talk.audio_ms(item.id) or 0) >= 0
    assert Conversation.from_json(talk.to_json()) == talk
    session.close()
    for stream in (transcripts, turns):
        for _ in stream:
            pass


@pytest.mark.parametrize("number", NUMBERS)
def test_times_of_speech_may_be_any_number(plain: House, number: str) -> None:
    server = Imitator({})
    session = plain.raw(server, start={"reconnect": Reconnect()})
    transcripts = session.transcripts(timeout=5)
    session.send_audio(bytes(4800))
    said = '{"type": "input_audio_buffer.%s", "item_id": "a", "%s": %s}'
    server.say(said % ("speech_started", "audio_start_ms", number), said % ("speech_stopped", "audio_end_ms", number))
    server.say({"type": "input_audio_buffer.committed", "item_id": "a"})
    server.say(
        '{"type": "conversation.item.input_audio_transcription.segment", "item_id": "a", "id": "s", "text": "Hi",'
        f' "content_index": {number}, "start": {number}, "end": {number}}}',
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "a", "transcript": "Hi"},
    )
    transcript = next(transcripts)
    assert (transcript.item_id, transcript.text) == ("a", "Hi")
    times = [transcript.start, transcript.end, *(segment.start for segment in transcript.segments)]
    assert all(math.isfinite(at or 0) for at in times)
