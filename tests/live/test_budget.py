"""A live session's budget: it ends the session also if the service reports nothing, and its watch ends with it."""

from __future__ import annotations

import time
from typing import Any

import attrs
import pytest

from realtime_sync import (
    PRICES,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    LiveSessionClosedUpdate,
    ModelPrices,
    Reconnect,
    SessionReconnectedUpdate,
)
from realtime_sync.budget import BUDGET_PASSED
from realtime_sync.server import LiveFaults, LiveRules
from tests.live.harness import CALM, LiveHouse, client_threads, until, within

pytestmark = pytest.mark.medium

SECOND = 0.05 / 60  # US dollars, by list price
SILENT = LiveRules(usage_seconds=0)  # tells no usage until the end


def test_a_session_of_which_nothing_is_told_ends_at_its_budget(patient: LiveHouse) -> None:
    patient.serve(live=SILENT)
    budget = Budget(1.5 * SECOND)
    session = patient.start(budget=budget)
    assert session.budget is budget
    stream = session.subscribe()
    with (
        within(5),
        pytest.raises(BudgetExceededError, match=r"it may have cost \$0.00.* its budget is \$0.0013") as told,
    ):
        list(session.updates())
    stream.wait_for(LiveSessionClosedUpdate, 0)  # in an orderly way
    assert told.value.usd == budget.usd
    assert patient.twin.ended_by == "close_requested"
    until(lambda: session.closed)
    assert budget.spent == pytest.approx(session.seconds * SECOND)  # the last word counts, not what was guessed


def test_a_session_that_does_not_answer_the_close_is_cut_off_with_the_budgets_code(house: LiveHouse) -> None:
    house.serve(live=attrs.evolve(SILENT, faults=LiveFaults(no_closed=True)))
    session = house.start(budget=1.0 * SECOND, client={"timeouts": attrs.evolve(CALM, live_close=0.3)})
    with pytest.raises(BudgetExceededError):
        list(session.updates())
    assert house.twin.wait_until_closed() == BUDGET_PASSED
    assert session.close_info is not None
    assert session.close_info.reason.startswith("unconfirmed")
    assert session.budget is not None
    assert session.budget.spent > SECOND


def test_a_session_from_which_nothing_comes_at_all_ends_at_its_budget(plain: LiveHouse) -> None:
    plain.serve(live=SILENT)
    session = plain.start(budget=1.2 * SECOND)
    plain.twin.stall(60_000)
    with within(5), pytest.raises(BudgetExceededError):
        session.wait_for("never")


def test_what_is_waited_for_gets_the_budgets_error(plain: LiveHouse) -> None:
    plain.serve(live=SILENT)
    session = plain.start(budget=0.8 * SECOND)
    with pytest.raises(BudgetExceededError):
        session.wait_for("never", 10)
    with pytest.raises(BudgetExceededError):
        session.append_commentary("Hello.")


def test_a_report_of_less_than_was_feared_lets_the_session_go_on(plain: LiveHouse) -> None:
    plain.serve(live=SILENT)  # once it had reported a second itself, what it has cost would not become less
    session = plain.start(keep_clock=False, budget=60 * SECOND)
    with session.audio_writer() as writer:
        writer.write(bytes(4800))
    until(lambda: session.budget.spent > 0.4 * SECOND)  # type: ignore[union-attr]

    def reported_anew() -> bool:
        """It grows from each report on, and a machine that is busy may look half a second later."""
        plain.twin.emit({"type": "session.usage.updated", "usage": {"seconds": 0}})
        return session.budget.spent < 0.4 * SECOND  # type: ignore[union-attr]

    until(reported_anew)


def test_no_audio_no_cost_and_no_thread_is_left(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False, budget=0.001 * SECOND)
    until(lambda: [name for name in client_threads() if name.endswith("budget-watch")])
    with pytest.raises(Exception, match="within"):
        session.wait_for("never", 0.3)
    session.close()
    until(lambda: client_threads() == [])


def test_the_time_without_a_connection_is_not_counted(plain: LiveHouse) -> None:
    plain.serve(live=SILENT)
    quickly = Reconnect(base_delay=0.05, max_delay=0.1, renew_before=None)
    budget = Budget(2.5 * SECOND)
    session = plain.start(budget=budget, reconnect=quickly)
    until(lambda: plain.twin.timeline_ms > 500)
    plain.twin.drop()
    session.wait_for(SessionReconnectedUpdate, 10)
    began, left = time.monotonic(), (budget.usd - budget.spent) / SECOND
    with pytest.raises(BudgetExceededError):
        list(session.updates())
    assert time.monotonic() - began > left - 0.1


def test_a_backend_with_a_price_counts_and_one_without_is_told(plain: LiveHouse) -> None:
    prices = PRICES.with_model("priced", ModelPrices(text_in=1, text_out=10))
    budget = Budget(100, prices)
    session = plain.start(keep_clock=False, budget=budget)

    def respond(name: str, model: str, usage: Any) -> None:
        response = {"id": name, "model": model, "usage": usage}
        event = {"type": "response.completed", "response": response}
        plain.twin.emit({"type": "response.event", "delegation_id": "item_1", "event": event})

    respond("a", "priced", {"input_tokens": 1_000_000, "output_tokens": 100_000})
    until(lambda: budget.spent == pytest.approx(2))
    respond("b", "priced", None)
    respond("c", "unknown", {"input_tokens": 1, "output_tokens": 1})
    until(lambda: budget.unpriced == 2)
    respond("d", "priced", {"input_tokens": 200_000_000, "output_tokens": 0})
    with pytest.raises(BudgetExceededError):
        list(session.updates())


def test_a_model_without_a_price_by_the_minute_is_refused(plain: LiveHouse) -> None:
    with pytest.raises(ConfigurationError, match="'mine', which is billed by time, has no price by the minute"):
        plain.start(model="mine", budget=1)
    prices = PRICES.with_model("mine", ModelPrices(minute=0.06))
    assert plain.start(model="mine", budget=Budget(1, prices)).budget.spent == 0  # type: ignore[union-attr]
