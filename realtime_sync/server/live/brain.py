"""Who decides what the model of a live session says, and what it gives away."""

from __future__ import annotations

import re
from typing import Callable, Iterable, Iterator, Optional, Union

import attrs

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.responder import FunctionCall, MCPCall, Piece, Reply, Responder, Turn
from realtime_sync.server.tool_calls import is_named

# What a model with instructions to delegate look-ups would give away.
_WORK = re.compile(
    r"\b(check|look\b.{,40}\bup|look (for|into)|find out|search|book|cancel|order|reserve|status|weather)\b",
    re.IGNORECASE,
)


@attrs.frozen
class DelegateWork:
    """A piece of an answer: the work is delegated. What the model says of it is ``LiveRules.acknowledgement``."""


LivePiece = Union[str, DelegateWork]
LiveBrain = Callable[[Turn], Union[LivePiece, Iterable[LivePiece]]]
"""Answers what the user has said, on a thread of its own: what is said, ``DelegateWork()``, or some of both."""


def is_work(turn: Turn) -> bool:
    """Whether what the user said last names a tool of the backend, or wants something checked, found, booked, ..."""
    text = "" if turn.last is None else turn.text_of(turn.last)
    named = any(is_named(str(tool["name"]), text) for tool in turn.tools if tool.get("type") == "function")
    return named or _WORK.search(text) is not None


class ResponderBrain:
    """A ``LiveBrain`` of a responder of the other protocol, which says what is not delegated.

    Args:
        responder: Says it, such as ``RulesBrain()``; where it would call a function, the work is delegated.
        delegates: Whether the work is delegated before the responder is asked. None: ``is_work``.
    """

    def __init__(self, responder: Responder, delegates: Optional[Callable[[Turn], bool]] = None) -> None:
        self._responder = responder
        self._delegates = delegates or is_work

    def __call__(self, turn: Turn) -> Iterator[LivePiece]:
        """See ``LiveBrain``."""
        if self._delegates(turn):
            yield DelegateWork()
            return
        for piece in pieces_of(self._responder(attrs.evolve(turn, tools=[]))):
            if isinstance(piece, (FunctionCall, MCPCall)):
                yield DelegateWork()
            elif isinstance(piece, Reply):
                if piece.text:
                    yield piece.text
                if piece.function_calls or piece.mcp_calls:
                    yield DelegateWork()
            else:
                yield piece


def pieces_of(said: Union[Piece, Iterable[Piece]]) -> Iterable[Piece]:
    """What a responder has returned, as pieces; strings that follow one another are one.

    Raises ``ConfigurationError`` for what is none.
    """
    text = ""
    given: Iterable[object] = [said] if isinstance(said, (str, Reply, FunctionCall, MCPCall)) else said
    for piece in given:
        if isinstance(piece, str):
            text += piece
            continue
        if not isinstance(piece, (Reply, FunctionCall, MCPCall)):
            told = f"A responder returned {piece!r}, but must return texts, Replys, FunctionCalls or MCPCalls."
            raise ConfigurationError(told)
        if text:
            yield text
            text = ""
        yield piece
    if text:
        yield text
