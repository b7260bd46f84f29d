"""Servers that refuse without saying what: who waits is told what was said, and the next command is not mixed up."""

from __future__ import annotations

import attrs
import pytest

from realtime_sync import ConversationSessionOptions, ServerError, WaitTimeoutError
from tests.core.harness import CALM, House
from tests.core.imitator import Answer, Imitator, Message, Said, added, created, one_after_another, piece

pytestmark = pytest.mark.medium

HASTY = attrs.evolve(CALM, acknowledge=0.3, close=0.5)
BRIEF = ConversationSessionOptions(instructions="Be brief.")
BOOM: Message = {"type": "error", "error": {"type": "server_error", "code": "inference_failed", "message": "no memory"}}
UPDATED: Message = {"type": "session.updated", "session": {}}


@pytest.mark.parametrize(
    "begun", [[BOOM], [created(), BOOM], [created(), piece(), BOOM]], ids=["at once", "begun (LocalAI)", "midway"]
)
def test_an_answer_that_does_not_come_says_what_the_service_said(plain: House, begun: list[Said]) -> None:
    session = plain.raw(Imitator({"conversation.item.create": added, "response.create": begun}), timeouts=HASTY)
    with pytest.raises(WaitTimeoutError, match="no memory") as caught:
        session.ask("Hi", timeout=2)  # long enough for the server's word on a slow machine
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__cause__.code == "inference_failed"


def test_a_stream_that_stops_says_what_the_service_said(plain: House) -> None:
    session = plain.raw(Imitator({"response.create": [created(), piece(), BOOM]}), timeouts=HASTY)
    with session.respond("Hi", timeout=10) as response:
        assert session.wait_for("error", 10)
        pieces = response.text_deltas(timeout=0.1)
        assert next(pieces) == "Hello"
        with pytest.raises(WaitTimeoutError, match="no memory"):
            next(pieces)
        with pytest.raises(WaitTimeoutError, match="no memory"):
            response.wait(0.1)


@pytest.mark.parametrize("name", [None, "", "event_TODO"], ids=["no name", "an empty one", "nobody's (LocalAI)"])
def test_a_command_that_is_not_acknowledged_says_what_the_service_said(plain: House, name: str) -> None:
    refusal: Message = {"type": "error", "error": {**BOOM["error"], "event_id": name}}
    session = plain.raw(Imitator({"session.update": [refusal]}), timeouts=HASTY)
    handle = session.configure_session(BRIEF)
    assert session.wait_for("error", 10)
    with pytest.raises(WaitTimeoutError, match=r"not acknowledged .* no memory") as caught:
        handle.wait(0.1)
    assert isinstance(caught.value.__cause__, ServerError)


def test_a_start_whose_options_are_not_acknowledged_says_what_the_service_said(plain: House) -> None:
    server = Imitator({"session.update": [BOOM]})
    with pytest.raises(WaitTimeoutError, match=r"not acknowledge the options .* no memory") as caught:
        plain.raw(server, timeouts=HASTY, start={"options": BRIEF})
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.__suppress_context__  # one error, and its reason: not the time-out of the wait between them


def test_what_was_said_about_another_command_is_no_reason(plain: House) -> None:
    def refuse(message: Message) -> list[Said]:
        return [{"type": "error", "error": {"message": "no such item", "event_id": message["event_id"]}}]

    answers: dict[str, Answer] = {"conversation.item.delete": refuse, "response.create": [created()]}
    session = plain.raw(Imitator(answers), timeouts=HASTY)
    handle = session.configure_session(BRIEF)
    with session.respond(timeout=10) as response:
        with pytest.raises(ServerError, match="no such item"):
            session.delete_item("item_7").wait(10)
        for wait in (handle.wait, lambda: response.wait(0.1)):
            with pytest.raises(WaitTimeoutError) as caught:
                wait()
            assert "no such item" not in str(caught.value)
            assert caught.value.__cause__ is None


def test_after_settings_that_were_refused_without_a_name_the_next_ones_are_acknowledged(plain: House) -> None:
    turns = one_after_another([BOOM], [UPDATED], [{**UPDATED, "event_id": "the last"}])
    session = plain.raw(Imitator({"session.update": turns}), timeouts=HASTY)
    refused = session.configure_session(BRIEF)
    with pytest.raises(WaitTimeoutError):
        refused.wait()
    assert session.configure_session(BRIEF).wait(10).type == "session.updated"
    assert not refused.done
    assert session.configure_session(BRIEF).wait(10).event_id == "the last"


def test_a_late_acknowledgement_is_still_one(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server, timeouts=HASTY)
    handle = session.configure_session(BRIEF)
    with pytest.raises(WaitTimeoutError):
        handle.wait()
    server.say(UPDATED)
    assert handle.wait(10).type == "session.updated"


def test_who_only_looks_whether_it_is_there_loses_nothing_to_the_next(plain: House) -> None:
    server = Imitator({})
    session = plain.raw(server)
    first, second = session.configure_session(BRIEF), session.configure_session(BRIEF)
    with pytest.raises(WaitTimeoutError):
        first.wait(0)
    server.say(UPDATED)
    first.wait(10)
    assert not second.done
