"""MP3 and AAC without a container: nothing but frames, each with a header that says how long the frame is.

One header looks like samples, and quiet samples like a header. Three in a row, each where the one before it says, are
no accident: of the pieces of a microphone, about one in 10**11.
"""

from __future__ import annotations

from typing import Callable, Optional

_IN_A_ROW = 3
_HEADER_BYTES = 6
# MPEG audio (ISO 11172-3, 13818-3): kbit/s by whether it is MPEG-1, and the layer. The indexes 0 and 15 tell no length,
# and nobody uses layer I, whose headers quiet samples resemble most.
_KBITS = {
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)
_RATE_DIVISORS = {0: 4, 2: 2, 3: 1}  # MPEG-2.5, MPEG-2, MPEG-1


def frames_in_a_row(peek: Callable[[int], bytes]) -> Optional[str]:
    """What begins with frames of one kind, in words; None for anything else.

    ``peek(size)`` gives the first bytes, fewer only if there are no more. It is asked for what the headers need.
    """
    at, kinds = 0, set()
    for count in range(_IN_A_ROW):
        start = peek(at + _HEADER_BYTES)
        if count >= 2 and len(start) == at:
            break  # a short file, which ends with its second frame
        kind, size = _adts(start[at:]) or _mp3(start[at:]) or ("", 0)
        kinds.add(kind)
        if not size or len(kinds) > 1:
            return None
        at += size
    return "an MP3 file" if kinds.pop().startswith("MP3") else "an AAC file"


def _mp3(header: bytes) -> Optional[tuple[str, int]]:
    """The kind of a frame, which all frames of a file share, and its length in bytes."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    kbits = _KBITS.get((version == 3, layer))
    if version == 1 or kbits is None or index in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return None
    hertz = _RATES[rate] // _RATE_DIVISORS[version]
    samples = 576 if version != 3 and layer == 3 else 1152
    return f"MP3 {version} {layer} {hertz}", samples // 8 * kbits[index - 1] * 1000 // hertz + padding


def _adts(header: bytes) -> Optional[tuple[str, int]]:
    """As ``_mp3``, for AAC in ADTS (ISO 13818-7)."""
    if len(header) < _HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return None
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return (f"AAC {header[1]} {header[2]} {header[3] & 0xC0}", size) if size > 7 else None
