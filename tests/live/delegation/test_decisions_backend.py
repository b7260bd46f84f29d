"""A Decisions backend: who gets its answers, and what is said of them."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from realtime_sync import InvalidInputError
from realtime_sync.errors import ConfigurationError
from realtime_sync.live.decisions_backend import DecisionsBackend, MadeDecision
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.live.questions import (
    LiveChoiceAnswer,
    LiveChoiceQuestion,
    LiveDecisionsSettings,
    LivePredicateAnswer,
    LivePredicateQuestion,
    LiveScoreAnswer,
    LiveScoreQuestion,
    LiveTrigger,
)
from realtime_sync.protocol.live.updates import LiveDecisionEventUpdate
from realtime_sync.server import LiveFaults
from tests.harness import until
from tests.live.delegation.conftest import Talk

Begin = Callable[..., Talk]

QUESTIONS = [
    LiveChoiceQuestion(name="drink", instructions="What is ordered?", choices=["coffee", "tea"]),
    LivePredicateQuestion(name="urgent", instructions="Is it to be quick?"),
    LiveScoreQuestion(name="mood", instructions="How are they?", levels=["calm", "angry"]),
]


def test_a_delegations_answers_go_to_on_decision_and_what_it_returns_is_said(talk: Begin) -> None:
    made: list[MadeDecision] = []

    def act(decision: MadeDecision) -> str:
        made.append(decision)
        return "Tea it is."

    call = talk(delegate=DecisionsBackend("m", QUESTIONS, act))
    delegation = call.asks("A tea, and quick, I am angry.")
    assert call.wait_for_appends(1) == [("commentary", "Tea it is.")]
    assert call.appended(delegation) == call.appended()
    decision = made[0]
    assert decision.delegation_id == delegation
    assert [type(answer) for answer in decision.answers] == [LiveChoiceAnswer, LivePredicateAnswer, LiveScoreAnswer]
    drink = decision["drink"]
    assert isinstance(drink, LiveChoiceAnswer)
    assert drink.choice == "tea"
    assert decision.model == "m"
    assert decision.usage is not None
    assert decision.usage.total_tokens
    with pytest.raises(KeyError, match="no question has the name 'food'"):
        decision["food"]
    call.until(lambda: "Tea it is." in call.spoken())


def test_the_service_is_told_the_questions(talk: Begin) -> None:
    call = talk(delegate=DecisionsBackend("m", QUESTIONS))
    assert call.twin.received[0]["session"]["delegation"] == {
        "type": "decisions",
        "decisions": {
            "model": "m",
            "questions": [
                {
                    "type": "choice",
                    "name": "drink",
                    "instructions": "What is ordered?",
                    "choices": [{"value": "coffee"}, {"value": "tea"}],
                },
                {"type": "predicate", "name": "urgent", "instructions": "Is it to be quick?"},
                {
                    "type": "score",
                    "name": "mood",
                    "instructions": "How are they?",
                    "levels": [{"label": "calm"}, {"label": "angry"}],
                },
            ],
        },
    }


def test_a_triggers_answers_go_to_on_decision_and_belong_to_no_delegation(talk: Begin) -> None:
    made: list[MadeDecision] = []

    def act(decision: MadeDecision) -> None:
        made.append(decision)
        decision.note("They want tea.")

    trigger = LiveTrigger(
        event_type="session.input_transcript.delta", decisions=LiveDecisionsSettings(questions=QUESTIONS[:1])
    )
    call = talk(options=LiveSessionOptions(triggers=[trigger]), delegate=DecisionsBackend("m", QUESTIONS, act))
    call.twin.hear("Tea.")
    call.silence(3.0)
    assert call.wait_for_appends(1) == [("thinking", "They want tea.")]
    assert (made[0].delegation_id, len(made[0].answers)) == (None, 1)
    assert made[0].trigger_id
    assert made[0].source_event_id
    assert call.twin.wait_for_message("session.thinking.append")["delegation_id"] is None


def test_decide_asks_now_and_on_decision_does_not_get_its_answers(talk: Begin) -> None:
    made: list[MadeDecision] = []
    call = talk(delegate=DecisionsBackend("m", QUESTIONS, made.append))
    call.twin.hear("Coffee, please.")
    call.silence(3.0)
    first, second = call.session.decide(), call.session.decide(timeout=10)
    drink = first["drink"]
    assert isinstance(drink, LiveChoiceAnswer)
    assert drink.choice == "coffee"
    assert (second.delegation_id, second.trigger_id) == (None, None)
    names = [message["event_id"] for message in call.twin.received if message["type"] == "decision.create"]
    assert len(set(names)) == 2
    call.asks("And a tea.")
    until(lambda: made, 10.0)
    assert len(made) == 1


def test_decide_knows_its_answer_though_the_service_does_not_tell_its_name(talk: Begin) -> None:
    call = talk(delegate=DecisionsBackend("m", QUESTIONS))
    answers: list[MadeDecision] = []
    asking = threading.Thread(target=lambda: answers.append(call.session.decide(timeout=10)))
    decided = {"type": "decision.completed", "decision": {"model": "m", "answers": [], "usage": {}}}

    def answer(**about: Any) -> None:
        call.twin.emit({"type": "decision.event", "event": decided, **about})

    def take(message: object) -> None:
        answer(delegation_id="item_9")
        answer()

    call.twin.target.take = take  # type: ignore[method-assign]
    asking.start()
    asking.join(10)
    assert answers[0].delegation_id is None


def test_items_for_decisions_are_given_and_taken_back(talk: Begin) -> None:
    call = talk(delegate=DecisionsBackend("m", QUESTIONS))
    item = call.session.add_decision_item("The guest likes tea.").wait().item  # type: ignore[attr-defined]
    assert (item.role, item.content) == ("user", "The guest likes tea.")
    drink = call.session.decide()["drink"]
    assert isinstance(drink, LiveChoiceAnswer)
    assert drink.choice == "tea"
    deleted = call.session.delete_decision_item(item.id).wait()
    assert deleted.item_id == item.id  # type: ignore[attr-defined]


def test_questions_may_be_changed(talk: Begin) -> None:
    call = talk(delegate=DecisionsBackend("m", QUESTIONS))
    call.session.update_backend(LiveDecisionsSettings(questions=QUESTIONS[1:2])).wait()
    assert [answer.name for answer in call.session.decide().answers] == ["urgent"]


@pytest.mark.filterwarnings("ignore:.*the callback failing")
def test_what_on_decision_raises_is_said_as_not_done(talk: Begin) -> None:
    def failing(decision: MadeDecision) -> None:
        raise LookupError

    call = talk(delegate=DecisionsBackend("m", QUESTIONS, failing))
    call.asks("Tea.")
    assert call.wait_for_appends(1) == [("commentary", "The request could not be completed.")]


@pytest.mark.filterwarnings("ignore:.*failing_once")
def test_nothing_is_said_of_an_error_if_nobody_has_asked(talk: Begin) -> None:
    texts = ["Tea.", "Coffee."]

    def failing_once(decision: MadeDecision) -> str:
        if len(texts) == 2:
            texts.pop()
            raise LookupError
        return texts[0]

    trigger = LiveTrigger(
        event_type="session.input_transcript.delta", decisions=LiveDecisionsSettings(questions=QUESTIONS[:1])
    )
    options = LiveSessionOptions(triggers=[trigger])
    call = talk(options=options, delegate=DecisionsBackend("m", QUESTIONS, failing_once))
    call.twin.hear("Tea. Coffee.")
    call.silence(3.0)
    assert call.wait_for_appends(1) == [("commentary", "Tea.")]


def test_without_on_decision_decisions_are_updates(talk: Begin) -> None:
    call = talk(delegate=DecisionsBackend("m", QUESTIONS))
    delegation = call.asks("Tea.")
    update = call.session.wait_for(LiveDecisionEventUpdate, 10)
    assert update.delegation_id == delegation


def test_what_are_no_questions_is_refused() -> None:
    for wrong in ([], ["Is it so?"], [None]):
        with pytest.raises(ConfigurationError, match="questions are a list of"):
            DecisionsBackend("m", wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="must be a list"):
        DecisionsBackend("m", QUESTIONS[0])  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="function of one argument"):
        DecisionsBackend("m", QUESTIONS, lambda: None)  # type: ignore[arg-type, misc]
    with pytest.raises(ConfigurationError, match="name of a model"):
        DecisionsBackend("", QUESTIONS)


def test_a_decision_is_handed_over_once_though_it_is_told_again(talk: Begin) -> None:
    made: list[MadeDecision] = []
    call = talk(LiveFaults(), delegate=DecisionsBackend("m", QUESTIONS, made.append))
    call.asks("Tea.")
    told = [event for event in list(call.twin.sent) if event["type"] == "decision.event"]
    call.twin.emit(told[0])
    call.asks("Coffee.")
    until(lambda: len(made) == 2, 10.0)
    assert made[0].delegation_id != made[1].delegation_id
