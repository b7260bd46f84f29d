"""A text in the pieces in which a live session tells it, each with its place on the timeline."""

from __future__ import annotations

import re
from typing import Sequence

import attrs

from realtime_sync.server.voice import LETTER_MS

GRID_MS = 200
# The scripts of East Asia have no spaces between words: there, each character is one.
_EAST_ASIAN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"\s*(?:[{_EAST_ASIAN}]|[^\s{_EAST_ASIAN}]+)(?:\s+$)?")


@attrs.frozen
class TimedWords:
    """A piece of a text, and where on the timeline it stands."""

    text: str
    start_ms: int
    end_ms: int


def grid_after(ms: float) -> int:
    """The first place of the grid behind this one."""
    return int(ms // GRID_MS + 1) * GRID_MS


def grid_at(ms: float) -> int:
    """The place of the grid that is next to this one, before it or behind."""
    return int((ms + GRID_MS / 2) // GRID_MS) * GRID_MS


def length_of(text: str) -> float:
    """Milliseconds that it takes to say a text, where nothing tells."""
    return LETTER_MS * len(text.strip())


def fragments(text: str, start_ms: int, length_ms: float) -> Sequence[TimedWords]:
    """The words of a text that is said within so many milliseconds, on the grid; those of one place are one piece.

    Together they are the text.
    """
    scale = length_ms / max(1, len(text.strip()))
    placed: dict[int, str] = {}
    for word in _WORD.finditer(text):
        # A word is told with the space before it, which lies in the word before.
        letters = word.start() + len(word[0]) - len(word[0].lstrip())
        place = start_ms + int(scale * letters // GRID_MS) * GRID_MS
        placed[place] = placed.get(place, "") + word[0]
    return [TimedWords(words, place, place + GRID_MS) for place, words in placed.items()]
