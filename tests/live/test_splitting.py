"""Long appends: cut where a person would pause, never too long, and nothing left out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.live.splitting import MOST_TOKENS, split
from realtime_sync.protocol.live.tokens import count_tokens


def service_count(text: str) -> float:
    """As the embedded server counts: a third of the ASCII characters, and each other one."""
    ascii_characters = sum(character.isascii() for character in text)
    return ascii_characters / 3 + len(text) - ascii_characters


def test_what_is_short_is_one_piece() -> None:
    assert split("  Hello there.\n") == ["Hello there."]
    assert split("x" * 500) == ["x" * 500]
    assert split("é" * 250) == ["é" * 250]


def test_a_long_text_is_cut_behind_sentences() -> None:
    sentence = "The train to the coast leaves at ten, and it arrives before noon. "
    pieces = split(sentence * 60)
    assert len(pieces) > 1
    assert all(piece.endswith("noon.") for piece in pieces)
    assert " ".join(pieces) == (sentence * 60).strip()


def test_a_sentence_that_is_too_long_is_cut_behind_a_clause_or_else_a_word() -> None:
    clauses = "and then we saw a hill, " * 200
    assert all(piece.endswith("hill,") for piece in split(clauses))
    words = "hill " * 1000
    pieces = split(words)
    assert all(re.fullmatch("hill( hill)*", piece) for piece in pieces)
    assert " ".join(pieces) == words.strip()


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    assert [len(piece) for piece in split("x" * 1200)] == [500, 500, 200]
    assert "".join(split("你好世界" * 300)) == "你好世界" * 300
    chinese = split("今天天气很好。" * 200)
    assert all(piece.endswith("。") for piece in chinese)


@pytest.mark.parametrize("text", ["1 " * 2000, "?!" * 2000, "🙂" * 1000, "a1b2" * 1000, "Zd9_" * 1000])
def test_what_has_many_tokens_for_its_length_is_counted_so(text: str) -> None:
    assert count_tokens(text) >= len(text) / 2
    assert all(count_tokens(piece) <= MOST_TOKENS for piece in split(text))


@given(st.text(max_size=4000) | st.text("ab .,\n", max_size=4000) | st.text("Ab1 é好🙂.。", max_size=4000))
def test_no_piece_is_too_long_and_only_white_space_is_left_out(text: str) -> None:
    pieces = split(text)
    assert re.sub(r"\s", "", "".join(pieces)) == re.sub(r"\s", "", text)
    for piece in pieces:
        assert piece == piece.strip()
        assert count_tokens(piece) <= MOST_TOKENS
        assert service_count(piece) <= MOST_TOKENS
    if len(pieces) > 1:
        assert all(pieces)
