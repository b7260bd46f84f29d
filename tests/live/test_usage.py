"""What a live session has used: what counts, once, over all connections, and what it costs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from realtime_sync import PRICES, LiveSessionClosedUpdate, ModelPrices
from realtime_sync.core.streams import End
from realtime_sync.errors import ConnectionClosedError
from realtime_sync.live.clock import LiveClock
from realtime_sync.live.usage import LiveMeter
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.live.codec import live_decode
from realtime_sync.server import LiveFaults, LiveRules
from tests.live.harness import CALM, LiveHouse, until, within

pytestmark = pytest.mark.medium

MILLION = 1_000_000
LOST = ConnectionClosedError("it was lost")


class Moments:
    """A meter, and the time by which it counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("realtime_sync.live.usage.time", SimpleNamespace(monotonic=lambda: self.now))
        self.clock = LiveClock()
        engine: Any = SimpleNamespace(clock=self.clock)
        self.meter = LiveMeter(engine)

    def told(self, kind: str, **fields: Any) -> None:
        self.meter.deliver(live_decode(json.dumps({"type": kind, "event_id": "e", **fields})))

    def report(self, seconds: float) -> None:
        self.told("session.usage.updated", usage={"seconds": seconds}, context_window={"usage_ratio": 0.25})

    def close(self, seconds: float) -> None:
        self.told("session.closed", reason="expired", session={"id": "live_1"}, usage={"seconds": seconds})

    def respond(self, name: str, usage: Any, model: str = "backend", kind: str = "response.completed") -> None:
        response = {"id": name, "model": model, "usage": usage}
        self.told("response.event", delegation_id="item_1", event={"type": kind, "response": response})


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> Moments:
    return Moments(monkeypatch)


