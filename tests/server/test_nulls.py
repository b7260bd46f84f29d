"""Null for what may be left out: many clients write out each field of theirs, told or not."""

from __future__ import annotations

import copy
from typing import Any, Callable, Iterator

import pytest

from realtime_sync.server import RealtimeServer
from tests.server.conftest import Json, Peer
from tests.server.rest_peer import post

PREVIEW = "/openai/realtime?api-version=2025-04-01-preview&deployment=d"
PCM = {"type": "audio/pcm", "rate": 24000}
FUNCTION = {"type": "function", "name": "f", "description": "Does.", "parameters": {"type": "object", "properties": {}}}
FILTER = {"tool_names": ["search"], "read_only": True}
MCP = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://example.com/mcp",
    "server_description": "A wiki.",
    "authorization": "token",
    "headers": {"a": "b"},
    "allowed_tools": FILTER,
    "require_approval": {"always": FILTER, "never": FILTER},
}
PROMPT = {"id": "pmpt_1", "version": "2", "variables": {"name": "value"}}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": 5000,
}
INPUT = {
    "format": PCM,
    "noise_reduction": {"type": "near_field"},
    "transcription": {"model": "gpt-transcribe", "language": "en", "prompt": "Names."},
    "turn_detection": SERVER_VAD,
}
SHARED = {
    "instructions": "Be brief.",
    "tools": [FUNCTION, MCP],
    "tool_choice": {"type": "mcp", "server_label": "wiki", "name": "search"},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low"},
    "prompt": PROMPT,
    "output_modalities": ["text"],
    "max_output_tokens": 500,
}
REALTIME = {
    **SHARED,
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "audio": {"input": INPUT, "output": {"format": PCM, "voice": "ash", "speed": 1.0}},
    "include": ["item.input_audio_transcription.logprobs"],
    "tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": "b"}},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 1000}},
}
RESPONSE = {
    **SHARED,
    "audio": {"output": {"format": PCM, "voice": "ash"}},
    "conversation": "none",
    "metadata": {"a": "b"},
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
}
ID = {"id": "item_0", "object": "realtime.item", "status": "completed"}
SOUND = "AAAA" * 6400
ITEMS: list[Json] = [
    {**ID, "type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
    {
        **ID,
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Hi"},
            {"type": "input_audio", "audio": SOUND, "transcript": "Hi"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        ],
    },
    {
        **ID,
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "Hi"},
            {"type": "output_audio", "audio": SOUND, "transcript": "Hi"},
        ],
    },
    {**ID, "type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_0"},
]
GA: list[Json] = [
    {"type": "session.update", "session": REALTIME},
    {"type": "response.create", "response": RESPONSE},
    {"type": "response.cancel", "response_id": "resp_0"},
    {"type": "input_audio_buffer.clear"},
    *({"type": "conversation.item.create", "previous_item_id": "root", "item": item} for item in ITEMS),
]
PREVIEW_ONES: list[Json] = [
    {
        "type": "session.update",
        "session": {
            "instructions": "Be brief.",
            "modalities": ["text"],
            "voice": "ash",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": INPUT["transcription"],
            "input_audio_noise_reduction": INPUT["noise_reduction"],
            "turn_detection": SERVER_VAD,
            "tools": [FUNCTION],
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": 500,
        },
    },
    {
        "type": "response.create",
        "response": {
            "instructions": "Be brief.",
            "modalities": ["text"],
            "voice": "ash",
            "output_audio_format": "pcm16",
            "tools": [FUNCTION],
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_output_tokens": 500,
            "conversation": "none",
            "metadata": {"a": "b"},
        },
    },
    {"type": "conversation.item.create", "previous_item_id": "root", "item": ITEMS[0]},
]
# Where the field is demanded, null is nothing; and what these objects hold is the user's own.
DEMANDED = {"type", "session", "item", "role", "content", "text", "image_url", "arguments", "server_label",
            "server_url", "retention_ratio"}  # fmt: skip
OWN = {"headers", "parameters", "metadata", "variables"}
ANSWERS = ("session.updated", "response.done", "conversation.item.done", "conversation.item.created",
           "input_audio_buffer.cleared", "error")  # fmt: skip
Path = tuple[Any, ...]


