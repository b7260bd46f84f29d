"""The sound of live sessions as it is told to those who are attached, and kept: PCM16 at 24,000 Hz."""

from __future__ import annotations

import array

from realtime_sync.audio.g711 import decode, pcm_of, samples_of
from realtime_sync.server.voice import SAMPLE_RATE
from realtime_sync.server.wire import Json

BYTES_PER_MS = SAMPLE_RATE // 1000 * 2


def at_24_khz(audio: bytes, audio_format: Json) -> bytes:
    """Audio of a session's format as PCM16 at 24,000 Hz: each sample is held until the next."""
    rate = int(audio_format["rate"])
    pcm = decode(audio, str(audio_format["type"]))
    if rate == SAMPLE_RATE:
        return pcm
    samples = samples_of(pcm)
    places = range(len(samples) * SAMPLE_RATE // rate)
    return pcm_of(array.array("h", (samples[place * rate // SAMPLE_RATE] for place in places)))