def tokens(read: int, cached: int, said: int) -> dict[str, Any]:
    return {"input_tokens": read, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": said}


def test_nothing_is_used_before_the_first_audio_and_then_wall_time_is_the_most(moments: Moments) -> None:
    moments.now += 50
    assert moments.meter.at_most() == 0
    moments.clock.sent(0.1, moments.now)
    moments.now += 7
    assert moments.meter.at_most() == 7
    assert moments.meter.usage.seconds == 0


def test_a_report_replaces_what_was_guessed(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.now += 15
    moments.report(4)
    assert (moments.meter.at_most(), moments.meter.usage.seconds, moments.meter.usage.context_used) == (4, 4, 0.25)
    moments.now += 3
    assert moments.meter.at_most() == 7


def test_the_last_word_is_final(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.close(9)
    moments.now += 100
    moments.meter.end(End(LOST, clean=True))
    assert moments.meter.at_most() == 9
    assert moments.meter.usage.final


def test_without_a_last_word_the_most_stays_what_it_was_at_the_end(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.report(4)
    moments.now += 6
    moments.meter.end(End(LOST, clean=False))
    moments.now += 100
    assert moments.meter.at_most() == 10
    assert not moments.meter.usage.final


def test_the_sessions_of_all_connections_add_up_and_the_time_between_them_is_none(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.report(4)
    moments.now += 6
    moments.meter.deliver(SessionDisconnectedUpdate(reason=LOST))
    moments.now += 1000
    moments.clock.restart()
    moments.meter.deliver(SessionReconnectedUpdate(reason=LOST))
    assert (moments.meter.usage.seconds, moments.meter.at_most()) == (4, 10)
    moments.now += 1000
    moments.clock.sent(0.1, moments.now)
    moments.now += 2
    assert moments.meter.at_most() == 12
    moments.report(3)
    assert (moments.meter.usage.seconds, moments.meter.at_most()) == (7, 13)
    moments.close(5)
    assert (moments.meter.usage.seconds, moments.meter.at_most()) == (9, 15)
    assert not moments.meter.usage.final  # of the first one the last count was never told


def test_a_session_that_was_renewed_has_a_final_count(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.close(4)
    moments.now += 2
    moments.clock.restart()
    moments.meter.deliver(SessionReconnectedUpdate(reason=LOST))
    assert not moments.meter.usage.final
    moments.clock.sent(0.1, moments.now)
    moments.close(3)
    assert (moments.meter.usage.seconds, moments.meter.at_most()) == (7, 7)
    assert moments.meter.usage.final


def test_a_session_that_was_renewed_without_any_report_counts_to_its_end(moments: Moments) -> None:
    moments.clock.sent(0.1, moments.now)
    moments.now += 6
    moments.clock.restart()
    moments.meter.deliver(SessionReconnectedUpdate(reason=LOST))
    assert moments.meter.at_most() == 6
    moments.now += 1000
    moments.clock.sent(0.1, moments.now)
    moments.now += 2
    assert moments.meter.at_most() == 8
    moments.close(2)
    assert (moments.meter.usage.seconds, moments.meter.at_most()) == (2, 8)
    assert not moments.meter.usage.final


def test_a_backends_tokens_are_counted_once_for_each_answer(moments: Moments) -> None:
    for _ in range(2):
        moments.respond("a", tokens(MILLION, MILLION // 2, MILLION))
    moments.respond("b", tokens(MILLION, 0, 0), kind="response.incomplete")
    moments.respond("c", tokens(MILLION, 0, 0), kind="response.created")
    moments.respond("d", tokens(1, 0, 0), model="another")
    totals = moments.meter.usage.backend["backend"]
    assert (totals.responses, totals.input_tokens, totals.cached_tokens, totals.output_tokens) == (
        2,
        2 * MILLION,
        MILLION // 2,
        MILLION,
    )
    assert moments.meter.usage.backend["another"].input_tokens == 1


def test_a_decisions_tokens_are_counted_too(moments: Moments) -> None:
    usage = {"input_tokens": 30, "output_tokens": 2, "total_tokens": 32}
    decision = {"answers": [], "model": "decides", "usage": usage}
    moments.told("decision.event", event={"type": "decision.completed", "decision": decision})
    assert moments.meter.usage.backend["decides"].total_tokens == 32


def test_odd_numbers_are_no_tokens(moments: Moments) -> None:
    for number, usage in enumerate([{"input_tokens": -5, "output_tokens": "many"}, [], "", {}]):
        moments.respond(str(number), usage)
    assert moments.meter.usage.backend["backend"].total_tokens == 0
    moments.respond("none", None)
    assert moments.meter.usage.backend["backend"].silent_responses == 1


def test_the_cost_is_told_only_if_all_of_it_has_a_price(moments: Moments) -> None:
    moments.told("session.started", session={"id": "live_1", "model": "gpt-live-1.1"})
    moments.report(120)
    assert moments.meter.usage.cost() == pytest.approx(0.10)
    moments.respond("a", tokens(MILLION, MILLION // 2, MILLION))
    assert moments.meter.usage.cost() is None
    prices = PRICES.with_model("backend", ModelPrices(text_in=2, text_cached=1, text_out=8))
    assert moments.meter.usage.cost(prices) == pytest.approx(0.10 + 1 + 0.5 + 8)
    moments.respond("b", None)
    assert moments.meter.usage.cost(prices) is None


def test_a_model_without_a_price_by_the_minute_costs_what_nobody_knows(moments: Moments) -> None:
    moments.told("session.started", session={"id": "live_1", "model": "gpt-realtime-2.1"})
    assert moments.meter.usage.cost() is None


# With a server -------------------------------------------------------------------------------------------------------


def test_a_session_tells_what_it_has_used(house: LiveHouse) -> None:
    house.serve(live=LiveRules(usage_seconds=1.4))
    session = house.start()
    assert (session.seconds, session.context_used, session.cost) == (0.0, None, 0.0)
    until(lambda: session.seconds >= 1)
    told = [update for update in house.twin.sent if update["type"] == "session.usage.updated"][-1]
    assert (session.seconds, session.context_used) == (told["usage"]["seconds"], told["context_window"]["usage_ratio"])
    assert session.cost == pytest.approx(session.seconds * 0.05 / 60)
    assert not session.usage.final


def test_the_final_usage_is_kept_after_the_close(house: LiveHouse) -> None:
    house.serve(live=LiveRules(usage_seconds=0))
    session = house.start()
    until(lambda: house.twin.timeline_ms > 1000)
    session.close()
    assert session.usage.final
    assert session.seconds == house.twin.sent[-1]["usage"]["seconds"] >= 1
    assert session.close_info is not None
    assert (session.close_info.reason, session.close_info.initiator) == ("close_requested", "local")
    assert isinstance(list(session.updates())[-1], LiveSessionClosedUpdate)


def test_a_last_word_that_never_comes_is_not_waited_for_longer_than_the_time_out(house: LiveHouse) -> None:
    house.serve(live=LiveRules(faults=LiveFaults(no_closed=True)))
    session = house.start(client={"timeouts": attrs.evolve(CALM, live_close=0.4)})
    with within(0.4 + CALM.close):
        session.close()
    assert session.closed
    assert session.close_info.reason.startswith("unconfirmed")
    assert not session.usage.final
    assert house.twin.wait_until_closed() == 1000
