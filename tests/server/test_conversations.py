"""Whole conversations, in the order in which live services were recorded to send them."""

from __future__ import annotations

import json
from typing import Any, Callable

from realtime_sync.server import FunctionCall, RealtimeServer, Turn
from realtime_sync.server.client_secrets import Configuration
from tests.server.conftest import Peer
from tests.server.sounds import silence, tone
from tests.server.wire_schemas import RECORDED, needs_data

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def recorded_types(name: str) -> list[str]:
    """The types of the server's events, runs merged; without the transcription's, which comes when it likes."""
    kinds: list[str] = []
    for line in (RECORDED / f"{name}.jsonl").read_text().splitlines():
        frame = json.loads(line)
        if frame["dir"] == "s2c":
            kinds.append(json.loads(frame["raw"])["type"])
    return merged(kinds)


def merged(kinds: list[str]) -> list[str]:
    """Deltas of audio and of its transcript come in any mixture: each is told once, at its first."""
    result: list[str] = []
    for kind in kinds:
        # Recorded in 2026-07 without rate limits; recorded in 2025-12 with them, after response.done.
        if "input_audio_transcription" in kind or kind == "rate_limits.updated":
            continue
        if kind.endswith(".delta") and kind in result[-2:]:
            continue
        result.append(kind)
    return result


@needs_data
def test_a_spoken_turn_comes_in_the_order_of_openai(peer: Peer) -> None:
    transcription = {"model": "gpt-realtime-whisper"}
    peer.update(audio={"input": {"transcription": transcription}})
    peer.append(silence(600) + tone(1500) + silence(600))
    peer.until("response.done")
    assert merged(peer.types(merged=False)) == recorded_types("openai_ws-audio_in_server_vad_turn")


@needs_data
def test_a_text_question_answered_aloud_comes_in_the_order_of_azure(
    server: RealtimeServer, open_peer: Callable[..., Peer]
) -> None:
    peer = open_peer(server, "/openai/v1/realtime?model=my-deployment", headers=("api-key: k",))
    peer.until("session.created")
    peer.update(instructions="Reply in a few words.")
    peer.user_says("Say hello.")
    peer.say("response.create")
    peer.until("response.done")
    assert merged(peer.types(merged=False)) == recorded_types("azure_ws-text_in_audio_out_turn")
    part = next(event for event in peer.seen if event["type"] == "response.content_part.done")
    assert part["part"] == part["content"]


