"""What counts as the reading of a text: what is spelled otherwise does, what is added or left out does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.speaking import is_read

READ = [
    ("Good morning.", "good morning"),
    ("3 pm", "three PM"),
    ("Dr. Smith pays $5.", "Doctor Smith pays five dollars."),
    ("See example.com now", "See example dot com now"),
    ("John <john@mail.org>", "John, john at mail dot org"),
    ("It is 50% off at 10:30", "It is fifty percent off at ten thirty"),
    ("In 2026, we won", "In twenty twenty-six, we won"),
    ("1,234.56 euros", "1234.56 euros"),
    ("Call +49 30 1234567", "Call plus forty-nine thirty one two three four five six seven"),
    ("Il a 97 ans", "Il a quatre-vingt-dix-sept ans"),
    ("-5 °C", "minus five degrees Celsius"),
    ("5 km/h", "five kilometers per hour"),
    ("word-for-word", "word for word"),
    ("R&D is fun", "R and D is fun"),
    ("e.g. cats", "for example cats"),
    ("and so on, etc.", "and so on, et cetera"),
    ("The USA", "The U.S.A."),
    ("I'm here", "I am here"),
    ("The colour", "The color"),
    ("naïve café", "naive cafe"),
    ("1. Hello there", "Hello there"),
    ("— Hello — world …", "Hello world"),
    ("你好，世界。", "你好世界"),
    ("3点见", "三点见"),
    ("Prof. Müller kommt am 3. Mai um 14 Uhr.", "Professor Müller kommt am dritten Mai um vierzehn Uhr."),
    ("...", ""),
]
NOT_READ = [
    ("Hi", "Hello"),
    ("Yes", "No"),
    ("3 pm", "You said: three PM"),
    ("Please call Dr. Smith at 3 pm today", "Okay: please call Doctor Smith at three PM today"),
    ("Please call Dr. Smith at 3 pm today", "You said: please call Doctor Smith at three PM today"),
    ("Please call Dr. Smith at 3 pm today", "Please call Doctor Smith at three PM today, my friend"),
    ("you", "You said: you"),
    ("You said it", "You said: You said it"),
    ("...", "You said:"),
    ("Good morning.", ""),
    ("Good morning.", "Good morning! How can I help you?"),
    ("What is your name?", "My name is Robo."),
    ("What is the tallest tree in the world?", "The tallest tree in the world is Hyperion."),
    ("What is 2 + 2?", "Four."),
    ("What is 2 + 2?", "What is"),
    ("2 + 2", "4"),
    ("One two three four five six seven.", "One two three four five"),
    ("你叫什么名字？", "我叫小明。"),
]
WORDS = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), min_size=1, max_size=120)


@pytest.mark.parametrize(("text", "transcript"), READ)
def test_what_is_spelled_as_it_is_spoken_is_read(text: str, transcript: str) -> None:
    assert is_read(text, transcript)
    assert is_read(text, text)


@pytest.mark.parametrize(("text", "transcript"), NOT_READ)
def test_an_answer_an_addition_and_an_omission_are_no_reading(text: str, transcript: str) -> None:
    assert not is_read(text, transcript)


@pytest.mark.parametrize(("text", "_"), READ)
def test_a_repetition_that_says_so_is_no_reading(text: str, _: str) -> None:
    assert not is_read(text, f"You said: {text}")


@given(WORDS)
def test_however_long_a_text_is_its_words_are_its_reading_and_no_word_more_or_less_at_its_ends(
    words: list[str],
) -> None:
    text = " ".join(words)
    assert is_read(text, text)
    assert is_read(text, f"“{text}!”")
    assert not is_read(text, f"You said: {text}")
    assert not is_read(text, f"{text}. What else can I do for you?")


FEW_WORDS = ["the", "cat", "sat", "on", "a", "mat", "while", "it", "rained", "all", "day"]


@given(st.lists(st.sampled_from(FEW_WORDS), min_size=20, max_size=200))
def test_a_slip_in_a_long_text_is_read_and_a_sentence_left_out_is_not(words: list[str]) -> None:
    middle = len(words) // 2
    before, behind = " ".join(words[:middle]), " ".join(words[middle + 1 :])
    assert is_read(f"{before} {words[middle]} {behind}", f"{before} umbrella {behind}")
    assert not is_read(f"{before}. Nobody ever knew why. {behind}", f"{before}. {behind}")
    assert not is_read(f"{before} {behind}", f"{before}. I do not know either. {behind}")
