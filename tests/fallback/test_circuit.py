"""The three parts that decide which service is tried: circuit, failure detector, order."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

import realtime_sync.errors as errors
from realtime_sync import ConfigurationError, FallbackSettings
from realtime_sync.fallback.circuit import Circuit
from realtime_sync.fallback.detector import FailureDetector
from realtime_sync.fallback.order import in_order
from realtime_sync.fallback.verdict import Verdict, verdict
from tests.fallback.harness import Clock

SETTINGS = FallbackSettings(failures=2, within=60, grace=30, max_grace=100)


def opened(clock: Clock, settings: FallbackSettings = SETTINGS) -> Circuit:
    circuit = Circuit(settings, clock)
    circuit.failed(down=True)
    return circuit


# The failure detector ------------------------------------------------------------------------------------------------


def test_so_many_failures_in_a_row_within_the_time_are_a_service_that_is_down() -> None:
    detector = FailureDetector(3, 60)
    assert [detector.failed(at) for at in (0, 30, 60)] == [False, False, True]


def test_failures_that_are_spread_out_are_none() -> None:
    detector = FailureDetector(3, 60)
    assert not any(detector.failed(at) for at in (0, 31, 62, 93, 124))


def test_a_success_begins_anew() -> None:
    detector = FailureDetector(2, 60)
    detector.failed(0)
    detector.clear()
    assert [detector.failed(1), detector.failed(2)] == [False, True]


# The circuit ---------------------------------------------------------------------------------------------------------


def test_a_service_is_left_alone_after_so_many_failures_and_tried_by_one_after_the_grace() -> None:
    clock = Clock()
    circuit = Circuit(SETTINGS, clock)
    circuit.failed()
    circuit.succeeded()
    circuit.failed()
    assert circuit.state == "closed"
    assert circuit.admits()
    circuit.failed()
    assert circuit.state == "open"
    clock.now += 29.9
    assert not circuit.admits()
    clock.now += 0.1
    assert circuit.state == "half-open"
    assert [circuit.admits(), circuit.admits()] == [True, False]
    circuit.succeeded()
    assert circuit.state == "closed"
    assert [circuit.admits(), circuit.admits()] == [True, True]


def test_a_trial_that_fails_doubles_the_grace_up_to_the_most() -> None:
    clock = Clock()
    circuit = opened(clock)
    for grace in (30, 60, 100, 100):
        clock.now += grace - 0.1
        assert circuit.state == "open"
        clock.now += 0.1
        assert circuit.admits()
        circuit.failed()
    clock.now += 100
    assert circuit.admits()
    circuit.succeeded()
    circuit.failed(down=True)
    clock.now += 30
    assert circuit.state == "half-open"  # and begins anew after a success


def test_a_service_is_left_alone_for_as_long_as_it_asks_but_not_longer_than_the_most() -> None:
    clock = Clock()
    circuit = Circuit(SETTINGS, clock)
    circuit.failed(wait=2)
    clock.now += 1.9
    assert circuit.state == "open"
    clock.now += 0.1
    assert circuit.admits()
    circuit.failed(wait=10_000)
    clock.now += 100
    assert circuit.state == "half-open"
    circuit.failed()
    clock.now += 30  # it was not doubled by what the service asked for
    assert circuit.state == "half-open"


def test_a_trial_of_which_nothing_is_heard_holds_others_up_for_a_grace_at_most() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 30
    assert circuit.admits()  # and Ctrl-C comes
    clock.now += 29.9
    assert not circuit.admits()
    clock.now += 0.1
    assert circuit.admits()


def test_failures_while_it_is_open_change_nothing_and_a_success_closes_it() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 20
    circuit.failed()
    circuit.failed(wait=90)
    clock.now += 10
    assert circuit.state == "half-open"
    circuit = opened(clock)
    circuit.succeeded()
    assert circuit.state == "closed"
    circuit.failed()
    assert circuit.state == "closed"  # the failures before it are forgotten


def test_of_many_threads_one_is_let_through() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 30
    together, admitted = threading.Barrier(8), []

    def ask() -> None:
        together.wait(5)
        admitted.append(circuit.admits())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(admitted) == [False] * 7 + [True]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fails"), st.just(0.0)),
        st.tuples(st.just("passes"), st.floats(0, 200)),
        st.tuples(st.just("asks"), st.just(0.0)),
        st.tuples(st.just("succeeds"), st.just(0.0)),
        st.tuples(st.just("fails"), st.just(0.0)),
        st.tuples(st.just("is down"), st.just(0.0)),
        st.tuples(st.just("waits"), st.floats(1, 1000)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 4))
def test_whatever_happens_a_circuit_keeps_its_promises(steps: list[tuple[str, float]], failures: int) -> None:
    clock = Clock()
    settings = FallbackSettings(failures=failures, within=60, grace=30, max_grace=100)
    circuit = Circuit(settings, clock)
    in_a_row: list[float] = []  # times of failures since the last success
    trial: float | None = None  # when somebody was let through
    for step, seconds in steps:
        before = circuit.state
        if step == "passes":
            clock.now += seconds
            assert before == "closed" or seconds < 100 or circuit.state == "half-open"  # never longer than the most
            assert (circuit.state == "closed") == (before == "closed")  # time alone closes nothing
        elif step == "asks":
            free = before == "half-open" and (trial is None or clock.now >= trial + settings.grace)
            assert circuit.admits() == (before == "closed" or free)
            trial = clock.now if free else trial
        elif step == "succeeds":
            circuit.succeeded()
            in_a_row, trial = [], None
            assert circuit.state == "closed"
            assert circuit.admits()
        else:
            circuit.failed(down=step == "is down", wait=seconds if step == "waits" else None)
            if before == "open":
                assert circuit.state == "open"
                continue
            in_a_row.append(clock.now)
            recent = len(in_a_row) >= failures and clock.now - in_a_row[-failures] <= settings.within
            opens = before == "half-open" or step != "fails" or recent
            assert circuit.state == ("open" if opens else "closed")
            if opens:
                in_a_row, trial = [], None


# The order -----------------------------------------------------------------------------------------------------------


def test_services_are_tried_in_their_order_and_those_left_alone_at_last() -> None:
    clock = Clock()
    circuits = [Circuit(SETTINGS, clock) for _ in range(3)]
    assert list(in_order(circuits)) == [0, 1, 2]
    circuits[0].failed(down=True)
    assert list(in_order(circuits)) == [1, 2, 0]
    circuits[1].failed(down=True)
    assert list(in_order(circuits)) == [2, 0, 1]
    clock.now += 30
    order = in_order(circuits)
    assert next(order) == 0  # it is tried again, and is the first again once that succeeds
    circuits[0].succeeded()
    assert circuits[1].admits(), "nobody was let through in vain"
    order.close()
    assert list(in_order(circuits)) == [0, 2, 1]
    assert list(in_order(circuits, last=0)) == [2, 0, 1]
    assert list(in_order(circuits, last=0, without=[2])) == [0, 1]


# The verdicts --------------------------------------------------------------------------------------------------------

CLOSED = errors.CloseInfo(4000, "", "remote")
VERDICTS: list[tuple[BaseException, Verdict]] = [
    (errors.InvalidInputError("no"), Verdict.STAY),
    (errors.ConfigurationError("no"), Verdict.STAY),
    (errors.ServerError("no"), Verdict.STAY),
    (errors.ConnectCancelledError("no"), Verdict.STAY),
    (errors.NoMoreThreadsError("no"), Verdict.STAY),
    (errors.BudgetExceededError("no", spent=1, usd=1), Verdict.STAY),
    (errors.ConsumerTooSlowError("no"), Verdict.STAY),
    (errors.SessionNotOpenError("no"), Verdict.STAY),
    (KeyboardInterrupt(), Verdict.STAY),
    (errors.UnsupportedByDialectError("no"), Verdict.MOVE),
    (errors.HandshakeError("no", status=400), Verdict.MOVE),
    (errors.AuthenticationError("no", status=401), Verdict.OPEN),
    (errors.AuthenticationError("no", status=403), Verdict.OPEN),
    (errors.AuthenticationError("no", code="invalid_api_key", close_info=CLOSED), Verdict.OPEN),
    (errors.AuthenticationError("no token could be had"), Verdict.COUNT),
    (errors.NotFoundError("no", status=404), Verdict.OPEN),
    (errors.RateLimitedError("no", status=429), Verdict.COUNT),
    (errors.RateLimitedError("no", status=429, retry_after=3), Verdict.OPEN),
    (errors.RateLimitedError("no", status=429, code="insufficient_quota"), Verdict.OPEN),
    (errors.ServiceUnavailableError("no", status=503), Verdict.COUNT),
    (errors.ServiceUnavailableError("no", status=503, retry_after=3), Verdict.OPEN),
    (errors.HandshakeError("no", status=408), Verdict.COUNT),
    (errors.HandshakeError("no", code="something_new", close_info=CLOSED), Verdict.COUNT),
    (errors.TLSError("no"), Verdict.OPEN),
    (errors.ConnectionFailedError("no address, or refused"), Verdict.COUNT),
    (errors.ConnectTimeoutError("no"), Verdict.COUNT),
    (errors.ProxyError("no"), Verdict.COUNT),
    (errors.WaitTimeoutError("no"), Verdict.COUNT),
    (errors.ConnectionLostError("no"), Verdict.COUNT),
    (errors.ConnectionClosedError("no", close_info=errors.CloseInfo(1008, "", "remote")), Verdict.COUNT),
]


@pytest.mark.parametrize(("error", "expected"), VERDICTS, ids=lambda each: repr(each)[:60])
def test_what_an_error_says_of_a_service(error: BaseException, expected: Verdict) -> None:
    assert verdict(error) is expected


@pytest.mark.parametrize(
    "given", [{"failures": 0}, {"failures": 1.5}, {"within": 0}, {"grace": -1}, {"grace": 60, "max_grace": 30}], ids=str
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=f"FallbackSettings.{list(given)[-1]}"):
        FallbackSettings(**given)  # type: ignore[arg-type]
