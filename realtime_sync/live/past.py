"""What a new session is told of the one that it goes on for: the newest messages that it has room for."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_sync.protocol.live.history import MOST_MESSAGES, MOST_TOKENS, LiveHistoryItem
from realtime_sync.words import counted

# The service counts so many for each message, beside its text.
_MESSAGE_TOKENS = 8


def newest(messages: Sequence[LiveHistoryItem], whole: int) -> tuple[list[LiveHistoryItem], list[str]]:
    """The newest messages that fit into the service's limits, with the loss of the others.

    A token is a byte at least, whatever the tokenizer, so a text has no more tokens than bytes. ``whole``: how many
    messages there were before some of the oldest were left out.
    """
    kept: list[LiveHistoryItem] = []
    left = MOST_TOKENS
    for message in reversed(messages[-MOST_MESSAGES:]):
        left -= len(message.text.encode()) + _MESSAGE_TOKENS
        if left < 0:
            break
        kept.append(message)
    gone = whole - len(kept)
    losses = [f"history: {counted(gone, 'message')}, the oldest, for which the new session has no room"] if gone else []
    return kept[::-1], losses
