"""Audio as the wire has it: formats, files and arrays as sources, conversion, pacing, microphones and speakers."""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.audio.arrays import Samples
    from realtime_sync.audio.converting import converted_chunks, write_audio
    from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
    from realtime_sync.audio.outgoing import Progress, outgoing_chunks
    from realtime_sync.audio.pacing import Pacer, PacingClock, RealClock
    from realtime_sync.audio.preflight import check_commit
    from realtime_sync.audio.source import AudioChunks, AudioSource, audio_chunks
    from realtime_sync.audio.wav import WavInfo, WavWriter, read_wav_header, write_wav
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "formats": "ALAW MULAW PCM SampleFormat",
            "arrays": "Samples",
            "converting": "converted_chunks write_audio",
            "outgoing": "Progress outgoing_chunks",
            "pacing": "Pacer PacingClock RealClock",
            "preflight": "check_commit",
            "source": "AudioChunks AudioSource audio_chunks",
            "wav": "WavInfo WavWriter read_wav_header write_wav",
        },
    )

__all__ = [
    # formats
    "ALAW",
    "MULAW",
    "PCM",
    "SampleFormat",
    # sources
    "AudioChunks",
    "AudioSource",
    "Samples",
    "audio_chunks",
    "outgoing_chunks",
    # on the way
    "PacingClock",
    "Pacer",
    "Progress",
    "RealClock",
    "check_commit",
    # results
    "WavInfo",
    "WavWriter",
    "converted_chunks",
    "read_wav_header",
    "write_audio",
    "write_wav",
]
