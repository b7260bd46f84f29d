"""The model's arguments as Python values: strictly, so that a wrong argument is reported and not bent.

``1`` is a float too and ``1.0`` an integer, as in JSON schema; else nothing is converted: no ``"1"`` for ``1``, no
``1`` for true. Classes take no key that they do not have. Of a union, the first member that fits is taken.
"""

from __future__ import annotations

import datetime
import enum
import json
import math
import re
from typing import Any, Callable, Literal, get_args, get_origin

import cattrs
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn
from cattrs.gen.typeddicts import make_dict_structure_fn as make_typed_dict_structure_fn

from realtime_sync.tools.schema import (
    array_kind,
    bare,
    choices_of,
    element_hints,
    has_fields,
    in_words,
    is_object,
    is_typed_dict,
    is_union,
    json_type,
    schema_of,
)

Structure = Callable[[Any], Any]
Hook = Callable[[Any, Any], Any]

# RFC 3339, but seconds, their fraction and the zone may be missing, as models often leave them out.
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,6})\d*)?(?:([Zz])|([+-]\d\d):?(\d\d))?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class MismatchError(TypeError):
    """A value that does not fit. Inside this room only: users see ``ToolArgumentError``."""


class FaultsError(Exception):
    """Faults inside an array or object, each with its place."""

    def __init__(self, located: list[tuple[str, Exception]]) -> None:
        super().__init__(located)
        self.located = located


def structure_for(hint: Any) -> Structure:
    """What makes a value of type ``hint`` from a parsed JSON value, or raises what ``faults`` reads."""
    hook = _converter.get_structure_hook(hint)
    return lambda value: hook(value, hint)


def faults(error: BaseException, place: str = "") -> list[str]:
    """An error of ``structure_for``'s as sentences without a full stop, each with the place that it speaks of."""
    if isinstance(error, ClassValidationError):
        located, unlocated = error.group_exceptions()
        inner = [line for fault, note in located for line in _attribute_faults(fault, note, place)]
        return inner + [line for fault in unlocated for line in faults(fault, place)]
    if isinstance(error, FaultsError):
        return [line for step, fault in error.located for line in faults(fault, place + step)]
    if isinstance(error, ForbiddenExtraKeysError):
        return [f"{place}.{name} is not known".lstrip(".") for name in sorted(error.extra_fields)]
    # attrs' validators put more than their sentence into the exception.
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    fault = text if isinstance(error, MismatchError) else f"{type(error).__name__}: {text}"
    return [f"{place}: {fault}" if place else fault]


