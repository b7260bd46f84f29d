"""Daemon threads that run calls, and one that watches their deadlines.

Python cannot end a thread, so a worker whose call was settled by somebody else (its time was up, it was cancelled) is
left behind with it and ends when the function does; another takes its place. ``concurrent.futures`` is not used
because at exit it joins its threads, so that a function that hangs would keep the interpreter alive.
"""

from __future__ import annotations

import collections
import itertools
import threading
import time
from typing import Callable, Optional

from realtime_sync.deadline import Deadline
from realtime_sync.errors import UsageError
from realtime_sync.tools.calls import RunningCall

# A worker without work ends after this many seconds, so that a forgotten pool keeps no thread.
_IDLE = 5.0


class CallPool:
    """At most ``max_workers`` calls at once, and as many workers left behind before none takes their place."""

    def __init__(self, max_workers: int) -> None:
        self._max_workers = max_workers
        self._lock = threading.Lock()  # guards all that follows
        self._work_came = threading.Condition(self._lock)
        self._deadlines_changed = threading.Condition(self._lock)
        self._queue: collections.deque[RunningCall] = collections.deque()
        self._running: set[RunningCall] = set()
        self._workers = 0  # those in _running's service or free for it
        self._left_behind = 0
        self._watching = False
        self._threads: set[threading.Thread] = set()
        self._numbers = itertools.count(1)
        self._closed = False

    def submit(self, call: RunningCall) -> None:
        """Run it when a worker is free, or settle it at once where none ever will be. Raises ``UsageError``."""
        with self._lock:
            if self._closed:
                raise UsageError("this ToolRunner is closed: make a new one")
            self._queue.append(call)
            hopeless = self._staff_locked()
            self._work_came.notify()
        _fail(hopeless)

    def leave_behind(self, call: RunningCall) -> None:
        """The call has been settled without its worker: it is no longer waited for."""
        with self._lock:
            if call in self._running:
                self._running.remove(call)
                self._workers -= 1
                self._left_behind += 1
            elif call in self._queue:
                self._queue.remove(call)
            hopeless = self._staff_locked()
        _fail(hopeless)

    def close(self, timeout: float) -> None:
        """Cancel every call, and wait up to ``timeout`` seconds for the threads to end."""
        deadline = Deadline(timeout)
        with self._lock:
            self._closed = True
            unfinished = [*self._running, *self._queue]
            self._queue.clear()
            threads = list(self._threads)
            self._work_came.notify_all()
            self._deadlines_changed.notify_all()
        for call in unfinished:
            call.cancel()
        for thread in threads:
            if thread is not threading.current_thread():  # a tool may close its runner
                thread.join(deadline.left)

    # Threads ----------------------------------------------------------------------------------------------------

    def _staff_locked(self) -> list[RunningCall]:
        """Start workers for what is queued; returns the calls that nobody will ever run. Needs the lock."""
        assert self._lock.locked()
        if self._closed:
            return []  # what is left is being cancelled
        while self._workers - len(self._running) < len(self._queue) and self._workers < self._max_workers:
            if self._workers + self._left_behind >= 2 * self._max_workers:
                break
            self._workers += 1
            if not self._start_locked(self._work, "tool"):
                self._workers -= 1
                break
        hopeless = [] if self._workers else list(self._queue)
        if hopeless:
            self._queue.clear()
        return hopeless

    def _start_locked(self, target: Callable[[], None], what: str) -> bool:
        """False where the system has no more threads. Needs the lock."""
        thread = threading.Thread(target=target, name=f"realtime-sync-{what}-{next(self._numbers)}", daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.discard(thread)
            return False
        return True

    def _work(self) -> None:
        while (call := self._next()) is not None:
            call.execute()
            with self._lock:
                if call in self._running:
                    self._running.remove(call)
                    continue
                self._left_behind -= 1
                self._threads.discard(threading.current_thread())
                hopeless = self._staff_locked()
            _fail(hopeless)
            return

    def _next(self) -> Optional[RunningCall]:
        """Wait for work; None where there is none for long, or the pool is closed."""
        with self._lock:
            self._work_came.wait_for(lambda: self._queue or self._closed, _IDLE)
            if not self._queue:
                self._workers -= 1
                self._threads.discard(threading.current_thread())
                return None
            call = self._queue.popleft()
            call.begin()
            self._running.add(call)
            if call.deadline is not None:
                self._deadlines_changed.notify()
                self._watching = self._watching or self._start_locked(self._watch, "tool-watch")
            return call

    def _watch(self) -> None:
        """Give up the calls whose time is up; ends when there are no deadlines left."""
        while True:
            with self._lock:
                deadlines = {call: call.deadline for call in self._running if not call.done}
                timed = {call: end for call, end in deadlines.items() if end is not None}
                if not timed or self._closed:
                    self._watching = False
                    self._threads.discard(threading.current_thread())
                    return
                left = min(timed.values()) - time.monotonic()
                if left > 0:
                    self._deadlines_changed.wait(min(left, threading.TIMEOUT_MAX))
                    continue
            for call, end in timed.items():
                if end <= time.monotonic():
                    call.time_out()


def _fail(hopeless: list[RunningCall]) -> None:
    for call in hopeless:
        call.fail(f"the tool {call.name} was not called: earlier calls have not returned, and no thread is left for it")
