"""Who decides what the model of a live session says, and what it gives away."""

from __future__ import annotations

from typing import Callable, Iterable, Union

import attrs

from realtime_sync.server.responder import Turn


@attrs.frozen
class DelegateWork:
    """A piece of an answer: the work is delegated. What the model says of it is ``LiveRules.acknowledgement``."""


LivePiece = Union[str, DelegateWork]
LiveBrain = Callable[[Turn], Union[LivePiece, Iterable[LivePiece]]]
"""Answers what the user has said, on a thread of its own: what is said, ``DelegateWork()``, or some of both."""
