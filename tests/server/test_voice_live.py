"""Azure Voice Live: the preview dialect on a path of its own, with settings that the server takes and tells back."""

from __future__ import annotations

from typing import Callable

import pytest

from realtime_sync.server import RealtimeServer
from tests.server.conftest import Peer
from tests.server.sounds import silence, tone

PATH = "/voice-live/realtime?api-version=2026-07-15&model=gpt-realtime-2.1"
AZURE = {
    "voice": {"type": "azure-standard", "name": "en-US-AvaNeural"},
    "turn_detection": {"type": "azure_semantic_vad", "silence_duration_ms": 200, "remove_filler_words": True},
    "input_audio_noise_reduction": {"type": "azure_deep_noise_suppression"},
    "input_audio_transcription": {"model": "azure-speech", "phrase_list": ["Contoso"]},
    "input_audio_echo_cancellation": {"type": "server_echo_cancellation"},
}


@pytest.fixture
def voice_live(server: RealtimeServer, open_peer: Callable[..., Peer]) -> Peer:
    peer = open_peer(server, PATH, headers=("api-key: k",), dialect="preview", checked=False)  # of voices as objects
    created = peer.recv()
    assert (created["type"], created["session"]["voice"]) == ("session.created", {"name": "alloy", "type": "openai"})
    return peer


def test_a_spoken_turn_with_azures_own_settings(voice_live: Peer) -> None:
    voice_live.say("session.update", session={"modalities": ["text", "audio"], "instructions": "Be brief.", **AZURE})
    session = voice_live.until("session.updated")["session"]
    assert {key: session[key] for key in AZURE} == AZURE
    voice_live.append(silence(400) + tone(800) + silence(400))
    voice_live.until("conversation.item.input_audio_transcription.completed")
    done = voice_live.until("response.done")["response"]
    assert (done["status"], done["voice"]) == ("completed", AZURE["voice"])
    assert "response.audio.delta" in voice_live.types()


def test_what_is_told_later_takes_the_place_of_what_was_told(voice_live: Peer) -> None:
    voice_live.say("session.update", session=AZURE)
    openai = {"voice": {"type": "openai", "name": "echo"}, "input_audio_noise_reduction": {"type": "near_field"}}
    voice_live.say("session.update", session={**openai, "turn_detection": None})
    for _ in range(2):
        session = voice_live.until("session.updated")["session"]
    assert {key: session[key] for key in openai} == openai
    assert session["turn_detection"] is None


def test_what_voice_live_does_not_have_is_refused_there_too(voice_live: Peer) -> None:
    voice_live.say("session.update", session={"bogus": 1})
    assert voice_live.error()["code"] == "unknown_parameter"
    voice_live.say("session.update", session={"voice": {"type": "openai", "name": "nova"}})
    assert voice_live.error()["code"] == "invalid_value"
    voice_live.say("response.create", response={"commit": True, "modalities": ["text"]})
    assert voice_live.until("response.done")["response"]["status"] == "completed"
