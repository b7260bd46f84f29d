"""Whether a text was read, word for word, as its transcript tells. Pure.

A transcript mostly repeats the text as it is written, but may spell it as it is spoken: "3 pm" as "three PM", "Dr." as
"Doctor", "example.com" as "example dot com". The rules:

1. Both are cut into words, without case, accents and the punctuation around them. Scripts without spaces between words
   are cut into characters.
2. Words that are the same in both, in their order, are read. What stands between two such places is read if its
   letters are much the same, or if it is an abbreviation written out.
3. What holds digits or signs may become as many words as it takes to say it, but no other number.
4. Nothing may be added before the first word or behind the last, and neither may be missing: "You said: ..." is no
   reading, however long the text is. In between, one word in twenty may differ, three at most in one place; of fewer
   than six words, none.
"""

from __future__ import annotations

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

# Letters that stand for a word or a syllable each, or for parts of words between which there are no spaces: Thai, Lao,
# Burmese, Khmer; kana, Chinese characters.
_ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}\U00020000-\U0003ffff]|[^\s{_ALONE}\U00020000-\U0003ffff]+")
_SIGNS = "&+=@%°$€£¥§<>/"  # are said; all other punctuation is not
_PARTS = re.compile(r"\d+|[^\W\d_]+|[" + re.escape(_SIGNS) + "]")
_DASHES = re.compile(r"[\u2014\u2026]|--+|\.\.+")
_ALIKE = 0.8  # "colour" and "color", "I'm" and "I am"
_FEWEST, _ONE_IN, _MOST_TOGETHER = 6, 20, 3


def is_read(text: str, transcript: str) -> bool:
    """True if somebody of whom this is the transcript has read the text, and said nothing else.

    Args:
        text: What was to be read.
        transcript: What was said, in writing.
    """
    asked, said = _words(text), _words(transcript)
    count = len(asked)
    if len(said) > count and asked in (said[:count], said[len(said) - count :]):
        return False  # also a text that begins or ends as what was added
    differing = 0
    for begin, end, there in _differences(asked, said):
        if begin == 0 and end == 1 and not there and asked[0].isdigit():
            continue  # the number of a list's entry may be left out
        words = _differing(asked[begin:end], there)
        if words > _MOST_TOGETHER or (words and (begin == 0 or end == count)):
            return False
        differing += words
    return differing <= (0 if count < _FEWEST else 1 + count // _ONE_IN)


def _differences(asked: list[str], said: list[str]) -> Iterator[tuple[int, int, list[str]]]:
    """Where words were to be read, from this to that, and which were said in their place."""
    same = zip(asked, said, strict=False)
    start = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], same))
    same = zip(reversed(asked[start:]), reversed(said[start:]), strict=False)
    tail = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], same))
    one, other = asked[start : len(asked) - tail], said[start : len(said) - tail]
    for tag, begin, end, first, last in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            yield start + begin, start + end, other[first:last]


def _words(text: str) -> list[str]:
    """Each as its parts, parted by blanks: ``10:30`` is ``10 30``, ``word-for-word`` is ``word for word``."""
    letters = (each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    plain = _DASHES.sub(" ", unicodedata.normalize("NFC", "".join(letters)).casefold())
    plain = re.sub(r"['’`]", "", plain)
    found = (_PARTS.findall(word) for word in _WORD.findall(plain))
    return [" ".join(parts) for parts in found if parts]


def _differing(asked: Sequence[str], said: Sequence[str]) -> int:
    """How many words are missing or too many, where these words were said in place of those."""
    one, other = _letters(asked), _letters(said)
    if one and other and (_is_abbreviated(one, other) or difflib.SequenceMatcher(None, one, other).ratio() >= _ALIKE):
        return 0
    plain = sum(word.isalpha() for word in asked)
    if plain == len(asked):
        return max(plain, len(said))
    if _digits(one) and (not other or _digits(other) not in ("", _digits(one))):
        return len(asked)
    return plain + max(0, len(said) - sum(map(_longest_reading, asked)))


def _letters(words: Sequence[str]) -> str:
    return "".join(words).replace(" ", "")


def _digits(letters: str) -> str:
    return "".join(filter(str.isdigit, letters))


def _is_abbreviated(one: str, other: str) -> bool:
    """True if ``one`` has letters of ``other`` alone, in order, from the first on: "dr", "doctor"."""
    rest: Iterator[str] = iter(other)
    return 2 <= len(one) <= 6 and one[0] == other[0] and all(letter in rest for letter in one)


def _longest_reading(word: str) -> int:
    """How many words it may take to say one: "3" one, "26" two, "123" five, "$5" three, "example.com" three."""
    parts = word.split()
    digits = sum(map(str.isdigit, word))
    signs = sum(2 for part in parts if not part.isdigit() and not (part.isalpha() and len(part) > 2))
    between = len(parts) - 1 if not digits else 0
    words = sum(part.isalpha() and len(part) > 2 for part in parts)
    return (digits if digits < 3 else 2 * digits - 1) + signs + between + words
