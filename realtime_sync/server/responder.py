"""Who answers: what a responder is given and gives, and the deterministic one that answers by default."""

from __future__ import annotations

import json
import re
import threading
from typing import Callable, Iterable, Mapping, Optional, Sequence, Union

import attrs

from realtime_sync.server.wire import Json


@attrs.frozen
class FunctionCall:
    """A call that the answer makes. ``arguments`` is the object, or its JSON text as it shall stand on the wire.

    ``call_id``: None for one of the server's making.
    """

    name: str
    arguments: Union[Mapping[str, object], str] = attrs.field(factory=dict)
    call_id: Optional[str] = None

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@attrs.frozen
class MCPCall:
    """A call of a remote MCP tool that the answer makes; the session, or the response, must have the server's tool.

    ``arguments`` as for ``FunctionCall``. ``output``: what the tool returns; with ``error`` it fails instead: a text,
    or the wire's object. ``delay``: seconds that the call takes, by the server's clock. Where the tool needs approval,
    the call is made once the client has approved it.
    """

    server_label: str
    name: str
    arguments: Union[Mapping[str, object], str] = attrs.field(factory=dict)
    output: str = ""
    error: Union[str, Json, None] = None
    delay: float = 0.0

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)

    @property
    def result(self) -> tuple[Optional[str], Optional[Json]]:
        """The output and the error, as the wire has them."""
        if self.error is None:
            return self.output, None
        if isinstance(self.error, str):
            return None, {"type": "tool_execution_error", "message": self.error}
        return None, self.error


def _calls(calls: Iterable[Union[FunctionCall, tuple[str, Mapping[str, object]]]]) -> tuple[FunctionCall, ...]:
    return tuple(call if isinstance(call, FunctionCall) else FunctionCall(*call) for call in calls)


@attrs.frozen
class Reply:
    """One answer: a message, function calls, or both.

    ``text``: what is said, or the transcript of it; no message at all where it is empty and ``audio`` is None.
    ``audio``: PCM16, 24 kHz, mono; None to have the server's voice speak the text (in audio responses).
    ``function_calls``: ``FunctionCall`` or ``(name, arguments)`` each. ``mcp_calls``: ``MCPCall`` each.
    ``delay``: seconds before the first output. ``delta_delay``: seconds before each delta. Both by the server's clock.
    """

    text: str = ""
    audio: Optional[bytes] = None
    function_calls: Sequence[FunctionCall] = attrs.field(default=(), converter=_calls)
    delay: float = 0.0
    delta_delay: float = 0.0
    mcp_calls: Sequence[MCPCall] = ()


@attrs.frozen
class Turn:
    """What a responder answers.

    ``items``: the conversation, or the input of an out-of-band response, as wire items, oldest first.
    ``audio_ms``: milliseconds of audio of an item, by its id; ``audio``: that audio, in the format it came in.
    ``heard``: what an item's audio says where the item does not tell, by its id: the user's as it was understood (by a
    server that has ``speech``), the server's own as far as it was heard before it was truncated.
    ``instructions``, ``tools``, ``tool_choice``, ``modalities``: as they hold for this response.
    ``params``: what ``response.create`` said; empty where voice activity detection asked for the response.
    ``session``: the session's settings. ``cancelled``: set once nobody waits for the answer any more.
    """

    items: Sequence[Json]
    audio_ms: Mapping[str, int]
    audio: Mapping[str, bytes]
    instructions: str
    tools: Sequence[Json]
    tool_choice: Union[str, Json]
    modalities: Sequence[str]
    params: Json
    session: Json
    cancelled: threading.Event
    heard: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def last(self) -> Optional[Json]:
        """The last item; None where there is none."""
        return self.items[-1] if self.items else None

    def text_of(self, item: Json) -> str:
        """The text of an item's parts, transcripts and what was heard included."""
        heard = self.heard.get(str(item.get("id")), "")
        told = (
            part.get("text") or part.get("transcript") or (heard if str(part.get("type")).endswith("audio") else "")
            for part in item.get("content") or ()
        )
        return " ".join(map(str, told)).strip()


Piece = Union[str, Reply, FunctionCall, MCPCall]
Responder = Callable[[Turn], Union[Piece, Iterable[Piece]]]
"""Answers a turn on a thread of its own: a string, a ``Reply``, or an iterable of pieces (of which strings that follow
one another are the deltas of one message). An exception makes the response fail.
"""

