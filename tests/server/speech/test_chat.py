"""The brain that asks a chat endpoint, against an endpoint on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest

from realtime_sync import ConfigurationError
from realtime_sync.errors import ConnectionFailedError
from realtime_sync.server import FunctionCall
from realtime_sync.server.speech import ChatBrain
from tests.server.test_rules import WEATHER, said, turn

KEY = "sk-chat-key-that-nobody-may-see"


class Endpoint(ThreadingHTTPServer):
    """Answers each question with the deltas that it was given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.deltas: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        endpoint = self.server
        assert isinstance(endpoint, Endpoint)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        endpoint.asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        self.send_response(endpoint.status)
        self.end_headers()
        for delta in endpoint.deltas:
            self.wfile.write(b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), name="chat-endpoint", daemon=True).start()
        yield server
        server.shutdown()


def test_it_asks_with_the_conversation_and_gives_the_text_as_it_comes(endpoint: Endpoint) -> None:
    endpoint.deltas = [{"role": "assistant"}, {"content": "A redwood"}, {"content": ", I think."}]
    asked = attrs.evolve(
        turn("Which tree is the tallest?", said("Wait.", "assistant", 1), "Well?"), instructions="Be kind."
    )
    assert list(ChatBrain(endpoint.url, "small", api_key=KEY)(asked)) == ["A redwood", ", I think."]
    (question,) = endpoint.asked
    assert (question["path"], question["key"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (question["model"], question["stream"]) == ("small", True)
    assert [(message["role"], message["content"]) for message in question["messages"]] == [
        ("system", "Be kind."),
        ("user", "Which tree is the tallest?"),
        ("assistant", "Wait."),
        ("user", "Well?"),
    ]
    assert "tools" not in question


def test_tools_go_along_and_calls_come_back_from_their_parts(endpoint: Endpoint) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": '{"ci'}}
    endpoint.deltas = [
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": 'ty": "Rome"}'}}]},
    ]
    pieces = list(ChatBrain(endpoint.url, "small")(turn("The weather in Rome?", tools=(WEATHER,))))
    assert pieces == [FunctionCall("get_weather", '{"city": "Rome"}')]
    assert endpoint.asked[0]["tools"][0]["function"]["name"] == "get_weather"
    assert endpoint.asked[0]["key"] is None


def test_calls_and_their_results_are_told_in_the_chat_apis_words(endpoint: Endpoint) -> None:
    items = (
        {"id": "1", "type": "function_call", "name": "f", "call_id": "c1", "arguments": "{}"},
        {"id": "2", "type": "function_call_output", "call_id": "c1", "output": "42"},
    )
    list(ChatBrain(endpoint.url, "small")(turn("How many?", *items)))
    call, result = endpoint.asked[0]["messages"][-2:]
    assert call["tool_calls"] == [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "42"}


def test_calls_that_were_made_at_once_are_one_message_that_their_results_follow(endpoint: Endpoint) -> None:
    calls = [{"id": c, "type": "function_call", "name": "f", "call_id": c, "arguments": "{}"} for c in ("a", "b", "c")]
    outputs = [{"id": f"{c}_", "type": "function_call_output", "call_id": c, "output": c} for c in ("a", "b", "c")]
    list(ChatBrain(endpoint.url, "small")(turn("Both!", *calls[:2], *outputs[:2], calls[2], outputs[2])))
    told = [
        [call["id"] for call in message["tool_calls"]] if "tool_calls" in message else message.get("tool_call_id")
        for message in endpoint.asked[0]["messages"][2:]
    ]
    assert told == [["a", "b"], "a", "b", ["c"], "c"]


def test_a_refusal_tells_the_status_and_never_the_key(endpoint: Endpoint) -> None:
    endpoint.status = 401
    brain = ChatBrain(endpoint.url, "small", api_key=KEY)
    with pytest.raises(ConnectionFailedError, match="401") as caught:
        list(brain(turn("Hello")))
    assert KEY not in str(caught.value) + repr(brain)


def test_it_stops_once_nobody_waits_for_the_answer(endpoint: Endpoint) -> None:
    endpoint.deltas = [{"content": "one"}, {"content": "two"}, {"content": "three"}]
    asked = turn("Count")
    answer = ChatBrain(endpoint.url, "small")(asked)
    assert next(answer) == "one"
    asked.cancelled.set()
    assert list(answer) == []


@pytest.mark.parametrize("url", ["ftp://host/v1", "127.0.0.1:8080", "http:///v1", ""])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http://"):
        ChatBrain(url, "small")
