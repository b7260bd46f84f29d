"""What a caller's function raises on a thread of ours: it can be raised to nobody, and logs are quiet by default."""

from __future__ import annotations

import functools
import inspect
import traceback
import types
import warnings
import weakref
from typing import Optional

# Their code, since many a program makes its functions anew for each request.
_warned: weakref.WeakSet[object] = weakref.WeakSet()


def warn_once(function: object, error: BaseException, what: str, but: str) -> None:
    """Warn (``RuntimeWarning``) of what a function raised, once for each function: each further time is the log's.

    The warning's place is where the error was raised, its module this one, for filters. It is not shown if the
    application has made warnings errors: there is no caller to raise it to.

    Args:
        function: what raised it: a function, or what stands for one.
        error: what was raised.
        what: the function, in words.
        but: what became of it.
    """
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)  # a bound method is made anew each time
    known = _code(function) or function
    try:
        hash(weakref.ref(known))
    except TypeError:  # it has no hash, or takes no weak reference
        known = type(known)
    if known in _warned:
        return
    _warned.add(known)
    told = "".join(traceback.format_exception_only(type(error), error)).strip()
    message = f"{what} raised {told}; {but}. The traceback, and each further error of it, is in the log"
    file, line = _place(function, error)
    try:
        warnings.warn_explicit(message, RuntimeWarning, file, line, module=__name__)
    except Exception:  # a filter's, or of an application's own way to show warnings
        return


def _place(function: object, error: BaseException) -> tuple[str, int]:
    if frames := traceback.extract_tb(error.__traceback__):
        return frames[-1].filename, frames[-1].lineno or 0
    code = _code(function)
    return (code.co_filename, code.co_firstlineno) if code is not None else (__file__, 0)


def _code(function: object) -> Optional[types.CodeType]:
    """The code that somebody wrote, not that of decorators; None if there is none, as of a class's objects."""
    try:
        code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)
    except ValueError:  # it is wrapped in circles
        return None
    return code if isinstance(code, types.CodeType) else None
