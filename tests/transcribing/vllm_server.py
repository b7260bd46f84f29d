"""vLLM's realtime endpoint: what it takes, answers and refuses, as read in the source of vLLM 0.33.0 (2026-11).

Its own module is ``vllm/entrypoints/speech_to_text/realtime/connection.py``. What it hears is told as its seconds.
"""

from __future__ import annotations

import base64
import select
from typing import Any, Callable, Optional

from tests.core.imitator import Imitator, Message
from tests.transport.peer import Link

RATE = 16_000


class VLLM:
    """Runs as the script of a ``Peer``: each connection is one of its sessions. ``heard``: all that it was sent."""

    def __init__(self, model: str = "voxtral") -> None:
        self.model = model
        self.heard: list[Message] = []
        self.lose_next_done = False
        self.spoken_to_meanwhile = False
        """True if it was sent something before it had said what it has heard: that is thrown away."""

    def __call__(self, link: Link) -> None:
        link.upgrade()
        Imitator(_Session(self, link), [{"type": "session.created", "id": "sess-1", "created": 1}])(link)


class _Session(dict[str, Callable[[Message], list[Message]]]):
    """The answers to each type of message, which is how an ``Imitator`` wants them."""

    def __init__(self, server: VLLM, link: Link) -> None:
        self._server, self._link = server, link
        self._model: Optional[str] = None
        self._listens = False
        self._queue: list[Optional[bytes]] = []  # None: nothing more comes

    def get(self, wire_type: str, default: Any = None) -> Any:
        return self._answer

    def _answer(self, message: Message) -> list[Message]:
        self._server.heard.append(message)
        wire_type = message["type"]
        if wire_type == "session.update":
            return self._update(message.get("model"))
        if wire_type == "input_audio_buffer.append":
            self._queue.append(base64.b64decode(message["audio"]))
        elif wire_type == "input_audio_buffer.commit":
            if self._model is None:
                return [_error("Model not validated.", "model_not_validated")]
            if message.get("final", False):
                self._queue.append(None)
            else:
                self._listens = True
        else:
            return [_error(f"Unknown event type: {wire_type}", "unknown_event")]
        return self._heard() if self._listens and None in self._queue else []

    def _update(self, model: Optional[str]) -> list[Message]:
        if model is None:
            return [_error("Missing required field: model", "invalid_event")]
        if model != self._server.model:
            return [_error(f"The model `{model}` does not exist.", "model_not_found")]
        self._model = model
        return []  # it acknowledges nothing

    def _heard(self) -> list[Message]:
        if self._server.lose_next_done:
            self._server.lose_next_done = False
            self._link.reset()
            raise EOFError
        self._server.spoken_to_meanwhile |= bool(self._link._buffer or select.select([self._link.sock], [], [], 0.1)[0])
        audio = b"".join(chunk for chunk in self._queue[: self._queue.index(None)] if chunk)
        self._listens, self._queue = False, []  # what came behind is thrown away
        text = f"{len(audio) / 2 / RATE:.1f}"
        deltas = [{"type": "transcription.delta", "delta": character} for character in text]
        usage = {"prompt_tokens": 7, "total_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None}
        return [*deltas, {"type": "transcription.done", "text": text, "usage": usage}]


def _error(message: str, code: str) -> Message:
    return {"type": "error", "error": message, "code": code}
