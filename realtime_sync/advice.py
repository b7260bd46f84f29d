"""What is meant by a wrong name: the nearest of those that are known, or that by which it goes here.

Asked for only when something has gone wrong, so nothing here needs to be quick, but for ``NamedFields.__call__``.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, get_args

from realtime_sync.errors import ConfigurationError, InvalidInputError, UnknownNameError

# What arguments are called by other libraries of the same services.
_ELSEWHERE = {
    "api_key": "credential",
    "audio": "content",
    "azure_ad_token": "credential",
    "azure_ad_token_provider": "credential",
    "azure_deployment": "model",
    "azure_endpoint": "endpoint",
    "base_url": "endpoint",
    "default_headers": "headers",
    "default_query": "query",
    "deployment": "model",
    "functions": "tools",
    "input": "content",
    "key": "credential",
    "max_retries": "retries",
    "message": "content",
    "question": "content",
    "text": "content",
    "timeout": "timeouts",
    "token": "credential",
    "url": "endpoint",
    "verify": "ca_file",
    "websocket_base_url": "endpoint",
}
_PACKAGE = __name__.partition(".")[0]


def nearest(name: str, known: Collection[str], cutoff: float = 0.6) -> Optional[str]:
    """The known name that is most like this one; None if none is."""
    import difflib

    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=cutoff)
    begun = [each for each in known if len(name) > 2 and each.startswith(name)]
    return next(iter([*found, *begun]), None)


class NamedFields(type):
    """The class of classes whose fields are given by name: a wrong one is answered by the one that is meant."""

    if not TYPE_CHECKING:  # checkers take the arguments of ``__init__``

        def __call__(cls, *args: object, **kwargs: object) -> object:
            """Make an object. Raises ``UnknownNameError`` for a name that is no field's."""
            try:
                return super().__call__(*args, **kwargs)
            except TypeError:
                told = _about_fields(cls, args, kwargs)
                if told is None:
                    raise
            except (ConfigurationError, InvalidInputError) as error:  # of a value; see ``boundary.py``
                del args, kwargs
                raise error.with_traceback(None)  # noqa: B904  it is the same one
            del args, kwargs  # there may be a secret among them
            raise UnknownNameError(told)

    @property
    def __signature__(cls) -> inspect.Signature:
        """What ``help()`` and editors show: the arguments of ``__init__``, and not those of ``__call__`` above."""
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=[*signature.parameters.values()][1:])

    def place_of(cls, name: str) -> Optional[str]:
        """Where a setting that goes by this name stands, as it is written in a call; None if it is not known here."""
        fields = inspect.signature(cls).parameters
        known = name if name in fields else nearest(name, fields)
        return None if known is None else f"{known}=..."

    def why_not(cls, name: str) -> Optional[str]:
        """Why there is no setting of this name, though one may look for it; None if there is nothing to say."""
        return None


def _about_fields(cls: NamedFields, args: tuple[object, ...], names: Iterable[str]) -> Optional[str]:
    """What is wrong with the arguments of a class; None if their names are not."""
    fields = inspect.signature(cls).parameters
    wrong = next((name for name in names if name not in fields), None)
    if wrong is not None:
        why_not = cls.why_not(wrong)
        if why_not is not None:
            return f"{cls.__name__} has no setting {wrong!r}: {why_not}"
        return _told(cls.__name__, "setting", wrong, cls.place_of(wrong), fields)
    if args and all(field.kind is field.KEYWORD_ONLY for field in fields.values()):
        return f"{cls.__name__} takes its settings by name: {', '.join(f'{name}=...' for name in _in_order(fields))}"
    return None


def about_arguments(function: Callable[..., object], args: Sequence[object], names: Iterable[str]) -> Optional[str]:
    """What is wrong with the names of arguments in a call of a function; None if nothing is.

    ``args``: the other arguments. The first one of a method tells whose it is, which may be a class below its own.
    """
    parameters = inspect.signature(function).parameters
    wrong = next((name for name in names if name not in parameters), None)
    if wrong is None or any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return None
    is_inherited = "." in function.__qualname__ and args and getattr(type(args[0]), function.__name__, None)
    called = f"{type(args[0]).__name__}.{function.__name__}" if is_inherited else function.__qualname__
    called = called.removesuffix(".__init__")
    place = _place_in_call(function, parameters, wrong)
    settings = (cls for each in parameters.values() for cls in _classes_in(function, each.annotation))
    why_not = next(filter(None, (cls.why_not(wrong) for cls in settings)), None)
    if place is None and why_not is not None:
        return f"{called}() has no argument {wrong!r}: {why_not}"
    return _told(f"{called}()", "argument", wrong, place, parameters)


def _place_in_call(
    function: Callable[..., object], parameters: Mapping[str, inspect.Parameter], name: str
) -> Optional[str]:
    """An argument that goes by this name, or that takes settings among which one does."""
    elsewhere = _ELSEWHERE.get(name)
    if elsewhere in parameters:
        return f"{elsewhere}=..."
    settings = [(each, cls) for each in parameters.values() for cls in _classes_in(function, each.annotation)]
    exact = [(each, cls) for each, cls in settings if name in inspect.signature(cls).parameters]
    near = nearest(name, parameters)
    if near is not None and not exact:
        return f"{near}=..."
    for parameter, cls in exact or settings:
        place = cls.place_of(name)
        if place is not None:
            return f"{parameter.name}={cls.__name__}({place})"
    return None


def _classes_in(function: Callable[..., object], annotation: object) -> list[NamedFields]:
    """The classes of settings that an annotation names."""
    known: Mapping[str, Any] = getattr(inspect.unwrap(function), "__globals__", {})
    package = sys.modules[_PACKAGE]  # has those that a module imports for checkers only
    named = [known.get(word, getattr(package, word, None)) for word in re.findall(r"\w+", str(annotation))]
    return [cls for each in named for cls in (get_args(each) or (each,)) if isinstance(cls, NamedFields)]


def _told(whose: str, what: str, name: str, place: Optional[str], known: Iterable[str]) -> str:
    told = f"{whose} has no {what} {name!r}"
    if place is not None:
        return f"{told}; write {place}"
    return f"{told}; it has {', '.join(_in_order(known))}"


def _in_order(names: Iterable[str]) -> list[str]:
    """As people look for them: ``extra``, which has no name of its own for anything, comes last."""
    return sorted((name for name in names if name not in ("self", "cls")), key="extra".__eq__)


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that has called this package, however deep inside of it this is."""
    frame: Optional[types.FrameType] = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
