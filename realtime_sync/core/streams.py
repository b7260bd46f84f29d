"""Updates on their way from the reader thread to whoever iterates."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
import types
import weakref
from collections import deque
from typing import Callable, Optional, Protocol, TypeVar, Union, overload

import attrs

from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ForkedSessionError,
    InvalidInputError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.update_base import ConversationUpdate, UnreadableUpdate

logger = logging.getLogger(__name__)

U = TypeVar("U", bound=ConversationUpdate)
Wanted = Union[ConversationUpdateKind, str, type[ConversationUpdate], Callable[[ConversationUpdate], bool]]
"""What to wait for: a kind, a wire type, an update class, or a function that says yes or no."""

Delivered = Union[ConversationUpdate, "End"]

# What an update costs beside its text: the objects and the dict, measured at 0.4 to 1.2 kB for a delta.
_OVERHEAD_BYTES = 800
# How long a thread that reads updates may be busy with one before it no longer counts as reading.
_TAKER_SECONDS = 120.0
_FOR_EVER = Deadline(None)


@attrs.frozen
class End:
    """The last thing on every stream: ``error`` None where the session was closed in an orderly way."""

    reason: ConnectionClosedError
    clean: bool


class Listener(Protocol):
    """Who is told of every update on the reader thread: quickly, without waiting, and never the caller's code."""

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update; False where there is no room for it, which ends the session."""
        ...

    def end(self, end: End) -> None:
        """The session has ended."""
        ...


class UpdateQueue(queue.Queue["Delivered"]):
    """A ``queue.Queue`` that counts bytes, never makes the reader wait, and lets one take from the middle.

    An ``End`` stays in it once put: every consumer that comes to it finds it.
    """

    # All guarded by queue.Queue's own lock (self.mutex), on which its conditions stand.
    queue: deque[Delivered]
    size: int
    puts: int
    waiting: int  # threads; to notify nobody takes as long as all the rest of a put

    def _init(self, maxsize: int) -> None:
        self.queue = deque()
        self.size = 0
        self.puts = 0
        self.waiting = 0

    def _put(self, item: Delivered) -> None:
        self.queue.append(item)
        self.size += _weight(item)
        self.puts += 1
        if self.waiting:
            self.not_empty.notify_all()  # not just one: who wakes may be waiting for something else

    def add(self, item: Delivered) -> int:
        """``put`` for a queue in which there is always room, and nobody counts tasks; the bytes that wait in it now."""
        with self.mutex:
            self._put(item)
            return self.size

    def _get(self) -> Delivered:
        item = self.queue[0]
        if isinstance(item, ConversationUpdate):
            self.queue.popleft()
            self.size -= _weight(item)
        return item

    def take(self, deadline: Deadline) -> Optional[Delivered]:
        """The next update or the End; None when time is up."""
        with self.mutex:
            if not self.queue and not self._wait(lambda: bool(self.queue), deadline):
                return None
            return self._get()

    def take_first(self, wanted: Callable[[ConversationUpdate], bool], deadline: Deadline) -> Optional[Delivered]:
        """The first update that is wanted, from among the others, or the End; None when time is up."""
        looked_at = 0
        while True:
            with self.mutex:
                if not self._wait(lambda n=looked_at: self.puts > n, deadline):  # type: ignore[misc]
                    return None
                fresh = list(itertools.islice(reversed(self.queue), self.puts - looked_at))[::-1]
                looked_at = self.puts
            # Outside the lock, because `wanted` is the caller's code.
            for item in fresh:
                if (isinstance(item, End) or wanted(item)) and self._took(item):
                    return item

    def _wait(self, ready: Callable[[], bool], deadline: Deadline) -> bool:
        """Wait, with the lock, until ``ready``; False when time is up."""
        self.waiting += 1
        try:
            return deadline.wait(lambda seconds: self.not_empty.wait_for(ready, seconds))
        finally:
            self.waiting -= 1

    def _took(self, item: Delivered) -> bool:
        """Take this very item; False where another consumer was faster."""
        with self.mutex:
            for index, candidate in enumerate(self.queue):
                if candidate is item:
                    if isinstance(item, ConversationUpdate):
                        del self.queue[index]
                        self.size -= _weight(item)
                    return True
        return False

    def drop_oldest(self, limit: int) -> int:
        """Forget the oldest updates until at most ``limit`` bytes are left; returns how many."""
        dropped = 0
        with self.mutex:
            while self.size > limit and len(self.queue) > 1:
                self._get()
                dropped += 1
        return dropped


def _weight(item: Delivered) -> int:
    if not isinstance(item, ConversationUpdate):
        return 0
    held = item.raw_bytes or b"" if isinstance(item, UnreadableUpdate) else item.raw_content
    return len(held) + _OVERHEAD_BYTES


class UpdateStream:
    """An independent view of all updates from the moment it was made: an iterator and a context manager.

    Iteration ends after an orderly close and raises ``ConnectionClosedError`` after any other end. Any thread may
    take updates; each goes to one taker. Close it when it is no longer read, or it fills up to its bound.
    """

    def __init__(
        self,
        *,
        limit: int,
        check: Callable[[], None],
        forget: Callable[[], None],
        unread_limit: Optional[int] = None,
    ) -> None:
        self._queue = UpdateQueue()
        self._limit = limit
        self._unread_limit = limit if unread_limit is None else unread_limit
        self._check = check
        self._forget = forget
        # While somebody asks for updates, nothing may be dropped.
        self._wanted = unread_limit is None
        self._takers: set[Optional[int]] = set()  # the threads that asked since _takers_since, by ident
        self._takers_since = time.monotonic()
        self._earlier_takers: set[Optional[int]] = set()  # those before: who read a moment ago is not forgotten
        self._closed = False  # by its owner; only ever set
        self._dropped = 0

    def __iter__(self) -> UpdateStream:
        return self

    def __next__(self) -> ConversationUpdate:
        item = self._next(_FOR_EVER)
        if isinstance(item, ConversationUpdate):
            return item
        if item is None or item.clean:
            raise StopIteration
        raise item.reason.with_traceback(None)

    def receive(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """The next update. ``timeout`` in seconds; None waits as long as the session lives, 0 does not wait.

        Raises ``WaitTimeoutError`` when time is up, ``ConnectionClosedError`` after the last update.
        """
        return self._or_raise(self._next(Deadline(timeout)), "an update", timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(
        self,
        wanted: Union[ConversationUpdateKind, str, Callable[[ConversationUpdate], bool]],
        timeout: Optional[float] = None,
    ) -> ConversationUpdate: ...

    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the first update that is ``wanted`` out of the stream, and leave the others for later iteration.

        Those that have come and were not taken yet are looked at first. ``wanted``: a ``ConversationUpdateKind``, a
        wire type, an update class, or a function of the update. ``timeout`` as in ``receive``.
        Raises ``WaitTimeoutError``, or ``ConnectionClosedError`` where it can no longer come.
        """
        self._check()
        self.want()
        found = self._queue.take_first(condition(wanted), Deadline(timeout))
        return self._or_raise(found, _described(wanted), timeout)

    def close(self) -> None:
        """Stop listening; whoever waits in this stream is released. Idempotent."""
        self._closed = True
        try:
            self._check()
        except ForkedSessionError:  # nobody waits here, and the queue's lock may be held for ever
            return
        self._forget()
        self.end(End(ConnectionClosedError("this stream of updates was closed"), clean=True))

    def __enter__(self) -> UpdateStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return "<UpdateStream closed>"
        # Not qsize(), which takes the lock: it may be held for ever in a forked child.
        return f"<UpdateStream: {len(self._queue.queue)} waiting, {self._queue.size} bytes>"

    # Called by the session, on its reader thread ---------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> bool:
        """Add an update; never waits. False where the bound is passed and nothing may be dropped."""
        size = self._queue.add(update)
        if self._wanted:
            return size <= self._limit or len(self._queue.queue) <= 1  # who takes each at once is not too slow
        if size > self._unread_limit:
            self._dropped += self._queue.drop_oldest(self._unread_limit)
        return True

    def end(self, end: End) -> None:
        """Add the last thing."""
        self._queue.add(end)

    def rest(self) -> None:
        """The calling thread now listens otherwise (``ask``): what only it has read may be dropped when it is too much.

        Until it takes from this stream again. A stream that another thread has read within the last two minutes is
        left as it is.
        """
        living = {thread.ident for thread in threading.enumerate()}
        if (self._takers | self._earlier_takers) & living <= {threading.get_ident()}:
            self._wanted = False
        now = time.monotonic()
        if now - self._takers_since > _TAKER_SECONDS:
            self._earlier_takers, self._takers, self._takers_since = self._takers, set(), now

    def want(self) -> None:
        """The calling thread asks for updates: from now on nothing may be dropped."""
        self._takers.add(threading.get_ident())
        self._wanted = True
        if self._dropped:  # told here, to who asks: the reader thread holds a lock when it drops
            dropped, self._dropped = self._dropped, 0
            logger.warning(
                "%d updates were dropped: nobody had asked for them, beyond %d bytes", dropped, self._unread_limit
            )

    def _next(self, deadline: Deadline) -> Optional[Delivered]:
        self._check()
        self.want()
        return self._queue.take(deadline)

    def _or_raise(self, item: Optional[Delivered], what: str, timeout: Optional[float]) -> ConversationUpdate:
        if isinstance(item, ConversationUpdate):
            return item
        if item is None:
            raise WaitTimeoutError(f"{what} did not come within {timeout} s; the session goes on")
        if self._closed:
            raise UsageError("this stream of updates was closed; subscribe() gives another")
        raise item.reason.with_traceback(None)


