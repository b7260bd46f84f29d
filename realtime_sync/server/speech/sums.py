"""Numbers and sums in spoken English: "what is seven times eight", "12.5 plus 3", "a hundred and five minus two"."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Optional, Sequence, Union

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: number for number, word in enumerate(_UNITS.split())}
_SMALL.update({word: 10 * number for number, word in enumerate(_TENS.split(), 2)})
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_SIGNS = {"plus": "+", "minus": "-", "times": "*", "divided": "/", "multiplied": "*", "over": "/", "percent": "%"}
_SIGNS.update({"+": "+", "-": "-", "−": "-", "*": "*", "x": "*", "×": "*", "/": "/", "÷": "/", "%": "%"})
_NAMES = {"+": "plus", "-": "minus", "*": "times", "/": "divided by", "%": "percent of"}
_TOKEN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|[a-z]+|[-+*/×÷%−]")
_MOST_DIGITS = 100  # of a number; what has more is none to count with

Token = Union[Fraction, str]


def tokens(text: str) -> list[Token]:
    """The text's numbers, in figures or in words, and its other words and signs in lower case, in their order."""
    found: list[Token] = []
    words = _TOKEN.findall(re.sub(r"(?<=[a-z])-(?=[a-z])", " ", text.lower()))  # twenty-one is no subtraction
    while words:
        number, used = _number(words)
        found.append(words[0] if number is None else number)
        del words[: max(1, used)]
    return found


def numbers(text: str) -> list[Fraction]:
    """The numbers of a text."""
    return [token for token in tokens(text) if isinstance(token, Fraction)]


def as_text(number: Fraction) -> str:
    """A number as one reads it out; rounded to four places where it has more."""
    if number.denominator == 1:
        return str(number.numerator)
    return f"{float(number):.4f}".rstrip("0").rstrip(".")


def answer(text: str) -> Optional[str]:
    """The sum of a text with its result, as a sentence; None where there is no sum in it."""
    terms = _terms(tokens(text))
    if terms is None:
        return None
    asked = " ".join(_NAMES[term] if isinstance(term, str) else as_text(term) for term in terms)
    try:
        result = _value(terms)
        told = as_text(result)
        return f"{asked} is {'' if result == Fraction(told) else 'about '}{told}."
    except ZeroDivisionError:
        return "I cannot divide by zero."
    except (OverflowError, ValueError):  # Python writes no integers of thousands of digits
        return "I cannot count that far."


def _number(words: Sequence[str]) -> tuple[Optional[Fraction], int]:
    """The number that the words begin with, and how many of them make it; None where they begin with none."""
    if words[0][0].isdigit() and len(words[0]) <= _MOST_DIGITS:
        return Fraction(words[0].replace(",", "")), 1
    total = current = used = 0
    for index, word in enumerate(words):
        after_tens = current % 100 >= 20 and current % 10 == 0 and _SMALL.get(word, 99) < 10
        if word in _SMALL and (index == 0 or current % 100 == 0 or after_tens):
            current += _SMALL[word]
        elif word in _SCALES and (index or len(words) > 1):
            current = max(1, current) * _SCALES[word]
            if _SCALES[word] > 100:
                total, current = total + current, 0
        elif (
            word == "and"
            and used
            and (current or total) % 100 == 0
            and set(words[index + 1 : index + 2]) <= set(_SMALL)
        ):
            continue
        else:
            break
        used = index + 1
    return (Fraction(total + current), used) if used else (None, 0)


def _terms(found: Sequence[Token]) -> Optional[list[Token]]:
    """The longest "number, sign, number, ..." that begins with the first number followed by a sign.

    A minus where a number is wanted belongs to that number.
    """
    terms: list[Token] = []
    negative = False
    for token in found:
        wants_number = not terms or isinstance(terms[-1], str)
        before, negative = negative, wants_number and _SIGNS.get(str(token)) == "-"
        if negative:
            continue
        if isinstance(token, Fraction):
            token = -token if before else token
            if wants_number:
                terms.append(token)
            elif len(terms) > 2:
                break
            else:
                terms = [token]
        elif token in _SIGNS and not wants_number:
            terms.append(_SIGNS[token])
        elif token not in ("by", "of") or not wants_number:
            if len(terms) > 2:
                break
            terms = []
    if terms and isinstance(terms[-1], str):
        terms.pop()
    return terms if len(terms) > 2 else None


def _value(terms: Sequence[Token]) -> Fraction:
    """The value, multiplication and division first."""
    sums: list[Fraction] = []
    sign = "+"
    for token in terms:
        if isinstance(token, str):
            sign = token
        elif sign in "+-":
            sums.append(token if sign == "+" else -token)
        elif sign == "*":
            sums[-1] *= token
        else:
            sums[-1] = sums[-1] / token if sign == "/" else sums[-1] * token / 100
    return sum(sums, Fraction(0))
