"""In which order services are tried: the strategy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from realtime_sync.fallback.circuit import Circuit


def in_order(circuits: Sequence[Circuit]) -> Iterator[int]:
    """The numbers of all services, by the list, the one to be tried first at the beginning.

    The first in the list whose circuit admits it comes first, so that all go back to it once it is well. Those that are
    left alone come last, because an attempt that is unlikely to succeed is better than none. Each circuit is asked when
    it is its turn, so that nobody is let through in vain.
    """
    left_alone = []
    for number, circuit in enumerate(circuits):
        if circuit.admits():
            yield number
        else:
            left_alone.append(number)
    yield from left_alone