def parse_object(text: str) -> dict[str, Any]:
    """The JSON object that the model wrote; nothing at all is an empty one. Raises ``MismatchError``."""
    if not text.strip():
        return {}  # some models write nothing if a function has no parameters
    try:
        value = json.loads(text, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise MismatchError(f"the arguments are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MismatchError(f"the arguments must be a JSON object, not {json_type(value)}")
    return value


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is not in JSON")


def _attribute_faults(fault: Exception, note: Any, place: str) -> list[str]:
    inner = f"{place}.{note.name}" if isinstance(note, AttributeValidationNote) else place
    # cattrs looks required fields up by key; whatever a class itself raises comes without a note.
    return [f"{inner} is missing"] if isinstance(fault, KeyError) else faults(fault, inner)


def _mismatch(wanted: Any, value: Any) -> MismatchError:
    return MismatchError(f"expected {in_words(schema_of(wanted))}, got {json_type(value)}")


# The converter's hooks --------------------------------------------------------------------------------------


def _str(value: Any, wanted: Any) -> str:
    if not isinstance(value, str):
        raise _mismatch(wanted, value)
    return value


def _bool(value: Any, wanted: Any) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(wanted, value)
    return value


def _int(value: Any, wanted: Any) -> int:
    if type(value) is int or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise _mismatch(wanted, value)


def _float(value: Any, wanted: Any) -> float:
    if type(value) not in (int, float):
        raise _mismatch(wanted, value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):  # 1e999 is JSON
        raise MismatchError("the number is too large")
    return number


def _none(value: Any, wanted: Any) -> None:
    if value is not None:
        raise _mismatch(wanted, value)


def _datetime(value: Any, wanted: Any) -> datetime.datetime:
    found = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _mismatch(wanted, value)
    date, time, seconds, fraction, utc, hours, minutes = found.groups()
    zone = "+00:00" if utc else f"{hours}:{minutes}" if hours else ""
    try:  # one spelling, because what `fromisoformat` reads differs from version to version
        return datetime.datetime.fromisoformat(f"{date}T{time}{seconds or ':00'}.{(fraction or '0'):0<6}{zone}")
    except ValueError as error:
        raise MismatchError(f"no such date and time: {error}") from error


def _date(value: Any, wanted: Any) -> datetime.date:
    if not (isinstance(value, str) and _DATE.fullmatch(value)):
        raise _mismatch(wanted, value)
    try:
        return datetime.date.fromisoformat(value)
    except ValueError as error:
        raise MismatchError(f"no such date: {error}") from error


def _choice(value: Any, wanted: Any) -> Any:
    for choice, member in choices_of(wanted):
        if choice == value and isinstance(choice, bool) == isinstance(value, bool):  # to Python, True == 1
            return member
    raise _mismatch(wanted, value)


def _unless_enum(hook: Hook) -> Hook:
    """Cattrs looks classes up along their MRO, so an enum of strings comes to the hook for ``str``."""

    def structure(value: Any, wanted: Any) -> Any:
        return (_choice if choices_of(wanted) else hook)(value, wanted)

    return structure


def _union_hook(wanted: Any, converter: cattrs.BaseConverter) -> Any:
    members = [(converter.get_structure_hook(member), member) for member in get_args(wanted)]
    real = [entry for entry in members if entry[1] not in (None, type(None))]

    def structure(value: Any, _: Any) -> Any:
        if value is None and len(real) < len(members):
            return None
        if len(real) == 1:
            return real[0][0](value, real[0][1])  # its own words say best what is wrong
        # 1.0 is an integer too, and 1 a float: a number's own type comes first.
        own = type(value) if type(value) in (int, float) else None
        for hook, member in sorted(members, key=lambda entry: bare(entry[1]) is not own):
            try:
                return hook(value, member)
            except Exception:  # a class may raise anything for values that it does not want
                continue
        raise _mismatch(wanted, value)

    return structure


def _array_hook(wanted: Any, converter: cattrs.BaseConverter) -> Any:
    kind = array_kind(wanted) or list
    element, fixed = element_hints(wanted)
    hooks = None if fixed is None else [(converter.get_structure_hook(hint), hint) for hint in fixed]
    each = (converter.get_structure_hook(element), element)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, list) or (hooks is not None and len(value) != len(hooks)):
            raise _mismatch(wanted, value)
        wants = hooks if hooks is not None else [each] * len(value)
        pairs = enumerate(zip(value, wants, strict=True))
        return kind(_structured_parts([(f"[{i}]", part, *want) for i, (part, want) in pairs]))

    return structure


def _mapping_hook(wanted: Any, converter: cattrs.BaseConverter) -> Any:
    inner = (get_args(wanted) or (str, Any))[1]
    hook = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(wanted, value)
        parts = _structured_parts([(f"[{json.dumps(key)}]", part, hook, inner) for key, part in value.items()])
        return dict(zip(value, parts, strict=True))

    return structure


def _structured_parts(parts: list[tuple[str, Any, Any, Any]]) -> list[Any]:
    made: list[Any] = []
    located: list[tuple[str, Exception]] = []
    for step, value, hook, hint in parts:
        try:
            made.append(hook(value, hint))
        except Exception as error:
            located.append((step, error))
    if located:
        raise FaultsError(located)
    return made


def _class_hook(cls: type[Any], converter: cattrs.Converter) -> Any:
    inner: Any
    if is_typed_dict(cls):
        inner = make_typed_dict_structure_fn(
            cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
        )
    else:
        inner = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_forbid_extra_keys=True,
            _cattrs_detailed_validation=True,
            _cattrs_use_alias=True,
        )

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(cls, value)
        return inner(value, cls)

    return structure


def _bare_hook(wanted: Any, converter: cattrs.BaseConverter) -> Any:
    inner = bare(wanted)
    hook = converter.get_structure_hook(inner)
    return lambda value, _: hook(value, inner)


def _is_class(hint: Any) -> bool:
    return isinstance(hint, type) and has_fields(hint)


def _is_literal(hint: Any) -> bool:
    return get_origin(hint) is Literal


def _made_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=True)
    factories: list[tuple[Callable[[Any], Any], Any]] = [
        (_is_class, _class_hook),
        (is_object, _mapping_hook),
        (array_kind, _array_hook),
        (is_union, _union_hook),
        (lambda hint: bare(hint) is not hint, _bare_hook),
    ]
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)
    for kind, hook in [(str, _str), (bool, _bool), (int, _int), (float, _float)]:
        converter.register_structure_hook(kind, _unless_enum(hook))
    converter.register_structure_hook(enum.Enum, _choice)
    converter.register_structure_hook(datetime.datetime, _datetime)
    converter.register_structure_hook(datetime.date, _date)
    converter.register_structure_hook_func(_is_literal, _choice)
    converter.register_structure_hook_func(lambda hint: hint is None or hint is type(None), _none)
    converter.register_structure_hook_func(lambda hint: hint in (Any, object), lambda value, _: value)
    return converter


_converter = _made_converter()
