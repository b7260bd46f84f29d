"""Spoken conversations: what is said to a server, and what is understood of its answer."""

from __future__ import annotations

import re
import wave
from pathlib import Path
from typing import Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.server.speech import Hints, Speech
from realtime_sync.server.tool_calls import figures

AUDIO = Path(__file__).parents[3] / "examples" / "audio"
RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "What is the weather like in Paris today?",
    "Please set a timer for twenty minutes.",
    "I would like to book a table for two people on Friday evening.",
    "Seven times eight is fifty six.",
    "Your name is Ada, and your favorite color is blue.",
    "The train leaves at nine o'clock in the morning.",
    "Could you say that again, a little more slowly?",
)


def words(text: str) -> list[str]:
    return re.findall(r"\d+|[a-z]+", figures(text.replace("'", "")).lower())


def word_errors(reference: str, heard: str) -> int:
    """How many words are wrong, missing or too many, whatever the case, the punctuation and the way of the numbers."""
    wanted, got = words(reference), words(heard)
    row = list(range(len(got) + 1))
    for index, token in enumerate(wanted, 1):
        before, row[0] = row[0], index
        for column, other in enumerate(got, 1):
            before, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, before + (token != other))
    return row[-1]


def word_error_rate(pairs: list[tuple[str, str]]) -> float:
    """Word errors of all pairs of reference and what was heard, by the words of the references."""
    errors = sum(word_errors(reference, heard) for reference, heard in pairs)
    return errors / sum(len(words(reference)) for reference, _ in pairs)


@attrs.frozen
class Tongue:
    """A user's mouth and ears: another instance of the parts than the server's, of the same models."""

    speech: Speech

    def say(self, text: str, audio_type: str = "audio/pcm", *, voice: str = "alloy", speed: float = 1.0) -> bytes:
        pieces = self.speech.synthesizer.speak([text], voice=voice, speed=speed, rate=RATES[audio_type])
        pcm = b"".join(piece.audio for piece in pieces)
        return pcm if audio_type == "audio/pcm" else g711.encode(pcm, audio_type)

    def understand(self, audio: bytes, audio_type: str = "audio/pcm", *, rate: Optional[int] = None) -> str:
        pcm = audio if audio_type == "audio/pcm" else g711.decode(audio, audio_type)
        return self.speech.recognizer.recognize(pcm, rate or RATES[audio_type], Hints()).text


def silence(ms: int, audio_type: str = "audio/pcm") -> bytes:
    return bytes(48 * ms) if audio_type == "audio/pcm" else g711.encode(bytes(16 * ms), audio_type)


def recorded(name: str) -> bytes:
    """PCM16 at 24 kHz of one of the examples' files."""
    with wave.open(str(AUDIO / name), "rb") as file:
        assert file.getframerate() == 24_000
        return file.readframes(file.getnframes())
