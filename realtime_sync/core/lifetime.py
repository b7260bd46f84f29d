"""Live sessions at a fork and at the interpreter's exit.

After a fork the child's copy of a session lets go of the parent's connection.

At exit each live session says goodbye, so that the service stops at once what it would bill; daemon threads end without
a word. Before that, Python waits for all threads that are no daemons, a pool's workers among them. Such a thread may go
on working: it is asked and answered as before. If it waits for a session in which nothing happens any more, it would
keep the interpreter for ever; so that session is closed, in an orderly way, and the thread released.

``_alive`` is changed and copied by single operations of dict, which need no lock: in the moment of a fork another
thread might hold it.
"""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  it must have registered its own before this module does: see the end
import os
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Optional, Protocol

from realtime_sync.deadline import Deadline
from realtime_sync.threads import is_inside

# How long nothing was received or sent in a session that is closed at exit; likewise if a response or a tool is under
# way; and how long no thread was in a call of this package, so that there is nothing more to wait for here.
_QUIET_SECONDS = 2.0
_WORKING_SECONDS = 30.0
_AWAY_SECONDS = 1.0
# The threads on which functions of the caller's work for the model, see ``tools/calls.py``.
_WORKERS = ("realtime-sync-tool-", "realtime-sync-delegate-")
_LOOK_SECONDS = 0.05
# How long closes that were begun in a signal handler, which has ended the program, may still take.
_CLOSING_SECONDS = 0.5


class Living(Protocol):
    """A session's engine, as far as this module needs it."""

    @property
    def traffic(self) -> object:
        """Another value after each message that was received or sent."""

    @property
    def answering(self) -> bool:
        """True while the service answers."""

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection, in a forked child."""

    def begin_close(self, code: int, reason: str, within: Optional[float] = None) -> Deadline:
        """Send the close frame; returns how long to wait for the answer."""

    def close_here(self, code: int, reason: str) -> None:
        """Close the session, on this thread."""

    def say_goodbye(self, deadline: Deadline) -> None:
        """Begin a close without waiting for the answer. One that is under way has until the deadline."""


_alive: dict[int, Living] = {}  # by id()


def enter(engine: Living) -> None:
    """The engine's reader is about to start."""
    _alive[id(engine)] = engine


def leave(engine: Living) -> None:
    """The engine has ended."""
    _alive.pop(id(engine), None)


def _forget_all_after_fork() -> None:
    for engine in list(_alive.values()):
        engine.forget_after_fork()


def _say_goodbye_to_all() -> None:
    deadline = Deadline(_CLOSING_SECONDS)
    for engine in list(_alive.values()):
        engine.say_goodbye(deadline)


def _release_waiting_threads() -> None:
    """While threads that are no daemons are in calls of this package, close each session that has become quiet."""
    moved: dict[int, tuple[object, float]] = {}  # by id(): the traffic of a session, and since when it is that
    inside = time.monotonic()  # when a thread was in a call last
    while _alive and (stacks := _stacks_of_others()):
        now = time.monotonic()
        inside = now if any(map(is_inside, stacks)) else inside
        if now - inside > _AWAY_SECONDS:
            return
        tools = any(thread.name.startswith(_WORKERS) for thread in threading.enumerate())
        quiet: list[Living] = []
        for engine in list(_alive.values()):
            traffic, since = moved.setdefault(id(engine), (engine.traffic, now))
            if traffic != engine.traffic:
                moved[id(engine)] = engine.traffic, now
            elif now - since > (_WORKING_SECONDS if tools or engine.answering else _QUIET_SECONDS):
                quiet.append(engine)
        for engine in quiet:  # first all, then the waiting, so that many silent servers take no longer than one
            engine.begin_close(1001, "", within=0)
        for engine in quiet:
            engine.close_here(1001, "")
        time.sleep(_LOOK_SECONDS)


def _stacks_of_others() -> list[Optional[FrameType]]:
    """The innermost frames of the threads that Python is about to wait for."""
    stacks, mine = sys._current_frames(), threading.current_thread()
    others = (thread for thread in threading.enumerate() if not thread.daemon and thread is not mine)
    return [stacks.get(thread.ident or 0) for thread in others]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all_after_fork)
atexit.register(_say_goodbye_to_all)
# CPython's own, and not documented: nothing that is documented is called before the threads are joined. Called in the
# reverse order, so before the workers of pools are joined. Where it is not there, a thread that waits for a session in
# which nothing happens keeps the interpreter.
_before_threads_are_joined = getattr(threading, "_register_atexit", None)
if _before_threads_are_joined is not None:
    with suppress(RuntimeError):  # imported by a thread when the main one has ended: then that moment is over
        _before_threads_are_joined(_release_waiting_threads)
