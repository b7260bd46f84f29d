"""The preview dialect, as Azure's older route speaks it."""

from __future__ import annotations

from typing import Callable

import pytest

from realtime_sync.server import RealtimeServer
from tests.server.conftest import Peer
from tests.server.sounds import silence, tone

PATH = "/openai/realtime?api-version=2025-04-01-preview&deployment=my-deployment"


@pytest.fixture
def preview(server: RealtimeServer, open_peer: Callable[..., Peer]) -> Peer:
    peer = open_peer(server, PATH, headers=("api-key: k", "openai-beta: realtime=v1"), dialect="preview")
    assert peer.recv()["type"] == "session.created"
    return peer


def test_the_session_is_flat(preview: Peer) -> None:
    session = preview.seen[0]["session"]
    assert (session["voice"], session["input_audio_format"], session["modalities"]) == (
        "alloy",
        "pcm16",
        ["audio", "text"],
    )
    assert session["temperature"] == 0.8
    assert "type" not in session
    assert "audio" not in session
    told = {"modalities": ["text"], "temperature": 0.7, "input_audio_format": "g711_ulaw", "voice": "echo"}
    preview.say("session.update", session={**told, "max_response_output_tokens": 100})
    session = preview.until("session.updated")["session"]
    assert {key: session[key] for key in told} == told
    assert session["max_response_output_tokens"] == 100


@pytest.mark.parametrize("wrong", [5, [[]], {"audio": True}])
def test_modalities_that_are_none_are_refused(preview: Peer, wrong: object) -> None:
    preview.say("session.update", session={"modalities": wrong}, event_id="mine")
    error = preview.error()
    assert (error["type"], error["event_id"]) == ("invalid_request_error", "mine")


def test_items_are_told_as_created_alone(preview: Peer) -> None:
    preview.say("session.update", session={"modalities": ["text"]})
    preview.user_says("Hello")
    preview.say("response.create")
    done = preview.until("response.done")["response"]
    assert preview.types() == [
        "session.created",
        "session.updated",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    assert done["output"][0]["content"] == [{"type": "text", "text": "Hello! You said: Hello"}]


def test_a_spoken_turn_in_preview(preview: Peer) -> None:
    preview.say("session.update", session={"input_audio_transcription": {"model": "whisper-1"}})
    preview.append(silence(400) + tone(800) + silence(400))
    done = preview.until("response.done")["response"]
    assert done["modalities"] == ["audio", "text"]
    assert done["output"][0]["content"][0]["type"] == "audio"
    kinds = preview.types()
    for kind in ("response.audio.delta", "response.audio_transcript.delta", "response.audio.done"):
        assert kind in kinds


@pytest.mark.parametrize("off", [None, {"type": "none"}])
def test_detection_is_off_by_null_and_by_none(preview: Peer, off: object) -> None:
    preview.say("session.update", session={"turn_detection": off})
    preview.until("session.updated")
    preview.append(tone(500) + silence(500))
    preview.say("input_audio_buffer.commit")
    preview.until("conversation.item.created")
    assert not [kind for kind in preview.types() if "speech" in kind or kind.startswith("response")]


def test_what_preview_does_not_know_is_refused(preview: Peer) -> None:
    preview.say("session.update", session={"type": "realtime"}, event_id="mine")
    error = preview.error()
    assert (error["param"], error["event_id"]) == ("session.type", "mine")
    preview.say("session.update", session={"bogus_field": 1})
    assert preview.error()["param"] == "session.bogus_field"
    preview.say("session.update", session={"temperature": 0.0})
    assert preview.error()["code"] == "decimal_below_min_value"


def test_a_tool_round_in_preview(preview: Peer) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
    choice = {"type": "function", "function": {"name": "get_weather"}}
    preview.say("session.update", session={"modalities": ["text"], "tools": [tool], "tool_choice": choice})
    preview.user_says("anything")
    preview.say("response.create")
    call = preview.until("response.done")["response"]["output"][0]
    assert call["name"] == "get_weather"
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "42"}
    preview.say("conversation.item.create", item=output)
    preview.say("response.create")
    assert "42" in preview.until("response.done")["response"]["output"][0]["content"][0]["text"]


def test_a_transcription_session_in_preview(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    # The preview schemas say nothing of transcription_session.created, and demand a client secret of .updated.
    peer = open_peer(server, PATH + "&intent=transcription", headers=("api-key: k",), dialect="preview", checked=False)
    assert peer.recv()["type"] == "transcription_session.created"
    session = {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}
    peer.say("transcription_session.update", session=session)
    assert peer.until("transcription_session.updated")["session"]["input_audio_format"] == "pcm16"
    peer.append(tone(600) + silence(400))
    assert peer.until("conversation.item.input_audio_transcription.completed")["transcript"]
    assert not [kind for kind in peer.types() if kind.startswith("response")]
