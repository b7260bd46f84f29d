"""Mends a message that is not as its class demands, and tells what was mended."""

from __future__ import annotations

from typing import Any, Union, get_args, get_origin

import attrs
from cattrs.errors import AttributeValidationNote, ClassValidationError, IterableValidationError

from realtime_sync.protocol.converters import Hook, json_type
from realtime_sync.protocol.dialects import Json
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate

# A message nests at most six classes deep and each pass mends a whole level, so this is never reached by data.
_MOST_PASSES = 40


def mended(
    message: Json, cls: type[ConversationUpdate], structure: Hook, error: ClassValidationError
) -> ConversationUpdate:
    """The update of a message that is not as its class demands, with its ``faults``.

    ``structure``: the class's careful hook, which has raised ``error``.
    """
    faults: list[str] = []
    for _ in range(_MOST_PASSES):
        _mend(message, error, "$", faults)
        try:
            update: ConversationUpdate = structure(message, cls)
        except ClassValidationError as again:
            error = again
        else:
            object.__setattr__(update, "faults", tuple(faults))
            return update
    return UnknownUpdate(type=str(message.get("type")), extra=message, faults=tuple(faults))


def _mend(container: Any, error: Exception, path: str, faults: list[str]) -> None:
    """Take the places that ``error`` names out of ``container``, deepest first."""
    if not isinstance(error, (ClassValidationError, IterableValidationError)):
        return
    located: list[tuple[Any, Any]] = list(error.group_exceptions()[0])
    for exception, note in reversed(located):  # from the end, so that indexes stay right while elements go
        key = note.name if isinstance(note, AttributeValidationNote) else note.index
        place = f"{path}.{key}" if isinstance(container, dict) else f"{path}[{key}]"
        if isinstance(exception, (ClassValidationError, IterableValidationError)):
            _mend(container[key], exception, place, faults)
        elif isinstance(note, AttributeValidationNote):
            _mend_field(container, error, note, place, faults)
        else:
            faults.append(f"left out {place}: {exception}")
            del container[key]


def _mend_field(wire: Json, error: Exception, note: AttributeValidationNote, place: str, faults: list[str]) -> None:
    assert isinstance(error, ClassValidationError)
    required = attrs.fields_dict(error.cl)[note.name].default is attrs.NOTHING
    if note.name in wire:
        faults.append(f"wrong type at {place}: {json_type(wire.pop(note.name))}")
    elif required:
        faults.append(f"missing {place}")
    if required:
        wire[note.name] = _empty(note.type)


def _empty(wanted: Any) -> Any:
    """The JSON value that means the least, of a type that a required field has."""
    simple = {str: "", int: 0, float: 0.0, bool: False}
    if get_origin(wanted) is Union:  # words that are known, or any text
        wanted = str if str in get_args(wanted) else wanted
    return simple[wanted] if wanted in simple else [] if get_origin(wanted) is list else {}
