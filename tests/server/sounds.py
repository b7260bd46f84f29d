"""Audio for the tests: something loud enough to be speech, and silence. PCM16, 24 kHz."""

from __future__ import annotations

import array
import math

RATE = 24_000


def tone(ms: int, amplitude: int = 8000, rate: int = RATE) -> bytes:
    count = rate * ms // 1000
    return array.array("h", (int(amplitude * math.sin(n * 2 * math.pi * 220 / rate)) for n in range(count))).tobytes()


def silence(ms: int, rate: int = RATE) -> bytes:
    return bytes(2 * (rate * ms // 1000))
