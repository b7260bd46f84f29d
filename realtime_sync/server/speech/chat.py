"""``ChatBrain``: answers by a chat endpoint of one's own (llama.cpp, Ollama, vLLM, a service)."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.parse
from typing import Iterator, Optional, Sequence

from realtime_sync.errors import ConfigurationError, ConnectionFailedError
from realtime_sync.secret import reportable
from realtime_sync.server.responder import FunctionCall, Piece, Turn
from realtime_sync.server.session_options import DEFAULT_INSTRUCTIONS
from realtime_sync.server.wire import Json

_INSTRUCTIONS = "You are a friendly voice assistant. Answer in one or two short spoken sentences, without any markup."


@reportable
class ChatBrain:
    """A responder that asks ``POST {url}/chat/completions``, streamed, and speaks each sentence as it comes.

    The conversation, the session's instructions and its function tools go along; a user's audio as its transcript. What
    is told to the session is sent to that endpoint, and nowhere else.

    Args:
        url: base of an OpenAI-compatible API, such as ``http://127.0.0.1:8080/v1``. Redirects and proxies are not
            followed.
        model: its name there.
        api_key: sent as a bearer token; None sends none.
        timeout: seconds to connect, and between two pieces of an answer.

    Raises:
        ConfigurationError: for a URL that is not http or https.
    """

    def __init__(self, url: str, model: str, *, api_key: Optional[str] = None, timeout: float = 30.0) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("The URL of a chat endpoint must begin with http:// or https:// and a host.")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + "/chat/completions"
        self._model = model
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"ChatBrain({self._host!r}, {self._model!r})"

    def __call__(self, turn: Turn) -> Iterator[Piece]:
        """The answer's text as it comes, then its function calls. Raises ``ConnectionFailedError``, ``OSError``."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        calls: dict[int, Json] = {}
        # The answer is closed by itself: it keeps the socket once the connection lets go of it.
        with contextlib.closing(kind(self._host, self._port, timeout=self._timeout)) as connection:
            connection.request("POST", self._path, json.dumps(self._question(turn)), self._headers)
            with connection.getresponse() as answer:
                if answer.status != 200:
                    told = f"{answer.status} {answer.reason}"
                    raise ConnectionFailedError(f"The chat endpoint at {self._host} answered {told}.")
                for delta in _deltas(answer):
                    if turn.cancelled.is_set():
                        return
                    if delta.get("content"):
                        yield str(delta["content"])
                    for part in delta.get("tool_calls") or ():
                        _add(calls.setdefault(int(part.get("index", 0)), {"name": "", "arguments": ""}), part)
        yield from (FunctionCall(call["name"], call["arguments"] or "{}") for _, call in sorted(calls.items()))

    def _question(self, turn: Turn) -> Json:
        instructions = turn.instructions if turn.instructions != DEFAULT_INSTRUCTIONS else _INSTRUCTIONS
        question: Json = {"model": self._model, "stream": True, "messages": messages(turn, instructions)}
        tools = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
        if tools:
            keys = ("name", "description", "parameters")
            functions = [{key: tool[key] for key in keys if tool.get(key) is not None} for tool in tools]
            question["tools"] = [{"type": "function", "function": function} for function in functions]
            question["tool_choice"] = turn.tool_choice
            if isinstance(turn.tool_choice, dict):
                question["tool_choice"] = {"type": "function", "function": {"name": turn.tool_choice.get("name")}}
        return question


def messages(turn: Turn, instructions: str) -> Sequence[Json]:
    """A turn's items as messages of the chat API."""
    told: list[Json] = [{"role": "system", "content": instructions}]
    for item in turn.items:
        if item["type"] == "message":
            told.append({"role": item["role"], "content": turn.text_of(item)})
        elif item["type"] == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            if "tool_calls" in told[-1]:  # made at once: as one message, that their outputs may follow it
                told[-1]["tool_calls"].append(call)
            else:
                told.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif item["type"] == "function_call_output":
            told.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
    return told


def _deltas(answer: http.client.HTTPResponse) -> Iterator[Json]:
    """The deltas of a stream of server-sent events."""
    for line in answer:
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return
        if line.startswith(b"data:") and data:
            for choice in json.loads(data).get("choices") or ():
                yield choice.get("delta") or {}


def _add(call: Json, part: Json) -> None:
    """The name and the arguments of a call come in parts, too."""
    function = part.get("function") or {}
    call["name"] += function.get("name") or ""
    call["arguments"] += function.get("arguments") or ""
