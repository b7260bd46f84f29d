"""WAV files made by hand, byte by byte, for the tests beside this file."""

from __future__ import annotations

import io
import struct
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples" / "audio"
TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """A chunk, padded; ``size`` is what it claims, if not the truth."""
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(
    codec: int = 1,
    channels: int = 1,
    rate: int = 24000,
    bits: int = 16,
    extra: bytes = b"",
    align: int | None = None,
) -> bytes:
    align = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", codec, channels, rate, rate * align, align, bits) + extra)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack("<I", len(body) if size is None else size) + body


class OneByteStream:
    """A stream that cannot be sought, and gives a byte at a time, as a pipe may."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, 1))
