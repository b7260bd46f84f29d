"""Answers, items and conversations in a REPL and in a notebook."""

from __future__ import annotations

import base64
import io
import re
import wave
from typing import Any

import attrs
import pytest

from realtime_sync import Answer, ConversationItem, Timings, notebook
from realtime_sync.audio import players
from realtime_sync.protocol.items import (
    ConversationContentPart,
    FunctionCallItem,
    MCPApprovalRequestItem,
    MCPApprovalResponseItem,
    MessageItem,
)
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import ConversationResponse, TokenUsage

EVIL = "<script>alert('&')</script>"


def answer(**fields: Any) -> Answer:
    told: dict[str, Any] = {
        "id": "resp_1",
        "status": "completed",
        "reason": None,
        "text": "",
        "transcript": "",
        "audio": b"",
        "audio_format": AudioFormat(type="audio/pcm", rate=24000),
        "items": [],
        "usage": None,
        "cost": None,
        "timings": Timings(),
        "response": ConversationResponse(),
    }
    return Answer(**{**told, **fields})


def shown(value: Any) -> str:
    return str(value._repr_html_())


def played(page: str) -> Any:
    """The recording in a page."""
    found = re.search(r'<audio controls src="data:audio/wav;base64,([^"]+)">', page)
    assert found is not None
    return wave.open(io.BytesIO(base64.b64decode(found[1])))


def test_an_answer_shows_what_was_said_how_it_ended_and_what_it_cost() -> None:
    usage = TokenUsage(input_tokens=12, output_tokens=34)
    page = shown(answer(text="a\nb", transcript="spoken", usage=usage, cost=0.00123, status="incomplete", reason="max"))
    for told in ("resp_1", "a<br>b", "spoken", "incomplete: max", "12 read, 34 said", "$0.001230"):
        assert told in page
    assert "<audio" not in page


def test_an_answer_to_a_spoken_question_shows_what_was_heard() -> None:
    page = shown(answer(text="Yes.", user_transcript=f"Is it? {EVIL}"))
    assert "<p>You said: Is it? &lt;script&gt;" in page
    assert "You said" not in shown(answer(text="Yes."))


def test_an_answer_can_be_played() -> None:
    samples = bytes(range(200)) * 24
    with played(shown(answer(audio=samples))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (24000, 2, 1)
        assert file.readframes(file.getnframes()) == samples


def test_a_long_recording_is_told_and_not_put_into_the_page() -> None:
    page = shown(answer(audio=bytes(players.MOST_PLAYED_BYTES + 2)))
    assert "<audio" not in page
    assert "175 s of audio" in page
    assert len(page) < 1000


def test_audio_of_an_unknown_format_is_no_player() -> None:
    assert "<audio" not in shown(answer(audio=b"1234", audio_format=AudioFormat(type="audio/opus", rate=48000)))


@pytest.mark.parametrize("field", ["id", "status", "reason", "text", "transcript"])
def test_all_of_an_answer_is_escaped(field: str) -> None:
    page = shown(answer(**{field: EVIL}))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_calls_of_an_answer_are_shown_escaped() -> None:
    page = shown(answer(items=[FunctionCallItem(name=EVIL), FunctionCallItem(name="time")]))
    assert "<script>" not in page
    assert "time" in page


def test_an_answer_tells_the_approvals_that_it_asks_for() -> None:
    request = MCPApprovalRequestItem(id="r", name="search")
    assert answer(items=[MessageItem(), request]).approvals == [request]
    assert answer().approvals == []


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (ConversationItem.create_user_message(f"Hello {EVIL}"), "<b>user</b> Hello &lt;script"),
        (MCPApprovalRequestItem(name="search", arguments='{"q": 1}'), "search({&quot;q&quot;: 1})"),
        (MCPApprovalResponseItem(approve=True), "approved"),
        (MCPApprovalResponseItem(approve=False, reason=EVIL), "rejected: &lt;script"),
    ],
)
def test_items_show_who_says_what(item: ConversationItem, told: str) -> None:
    page = shown(item)
    assert told in page
    assert "<script>" not in page


def test_the_repr_of_an_item_is_fit_to_read_however_long_its_text() -> None:
    part = ConversationContentPart(type="input_audio", transcript="word " * 1000, audio="AAAA" * 1000)
    text = repr(MessageItem(role="user", content=[part]))
    assert len(text) < 500
    assert "(5000 characters)" in text
    assert "<4000 base64 characters>" in text
    assert "'hello'" in repr(ConversationItem.create_user_message("hello"))
    assert repr(attrs.evolve(part, transcript=None)).count("word") == 0


def test_a_card_leaves_out_what_is_not_known() -> None:
    page = notebook.card(EVIL, {"a": None, "b": EVIL}, "<p>body</p>")
    assert "<th>a" not in page
    assert page.count("&lt;script&gt;") == 2
    assert page.endswith("<p>body</p></div>")
