"""A recording as text by vLLM's own realtime endpoint, which has messages of its own."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import (
    InvalidInputError,
    OpenAIClient,
    ServerError,
    Timeouts,
    TranscriptionSessionOptions,
    WaitTimeoutError,
    transcribe,
    transcribe_files,
)
from tests.server.sounds import silence, tone
from tests.transcribing.serving import client_at
from tests.transcribing.vllm_server import RATE, VLLM
from tests.transport.peer import Peer

# Three things said, a second of silence around each; made at 24,000 Hz.
SAID = [3000, 3500, 4000]
RECORDING = silence(1000) + b"".join(tone(ms) + silence(1000) for ms in SAID)
STARTS = [1.0, 5.0, 9.5]


@pytest.fixture
def vllm() -> VLLM:
    return VLLM()


@pytest.fixture
def url(vllm: VLLM) -> Iterator[str]:
    with Peer(vllm) as peer:
        yield peer.url.partition("/realtime")[0]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    with wave.open(str(tmp_path / "said.wav"), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(RECORDING)
    return tmp_path / "said.wav"


def test_each_piece_is_a_segment_on_the_recordings_time_line(vllm: VLLM, url: str, recording: Path) -> None:
    told = transcribe(recording, client_at(url), model="voxtral", server="vllm")
    starts = [(one.start, one.end) for one in told.segments]
    expected = [(start, start + ms / 1000) for start, ms in zip(STARTS, SAID, strict=True)]
    assert starts == [(pytest.approx(start, abs=0.03), pytest.approx(end, abs=0.03)) for start, end in expected]
    assert [float(one.text) for one in told.segments] == pytest.approx([ms / 1000 + 0.4 for ms in SAID], abs=0.11)
    assert told.duration == pytest.approx(len(RECORDING) / 48_000, abs=0.01)
    assert (told.model, told.usage.transcriptions, told.usage.transcription_input_tokens) == ("voxtral", 3, 21)
    assert not vllm.spoken_to_meanwhile


def test_it_is_told_the_model_then_when_to_listen_and_when_all_was_said(vllm: VLLM, url: str) -> None:
    transcribe(tone_at_16k(), client_at(url), model="voxtral", server="vllm")
    told = [(message["type"], message.get("model"), message.get("final")) for message in vllm.heard]
    assert told[:2] == [("session.update", "voxtral", None), ("input_audio_buffer.commit", None, None)]
    assert {kind for kind, _, _ in told[2:-1]} == {"input_audio_buffer.append"}
    assert told[-1] == ("input_audio_buffer.commit", None, True)
    assert not any("session" in message for message in vllm.heard)


def test_bare_samples_are_at_16000_hz(url: str) -> None:
    told = transcribe(tone_at_16k(), client_at(url, "voxtral"), server="vllm")
    assert (told.text, told.duration) == ("3.0", 3.0)


def tone_at_16k() -> bytes:
    return (b"\x00\x10" * 20 + b"\x00\xf0" * 20) * (3 * RATE // 40)


def test_a_lost_connection_costs_no_piece(vllm: VLLM, url: str, recording: Path) -> None:
    vllm.lose_next_done = True
    told = transcribe(recording, client_at(url), model="voxtral", server="vllm")
    assert len(told.segments) == 3
    assert [message["type"] for message in vllm.heard].count("session.update") == 2


def test_many_files(url: str, recording: Path) -> None:
    (result,) = transcribe_files([recording], client_at(url), model="voxtral", server="vllm")
    assert result.transcription is not None
    assert len(result.transcription.segments) == 3


def test_a_model_that_it_does_not_serve_is_refused(url: str) -> None:
    with pytest.raises(ServerError, match="The model `whisper` does not exist") as caught:
        transcribe(tone_at_16k(), client_at(url), model="whisper", server="vllm")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name the model that vLLM serves"),
        ({"model": "voxtral", "language": "en"}, "no setting but the model"),
        ({"model": "voxtral", "logprobs": True}, "no setting but the model"),
        ({"model": "voxtral", "options": TranscriptionSessionOptions()}, "no setting but the model"),
        ({"model": "voxtral", "server": "whisper.cpp"}, "server must be 'openai' or 'vllm'"),
    ],
)
def test_what_it_cannot_be_told_is_refused_before_anything_is_sent(
    vllm: VLLM, url: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        transcribe(tone_at_16k(), client_at(url), **{"server": "vllm", **given})
    assert vllm.heard == []


def test_without_being_told_it_is_spoken_to_as_the_service_is_and_says_what_it_lacks(url: str) -> None:
    client = OpenAIClient("any-key", endpoint=url, timeouts=Timeouts(acknowledge=1, close=0.5))
    with pytest.raises(WaitTimeoutError, match="Missing required field: model"):
        transcribe(tone_at_16k(), client.get_realtime_conversation_client("voxtral"))
