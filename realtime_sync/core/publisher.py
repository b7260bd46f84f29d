"""Hands updates to the listeners: streams, and features such as the interrupter.

Rules:

1. A listener (``streams.py``) is called on the reader thread with each update, in the order in which the listeners were
   added, and at the end. (The recovery's thread publishes its own updates, with the same lock held.)
2. The session's own stream, ``updates``, is the first listener. It does not get the updates that belong to an ``ask``
   or ``respond``, except while a block of ``observing`` runs (``run``).
3. A listener without room does not keep the update from the others; its error ends the session afterwards.

Locks: ``delivering`` is held while one update is handed on, with all that belongs to it. ``_listeners`` is replaced as
a whole, with ``states.lock`` held, so the reader walks through it without that lock. ``_observers`` is changed by
single operations of set, which need no lock: in a forked child a lock might be held for ever.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, Optional

from realtime_sync.core.limits import QueueLimits
from realtime_sync.core.state import SessionStates
from realtime_sync.core.streams import Listener, UpdateQueue, WeakListener
from realtime_sync.errors import ConsumerTooSlowError, ForkedSessionError
from realtime_sync.protocol.update_base import ConversationUpdate


class Publisher:
    """The half of an engine that hands updates on; see the module."""

    unread_part = 1
    """Until it is first asked for an update, ``updates`` keeps ``QueueLimits.unread`` divided by this."""

    def __init__(self, limits: QueueLimits) -> None:
        self.limits = limits
        self.states = SessionStates()
        self.delivering = threading.Lock()
        self._pid = os.getpid()
        self._listeners: tuple[Listener, ...] = ()
        self._observers: set[object] = set()
        self.updates = self._new_queue(
            lambda: self.stop_listening(self.updates),
            unread_limit=max(1, limits.unread // self.unread_part),
            spare=self.is_spare,
        )
        self.listen(self.updates)

    @property
    def forked(self) -> bool:
        """True in a forked child, where the locks may be held by threads that are not there."""
        # Asked each time (0.15 µs): uWSGI forks without Python's after-fork hooks unless it is told to call them (2.0).
        return self._pid != os.getpid()

    def check_process(self) -> None:
        """Raise ``ForkedSessionError`` in a forked child."""
        if self.forked:
            raise ForkedSessionError(
                "this session was opened before the process was forked; its connection and its thread belong to the "
                "parent. Open a session in the child: after the fork, in the worker, inside the view or task"
            )

    def open_queue(self, keep: Optional[Callable[[ConversationUpdate], bool]] = None) -> UpdateQueue:
        """A queue of all updates from now on, or of those that ``keep`` returns True for, on the reader thread."""
        queue = self._new_queue(lambda: self.stop_listening(listener), keep=keep)
        listener = WeakListener(queue, self.stop_listening)
        self.listen(listener)
        return queue

    def _new_queue(
        self,
        forget: Callable[[], None],
        unread_limit: Optional[int] = None,
        keep: Optional[Callable[[ConversationUpdate], bool]] = None,
        spare: Optional[Callable[[ConversationUpdate], bool]] = None,
    ) -> UpdateQueue:
        limit, check = self.limits.queued, self.check_process
        return UpdateQueue(limit=limit, unread_limit=unread_limit, keep=keep, spare=spare, check=check, forget=forget)

    def is_spare(self, update: ConversationUpdate) -> bool:
        """Whether ``updates`` drops this rather than end the session, if it is not taken in time."""
        return False

    def listen(self, listener: Listener) -> None:
        """Have ``listener`` called with all updates from now on, on the reader thread, and at the end."""
        with self.states.lock:
            self._listeners = (*self._listeners, listener)
            end = self.states.end
        if end is not None:
            listener.end(end)

    def listen_from_the_start(self, listener: Listener) -> None:
        """As ``listen``, and first call it with the updates that have come and were not taken yet.

        For a session that is told something at once, such as a sideband: its reader is there before its features.
        """
        with self.delivering:
            for update in self.updates.waiting:
                listener.deliver(update)
            self.listen(listener)

    def stop_listening(self, listener: Listener) -> None:
        """Do not call ``listener`` any more; does nothing if it was not called."""
        if self.forked:  # no thread here calls it, and the lock may be held for ever
            return
        with self.states.lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    @contextmanager
    def observing(self) -> Iterator[None]:
        """Give ``updates`` everything while the block runs, including the updates that belong to askers."""
        self.check_process()
        observer = object()
        try:
            self._observers.add(observer)
            yield
        finally:
            self._observers.discard(observer)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have ``listener`` called while the block runs; if Ctrl-C comes at the end, until nobody knows it."""
        while_known = WeakListener(listener, self.stop_listening)
        try:
            self.listen(while_known)
            yield
        finally:
            self.stop_listening(while_known)

    def publish(self, update: ConversationUpdate, *, askers: bool = False) -> None:
        """Hand an update to all listeners. The lock ``delivering`` is held.

        ``askers``: the update belongs to an ``ask`` or ``respond``, so ``updates`` gets it only while ``observing``.
        """
        assert self.delivering.locked()
        listeners = self._listeners[1:] if askers and not self._observers else self._listeners
        too_slow: Optional[ConsumerTooSlowError] = None
        for listener in listeners:
            try:
                listener.deliver(update)
            except ConsumerTooSlowError as error:  # the others get the update all the same
                too_slow = error
        if too_slow is not None:
            raise too_slow
