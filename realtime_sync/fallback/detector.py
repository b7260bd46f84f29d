"""Whether a service is down, by how attempts went."""

from __future__ import annotations

from collections import deque


class FailureDetector:
    """So many failures in a row, within so many seconds; a success begins anew. Its circuit has the lock."""

    def __init__(self, failures: int, within: float) -> None:
        self._failures = failures
        self._within = within
        self._times: deque[float] = deque(maxlen=failures)

    def failed(self, now: float) -> bool:
        """An attempt has failed; True if the service is down."""
        self._times.append(now)
        return len(self._times) == self._failures and now - self._times[0] <= self._within

    def clear(self) -> None:
        """Begin anew."""
        self._times.clear()
