"""How wide a text is in a terminal."""

from __future__ import annotations

import pytest

from realtime_sync import cells


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("tree", 4), ("Größe", 5), ("Gro\u0308ße", 5), ("木を見る", 8), ("한국", 4), ("👍!", 3), ("\u200bx", 1)],
)
def test_letters_of_east_asia_and_emoji_take_two_cells_and_accents_none(text: str, width: int) -> None:
    assert cells.width_of(text) == width


def test_a_beginning_and_an_end_take_no_more_cells_than_there_are() -> None:
    assert [cells.beginning("a木見", room) for room in range(6)] == ["", "a", "a", "a木", "a木", "a木見"]
    assert [cells.ending("木見a", room) for room in range(6)] == ["", "a", "a", "見a", "見a", "木見a"]
