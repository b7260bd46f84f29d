"""The base class of all updates, and the bases of updates that share fields.

A class that adds fields is ``@attrs.frozen(..., slots=False)``: the codec fills an update's ``__dict__`` with a
message's values, which is four times as fast as the constructor, and takes 0.4 kB more. A class that adds none needs no
decorator, and attrs then has nothing to compile for it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, Optional, Union, get_args, get_origin, get_type_hints

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.kinds import ConversationUpdateKind, UpdateKind
from realtime_sync.protocol.registry import UNSET, Comparable, Setting, WireObject, extra_repr
from realtime_sync.protocol.resources import ConversationResponse, RealtimeSession


def shortened(text: str) -> str:
    """A repr that does not flood the screen."""
    return repr(text) if len(text) <= 80 else f"<{len(text)} characters>"


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationUpdate(Comparable):
    """What the server said: the base of every update.

    All who are told of it share it, and the conversation keeps the item that it holds: read it, do not change it.

    Attributes:
        type: the message's type, as the server spelled it.
        event_id: the server's name for the message; None if it gave none.
        raw_content: the message's verbatim text.
        extra: fields that this version has no name for.
        faults: what had to be mended in order to read the message (a wrong type, a missing field), in words.
        arrived_at: when a session received it, in seconds by ``time.monotonic()``; 0.0 if no session did.
    """

    kind: ClassVar[UpdateKind] = ConversationUpdateKind.UNKNOWN

    type: str = attrs.field(default=attrs.Factory(lambda self: str(type(self).kind), takes_self=True))
    event_id: Optional[str] = None
    raw_content: str = attrs.field(default="", repr=False)
    extra: dict[str, Any] = attrs.field(factory=dict, repr=extra_repr)
    faults: tuple[str, ...] = ()
    arrived_at: float = attrs.field(default=0.0, repr=False, eq=False)

    @property
    def oddities(self) -> tuple[str, ...]:
        """All that this version did not expect in the message: ``faults``, and what it has no name for."""
        return (*self.faults, *_unknown_things(self, "$"))

    @staticmethod
    def from_json(text: str) -> ConversationUpdate:
        """The update that a frame's text becomes, as in a session; never raises for what the text holds."""
        from realtime_sync.protocol.codec import decode  # the codec imports this module

        return decode(text)

    def json(self) -> dict[str, Any]:
        """``raw_content`` parsed anew. Raises ``InvalidInputError`` where it is no JSON object."""
        try:
            value = json.loads(self.raw_content)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"this frame was not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InvalidInputError("this frame was JSON, but not an object")
        return value


def _unknown_things(thing: Any, path: str) -> list[str]:
    """Fields, types and frames without a place in this version, with their paths; computed only when asked for."""
    if isinstance(thing, list):
        return [words for index, inner in enumerate(thing) for words in _unknown_things(inner, f"{path}[{index}]")]
    if not isinstance(thing, (ConversationUpdate, WireObject)):
        return []
    found = [f"unknown field {path}.{name}" for name, value in thing.extra.items() if value is not None]
    if type(thing).__name__.startswith("Unknown"):
        found = [f"unknown type {getattr(thing, 'type', '')!r} at {path}"]
    cls: Any = type(thing)  # mypy takes classes for unhashable where their objects are
    for name, known in _known_values(cls).items():
        value = getattr(thing, name)
        if known and isinstance(value, str) and value not in known:
            found.append(f"unknown value {value!r} at {path}.{name}")
        elif name not in ("extra", "faults"):
            found += _unknown_things(value, f"{path}.{name}")
    return found


@functools.cache
def _known_values(cls: type[Any]) -> dict[str, frozenset[str]]:
    """Each field of a class, with the strings that its type names; none where it names none.

    Models are named for editors only: a deployment and other makers' models have names of their own.
    """
    hints = get_type_hints(cls)
    values = {field.name: frozenset(_literals(hints[field.name])) for field in attrs.fields(cls)}
    return {name: frozenset() if name == "model" else known for name, known in values.items()}


def _literals(hint: Any) -> Iterator[str]:
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) is Union:
        for member in get_args(hint):
            yield from _literals(member)


class UnknownUpdate(ConversationUpdate):
    """A message of a type that this version has no class for; its fields are in ``extra``."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class UnreadableUpdate(ConversationUpdate):
    """A frame that is no message: not JSON, not an object, without a type, or binary.

    ``faults`` says what. ``raw_bytes`` holds a binary frame; then ``raw_content`` is empty.
    """

    raw_bytes: Optional[bytes] = attrs.field(default=None, repr=lambda raw: f"<{len(raw)} bytes>" if raw else "None")


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionUpdateBase(ConversationUpdate):
    """What ``session.created`` and ``session.updated`` share: the whole session, with shortcuts to its settings."""

    session: RealtimeSession

    @property
    def session_id(self) -> Optional[str]:
        """The session's id; None if the server did not tell it."""
        return self.session.id

    @property
    def model(self) -> Setting[str]:
        """The model that answers; ``UNSET`` where the server did not tell it."""
        return self.session.model


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ItemUpdateBase(ConversationUpdate):
    """A message about one item of the conversation."""

    item_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class WholeItemUpdateBase(ConversationUpdate):
    """A message with a whole item.

    ``previous_item_id``: the item before it; None is null on the wire, ``UNSET`` is absent (see ``ItemOrder``).
    """

    item: ConversationItem
    previous_item_id: Setting[str] = UNSET

    @property
    def item_id(self) -> Optional[str]:
        """The item's id; None if the server did not tell it."""
        return self.item.id


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseUpdateBase(ConversationUpdate):
    """A message with a whole response."""

    response: ConversationResponse

    @property
    def response_id(self) -> Optional[str]:
        """The response's id; None if the server did not tell it."""
        return self.response.id

    @property
    def out_of_band(self) -> bool:
        """True for a response beside the conversation. Preview servers do not tell, and know no other kind."""
        return self.response.conversation_id is None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ItemStreamingUpdateBase(ConversationUpdate):
    """A message about an item that a response is making."""

    response_id: str
    item_id: str
    output_index: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ContentStreamingUpdateBase(ItemStreamingUpdateBase):
    """A message about a content part of an item that a response is making."""

    content_index: int


class ItemStreamingPartDeltaUpdate(ConversationUpdate):
    """A piece (``delta``) of something that comes in pieces. Of the four properties one is set, the others are None.

    It has no field of its own; each class that derives from it has ``delta``.
    """

    @property
    def text(self) -> Optional[str]:
        """A piece of the answer's text."""
        return None

    @property
    def audio_transcript(self) -> Optional[str]:
        """A piece of the transcript of the answer's audio."""
        return None

    @property
    def audio_bytes(self) -> Optional[bytes]:
        """A piece of the answer's audio: samples in the session's output format, decoded from base64."""
        return None

    @property
    def function_arguments(self) -> Optional[str]:
        """A piece of the JSON text of a call's arguments."""
        return None
