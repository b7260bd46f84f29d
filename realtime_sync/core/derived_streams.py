"""Streams of something made of updates: finished turns, transcripts, pieces of a translation.

A derived stream is a subscription and a collector. The collector is pure: ``apply(update)`` returns what an update
makes complete, ``rest()`` what is left at the end. It runs on the thread that takes, so nothing is computed for a
stream that is not read; the subscription's updates wait meanwhile, within ``QueueLimits.queued``.

The rules:

1. Each thing goes to one taker, in order. A thread that takes holds ``_collecting`` until it has something: it takes
   updates and applies them in their order. While it waits, ``_ready`` is empty, so the others miss nothing.
2. At the end of the updates, whatever it is, the collector's ``rest()`` comes first. Then iteration ends as they do.
3. A ``TimedCollector`` also makes things of time that passes without updates: a thread that waits for the next update
   wakes when the collector is due. Updates that have come are applied first, so a slow reader changes nothing.

``_collecting`` guards ``_ready``, ``_end`` and the collector. It is held while the thread waits for an update, and
acquired with a deadline; it comes before the subscription's locks. It is an RLock because a thread may release that
without knowing whether it has acquired it: Ctrl-C may come right between the two.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, Optional, Protocol, TypeVar, runtime_checkable

import attrs

from realtime_sync.audio.playback import PlaybackPosition, check_position
from realtime_sync.conversation.transcripts import Transcript, TranscriptCollector
from realtime_sync.conversation.translations import TranslatedPiece, TranslationCollector
from realtime_sync.conversation.turns import Turn, TurnTracker
from realtime_sync.core.streams import End
from realtime_sync.core.update_streams import UpdateStream
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, WaitTimeoutError, told_again
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import SessionClosedUpdate
from realtime_sync.secret import reportable

T = TypeVar("T")
S = TypeVar("S", bound="DerivedStream[Any]")


class Collector(Protocol[T]):
    """Makes things of updates. Called by one thread at a time."""

    def apply(self, update: ConversationUpdate) -> list[T]:
        """The things that an update makes complete; mostly none."""

    def rest(self) -> list[T]:
        """The things that are left once no more updates come."""


@runtime_checkable
class TimedCollector(Collector[T], Protocol[T]):
    """A collector to which time that passes means something, too."""

    @property
    def next_due(self) -> Optional[float]:
        """When ``pass_time`` is to be called, in seconds by ``time.monotonic()``; None: not before another update."""

    def pass_time(self, at: float) -> list[T]:
        """The things that are complete because it is this moment, and no other update has come."""


@reportable
class DerivedStream(Generic[T]):
    """An iterator over what a collector makes of the updates of a subscription; also a context manager.

    Iteration ends after an orderly close and raises ``ConnectionClosedError`` after any other end. Any thread may
    iterate; each thing goes to one of them. Close it when it is no longer read, or it fills up to
    ``QueueLimits.queued`` and ends the session.

    Args:
        updates: the subscription; it is this stream's from now on.
        collector: makes things of the updates.
        timeout: seconds to wait for each thing, then ``WaitTimeoutError`` is raised, and iteration may go on; None
            waits as long as the session lives.
        last: the class of the update after which nothing more comes; None: the session's end alone ends this stream.
    """

    def __init__(
        self,
        updates: UpdateStream,
        collector: Collector[T],
        timeout: Optional[float] = None,
        last: Optional[type[ConversationUpdate]] = None,
    ) -> None:
        Deadline(timeout)  # raises now if it is no time-out
        self._updates = updates
        self._collector = collector
        self._timed: Optional[TimedCollector[T]] = collector if isinstance(collector, TimedCollector) else None
        self._timeout = timeout
        self._last = last
        self._end: Optional[End] = None  # once ``last`` has come
        self._ready: deque[T] = deque()
        self._collecting = threading.RLock()

    def __repr__(self) -> str:
        kind, owner, state = type(self).__name__, self._updates._owner(), self._updates._queue.state
        return f"<{kind} of {owner}: {len(self._ready)} ready; updates: {state}>"

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._updates._queue.check()
        deadline = Deadline(self._timeout)
        try:
            if not deadline.wait(self._acquire):
                raise self._late()
            return self._next_ready(deadline)
        finally:
            try:
                self._collecting.release()
            except RuntimeError:  # another thread has it
                pass

    def _next_ready(self, deadline: Deadline) -> T:
        while not self._ready:
            self._ready.extend(self._collect(deadline))
        return self._ready.popleft()

    def _acquire(self, seconds: Optional[float]) -> bool:
        return self._collecting.acquire(timeout=-1 if seconds is None else seconds)

    def _collect(self, deadline: Deadline) -> list[T]:
        due = self._timed.next_due if self._timed is not None else None
        due_in = math.inf if due is None else max(0.0, due - time.monotonic())
        is_due_first = due is not None and due_in <= deadline.remaining  # also for one who only looks
        item = self._end or self._updates._queue.take(deadline.within(due_in) if is_due_first else deadline)
        if item is None:
            if self._timed is None or due is None or not is_due_first:
                raise self._late()
            return self._timed.pass_time(max(due, time.monotonic()))  # also in a program whose clock stands still
        if isinstance(item, End):
            rest = self._collector.rest()
            if rest:
                return rest
            if item.clean:
                raise StopIteration
            raise told_again(item.reason)
        if self._last is not None and isinstance(item, self._last):
            self._end = End(ConnectionClosedError("the last update has come"), clean=True)
            self.close()
        return self._collector.apply(item)

    def _late(self) -> WaitTimeoutError:
        return WaitTimeoutError(f"nothing more was complete within {self._timeout} s; the session goes on")

    def close(self) -> None:
        """Stop listening; threads that wait here are released. Idempotent."""
        self._updates.close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class TranscriptStream(DerivedStream[Transcript]):
    """What is said from now on: ``for transcript in TranscriptStream(session.subscribe()): ...``.

    One ``Transcript`` for each committed piece of audio, in order; one that failed has its ``error``. Otherwise as
    ``DerivedStream``.

    Args:
        updates: a subscription to a session's updates.
        timeout: seconds to wait for each transcript; None waits as long as the session lives.
    """

    def __init__(self, updates: UpdateStream, timeout: Optional[float] = None) -> None:
        super().__init__(updates, TranscriptCollector(), timeout)


class TranslationStream(DerivedStream[TranslatedPiece]):
    """A translation from now on: ``for piece in TranslationStream(session.subscribe()): ...``.

    Ends once the service has translated all that it heard, after ``session.end_translation()``. Otherwise as
    ``DerivedStream``.

    Args:
        updates: a subscription to a session's updates.
        timeout: seconds to wait for each piece; None waits as long as the session lives.
    """

    def __init__(self, updates: UpdateStream, timeout: Optional[float] = None) -> None:
        super().__init__(updates, TranslationCollector(), timeout, last=SessionClosedUpdate)


class TurnStream(DerivedStream[Turn]):
    """Finished turns, with the moments at which their updates were received. Made by ``session.turns()``.

    It stops listening when it is closed, or no longer referred to. Otherwise as ``DerivedStream``.
    """

    def __init__(
        self,
        updates: UpdateStream,
        tracker: TurnTracker,
        timeout: Optional[float] = None,
        position: Optional[PlaybackPosition] = None,
    ) -> None:
        check_position(position)
        super().__init__(updates, tracker, timeout)
        self._position = position

    def __next__(self) -> Turn:
        """The turn with when it was first heard; asked for as late as possible, for playing may begin after it all."""
        turn = super().__next__()
        if self._position is None:
            return turn
        heard = [played for item_id in turn.item_ids if (played := self._position.of_item(item_id)) is not None]
        if not heard:
            return turn
        first = min(played.started for played in heard) - turn.started
        return attrs.evolve(turn, timeline=attrs.evolve(turn.timeline, first_played=first))
