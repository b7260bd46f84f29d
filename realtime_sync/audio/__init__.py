"""Audio as the wire has it: sample formats, WAV files, and sources of audio cut into chunks."""

from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
from realtime_sync.audio.source import AudioSource, audio_chunks
from realtime_sync.audio.wav import WavInfo, WavWriter, read_wav_header, write_wav

__all__ = [
    "ALAW",
    "MULAW",
    "PCM",
    "AudioSource",
    "SampleFormat",
    "WavInfo",
    "WavWriter",
    "audio_chunks",
    "read_wav_header",
    "write_wav",
]
