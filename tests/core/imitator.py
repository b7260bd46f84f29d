"""Servers that imitate the protocol and leave things out: what is said for each client message, frame by frame.

The shapes are those of real servers (LocalAI, speaches, vLLM, Hugging Face's speech-to-speech, xAI, Qwen, LiteLLM's
bridges), read from their sources in 2026-11.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Union

from tests.transport.peer import CLOSE, PING, PONG, TEXT, Link, frame

Message = dict[str, Any]
Said = Union[Message, str, bytes]
"""A message, a frame's text, or whole frames as bytes."""
Answer = Union[Iterable[Said], Callable[[Message], Iterable[Said]]]

GREETING: Message = {"type": "session.created", "session": {"id": "sess_1", "object": "realtime.session"}}


class Imitator:
    """Greets, then answers each client message by its type; what has no answer is not answered. ``House.raw`` runs it.

    An answer that is a function is called with the message; ``heard`` holds what has come so far.
    """

    def __init__(self, answers: Mapping[str, Answer], greeting: Sequence[Said] = (GREETING,)) -> None:
        self._answers, self._greeting = answers, greeting
        self.heard: list[Message] = []
        self._sending = threading.Lock()  # guards the link's writes: say() may be called from the test's thread
        self._link: Any = None
        self._ready = threading.Event()

    def __call__(self, link: Link) -> None:
        self._link = link
        self._ready.set()
        self.say(*self._greeting)
        try:
            while self._heed(*link.read_frame()):
                pass
        except (EOFError, ConnectionError):
            pass  # the client is gone without a close

    def say(self, *messages: Said) -> None:
        """Say something at any time."""
        assert self._ready.wait(10)
        frames = [said if isinstance(said, bytes) else frame(TEXT, _text(said)) for said in messages]
        with self._sending:
            self._link.send(b"".join(frames))

    def types(self) -> list[str]:
        """What the client has sent so far, by type."""
        return [message["type"] for message in list(self.heard)]

    def _heed(self, opcode: int, payload: bytes) -> bool:
        if opcode == TEXT:
            message = json.loads(payload)
            self.heard.append(message)
            answer = self._answers.get(message["type"], ())
            self.say(*(answer(message) if callable(answer) else answer))
        elif opcode == PING:
            self.say(frame(PONG, payload))
        elif opcode == CLOSE:
            self.say(frame(CLOSE, payload))
        return opcode != CLOSE


def _text(said: Union[Message, str]) -> str:
    return said if isinstance(said, str) else json.dumps(said)


def added(message: Message) -> list[Message]:
    """The acknowledgement of an item."""
    return [{"type": "conversation.item.added", "item": message["item"]}]


def created(response_id: str = "resp_1", **fields: Any) -> Message:
    return {"type": "response.created", "response": {"id": response_id, "status": "in_progress", **fields}}


def done(response_id: str = "resp_1", status: str = "completed", **fields: Any) -> Message:
    return {"type": "response.done", "response": {"id": response_id, "status": status, **fields}}


def piece(text: str = "Hello", response_id: str = "resp_1", kind: str = "output_text", **fields: Any) -> Message:
    """A delta, with all that belongs to one."""
    told = {"response_id": response_id, "item_id": f"item_of_{response_id}", "output_index": 0, "content_index": 0}
    return {"type": f"response.{kind}.delta", **told, "delta": text, **fields}


def without(message: Message, *names: str) -> Message:
    """The message without these fields."""
    return {key: value for key, value in message.items() if key not in names}


def call(name: str = "add", arguments: str = '{"a": 2, "b": 3}', **fields: Any) -> Message:
    """A function call as an item."""
    told = {"id": "item_call", "call_id": "call_1", "name": name, "arguments": arguments}
    return {"type": "function_call", "status": "completed", **told, **fields}


def one_after_another(*answers: Iterable[Said]) -> Callable[[Message], Iterable[Said]]:
    """The first answer to the first message, and so on; nothing once there is none left."""
    left = list(answers)

    def answer(message: Message) -> Iterable[Said]:
        return left.pop(0) if left else ()

    return answer
