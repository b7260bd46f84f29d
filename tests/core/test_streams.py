"""Streams by themselves: who takes which update, what the bound does, and what an interrupted wait leaves behind."""

from __future__ import annotations

import logging
import threading
from typing import Any, Callable

import pytest

from realtime_sync import (
    ConsumerTooSlowError,
    ConversationUpdate,
    ConversationUpdateKind,
    LiveSessionClosedUpdate,
    LiveUpdateKind,
)
from realtime_sync.core.derived_streams import DerivedStream
from realtime_sync.core.streams import End, UpdateQueue, condition
from realtime_sync.core.update_streams import UpdateStream
from realtime_sync.errors import ConnectionClosedError, WaitTimeoutError
from realtime_sync.protocol.live.codec import live_decode
from tests.core.harness import Running, threads_waiting_in, until

DONE = ConversationUpdate.from_json('{"type": "response.done", "response": {"id": "r"}}')
LOST = End(ConnectionClosedError("lost"), clean=False)
CLOSED = End(ConnectionClosedError("closed"), clean=True)


def made(limit: int = 2**30, **options: Any) -> UpdateQueue:
    return UpdateQueue(limit=limit, check=lambda: None, forget=lambda: None, **options)


def numbered(number: int, size: int = 0) -> ConversationUpdate:
    return ConversationUpdate(event_id=str(number), type="x", raw_content="x" * size)


def taken(stream: UpdateQueue) -> list[int]:
    return [int(update.event_id or "") for update in stream]


def waiting(stream: UpdateQueue, call: Callable[[], Any], threads: int = 1) -> Running:
    running = Running(call)
    until(lambda: len(threads_waiting_in(stream)) == threads)
    return running


def test_what_one_thread_waits_past_another_one_receives_at_once() -> None:
    stream = made()
    first = waiting(stream, lambda: stream.wait_for("response.done"))
    second = waiting(stream, stream.receive, 2)
    stream.deliver(numbered(1))
    assert second.result(2).event_id == "1"
    assert first.alive
    stream.deliver(DONE)
    assert first.result(2) is DONE


def test_each_of_many_waiters_finds_its_own() -> None:
    stream = made()
    waiters = [
        waiting(
            stream, lambda number=number: stream.wait_for(lambda update: update.event_id == str(number)), number + 1
        )  # type: ignore[misc]
        for number in range(5)
    ]
    for number in reversed(range(5)):
        stream.deliver(numbered(number))
    assert [waiter.result(5).event_id for waiter in waiters] == ["0", "1", "2", "3", "4"]
    assert stream.waiting_bytes == 0


def test_waiters_and_takers_at_once_leave_nothing_and_take_nothing_twice() -> None:
    stream, count = made(), 3000
    takers = [Running(lambda: taken(stream)) for _ in range(2)]
    waiters = [
        Running(lambda rest=rest: taken_by_waiting(stream, rest))  # type: ignore[misc]
        for rest in (0, 1)
    ]
    for number in range(count):
        stream.deliver(numbered(number))
    stream.end(CLOSED)
    parts = [each.result(20) for each in (*takers, *waiters)]
    assert sorted(number for part in parts for number in part) == list(range(count))
    assert all(part == sorted(part) for part in parts)


def taken_by_waiting(stream: UpdateQueue, rest: int) -> list[int]:
    found: list[int] = []
    while True:
        try:
            update = stream.wait_for(lambda update: int(update.event_id or "") % 7 == rest)
        except ConnectionClosedError:
            return found
        found.append(int(update.event_id or ""))


def test_waiting_past_many_updates_looks_at_each_once_however_they_come() -> None:
    stream, looked = made(), 0

    def wanted(update: ConversationUpdate) -> bool:
        nonlocal looked
        looked += 1
        return update is DONE

    for number in range(1_000):
        stream.deliver(numbered(number))
    waiter = waiting(stream, lambda: stream.wait_for(wanted, 30), 1)
    for number in range(1_000):
        stream.deliver(numbered(number))
    stream.deliver(DONE)
    assert waiter.result(30) is DONE
    assert looked == 2_001


def test_the_end_releases_all_and_stays() -> None:
    stream = made()
    waiters = [waiting(stream, lambda: list(stream), number + 1) for number in range(4)]
    stream.end(LOST)
    assert all(isinstance(waiter.join(5), ConnectionClosedError) for waiter in waiters)
    with pytest.raises(ConnectionClosedError, match="lost"):
        stream.receive(0)


