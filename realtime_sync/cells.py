"""How much room a text takes in a terminal: letters of Chinese, Japanese and Korean and emoji are two cells wide."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """The cells that a line takes. A pair that is drawn as one (a flag, a family of emoji) counts as its parts."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def beginning(text: str, cells: int) -> str:
    """The longest beginning that takes at most so many cells."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > cells:
            return text[:index]
    return text


def ending(text: str, cells: int) -> str:
    """The longest end that takes at most so many cells."""
    taken = 0
    for index in range(len(text) - 1, -1, -1):
        taken += _cells(text[index])
        if taken > cells:
            return text[index + 1 :]
    return text


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):  # drawn over the one before it, or not at all
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
