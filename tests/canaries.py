"""What people and their tools get to see of a thing, all of it: to look for secrets in."""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Optional

import attrs

TESTS = __file__.rpartition("/")[0]
_MOST_THINGS = 5000


def leaks(secrets: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Where a secret stands: some text around each."""
    return [
        f"{secret!r} in ...{text[max(0, at - 60) : at + len(secret) + 20]}"
        for text in texts
        for secret in secrets
        if (at := text.find(secret)) >= 0
    ]


def of_error(error: BaseException) -> Iterator[str]:
    """An error as logs, reports with local variables, and other processes get it; with all that caused it."""
    yield "".join(traceback.format_exception(error))
    for each in chain(error):
        yield f"{each!s} {each!r} {each.args!r}"
        yield from of_object(vars(each))
        yield from of_frames(each.__traceback__)
    yield from of_pickle(error)


def chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[Optional[BaseException]] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in found:
            found.append(each)
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return found


def of_frames(where: Optional[TracebackType]) -> Iterator[str]:
    """The local variables of all frames but the tests' own."""
    for frame, line in traceback.walk_tb(where):
        if not frame.f_code.co_filename.startswith(TESTS):
            for name, value in frame.f_locals.items():
                yield f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}: {name} = {value!r}"


def of_threads() -> Iterator[str]:
    """The local variables of the package's frames that are under way."""
    for top in sys._current_frames().values():
        for frame, line in traceback.walk_stack(top):
            if (
                "/realtime_sync/" in frame.f_code.co_filename
                and "/realtime_sync/server/" not in frame.f_code.co_filename
            ):
                for name, value in list(frame.f_locals.items()):
                    yield f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}: {name} = {value!r}"


def of_object(thing: object) -> Iterator[str]:
    """The reprs of a thing and of what its public attributes lead to."""
    seen: dict[int, object] = {}
    waiting = [thing]
    while waiting and len(seen) < _MOST_THINGS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen[id(each)] = each
        yield repr(each)
        waiting += _parts(each)


def _parts(thing: Any) -> list[object]:
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if not type(thing).__module__.startswith("realtime_sync"):
        return []
    names = [field.name for field in attrs.fields(type(thing))] if attrs.has(type(thing)) else []
    names += [name for name in getattr(thing, "__dict__", ()) if not name.startswith("_")]
    return [getattr(thing, name) for name in names]


def of_pickle(thing: object) -> Iterator[str]:
    """What another process would be sent; nothing if the thing refuses."""
    try:
        yield pickle.dumps(thing).decode("latin-1")
    except Exception as error:
        yield f"{error!s}"
