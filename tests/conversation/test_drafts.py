"""``ResponseDraft``: the one place where what a server tells of a response adds up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from realtime_sync import ConversationUpdate
from realtime_sync.conversation.drafts import ResponseDraft, Saying
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.resources import ConversationResponse
from tests.conversation.conversation_wire import message, output_item, response, streamed, told, update


def drafted(updates: Iterable[ConversationUpdate]) -> tuple[ResponseDraft, list[Saying]]:
    """The draft, and the texts that only whole messages told."""
    draft = ResponseDraft(ConversationResponse())
    return draft, [saying for one in updates for saying in draft.apply(one)]


def item(text: str, item_id: str | None = "a") -> dict[str, Any]:
    return message(item_id, {"type": "output_text", "text": text}, role="assistant")


def text(step: str, item_id: str = "a", index: int = 0, **fields: Any) -> ConversationUpdate:
    return streamed(f"output_text.{step}", item_id, index=index, **fields)


PIECES = [text("delta", delta="Hel"), text("delta", delta="lo")]
WHOLES = [
    text("done", text="Hello"),
    streamed("content_part.done", part={"type": "output_text", "text": "Hello"}),
    output_item("done", item("Hello")),
    response("done", output=[item("Hello")]),
]


@pytest.mark.parametrize("first", range(len(WHOLES) + 1))
def test_pieces_and_wholes_say_the_same_thing_once(first: int) -> None:
    for pieces in (PIECES, []):
        if pieces or first < len(WHOLES):
            draft, sayings = drafted([response("created"), *pieces, *WHOLES[first:]])
            assert (draft.text, draft.transcript) == ("Hello", "")
            assert sayings == ([] if pieces else [("text", "Hello")])


def test_the_final_value_takes_the_place_of_pieces_and_what_comes_late_changes_nothing() -> None:
    draft, _ = drafted([*PIECES, text("done", text="Hallo"), text("delta", delta="late")])
    assert draft.text == "Hallo"


def test_a_whole_text_for_each_sentence_adds_up() -> None:
    draft, sayings = drafted([text("done", text="Hel"), text("done", text="lo"), response("done", output=[])])
    assert (draft.text, sayings) == ("Hello", [("text", "Hel"), ("text", "lo")])


def test_pieces_without_ids_are_of_the_item_at_their_place() -> None:
    nameless = [text("delta", "", delta="Hello"), text("delta", "", index=1, delta=" you")]
    whole = [output_item("done", item("Hello")), response("done", output=[item("Hello"), item(" you", "b")])]
    for seen in (nameless, [*nameless, *whole]):
        draft, sayings = drafted(seen)
        assert (draft.text, sayings) == ("Hello you", [])
    assert list(draft.items) == ["a", "b"]
    draft, _ = drafted([*PIECES, text("done", "", text="Hello"), response("done", output=[item("Hello", None)])])
    assert draft.text == "Hello"


def test_an_item_that_the_end_calls_otherwise_is_not_there_twice() -> None:
    draft, _ = drafted([*PIECES, response("done", output=[item("Hello", "b")])])
    assert draft.text == "Hello"
    draft, _ = drafted([*PIECES, response("done", output=[item("", "b")])])
    assert draft.text == "Hello"


def test_arguments_add_up_and_a_call_that_is_told_late_has_its_name() -> None:
    call = {"call_id": "c", "content": None}
    arguments = [streamed("function_call_arguments.delta", **call, delta=piece) for piece in ('{"a"', ": 1}")]
    draft, _ = drafted([*arguments, streamed("function_call_arguments.done", **call, arguments="", name="f")])
    (made,) = draft.output()
    assert isinstance(made, FunctionCallItem)
    assert (made.call_id, made.name, made.arguments) == ("c", "f", '{"a": 1}')


def test_a_conversation_that_was_saved_in_the_middle_of_an_answer_adds_up_the_same() -> None:
    conversation = told([response("created"), output_item("added", item("")), *PIECES])
    loaded = type(conversation).from_json(conversation.to_json())
    for one in (conversation, loaded):
        for whole in WHOLES:
            one.apply(whole)
    assert loaded == conversation


def test_other_updates_change_nothing() -> None:
    draft, sayings = drafted([update("session.updated", session={}), update("rate_limits.updated", rate_limits=[])])
    assert (draft.output(), draft.text, draft.done, sayings) == ([], "", False, [])