def test_what_has_come_before_the_end_is_taken_first() -> None:
    stream = made()
    for number in range(250):
        stream.deliver(numbered(number))
    stream.end(CLOSED)
    assert taken(stream) == list(range(250))


def test_a_wait_that_is_out_of_time_beside_another_one_says_so() -> None:
    stream = made()
    first = waiting(stream, lambda: stream.wait_for("response.done"))
    for timeout in (0, 0.05):
        with pytest.raises(WaitTimeoutError):
            stream.receive(timeout)
    stream.deliver(DONE)
    first.result(5)


def test_until_it_is_asked_for_the_newest_are_kept_and_then_all(caplog: pytest.LogCaptureFixture) -> None:
    stream = made(limit=100_000, unread_limit=10_000)
    for number in range(100):
        stream.deliver(numbered(number, 200))
    assert stream.waiting_bytes <= 10_000
    assert caplog.records == []
    assert stream.receive(0).event_id == "90"
    (told,) = caplog.records
    assert (told.levelno, told.args) == (logging.WARNING, (90, 10_000))
    for number in range(100, 191):
        stream.deliver(numbered(number, 200))
    with pytest.raises(ConsumerTooSlowError, match="100000 bytes"):
        stream.deliver(numbered(191, 200))
    assert stream.receive(0).event_id == "91"


def test_what_an_interrupted_condition_has_not_decided_stays() -> None:
    stream = made()
    for number in range(3):
        stream.deliver(numbered(number))

    def interrupted(update: ConversationUpdate) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream.wait_for(interrupted)
    stream.end(CLOSED)
    assert Running(lambda: taken(stream)).result(5) == [0, 1, 2]


class Pairs:
    """Makes pairs of ids."""

    def __init__(self) -> None:
        self._first: list[str] = []

    def apply(self, update: ConversationUpdate) -> list[tuple[str, ...]]:
        self._first.append(update.event_id or "")
        return self.rest() if len(self._first) == 2 else []

    def rest(self) -> list[tuple[str, ...]]:
        made, self._first = [tuple(self._first)] if self._first else [], []
        return made


def test_a_derived_stream_gives_what_is_left_before_it_raises() -> None:
    updates = made()
    stream = DerivedStream(UpdateStream(updates, lambda: "a session"), Pairs())
    for number in range(3):
        updates.deliver(numbered(number))
    updates.end(LOST)
    assert [next(stream), next(stream)] == [("0", "1"), ("2",)]
    for _ in range(2):
        with pytest.raises(ConnectionClosedError, match="lost"):
            next(stream)


def test_threads_share_a_derived_stream() -> None:
    updates = made()
    stream = DerivedStream(UpdateStream(updates, lambda: "a session"), Pairs())
    takers = [Running(lambda: list(stream)) for _ in range(3)]
    for number in range(1000):
        updates.deliver(numbered(number))
    updates.end(CLOSED)
    pairs = sorted(int(first) for taker in takers for first, _ in taker.result(10))
    assert pairs == list(range(0, 1000, 2))


def test_a_derived_stream_that_is_closed_releases_all_who_wait() -> None:
    updates = made()
    stream = DerivedStream(UpdateStream(updates, lambda: "a session"), Pairs(), timeout=20)
    ended = threading.Barrier(4)
    takers = [Running(lambda: (list(stream), ended.wait(10))[0]) for _ in range(3)]
    until(lambda: threads_waiting_in(updates))
    stream.close()
    ended.wait(10)
    assert [taker.result() for taker in takers] == [[], [], []]


# What one waits for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [LiveUpdateKind.SESSION_CLOSED, "session.closed", LiveSessionClosedUpdate])
def test_an_update_of_a_live_session_is_waited_for_by_kind_type_or_class(wanted: Any) -> None:
    is_it = condition(wanted)
    assert is_it(live_decode('{"type": "session.closed", "reason": "expired", "session": {}, "usage": {}}'))
    assert not is_it(live_decode('{"type": "session.started", "session": {}}'))


def test_what_has_no_class_is_waited_for_by_the_unknown_kind_of_either_protocol() -> None:
    news = live_decode('{"type": "session.news"}')
    assert condition(LiveUpdateKind.UNKNOWN)(news)
    assert condition(ConversationUpdateKind.UNKNOWN)(news)


@pytest.mark.parametrize(
    ("slip", "meant"), [("session.strated", "session.started"), ("response.dnoe", "response.done")]
)
def test_a_mistyped_type_of_either_protocol_is_answered_by_the_one_that_is_meant(slip: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"'{slip}' is no update that this version knows: is '{meant}' meant?"):
        condition(slip)
    condition(meant)
