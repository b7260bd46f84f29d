"""How much memory what a conversation keeps takes, about: the texts, and a fixed sum for each object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from realtime_sync.protocol.items import ConversationItem

OBJECT_BYTES = 1000
"""An item, a part or a response without its texts."""

_TEXTS = ("arguments", "output", "text", "transcript", "audio", "image_url", "file_data")


class Sized(Protocol):
    """What says how much memory it takes."""

    @property
    def memory(self) -> int:
        """In bytes, about."""


def size_of(item: ConversationItem) -> int:
    """How many bytes an item takes."""
    parts = getattr(item, "content", ())
    tools = (str(tool.input_schema) for tool in getattr(item, "tools", ()))
    return sum(map(_own_size, (item, *parts))) + sum(map(len, tools))


def oldest(things: Mapping[str, Sized], enough: int) -> tuple[list[str], int]:
    """The keys of the first things, so that the others take no more than ``enough``; how much these take."""
    sizes = {key: thing.memory for key, thing in things.items()}
    held, keys = sum(sizes.values()), []
    for key, size in sizes.items():
        if held <= enough:
            break
        held -= size
        keys.append(key)
    return keys, held


def _own_size(thing: Any) -> int:
    texts = (getattr(thing, name, None) or "" for name in _TEXTS)
    return OBJECT_BYTES + sum(map(len, texts)) + (len(str(thing.extra)) if thing.extra else 0)
