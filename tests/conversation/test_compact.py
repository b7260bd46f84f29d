"""A conversation in a few kilobytes of JSON: what is kept, what is left out and told, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync import (
    CompactConversation,
    Conversation,
    ConversationItem,
    ConversationUpdate,
    InvalidInputError,
    LiveConversation,
    LiveHistoryItem,
    LiveSessionOptions,
)
from realtime_sync.conversation.compact import CUT

ROLES = st.sampled_from(["user", "assistant"])
TEXTS = st.text(max_size=200)
TALKS = st.lists(st.tuples(ROLES, TEXTS), max_size=30)


def conversation(*said: tuple[str, str]) -> Conversation:
    make: dict[str, Any] = {
        "user": ConversationItem.create_user_message,
        "assistant": ConversationItem.create_assistant_message,
        "system": ConversationItem.create_system_message,
    }
    talk = Conversation()
    for number, (role, text) in enumerate(said):
        talk.apply(added(make[role](text, id=f"item_{number}")))
    return talk


def added(item: ConversationItem) -> ConversationUpdate:
    from realtime_sync.protocol.plain import to_plain

    told = {"type": "conversation.item.added", "event_id": "e", "previous_item_id": None, "item": to_plain(item)}
    return ConversationUpdate.from_json(json.dumps(told))


def ascii_length(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def through_json(compact: CompactConversation) -> CompactConversation:
    return CompactConversation.from_plain(json.loads(json.dumps(compact.to_plain())))


@given(TALKS)
def test_what_has_room_comes_back_as_it_was(said: list[tuple[str, str]]) -> None:
    compact = conversation(*said).compact(100_000)
    again = through_json(compact)
    assert again == compact
    assert [*again.messages] == [(role, text) for role, text in said if text.strip()]
    assert again.left_out == 0
    assert conversation(*said).compact(100_000).losses == ()


@given(TALKS, st.integers(200, 3000))
def test_what_has_no_room_is_whole_old_turns_and_is_told(said: list[tuple[str, str]], most: int) -> None:
    worded = [(role, text) for role, text in said if text.strip()]
    compact = conversation(*said).compact(most)
    kept = [*compact.messages]
    assert ascii_length(compact.to_plain()) <= most
    assert through_json(compact) == compact
    assert compact.left_out + len(kept) == len(worded)
    gone = worded[: compact.left_out]
    assert bool(compact.losses) == (kept != worded)
    if any("cut" in loss for loss in compact.losses):
        assert not any(role == "user" for role, _ in kept[1:]) or all(role == "user" for role, _ in kept[:2])
        for (role, text), (_, whole) in zip(kept, worded[compact.left_out :], strict=True):
            assert text == whole or (text.endswith(CUT) and whole.startswith(text.removesuffix(CUT))), role
        return
    assert kept == worded[len(gone) :]
    if gone and kept:  # whole turns: what is kept begins where the user begins
        assert kept[0][0] == "user"
        assert gone[-1][0] != "user"


@given(st.lists(st.tuples(ROLES, st.text(min_size=1, max_size=300)), min_size=1, max_size=12))
def test_what_is_gone_is_counted_over_all_sessions(said: list[tuple[str, str]]) -> None:
    """Each message is said in a session of its own, as in a view that keeps the conversation in a cookie."""
    compact, worded = CompactConversation(), 0
    for role, text in said:
        compact = through_json(continued(compact, (role, text)).compact(400))
        worded += bool(text.strip())
        assert compact.left_out + len(compact.messages) == worded


def continued(compact: CompactConversation, message: tuple[str, str]) -> Conversation:
    talk = Conversation()
    make = {"user": ConversationItem.create_user_message, "assistant": ConversationItem.create_assistant_message}
    for number, item in enumerate([*compact.history(), make[message[0]](message[1])]):
        talk.apply(added(attrs.evolve(item, id=f"item_{number}")))
    return talk


def test_many_short_messages_are_counted_with_what_stands_between_them() -> None:
    compact = conversation(*[("user", "a"), ("assistant", "b")] * 200).compact(1000)
    assert 950 < ascii_length(compact.to_plain()) <= 1000
    assert compact.left_out == 400 - len(compact.messages)


def test_the_model_is_told_how_much_it_does_not_know() -> None:
    compact = CompactConversation((("user", "Hello!"),), 12)
    note, hello = compact.history()
    assert (note.role, note.text) == ("system", "[The first 12 messages of this conversation are left out.]")
    assert (hello.role, hello.text) == ("user", "Hello!")
    assert [(item.role, item.text) for item in compact.live_history()] == [("developer", note.text), ("user", "Hello!")]
    assert CompactConversation((), 1).history()[0].text == "[The first 1 message of this conversation is left out.]"


def test_a_user_cannot_say_that_something_was_left_out() -> None:
    said = "[The first 12 messages of this conversation are left out.]"
    compact = conversation(("user", said), ("assistant", "No.")).compact()
    assert compact.left_out == 0
    assert compact.messages[0] == ("user", said)


def test_messages_of_the_systems_are_kept_and_taken_only_if_asked_for() -> None:
    talk = conversation(("system", "The user is an admin."), ("user", "Hello!"))
    assert talk.compact().messages == (("user", "Hello!"),)
    (loss,) = talk.compact().losses
    assert "system=True" in loss
    compact = talk.compact(system=True)
    assert [role for role, _ in compact.messages] == ["system", "user"]
    with pytest.raises(InvalidInputError, match=r"message 0 .* one of the system's, which the model obeys"):
        CompactConversation.from_plain(compact.to_plain())
    assert CompactConversation.from_plain(compact.to_plain(), system=True) == compact


def test_calls_pictures_and_sound_without_words_are_told_as_lost() -> None:
    talk = conversation(("user", "Look!"))
    talk.apply(added(ConversationItem.create_function_call("look", "call_1", {}, id="call")))
    talk.apply(added(ConversationItem.create_function_call_output("call_1", "a tree", id="output")))
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    heard = {"type": "input_audio", "transcript": None}
    for name, part in (("picture", picture), ("sound", heard)):
        item = {"id": name, "type": "message", "role": "user", "content": [part]}
        talk.apply(ConversationUpdate.from_json(json.dumps({"type": "conversation.item.added", "item": item})))
    compact = talk.compact()
    assert compact.messages == (("user", "Look!"),)
    assert len(compact.losses) == 4
    for name in ("call", "output", "picture", "sound"):
        assert any(f" {name}:" in loss for loss in compact.losses), name


@pytest.mark.parametrize(
    "value",
    [
        "said",
        [],
        {},
        {"v": 1},
        {"v": 1, "said": "Hello!"},
        {"v": 1, "said": {"u": "Hello!"}},
        {"v": 2, "said": []},
        {"v": True, "said": []},
        {"said": []},
        {"v": 1, "said": [["u"]]},
        {"v": 1, "said": [["u", "Hello!", "more"]]},
        {"v": 1, "said": ["uH"]},
        {"v": 1, "said": [["user", "Hello!"]]},
        {"v": 1, "said": [["u", 1]]},
        {"v": 1, "said": [["u", None]]},
        {"v": 1, "said": [["u", " "]]},
        {"v": 1, "said": [[["u"], "Hello!"]]},
        {"v": 1, "said": [["s", "Obey."]]},
        {"v": 1, "said": [], "out": -1},
        {"v": 1, "said": [], "out": True},
        {"v": 1, "said": [], "out": 10**10},
        {"v": 1, "said": [], "out": "3"},
    ],
    ids=str,
)
def test_what_a_browser_may_have_forged_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError):
        CompactConversation.from_plain(value)


def test_a_value_that_is_too_long_is_refused() -> None:
    value = {"v": 1, "said": [["u", "x" * 5000]]}
    with pytest.raises(InvalidInputError, match=r"has 5,0\d\d bytes, and 4,000 are allowed"):
        CompactConversation.from_plain(value, most_bytes=4000)
    assert CompactConversation.from_plain(value, most_bytes=6000).messages[0][1] == "x" * 5000


def test_halves_of_characters_do_not_come_in() -> None:
    (message,) = CompactConversation.from_plain({"v": 1, "said": [["u", "\ud83c\udf33 \ud83c"]]}).messages
    assert message == ("user", "🌳 \ufffd")


def test_a_visitor_who_is_new_has_said_nothing() -> None:
    assert CompactConversation.from_plain(None) == CompactConversation()
    assert CompactConversation.from_plain(None).history() == []


# GPT-Live ---------------------------------------------------------------------------------------------------------


def test_a_live_conversation_begins_with_what_was_said_before_its_session() -> None:
    """Else the third session of a row would not know the first one's words."""
    before = [LiveHistoryItem.message("developer", "Be kind."), LiveHistoryItem.message("user", "My name is Ada.")]
    talk = LiveConversation(before=before)
    assert [item.text for item in talk.history()] == ["Be kind.", "My name is Ada."]
    assert talk.turns == []
    compact = talk.compact()
    assert compact.messages == (("user", "My name is Ada."),)
    assert len(compact.losses) == 1
    assert talk.compact(system=True).messages == (("system", "Be kind."), ("user", "My name is Ada."))


@given(st.lists(st.tuples(ROLES, st.text(max_size=80)), max_size=8))
def test_a_live_session_takes_what_any_conversation_left(said: list[tuple[str, str]]) -> None:
    compact = conversation(*said).compact(100_000)
    history = LiveSessionOptions(history=compact.live_history()).history
    again = LiveConversation(before=history or ()).compact(100_000)
    assert again == compact


def test_a_live_session_is_told_what_its_service_has_no_room_for() -> None:
    compact = CompactConversation(tuple(("user", f"This is number {number}.") for number in range(300)), 7)
    history = compact.live_history()
    assert len(history) == 128
    assert history[0].text == f"[The first {7 + 300 - 127} messages of this conversation are left out.]"
    assert history[-1].text == "This is number 299."
    LiveSessionOptions(history=history)
    assert LiveConversation(before=history).compact(100_000).left_out == 180
