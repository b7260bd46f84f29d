"""How the messages of each type are read, in one of three ways, of which each gives what the next one gives.

- *At once*: deltas and the like hold texts and numbers alone, which are used as they are. If a message's values are of
  the same types as those of one that was read before, its update is made of the message itself (``Reader.at_once``).
- *Quickly*: by the quick converter.
- *Carefully*: by the careful one, if the quick one has raised. What it says of a message holds.

``tests/protocol/test_ways_of_reading.py`` compares them.
"""

from __future__ import annotations

from typing import Callable, Optional

import attrs
from cattrs.errors import ClassValidationError

from realtime_sync.protocol.characters import all_joined
from realtime_sync.protocol.converters import (
    HIGHEST,
    LOWEST,
    NUMBERS,
    OURS,
    careful_converter,
    quick_converter,
    quick_values_of,
)
from realtime_sync.protocol.dialects import Dialect, Json, read_type
from realtime_sync.protocol.mending import mended
from realtime_sync.protocol.registry import Registry, UnsetType
from realtime_sync.protocol.update_base import ConversationUpdate

Rewrite = Callable[[Json, Dialect], Json]

# The types of fields of the updates that may be made at once.
_PLAIN = (str, int, float, Optional[str], Optional[int], Optional[float])
# The types of defaults that all objects may share.
_DEFAULTS = (type(None), bool, str, int, float, tuple, UnsetType)
# The fields that a reader puts into each update.
_PUT = ("raw_content", "extra", "arrived_at")
# Updates are frozen for everyone but those who read messages.
_new, _set = object.__new__, object.__setattr__
_FINISHED = "conversation.item.input_audio_transcription.completed"
_SO_FAR = "conversation.item.input_audio_transcription.updated"
# A text with no more brackets is not nested too deeply.
_SURELY_FLAT = 300


class Reader:
    """How messages of one type are read. Any thread may use it: what two remember at once is the same.

    An update is made without its constructor, which takes a dozen keywords and sets a dozen attributes: that would be
    1.3 us more where a piece of text takes 2.8. So update classes have no slots, no converters and no validators.

    Args:
        cls: Their class.
        rewrite: Makes of a message what the class says (``Registry.read``); None if nothing needs to be changed.
    """

    def __init__(self, cls: type[ConversationUpdate], rewrite: Optional[Rewrite]) -> None:
        self._cls = cls
        self._rewrite = rewrite
        self._values = quick_values_of(cls, quick_converter)
        fields = attrs.fields(cls)
        self._is_plain = all(field.type in _PLAIN or field.name in OURS for field in fields)
        # ``...``, which no message can hold, stands for what must be put there.
        self._absent: Json = {field.name: ... for field in fields}
        self._absent.update({field.name: field.default for field in fields if type(field.default) in _DEFAULTS})
        self._absent.update(dict.fromkeys(_PUT, ...))
        self._required = frozenset(name for name, value in self._absent.items() if value is ...) - set(_PUT)
        # By the types of all values, in the order of the fields: the names of those that are numbers.
        self._seen: dict[tuple[type, ...], list[str]] = {}

    def at_once(self, message: Json, text: str, arrived_at: float) -> Optional[ConversationUpdate]:
        """The update of a message whose like was read before; None if there was none."""
        if not self._is_plain:
            return None
        update: ConversationUpdate = _new(self._cls)
        values = update.__dict__
        values |= self._absent
        values |= message
        numbers = self._seen.get(tuple(map(type, values.values())))
        if numbers is None:
            return None
        for name in numbers:
            if not LOWEST <= values[name] <= HIGHEST:
                return None
        values["raw_content"] = text
        values["extra"] = {}
        values["arrived_at"] = arrived_at
        return update

    def read(self, message: Json, text: str, arrived_at: float, dialect: Dialect) -> ConversationUpdate:
        """The update of any message."""
        if self._rewrite is not None:
            check_depth(message, text)
            wire_type = message["type"]
            message = self._rewrite(message, dialect)
            message["type"] = wire_type
        try:
            told, extra = self._values(message)
        except Exception:
            return self._read_carefully(message, text, arrived_at)
        if not self._required <= told.keys():
            return self._read_carefully(message, text, arrived_at)
        update: ConversationUpdate = _new(self._cls)
        values = update.__dict__
        values |= self._absent
        values |= told
        if self._is_plain and not extra:
            numbers = [name for name, value in values.items() if type(value) in NUMBERS]
            self._seen[tuple(map(type, values.values()))] = numbers
        values["raw_content"] = text
        values["extra"] = extra
        values["arrived_at"] = arrived_at
        return update

    def _read_carefully(self, message: Json, text: str, arrived_at: float) -> ConversationUpdate:
        """The update of a message of which something may not be as its class demands."""
        structure = careful_converter().get_structure_hook(self._cls)
        try:
            update: ConversationUpdate = structure(message, self._cls)
        except ClassValidationError as error:
            update = mended(message, self._cls, structure, error)
        _set(update, "raw_content", text)
        _set(update, "arrived_at", arrived_at)
        return update


class _TranscriptReader(Reader):
    """xAI tells what was heard so far by the type of a finished transcript; its ``status`` says which it is (2026-06).

    ``so_far``: reads those that are not finished.
    """

    def __init__(self, cls: type[ConversationUpdate], so_far: Reader) -> None:
        super().__init__(cls, rewrite=None)
        self._so_far = so_far

    def read(self, message: Json, text: str, arrived_at: float, dialect: Dialect) -> ConversationUpdate:
        """The update of any message."""
        if message.get("status") == "in_progress":
            return self._so_far.read(message, text, arrived_at, dialect)
        return super().read(message, text, arrived_at, dialect)


def made_reader(wire_type: str, dialect: Dialect, registry: Registry) -> Optional[Reader]:
    """How messages of this type are read; None if there is no class for it.

    Made on first use, because few sessions see all classes. Any thread may make one; what two make is the same.
    """
    readers = registry.ga_readers if dialect is Dialect.GA else registry.preview_readers
    # The specification's own example of a DTMF event has a blank before its type (2026-08).
    name = wire_type.strip()
    if name not in readers:
        cls = registry.updates.get(read_type(name, dialect))
        if cls is None:
            return None
        rewrite = None if registry.rewritten.isdisjoint(attrs.fields_dict(cls)) else registry.read
        so_far = made_reader(_SO_FAR, dialect, registry) if name == _FINISHED else None
        readers[name] = Reader(cls, rewrite) if so_far is None else _TranscriptReader(cls, so_far)
    reader: Reader = readers[name]
    return reader


def check_depth(message: Json, text: str) -> None:
    """Raises RecursionError for what Python's functions cannot walk through; its JSON reader may go deeper."""
    if text.count("{") + text.count("[") > _SURELY_FLAT:
        all_joined(message)