@needs_data
def test_a_tool_round_comes_in_the_order_of_openai(peer: Peer) -> None:
    peer.update(output_modalities=["text"], tools=[WEATHER])
    peer.user_says("What is the weather in London?")
    peer.say("response.create")
    call = peer.until("response.done")["response"]["output"][0]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "get_weather",
        {"city": "London"},
    )
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is foggy."}
    peer.say("conversation.item.create", item=output)
    peer.say("response.create")
    done = peer.until("response.done")["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "The function returned: It is foggy."}]
    assert merged(peer.types(merged=False)) == recorded_types("openai_ws-tool_call_round")


@needs_data
def test_a_seeded_history_comes_in_the_order_of_openai(peer: Peer) -> None:
    peer.update(output_modalities=["text"])
    peer.user_says("My name is Alice.")
    said = [{"type": "output_text", "text": "Nice to meet you!"}]
    peer.say("conversation.item.create", item={"type": "message", "role": "assistant", "content": said})
    peer.user_says("What is my name?")
    peer.say("response.create")
    peer.until("response.done")
    assert merged(peer.types(merged=False)) == recorded_types("parity_ws-history_seeding_parity-openai-previous")


@needs_data
def test_a_connection_to_a_call_begins_without_session_created(
    server: RealtimeServer, open_peer: Callable[..., Peer]
) -> None:
    call_id = server.place_call()
    server.call(call_id).accept(Configuration.from_client(None))
    peer = open_peer(server, f"/v1/realtime?call_id={call_id}")
    peer.update(output_modalities=["text"])
    peer.user_says("Say hello.")
    peer.say("response.create")
    peer.until("response.done")
    assert merged(peer.types(merged=False)) == recorded_types("openai_ws_sideband-webrtc_sideband_text_turn")


@needs_data
def test_the_objects_have_the_fields_of_the_live_service_in_its_order(peer: Peer) -> None:
    peer.update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    peer.append(silence(600) + tone(1500) + silence(600))
    peer.until("conversation.item.input_audio_transcription.completed")
    if not any(event["type"] == "response.done" for event in peer.seen):
        peer.until("response.done")
    ours = {event["type"]: event for event in reversed(peer.seen)}  # the first of each type
    compared: set[str] = set()
    for line in (RECORDED / "openai_ws-audio_in_server_vad_turn.jsonl").read_text().splitlines():
        frame = json.loads(line)
        if frame["dir"] == "s2c":
            theirs = json.loads(frame["raw"])
            if theirs["type"] in compared:
                continue
            compared.add(theirs["type"])
            same_keys(theirs, ours[theirs["type"]], theirs["type"])


def same_keys(theirs: Any, ours: Any, where: str) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key in theirs:
            same_keys(theirs[key], ours[key], f"{where}.{key}")
    elif isinstance(theirs, list) and theirs:
        same_keys(theirs[0], ours[0], where + "[]")


def test_a_conversation_is_remembered_by_the_responder_and_not_by_one_out_of_band(
    open_peer: Callable[..., Peer],
) -> None:
    def responder(turn: Turn) -> str:
        texts = " ".join(turn.text_of(item) for item in turn.items)
        return "Bob" if "Bob" in texts else "I do not know."

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        peer.user_says("My name is Bob.")
        ask = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who am I?"}]}
        peer.say("response.create", response={"conversation": "none", "input": [ask], "metadata": {"round": "1"}})
        done = peer.until("response.done")["response"]
        assert done["output"][0]["content"][0]["text"] == "I do not know."
        assert (done["metadata"], done["conversation_id"]) == ({"round": "1"}, None)
        item = next(event for event in peer.seen if event["type"] == "conversation.item.added")["item"]
        reference = {"type": "item_reference", "id": item["id"]}
        peer.say("response.create", response={"conversation": "none", "input": [reference, ask]})
        assert peer.until("response.done")["response"]["output"][0]["content"][0]["text"] == "Bob"
        peer.say("response.create")
        assert peer.until("response.done")["response"]["output"][0]["content"][0]["text"] == "Bob"


def test_seven_items_of_every_kind_can_be_seeded(peer: Peer) -> None:
    def message(role: str, kind: str, text: str) -> dict[str, Any]:
        return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}

    items = [
        message("system", "input_text", "Be brief."),
        message("user", "input_text", "Hello"),
        message("assistant", "output_text", "Hi"),
        message("system", "input_text", "Be kind."),
        message("user", "input_text", "Call it"),
        {"type": "function_call", "name": "f", "call_id": "call_1", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]
    for item in items:
        peer.say("conversation.item.create", item=item)
    for _ in items:
        peer.until("conversation.item.done")
    assert peer.types(merged=False).count("conversation.item.added") == 7


def test_a_message_and_calls_can_be_one_response(open_peer: Callable[..., Peer]) -> None:
    def responder(turn: Turn) -> list[Any]:
        return ["Let me ", "look.", FunctionCall("a", {"x": 1}), FunctionCall("b", '{"y":2}', call_id="call_b")]

    with RealtimeServer(responder=responder) as server:
        peer = open_peer(server)
        peer.update(output_modalities=["text"])
        peer.say("response.create")
        output = peer.until("response.done")["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert output[0]["content"][0]["text"] == "Let me look."
    assert (output[2]["call_id"], output[2]["arguments"]) == ("call_b", '{"y":2}')
    indexes = [event["output_index"] for event in peer.seen if event["type"] == "response.output_item.added"]
    assert indexes == [0, 1, 2]
