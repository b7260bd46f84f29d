"""Calls of native libraries, for which the end of the interpreter waits.

A daemon thread that comes back from C++ once the interpreter is gone aborts the whole process ("terminate called
without an active exception", exit code 134; CPython up to 3.13). A script may well end while models are still read.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator

_PATIENCE = 10.0  # seconds; reading all models takes 3, recognising a turn 2 at most


class _Calls:
    """The calls that are going on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards _running and _over
        self._changed = threading.Condition(self._lock)
        self._running: Counter[int] = Counter()  # calls within calls, by thread
        self._over = False

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Around native code, or over a function of it. It may not wait for other threads.

        Raises ``SystemExit`` if the interpreter is about to end.
        """
        thread = threading.get_ident()
        with self._lock:
            # A call within a call is let through: broken off there, it would leave the ruins of the outer one to a
            # thread that nobody waits for any more.
            if self._over and thread not in self._running and threading.current_thread() is not threading.main_thread():
                raise SystemExit  # which ends a thread without a word
            self._running[thread] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[thread] -= 1
                self._running += Counter()  # drops what is zero
                self._changed.notify_all()

    def finish(self) -> None:
        with self._lock:
            self._over = True
            self._changed.wait_for(lambda: not self._running, _PATIENCE)


_calls = _Calls()
atexit.register(_calls.finish)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_calls.__init__)  # type: ignore[misc]  # the child has none of these threads
native_code = _calls.one
