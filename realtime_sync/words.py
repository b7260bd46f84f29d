"""Small texts, for people: how many there are, and the beginning of what is long."""

from __future__ import annotations


def counted(count: int, what: str) -> str:
    """``1 answer``, ``2 answers``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def cut(text: str, most: int) -> str:
    """The text, or so many characters of its beginning, with an ellipsis in place of the rest."""
    return text if len(text) <= most else f"{text[:most]}…"
