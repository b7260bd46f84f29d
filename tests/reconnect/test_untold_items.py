"""Servers that tell nothing of the items that they are given: what was said is carried over in order all the same."""

from __future__ import annotations

import json
from typing import Any

import attrs

from realtime_sync import ConversationContentPart, ConversationItem, SessionReconnectedUpdate
from realtime_sync.server import Faults
from realtime_sync.server.connection import ServerConnection
from realtime_sync.server.faults import Act
from tests.core.answers import WRITTEN
from tests.core.harness import CALM, House, until
from tests.reconnect.test_audio import said
from tests.reconnect.test_reconnecting import BY_HAND, QUICKLY, come_back, drop, ours, samples, surviving, texts

HASTY = attrs.evolve(CALM, acknowledge=0.3)
KEEPING = attrs.evolve(QUICKLY, keep_audio=True)


def tell_nothing_of_items(connection: ServerConnection) -> None:
    send = connection.send

    def send_the_rest(message: str | bytes) -> None:
        if not json.loads(message)["type"].startswith("conversation.item."):
            send(message)

    connection.send = send_the_rest  # type: ignore[method-assign]


UNTOLD = Faults(acts=[Act("tell nothing of items", tell_nothing_of_items)])


def lose_and_come_back(house: House, session: Any) -> SessionReconnectedUpdate:
    with session.subscribe() as stream:
        drop(house)
        return come_back(session, stream)


def test_questions_are_carried_over_before_their_answers(plain: House) -> None:
    plain.server.faults = UNTOLD
    session = surviving(plain, timeouts=HASTY)
    session.ask("one")
    session.ask("two")
    for _ in range(2):
        told = lose_and_come_back(plain, session)
        assert (told.losses, told.sent_again) == ((), ())
    session.ask("three")
    whole = [each for word in ("one", "two", "three") for each in (word, f"You said: {word}")]
    assert ours(session) == whole
    assert texts(plain.live) == whole


def test_what_nobody_has_answered_yet_is_sent_again_behind_what_was(plain: House) -> None:
    plain.server.faults = UNTOLD
    session = surviving(plain, timeouts=HASTY)
    session.ask("one")
    session.add_item("two")
    assert lose_and_come_back(plain, session).sent_again == ("conversation.item.create",)
    until(lambda: texts(plain.live) == ["one", "You said: one", "two"])


def test_speech_is_carried_over_before_its_answer_with_its_audio(plain: House) -> None:
    plain.server.faults = UNTOLD
    session = surviving(plain, KEEPING, BY_HAND, timeouts=HASTY)
    session.send_audio(samples(0.5))
    session.commit_pending_audio()
    session.ask(options=WRITTEN)
    part = ConversationContentPart.from_input_audio(samples(0.25))
    session.ask(ConversationItem.create_user_message([part]), WRITTEN)
    told = lose_and_come_back(plain, session)
    assert (told.losses, told.sent_again) == ((), ())
    until(lambda: len(list(plain.live.conversation)) == 4)
    assert said(plain.live) == [samples(0.5), samples(0.25)]
    assert [item.wire["role"] for item in plain.live.conversation] == ["user", "assistant"] * 2


def test_all_of_a_long_history_is_sent_though_nothing_of_it_is_acknowledged(plain: House) -> None:
    session = surviving(plain, timeouts=HASTY)
    history = [str(number) for number in range(450)]
    session.add_history([ConversationItem.create_user_message(text) for text in history])[-1].wait(20)
    plain.server.faults = UNTOLD
    lose_and_come_back(plain, session)
    until(lambda: texts(plain.live) == history)
