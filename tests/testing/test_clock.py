"""The clock that moves when it is told to."""

from __future__ import annotations

import pytest

from realtime_sync.errors import InvalidInputError
from realtime_sync.testing import ManualClock


def test_what_falls_due_is_done_in_its_order_each_at_its_own_time() -> None:
    clock = ManualClock(start=0.0)
    done: list[tuple[str, float]] = []

    def again() -> None:
        done.append(("first", clock.monotonic()))
        clock.call_later(1, lambda: done.append(("set meanwhile", clock.monotonic())))

    clock.call_later(5, lambda: done.append(("last", clock.monotonic())))
    clock.call_later(2, again)
    cancel = clock.call_later(3, lambda: done.append(("cancelled", clock.monotonic())))
    cancel()
    clock.advance(4)
    assert done == [("first", 2), ("set meanwhile", 3)]
    assert repr(clock) == "<ManualClock at 4 s, 1 timers pending>"
    clock.advance(1)
    assert done[2:] == [("last", 5)]


def test_it_does_not_run_backwards() -> None:
    clock = ManualClock()
    with pytest.raises(InvalidInputError, match="-1"):
        clock.advance(-1)
    assert clock.monotonic() == 1000.0
