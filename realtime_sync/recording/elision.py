"""Audio taken out of frames, and put back: where it was, and how long.

In a frame's text the base64 gives way to words for a reader (``<9600 bytes>``); a ``Gap`` beside the text says where
they stand, so that no text of a conversation can be mistaken for one.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Callable

import attrs

# `audio` holds base64 wherever the protocol has it as a string; `delta` does in the messages of this type alone. What
# follows the first quote is the whole value: base64 holds no quote, and JSON in a string has its quotes escaped.
_AUDIO = re.compile(r'"audio"\s*:\s*"([^"]*)"')
_DELTA = re.compile(r'"delta"\s*:\s*"([^"]*)"')
_DELTA_TYPE = re.compile(r'"type"\s*:\s*"[a-z_.]*audio\.delta"')


@attrs.frozen
class Gap:
    """Audio that was taken out of a frame's text.

    ``at``: the place in the text where its words stand, in characters; ``length``: of the words. ``size``: of the
    audio, in bytes; ``start``: where it begins among the samples of the file beside, in bytes; None: it was not kept.
    """

    at: int
    length: int
    size: int
    start: int | None = None

    def to_json(self) -> list[int]:
        """As it stands in a recording."""
        return [self.at, self.length, self.size, *(() if self.start is None else (self.start,))]


def take_audio(text: str, keep: Callable[[bytes], int | None]) -> tuple[str, list[Gap]]:
    """The text without its audio, and the gaps. ``keep`` takes the samples and tells where it put them, if it did."""
    pattern = _DELTA if _DELTA_TYPE.search(text) else _AUDIO
    pieces: list[str] = []
    gaps: list[Gap] = []
    end = length = 0
    for found in pattern.finditer(text):
        samples = _decoded(found[1])
        if not samples:
            continue
        start = keep(samples)
        words = f"<{len(samples)} bytes>" if start is None else f"<{len(samples)} bytes at {start}>"
        pieces += [text[end : found.start(1)], words]
        length += found.start(1) - end
        gaps.append(Gap(length, len(words), len(samples), start))
        length += len(words)
        end = found.end(1)
    return "".join([*pieces, text[end:]]), gaps


def put_back(text: str, gaps: list[Gap], samples: Callable[[Gap], bytes]) -> str:
    """The text with audio in its gaps."""
    pieces: list[str] = []
    end = 0
    for gap in gaps:
        pieces += [text[end : gap.at], base64.b64encode(samples(gap)).decode()]
        end = gap.at + gap.length
    return "".join([*pieces, text[end:]])


def _decoded(value: str) -> bytes:
    """The samples; nothing where it is no base64 (a voice's name, a placeholder)."""
    try:
        text = json.loads(f'"{value}"') if "\\" in value else value  # some servers write "+" or "/" as an escape
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