def optional(value: object, path: Path = ()) -> Iterator[Path]:
    """The ways to all fields that may be left out."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from optional(entry, (*path, index))
    if not isinstance(value, dict) or (path and path[-1] in OWN):
        return
    for key, inner in value.items():
        here = path[-1] if path else ""
        named = (key == "name" and here != "tool_choice") or (key == "id" and here == "prompt")
        if key not in DEMANDED and not named and not (key == "audio" and value.get("type") == "input_audio"):
            yield (*path, key)
        yield from optional(inner, (*path, key))


def with_null(message: Json, path: Path) -> Json:
    changed = copy.deepcopy(message)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = None
    return changed


def asked_with_nulls(peer: Peer, messages: list[Json]) -> int:
    """Send each message with each of its optional fields as null; returns how many were sent."""
    sent = 0
    for message in messages:
        whole = {"event_id": "event_0", **message}
        for path in optional(whole):
            told = with_null(whole, path)
            item = told.get("item") or {}
            item |= {name: f"{name}_{sent}" for name in ("id", "call_id") if item.get(name)}
            peer.say(told.pop("type"), **told)
            answer = peer.until(lambda event: event["type"] in ANSWERS)
            refused = answer.get("error", {}).get("code")
            assert refused in (None, "response_cancel_not_active"), (message["type"], path, answer)
            sent += 1
    return sent


def test_null_is_taken_for_every_field_that_may_be_left_out(peer: Peer) -> None:
    assert asked_with_nulls(peer, GA) > 100


def test_null_is_taken_in_the_preview_dialect_too(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    peer = open_peer(server, PREVIEW, headers=("api-key: k",), dialect="preview")
    assert asked_with_nulls(peer, PREVIEW_ONES) > 20


def test_the_null_of_a_response_leaves_the_sessions_setting(peer: Peer) -> None:
    peer.update(instructions="Be brief.", output_modalities=["text"])
    nulls = {"instructions": None, "output_modalities": None, "tools": None, "audio": {"output": None}}
    peer.say("response.create", response={**nulls, "metadata": {"client_event_id": "mine"}})
    done = peer.until("response.done")["response"]
    assert (done["status"], done["output_modalities"]) == ("completed", ["text"])


def test_the_null_of_a_session_switches_off_or_leaves_as_it_was(peer: Peer) -> None:
    before = peer.update(**{**REALTIME, "tools": [FUNCTION], "tool_choice": "auto"})
    nulls = dict.fromkeys(["instructions", "tools", "tool_choice", "max_output_tokens", "truncation", "model"])
    off = {"turn_detection": None, "transcription": None, "noise_reduction": None}
    audio = {"input": {**off, "format": None}, "output": {"voice": None, "speed": None, "format": None}}
    after = peer.update(**nulls, prompt=None, tracing=None, include=None, audio=audio)
    assert {key: after[key] for key in nulls} == {key: before[key] for key in nulls}
    assert after["audio"] == {"input": {**before["audio"]["input"], **off}, "output": before["audio"]["output"]}
    assert (after["prompt"], after["tracing"], after["include"]) == (None, None, None)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"type": "conversation.item.create", "item": None}, "item"),
        ({"type": "conversation.item.truncate", "item_id": None, "content_index": 0, "audio_end_ms": 0}, "item_id"),
        ({"type": "input_audio_buffer.append", "audio": None}, "audio"),
        ({"type": "session.update", "session": None}, "session"),
        ({"type": "session.update", "session": {"type": "realtime", "prompt": {"id": None}}}, "session.prompt.id"),
        (
            {
                "type": "session.update",
                "session": {
                    "type": "realtime",
                    "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": None}}},
                },
            },
            "session.audio.input.turn_detection.create_response",  # live, 2025-09
        ),
    ],
)
def test_null_for_what_is_demanded_is_refused(peer: Peer, message: Json, param: str) -> None:
    peer.say(message["type"], **{key: value for key, value in message.items() if key != "type"})
    error = peer.error()
    assert (error["code"], error["param"]) == ("invalid_type", param)
    assert "but got null instead" in error["message"]


def test_null_is_taken_in_rest_requests(server: RealtimeServer) -> None:
    nulls = {"expires_after": {"anchor": "created_at", "seconds": None}, "session": None}
    assert post(server, "/v1/realtime/client_secrets", nulls).status == 200
    call_id = server.place_call()
    assert post(server, f"/v1/realtime/calls/{call_id}/reject", {"status_code": None}).status == 200
    assert server.call(call_id).reject_status == 603
