"""Messages to somebody whose network may be slow, sent by a thread of their own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Callable, Optional, Union

import attrs

from realtime_sync.checks import check_function, check_whole
from realtime_sync.deadline import Deadline
from realtime_sync.errors import NoMoreThreadsError
from realtime_sync.interrupts import Change, Flag
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested, start_thread

logger = logging.getLogger(__name__)

Message = Union[str, bytes]
# Some minutes of sound.
_MOST_BYTES = 32 * 1024 * 1024


@attrs.frozen(eq=False)
class _Put:
    messages: tuple[Message, ...]
    spare: bool

    @property
    def size(self) -> int:
        return sum(map(len, self.messages))


_END = _Put((), spare=False)


@reportable
class OutgoingLink:
    """Sends messages in order, on a thread of its own: whoever puts one never waits for the network.

    ``send``: sends one; what it raises ends the link. ``cut``: called once if the link ends before all was sent; it is
    to end the connection, which wakes a ``send`` that hangs, and whoever reads. ``most_bytes``: so much may wait;
    beyond it the other side takes nothing, and the link ends. ``name``: what the log calls the other side.

    The thread is there from the first message on, so a link that never got to its owner (Ctrl-C) leaves none.
    """

    def __init__(
        self,
        send: Callable[[Message], object],
        *,
        cut: Optional[Callable[[], object]] = None,
        most_bytes: int = _MOST_BYTES,
        name: str = "remote",
    ) -> None:
        check_function("cut", cut)
        check_whole("most_bytes", most_bytes, "bytes", at_least=1)
        self._send = send
        self._cut = cut
        self._most = most_bytes
        self._name = name
        self._changed = Change()  # told of each change of what is below
        self._lock = threading.Lock()  # guards all below
        self._waiting: deque[_Put] = deque()
        self._bytes = 0  # of what waits
        self._sending = 0  # bytes of what is being sent
        self._closing = False
        self._was_cut = False
        self._runs = False  # the thread is at work, or was
        self._begun = False  # it was started, for certain; changed without the lock
        self._over = Flag()  # nothing is sent any more

    @property
    def open(self) -> bool:
        """False once it was closed, or has ended because the other side takes nothing any more."""
        return not self._closing and not self._over.is_set()

    def put(self, *messages: Message, spare: bool = False) -> None:
        """Send these, with nothing between them; returns at once. Forgets them once the link is not open any more.

        ``spare``: ``drop()`` may forget them while they wait. Raises ``NoMoreThreadsError``, with the first message.
        """
        put = _Put(messages, spare)
        with self._lock:
            if not self.open:
                return
            self._waiting.append(put)
            self._bytes += put.size
            too_much = self._bytes + self._sending > self._most
            self._changed.tell()
        if not self._begun:
            self._begin()
        if too_much:
            self._end(f"more than {self._most:,} bytes wait, because it does not take them")

    def drop(self) -> None:
        """Forget what is spare and was not sent yet, such as the rest of an answer that nobody wants to hear."""
        with self._lock:
            self._waiting = deque(put for put in self._waiting if not put.spare)
            self._bytes = sum(put.size for put in self._waiting)

    @aside_if_nested
    def close(self, seconds: float = 2.0) -> None:
        """Send what is left, for so many seconds at most; then the connection is cut. Idempotent, from any thread."""
        with self._lock:
            self._closing = True
            if not self._runs and not self._waiting:
                self._over.set()
            self._changed.tell()
        if not self._over.wait(seconds):
            self._end(f"it did not take the rest within {seconds:g} s")

    def _begin(self) -> None:
        """Start the thread. Of several that are started, because the first put was interrupted, one runs."""
        try:
            start_thread(self._run, f"realtime-sync-link-{self._name}")
        except NoMoreThreadsError as error:
            self._end(str(error))
            raise
        self._begun = True

    def _run(self) -> None:
        with self._lock:
            ran, self._runs = self._runs, True
        if ran:
            return
        try:
            while (put := self._changed.wait_for(self._next, Deadline(None))) not in (None, _END):
                for message in put.messages:
                    self._send(message)
        except Exception as error:  # the application's: its socket has its own errors
            self._end(f"{type(error).__name__}: {error}")
        finally:
            self._over.set()

    def _next(self) -> Optional[_Put]:
        """What is to be sent next; None if nothing waits, ``_END`` if nothing more will."""
        with self._lock:
            self._sending = 0
            if not self._waiting:
                return _END if self._closing else None
            put = self._waiting.popleft()
            self._bytes -= put.size
            self._sending = put.size
            return put

    def _end(self, why: str) -> None:
        """Nothing more is sent."""
        with self._lock:
            if self._was_cut:
                return
            self._was_cut = self._closing = True
            self._waiting.clear()
            self._bytes = 0
            self._changed.tell()
        logger.info("the connection to %r is ended: %s", self._name, why)
        try:
            if self._cut is not None:
                self._cut()
        except Exception as error:  # such as that of a socket that is closed already
            logger.info("the connection to %r could not be cut: %s: %s", self._name, type(error).__name__, error)

    def __repr__(self) -> str:
        return f"<OutgoingLink {self._name!r}: {'open' if self.open else 'closed'}, {self._bytes} bytes wait>"
