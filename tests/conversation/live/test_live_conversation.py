"""The conversation of a live session: its turns, what fits into the next session, and how much is kept."""

from __future__ import annotations

import json
import logging
from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.conversation.live.conversation import LiveConversation
from realtime_sync.conversation.live.history import CUT_NOTE
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.live.history import as_history
from realtime_sync.protocol.live.tokens import count_tokens
from realtime_sync.server.live.settings import tokens_of
from tests.conversation.live.scenes import (
    SCENES,
    Scene,
    both_at_once,
    conversation_of,
    delegated_question,
    texts,
)

Made = Callable[[], tuple[Scene, list[tuple[str, str]]]]


@pytest.mark.parametrize("made", SCENES, ids=lambda made: made.__name__)
def test_the_turns_stand_in_the_order_of_their_start(made: Made) -> None:
    scene, said = made()

    assert texts(conversation_of(scene).turns) == said


@pytest.mark.parametrize("made", SCENES, ids=lambda made: made.__name__)
def test_they_do_so_however_late_some_words_come(made: Made) -> None:
    scene, said = made()
    conversation = LiveConversation()
    late = [(at + 1000 * (index % 5), one) for index, (at, one) in enumerate(scene.updates())]
    for at, one in sorted(late, key=lambda each: each[0]):
        conversation.apply(one, at / 1000)

    assert texts(conversation.turns) == said


def test_each_turn_says_how_it_ended() -> None:
    scene = Scene().started().say("user", 600, "One.").say("assistant", 800, "Yes?")
    scene.say("user", 4000, "Two.").say("assistant", 4200, "Yes.")

    assert [turn.reason for turn in conversation_of(scene).turns] == ["gap", "gap", "open", "open"]
    scene.closed(9000)
    assert [turn.reason for turn in conversation_of(scene).turns] == ["gap", "gap", "closed", "closed"]
    scene.say("assistant", 9000, "Well...")
    assert [turn.reason for turn in conversation_of(scene).turns] == [*["gap"] * 4, "closed"]


def test_turns_of_another_session_come_after_those_of_the_one_before() -> None:
    scene = Scene().started(session_id="live_1").say("user", 5000, "Before.")
    scene.shift = 6500
    scene.started(7500, session_id="live_2").say("user", 600, "After.")

    turns = conversation_of(scene).turns

    assert [(turn.text, turn.timeline, turn.reason) for turn in turns] == [
        ("Before.", 1, "reset"),
        ("After.", 2, "open"),
    ]


def test_turns_that_overlap_are_two() -> None:
    user, assistant = conversation_of(both_at_once()[0]).turns

    assert user.start_ms < assistant.start_ms < user.end_ms < assistant.end_ms


def test_a_copy_stays_as_it_is() -> None:
    scene, said = delegated_question()
    conversation = LiveConversation()
    came = list(scene.updates())
    for at, one in came[: len(came) // 2]:
        conversation.apply(one, at / 1000)
    copy = conversation.snapshot()
    before = texts(copy.turns)

    for at, one in came[len(came) // 2 :]:
        conversation.apply(one, at / 1000)

    assert texts(copy.turns) == before != said
    assert texts(conversation.turns) == said


def test_words_of_a_part_of_the_timeline() -> None:
    conversation = conversation_of(delegated_question()[0])

    assert conversation.words("user", 2000, 4200) == "my parcel? It is"
    assert conversation.words("assistant", 8800) == "It is in Utrecht, and comes on Friday."
    assert conversation.words("user", 20_000) == ""
    assert LiveConversation().words("user") == ""


def test_it_shows_itself() -> None:
    conversation = conversation_of(delegated_question()[0])

    assert repr(conversation) == "<LiveConversation: 3 turns>"
    assert str(conversation).splitlines()[1] == "assistant: One moment, please."
    page = conversation._repr_html_()
    assert "<td>0:04.60</td><td>0:05.40</td>" in page
    assert "One moment, please." in page
    assert "0:04.60 to 0:05.40" in conversation.turns[1]._repr_html_()


def test_beyond_the_bound_the_oldest_turns_are_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene().started()
    for index in range(100):
        scene.say("user", 2000 * index, f"Word {index}.")

    with caplog.at_level(logging.WARNING, "realtime_sync"):
        conversation = conversation_of(scene, most_bytes=10_000)

    assert 20 < len(conversation.turns) < 40
    assert conversation.turns[-1].text == "Word 99."
    assert conversation.forgotten + len(conversation.turns) == 100
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{conversation.forgotten} forgotten" in repr(conversation)


# History --------------------------------------------------------------------------------------------------------------


def spoken(*said: str) -> LiveConversation:
    """Turns of both sides by turns, one each four seconds."""
    scene = Scene().started()
    for index, text in enumerate(said):
        scene.say("assistant" if index % 2 else "user", 4000 * index, text)
    return conversation_of(scene)


def test_the_history_is_what_was_said() -> None:
    history = spoken("Hello.", "Hello, who is there?", "Ann.").history()

    assert [(message.role, message.text) for message in history] == [
        ("user", "Hello."),
        ("assistant", "Hello, who is there?"),
        ("user", "Ann."),
    ]
    assert as_history(history) == tuple(history)  # what a session takes


def test_of_a_long_conversation_the_newest_messages_are_taken() -> None:
    conversation = spoken(*(f"Sentence {index}." for index in range(200)))

    history = conversation.history()

    assert len(history) == 128
    assert history[-1].text == "Sentence 199."
    assert len(conversation.history(messages=5)) == 5
    assert conversation.history(messages=0) == []


def test_a_turn_without_room_is_cut_at_a_sentence_and_says_so() -> None:
    long = " ".join(f"This is sentence {index}." for index in range(100))

    first, second = spoken("Hi.", "Yes?", long, "Short.").history(tokens=300)  # nothing is left out in between

    assert first.text.startswith(CUT_NOTE + "This is sentence ")
    assert first.text.endswith("This is sentence 99.")
    assert second.text == "Short."


@pytest.mark.parametrize("long", ["word " * 500, "字" * 2000, "字。" * 1000, "😀" * 500])
def test_a_turn_without_sentences_is_cut_all_the_same(long: str) -> None:
    [message] = spoken(long).history(tokens=300)

    assert message.text.startswith(CUT_NOTE)
    assert long.strip().endswith(message.text.removeprefix(CUT_NOTE))
    assert 240 < count_tokens(message.text) <= 292


def test_a_history_has_thousands_of_words() -> None:
    said = "Well, I think we should go to the market tomorrow morning, because my sister is coming over for dinner. "

    history = spoken(*[said * 4] * 100).history()

    assert 3400 < sum(len(message.text.split()) for message in history) < 6000
    assert 8000 < sum(8 + count_tokens(message.text) for message in history) <= 8192


@given(st.lists(st.text(max_size=400), max_size=20), st.integers(0, 8192), st.integers(0, 128))
def test_no_history_is_above_the_limits(said: list[str], tokens: int, messages: int) -> None:
    history = spoken(*said).history(messages=messages, tokens=tokens)

    assert len(history) <= messages
    assert sum(8 + count_tokens(message.text) for message in history) <= tokens
    assert sum(7 + tokens_of(message.text) for message in history) <= tokens  # as the embedded server counts
    as_history(json.loads(json.dumps([{"role": each.role, "content": each.text} for each in history])))


@pytest.mark.parametrize("limit", [{"messages": 129}, {"tokens": 8193}, {"messages": -1}, {"tokens": 0.5}])
def test_limits_that_the_service_would_refuse_are_refused(limit: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError):
        LiveConversation().history(**limit)
