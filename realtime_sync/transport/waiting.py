"""Waiting that ends: a wake-up from another thread, and a socket or a wake-up within a time."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Callable, Optional

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
        # A socket pair and not a pipe: select() on Windows takes sockets only.
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def duplicate(self) -> socket.socket:
        """A descriptor of its own for a selector to watch; the caller closes it.

        Two green threads of eventlet may not watch one descriptor.
        """
        return self._receiver.dup()

    def set(self) -> None:
        """Wake all threads that wait. Does nothing after ``close()``."""
        try:
            self._sender.send(b"\0")
        except OSError:  # full (so it is readable already), or closed (so nobody waits)
            pass

    def close(self) -> None:
        """Release the descriptors. Nobody may be waiting."""
        self._receiver.close()
        self._sender.close()


class Waiter:
    """Waits for a socket or a wake-up, by one thread at a time.

    The selector is made once and kept (select.select fails for descriptors from 1024 on).
    """

    def __init__(self, descriptor: int, wake_up: WakeUp) -> None:
        self._descriptor = descriptor
        self._events = READ
        self._selector = selectors.DefaultSelector()
        self._selector.register(descriptor, READ)
        self._woken = wake_up.duplicate()
        self._selector.register(self._woken, READ)

    def wait(self, events: int, seconds: Optional[float]) -> bool:
        """True if the socket is ready for one of ``events``; False if time ran out or only the wake-up came."""
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
        """Release the descriptors. Nothing is unregistered: after a fork that would reach the parent's."""
        self._selector.close()
        self._woken.close()
