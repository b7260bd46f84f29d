"""Responses that a server begins and never ends do not take the conversation for ever."""

from __future__ import annotations

import attrs
import pytest

from realtime_sync import ServerError, WaitTimeoutError
from realtime_sync.core.response import Response
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.deadline import Deadline
from realtime_sync.protocol import codec
from realtime_sync.protocol.options import AudioFormat
from tests.core.answers import idle
from tests.core.harness import CALM, House, Running, within
from tests.core.imitator import Answer, Imitator, Message, Said, added, created, done, one_after_another, piece

pytestmark = pytest.mark.medium

HASTY = attrs.evolve(CALM, acknowledge=0.5, close=0.5)
FAILED: list[Said] = [created(), {"type": "error", "error": {"type": "server_error", "message": "backend error"}}]
ANSWER: list[Said] = [created("resp_2"), piece("two", "resp_2"), done("resp_2")]


def refused_cancel(message: Message) -> list[Said]:
    """As speaches does (2026-08)."""
    text = "Handling of the 'response.cancel' event is not implemented."
    return [{"type": "error", "error": {"type": "server_error", "message": text, "event_id": message["event_id"]}}]


@pytest.mark.parametrize("cancel", [[], refused_cancel], ids=["silent (LocalAI)", "refused (speaches)"])
def test_after_an_answer_that_never_ended_the_next_one_can_be_asked_for(plain: House, cancel: Answer) -> None:
    turns = one_after_another(FAILED, ANSWER)
    server = Imitator({"conversation.item.create": added, "response.create": turns, "response.cancel": cancel})
    session = plain.raw(server, timeouts=HASTY)
    with pytest.raises(WaitTimeoutError):
        session.ask("Hi", timeout=0.5)
    assert session.ask("Hi", timeout=10).text == "two"


def test_a_stream_that_was_left_frees_the_conversation_too(plain: House) -> None:
    session = plain.raw(Imitator({"response.create": one_after_another(FAILED, ANSWER)}), timeouts=HASTY)
    with pytest.raises(WaitTimeoutError), session.respond("Hi", timeout=10) as response:
        next(response.text_deltas(timeout=0.1))
    assert session.ask("Hi", timeout=10).text == "two"


def test_one_that_nobody_asked_for_is_cancelled_by_hand(plain: House) -> None:
    server = Imitator({"response.create": one_after_another(ANSWER)})
    session = plain.raw(server, timeouts=HASTY)
    server.say(*FAILED)
    assert session.wait_for("error", 10)
    with pytest.raises(WaitTimeoutError, match="another answer is in progress"):
        session.ask("Hi", timeout=0.1)
    asking = Running(lambda: session.ask("Hi", timeout=10).text)
    session.cancel_response()
    assert asking.result() == "two"
    assert idle(session)


def test_the_next_one_that_begins_has_ended_the_one_before(plain: House) -> None:
    server = Imitator({"response.create": [created("resp_3"), piece("three", "resp_3"), done("resp_3")]})
    session = plain.raw(server)
    server.say(*FAILED, *ANSWER)  # voice activity detection asked for both
    assert session.wait_for("response.done", 10)
    assert session.ask("Hi", timeout=10).text == "three"
    assert idle(session)


def test_where_the_server_is_still_busy_the_question_is_put_again(plain: House) -> None:
    """A cancel that takes longer than we wait for it."""

    def answer(message: Message) -> list[Said]:
        asked = server.types().count("response.create")
        if asked == 1:
            return [created(), piece("one")]
        if asked == 2:
            code = "conversation_already_has_active_response"
            refusal: Message = {"type": "error", "error": {"code": code, "event_id": message["event_id"]}}
            return [refusal, done(status="cancelled")]
        return ANSWER

    server = Imitator({"response.create": answer})
    session = plain.raw(server, timeouts=HASTY)
    with session.respond("Hi", timeout=10):
        pass
    assert session.ask("Hi", timeout=10).text == "two"
    assert idle(session)


def test_a_refused_cancel_is_told_to_who_asked_for_it(plain: House) -> None:
    session = plain.raw(Imitator({"response.cancel": refused_cancel}))
    with pytest.raises(ServerError, match="not implemented"):
        session.cancel_response().wait(10)


# The router alone ----------------------------------------------------------------------------------------------------


def response() -> Response:
    return Response(cancel=lambda id: None, check=lambda: None, audio_format=AudioFormat(type="audio/pcm"), model=None)


def router_with_one() -> ResponseRouter:
    router = ResponseRouter()
    router.route(codec.decode(codec.to_text(created())), None)
    return router


def test_what_was_not_cancelled_is_awaited() -> None:
    router = router_with_one()
    router.cancelling("resp_7", 0)
    with pytest.raises(WaitTimeoutError):
        router.request("e", response(), False, Deadline(0.05))


def test_a_later_cancel_makes_nobody_wait_longer() -> None:
    router = router_with_one()
    router.cancelling("resp_1", 0)
    router.cancelling(None, 60)
    router.request("e", response(), False, Deadline(0))
    router.withdraw("e")
    assert router.idle


def test_who_waits_behind_another_claim_sleeps_though_a_deadline_has_passed() -> None:
    router = router_with_one()
    router.cancelling(None, 0)
    router.request("first", response(), False, Deadline(0))
    with within(5), pytest.raises(WaitTimeoutError):
        router.request("second", response(), False, Deadline(0.05))
    waiting = Running(lambda: router.request("second", response(), False, Deadline(10)))
    router.withdraw("first")
    waiting.result()
