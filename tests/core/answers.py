"""What the tests of answers have in common: responders that wait to be told, and what the server really sent."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

from realtime_sync import ConversationResponseOptions
from realtime_sync.server import ServerSession, Turn

WRITTEN = ConversationResponseOptions(content_modalities=["text"])
ASIDE = ConversationResponseOptions(content_modalities=["text"], conversation="none")
ACTIVE = "conversation_already_has_active_response"


class Gate:
    """A responder that says ``before``, and ``after`` once it is opened; on cancellation it stops."""

    def __init__(self, before: str = "one ", after: str = "two") -> None:
        self.before, self.after = before, after
        self.opened = threading.Event()

    def __call__(self, turn: Turn) -> Iterator[str]:
        yield self.before
        while not self.opened.wait(0.005) and not turn.cancelled.is_set():
            pass
        yield self.after


def sent(live: ServerSession, wire_type: str, response_id: str | None = None) -> list[dict[str, Any]]:
    """The server's messages of this type, of this response."""
    return [
        message
        for message in list(live.sent)
        if message["type"] == wire_type and response_id in (None, message.get("response_id"))
    ]


def sent_audio(live: ServerSession, response_id: str) -> bytes:
    deltas = sent(live, "response.output_audio.delta", response_id)
    return b"".join(base64.b64decode(message["delta"]) for message in deltas)


def sent_text(live: ServerSession, response_id: str, what: str = "output_text") -> str:
    return "".join(message["delta"] for message in sent(live, f"response.{what}.delta", response_id))


def errors(live: ServerSession) -> list[str | None]:
    return [message["error"]["code"] for message in sent(live, "error")]


def received(live: ServerSession, wire_type: str) -> list[dict[str, Any]]:
    return [message for message in list(live.received) if message["type"] == wire_type]


def idle(session: Any) -> bool:
    """No claim is left behind: the next question goes out at once."""
    return bool(session._engine.responses.idle)
