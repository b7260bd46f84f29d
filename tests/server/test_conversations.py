"""Whole conversations: items of every kind, tool rounds, answers out of band."""

from __future__ import annotations

import json
from typing import Any, Callable

from realtime_sync.server import FunctionCall, RealtimeServer, Turn
from tests.server.conftest import Peer

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_the_default_responder_plays_a_tool_round(peer: Peer) -> None:
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


def test_azure_tells_the_parts_of_its_items_twice(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    peer = open_peer(server, "/openai/v1/realtime?model=my-deployment", headers=("api-key: k",))
    peer.user_says("Say hello.")
    peer.say("response.create")
    part = peer.until("response.content_part.done")
    assert part["part"] == part["content"]


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


def test_the_default_responder_does_not_hear_itself(peer: Peer) -> None:
    peer.user_says("Hello")
    for _ in range(2):
        peer.say("response.create")
        said = peer.until("response.done")["response"]["output"][0]["content"][0]["transcript"]
    assert said == "I have nothing to answer."
