"""The sessions that a client started, and its attempts to start one: what ``client.close()`` ends.

Lock: ``OpenSessions._lock`` guards all fields; nothing is taken under it. ``close()`` from another thread cancels
attempts to connect and closes sessions that are being started. ``closed`` is set before the lists are read, and read
after something was added to them: so either ``close()`` finds it, or it finds itself closed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, TypeVar

from realtime_sync.core.engine import Engine
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectCancelledError
from realtime_sync.hooks import HOOK_SECONDS
from realtime_sync.threads import aside
from realtime_sync.transport import Cancellation, Connection

E = TypeVar("E", bound=Engine)


class OpenSessions:
    """See the module."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.closed = False
        self._connecting: set[Cancellation] = set()
        self._engines: weakref.WeakSet[Engine] = weakref.WeakSet()  # their readers keep them alive
        self._close_seconds = 0.0  # of the session that may take longest; only grows

    @contextmanager
    def cancellable(self) -> Iterator[Cancellation]:
        """A cancellation that ``close()`` triggers, or has triggered already."""
        with Cancellation() as cancellation:
            try:
                with self._lock:
                    self._connecting.add(cancellation)
                    if self.closed:
                        cancellation.cancel()
                yield cancellation
            finally:
                with self._lock:
                    self._connecting.discard(cancellation)

    def connected(self, connect: Callable[[Cancellation], Connection], make_engine: Callable[[Connection], E]) -> E:
        """An engine on a new connection, which ``close()`` can end from the beginning on."""
        connection = None
        try:
            with self.cancellable() as cancellation:
                connection = connect(cancellation)
                engine = make_engine(connection)
                with self._lock:
                    self._engines.add(engine)
                    self._close_seconds = max(self._close_seconds, engine.close_seconds)
            return engine
        except BaseException:
            if connection is not None:
                connection.dispose()  # and if there is an engine by now, it ends by this
            raise

    def check_usable(self) -> None:
        """Raise if no session can be started any more."""
        if self.closed:
            raise ConnectCancelledError("This client was closed; make another one.")

    def check_not_closed(self) -> None:
        """Raise if ``close()`` was called while a session was started."""
        if self.closed:
            raise ConnectCancelledError("The client was closed while the session was started; nothing is open.")

    def close(self) -> None:
        """End all sessions and attempts, from any thread; all together may take as long as the slowest of them."""
        self.closed = True  # no lock is taken here: this may be a signal handler, in the middle of a start
        longest = self._close_seconds + 0.5 * len(self._engines)
        aside(self._close, "realtime-sync-client-closer", longest)

    def _close(self) -> None:
        with self._lock:
            connecting, engines = list(self._connecting), list(self._engines)
        for cancellation in connecting:
            cancellation.cancel()
        deadline = Deadline(self._close_seconds)  # for all together, silent and stalled ones too
        for engine in engines:
            engine.begin_close(1000, "", deadline.left)
        for engine in engines:
            engine.close_here(1000, "")
        told = Deadline(HOOK_SECONDS)
        for engine in engines:
            engine.wait_for_hooks(told)
