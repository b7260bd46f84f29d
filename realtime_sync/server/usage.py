"""How many tokens the server says that things cost, by a rule simple enough to check by hand.

Text: one token for each four characters begun. Audio heard: one for each 100 ms begun; audio said: one for each
50 ms begun (the service's published rates). Cached: of the input text, the whole multiples of 64 tokens that the
response before had already read.
"""

from __future__ import annotations

import json
from typing import Iterable

from realtime_sync.server.audio_formats import BYTES_PER_MS
from realtime_sync.server.items import Item
from realtime_sync.server.wire import Json


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return -(-len(text) // 4)


def heard_tokens(ms: int) -> int:
    """Tokens of input audio of so many milliseconds."""
    return -(-ms // 100)


def said_tokens(size: int, audio_type: str) -> int:
    """Tokens of output audio of so many bytes."""
    return -(-size // (50 * BYTES_PER_MS[audio_type]))


def item_tokens(item: Item) -> tuple[int, int]:
    """Text and audio tokens of an item as input. Counted once: a long conversation is read by each of its answers."""
    if item.tokens is not None:
        return item.tokens
    text = "".join(str(item.wire.get(key) or "") for key in ("name", "arguments", "output"))
    for part in item.wire.get("content", ()):
        text += str(part.get("text") or "")
    tokens = text_tokens(text), sum(heard_tokens(item.audio_ms(index)) for index in item.audio)
    # The output of a remote call comes behind the response that told the call.
    if item.wire.get("status") != "in_progress" and item.wire["type"] != "mcp_call":
        item.tokens = tokens
    return tokens


def input_tokens(instructions: str, tools: object, items: Iterable[Item]) -> tuple[int, int]:
    """Text and audio tokens of all that a response reads."""
    counts = [item_tokens(item) for item in items]
    text = text_tokens(instructions) + (text_tokens(json.dumps(tools)) if tools else 0)
    return text + sum(count[0] for count in counts), sum(count[1] for count in counts)


def usage(read: tuple[int, int], said: tuple[int, int], cached_text: int) -> Json:
    """The ``usage`` of ``response.done``; pairs are text and audio tokens."""
    cached = min(read[0], cached_text) // 64 * 64
    return {
        "total_tokens": sum(read) + sum(said),
        "input_tokens": sum(read),
        "output_tokens": sum(said),
        "input_token_details": {
            "text_tokens": read[0],
            "audio_tokens": read[1],
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": said[0], "audio_tokens": said[1]},
    }
