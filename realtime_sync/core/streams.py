"""Updates on their way from the reader thread to the threads that take them.

The rules:

1. The reader appends, counts and notifies. It never waits for a consumer, and runs no code of the caller's.
2. Each update goes to one taker, in order: ``receive`` takes the oldest, ``wait_for`` the oldest that is wanted.
3. The ``End`` is set once and stays: a taker that finds no update left gets it.
4. The bound. A stream that has not been asked for an update yet may have ``unread_limit``: it keeps the newest updates
   within it and drops the oldest. From the first ask on, and always without ``unread_limit``, nothing is dropped, and
   ``deliver`` raises ``ConsumerTooSlowError`` beyond ``limit``. One update alone may be of any size.
5. What is ``spare`` (the sound of a live session, which comes all the time) is dropped first in both cases, and never
   ends the session. The log tells of it once.

Locks: ``_lock`` guards everything that changes; nothing is taken under it. It is held for moments, never while the
caller's condition runs, never while a thread waits (``interrupts.py``).
"""

from __future__ import annotations

import functools
import itertools
import logging
import threading
import types
import weakref
from collections import deque
from typing import Callable, Optional, Protocol, TypeVar, Union, overload

import attrs

from realtime_sync.advice import nearest, warn_caller
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConsumerTooSlowError,
    ForkedSessionError,
    InvalidInputError,
    UsageError,
    WaitTimeoutError,
    told_again,
)
from realtime_sync.interrupts import Change
from realtime_sync.protocol.kinds import PREVIEW_SPELLINGS, UpdateKind
from realtime_sync.protocol.update_base import ConversationUpdate, UnreadableUpdate
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested
from realtime_sync.values import Value

logger = logging.getLogger(__name__)

U = TypeVar("U", bound=ConversationUpdate)
Unclassed = Union[UpdateKind, str, Callable[[ConversationUpdate], bool]]
"""A condition on updates that is no class: a kind, a wire type, or a function that returns True or False."""

Wanted = Union[Unclassed, type[ConversationUpdate]]
"""A condition on updates: one of ``Unclassed``, or an update class."""

Delivered = Union[ConversationUpdate, "End"]

# The memory of an update beside its text: the objects and the dict, measured at 0.4 to 1.2 kB for a delta.
_OVERHEAD_BYTES = 800
_FOR_EVER = Deadline(None)


@attrs.frozen(repr=False, eq=False)
class End(Value):
    """The last thing on every stream.

    Attributes:
        reason: How the session ended; iteration raises it unless ``clean``.
        clean: True if the session was closed in an orderly way.
    """

    reason: ConnectionClosedError
    clean: bool


