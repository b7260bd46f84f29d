"""Numbers and sums in spoken English."""

from __future__ import annotations

from fractions import Fraction

import pytest

from realtime_sync.server.speech import sums


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("What is seven times eight?", "7 times 8 is 56."),
        ("What is 7 times 8?", "7 times 8 is 56."),
        ("What's 7x8", "7 times 8 is 56."),
        ("twelve plus thirty-four minus 6", "12 plus 34 minus 6 is 40."),
        ("How much is 2 + 3 * 4?", "2 plus 3 times 4 is 14."),
        ("A hundred and five minus two, please.", "105 minus 2 is 103."),
        ("one thousand two hundred thirty four divided by two", "1234 divided by 2 is 617."),
        ("two hundred and fifty thousand plus one", "250000 plus 1 is 250001."),
        ("12,500 minus 500.5", "12500 minus 500.5 is 11999.5."),
        ("What is 20 percent of 50?", "20 percent of 50 is 10."),
        ("10 divided by 3", "10 divided by 3 is about 3.3333."),
        ("one multiplied by six", "1 times 6 is 6."),
        ("10 over 0", "I cannot divide by zero."),
        ("What is minus five plus two?", "-5 plus 2 is -3."),
        ("-5 + 2", "-5 plus 2 is -3."),
        ("3 times -4", "3 times -4 is -12."),
        ("2 times 3 - 1", "2 times 3 minus 1 is 5."),
    ],
)
def test_a_sum_is_told_with_its_result(text: str, answer: str) -> None:
    assert sums.answer(text) == answer


@pytest.mark.parametrize(
    "text", ["", "Hello.", "I have 3 apples and 4 pears", "the year 2024", "seven and eight", "20%"]
)
def test_what_is_no_sum_has_no_answer(text: str) -> None:
    assert sums.answer(text) is None


def test_what_is_too_large_to_be_told_is_no_error() -> None:
    assert sums.answer(" times ".join(["9" * 100] * 50)) == "I cannot count that far."
    assert sums.answer(f"{' times '.join(['9' * 100] * 4)} over 7") == "I cannot count that far."
    assert sums.answer(f"{'9' * 5000} plus 1") is None


def test_numbers_are_found_in_words_and_in_figures_in_their_order() -> None:
    assert sums.numbers("Set 3 timers of twenty-five minutes, and one of 1.5") == [3, 25, 1, Fraction(3, 2)]
