"""A function as the delegate: what it is given, what is said of its results, and how it may fail."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.protocol.live.updates import LiveSessionInputTranscriptDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.server import LiveFaults
from tests.harness import until
from tests.live.delegation.conftest import Talk

pytestmark = pytest.mark.medium

Begin = Callable[..., Talk]


def is_heard(update: ConversationUpdate, word: str) -> bool:
    return isinstance(update, LiveSessionInputTranscriptDeltaUpdate) and word in update.delta


class Asked:
    """A delegate that keeps its requests, and answers each once it is let go."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.requests: list[DelegationRequest] = []
        self.open = threading.Semaphore(0)

    def __call__(self, request: DelegationRequest) -> Any:
        self.requests.append(request)
        answer = self.answers.pop(0)
        assert self.open.acquire(timeout=30)
        return answer


def test_a_delegate_is_given_what_the_user_said_and_what_it_returns_is_said(talk: Begin) -> None:
    requests: list[DelegationRequest] = []

    def look_up(request: DelegationRequest) -> str:
        requests.append(request)
        return "It leaves at nine."

    call = talk(delegate=look_up)
    call.twin.say("Good morning.")
    call.silence(2.0)
    delegation = call.asks("When does the train leave?")
    assert call.wait_for_appends(1) == [("commentary", "It leaves at nine.")]
    assert call.appended(delegation) == call.appended()
    request = requests[0]
    assert (request.id, request.text) == (delegation, "When does the train leave?")
    assert [(turn.speaker, turn.text) for turn in request.transcript] == [
        ("assistant", "Good morning."),
        ("user", "When does the train leave?"),
    ]
    assert request.answered
    call.until(lambda: "It leaves at nine." in call.spoken())


@pytest.mark.parametrize("seconds", [3, 45, 90])
def test_a_result_is_said_however_late_it_comes(talk: Begin, seconds: int) -> None:
    asked = Asked("It is sunny.")
    call = talk(delegate=asked)
    call.asks("How is the weather?")
    until(lambda: asked.requests, 10.0)
    call.silence(seconds)
    assert call.appended() == []
    asked.open.release()
    call.wait_for_appends(1)
    call.until(lambda: "It is sunny." in call.spoken())


def test_a_second_delegation_waits_for_the_first_and_is_given_the_words_since(talk: Begin) -> None:
    asked = Asked("first", "second")
    call = talk(delegate=asked)
    first = call.asks("Run the tests,")
    until(lambda: asked.requests, 10.0)
    call.silence(1.0)
    second = call.asks("and the benchmarks.")
    call.silence(2.0)
    assert [request.text for request in asked.requests] == ["Run the tests,"]
    asked.open.release()
    until(lambda: len(asked.requests) == 2, 10.0)
    assert asked.requests[1].text == "and the benchmarks."
    asked.open.release()
    call.wait_for_appends(2)
    assert (call.appended(first), call.appended(second)) == ([("commentary", "first")], [("commentary", "second")])
    assert [text for _, text in call.appended()] == ["first", "second"]
    call.until(lambda: "second" in call.spoken())
    assert call.spoken().index("first") < call.spoken().index("second")


def test_each_of_several_that_wait_has_its_own_words_and_the_last_one_all_until_now(talk: Begin) -> None:
    asked = Asked(*"abc")
    call = talk(delegate=asked)
    call.asks("One.")
    until(lambda: asked.requests, 10.0)
    for text in ("Two.", "Three."):
        call.asks(text)
        call.silence(1.0)
    call.twin.hear("Or four?")
    call.silence(3.0)
    call.session.wait_for(lambda update: is_heard(update, "four?"), 10.0)
    asked.open.release(3)
    until(lambda: len(asked.requests) == 3, 10.0)
    assert [request.text for request in asked.requests] == ["One.", "Two.", "Three. Or four?"]


@pytest.mark.parametrize("fault", [{}, {"late_words_ms": 250}, {"delegation_before_words": True}])
def test_a_delegate_is_called_when_the_words_are_there(talk: Begin, fault: dict[str, Any]) -> None:
    texts: list[str] = []
    call = talk(LiveFaults(**fault), delegate=lambda request: texts.append(request.text))
    call.asks("Book a table for four.")
    call.until(lambda: texts)
    assert texts == ["Book a table for four."]


def test_a_sentence_without_an_end_is_not_waited_for(talk: Begin) -> None:
    texts: list[str] = []
    call = talk(LiveFaults(delegation_before_words=True), delegate=lambda request: texts.append(request.text))
    sentence = " ".join(["and so on"] * 12)
    call.asks(sentence)
    call.until(lambda: texts)
    assert texts[0]
    assert sentence.startswith(texts[0])
    assert len(texts[0]) < len(sentence) / 2


@pytest.mark.parametrize("nothing", [None, "", "  \n"])
def test_nothing_is_said_of_no_result(talk: Begin, nothing: Any, caplog: pytest.LogCaptureFixture) -> None:
    results = [nothing, "Done."]
    call = talk(delegate=lambda request: results.pop(0))
    call.asks("One.")
    call.asks("Two.")
    assert call.wait_for_appends(1) == [("commentary", "Done.")]
    assert "nothing is said" not in caplog.text


def test_what_is_no_text_is_said_as_json(talk: Begin) -> None:
    call = talk(delegate=lambda request: {"degrees": 21})
    call.asks("How warm is it?")
    assert call.wait_for_appends(1) == [("commentary", '{"degrees": 21}')]


def test_a_result_waits_for_the_end_of_a_clip(talk: Begin) -> None:
    call = talk(delegate=lambda request: "Here it is.")
    call.session.play_clip(bytes(240_000)).wait(10)
    call.twin.delegate(after_last_fragment=False)
    call.until(call.appended)
    sent = [event["type"] for event in call.twin.sent]
    assert "session.output_audio.fixture.played" in sent
    assert "error" not in sent


def test_delegates_work_side_by_side_if_that_is_wanted(talk: Begin) -> None:
    asked = Asked("a", "b")
    call = talk(delegate=asked, delegate_concurrency=2)
    call.asks("One.")
    call.asks("Two.")
    until(lambda: len(asked.requests) == 2, 10.0)
    asked.open.release(2)
    call.wait_for_appends(2)
