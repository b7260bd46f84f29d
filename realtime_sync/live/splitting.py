"""Texts cut into pieces that an append may hold: at most 500 tokens, counted here without a tokenizer.

The count is that of ``protocol/live/tokens.py``; 500 bytes are always one piece. A piece ends at the end of a sentence
if it can, else of a clause, else of a word. Between two pieces only white space is left out.
"""

from __future__ import annotations

import re

from realtime_sync.protocol.live.tokens import beginning_within

MOST_TOKENS = 500
_ENDS = (
    re.compile(r"[.!?…][\"'”’)\]]*\s|[。！？]|\n"),
    re.compile(r"[,;:–—]\s|[，、；：]"),
    re.compile(r"\s"),
)


def split(text: str) -> list[str]:
    """The pieces of a text, in order; one if it is short enough."""
    pieces, left = list[str](), text.strip()
    while (end := len(beginning_within(left, MOST_TOKENS))) < len(left):
        cut = _cut(left, end)
        pieces.append(left[:cut].rstrip())
        left = left[cut:].lstrip()
    return [*pieces, left]


def _cut(text: str, end: int) -> int:
    """Where to cut the text, at ``end`` at the latest."""
    for ends in _ENDS:
        cut = max((match.end() for match in ends.finditer(text, 0, min(end + 1, len(text)))), default=0)
        if cut:
            return min(cut, end)
    return end
