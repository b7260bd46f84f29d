"""The turns of a live session in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from realtime_sync.audio.players import Players, player
from realtime_sync.notebook import card, paragraph, table
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation
    from realtime_sync.conversation.live.turns import LiveTurn

HEADS = ("speaker", "from", "to", "ended by", "words")


def turn_page(turn: LiveTurn) -> str:
    """What was said, when, and how it sounded."""
    facts = {"said": f"{_moment(turn.start_ms)} to {_moment(turn.end_ms)}", "ended by": _end(turn)}
    sound = player(turn.audio, turn.audio_format)
    return card(f"Turn of the {turn.speaker}", facts, paragraph(turn.text) + sound)


def conversation_page(conversation: LiveConversation) -> str:
    """The turns in a table; who overlaps whom is told by their times."""
    facts = {"forgotten": counted(conversation.forgotten, "turn") if conversation.forgotten else None}
    turns = conversation.turns
    return card(f"Live conversation: {counted(len(turns), 'turn')}", facts, table(HEADS, rows_of(turns)))


def turns_page(turns: Sequence[LiveTurn]) -> str:
    """The turns one below the other, with a player for each whose sound was kept."""
    players = Players()
    entries = (
        f"<dt>{turn.speaker}, {_moment(turn.start_ms)}</dt>"
        f"<dd>{html.escape(turn.text)}{players.player(turn.audio, turn.audio_format)}</dd>"
        for turn in turns
    )
    return f"<dl>{''.join(entries)}</dl>"


def rows_of(turns: Sequence[LiveTurn]) -> list[list[str]]:
    """A row for each turn, with the columns of ``HEADS``."""
    return [[turn.speaker, _moment(turn.start_ms), _moment(turn.end_ms), _end(turn), turn.text] for turn in turns]


def _end(turn: LiveTurn) -> str:
    return f"{turn.reason} (continues the one before)" if turn.continues else turn.reason


def _moment(milliseconds: float) -> str:
    minutes, seconds = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}:{seconds:05.2f}"
