"""What the service refuses, and how it says so. The session goes on after each refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.conftest import Peer
from tests.server.wire_schemas import PROTOCOL


def refused(peer: Peer, message: dict[str, Any]) -> dict[str, Any]:
    peer.ws.send(json.dumps({"event_id": "event_mine", **message}))
    error = peer.error()
    assert error["type"] == "invalid_request_error"
    assert error["event_id"] == "event_mine"
    return error


def test_an_unknown_type_is_answered_with_the_list_of_the_known(peer: Peer) -> None:
    error = refused(peer, {"type": "nope"})
    assert (error["code"], error["param"]) == ("invalid_value", "type")
    # The wording of the live service, 2026-09.
    assert error["message"] == (
        "Invalid value: 'nope'. Supported values are: 'session.update', 'session.close', 'input_audio_buffer.append', "
        "'session.input_audio_buffer.append', 'input_audio_buffer.commit', 'input_audio_buffer.clear', "
        "'conversation.item.create', 'conversation.item.truncate', 'conversation.item.delete', "
        "'conversation.item.retrieve', 'response.create', and 'response.cancel'."
    )


def test_a_message_without_a_type_is_refused(peer: Peer) -> None:
    assert refused(peer, {"session": {}})["message"] == "The 'type' field is missing."


SESSION = {"type": "session.update"}
REALTIME = {"type": "realtime"}


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({**SESSION, "session": {**REALTIME, "bogus_field": 1}}, "unknown_parameter", "session.bogus_field"),
        (SESSION, "missing_required_parameter", "session"),
        ({**SESSION, "session": {}}, "missing_required_parameter", "session.type"),
        ({**SESSION, "session": {"type": "dream"}}, "invalid_value", "session.type"),
        ({**SESSION, "session": {**REALTIME, "instructions": 3}}, "invalid_type", "session.instructions"),
        ({**SESSION, "session": {**REALTIME, "temperature": 0.8}}, "unknown_parameter", "session.temperature"),
        ({**SESSION, "session": {**REALTIME, "voice": "alloy"}}, "unknown_parameter", "session.voice"),
        (
            {**SESSION, "session": {**REALTIME, "max_output_tokens": 5000}},
            "integer_above_max_value",
            "session.max_output_tokens",
        ),
        ({**SESSION, "session": {**REALTIME, "max_output_tokens": True}}, "invalid_type", "session.max_output_tokens"),
        (
            {**SESSION, "session": {**REALTIME, "output_modalities": ["text", "audio"]}},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {**SESSION, "session": {**REALTIME, "audio": {"input": {"turn_detection": {"type": "none"}}}}},
            "invalid_value",
            "session.audio.input.turn_detection.type",
        ),
        (
            {
                **SESSION,
                "session": {
                    **REALTIME,
                    "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}},
                },
            },
            "decimal_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {**SESSION, "session": {**REALTIME, "audio": {"output": {"format": {"type": "audio/mp3"}}}}},
            "invalid_value",
            "session.audio.output.format.type",
        ),
        (
            {**SESSION, "session": {**REALTIME, "tools": [{"type": "function"}]}},
            "missing_required_parameter",
            "session.tools[0].name",
        ),
        (
            {**SESSION, "session": {**REALTIME, "truncation": {"type": "retention_ratio", "retention_ratio": 2}}},
            "decimal_above_max_value",
            "session.truncation.retention_ratio",
        ),
        (
            {**SESSION, "session": {**REALTIME, "truncation": {"retention_ratio": 0.5}}},
            "missing_required_parameter",
            "session.truncation.type",
        ),
        (
            {**SESSION, "session": {**REALTIME, "tracing": {"workflow_name": 5}}},
            "invalid_type",
            "session.tracing.workflow_name",
        ),
        (
            {**SESSION, "session": {**REALTIME, "prompt": {"version": "2"}}},
            "missing_required_parameter",
            "session.prompt.id",
        ),
        ({**SESSION, "session": {**REALTIME, "tool_choice": 5}}, "invalid_type", "session.tool_choice"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "invalid_value", "audio"),
        (
            {"type": "response.create", "response": {"metadata": {"key": "x" * 513}}},
            "string_above_max_length",
            "response.metadata.key",
        ),
        ({"type": "input_audio_buffer.commit", "now": True}, "unknown_parameter", "now"),
        ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
        (
            {"type": "conversation.item.create", "item": {"type": "dance"}},
            "invalid_value",
            "item.type",
        ),
        ({"type": "conversation.item.create", "item": {"type": []}}, "invalid_value", "item.type"),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user"}},
            "missing_required_parameter",
            "item.content",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "x"}]},
            },
            "invalid_value",
            "item.content[0].type",
        ),
        ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}, "missing_required_parameter",
         "audio_end_ms"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 12.5},
            "invalid_type",
            "audio_end_ms",
        ),
        ({"type": "response.create", "response": {"commit": True}}, "unknown_parameter", "response.commit"),
        ({"type": "response.create", "response": {"conversation": "other"}}, "invalid_value", "response.conversation"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(peer: Peer, message: dict[str, Any], code: str, param: str | None) -> None:
    error = refused(peer, message)
    assert (error["code"], error["param"]) == (code, param)
    peer.update(instructions="still here")


@pytest.mark.parametrize("name", ["id", "call_id"])
def test_an_id_that_the_service_would_not_take_is_refused_here_too(peer: Peer, name: str) -> None:
    item = {"type": "function_call", "name": "f", "arguments": "{}", name: "x" * 33}
    error = refused(peer, {"type": "conversation.item.create", "item": item})
    assert error["code"] == "string_above_max_length"
    # Live, 2026-08.
    assert error["message"] == (
        f"Invalid 'item.{name}': string too long. Expected a string with maximum length 32, but got a string with "
        "length 33 instead."
    )
    item[name] = "x" * 32
    peer.say("conversation.item.create", item=item)
    assert peer.until("conversation.item.done")["item"][name] == "x" * 32


def test_a_refused_update_is_discarded_whole(peer: Peer) -> None:
    before = peer.update()
    peer.say("session.update", session={**REALTIME, "instructions": "changed", "bogus_field": 1})
    assert peer.error()["message"] == "Unknown parameter: 'session.bogus_field'."
    assert peer.update() == before


def test_what_is_not_json_is_answered_and_the_session_goes_on(peer: Peer) -> None:
    peer.ws.send("this is {not JSON")
    assert peer.error()["code"] == "invalid_json"
    for text in ("[" * 100_000, '{"type": "session.update", "session": {"type": "realtime", "speed": NaN}}'):
        peer.ws.send(text)
        assert peer.error()["code"] == "invalid_json"
    peer.ws.send("[1, 2]")
    assert peer.error()["code"] == "invalid_event"
    peer.ws.send_binary(b"\x00\x01")
    error = peer.error()
    assert error["message"] == "Expected a text WebSocket message; binary frames are not supported."
    peer.update(instructions="still here")


def test_an_update_is_laid_over_what_was(peer: Peer) -> None:
    first = peer.update(audio={"output": {"speed": 1.2}}, instructions="A")
    assert (first["audio"]["output"]["speed"], first["audio"]["output"]["voice"]) == (1.2, "alloy")
    second = peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    assert second["instructions"] == "A"
    assert second["audio"]["output"]["speed"] == 1.2
    third = peer.update(audio={"input": {"turn_detection": {"type": "server_vad", "prefix_padding_ms": 10}}})
    detection = third["audio"]["input"]["turn_detection"]
    assert (detection["threshold"], detection["prefix_padding_ms"]) == (0.7, 10)
    fourth = peer.update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    assert fourth["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_every_client_message_of_the_spec_is_understood(peer: Peer) -> None:
    examples = json.loads((PROTOCOL / "examples.json").read_text())["ga-client"]
    for wire_type, entry in examples.items():
        message = entry["example"]
        if message is None or wire_type == "output_audio_buffer.clear":  # the latter is for WebRTC alone
            continue
        peer.ws.send(json.dumps(message))
    peer.say("session.update", session={**REALTIME, "instructions": "the last"}, event_id="last")
    peer.until(lambda event: event["type"] == "session.updated" and event["session"]["instructions"] == "the last")
    shape_errors = {"unknown_parameter", "missing_required_parameter", "invalid_type", "invalid_event", None}
    errors = [event["error"] for event in peer.seen if event["type"] == "error"]
    assert [error for error in errors if error["code"] in shape_errors] == []


def tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": "f", "description": "Does it.", **fields}


def with_parameters(**properties: Any) -> dict[str, Any]:
    return tool(parameters={"type": "object", "properties": properties})


TOO_LONG = "string too long. Expected a string with maximum length"
NO_PATTERN = "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."


@pytest.mark.parametrize(
    ("wrong", "code", "field", "words"),
    [
        (tool(name="my tool"), "invalid_value", "name", NO_PATTERN),
        (tool(name="météo"), "invalid_value", "name", NO_PATTERN),
        (tool(name="a.b"), "invalid_value", "name", NO_PATTERN),
        (tool(name=""), "invalid_value", "name", NO_PATTERN),
        (tool(name="line\n"), "invalid_value", "name", NO_PATTERN),
        (tool(name="x" * 65), "string_above_max_length", "name", f"{TOO_LONG} 64, but got a string with length 65"),
        (tool(description="x" * 1025), "string_above_max_length", "description", f"{TOO_LONG} 1024, but got a string"),
        (tool(parameters={"type": "None"}), "invalid_function_parameters", "parameters", "got 'type: \"None\"'."),
        (tool(parameters={"properties": {}}), "invalid_function_parameters", "parameters", "got 'type: \"None\"'."),
        (tool(parameters={"type": "array"}), "invalid_function_parameters", "parameters", "got 'type: \"array\"'."),
    ],
)
@pytest.mark.parametrize("where", ["session", "response"])
def test_a_tool_that_the_service_refuses_is_refused(
    peer: Peer, where: str, wrong: dict[str, Any], code: str, field: str, words: str
) -> None:
    message = {"session": {**SESSION, "session": {**REALTIME, "tools": [tool(), wrong]}}}
    message["response"] = {"type": "response.create", "response": {"tools": [tool(), wrong]}}
    error = refused(peer, message[where])
    assert (error["code"], error["param"]) == (code, f"{where}.tools[1].{field}")
    assert words in error["message"]


@pytest.mark.parametrize(
    ("properties", "place"),
    [
        ({"a": {"type": "array"}}, "('properties', 'a')"),
        ({"a": {"type": ["array", "null"]}}, "('properties', 'a')"),
        ({"a": {"type": "array", "prefixItems": [{"type": "string"}]}}, "('properties', 'a')"),
        ({"a": {"type": "array", "items": {"type": "array"}}}, "('properties', 'a', 'items')"),
        ({"a": {"anyOf": [{"type": "null"}, {"type": "array"}]}}, "('properties', 'a', 'anyOf', '1')"),
        (
            {"a": {"type": "object", "additionalProperties": {"type": "array"}}},
            "('properties', 'a', 'additionalProperties')",
        ),
    ],
)
def test_an_array_that_does_not_say_what_it_holds_is_refused(
    peer: Peer, properties: dict[str, Any], place: str
) -> None:
    error = refused(peer, {**SESSION, "session": {**REALTIME, "tools": [with_parameters(**properties)]}})
    assert (error["code"], error["param"]) == ("invalid_function_parameters", "session.tools[0].parameters")
    assert error["message"] == f"Invalid schema for function 'f': In context={place}, array schema missing items."


def test_tools_at_the_edge_of_what_the_service_takes_are_taken(peer: Peer) -> None:
    strings = {"type": "array", "items": {"type": "string"}}
    named_as_a_keyword = {"type": {"type": "string"}, "items": strings, "anyOf": {"enum": [["array"], None]}}
    tools = [
        tool(name="Az_-9" + "x" * 59, description="x" * 1024),
        with_parameters(a=strings, b={"type": "array", "items": {}}, c=True),
        with_parameters(**named_as_a_keyword),
        tool(parameters={}),
    ]
    assert peer.update(tools=tools)["tools"] == tools


def test_only_the_voices_of_the_service_are_taken(peer: Peer) -> None:
    for voice in ("marin", "cedar"):
        assert peer.update(audio={"output": {"voice": voice}})["audio"]["output"]["voice"] == voice
    unknown = {"audio": {"output": {"voice": "nova"}}}
    error = refused(peer, {**SESSION, "session": {**REALTIME, **unknown}})
    assert (error["code"], error["param"]) == ("invalid_value", "session.audio.output.voice")
    assert error["message"] == (
        "Invalid value: 'nova'. Supported values are: 'alloy', 'ash', 'ballad', 'coral', 'echo', 'sage', 'shimmer', "
        "'verse', 'marin', and 'cedar'."
    )
    assert refused(peer, {"type": "response.create", "response": unknown})["param"] == "response.audio.output.voice"
    peer.checked = False  # the schemas know no custom voice in what the server tells
    assert peer.update(audio={"output": {"voice": {"id": "voice_1"}}})["audio"]["output"]["voice"] == {"id": "voice_1"}
    assert refused(peer, {**SESSION, "session": {**REALTIME, "audio": {"output": {"voice": {"name": "x"}}}}})