class WeakListener:
    """Tells a stream as long as somebody else has it: one that is dropped unclosed must not fill up."""

    def __init__(self, stream: Listener, forget: Callable[[Listener], None]) -> None:
        self._stream = weakref.ref(stream)
        self._forget = forget

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update."""
        stream = self._stream()
        if stream is None:
            self._forget(self)
        return stream is None or stream.deliver(update)

    def end(self, end: End) -> None:
        """The session has ended."""
        stream = self._stream()
        if stream is not None:
            stream.end(end)


def condition(wanted: Wanted) -> Callable[[ConversationUpdate], bool]:
    """``wanted`` as a function. Raises ``InvalidInputError`` for what can be no condition."""
    if isinstance(wanted, type) and issubclass(wanted, ConversationUpdate):
        cls = wanted
        return lambda update: isinstance(update, cls)
    if isinstance(wanted, ConversationUpdateKind):
        kind = wanted
        return lambda update: update.kind is kind
    if isinstance(wanted, str):
        text = wanted  # the type as the server spelled it, or as GA does
        return lambda update: update.type == text or update.kind == text
    if callable(wanted) and not isinstance(wanted, type):
        return wanted
    raise InvalidInputError(f"wait for a kind, a wire type, an update class or a function, not {wanted!r}")


def _described(wanted: Wanted) -> str:
    return wanted.__name__ if isinstance(wanted, (type, types.FunctionType)) else str(wanted)
