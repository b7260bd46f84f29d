"""Many threads at everything at once, and somebody closes: it always ends, with our own errors alone."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from realtime_sync import (
    AudioSendInProgressError,
    ConnectionClosedError,
    RealtimeSyncError,
    ServerError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.server import faults
from tests.core.harness import House, Running, client_threads, until

pytestmark = pytest.mark.medium

ENDS = (ConnectionClosedError, SessionNotOpenError)
BOUND = 2.0


def until_it_ends(step: Any, seed: int) -> str:
    """Call ``step`` over and over, until the session's end is raised; bounded in time."""
    numbers = random.Random(seed)
    deadline = time.monotonic() + 10 * BOUND
    while time.monotonic() < deadline:
        try:
            step(numbers)
        except ENDS as error:
            return type(error).__name__
        except (ServerError, WaitTimeoutError, AudioSendInProgressError):
            pass  # what the server refuses, or another thread is just doing
    raise AssertionError("the session did not end")


def commander(session: Any) -> Any:
    def step(numbers: random.Random) -> None:
        choice = numbers.randrange(6)
        if choice == 0:
            session.add_item("x" * numbers.randrange(1, 5000)).wait(1)
        elif choice == 1:
            session.send_message({"type": "nonsense", "event_id": f"e{numbers.random()}"}).wait(1)
        elif choice == 2:
            session.clear_input_audio()
        elif choice == 3:
            session.start_response()
        elif choice == 4:
            session.cancel_response().wait(0.05)
        else:
            session.delete_item("item_none").wait(1)

    return step


def speaker(session: Any) -> Any:
    def step(numbers: random.Random) -> None:
        choice = numbers.randrange(3)
        samples = bytes(2 * numbers.randrange(1, 30_000))
        if choice == 0:
            session.send_audio(samples, chunk_ms=numbers.choice([1, 20, 100]))
        elif choice == 1:
            sending = session.start_sending_audio(samples)
            if numbers.random() < 0.5:
                sending.cancel()
            sending.wait(1)
        else:
            with session.audio_writer() as writer:
                writer.write(samples)

    return step


def listener(session: Any) -> Any:
    def step(numbers: random.Random) -> None:
        choice = numbers.randrange(3)
        if choice == 0:
            session.wait_for("conversation.item.added", timeout=numbers.random() / 20)
        elif choice == 1:
            session.receive_update(timeout=numbers.random() / 20)
        else:
            with session.subscribe() as stream:
                stream.receive(timeout=numbers.random() / 20)
            if session.closed:
                session.receive_update(timeout=0)

    return step


@pytest.mark.parametrize("how", ["close", "drop", "remote"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_whatever_everybody_does_it_ends_with_our_own_errors(house: House, seed: int, how: str) -> None:
    house.serve(record=False)
    session = house.open()
    everybody = [Running(lambda n=n: until_it_ends(commander(session), n)) for n in range(2)]  # type: ignore[misc]
    everybody += [Running(lambda n=n: until_it_ends(speaker(session), n)) for n in range(2)]  # type: ignore[misc]
    everybody += [Running(lambda n=n: until_it_ends(listener(session), n)) for n in range(2)]  # type: ignore[misc]
    iterating = Running(lambda: sum(1 for _ in session.updates()))
    threading.Event().wait(random.Random(seed).random() * BOUND / 4)
    if how == "close":
        session.close()
    else:
        house.live.inject(faults.drop() if how == "drop" else faults.close(1011))
    for one in everybody:
        assert one.result(11 * BOUND) in ("ConnectionClosedError", "SessionNotOpenError", "ConnectionLostError")
    ended = iterating.join(5)
    assert ended is None if how == "close" else isinstance(ended, RealtimeSyncError)
    session.close()
    until(lambda: not client_threads())
