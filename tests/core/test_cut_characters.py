"""Characters that a server cuts in two are whole wherever a person reads: in answers, pieces, events and files."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from realtime_sync import Conversation, ConversationUpdate, InvalidInputError
from realtime_sync.protocol import updates
from realtime_sync.web.sse import sse_events
from tests.core.harness import House, until, within
from tests.core.imitator import Imitator, Message, added, created, done, piece

WAVE, TREE, LOST = "\U0001f44b", "\U0001f333", "\ufffd"
KINDS = ["output_text", "output_audio_transcript"]
CUTS: dict[str, tuple[list[str], str]] = {
    "between two pieces": (["hi \ud83d", "\udc4b!"], f"hi {WAVE}!"),
    "into pieces of their own": (["hi ", "\ud83d", "\udc4b", "!"], f"hi {WAVE}!"),
    "twice": (["\ud83d", "\udc4b\ud83c", "\udf33"], f"{WAVE}{TREE}"),
    "and never ended": (["hi \ud83d"], f"hi {LOST}"),
    "and never begun": (["hi ", "\udc4b!"], f"hi {LOST}!"),
    "and followed by something else": (["hi \ud83d", "there"], f"hi {LOST}there"),
    "and followed by another first half": (["\ud83d", "\ud83d", "\udc4b"], f"{LOST}{WAVE}"),
    "with a half inside": (["a\ud83db", "c"], f"a{LOST}bc"),
}


def answering(*messages: Message) -> Imitator:
    return Imitator({"conversation.item.create": added, "response.create": [created(), *messages, done()]})


def can_be_printed(text: str) -> bool:
    print(text, file=io.TextIOWrapper(io.BytesIO(), "utf-8"))
    return True


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_has_whole_characters(plain: House, kind: str, name: str) -> None:
    pieces, expected = CUTS[name]
    session = plain.raw(answering(*(piece(text, kind=kind) for text in pieces)))
    heard: list[str] = []
    answer = session.ask(
        "Hello", timeout=5, on_delta=lambda delta: heard.append(delta.text) or can_be_printed(delta.text)
    )
    assert str(answer) == "".join(heard) == expected


def test_a_half_is_held_back_until_the_next_piece_of_the_same_text(plain: House) -> None:
    said = [piece("hi \ud83d"), piece("ho \ud83c", kind="output_audio_transcript"), piece("AAAA", kind="output_audio")]
    said += [piece("\udc4b"), piece("\udf33", kind="output_audio_transcript")]
    session = plain.raw(answering(*said))
    with session.respond("Hello", timeout=5) as response, within(5):
        assert [(delta.kind, delta.text) for delta in response.deltas() if delta.text] == [
            ("text", "hi "),
            ("transcript", "ho "),
            ("text", WAVE),
            ("transcript", TREE),
        ]


@pytest.mark.parametrize("whole", [f"Hello {WAVE}", "something else"])
def test_the_final_text_counts(plain: House, whole: str) -> None:
    told = {"response_id": "resp_1", "item_id": "item_of_resp_1", "output_index": 0, "content_index": 0}
    finished = {"type": "response.output_text.done", **told, "text": whole}
    session = plain.raw(answering(piece("hi \ud83d"), finished))
    assert session.ask("Hello", timeout=5).text == whole


def test_events_for_a_browser_have_whole_characters(plain: House) -> None:
    session = plain.raw(answering(piece("hi \ud83d"), piece("\udc4b")))
    events = b"".join(sse_events(session.respond("Hello", timeout=5))).decode()
    assert "".join(json.loads(line[6:])["text"] for line in events.split("\n") if line.startswith('data: {"text')) == (
        f"hi {WAVE}"
    )


def test_updates_that_are_read_one_by_one_have_whole_characters(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    kind = "conversation.item.input_audio_transcription"
    one = {"item_id": "a", "content_index": 0}
    server.say(
        {"type": f"{kind}.delta", **one, "delta": "Wave \ud83d"}, {"type": f"{kind}.delta", **one, "delta": "\udc4b"}
    )
    server.say(
        {"type": f"{kind}.delta", **one, "delta": "\ud83d"}, {"type": f"{kind}.completed", **one, "transcript": "W"}
    )
    server.say({"type": "session.output_transcript.delta", "delta": "Ola \ud83d"})
    server.say({"type": "session.output_transcript.delta", "delta": "\udc4b \ud83d"}, {"type": "session.closed"})
    heard: list[ConversationUpdate] = []
    while not isinstance(heard and heard[-1], updates.SessionClosedUpdate):
        heard.append(session.receive_update(timeout=5))
    texts = [getattr(update, "delta", None) for update in heard]
    assert [text for text in texts if text] == ["Wave ", WAVE, LOST, "Ola ", f"{WAVE} ", LOST]
    assert json.loads(heard[1].raw_content)["delta"] == "Wave \ud83d"  # what the server said, as it said it


def test_texts_that_come_whole_have_no_halves() -> None:
    item = {"type": "message", "id": "a", "role": "user", "content": [{"type": "input_text", "text": "cut \ud83d"}]}
    told = ConversationUpdate.from_json(
        json.dumps({"type": "conversation.item.added", "item": item, "x_\udc4b": "\ud83d"})
    )
    assert isinstance(told, updates.ConversationItemAddedUpdate)
    assert (told.item.text, told.extra) == (f"cut {LOST}", {f"x_{LOST}": LOST})  # type: ignore[attr-defined]
    segment = {"type": "conversation.item.input_audio_transcription.segment", "item_id": "a", "text": "\udc4b"}
    assert ConversationUpdate.from_json(json.dumps(segment)).text == LOST  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CUTS)
def test_a_conversation_that_is_made_of_a_recording_has_whole_characters(name: str) -> None:
    pieces, expected = CUTS[name]
    talk = Conversation()
    for message in (created(), *map(piece, pieces)):
        talk.apply(ConversationUpdate.from_json(json.dumps(message)))
        assert can_be_printed(repr(talk.responses[0].output))
        assert can_be_printed(talk.snapshot().responses[0].output[0].text if talk.responses[0].output else "")  # type: ignore[attr-defined]
    assert talk.responses[0].output[0].text == expected  # type: ignore[attr-defined]


def test_more_cut_characters_than_anybody_reads_are_not_kept(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    server.say(*(piece("\ud83d", item_id=f"item_{number}") for number in range(100)), {"type": "session.closed"})
    heard: list[Any] = []
    while not isinstance(heard and heard[-1], updates.SessionClosedUpdate):
        heard.append(session.receive_update(timeout=5))
    assert sum(getattr(update, "delta", "") == LOST for update in heard) == 100


@pytest.mark.parametrize(
    "say", [lambda s, text: s.add_item(text), lambda s, text: s.send_message({"type": "x", "text": text})]
)
def test_halves_that_meet_in_what_is_sent_are_joined_and_one_alone_is_refused(plain: House, say: Any) -> None:
    server = Imitator({})
    session = plain.raw(server)
    with pytest.raises(InvalidInputError, match=r"half of a character \('\\udce9'\)"):
        say(session, "caf\udce9")
    say(session, "Hi \ud83d\udc4b")
    session.send_message('{"type": "y"}')
    until(lambda: "y" in server.types())
    assert WAVE in json.dumps(server.heard[0], ensure_ascii=False)
