"""Finished turns, as they come."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Iterator
from typing import Optional, Union

import attrs

from realtime_sync.audio.playback import PlaybackPosition, check_position
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.streams import End, WeakListener
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, WaitTimeoutError
from realtime_sync.protocol.update_base import ConversationUpdate

# What a turn costs beside its texts: the objects.
_OVERHEAD_BYTES = 2000


class _TurnQueue(queue.Queue[Union[Turn, End]]):
    """A queue that counts bytes and never makes the reader wait. An ``End`` stays in it: every taker finds it."""

    # Guarded by queue.Queue's own lock.
    queue: deque[Union[Turn, End]]
    size: int

    def _init(self, maxsize: int) -> None:
        self.queue = deque()
        self.size = 0

    def _put(self, item: Union[Turn, End]) -> None:
        self.queue.append(item)
        self.size += _weight(item)
        self.not_empty.notify_all()  # an End is for all who wait

    def _get(self) -> Union[Turn, End]:
        item = self.queue[0]
        if isinstance(item, Turn):
            self.queue.popleft()
            self.size -= _weight(item)
        return item


def _weight(item: Union[Turn, End]) -> int:
    if isinstance(item, End):
        return 0
    texts = (item.user_text, item.user_transcript, item.text, item.transcript)
    arguments = (call.arguments for call in item.function_calls)
    return sum(len(text or "") for text in (*texts, *arguments)) + _OVERHEAD_BYTES


class TurnStream:
    """An iterator over finished turns. Made by ``session.turns()``.

    The moments are those at which updates were received, however late the turns are taken. Any thread may take turns;
    each goes to one taker. It stops listening when it is closed, or no longer referred to; one that is kept and not
    read fills up to ``QueueLimits.queued``, and then ends the session.
    """

    def __init__(self, engine: RealtimeEngine, timeout: Optional[float], position: Optional[PlaybackPosition]) -> None:
        Deadline(timeout)  # refuses what is no time-out, now
        check_position(position)
        self._engine = engine
        self._timeout = timeout
        self._position = position
        self._finished = _TurnQueue()
        self._tracker = TurnTracker(engine.session)  # the reader's alone
        self._listener = WeakListener(self, engine.stop_listening)  # one may just ``break`` out of a loop
        engine.listen(self._listener)

    def __iter__(self) -> Iterator[Turn]:
        return self

    def __next__(self) -> Turn:
        self._engine.check_process()
        taken = self._take(Deadline(self._timeout))
        if isinstance(taken, Turn):
            return self._with_playback(taken)
        if taken.clean:
            raise StopIteration
        raise taken.reason.with_traceback(None)

    def close(self) -> None:
        """Stop listening; whoever waits for a turn is released. Idempotent."""
        if self._engine.forked:  # nobody waits here, and the queue's lock may be held for ever
            return
        self._engine.stop_listening(self._listener)
        self._finished.put(End(ConnectionClosedError("this stream of turns was closed"), clean=True))

    def __enter__(self) -> TurnStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _take(self, deadline: Deadline) -> Union[Turn, End]:
        taken: list[Union[Turn, End]] = []

        def take(seconds: Optional[float]) -> bool:
            try:
                taken.append(self._finished.get(timeout=seconds))
            except queue.Empty:
                return False
            return True

        if not deadline.wait(take):
            raise WaitTimeoutError(f"no turn was finished within {self._timeout} s; the session goes on")
        return taken[0]

    def _with_playback(self, turn: Turn) -> Turn:
        """The turn with when it was first heard; asked for as late as possible, for playing may begin after it all."""
        if self._position is None:
            return turn
        heard = [played for item_id in turn.item_ids if (played := self._position.of_item(item_id)) is not None]
        if not heard:
            return turn
        first = min(played.started for played in heard) - turn.started
        return attrs.evolve(turn, timeline=attrs.evolve(turn.timeline, first_played=first))

    # On the reader thread -----------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update; False where the bound is passed."""
        for turn in self._tracker.apply(update, time.monotonic()):
            self._finished.put(turn)
        # Who takes each turn at once is not too slow, however long one is.
        return self._finished.size <= self._engine.limits.queued or len(self._finished.queue) <= 1

    def end(self, end: End) -> None:
        """The session has ended."""
        for turn in self._tracker.rest():
            self._finished.put(turn)
        self._finished.put(end)
