"""Colours, for a terminal that wants them: who speaks, what failed, what stands beside the output."""

from __future__ import annotations

import os
from typing import Literal, TextIO

Colour = Literal["red", "green", "yellow", "cyan", "faint"]

_CODES: dict[Colour, str] = {"red": "1;31", "green": "32", "yellow": "33", "cyan": "1;36", "faint": "2"}
_FORCED_BY = ("FORCE_COLOR", "CLICOLOR_FORCE")


def painted(text: str, colour: Colour, stream: TextIO) -> str:
    """The text as it is to be written to this stream: with a colour, or unchanged."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if _wanted(stream) else text


def _wanted(stream: TextIO) -> bool:
    """NO_COLOR is the strongest (no-color.org), then FORCE_COLOR; else a terminal wants them if it can show them."""
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in _FORCED_BY):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
