"""What is shown of a turn, wherever it is: in a table, a notebook, a line of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realtime_sync.conversation.turns import Turn


def user_words(turn: Turn) -> str:
    """What the user wrote and said."""
    return " ".join(filter(None, (turn.user_text, turn.user_transcript)))


def state_of(turn: Turn) -> str:
    """``completed``, ``interrupted``, ``unanswered``, ..."""
    return "interrupted" if turn.interrupted else turn.status or "unanswered"
