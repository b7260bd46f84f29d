"""Secrets in use: not shown, not kept in error reports, and replaced where a server tells them back.

Three means, for three ways out:

- ``Secret``: a text that reprs do not show and that cannot be pickled, for what objects keep.
- ``discreet``: for functions that are given secrets, or make texts of them. Tools that report errors with the local
  variables of all functions under way would show them; so what such a function raises keeps its lines, not its locals.
- ``Redactor``: the values in use of one connection, for what a server says.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import traceback
from collections.abc import Iterable
from typing import Callable, NoReturn, Optional, ParamSpec, TypeVar
from urllib.parse import quote, unquote

from realtime_sync.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type[object])

HIDDEN = "***"
"""What stands where a secret was."""

# What is shorter is no secret, and stands in many a word.
_SHORTEST = 8
# What is shorter may be a word that people say, such as the key "anything" that a server of one's own is given.
_SHORTEST_ANYWHERE = 16


class Secret(str):
    """A text that is used as any other, and that no repr shows: not its own, and not that of what holds it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ConfigurationError(
            "This holds a key, a token or a password, so it is not pickled and cannot be sent to another process. "
            "Make it there, of what the environment of that process says. A secret that is made to be handed over is "
            "so by str(secret)."
        )


def discreet(function: Callable[P, R]) -> Callable[P, R]:
    """The function, but what it raises keeps no local variables: neither its own nor of what it has called."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        before = sys.exc_info()[1]
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            forget_locals(error, before)
            raise

    return call


def forget_locals(error: BaseException, before: Optional[BaseException] = None) -> None:
    """Clear the local variables of the functions that have ended by ``error``, and by what caused it.

    ``before``: an exception that was handled when they were called, so that it and its causes are somebody else's.
    """
    seen: list[BaseException] = [] if before is None else [before]
    waiting: list[Optional[BaseException]] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or each in seen:
            continue
        seen.append(each)
        traceback.clear_frames(each.__traceback__)
        if each.__suppress_context__ and each.__context__ is not before:
            each.__context__ = None  # it is not shown, and may say more than we do
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def reportable(cls: C) -> C:
    """The class, but its repr works for an object whose ``__init__`` has failed, too: reports show that as ``self``."""
    show = cls.__repr__

    @functools.wraps(show)
    def shown(self: object) -> str:
        try:
            return show(self)
        except AttributeError:
            return f"<{type(self).__name__}, which could not be made>"

    setattr(cls, "__repr__", shown)  # noqa: B010  an assignment would be one to a method, for mypy
    return cls


@reportable
class Redactor:
    """Replaces the secrets in use where they are told back. Any thread may call any method.

    Args:
        credentials: What lets one act as somebody else.
        others: What may be a secret or a word that stands elsewhere by right, as a header's value.
    """

    def __init__(self, credentials: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()  # held while they are replaced
        self._credentials: tuple[str, ...] = ()
        self._all: tuple[str, ...] = ()
        self._no_words: tuple[str, ...] = ()  # of all
        spelled = {spelling for value in credentials for spelling in _spellings(value)}
        self._add(spelled, {spelling for value in others for spelling in _spellings(value)})

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._all)} values, hidden>"

    def learn(self, other: Redactor) -> None:
        """Replace, from now on, what the other one does, too."""
        if other._all:
            self._add(other._credentials, other._all)

    def _add(self, credentials: Iterable[str], others: Iterable[str]) -> None:
        with self._lock:
            self._credentials = _ordered({*self._credentials, *credentials}, _SHORTEST_ANYWHERE)
            self._all = _ordered({*self._all, *credentials, *others}, _SHORTEST)
            self._no_words = _ordered(self._all, _SHORTEST_ANYWHERE)

    def anywhere(self, text: str) -> str:
        """``text`` without credentials: for whatever a server says, which is kept as it is otherwise."""
        return _without(self._credentials, text)

    def all(self, text: str, *, words: bool = True) -> str:
        """``text`` without any of the values: for what is told to people, as a refusal.

        ``words``: False leaves those that are so short that they may be words: for what programs read, too.
        """
        return _without(self._all if words else self._no_words, text)


def _without(values: tuple[str, ...], text: str) -> str:
    for value in values:
        if value in text:
            text = text.replace(value, HIDDEN)
    return text


def _ordered(values: Iterable[str], shortest: int) -> tuple[str, ...]:
    """The longest first, else the end of one that begins as another would be left."""
    return tuple(sorted((value for value in values if len(value) >= shortest), key=len, reverse=True))


def _spellings(value: str) -> set[str]:
    """A value as URLs and the JSON of some servers spell it."""
    plain = unquote(value)
    escaped = [plain.replace("/", "\\/"), plain.replace("+", "\\u002b"), plain.replace("+", "\\u002B")]
    escaped += [json.dumps(plain, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)]
    return {str(value), plain, quote(plain, safe=""), quote(plain), *escaped}
