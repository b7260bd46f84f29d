"""Waiting that ends: a wake-up from another thread, and a socket or a wake-up within a time."""

from __future__ import annotations

import io
import math
import os
import select
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Callable, Optional, Protocol, Union

from realtime_sync.interrupts import Flag

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Cancellation:
    """Lets any thread end a ``connect()`` that is under way, at once.

    It is only ever set, never reset: one for each attempt to open a session, retries included.
    """

    def __init__(self) -> None:
        self._cancelled = Flag()
        self._lock = threading.Lock()  # guards _watchers, their being called, and their order with _cancelled
        self._watchers: dict[int, Callable[[], None]] = {}

    def cancel(self) -> None:
        """End what is waiting with ConnectCancelledError. Idempotent, callable from any thread, never blocks."""
        with self._lock:
            self._cancelled.set()
            for wake in self._watchers.values():
                wake()

    @property
    def cancelled(self) -> bool:
        """True from the first ``cancel()`` on."""
        return self._cancelled.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait between two attempts: True at once if it is cancelled meanwhile, else False after ``seconds``."""
        return self._cancelled.wait(seconds)

    def watch(self, wake: Callable[[], None]) -> None:
        """Have ``wake`` called by ``cancel()``; it must not block nor raise, and may be called at once."""
        with self._lock:
            self._watchers[id(wake)] = wake
        if self.cancelled:
            wake()

    def unwatch(self, wake: Callable[[], None]) -> None:
        """Undo ``watch``: afterwards no ``cancel()`` is calling ``wake`` (so what it uses may be closed), or ever will.

        If ``cancelled`` is False then, it was never called.
        """
        with self._lock:
            self._watchers.pop(id(wake), None)

    def close(self) -> None:
        """Forget what is waiting. There are no descriptors here: each wait brings its own."""
        with self._lock:
            self._watchers.clear()

    def __enter__(self) -> Cancellation:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class WakeUp:
    """A descriptor that becomes readable for good when ``set()`` is called, from any thread.

    It is never drained: a later wait returns at once, so no order of events can lose it.
    """

    def __init__(self) -> None:
        self._event: Optional[io.FileIO] = None
        if hasattr(os, "eventfd"):  # Linux; a file object, which closes it whatever happens
            self._event = io.FileIO(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        else:  # a socket pair and not a pipe: select() on Windows takes sockets only
            self._receiver, self._sender = socket.socketpair()
            self._receiver.setblocking(False)
            self._sender.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return (self._event or self._receiver).fileno()

    def duplicate(self) -> Union[io.FileIO, socket.socket]:
        """Another descriptor for the same; the caller closes it."""
        return self._receiver.dup() if self._event is None else io.FileIO(os.dup(self._event.fileno()))

    def set(self) -> None:
        """Wake all threads that wait. Does nothing after ``close()``."""
        try:
            if self._event is None:
                self._sender.send(b"\0")
            else:
                os.eventfd_write(self._event.fileno(), 1)
        except (OSError, ValueError):  # full (so it is readable already), or closed (so nobody waits)
            pass

    def close(self) -> None:
        """Release the descriptors. Nobody may be waiting."""
        if self._event is None:
            self._receiver.close()
            self._sender.close()
        else:
            self._event.close()


class Waiter(Protocol):
    """Waits for a socket or a wake-up, by one thread at a time. Made by ``new_waiter``."""

    def wait(self, events: int, seconds: Optional[float]) -> bool:
        """True if the socket is ready for one of ``events``; False if time ran out or only the wake-up came."""

    def close(self) -> None:
        """Release its descriptors, if it has any. Nobody may be waiting."""


def new_waiter(descriptor: int, wake_up: WakeUp) -> Waiter:
    """What waits for this socket."""
    # Looked up each time: eventlet takes it away when it patches, and Windows never had it.
    return _Polling(descriptor, wake_up) if hasattr(select, "poll") else _Selecting(descriptor, wake_up)


class _Polling:
    """By ``poll``, which needs no descriptor of its own."""

    def __init__(self, descriptor: int, wake_up: WakeUp) -> None:
        self._descriptor, self._wake_up = descriptor, wake_up.fileno()
        self._events = READ
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(self._wake_up, select.POLLIN)

    def wait(self, events: int, seconds: Optional[float]) -> bool:
        if events != self._events:
            wanted = (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0)
            self._poll.modify(self._descriptor, wanted)
            self._events = events
        # Rounded up: a wait that is cut short by less than a millisecond would be repeated.
        ready = self._poll.poll(None if seconds is None else max(0, math.ceil(seconds * 1000)))
        return self._descriptor in dict(ready)

    def close(self) -> None:
        for descriptor in (self._descriptor, self._wake_up):  # of which gevent's has something to release
            with suppress(KeyError):  # closed already
                self._poll.unregister(descriptor)


class _Selecting:
    """By the system's best selector, which is made once and kept (select.select fails for descriptors from 1024 on)."""

    def __init__(self, descriptor: int, wake_up: WakeUp) -> None:
        self._descriptor = descriptor
        self._events = READ
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, READ)
        self._woken = wake_up.duplicate()  # two green threads of eventlet may not watch one descriptor
        self._selector.register(self._woken, READ)

    def wait(self, events: int, seconds: Optional[float]) -> bool:
        if events != self._events:
            self._selector.modify(self._descriptor, events)
            self._events = events
        try:
            ready = self._selector.select(None if seconds is None else max(0.0, seconds))
        except RuntimeError:  # eventlet's: another green thread waits for the same event of this socket (rarely, TLS)
            time.sleep(0.01)
            return True
        return any(key.fd == self._descriptor for key, _ in ready)

    def close(self) -> None:
        self._selector.close()  # nothing is unregistered: after a fork that would reach the parent's
        self._woken.close()
