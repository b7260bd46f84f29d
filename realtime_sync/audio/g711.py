"""G.711 by table: µ-law and A-law, as the wire's audio/pcmu and audio/pcma (8 kHz, one byte a sample).

The codes are of the standard's 14-bit (µ-law) and 13-bit (A-law) samples; 16-bit PCM is shifted down to them.
"""

from __future__ import annotations

import array
import functools
import sys

_ULAW_BIAS = 33
_ULAW_CLIP = 8158


def encode(pcm: bytes, kind: str) -> bytes:
    """16-bit little-endian PCM to G.711, at the same rate; ``kind`` is ``"audio/pcmu"`` or ``"audio/pcma"``.

    Half a sample at the end is left out.
    """
    return bytes(map(_encode_table(kind).__getitem__, samples_of(pcm)))


def decode(data: bytes, kind: str) -> bytes:
    """G.711 to 16-bit little-endian PCM, at the same rate; ``kind`` as in ``encode``, or ``"audio/pcm"``: as it is."""
    if kind == "audio/pcm":
        return data
    return little_endian(array.array("h", map(decode_table(kind).__getitem__, data)))


@functools.cache
def decode_table(kind: str) -> tuple[int, ...]:
    """The 16-bit sample of each of the 256 codes."""
    expand = _ulaw_expand if kind == "audio/pcmu" else _alaw_expand
    return tuple(expand(code) for code in range(256))


@functools.cache
def _encode_table(kind: str) -> bytes:
    """The code of each 16-bit sample; a negative sample counts from the table's end, as Python indexes."""
    compress = _ulaw_compress if kind == "audio/pcmu" else _alaw_compress
    return bytes(compress(sample) for sample in (*range(32768), *range(-32768, 0)))


def _ulaw_compress(sample: int) -> int:
    value = sample >> 2
    sign = 0x80 if value < 0 else 0
    magnitude = min(abs(value), _ULAW_CLIP) + _ULAW_BIAS
    segment = magnitude.bit_length() - 6
    return ~(sign | segment << 4 | magnitude >> segment + 1 & 0x0F) & 0xFF


def _ulaw_expand(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def _alaw_compress(sample: int) -> int:
    value = sample >> 3
    # The standard's negative half is the one's complement: -1 takes the place of 0.
    mask, magnitude = (0xD5, value) if value >= 0 else (0x55, -value - 1)
    segment = max(0, magnitude.bit_length() - 5)
    low = magnitude >> 1 if segment < 2 else magnitude >> segment
    return (segment << 4 | low & 0x0F) ^ mask


def _alaw_expand(code: int) -> int:
    code ^= 0x55
    segment, low = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = low + 8 if segment == 0 else low + 0x108 << segment - 1
    return magnitude if code & 0x80 else -magnitude


def samples_of(pcm: bytes) -> array.array[int]:
    """The samples of PCM16, as this machine's numbers; half a sample at the end is left out."""
    samples = array.array("h", pcm[: len(pcm) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def little_endian(samples: array.array[int]) -> bytes:
    """Samples as PCM16; on a big-endian machine they are turned round in their place."""
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
