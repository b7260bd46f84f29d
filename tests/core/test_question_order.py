"""A question's items come behind the response that was asked for before it, however that was asked for."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from realtime_sync import RealtimeConversationSession
from realtime_sync.protocol.commands import ResponseCreateCommand
from tests.core.answers import WRITTEN, Gate, idle
from tests.core.harness import House, Running, until, within
from tests.core.imitator import Imitator, Message, Said, added, created, done, piece

BY_HAND: dict[str, Callable[[RealtimeConversationSession], Any]] = {
    "start_response": lambda session: session.start_response(),
    "a raw message": lambda session: session.send_message({"type": "response.create"}),
    "a raw message with a name": lambda session: session.send_message({"type": "response.create", "event_id": "mine"}),
    "a command": lambda session: session.send_message(ResponseCreateCommand()),
}


def roles(session: RealtimeConversationSession) -> list[str]:
    return [getattr(item, "role", item.type) for item in session.conversation.items]


@pytest.mark.parametrize("how", BY_HAND)
def test_a_question_comes_behind_the_response_that_was_asked_for_by_hand(plain: House, how: str) -> None:
    session = plain.open()
    for _ in range(5):
        session.add_item("First")
        BY_HAND[how](session)
        session.ask("Second", WRITTEN, timeout=10)
    assert roles(session) == ["user", "assistant"] * 10
    assert idle(session)


def test_several_threads_that_ask_behind_it_come_one_after_the_other(plain: House) -> None:
    session = plain.open()
    session.add_item("First")
    session.start_response()
    asking = [Running(lambda: session.ask("Next", WRITTEN, timeout=10)) for _ in range(4)]
    with session.respond("Next", WRITTEN, timeout=10) as response:
        response.wait(10)
    for one in asking:
        one.result()
    assert roles(session) == ["user", "assistant"] * 6


def test_a_request_by_hand_that_is_refused_is_not_waited_for(plain: House) -> None:
    gate = Gate()
    plain.serve(responder=gate)
    session = plain.open()
    session.start_response().wait()
    session.start_response()  # refused, as one is in progress
    asking = Running(lambda: session.ask("Next", WRITTEN, timeout=10))
    until(lambda: not session._engine.responses._foreseen)
    gate.opened.set()
    assert asking.result().text == "one two"


def test_an_error_without_a_name_ends_the_wait_for_a_request_by_hand(plain: House) -> None:
    def respond(message: Message) -> list[Said]:
        if server.types().count("response.create") == 1:
            return [{"type": "error", "error": {"message": "no"}}]
        return [created(metadata=message["response"]["metadata"]), piece(), done()]

    server = Imitator({"conversation.item.create": added, "response.create": respond})
    session = plain.raw(server)
    session.start_response()
    with within(3):  # an acknowledgement may take 5 seconds
        assert session.ask("Hi", timeout=5).text == "Hello"


def test_a_request_by_hand_that_is_never_answered_is_waited_for_no_longer_than_an_acknowledgement(plain: House) -> None:
    def respond(message: Message) -> list[Said]:
        if server.types().count("response.create") == 1:
            return []
        return [created(metadata=message["response"]["metadata"]), piece(), done()]

    server = Imitator({"conversation.item.create": added, "response.create": respond})
    session = plain.raw(server)
    session._engine.state.acknowledge = 0.2
    session.start_response()
    assert session.ask("Hi", timeout=5).text == "Hello"


def test_a_question_comes_behind_the_answer_to_the_users_speech(plain: House) -> None:
    """The service has made a message of it, and is about to answer."""
    detects = {"type": "session.created", "session": {"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}}

    def respond(message: Message) -> list[Said]:
        return [created("r", metadata=message["response"]["metadata"]), piece("Yes.", "r"), done("r")]

    server = Imitator({"conversation.item.create": added, "response.create": respond}, greeting=[detects])
    session = plain.raw(server)
    server.say({"type": "input_audio_buffer.committed", "item_id": "spoken"})
    session.wait_for("input_audio_buffer.committed", 5)
    asking = Running(lambda: session.ask("And?", timeout=5).text)
    server.say(created("spoken", metadata=None), piece("I heard you.", "spoken"))
    session.wait_for("response.output_text.delta", 5)
    assert server.types() == []
    server.say(done("spoken", metadata=None))
    assert asking.result() == "Yes."


def test_without_answers_of_its_own_the_service_is_not_waited_for(plain: House) -> None:
    detection = {"type": "server_vad", "create_response": False}
    told = {"type": "session.created", "session": {"audio": {"input": {"turn_detection": detection}}}}

    def respond(message: Message) -> list[Said]:
        return [created("r", metadata=message["response"]["metadata"]), piece("Yes.", "r"), done("r")]

    server = Imitator({"response.create": respond}, greeting=[told])
    session = plain.raw(server)
    server.say({"type": "input_audio_buffer.committed", "item_id": "spoken"})
    session.wait_for("input_audio_buffer.committed", 5)
    assert not session._engine.responses.answers_speech_now
    assert session.ask(timeout=5).text == "Yes."
