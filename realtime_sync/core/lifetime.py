"""Live sessions at a fork and at the interpreter's exit.

After a fork the child's copy of a session lets go of the parent's connection. At exit each live session says goodbye,
so that the service stops at once what it would bill; daemon threads end without a word.

``_alive`` is changed and copied by single operations of dict, which need no lock: in the moment of a fork another
thread might hold it.
"""

from __future__ import annotations

import atexit
import os
from typing import Protocol


class Living(Protocol):
    """A session's engine, as far as this module needs it."""

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection, in a forked child."""

    def say_goodbye(self) -> None:
        """Begin a close without waiting for the answer."""


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
    for engine in list(_alive.values()):
        engine.say_goodbye()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all_after_fork)
atexit.register(_say_goodbye_to_all)
