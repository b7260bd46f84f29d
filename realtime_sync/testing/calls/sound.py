"""How long a moment of a call is, and what is loud enough to be heard."""

from __future__ import annotations

from realtime_sync.audio.g711 import samples_of

TICK = 0.02
"""Seconds of sound that go each way at once."""
_LOUD = 330  # the peak, of 32768: -40 dBFS. Silence in G.711, and the hiss around recorded speech, stay below it.


def is_loud(pcm: bytes) -> bool:
    """Whether a moment of PCM16 can be heard."""
    samples = samples_of(pcm)
    return bool(samples) and max(max(samples), -min(samples)) >= _LOUD


def trimmed(pcm: bytes, tick_bytes: int) -> bytes:
    """Speech without the silence around it, cut between ticks; empty if all is silence."""
    starts = range(0, len(pcm), tick_bytes)
    loud = [start for start in starts if is_loud(pcm[start : start + tick_bytes])]
    return pcm[loud[0] : loud[-1] + tick_bytes] if loud else b""