Transcriber = Callable[[bytes, int], str]
"""Says what was said: PCM16 and its rate in Hz to text. An exception makes the transcription fail."""


def default_transcriber(pcm: bytes, rate: int) -> str:
    """Has no ears: tells the length, which is the same for the same audio."""
    return f"[{len(pcm) / 2 / rate:.1f} seconds of audio]"


def default_responder(turn: Turn) -> Piece:
    """Echoes text, tells how long audio was, calls a function that the user's text names, tells a call's result."""
    last = _last_said(turn)
    if last is None:
        return "Hello! I am the embedded server of realtime_sync. I have no model: I repeat what I am told."
    if last["type"] == "function_call_output":
        return f"The function returned: {last['output']}"
    if last["type"] == "mcp_call":
        return f"{last['server_label']} says: {last['output'] or (last['error'] or {}).get('message')}"
    call = _call_for(turn, last) or _mcp_call_for(turn, last)
    if call is not None:
        return call
    heard_ms = turn.audio_ms.get(str(last["id"]), 0)
    if heard_ms:
        return f"I heard {heard_ms / 1000:.1f} seconds of audio."
    text = turn.text_of(last)
    if last.get("role") != "user" or not text:
        return "I have nothing to answer."
    if re.match(r"\W*(hello|hi|hey|good (morning|day|evening))\b", text, re.IGNORECASE):
        return f"Hello! You said: {text}"
    return f"You said: {text}"


def _last_said(turn: Turn) -> Optional[Json]:
    """The last item that is not about remote tools alone; a remote call stands before the request to approve it."""
    aside = ("mcp_list_tools", "mcp_approval_request", "mcp_approval_response")
    return next((item for item in reversed(turn.items) if item["type"] not in aside), None)


def _mcp_call_for(turn: Turn, last: Json) -> Optional[MCPCall]:
    """A call where a remote tool's name stands in the user's text; it finds what it was asked for."""
    text = turn.text_of(last)
    if turn.tool_choice == "none" or last.get("role") != "user":
        return None
    for item in turn.items:
        tools = item["tools"] if item["type"] == "mcp_list_tools" else ()
        named = next((str(tool["name"]) for tool in tools if _is_named(str(tool["name"]), text)), None)
        if named is not None:
            return MCPCall(item["server_label"], named, {"query": text}, output=f"one result for {text!r}")
    return None


def _call_for(turn: Turn, last: Json) -> Optional[FunctionCall]:
    """A call where one is demanded, or where a tool's name stands in the user's text ("get_weather" or "weather")."""
    functions = [tool for tool in turn.tools if tool.get("type", "function") == "function"]
    if turn.tool_choice == "none" or not functions:
        return None
    text = turn.text_of(last)
    if isinstance(turn.tool_choice, dict):
        named = [tool for tool in functions if tool["name"] == turn.tool_choice.get("name")]
    else:
        named = [tool for tool in functions if _is_named(str(tool["name"]), text)]
        if not named and turn.tool_choice == "required":
            named = functions
    return FunctionCall(str(named[0]["name"]), _arguments(named[0], text)) if named else None


def _is_named(name: str, text: str) -> bool:
    text = text.lower()
    if name.lower() in text:
        return True
    words = [word for word in re.split(r"[_\W]+", name.lower()) if len(word) > 3]
    return bool(words) and all(word in text for word in words)


def _arguments(tool: Json, text: str) -> dict[str, object]:
    """A value for each parameter: the last capitalised word of the text for strings, else what the type allows."""
    parameters = tool.get("parameters") or {}
    names = re.findall(r"\b[A-Z][\w-]*", text[1:])
    words = {"string": names[-1] if names else text, "integer": 1, "number": 1.0, "boolean": True}
    arguments: dict[str, object] = {}
    for name, schema in (parameters.get("properties") or {}).items():
        schema = schema if isinstance(schema, dict) else {}
        choices = schema.get("enum")
        empty: object = [] if kind_of(schema) == "array" else {}
        arguments[name] = choices[0] if choices else words.get(kind_of(schema), empty)
    return arguments


def kind_of(schema: Mapping[str, object]) -> str:
    """The JSON type that a schema wants; of several (``["string", "null"]``) the first that is something."""
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    return next((str(each) for each in kinds if each != "null"), "null")
