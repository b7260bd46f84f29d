"""Starting threads, and closing on a thread of its own.

A signal handler runs on the main thread, between any two steps of whatever call it interrupts, and that call may hold
any lock of this package. A ``close()`` in the handler that took such a lock would wait for the very frame that it keeps
from going on. A finaliser (``__del__``), which runs wherever garbage is collected, may do the same. So:

1. What closes a session, or all of a client's, runs on a thread of its own (``aside``), and the caller waits for that
   thread on a lock which no other frame can hold. If the closing is stuck behind the interrupted call, the handler
   waits half a second at most and returns; the call goes on, gives its lock back, and the closing goes on with it.
2. Ctrl-C ends the wait for a closing, and not the closing. Nothing is closed by half.
3. Other things that are closed at once, without waiting for anybody, do so on the caller's thread, unless it is inside
   of another call (``aside_if_nested``).

The thread of a closing is not started by the caller's, because what the handler has interrupted may be the start of
another thread, which takes locks of ``threading``.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections.abc import Iterator
from typing import Callable, Optional, ParamSpec, TypeVar

from realtime_sync.deadline import Deadline
from realtime_sync.errors import NoMoreThreadsError
from realtime_sync.interrupts import start, start_apart

P = ParamSpec("P")
T = TypeVar("T")

# How long a call waits for a closing that may be stuck behind the caller's own frames.
_NESTED_SECONDS = 0.5
# How much longer than it should take a closing is waited for.
_SLACK_SECONDS = 3.0
_PACKAGE = __name__.partition(".")[0]
# Its frames stand between two of ours wherever a ``with`` of ours uses a generator.
_BETWEEN = "contextlib"


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread. Raises ``NoMoreThreadsError``."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    typed(lambda: start(thread))
    return thread


def typed(start: Callable[[], T]) -> T:
    """What ``start()`` returns, which starts a thread. Raises ``NoMoreThreadsError``."""
    try:
        return start()
    except RuntimeError as error:
        if "shutdown" in str(error):  # CPython's word from 3.12 on
            told = (
                "Python is exiting, so no thread can be started any more. Start nothing in atexit functions, and on "
                "CPython 3.12.0 to 3.12.2 nothing when the main thread has ended"
            )
        else:
            told = (
                f"No thread can be started ({error}). Close sessions that are not needed, or allow this process more "
                "threads (ulimit -u, a container's limit of processes)"
            )
        raise NoMoreThreadsError(f"{told}.") from error


def aside(work: Callable[[], None], name: str, within: float) -> None:
    """Do ``work`` on a thread of its own, and wait for its end: half a second at most if this thread is in a call.

    ``work`` must end by itself, and raise nothing; ``within``: the seconds that it should take. It may take longer, if
    the caller is a signal handler that has interrupted something else whose lock is needed, such as a call of
    ``logging``. If no thread can be started, it is done here.
    """
    finished = threading.Lock()
    finished.acquire()

    def run() -> None:
        try:
            work()
        finally:
            finished.release()

    thread = threading.Thread(target=run, name=name, daemon=True)
    refused: list[BaseException] = []

    def then(problem: Optional[BaseException]) -> None:
        if problem is not None:  # no thread can be started
            refused.append(problem)
            finished.release()

    try:
        start_apart(thread, then)
    except RuntimeError:
        work()
        return
    deadline = Deadline(_NESTED_SECONDS if is_nested() else within + _SLACK_SECONDS)
    deadline.wait(lambda seconds: finished.acquire(timeout=seconds or 0))
    if refused:
        work()


def apart(work: Callable[[], None], name: str) -> None:
    """Do ``work`` on a thread of its own, and wait for nothing; for finalisers, which run in the middle of anything.

    ``work`` must raise nothing. If no thread can be started, it is done here.
    """
    try:
        start_apart(threading.Thread(target=work, name=name, daemon=True), lambda problem: work() if problem else None)
    except RuntimeError:
        work()


def aside_if_nested(close: Callable[P, None]) -> Callable[P, None]:
    """Have ``close`` run on a thread of its own if the caller's thread is inside of another call, see ``aside``."""

    @functools.wraps(close)
    def closing(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_nested():
            aside(lambda: close(*args, **kwargs), "realtime-sync-closer", _NESTED_SECONDS)
        else:
            close(*args, **kwargs)

    return closing


def is_nested() -> bool:
    """Whether this thread was in a call of this package when the caller's code was called that has called this.

    So it is in a signal handler that has interrupted such a call, in a finaliser, or in a callback.
    """
    outside = False  # the caller's code was met
    for package in _packages(inspect.currentframe()):
        if package == _PACKAGE and outside:
            return True
        outside = outside or package not in (_PACKAGE, _BETWEEN)
    return False


def is_inside(frame: Optional[types.FrameType]) -> bool:
    """Whether a thread whose innermost frame this is is in a call of this package."""
    return _PACKAGE in _packages(frame)


def _packages(frame: Optional[types.FrameType]) -> Iterator[str]:
    """The packages of a stack's frames, from the innermost one on."""
    while frame is not None:
        yield str(frame.f_globals.get("__name__")).partition(".")[0]
        frame = frame.f_back
