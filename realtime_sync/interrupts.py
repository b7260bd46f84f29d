"""Waiting for other threads, waking them and starting them, so that Ctrl-C at any bytecode leaves nothing half done.

Python raises ``KeyboardInterrupt`` in the main thread between two bytecodes: when a function is entered, when a loop
jumps back, and when a call of a C function returns. So what one C call does is done whole, and ``with lock:`` gives a C
lock back whatever comes. ``threading``'s own ``Condition``, ``Event`` and ``Semaphore``, ``queue.Queue`` and
``Thread.start()`` are Python: an exception right behind the acquiring of their lock leaves it taken for ever, and one
in a wait may be lost to "release unlocked lock". None of them is used on a thread of the caller's. The rules instead:

1. No lock is held while a thread waits. It registers a lock of its own, looks at what it waits for, and waits on that
   lock. A change that comes before the look is seen, one that comes later finds the registration: none is missed.
2. The state that is looked at keeps its own lock. Who changes it tells all who wait, and each looks again. So a thread
   that is interrupted takes nothing away from the others, and a registration that is left behind is harmless.
3. All are told within one C call.
4. A loop or a comprehension that may jump back from a condition does not stand in the block of a ``with lock:``, but
   in a function of its own, or in a generator expression. CPython 3.12 and 3.13 compile that jump so that an exception
   there leaves the block without ``__exit__``. ``tests/test_layers.py`` looks at the bytecode.
"""

from __future__ import annotations

import _thread
import operator
import threading
from collections import deque
from typing import Callable, Optional, TypeVar

from realtime_sync.deadline import Deadline

T = TypeVar("T")

_release = operator.methodcaller("release")


class Change:
    """Lets threads wait until something has changed. It has no lock: any thread may use it, a signal handler, too."""

    def __init__(self) -> None:
        self._waiting: set[threading.Lock] = set()  # changed by single operations of set

    def tell(self) -> None:
        """Have all threads that wait look again. Call it after the change, or under the lock with which they look."""
        if self._waiting:
            try:
                deque(map(_release, iter(self._waiting.pop, None)), maxlen=0)  # rule 3
            except KeyError:  # it is empty now
                pass

    def wait_for(
        self, look: Callable[[], T], deadline: Deadline, again: Optional[Callable[[], Optional[float]]] = None
    ) -> T:
        """What ``look()`` returns as soon as that is true; what it returns at the deadline, if it is not true by then.

        ``look`` is called without any lock, at each change. ``again``: asked after each look; in so many seconds to
        look again, though nothing has changed; None: it need not be.
        """
        while True:
            found = look()  # before and after each wait: registering takes as long as to look three times
            if found:
                return found
            woken = threading.Lock()
            woken.acquire()
            try:
                self._waiting.add(woken)
                found = look()
                if found:
                    return found
                seconds = again() if again is not None else None
                bound = deadline if seconds is None else deadline.within(seconds)
                # That the wait has lasted so long says that time is up, also to a program whose clock stands still.
                if not bound.acquire(woken) and (bound is deadline or deadline.left == 0):
                    return look()
            finally:
                self._waiting.discard(woken)


class Flag(Change):
    """Set once; threads wait until it is. As ``threading.Event``, but see the module."""

    def __init__(self) -> None:
        super().__init__()
        self._set = False

    def is_set(self) -> bool:
        """True from the first ``set()`` on."""
        return self._set

    def set(self) -> None:
        """Set it, and wake all threads that wait."""
        self._set = True
        self.tell()

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Wait until it is set, at most ``timeout`` seconds; True if it is."""
        return self.wait_for(self.is_set, Deadline(timeout))


def start(thread: threading.Thread) -> None:
    """Start a thread. If this is interrupted, the thread runs or does not, but never hangs in the middle.

    ``Thread.start()`` waits for the new thread by an ``Event``, so on the main thread another one calls it.
    """
    if threading.current_thread() is not threading.main_thread():
        thread.start()
        return
    tried, problems = Flag(), list[BaseException]()

    def then(problem: Optional[BaseException]) -> None:
        if problem is not None:
            problems.append(problem)
        tried.set()

    start_apart(thread, then)
    tried.wait()
    if problems:
        raise problems[0]


def start_apart(thread: threading.Thread, then: Callable[[Optional[BaseException]], None]) -> None:
    """Have another thread start this one, and call ``then`` with what that raised, or None. Does not wait for it."""

    def begin() -> None:
        try:
            thread.start()
        except BaseException as problem:
            then(problem)
        else:
            then(None)

    _thread.start_new_thread(begin, ())
