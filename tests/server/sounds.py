"""Audio for the tests: something loud enough to be speech, and silence. PCM16, 24 kHz."""

from __future__ import annotations

import array
import math

RATE = 24_000


def tone(ms: int, amplitude: int = 8000, rate: int = RATE) -> bytes:
    count, period = rate * ms // 1000, rate // math.gcd(220, rate)  # the period is several waves, of whole samples
    waves = array.array("h", (int(amplitude * math.sin(n * 2 * math.pi * 220 / rate)) for n in range(period))).tobytes()
    return (waves * (count // period + 1))[: 2 * count]


def silence(ms: int, rate: int = RATE) -> bytes:
    return bytes(2 * (rate * ms // 1000))
