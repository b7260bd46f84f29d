"""Iterators over what a session says, made of its updates."""

from __future__ import annotations

from collections import deque
from typing import Optional

from realtime_sync.conversation.transcripts import Transcript, TranscriptCollector
from realtime_sync.core.streams import UpdateStream
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, UsageError
from realtime_sync.protocol.update_base import ConversationUpdate


class TranscriptStream:
    """An iterator over what is said from now on: ``for transcript in TranscriptStream(session.subscribe()): ...``.

    One ``Transcript`` for each committed piece of audio, in order; one that failed has its ``error``. ``timeout``:
    seconds to wait for each, then ``WaitTimeoutError`` is raised and iteration may go on; None waits as long as the
    session lives. Ends, and raises, as the updates do. For one thread; close it when done with it.
    """

    def __init__(self, updates: UpdateStream, timeout: Optional[float] = None) -> None:
        Deadline(timeout)  # refuses what is no time-out, now
        self._updates = updates
        self._timeout = timeout
        self._collector = TranscriptCollector()
        self._ready: deque[Transcript] = deque()

    def __iter__(self) -> TranscriptStream:
        return self

    def __next__(self) -> Transcript:
        deadline = Deadline(self._timeout)
        while not self._ready:
            self._ready.extend(self._next(deadline))
        return self._ready.popleft()

    def _next(self, deadline: Deadline) -> list[Transcript]:
        try:
            update = next_update(self._updates, deadline)
        except StopIteration:
            rest = self._collector.rest()
            if rest:
                return rest
            raise
        return self._collector.apply(update)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._updates.close()

    def __enter__(self) -> TranscriptStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def next_update(updates: UpdateStream, deadline: Deadline) -> ConversationUpdate:
    """As ``next(updates)``, but ``WaitTimeoutError`` once the deadline has passed."""
    if deadline.left is None:
        return next(updates)
    try:
        return updates.receive(deadline.left)
    except (ConnectionClosedError, UsageError):
        return next(updates)  # the end stays in the stream: an orderly one is no error here
