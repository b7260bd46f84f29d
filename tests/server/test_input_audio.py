"""Audio in: the buffer, turns by voice activity, transcription."""

from __future__ import annotations

import base64
from typing import Any, Callable

import pytest

from realtime_sync.audio import g711
from realtime_sync.server import RealtimeServer
from tests.server.conftest import Peer
from tests.server.sounds import silence, tone


def test_an_empty_commit_is_refused_in_the_services_words(peer: Peer) -> None:
    peer.vad_off()
    peer.say("input_audio_buffer.commit")
    error = peer.error()
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["message"] == (
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer only has "
        "0.00ms of audio."
    )


def test_less_than_100_ms_is_refused_and_stays_in_the_buffer(peer: Peer) -> None:
    peer.vad_off()
    peer.append(tone(60))
    peer.say("input_audio_buffer.commit")
    assert "only has 60.00ms" in peer.error()["message"]
    peer.append(tone(60))
    peer.say("input_audio_buffer.commit")
    committed = peer.until("input_audio_buffer.committed")
    item = peer.until("conversation.item.done")["item"]
    assert (committed["item_id"], committed["previous_item_id"]) == (item["id"], None)
    peer.say("conversation.item.retrieve", item_id=item["id"])
    audio = peer.until("conversation.item.retrieved")["item"]["content"][0]["audio"]
    assert base64.b64decode(audio) == tone(60) + tone(60)


def test_clearing_empties_the_buffer(peer: Peer) -> None:
    peer.vad_off()
    peer.append(tone(500))
    peer.say("input_audio_buffer.clear")
    peer.until("input_audio_buffer.cleared")
    peer.say("input_audio_buffer.commit")
    assert peer.error()["code"] == "input_audio_buffer_commit_empty"


def test_with_detection_off_nothing_happens_by_itself(peer: Peer) -> None:
    assert peer.update(audio={"input": {"turn_detection": None}})["audio"]["input"]["turn_detection"] is None
    peer.append(tone(800) + silence(1000))
    peer.say("input_audio_buffer.commit")
    peer.until("conversation.item.done")
    peer.say("response.create")
    peer.until("response.done")
    assert not [kind for kind in peer.types() if "speech" in kind]
    assert peer.types().count("response.created") == 1


def test_what_is_not_base64_is_refused(peer: Peer) -> None:
    for audio, got in (("not base64!", "an invalid value"), ("", "empty bytes")):
        peer.say("input_audio_buffer.append", audio=audio)
        error = peer.error()
        assert (error["code"], error["param"]) == ("invalid_value", "audio")
        # Live, 2025.
        assert error["message"] == (
            f"Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got {got}."
        )


def test_speech_is_found_at_its_place_in_the_audio_however_fast_it_comes(peer: Peer) -> None:
    peer.append(silence(1000) + tone(2000) + silence(700))
    started = peer.until("input_audio_buffer.speech_started")
    stopped = peer.until("input_audio_buffer.speech_stopped")
    assert started["audio_start_ms"] == 700  # 300 ms of padding before the first loud frame
    assert stopped["audio_end_ms"] == 3200  # the awaited 200 ms of silence included
    assert started["item_id"] == stopped["item_id"]
    item = peer.until("conversation.item.done")["item"]
    assert item["id"] == started["item_id"]
    peer.until("response.done")
    peer.say("conversation.item.retrieve", item_id=item["id"])
    audio = base64.b64decode(peer.until("conversation.item.retrieved")["item"]["content"][0]["audio"])
    assert len(audio) == 2500 * 48


def test_two_utterances_in_one_message_are_two_turns(peer: Peer) -> None:
    peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    peer.append(tone(500) + silence(600) + tone(500) + silence(600), size=10**7)
    first = peer.until("input_audio_buffer.committed")
    second = peer.until("input_audio_buffer.committed")
    assert second["previous_item_id"] == first["item_id"]
    assert "response.created" not in peer.types()


def test_the_parameters_of_detection_count(peer: Peer) -> None:
    detection = {
        "type": "server_vad",
        "threshold": 1.0,
        "prefix_padding_ms": 100,
        "silence_duration_ms": 500,
        "create_response": False,
    }
    told = peer.update(audio={"input": {"turn_detection": detection}})["audio"]["input"]["turn_detection"]
    assert told == {**detection, "idle_timeout_ms": None, "interrupt_response": True}
    peer.append(tone(1000, amplitude=700))  # below a threshold of 1.0, above one of 0.5
    peer.append(tone(1000) + silence(450) + tone(550) + silence(600))
    assert peer.until("input_audio_buffer.speech_started")["audio_start_ms"] == 900
    assert peer.until("input_audio_buffer.speech_stopped")["audio_end_ms"] == 3500


