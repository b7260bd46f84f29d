"""In which order services are tried: the strategy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Optional

from realtime_sync.fallback.circuit import Circuit


def in_order(circuits: Sequence[Circuit], last: Optional[int] = None, without: Collection[int] = ()) -> Iterator[int]:
    """The numbers of all services but those ``without``, by the list, the one to be tried first at the beginning.

    The first in the list whose circuit admits it comes first, so that all go back to it once it is well. Those that are
    left alone come last, because an attempt that is unlikely to succeed is better than none. Each circuit is asked when
    it is its turn, so that nobody is let through in vain. ``last``: one that comes after all others that are admitted.
    """
    numbers = [number for number in range(len(circuits)) if number not in without]
    left_alone = []
    for number in sorted(numbers, key=lambda number: number == last):
        if circuits[number].admits():
            yield number
        else:
            left_alone.append(number)
    yield from left_alone
