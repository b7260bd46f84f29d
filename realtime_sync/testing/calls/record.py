"""What the embedded server knows of a call: the words of each item, and which tools ran with what."""

from __future__ import annotations

import json
from typing import Any, Optional

import attrs

from realtime_sync.errors import UsageError
from realtime_sync.server import RealtimeServer
from realtime_sync.server.audio_formats import BYTES_PER_MS
from realtime_sync.server.served import ServedSession
from realtime_sync.server.wire import Json

_BEFORE = -1.0  # when it happened, of what came before the call


@attrs.define
class ToolRun:
    """A tool that the model called, and what the application returned.

    Args:
        name: Of the tool; of what GPT-Live hands over, ``delegation``, which has no arguments.
        arguments: What it was called with: a dict, or the text as it is if that is no JSON object.
        at: When it was called, in seconds since the call began.
        result: What the application returned: parsed, if it is JSON. None if it had returned nothing by the end.
        took: Seconds until it returned that; None if it did not.
        call_id: The protocol's name of this call.
    """

    name: str
    arguments: Any
    at: float
    result: Any = None
    took: Optional[float] = None
    call_id: str = attrs.field(default="", repr=False)

    def __str__(self) -> str:
        given = self.arguments
        told = ", ".join(f"{name}={value!r}" for name, value in given.items()) if isinstance(given, dict) else given
        return f"{self.name}({told}) " + ("-> no result" if self.took is None else f"-> {self.result!r}")


@attrs.define
class _SaidItem:
    """An item that the service spoke: its words and length so far, and when its first word came."""

    at: float
    words: str = ""
    seconds: float = 0.0


class ServerRecord:
    """Reads what the server's sessions send and receive from now on, as often as ``look`` is called."""

    def __init__(self, server: RealtimeServer) -> None:
        if not server.settings.record:
            raise UsageError("The server has record=False, so it knows nothing of a call: leave that out, or server=.")
        self._server = server
        self._read: dict[ServedSession, tuple[int, int]] = {}  # messages sent and received that were looked at
        self.tools: list[ToolRun] = []
        self._items: dict[str, _SaidItem] = {}
        self._answering: set[str] = set()  # ids of responses that have begun and are not done
        self.begin()

    def begin(self) -> None:
        """A call begins: what is known so far belongs to others. Items are still found by their ids."""
        self.look(_BEFORE)
        self.tools.clear()
        for item in self._items.values():
            item.at = _BEFORE

    def look(self, now: float) -> None:
        """Take over what is new; ``now`` is when it happened."""
        for session in (*self._server.sessions, *self._server.live_sessions):
            sent, received = self._read.get(session, (0, 0))
            for message in session.sent[sent:]:
                self._told(session, message, now)
                sent += 1
            for message in session.received[received:]:
                self._returned(message, now)
                received += 1
            self._read[session] = sent, received

    @property
    def is_answering(self) -> bool:
        """Whether a response has begun, and is not done."""
        return bool(self._answering)

    def knows(self, item_id: str) -> bool:
        """Whether the service has spoken an item of this name; a line may have names of its own."""
        return item_id in self._items

    def words_of(self, item_id: str, heard_seconds: Optional[float]) -> str:
        """What was heard of an item; None: all of it. Empty if it is not known."""
        item = self._items.get(item_id)
        if item is None:
            return ""
        if heard_seconds is None or heard_seconds >= 0.95 * item.seconds:
            return item.words.strip()
        words = item.words.split()
        return " ".join(words[: round(len(words) * heard_seconds / item.seconds)]) + " ..."

    def words_heard(self, item_id: str, heard_seconds: float) -> int:
        """How many words of an item that is being spoken were heard, if they are evenly long."""
        item = self._items.get(item_id)
        whole = len(item.words.split()) if item is not None else 0
        return int(whole * min(1.0, heard_seconds / item.seconds)) if item is not None and item.seconds else 0

    def items_between(self, start: float, end: float) -> list[str]:
        """The items whose first words came after ``start`` and not after ``end``, in their order."""
        return [name for name, item in self._items.items() if start < item.at <= end]

    def _told(self, session: ServedSession, message: Json, now: float) -> None:
        kind = str(message.get("type"))
        if kind.endswith("audio_transcript.delta") and "item_id" in message:  # either dialect's
            self._item(message, now).words += str(message["delta"])
        elif kind.endswith("audio.delta") and "item_id" in message:
            self._item(message, now).seconds += 0.75 * len(message["delta"]) / (1000 * _bytes_per_ms(session))
        elif kind == "response.created":
            self._answering.add(str(message["response"]["id"]))
        elif kind == "response.done":
            self._answering.discard(str(message["response"]["id"]))
        elif kind == "response.output_item.done" and message["item"].get("type") == "function_call":
            item = message["item"]
            run = ToolRun(str(item["name"]), _parsed(item["arguments"]), now, call_id=str(item["call_id"]))
            self.tools.append(run)
        elif kind == "session.output_transcript.delta":  # of GPT-Live, where words come when they are spoken
            self._items[f"{id(session)} {message['start_ms']}"] = _SaidItem(now, str(message["delta"]))
        elif kind == "session.delegation.created":
            self.tools.append(ToolRun("delegation", {}, now, call_id=str(message["delegation"]["id"])))

    def _returned(self, message: Json, now: float) -> None:
        item = message.get("item")
        call_id, result = message.get("delegation_id"), message.get("content")
        if isinstance(item, dict) and item.get("type") == "function_call_output":
            call_id, result = item.get("call_id"), item.get("output")
        for run in self.tools if call_id is not None else ():
            if run.call_id == call_id and run.took is None:
                run.result, run.took = _parsed(result), now - run.at

    def _item(self, message: Json, now: float) -> _SaidItem:
        return self._items.setdefault(str(message["item_id"]), _SaidItem(now))


def _bytes_per_ms(session: ServedSession) -> int:
    options: Any = getattr(session, "options", {})
    told = options.get("audio", {}).get("output", {}).get("format", {}).get("type")
    return BYTES_PER_MS.get(told, BYTES_PER_MS["audio/pcm"])


def _parsed(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