class Listener(Protocol):
    """Gets every update, on the reader thread: returns quickly, never waits, runs no code of the caller's."""

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update. Raises ``ConsumerTooSlowError`` if there is no room, which ends the session."""

    def end(self, end: End) -> None:
        """The session has ended."""


@reportable
class UpdateQueue:
    """The updates of one stream, from the reader to the threads that take them. ``UpdateStream`` is its face."""

    def __init__(
        self,
        *,
        limit: int,
        check: Callable[[], None],
        forget: Callable[[], None],
        unread_limit: Optional[int] = None,
        keep: Optional[Callable[[ConversationUpdate], bool]] = None,
        spare: Optional[Callable[[ConversationUpdate], bool]] = None,
    ) -> None:
        self._limit = limit
        self._asked = unread_limit is None
        self._bound = limit if unread_limit is None else unread_limit  # the one that is in force
        self.check = check  # raises in a forked child
        self._forget = forget
        self._keep = keep  # True for the updates that are put on the stream; called on the reader thread
        self._spare = spare  # True for those that are dropped rather than end the session; likewise
        self._lock = threading.Lock()
        self._changed = Change()
        self._updates: deque[ConversationUpdate] = deque()
        self._delivered = self._delivered_bytes = 0
        self._taken_bytes = 0  # or dropped
        self._dropped = 0  # and not yet warned of
        self._warned = False  # of spare updates that were dropped; then that is enough
        self._end: Optional[End] = None
        self._closed = False  # by its owner; only ever set

    def __iter__(self) -> UpdateQueue:
        return self

    def __next__(self) -> ConversationUpdate:
        item = self.take(_FOR_EVER)
        if not isinstance(item, End):
            assert item is not None, "waiting for ever has ended without an update"
            return item
        if item.clean:
            raise StopIteration
        raise told_again(item.reason)

    def receive(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """See ``UpdateStream.receive``."""
        return self._or_raise(self.take(Deadline(timeout)), "an update", timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(self, wanted: Unclassed, timeout: Optional[float] = None) -> ConversationUpdate: ...

    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """See ``UpdateStream.wait_for``."""
        found = self.take(Deadline(timeout), condition(wanted))
        return self._or_raise(found, _described(wanted), timeout)

    @aside_if_nested
    def close(self) -> None:
        """Stop listening; threads that wait in this stream are released. Idempotent."""
        self._closed = True
        try:
            self.check()
        except ForkedSessionError:  # no thread waits here, and the lock may be held for ever
            return
        self._forget()
        self.end(End(ConnectionClosedError("this stream of updates was closed"), clean=True))

    def __repr__(self) -> str:
        return f"<UpdateQueue: {self.state}>"

    @property
    def state(self) -> str:
        """In words: how many updates wait, and whether more may come."""
        if self._closed:
            return "closed"
        waiting = f"{len(self._updates)} waiting ({self.waiting_bytes:,} bytes)"
        return f"{waiting}, no more will come" if self._end is not None else waiting

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of updates wait to be taken."""
        return self._delivered_bytes - self._taken_bytes  # without a lock: it may be held for ever in a forked child

    @property
    def waiting(self) -> list[ConversationUpdate]:
        """The updates that nobody has taken yet."""
        with self._lock:
            return list(self._updates)

    # On the reader thread --------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Add an update; never waits. Raises ``ConsumerTooSlowError`` beyond the bound."""
        if self._keep is not None and not self._keep(update):
            return
        with self._lock:
            self._updates.append(update)
            self._delivered += 1
            self._delivered_bytes += _weight(update)
            too_many = self._is_over_bound() and not self._makes_room()
        self._changed.tell()
        if too_many:
            raise ConsumerTooSlowError(
                f"updates of more than {self._limit} bytes wait to be taken; the session was ended rather than losing "
                "any. Take them faster, on a thread of their own, or raise QueueLimits.queued"
            )

    def end(self, end: End) -> None:
        """Add the last thing; on any thread. Of several calls the first counts."""
        with self._lock:
            self._end = self._end or end
        self._changed.tell()

    def _makes_room(self) -> bool:
        """Drop spare updates, and the oldest if none was asked for; False if there are too many. The lock is held."""
        while self._is_over_bound():
            place = self._to_drop()
            if place is None:
                return False
            self._taken_out(place)
            self._dropped += 1
        return True

    def _to_drop(self) -> Optional[int]:
        """The place of what is to be dropped first; None if nothing may be."""
        oldest = None if self._asked else 0
        if self._spare is None:
            return oldest
        return next((place for place, update in enumerate(self._updates) if self._spare(update)), oldest)

    def _is_over_bound(self) -> bool:
        return self._delivered_bytes - self._taken_bytes > self._bound and len(self._updates) > 1

    # On the threads of consumers -------------------------------------------------------------------------------

    def keep_all(self) -> None:
        """Drop nothing that is not spare from now on: updates were asked for. Warns of those that were dropped."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            bound, self._bound, asked, self._asked = self._bound, self._limit, self._asked, True
        if dropped and not self._warned:
            self._warned = asked
            why = "nobody took this sound" if asked else "none had been asked for"
            logger.warning(f"%d updates were dropped: {why}, and they filled more than %d bytes", dropped, bound)

    def take(
        self, deadline: Deadline, wanted: Optional[Callable[[ConversationUpdate], bool]] = None
    ) -> Optional[Delivered]:
        """Take the next update, or the first one that is ``wanted``; the End behind the last; None when time is up."""
        self.check()
        if not self._asked or self._dropped:
            self.keep_all()
        look = self._oldest if wanted is None else functools.partial(self._first, wanted, [0])
        return self._changed.wait_for(look, deadline)

    def _oldest(self) -> Optional[Delivered]:
        """Take the oldest update; the End if there is none any more; None if one may still come."""
        with self._lock:
            if not self._updates:
                return self._end
            return self._taken_out(0)

    def _first(self, wanted: Callable[[ConversationUpdate], bool], seen: list[int]) -> Optional[Delivered]:
        """As ``_oldest``, of those that are wanted. ``seen``: how many had been delivered, and were looked at."""
        while True:
            with self._lock:
                fresh = list(itertools.islice(reversed(self._updates), self._delivered - seen[0]))[::-1]
                seen[0] = self._delivered
                if not fresh:
                    return self._end
            for update in fresh:  # without the lock, because `wanted` is the caller's code
                if wanted(update) and self._took(update):
                    return update

    def _took(self, update: ConversationUpdate) -> bool:
        """Take this very update; False if another consumer was faster."""
        with self._lock:
            backs = (
                back for back, each in enumerate(reversed(self._updates), 1) if each is update
            )  # mostly the newest
            back = next(backs, 0)
            if back:
                self._taken_out(-back)
            return bool(back)

    def _taken_out(self, place: int) -> ConversationUpdate:
        """Take out the update at this place; the lock is held."""
        update = self._updates[place]
        weight = _weight(update)
        # There is no call between these two, so no interrupt comes between them.
        self._taken_bytes += weight
        del self._updates[place]
        return update

    def _or_raise(self, item: Optional[Delivered], what: str, timeout: Optional[float]) -> ConversationUpdate:
        if isinstance(item, ConversationUpdate):
            return item
        if item is None:
            raise WaitTimeoutError(f"{what} did not come within {timeout} s; the session goes on")
        if self._closed:
            raise UsageError("this stream of updates was closed; subscribe() gives another")
        raise told_again(item.reason)


class WeakListener:
    """Delivers to a stream while another object refers to it: one that is dropped unclosed must not fill up."""

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
    if isinstance(wanted, UpdateKind):
        kind = wanted
        return lambda update: update.kind == kind
    if isinstance(wanted, str):
        text = wanted  # the type as the server spelled it, or as GA does
        _warn_of_a_slip(text)
        return lambda update: update.type == text or update.kind == text
    if callable(wanted) and not isinstance(wanted, type):
        return wanted
    raise InvalidInputError(f"wanted must be a kind, a wire type, an update class or a function, not {wanted!r}")


def _warn_of_a_slip(wire_type: str) -> None:
    """A type that is not known here is allowed, because services add some; a mistyped one would wait in silence."""
    kinds = (kind for protocol in UpdateKind.__subclasses__() for kind in protocol)
    known = {str(each) for each in (*kinds, *PREVIEW_SPELLINGS)}
    meant = None if wire_type in known else nearest(wire_type, known, cutoff=0.85)
    if meant is not None:
        warn_caller(f"{wire_type!r} is no update that this version knows: is {meant!r} meant?")


def _described(wanted: Wanted) -> str:
    return wanted.__name__ if isinstance(wanted, (type, types.FunctionType)) else str(wanted)


def _weight(update: ConversationUpdate) -> int:
    return (len(update.raw_content) or _size_of_binary(update)) + _OVERHEAD_BYTES


def _size_of_binary(update: ConversationUpdate) -> int:
    return len(update.raw_bytes or b"") if isinstance(update, UnreadableUpdate) else 0
