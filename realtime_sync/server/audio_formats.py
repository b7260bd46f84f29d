"""The formats of audio on the wire: how large they are, and how they become PCM16 and come from it."""

from __future__ import annotations

import base64
import binascii

from realtime_sync.audio.g711 import decode, encode
from realtime_sync.server.wire import Refused

BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}
RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}


def to_pcm(audio: bytes, audio_type: str) -> bytes:
    """Audio of this format as PCM16 at the format's rate."""
    return audio if audio_type == "audio/pcm" else decode(audio, audio_type)


def from_pcm(pcm: bytes, audio_type: str) -> bytes:
    """PCM16 at the format's rate as audio of this format."""
    return pcm if audio_type == "audio/pcm" else encode(pcm, audio_type)


def decode_audio(text: str, path: str, audio_type: str = "audio/pcm") -> bytes:
    """The bytes of a base64 text. Raises ``Refused``, in the service's words, if it is not base64, or is empty."""
    got = "empty bytes"
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        audio, got = b"", "an invalid value"
    if not audio:
        kind = " (mono PCM16 at 24kHz)" if audio_type == "audio/pcm" else ""
        message = f"Invalid '{path}'. Expected base64-encoded audio bytes{kind} but got {got}."
        raise Refused("invalid_value", message, path)
    return audio
