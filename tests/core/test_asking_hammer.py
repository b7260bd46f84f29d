"""Many threads ask, stream, cancel and give up, and then the connection ends: nobody hangs, nothing is mixed up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import ConnectionClosedError, SessionNotOpenError, WaitTimeoutError
from realtime_sync.server import Turn, faults
from tests.core.answers import ASIDE, WRITTEN, errors, idle
from tests.core.harness import House, Running, until

ENDS = (ConnectionClosedError, SessionNotOpenError)
BOUND = 3.0


def echo_slowly(turn: Turn) -> Iterator[str]:
    for word in turn.text_of(turn.last or {}).split():
        turn.cancelled.wait(0.001)
        yield word + " "


def question(session: Any, chance: random.Random) -> None:
    """Ask something in some way, and check that the answer is to this question."""
    words = " ".join(f"{chance.random()}" for _ in range(chance.randrange(1, 20)))
    options = chance.choice([WRITTEN, ASIDE])
    choice = chance.randrange(4)
    if choice == 0:
        answer = session.ask(words, options)
        assert (answer.status, answer.text) == ("completed", words + " ")
    elif choice == 1:
        with session.respond(words, options) as response:
            assert "".join(response.text_deltas()) == words + " "
    elif choice == 2:
        with session.respond(words, options) as response:
            for text in response.text_deltas():
                assert words.startswith(text.strip())
                break
        answer = response.wait(5)
        assert (words + " ").startswith(answer.text)
        assert answer.status in ("completed", "cancelled")
    else:
        try:
            session.ask(words, options, timeout=chance.random() / 50)
        except WaitTimeoutError:
            pass


@pytest.mark.parametrize("house", ["ws", pytest.param("wss", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("how", ["close", "drop", "nothing"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_whatever_everybody_asks_each_has_its_own_answer_until_the_end(house: House, seed: int, how: str) -> None:
    house.serve(responder=echo_slowly)
    session = house.open()
    over = threading.Event()

    def ask(number: int) -> None:
        chance = random.Random(100 * seed + number)
        deadline = time.monotonic() + BOUND
        while not over.is_set() and time.monotonic() < deadline:
            question(session, chance)

    everybody = [Running(lambda n=n: ask(n)) for n in range(6)]  # type: ignore[misc]
    threading.Event().wait(random.Random(seed).uniform(0.1, BOUND / 3))
    if how == "close":
        session.close()
    elif how == "drop":
        house.live.inject(faults.drop())
    over.set()
    for one in everybody:
        error = one.join(10)
        assert error is None or (isinstance(error, ENDS) and how != "nothing"), repr(error)
    until(lambda: idle(session))
    # Cancelling what is just being finished is refused; nothing else is.
    assert set(errors(house.live)) <= {"response_cancel_not_active"}
