"""The conversation: items in their order, and the audio that belongs to them."""

from __future__ import annotations

import base64
import copy
from concurrent.futures import Future
from typing import Iterator, Optional, Sequence

import attrs

from realtime_sync.server.audio_formats import BYTES_PER_MS, decode_audio
from realtime_sync.server.speech.protocols import Recognition
from realtime_sync.server.wire import Json, Refused, given, new_id

_ROOT = "root"


@attrs.define(eq=False)
class Item:
    """An item as the wire shows it (``wire``, without audio), and the audio of its parts by content index.

    ``audio_type`` is the format in which that audio is held: ``audio/pcm`` (24 kHz), ``audio/pcmu``, ``audio/pcma``.
    ``recognition``: of a user's audio, once it was asked for. ``spoken``: what an answer says, with the bytes of audio
    that say it, piece by piece. ``heard``: what was heard of it before it was truncated; None if it was not.
    ``tokens``: text and audio tokens of it as input, once they have been counted; see ``usage.item_tokens``.
    """

    wire: Json
    audio: dict[int, bytearray] = attrs.field(factory=dict)
    audio_type: str = "audio/pcm"
    recognition: Optional[Future[Recognition]] = None
    spoken: list[tuple[str, int]] = attrs.field(factory=list)
    heard: Optional[str] = None
    tokens: Optional[tuple[int, int]] = None

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.wire["id"])

    def audio_ms(self, index: int = 0) -> int:
        """Milliseconds of audio in a part; 0 if it has none."""
        return len(self.audio.get(index, b"")) // BYTES_PER_MS[self.audio_type]

    def with_audio(self) -> Json:
        """The wire form with the audio in it, base64, as ``conversation.item.retrieved`` tells it."""
        wire = copy.deepcopy(self.wire)
        for index, part in enumerate(wire.get("content", ())):  # none of an answer that is still being said
            if index in self.audio:
                part["audio"] = base64.b64encode(self.audio[index]).decode()
        return wire


class ServerConversation:
    """The items of the default conversation. Not locked: its session's lock guards it."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(list(self._items))

    def get(self, item_id: str) -> Optional[Item]:
        """The item with this id, or None."""
        return next((item for item in self._items if item.id == item_id), None)

    @property
    def first_id(self) -> Optional[str]:
        """The id of the first item; None while the conversation is empty."""
        return self._items[0].id if self._items else None

    @property
    def last_id(self) -> Optional[str]:
        """The id of the last item; None while the conversation is empty."""
        return self._items[-1].id if self._items else None

    def add(self, item: Item, previous_item_id: Optional[str] = None) -> Optional[str]:
        """Insert after the item named, first for ``"root"``, last for None. Returns the id before it, None if first."""
        index = len(self._items)
        if previous_item_id == _ROOT:
            index = 0
        elif previous_item_id:  # an empty one means none, too (live, 2026)
            previous = self.get(previous_item_id)
            if previous is None:
                message = f"Error adding item: the previous item with id '{previous_item_id}' does not exist."
                raise Refused("item_create_invalid_previous_item_id", message)
            index = self._items.index(previous) + 1
        if self.get(item.id) is not None:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise Refused("item_create_duplicate_item_id", message)
        self._items.insert(index, item)
        return self._items[index - 1].id if index else None

    def delete(self, item_id: str) -> None:
        """Remove an item; raises ``Refused`` if there is none of this id."""
        self._items.remove(self.require(item_id, "item_delete_invalid_item_id", "deleting"))

    def require(self, item_id: str, code: str, doing: str) -> Item:
        """The item, or ``Refused`` with this code: "Error <doing> item: the item with id ... does not exist."""
        item = self.get(item_id)
        if item is None:
            raise Refused(code, f"Error {doing} item: the item with id '{item_id}' does not exist.")
        return item

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Shorten an assistant's audio to so many milliseconds, and forget its transcript (it says more than was
        heard); also while it is still being said. Raises ``Refused``.
        """
        item = self.require(item_id, "item_truncate_invalid_item_id", "truncating")
        if item.wire.get("role") != "assistant" or not item.audio:
            raise Refused(None, "Only model output audio messages can be truncated")  # in just these words (live, 2026)
        if content_index not in item.audio:
            message = f"Error truncating item: the content part at index {content_index} has no audio."
            raise Refused("invalid_value", message, "content_index")
        length = item.audio_ms(content_index)
        if audio_end_ms > length:
            message = f"Audio content of {length}ms is already shorter than {audio_end_ms}ms"
            raise Refused("invalid_value", message)
        del item.audio[content_index][audio_end_ms * BYTES_PER_MS[item.audio_type] :]
        item.heard = _words_within(item.spoken, len(item.audio[content_index]))
        if item.wire["content"]:  # else it is still being said
            item.wire["content"][content_index]["transcript"] = ""
        item.tokens = None

    def has_call(self, call_id: str) -> bool:
        """True if an item of the conversation is the function call of this id."""
        return any(item.wire.get("call_id") == call_id and item.wire["type"] == "function_call" for item in self._items)


def _words_within(spoken: Sequence[tuple[str, int]], size: int) -> str:
    """The words that so many bytes of audio say: of the piece that was cut, as large a part of them as of its audio."""
    said = ""
    for text, length in spoken:
        if size < length:
            words = text.split()
            return f"{said}{' '.join(words[: len(words) * size // length])}".strip()
        said, size = said + text, size - length
    return said.strip()


def item_from_client(told: Json, audio_type: str) -> Item:
    """A client's item with what the service adds: an id, a status; its audio decoded and set apart."""
    wire = copy.deepcopy(given(told))
    wire.pop("object", None)  # the live service does not tell it back (2026)
    item_id = wire.pop("id", None) or new_id("item")
    kind = wire.pop("type")
    wire.pop("status", None)
    # The order of the fields is the service's: id, type, status (not on a call's output), the rest.
    ordered: Json = {"id": item_id, "type": kind}
    if kind in ("message", "function_call"):
        ordered["status"] = "completed"
    if kind == "function_call":
        wire.setdefault("call_id", new_id("call", 16))
    item = Item({**ordered, **wire}, audio_type=audio_type)
    for index, part in enumerate(wire.get("content", ())):
        if "audio" in part:
            decoded = decode_audio(part.pop("audio"), f"item.content[{index}].audio", audio_type)
            item.audio[index] = bytearray(decoded)
            part.setdefault("transcript", None)
    return item
