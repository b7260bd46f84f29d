"""Where errors leave the package.

A traceback is for its reader: the caller's lines, the call, and what it said. What lies between the call and the place
where the error was noticed helps nobody but us. So each public call that goes deep is a ``public_call``: what it raises
has one frame of this package, that of the call. The whole traceback is logged at DEBUG.

A traceback in which a function of somebody else's stands stays as it is: a callback that has called this package again,
a file object, a tool. So do those of errors that this library does not raise on purpose.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable, Optional, ParamSpec, TypeVar

from realtime_sync.advice import about_arguments
from realtime_sync.errors import RealtimeSyncError, UnknownNameError, WaitTimeoutError

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# What is raised on purpose; of the system's errors those that say all about a path that was given.
_ON_PURPOSE = (RealtimeSyncError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_PACKAGE = __name__.partition(".")[0]


def public_call(function: Callable[P, R]) -> Callable[P, R]:
    """The function, but what it raises shows one frame of this package. It stands before ``discreet``.

    A name of an argument that it does not have is answered by the one that is meant (``UnknownNameError``).
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            of_names = isinstance(error, TypeError) and not isinstance(error, UnknownNameError)
            told = about_arguments(function, args, kwargs) if of_names else None
            of_call = of_names and not _fits(function, args, kwargs)
            del args, kwargs  # there may be a secret among them
            if told is not None:
                raise UnknownNameError(told) from None
            if of_call:
                raise error.with_traceback(None)  # noqa: B904  it is the same one
            if _is_only_ours(error):
                if not isinstance(error, WaitTimeoutError):  # which many wait for on purpose, again and again
                    logger.debug("%s raised", function.__qualname__, exc_info=error)
                _shorten_causes(error)
                raise error.with_traceback(None)  # noqa: B904  it is the same one
            raise

    call.__code__ = call.__code__.replace(co_name=function.__name__)  # the name that a traceback shows
    return functools.wraps(function)(call)


def _fits(function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
    """Whether a function can be called so; else the TypeError is Python's, of the call."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _is_only_ours(error: BaseException) -> bool:
    """Whether an error was raised on purpose, with no function of somebody else's between the call and that place."""
    inside = error.__traceback__.tb_next if error.__traceback__ is not None else None
    return isinstance(error, _ON_PURPOSE) and all(map(_is_ours, _frames(inside)))


def _shorten_causes(error: BaseException) -> None:
    seen = {id(error)}
    cause = error.__cause__ or error.__context__
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if all(map(_is_ours, _frames(cause.__traceback__))):
            cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__


def _frames(traceback: Optional[types.TracebackType]) -> Iterator[types.FrameType]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _is_ours(frame: types.FrameType) -> bool:
    """Whether a frame is of this package, of Python's library, or of code that a library has made (without a name)."""
    package = str(frame.f_globals.get("__name__", _PACKAGE)).partition(".")[0]
    return package == _PACKAGE or package in sys.stdlib_module_names
