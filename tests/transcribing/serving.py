"""Servers for the transcriptions, recordings, and what is made of them."""

from __future__ import annotations

import wave
from pathlib import Path

from realtime_sync import OpenAIClient, RealtimeConversationClient, Timeouts
from realtime_sync.server import RealtimeServer

AUDIO = Path(__file__).parents[2] / "examples" / "audio"
HELLO = AUDIO / "hello.wav"


def client_of(server: RealtimeServer, model: str | None = None) -> RealtimeConversationClient:
    return client_at(server.url, model)


def client_at(url: str, model: str | None = None) -> RealtimeConversationClient:
    """Of a function that can be sent to another process."""
    openai = OpenAIClient("any-key", endpoint=url, timeouts=Timeouts(close=0.5))
    return openai.get_realtime_conversation_client(model)


def write_recording(path: Path, pcm: bytes) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(pcm)
    return path
