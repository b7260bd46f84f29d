"""What a response says, item by item: each opens, gets its deltas, and is closed."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.items import Item
from realtime_sync.server.responder import FunctionCall, MCPCall
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.responses import ResponseRun
    from realtime_sync.server.session import ServerSession


class OutputItem:
    """An item that a response is saying. Every method is called under the session's lock."""

    def __init__(self, session: ServerSession, run: ResponseRun, wire: Json) -> None:
        self._session = session
        self.run = run
        self._index = len(run.wire["output"])
        self.item = Item({"id": new_id("item"), **wire}, audio_type=run.audio_type)
        self._previous: Optional[str] = None

    def open(self) -> None:
        """Tell that it has begun."""
        self._emit_whole("added")
        if self.run.in_conversation:
            self._previous = self._session.conversation.add(self.item)
            self._session.emit_item("conversation.item.added", self._previous, self._wire())

    def close(self, status: str) -> None:
        """Tell all of it, and that it has ended with this status."""
        self.item.wire["status"] = status
        self._finish_content()
        if self.run.in_conversation:
            # If an answer is a conversation's second item, the live services tell none before it here, though they
            # did when it was added (2026-07, in each recording).
            is_second = self._previous == self._session.conversation.first_id
            self._session.emit_item("conversation.item.done", None if is_second else self._previous, self._wire())
        self._emit_whole("done")
        self.run.wire["output"].append(self._wire())

    def emit(self, kind: str, **fields: object) -> None:
        """Emit ``response.<kind>``, about this item."""
        about = {"response_id": self.run.id, "item_id": self.item.id, "output_index": self._index}
        self._session.emit({"type": f"response.{kind}", **about, **fields})

    def emit_delta(self, kind: str, delta: str, **fields: object) -> None:
        """Emit ``response.<kind>.delta`` of a text."""
        self.emit(f"{kind}.delta", **fields, delta=delta, obfuscation=new_id("", 12)[1:])

    def _emit_whole(self, kind: str) -> None:
        """Emit ``response.output_item.<kind>``, which holds the item."""
        about = {"response_id": self.run.id, "output_index": self._index}
        self._session.emit({"type": f"response.output_item.{kind}", **about, "item": self._wire()})

    def _wire(self) -> Json:
        wire = dict(self.item.wire)
        if "content" in wire:
            wire["content"] = [dict(part) for part in wire["content"]]
        return wire

    def _finish_content(self) -> None:
        raise NotImplementedError


class OutputMessage(OutputItem):
    """An assistant's message of one part: text, or audio with its transcript."""

    def __init__(self, session: ServerSession, run: ResponseRun) -> None:
        super().__init__(session, run, {"type": "message", "status": "in_progress", "role": "assistant", "content": []})
        self._said: list[str] = []
        self._field = "transcript" if run.speaks else "text"

    def open(self) -> None:
        """See ``OutputItem``."""
        super().open()
        self._part_event("content_part.added", "")

    def words_delta(self, delta: str) -> None:
        """Say a piece of the text, or of the transcript."""
        self._said.append(delta)
        self.emit_delta("output_audio_transcript" if self.run.speaks else "output_text", delta, content_index=0)

    def audio_delta(self, audio: bytes) -> None:
        """Say a piece of audio, in the response's format."""
        # First: if this is no audio, the message can still be closed.
        delta = base64.b64encode(audio).decode()
        if self.item.heard is None:  # what was truncated meanwhile stays as it was heard
            self.item.audio.setdefault(0, bytearray()).extend(audio)
        self._session.audio_has_been_said = self._session.audio_has_been_said or self.run.in_conversation
        self.emit("output_audio.delta", content_index=0, delta=delta)

    def _finish_content(self) -> None:
        said = "".join(self._said)
        if self.run.speaks:
            self.emit("output_audio.done", content_index=0)
            self.emit("output_audio_transcript.done", content_index=0, transcript=said)
        else:
            self.emit("output_text.done", content_index=0, text=said)
        self._part_event("content_part.done", said)
        kind = "output_audio" if self.run.speaks else "output_text"
        self.item.wire["content"] = [{"type": kind, self._field: said if self.item.heard is None else ""}]

    def _part_event(self, kind: str, said: str) -> None:
        # The part is "audio" or "text" here, while the item says "output_audio" or "output_text" (live, 2026).
        part = {"type": "audio" if self.run.speaks else "text", self._field: said}
        doubled = {"content": part} if self._session.flavour.doubles_parts else {}
        self.emit(kind, content_index=0, part=part, **doubled)


class OutputCall(OutputItem):
    """A call of a tool, whose arguments are said piece by piece."""

    def arguments_delta(self, delta: str) -> None:
        """Say a piece of the arguments."""
        self.item.wire["arguments"] += delta
        named = {"call_id": self.item.wire["call_id"]} if "call_id" in self.item.wire else {}
        self.emit_delta(f"{self.item.wire['type']}_arguments", delta, **named)


class OutputFunctionCall(OutputCall):
    """A function call."""

    def __init__(self, session: ServerSession, run: ResponseRun, call: FunctionCall) -> None:
        fields = {"name": call.name, "call_id": call.call_id or new_id("call", 16), "arguments": ""}
        super().__init__(session, run, {"type": "function_call", "status": "in_progress", **fields})

    def _finish_content(self) -> None:
        told = {key: self.item.wire[key] for key in ("call_id", "name", "arguments")}
        self.emit("function_call_arguments.done", **told)


class OutputMCPCall(OutputCall):
    """A call of a remote tool. The response tells only the call; its result comes behind the response's end."""

    def __init__(self, session: ServerSession, run: ResponseRun, call: MCPCall) -> None:
        self.call = call
        fields = {"server_label": call.server_label, "name": call.name, "arguments": ""}
        told = {"approval_request_id": None, "output": None, "error": None}
        super().__init__(session, run, {"type": "mcp_call", **fields, **told})

    def close(self, status: str) -> None:
        """Tell the call; its result is for ``finish``. One that was cut short is never made."""
        self.emit("mcp_call_arguments.done", arguments=self.item.wire["arguments"])
        if status == "completed":
            self._session.remote_tools.call_was_said(self)
        self._emit_whole("done")
        self.run.wire["output"].append(self._wire())
        if status != "completed":
            self.finish()

    def finish(self, outcome: Optional[str] = None) -> None:
        """Tell ``response.mcp_call.<outcome>`` and the item as it has become; None: it was never called."""
        if outcome is not None:
            self.tell(outcome)
        if self.run.in_conversation:
            self._session.emit_item("conversation.item.done", self._previous, self._wire())

    def tell(self, state: str) -> None:
        """Emit ``response.mcp_call.<state>``."""
        told = {"output_index": self._index, "item_id": self.item.id}
        self._session.emit({"type": f"response.mcp_call.{state}", **told})
