"""A consumer that is slow or busy costs neither the session nor an update; the bound tells where it must end."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import (
    ConfigurationError,
    ConsumerTooSlowError,
    ConversationResponseOptions,
    QueueLimits,
    ResponseOutputTextDeltaUpdate,
    SessionCreatedUpdate,
)
from realtime_sync.server import Reply, Script, Turn, expect, faults
from tests.core.harness import House, delta, numbers, until, within
from tests.transport.peer import PING, PONG, TEXT, Link, frame

DELTAS = 5000
PING_INTERVAL = 0.05
PING_INTERVALS_SLEPT = 40


def paced_deltas(turn: Turn) -> Iterator[str]:
    """They go on for about as long as the consumer sleeps."""
    for number in range(DELTAS):
        if number % 100 == 0:
            turn.cancelled.wait(PING_INTERVAL * PING_INTERVALS_SLEPT / (DELTAS / 100))
        yield f"{number} "


@pytest.mark.parametrize("house", ["ws", pytest.param("wss", marks=pytest.mark.slow)], indirect=True)
def test_a_consumer_that_sleeps_in_its_loop_keeps_its_session_and_receives_all_in_order(house: House) -> None:
    house.serve(responder=paced_deltas, ping_interval=PING_INTERVAL, pong_timeout=1.5)
    session = house.open()
    session.add_item("Count!")
    session.start_response(ConversationResponseOptions(content_modalities=["text"]))
    taken: list[int] = []
    for update in session.updates():
        if isinstance(update, ResponseOutputTextDeltaUpdate):
            taken.append(int(update.delta))
            if len(taken) == 1:
                threading.Event().wait(PING_INTERVAL * PING_INTERVALS_SLEPT)
        if update.type == "response.done":
            break
    assert taken == list(range(DELTAS))
    assert house.live.close_code is None


def test_pings_are_answered_while_nobody_takes_an_update(house: House) -> None:
    answered = threading.Event()

    def script(link: Link) -> None:
        link.send(frame(TEXT, '{"type": "session.created", "session": {}}'))
        for number in range(30):
            link.send(frame(PING, str(number)))
            assert link.read_frame() == (PONG, str(number).encode())
        answered.set()
        link.read_to_end()

    session = house.raw(script)
    assert isinstance(next(session.updates()), SessionCreatedUpdate)
    assert answered.wait(5)


def test_pings_are_answered_while_a_callback_runs(plain: House) -> None:
    pinging, answered = threading.Event(), threading.Event()

    def script(link: Link) -> None:
        link.send(frame(TEXT, '{"type": "session.created", "session": {}}'))
        assert pinging.wait(5)
        link.send(frame(PING, "during"))
        assert link.read_frame() == (PONG, b"during")
        answered.set()
        link.read_to_end()

    session = plain.raw(script)

    def callback(update: Any) -> None:
        pinging.set()
        assert answered.wait(5)
        session.close()

    session.on("session.created", callback)
    session.run()


def test_past_the_bound_the_session_ends_and_what_was_queued_is_still_delivered(house: House) -> None:
    house.serve(responder=Script([expect("go")] + [delta(number, 1000) for number in range(500)]))
    session = house.open(limits=QueueLimits(queued=200_000))
    updates = session.updates()
    session.send_message({"type": "go"})
    until(lambda: session.closed)
    assert isinstance(next(updates), SessionCreatedUpdate)
    taken: list[Any] = []
    with pytest.raises(ConsumerTooSlowError, match="200000 bytes"):
        taken.extend(iter(updates.__next__, None))
    assert numbers(taken) == list(range(len(taken)))
    assert sum(len(update.raw_content) for update in taken) > 100_000
    assert len(taken) < 500
    with pytest.raises(ConsumerTooSlowError):
        session.add_item("too late")
    assert "lost" in str(session.close_info)


@pytest.mark.parametrize("limit", [0, -1, "64MB", None, 1.5, True])
@pytest.mark.parametrize("name", ["queued", "unread"])
def test_a_bound_that_is_no_number_of_bytes_is_refused(name: str, limit: Any) -> None:
    """Else it would be the reader who stumbles over it, and the session that ends."""
    with pytest.raises(ConfigurationError, match=name):
        QueueLimits(**{name: limit})


def test_a_subscription_that_nobody_reads_ends_the_session_as_well(plain: House) -> None:
    plain.serve(responder=Script([expect("go")] + [delta(number, 1000) for number in range(500)]))
    session = plain.open(limits=QueueLimits(queued=200_000, unread=50_000))
    stream = session.subscribe()
    session.send_message({"type": "go"})
    until(lambda: session.closed)
    with pytest.raises(ConsumerTooSlowError):
        list(stream)


def test_a_handle_learns_that_the_consumer_was_too_slow(plain: House) -> None:
    plain.serve(responder=Script([expect("response.create")] + [delta(number, 1000) for number in range(500)]))
    session = plain.open(limits=QueueLimits(queued=200_000))
    session.updates()
    with within(5), pytest.raises(ConsumerTooSlowError):
        session.start_response().wait()


def test_of_updates_that_nobody_asked_for_the_oldest_are_dropped(house: House) -> None:
    steps: list[Any] = [expect("response.create"), *(delta(number, 1000) for number in range(300))]
    steps += [{"type": "response.created", "response": {"id": "resp_1"}}]
    steps += [expect("more"), *(delta(number, 1000) for number in range(300, 500))]
    steps += [{"type": "response.done", "response": {"id": "resp_1"}}, faults.close(1000)]
    house.serve(responder=Script(steps))
    session = house.open(limits=QueueLimits(queued=2_000_000, unread=50_000))
    session.start_response().wait()
    assert 0 < session._engine.updates.waiting_bytes <= 50_000 + 2000
    updates = session.updates()
    session.send_message({"type": "more"})  # once asked for, nothing is dropped, beyond that bound, too
    until(lambda: session.closed)
    taken = numbers([update for update in updates if isinstance(update, ResponseOutputTextDeltaUpdate)])
    assert taken == list(range(taken[0], 500))
    assert 200 < taken[0] < 300


def test_a_message_above_the_bound_is_no_slowness_of_who_takes_each_at_once(house: House) -> None:
    house.serve(responder=Script([expect("go"), delta(0, 100_000), expect("go"), delta(1, 100_000)]))
    session = house.open(limits=QueueLimits(queued=50_000))
    assert next(session.updates()).type == "session.created"
    for number in range(2):
        session.send_message({"type": "go"})
        assert numbers([session.wait_for(ResponseOutputTextDeltaUpdate, timeout=20)]) == [number]


def test_turns_that_nobody_takes_keep_no_sound(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("Listen.", audio=bytes(48_000 * 20)))
    session = plain.open(limits=QueueLimits(queued=500_000))
    turns = session.turns()
    for _ in range(2):
        session.ask("Sing").audio
    taken = [next(turns), next(turns)]
    assert [turn.transcript for turn in taken] == ["Listen.", "Listen."]
    assert all(turn.timeline.first_audio for turn in taken)


def test_binary_frames_count_towards_the_bound(plain: House) -> None:
    plain.serve(responder=Script([faults.send(bytes(400_000)) for _ in range(20)]))
    session = plain.open(limits=QueueLimits(queued=2**20))
    session.updates()
    until(lambda: session.closed)  # nobody takes them
    with pytest.raises(ConsumerTooSlowError):
        list(session.updates())


def test_binary_frames_that_were_taken_are_held_by_nobody(plain: House) -> None:
    """Nor by what waits to be taken over into the conversation, which counts bytes of text."""
    plain.serve(responder=Script([faults.send(bytes(100_000)) for _ in range(20)]))
    session = plain.open()
    taken = [weakref.ref(session.wait_for(lambda update: not update.type, timeout=5)) for _ in range(20)]
    gc.collect()
    assert [each() for each in taken[:18]] == [None] * 18  # the reader may have the last ones in its hands


def test_a_subscription_that_is_dropped_unclosed_fills_up_for_nobody(plain: House) -> None:
    session = plain.open(limits=QueueLimits(queued=60_000))
    stream = session.subscribe()
    session.add_item("Hi")
    assert next(stream).type == "conversation.item.added"
    del stream  # as in a `for update in session.subscribe()` that was left by `break`
    gc.collect()
    for _ in range(200):
        session.add_item("x" * 300).wait()
        session.wait_for("conversation.item.added", timeout=5)
        session.wait_for("conversation.item.done", timeout=5)
    assert not session.closed
