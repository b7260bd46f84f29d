"""Updates on their way from the reader thread to the threads that take them.

The way: ``deliver`` puts an update on ``_queue``, a ``queue.Queue`` without a bound. One consumer at a time gets from
that queue, and appends what it gets to ``_passed``. From there all consumers take: the oldest update (``receive``), or
the oldest one that they want (``wait_for``).

The rules:

1. The reader puts and counts. It never waits for a consumer, and runs no code of the caller's.
2. All that is in ``_passed`` is older than all that is in the queue, so a consumer gets from the queue only if
   ``_passed`` holds nothing that it has not looked at. Each update goes to one taker, in order.
3. A consumer that finds another one at the queue waits until something new is in ``_passed`` or the queue is free.
   The consumer at the queue passes on what is there, leaves the queue, and wakes all that wait so.
4. The ``End`` stays: ``_end`` is set once. On the queue it only wakes the consumer that waits there; a consumer that
   finds the queue empty after that has come to the end.
5. The bound. A stream that nobody has asked for an update yet may have ``unread_limit``: it keeps the newest updates
   within it and drops the oldest. From the first ask on, and always without ``unread_limit``, nothing is dropped, and
   ``deliver`` raises ``ConsumerTooSlowError`` beyond ``limit``. One update alone may be of any size.

The locks, in the order in which they may be taken:

- ``_taking`` is held by the consumer at the queue, also while it waits there. It is only ever tried, never waited for.
  It is an RLock, because a thread may release that without knowing whether it has acquired it (Ctrl-C may come right
  between the two), and because a signal handler may take updates while the thread that it interrupts waits here.
- ``_lock`` guards ``_passed``, ``_passes``, ``_taken``, ``_taken_bytes``, ``_followers``, ``_asked`` and ``_dropped``.
  It is held for moments, never while a thread waits or while the caller's condition is asked.

The reader alone changes ``_delivered`` and ``_delivered_bytes``.

Ctrl-C: an update that was got and is not wanted is in ``_passed`` before anything else happens. ``queue.Queue.get`` is
Python code of the standard library, which an exception may leave at any point; this module cannot mend that.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import types
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Callable, Optional, Protocol, TypeVar, Union, overload

import attrs

from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConsumerTooSlowError,
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
# Ctrl-C may strike between a consumer's leaving the queue and its waking the others: so often they look by themselves.
_LOOK_AGAIN = 1.0
# How many updates the consumer at the queue passes on at once, at most, before it takes one itself.
_BATCH = 100
_FOR_EVER = Deadline(None)


@attrs.frozen
class End:
    """The last thing on every stream: what the session ended with. ``clean``: it was closed in an orderly way."""

    reason: ConnectionClosedError
    clean: bool


class Listener(Protocol):
    """Is called with every update, on the reader thread: returns quickly, never waits, runs no code of the caller's."""

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update. Raises ``ConsumerTooSlowError`` if there is no room, which ends the session."""
        ...

    def end(self, end: End) -> None:
        """The session has ended."""
        ...


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
        keep: Optional[Callable[[ConversationUpdate], bool]] = None,
    ) -> None:
        self._limit = limit
        self._asked = unread_limit is None
        self._bound = limit if unread_limit is None else unread_limit  # the one that is in force
        self.check = check  # raises in a forked child
        self._forget = forget
        self._keep = keep  # which updates are put on the queue; called on the reader thread
        self._queue: queue.Queue[Delivered] = queue.Queue()
        self._taking = threading.RLock()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # of those who follow the consumer at the queue
        self._followers = 0
        self._passed: deque[ConversationUpdate] = deque()
        self._passes = 0  # how many updates were ever got from the queue: appended to _passed, or dropped
        self._delivered = self._delivered_bytes = 0
        self._taken = self._taken_bytes = 0  # or dropped
        self._dropped = 0  # and not yet warned of
        self._end: Optional[End] = None
        self._closed = False  # by its owner; only ever set

    def __iter__(self) -> UpdateStream:
        return self

    def __next__(self) -> ConversationUpdate:
        item = self.take(_FOR_EVER)
        if isinstance(item, ConversationUpdate):
            return item
        if item is None or item.clean:
            raise StopIteration
        raise item.reason.with_traceback(None)

    def receive(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the next update.

        Args:
            timeout: seconds to wait; None waits as long as the session lives, 0 does not wait.

        Raises:
            WaitTimeoutError: no update came in time.
            ConnectionClosedError: the session has ended, and its last update was taken.
        """
        return self._or_raise(self.take(Deadline(timeout)), "an update", timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(
        self,
        wanted: Union[ConversationUpdateKind, str, Callable[[ConversationUpdate], bool]],
        timeout: Optional[float] = None,
    ) -> ConversationUpdate: ...

    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the first update that is ``wanted`` out of the stream, and leave the others for later.

        Updates that have come and were not taken yet are looked at first.

        Args:
            wanted: a ``ConversationUpdateKind``, a wire type, an update class, or a function of the update.
            timeout: seconds to wait; None waits as long as the session lives, 0 looks only at what has come.

        Raises:
            WaitTimeoutError: it did not come in time.
            ConnectionClosedError: the session has ended, so it can no longer come.
        """
        found = self.take(Deadline(timeout), condition(wanted))
        return self._or_raise(found, _described(wanted), timeout)

    def close(self) -> None:
        """Stop listening; threads that wait in this stream are released. Idempotent."""
        self._closed = True
        try:
            self.check()
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
        return f"<UpdateStream: {self._delivered - self._taken} waiting, {self.waiting_bytes} bytes>"

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of updates wait to be taken."""
        return self._delivered_bytes - self._taken_bytes  # without a lock: it may be held for ever in a forked child

    # On the reader thread --------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Add an update; never waits. Raises ``ConsumerTooSlowError`` beyond the bound."""
        if self._keep is not None and not self._keep(update):
            return
        self._queue.put(update)
        self._delivered += 1
        self._delivered_bytes += _weight(update)
        if self._delivered_bytes - self._taken_bytes > self._bound and self._delivered - self._taken > 1:
            self._make_room()

    def end(self, end: End) -> None:
        """Add the last thing; on any thread. Of several calls the first counts."""
        if self._end is None:
            self._end = end
        self._queue.put(end)

    def _make_room(self) -> None:
        """Drop the oldest updates, if nobody has asked for any yet."""
        with self._lock:  # no consumer is at the queue before it has set _asked, under this lock
            while not self._asked and self.waiting_bytes > self._bound and self._delivered - self._taken > 1:
                item = self._queue.get_nowait()
                if isinstance(item, ConversationUpdate):
                    self._counted(item)
                    self._passes += 1
                    self._dropped += 1
            if not self._asked or self.waiting_bytes <= self._limit:
                return
        raise ConsumerTooSlowError(
            f"updates of more than {self._limit} bytes wait to be taken; the session was ended rather than losing any. "
            "Take them faster, on a thread of their own, or raise QueueLimits.queued"
        )

    # On the threads of consumers -------------------------------------------------------------------------------

    def keep_all(self) -> None:
        """From now on drop nothing: somebody has asked for updates. Warns of those that were dropped."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            bound, self._bound, self._asked = self._bound, self._limit, True
        if dropped:
            logger.warning("%d updates were dropped: nobody had asked for them, beyond %d bytes", dropped, bound)

    def take(
        self, deadline: Deadline, wanted: Optional[Callable[[ConversationUpdate], bool]] = None
    ) -> Optional[Delivered]:
        """Take the next update, or the first one that is ``wanted``; the End behind the last; None when time is up."""
        self.check()
        if not self._asked:
            self.keep_all()
        seen = 0  # updates that were passed on, and looked at here
        try:
            while True:
                with self._lock:
                    if wanted is None and self._passed:
                        return self._counted(self._passed.popleft())
                    fresh = self._passed_since(seen) if wanted is not None else ()
                    seen = self._passes
                for update in fresh:  # without the lock, because `wanted` is the caller's code
                    if wanted is not None and wanted(update) and self._took(update):
                        return update
                if not self._fetch(seen, deadline):
                    return self._end
        except queue.Empty:
            return None

    def _passed_since(self, seen: int) -> Sequence[ConversationUpdate]:
        return list(itertools.islice(reversed(self._passed), self._passes - seen))[::-1]

    def _took(self, update: ConversationUpdate) -> bool:
        """Take this very update; False if another consumer was faster."""
        with self._lock:
            for back, candidate in enumerate(reversed(self._passed), 1):  # it is mostly the newest
                if candidate is update:
                    del self._passed[-back]
                    self._counted(update)
                    return True
        return False

    def _counted(self, update: ConversationUpdate) -> ConversationUpdate:
        """Count an update as taken; the lock is held."""
        self._taken += 1
        self._taken_bytes += _weight(update)
        return update

    def _fetch(self, seen: int, deadline: Deadline) -> bool:
        """Have more updates passed on than ``seen``, by this thread or by the one at the queue; False at the End.

        True may also be a false alarm. Raises ``queue.Empty`` when time is up.
        """
        try:
            if self._taking.acquire(blocking=False):
                return self._passes != seen or self._pass_on(deadline)
        finally:
            try:
                self._taking.release()
            except RuntimeError:  # another thread has it
                pass
            if self._followers:
                with self._lock:
                    self._changed.notify_all()
        return self._follow(seen, deadline)

    def _pass_on(self, deadline: Deadline) -> bool:
        """At the queue: get what is there, at least one, and pass it on; False at the End."""
        ready = min(self._delivered - self._passes, _BATCH)
        for _ in range(ready):
            self._append(self._queue.get_nowait())
        if ready:
            return True
        if self._end is None:
            self._append(self._get(deadline))
            return True
        try:
            self._append(self._queue.get_nowait())
        except queue.Empty:
            return False
        return True

    def _append(self, item: Delivered) -> None:
        if isinstance(item, ConversationUpdate):
            with self._lock:
                self._passed.append(item)
                self._passes += 1

    def _get(self, deadline: Deadline) -> Delivered:
        got: list[Delivered] = []

        def get(seconds: Optional[float]) -> bool:
            try:
                got.append(self._queue.get(timeout=seconds))
            except queue.Empty:
                return False
            return True

        if not deadline.wait(get):
            raise queue.Empty
        return got[0]

    def _follow(self, seen: int, deadline: Deadline) -> bool:
        """Wait for the consumer at the queue to pass something on or leave."""
        with self._lock:
            self._followers += 1
            try:
                waited = deadline.within(_LOOK_AGAIN).wait(
                    lambda seconds: self._changed.wait_for(lambda: self._passes != seen or self._is_free(), seconds)
                )
            finally:
                self._followers -= 1
        if not waited and not deadline.remaining:
            raise queue.Empty
        return True

    def _is_free(self) -> bool:
        try:
            return self._taking.acquire(blocking=False)
        finally:
            with contextlib.suppress(RuntimeError):
                self._taking.release()

    def _or_raise(self, item: Optional[Delivered], what: str, timeout: Optional[float]) -> ConversationUpdate:
        if isinstance(item, ConversationUpdate):
            return item
        if item is None:
            raise WaitTimeoutError(f"{what} did not come within {timeout} s; the session goes on")
        if self._closed:
            raise UsageError("this stream of updates was closed; subscribe() gives another")
        raise item.reason.with_traceback(None)


class WeakListener:
    """Delivers to a stream while somebody else refers to it: one that is dropped unclosed must not fill up."""

    def __init__(self, stream: Listener, forget: Callable[[Listener], None]) -> None:
        self._stream = weakref.ref(stream)
        self._forget = forget

    def deliver(self, update: ConversationUpdate) -> None:
        """Pass an update on to the stream."""
        stream = self._stream()
        if stream is None:
            self._forget(self)
        else:
            stream.deliver(update)

    def end(self, end: End) -> None:
        """The session has ended."""
        stream = self._stream()
        if stream is not None:
            stream.end(end)


def condition(wanted: Wanted) -> Callable[[ConversationUpdate], bool]:
    """``wanted`` as a function. Raises ``InvalidInputError`` if it can be no condition."""
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


def _weight(update: ConversationUpdate) -> int:
    held = update.raw_bytes or b"" if isinstance(update, UnreadableUpdate) else update.raw_content
    return len(held) + _OVERHEAD_BYTES
