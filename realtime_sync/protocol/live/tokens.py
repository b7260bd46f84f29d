"""How many tokens a text has, counted without a tokenizer: at least as many as the service counts in what people write.

A token has a byte of UTF-8 at least, and the count never exceeds the bytes. Of English it counts two for each word,
which is half more than there are.
"""

from __future__ import annotations

import re

# What a tokenizer takes together at most: a word with the space before it, three digits. All else is counted alone.
_PARTS = re.compile(r" ?[A-Za-z]+|[0-9]{1,3}|.", re.DOTALL)
# An English word has a token for each four letters or so; longer ones are no words, but keys and the like.
_LETTERS_A_TOKEN, _LONGEST_WORD = 3, 20
# Of a character that UTF-8 writes in so many bytes.
_OF_BYTES = {2: 1, 3: 2, 4: 4}


def count_tokens(text: str) -> int:
    """At least as many tokens as the text has."""
    return sum(map(_tokens, _PARTS.findall(text)))


def beginning_within(text: str, most: int) -> str:
    """The longest beginning of a text that has no more tokens."""
    end = 0
    for part in _PARTS.findall(text):
        tokens = _tokens(part)
        if tokens > most:
            return text[: end + _characters(part, tokens, most)]
        most -= tokens
        end += len(part)
    return text


def ending_within(text: str, most: int) -> str:
    """The longest end of a text that has no more tokens."""
    begin = len(text)
    for part in reversed(_PARTS.findall(text)):
        tokens = _tokens(part)
        if tokens > most:
            return text[begin - _characters(part, tokens, most) :]
        most -= tokens
        begin -= len(part)
    return text


def _characters(part: str, tokens: int, most: int) -> int:
    """How many characters of a part with too many tokens may be taken: some if it is no word."""
    return most if tokens == len(part) else 0


def _tokens(part: str) -> int:
    """Of one match of ``_PARTS``."""
    if not part.isascii():
        return _OF_BYTES[len(part.encode("utf-8", "surrogatepass"))]
    if not part[-1].isalpha():
        return 1
    is_word = len(part.lstrip(" ")) <= _LONGEST_WORD
    return -(-len(part) // _LETTERS_A_TOKEN) if is_word else len(part)
