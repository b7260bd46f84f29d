"""Characters that were cut in two. JSON may hold half of a surrogate pair; UTF-8, files and terminals take none."""

from __future__ import annotations

import re
from typing import Any, Optional

LOST = "\ufffd"
"""Stands for a half that stayed alone."""

_HALF = re.compile("[\ud800-\udfff]")


def has_halves(text: str) -> bool:
    """True if there are halves in it, so that it cannot be UTF-8."""
    return not text.isascii() and _HALF.search(text) is not None


def joined(text: str) -> str:
    """The text with the halves that meet joined, and ``LOST`` for those that are alone."""
    return _through_utf16(text, "replace") if has_halves(text) else text


def joined_or_none(text: str) -> Optional[str]:
    """As ``joined``; None if a half is alone."""
    try:
        return _through_utf16(text, "strict")
    except UnicodeDecodeError:
        return None


def without_open_end(text: str) -> tuple[str, str]:
    """The text as ``joined``, and apart from it a first half at its end, to which the next piece may have the second.

    That is empty if the text does not end with one.
    """
    if "\ud800" <= text[-1:] <= "\udbff":
        return joined(text[:-1]), text[-1]
    return joined(text), ""


def all_joined(value: Any) -> Any:
    """A JSON value with all its texts as ``joined``."""
    if isinstance(value, str):
        return joined(value)
    if isinstance(value, list):
        return [all_joined(inner) for inner in value]
    if isinstance(value, dict):
        return {joined(key): all_joined(inner) for key, inner in value.items()}
    return value


def _through_utf16(text: str, errors: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", errors)
