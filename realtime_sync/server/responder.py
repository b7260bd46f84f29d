"""What a responder is given, and what it gives: a turn of the conversation, and an answer to it."""

from __future__ import annotations

import json
import threading
from typing import Callable, Iterable, Mapping, Optional, Sequence, Union

import attrs

from realtime_sync.secret import reportable
from realtime_sync.server.wire import Json


@attrs.frozen
class FunctionCall:
    """A call that the answer makes.

    Args:
        name: Of the function.
        arguments: The object, or its JSON text as it shall stand on the wire.
        call_id: None for one of the server's making.
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

    If the tool needs approval, the call is made once the client has approved it.

    Args:
        server_label: Which MCP server.
        name: Which of its tools.
        arguments: As for ``FunctionCall``.
        output: What the tool returns.
        error: The call fails with this: a text, or the wire's object. None: it succeeds.
        delay: Seconds that the call takes, by the server's clock.
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


@reportable
@attrs.frozen
class Reply:
    """One answer: a message, function calls, or both.

    Args:
        text: What is said, or the transcript of it; no message at all if it is empty and ``audio`` is None.
        audio: PCM16, 24 kHz, mono. None has the server's voice speak the text (in audio responses).
        function_calls: ``FunctionCall`` or ``(name, arguments)`` each.
        delay: Seconds before the first output, by the server's clock.
        delta_delay: Seconds before each delta, by the server's clock.
        mcp_calls: ``MCPCall`` each.
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

    Args:
        items: The conversation, or the input of an out-of-band response, as wire items, oldest first.
        audio_ms: Milliseconds of audio of an item, by its id.
        audio: That audio, in the format it came in.
        instructions: The instructions of this response.
        tools: The tools of this response, as the wire has them.
        tool_choice: The tool choice of this response, as the wire has it.
        modalities: ``["text"]`` or ``["audio"]``, of this response.
        params: What ``response.create`` said; empty if voice activity detection asked for the response.
        session: The session's settings.
        cancelled: Set once nobody waits for the answer any more.
        heard: What an item's audio says, by its id: the user's as it was understood (by a server that has ``speech``;
            empty if nothing was), the server's own as far as it was heard before it was truncated.
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
        """The last item; None if there is none."""
        return self.items[-1] if self.items else None

    def text_of(self, item: Json) -> str:
        """The text of an item's parts, transcripts and what was heard included."""
        heard = self.heard.get(str(item.get("id")))
        told = (
            heard
            if heard is not None and str(part.get("type")).endswith("audio")
            else part.get("text") or part.get("transcript") or ""
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
