"""The words of a live session as the history with which the next one begins: the newest of them, within its limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Optional

from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.protocol.live.history import MOST_MESSAGES, MOST_TOKENS, LiveHistoryItem

CUT_NOTE = "[The beginning is left out.] "

# The service counts so many for each message, beside its text.
_MESSAGE_TOKENS = 8
# A part of a turn that is shorter says too little to be worth a message.
_FEWEST_TOKENS = 64
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_WORD = re.compile(r"\s+")


def tokens_at_most(text: str) -> int:
    """How many tokens a text has at most, by any tokenizer that is made of bytes, as the service's is.

    It is no guess: none of its tokens is shorter than a byte. English has a quarter of that.
    """
    return len(text.encode())


def history_of(
    turns: Sequence[LiveTurn], messages: int = MOST_MESSAGES, tokens: int = MOST_TOKENS
) -> list[LiveHistoryItem]:
    """The newest turns as messages, in their order, within so many messages and tokens."""
    kept: list[LiveHistoryItem] = []
    for turn in reversed(turns):
        if len(kept) == messages:
            break
        room = tokens - _MESSAGE_TOKENS
        text = turn.text if tokens_at_most(turn.text) <= room else _ending(turn.text, room)
        if not text:
            break
        kept.append(LiveHistoryItem.message(turn.speaker, text))
        tokens = room - tokens_at_most(text)
        if text != turn.text:
            break
    return kept[::-1]


def _ending(text: str, tokens: int) -> Optional[str]:
    """The end of a text, from a sentence or at least a word on, with a note; None if there is hardly any room."""
    room = tokens - tokens_at_most(CUT_NOTE)
    if room < _FEWEST_TOKENS:
        return None
    end = text.encode()[-room:].decode(errors="ignore")
    for boundary in (_SENTENCE, _WORD):
        found = boundary.search(end)
        if found is not None and end[found.end() :]:
            return CUT_NOTE + end[found.end() :]
    return CUT_NOTE + end
