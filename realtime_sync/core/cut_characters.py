"""Puts together the characters that a server has cut: half of an emoji in one piece of a text, half in the next.

A piece (``delta``) that ends with the first half of a surrogate pair is delivered without it; the half is delivered
with the next piece of the same text. If the text ends before, U+FFFD is delivered for it: as a piece of ours, without
``raw_content``, before the update that ends the text. ``raw_content`` of all others stays as it is.

Locks: none. Only the reader thread calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

import attrs

from realtime_sync.protocol import updates
from realtime_sync.protocol.characters import LOST, has_halves, without_open_end
from realtime_sync.protocol.update_base import ConversationUpdate

_Text = tuple[str, Optional[str], Optional[int]]
"""What a piece is a piece of: its type, the item and the part."""

# Texts that wait for the second half of a character; a server that leaves more open is given up on the oldest.
_MOST_OPEN = 64
_ENDS = (
    updates.ResponseOutputTextDoneUpdate,
    updates.ResponseOutputAudioTranscriptDoneUpdate,
    updates.ResponseFunctionCallArgumentsDoneUpdate,
    updates.ResponseMCPCallArgumentsDoneUpdate,
    updates.ResponseContentPartDoneUpdate,
    updates.ResponseOutputItemDoneUpdate,
    updates.ConversationItemInputAudioTranscriptionCompletedUpdate,
    updates.ConversationItemInputAudioTranscriptionFailedUpdate,
)


class CharacterJoiner:
    """Of one connection; see the module. ``complete_otherwise`` comes first: it adds what else a server left out."""

    def __init__(self, complete_otherwise: Callable[[ConversationUpdate], ConversationUpdate]) -> None:
        self._complete_otherwise = complete_otherwise
        self.open: dict[_Text, tuple[Any, str]] = {}  # the last piece of a text, and the half that it ended with

    def complete(self, update: ConversationUpdate) -> Sequence[ConversationUpdate]:
        """The update with whole characters, and before it what stands for halves that stayed alone."""
        update = self._complete_otherwise(update)
        delta: Optional[str] = getattr(update, "delta", None)
        if not self.open and (delta is None or delta.isascii() or not has_halves(delta)):
            return (update,)
        if delta is None:
            return (*self._given_up(update), update)
        text = update.type, getattr(update, "item_id", None), getattr(update, "content_index", None)
        _, half = self.open.pop(text, (None, ""))
        delta, rest = without_open_end(half + delta)
        if rest:
            self.open[text] = update, rest
        surplus = [self.open.pop(next(iter(self.open)))] if len(self.open) > _MOST_OPEN else []
        return (*map(_lost, surplus), attrs.evolve(update, delta=delta))  # type: ignore[call-arg]

    def _given_up(self, update: ConversationUpdate) -> list[ConversationUpdate]:
        ended = [text for text, (piece, _) in self.open.items() if _ends(update, piece)]
        return [_lost(self.open.pop(text)) for text in ended]


def _ends(update: ConversationUpdate, piece: Any) -> bool:
    """True if the text of this piece is over with this update."""
    if isinstance(update, updates.ResponseDoneUpdate):
        return update.response_id == getattr(piece, "response_id", None)
    if isinstance(update, _ENDS):
        return update.item_id == getattr(piece, "item_id", None)
    return isinstance(update, updates.SessionClosedUpdate)


def _lost(opened: tuple[Any, str]) -> ConversationUpdate:
    piece: ConversationUpdate = attrs.evolve(opened[0], delta=LOST, event_id=None, raw_content="")
    return piece
