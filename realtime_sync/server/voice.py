"""The server's voice: PCM16 at 24 kHz that sounds of syllables, made of the text alone, the same each time.

It is not speech, but it can be heard, it has pauses where the text has them, its level sets off a voice activity
detector, and a second of it costs a millisecond: each letter is a small wave that is made once and kept.
"""

from __future__ import annotations

import array
import functools
import math
import zlib

from realtime_sync.audio.g711 import pcm_of, samples_of
from realtime_sync.server.audio_formats import from_pcm

SAMPLE_RATE = 24_000
LETTER_MS = 65
_LETTER_SAMPLES = SAMPLE_RATE * LETTER_MS // 1000
_PAUSE = bytes(2 * _LETTER_SAMPLES)
_OVERTONES = {"a": 6, "e": 4, "i": 14, "o": 5, "u": 3, "y": 16}  # near the vowels' formants
_MELODY = (0, 2, 3, 1, -1, 1, 0, -2)  # semitones, one a word


def speak(text: str, voice: str = "alloy") -> bytes:
    """PCM16 little-endian, mono, 24,000 Hz: 65 ms a letter, a pause for each space and three for a full stop."""
    base = 110 + zlib.crc32(voice.encode()) % 90
    parts: list[bytes] = []
    word = 0
    for letter in text.lower():
        if letter.isalnum():
            parts.append(_letter(letter, base, _MELODY[word % len(_MELODY)]))
        elif letter in ".!?":
            parts.append(_PAUSE * 3)
        else:
            parts.append(_PAUSE)
            word += 1
    return b"".join(parts)


def convert(pcm: bytes, audio_type: str) -> bytes:
    """24 kHz PCM16 in the session's output format: itself, or 8 kHz G.711."""
    return pcm if audio_type == "audio/pcm" else from_pcm(narrow(pcm), audio_type)


def narrow(pcm: bytes) -> bytes:
    """24 kHz PCM16 at 8 kHz: every third sample, averaged."""
    samples = samples_of(pcm[: len(pcm) // 6 * 6])
    thirds = zip(samples[0::3], samples[1::3], samples[2::3], strict=True)
    return pcm_of(array.array("h", (sum(three) // 3 for three in thirds)))


@functools.lru_cache(maxsize=1024)
def _letter(letter: str, base: int, semitones: int) -> bytes:
    """One letter as a wave: a tone with the overtone that is loudest in this vowel, fainter for other letters."""
    step = 2 * math.pi * base * 2 ** (semitones / 12) / SAMPLE_RATE
    overtone = _OVERTONES.get(letter, 2)
    loud = 6000 if letter in _OVERTONES else 3000
    wave = (loud * _envelope(n) * (math.sin(step * n) + math.sin(overtone * step * n)) for n in range(_LETTER_SAMPLES))
    return pcm_of(array.array("h", map(int, wave)))


def _envelope(n: int) -> float:
    """Up within 10 ms, down within the last 15 ms, so that letters do not click."""
    return min(1.0, n / 240, (_LETTER_SAMPLES - n) / 360)
