"""What a live session is told of the one before it: the newest messages, within the service's limits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from realtime_sync.protocol.live.history import MOST_MESSAGES, MOST_TOKENS, LiveHistoryItem
from realtime_sync.protocol.live.tokens import count_tokens, ending_within

CUT_NOTE = "[The beginning is left out.] "

# The service counts so many for each message, beside its text.
_MESSAGE_TOKENS = 8
# A part of a message that is shorter says too little to be worth one.
_FEWEST_TOKENS = 64
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_WORD = re.compile(r"\s+")


def newest(
    messages: Sequence[LiveHistoryItem], most: int = MOST_MESSAGES, tokens: int = MOST_TOKENS
) -> list[LiveHistoryItem]:
    """The newest messages, in their order; of the first without room its end, with a note in front of it."""
    kept: list[LiveHistoryItem] = []
    for message in reversed(messages[len(messages) - most :] if most < len(messages) else messages):
        tokens -= _MESSAGE_TOKENS
        needed = count_tokens(message.text)
        if needed > tokens:
            end = _ending(message.text, tokens - count_tokens(CUT_NOTE))
            return [*([LiveHistoryItem.message(message.role, CUT_NOTE + end)] if end else ()), *kept[::-1]]
        kept.append(message)
        tokens -= needed
    return kept[::-1]


def _ending(text: str, tokens: int) -> str:
    """The end of a text, from a sentence or at least a word on; empty if there is hardly any room."""
    if tokens < _FEWEST_TOKENS:
        return ""
    end = ending_within(text, tokens)
    for boundary in (_SENTENCE, _WORD):
        found = boundary.search(end)
        if found is not None and end[found.end() :]:
            return end[found.end() :]
    return end
