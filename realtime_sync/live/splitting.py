"""Texts cut into pieces that an append may hold: at most 500 tokens, counted here without a tokenizer.

The count is an upper bound for what people write. It never exceeds the bytes of UTF-8, of which a token has at least
one; so 500 bytes are always one piece. A piece ends at the end of a sentence if it can, else of a clause, else of a
word. Between two pieces only white space is left out.
"""

from __future__ import annotations

import re

MOST_TOKENS = 500
# What a tokenizer takes together at most: a word with the space before it, three digits. All else is counted alone.
_PARTS = re.compile(r" ?[A-Za-z]+|[0-9]{1,3}|.", re.DOTALL)
# An English word has a token for each four letters or so; longer ones are no words, but keys and the like.
_LETTERS_A_TOKEN, _LONGEST_WORD = 3, 20
# Of a character that UTF-8 writes in so many bytes.
_OF_BYTES = {2: 1, 3: 2, 4: 4}
_ENDS = (
    re.compile(r"[.!?…][\"'”’)\]]*\s|[。！？]|\n"),
    re.compile(r"[,;:–—]\s|[，、；：]"),
    re.compile(r"\s"),
)


def split(text: str) -> list[str]:
    """The pieces of a text, in order; one if it is short enough."""
    pieces, left = list[str](), text.strip()
    while (end := _longest(left)) < len(left):
        cut = _cut(left, end)
        pieces.append(left[:cut].rstrip())
        left = left[cut:].lstrip()
    return [*pieces, left]


def count_tokens(text: str) -> int:
    """At least as many tokens as the text has."""
    return min(_size(text), sum(_tokens(part) for part in _PARTS.findall(text)))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _tokens(part: str) -> int:
    """Of one match of ``_PARTS``."""
    if not part.isascii():
        return _OF_BYTES[_size(part)]
    if not part[-1].isalpha():
        return 1
    return len(part) if len(part) > _LONGEST_WORD else -(-len(part) // _LETTERS_A_TOKEN)


def _longest(text: str) -> int:
    """How many characters of it may stand in one append."""
    if len(text) <= MOST_TOKENS and _size(text) <= MOST_TOKENS:
        return len(text)
    tokens = 0
    for part in _PARTS.finditer(text):
        tokens += _tokens(part.group())
        if tokens > MOST_TOKENS:
            return part.start() or MOST_TOKENS
    return len(text)


def _cut(text: str, end: int) -> int:
    """Where to cut the text, at ``end`` at the latest."""
    for ends in _ENDS:
        cut = max((match.end() for match in ends.finditer(text, 0, min(end + 1, len(text)))), default=0)
        if cut:
            return min(cut, end)
    return end