@pytest.mark.parametrize(("eagerness", "end"), [("high", 1300), ("auto", 1600), ("low", 2200)])
def test_semantic_detection_waits_by_its_eagerness(peer: Peer, eagerness: str, end: int) -> None:
    detection = {"type": "semantic_vad", "eagerness": eagerness, "create_response": False}
    peer.update(audio={"input": {"turn_detection": detection}})
    peer.append(tone(1000) + silence(1500))
    assert peer.until("input_audio_buffer.speech_stopped")["audio_end_ms"] == end


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_g711_is_heard_and_spoken(peer: Peer, kind: str) -> None:
    audio = {"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}}
    peer.update(audio=audio)
    speech = silence(400, 8000) + tone(1000, rate=8000) + silence(400, 8000)
    peer.append(g711.encode(speech, kind), size=800)
    assert peer.until("input_audio_buffer.speech_started")["audio_start_ms"] == 100
    assert peer.until("input_audio_buffer.speech_stopped")["audio_end_ms"] == 1600
    done = peer.until("response.done")["response"]
    assert done["audio"]["output"]["format"] == {"type": kind}
    said = b"".join(base64.b64decode(e["delta"]) for e in peer.seen if e["type"] == "response.output_audio.delta")
    assert len(said) > 8 * 500
    assert max(abs(g711.decode_table(kind)[code]) for code in said) > 1000
    transcript = done["output"][0]["content"][0]["transcript"]
    assert transcript == "I heard 1.5 seconds of audio."


def test_silence_after_an_answer_triggers_the_idle_timeout(peer: Peer) -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    peer.update(audio={"input": {"turn_detection": detection}})
    peer.append(tone(600) + silence(400))
    peer.until("response.done")
    peer.append(silence(12_000), size=48_000)
    told = peer.until("input_audio_buffer.timeout_triggered")
    assert told["audio_end_ms"] - told["audio_start_ms"] >= 5000
    assert peer.until("input_audio_buffer.committed")["item_id"] == told["item_id"]
    peer.until("response.done")


def test_transcription_comes_in_deltas_and_whole(open_peer: Callable[..., Peer]) -> None:
    heard: list[tuple[int, int]] = []

    def transcriber(pcm: bytes, rate: int) -> str:
        heard.append((len(pcm), rate))
        return "Hello from the other side."

    with RealtimeServer(transcriber=transcriber) as server:
        peer = open_peer(server)
        peer.vad_off(transcription={"model": "gpt-4o-transcribe"})
        peer.append(tone(1000))
        peer.say("input_audio_buffer.commit")
        completed = peer.until("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == "Hello from the other side."
        deltas = [e["delta"] for e in peer.seen if e["type"].endswith("transcription.delta")]
        assert len(deltas) == 5
        assert "".join(deltas) == completed["transcript"]
        assert completed["usage"]["input_token_details"] == {"text_tokens": 0, "audio_tokens": 10}
        assert heard == [(48_000, 24_000)]
        peer.say("conversation.item.retrieve", item_id=completed["item_id"])
        part = peer.until("conversation.item.retrieved")["item"]["content"][0]
        assert part["transcript"] == completed["transcript"]


def test_a_transcriber_that_raises_fails_the_transcription_alone(open_peer: Callable[..., Peer]) -> None:
    def transcriber(pcm: bytes, rate: int) -> str:
        raise ValueError("unintelligible")

    with RealtimeServer(transcriber=transcriber) as server:
        peer = open_peer(server)
        peer.update(audio={"input": {"transcription": {"model": "gpt-transcribe"}}})
        peer.append(tone(600) + silence(400))
        failed = peer.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"] == "unintelligible"
        if "response.done" not in peer.types():
            peer.until("response.done")


def test_a_transcription_session_transcribes_and_never_answers(
    server: RealtimeServer, open_peer: Callable[..., Peer]
) -> None:
    peer = open_peer(server, "/v1/realtime?intent=transcription")
    created = peer.until("session.created")["session"]
    assert (created["type"], created["object"]) == ("transcription", "realtime.transcription_session")
    session = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
    peer.say("session.update", session=session)
    assert peer.until("session.updated")["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    peer.append(tone(600) + silence(400) + tone(600) + silence(400))
    for _ in range(2):
        peer.until("conversation.item.input_audio_transcription.completed")
    peer.say("response.create", event_id="no")
    assert peer.error()["event_id"] == "no"
    assert not [kind for kind in peer.types() if kind.startswith(("response.", "rate_limits"))]


@pytest.mark.parametrize("model", ["gpt-live-transcribe", "gpt-realtime-whisper"])
def test_a_model_that_writes_while_one_speaks_works_without_turn_detection_only(
    server: RealtimeServer, open_peer: Callable[..., Peer], model: str
) -> None:
    peer = open_peer(server, "/v1/realtime?intent=transcription")
    told: dict[str, Any] = {"transcription": {"model": model}, "turn_detection": {"type": "server_vad"}}
    peer.say("session.update", session={"type": "transcription", "audio": {"input": told}})
    assert peer.error()["param"] == "session.audio.input.turn_detection"
    del told["turn_detection"]
    peer.say("session.update", session={"type": "transcription", "audio": {"input": told}})
    assert peer.until("session.updated")["session"]["audio"]["input"]["turn_detection"] is None
    peer.append(tone(600) + silence(1000))
    peer.say("input_audio_buffer.commit")
    peer.until("conversation.item.input_audio_transcription.completed")


def test_a_realtime_session_does_not_become_a_transcription_session(peer: Peer) -> None:
    peer.say("session.update", session={"type": "transcription"})
    message = "Passing a transcription session update event to a realtime session is not allowed."
    assert peer.error()["message"] == message
