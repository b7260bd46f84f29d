"""Delegation to a Responses backend: what it answers is the responder's, told as a stream of Responses events.

The order of events is that of a capture (2026-09). One response is in progress at a time; what is asked for meanwhile
waits.
"""

from __future__ import annotations

import collections
import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Callable, Iterable, Optional, Union

import attrs

from realtime_sync.server.clock import pause
from realtime_sync.server.live.brain import pieces_of
from realtime_sync.server.live.settings import tokens_of
from realtime_sync.server.live.target import DelegationTarget
from realtime_sync.server.responder import FunctionCall, MCPCall, Piece, Reply, Turn
from realtime_sync.server.wire import Json, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")


@attrs.frozen
class _BackendAnswer:
    """What the backend says and calls, once it is known."""

    text: str
    calls: tuple[FunctionCall, ...]

    @property
    def tokens(self) -> int:
        """About how many tokens it has."""
        return tokens_of(self.text) + sum(tokens_of(call.name + call.arguments_text) for call in self.calls)


class ResponsesTarget(DelegationTarget):
    """The backend of one session. ``items``: its conversation, as the wire has it, oldest first."""

    def __init__(self, session: TwinSession) -> None:
        super().__init__(session)
        self.items: list[Json] = []
        self._open: dict[str, Optional[str]] = {}  # calls without an output, and the delegation of each
        self._calls: set[str] = set()
        self._continues: Optional[str] = None  # the delegation whose calls were answered last
        self._waiting: collections.deque[_BackendResponse] = collections.deque()
        self._running: Optional[_BackendResponse] = None
        self._previous_id: Optional[str] = None
        self.may_speak = True  # of what the application started by itself: only if the model was told of it

    def prepare(self, delegation: Json) -> Callable[[], None]:
        """See ``DelegationTarget``."""
        response = _BackendResponse(self, new_id("resp"), delegation["id"])
        delegation["response_id"] = response.id
        text = self.session.ears.take_words()

        def begin() -> None:
            part = {"type": "input_text", "text": text}
            self.items.append({"id": new_id("msg"), "type": "message", "role": "user", "content": [part]})
            self._begin(response)

        return begin

    def take(self, message: Json) -> None:
        """See ``DelegationTarget``."""
        if message["type"] == "response.create":
            self._create()
        elif message["type"] == "response.item.create":
            self._add(dict(message["item"]))
        else:
            super().take(message)

    def _add(self, item: Json) -> None:
        if item.get("type") == "function_call_output":
            call_id = str(item["call_id"])
            if call_id not in self._calls:
                raise Refused("invalid_value", f"No tool call found for call_id '{call_id}'.", "item.call_id")
            self._continues = self._open.pop(call_id, self._continues)
        elif isinstance(item.get("content"), str):
            item["content"] = [{"type": "input_text", "text": item["content"]}]
        self.items.append({"id": new_id("item"), "type": "message", **item})

    def _create(self) -> None:
        if self._open:
            told = f"No tool output found for function call {next(iter(self._open))}."
            raise Refused("invalid_value", told, "response")
        delegation_id, self._continues = self._continues, None
        self._begin(_BackendResponse(self, new_id("resp"), delegation_id))

    def _begin(self, response: _BackendResponse) -> None:
        if self._running is not None:
            self._waiting.append(response)
            return
        self._running = response
        response.begin(self._previous_id)
        self._previous_id = response.id

    def has_open_calls(self, calls: Iterable[str], delegation_id: Optional[str]) -> None:
        """These calls want outputs before another response may be asked for."""
        for call_id in calls:
            self._open[call_id] = delegation_id
            self._calls.add(call_id)

    def is_done(self, response: _BackendResponse) -> None:
        """A response has ended: the next one begins."""
        if self._running is response:
            self._running = None
            if self._waiting:
                self._begin(self._waiting.popleft())

    def close(self) -> None:
        """See ``DelegationTarget``. What runs may come to its end, of which nobody is told."""
        self._waiting.clear()
        self.items.clear()
        if self._running is not None:
            self._running.cancel()


class _BackendResponse:
    """One response of the backend."""

    def __init__(self, target: ResponsesTarget, own_id: str, delegation_id: Optional[str]) -> None:
        self.id = own_id
        self._cancelled, self._wake = threading.Event(), threading.Event()
        self._target = target
        self._session = target.session
        self._delegation_id = delegation_id
        self._settings: Json = self._session.options["delegation"]["responses"]
        self._sequence = self._outputs = 0
        self._snapshot: Json = {}

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled.set()
        self._wake.set()

    def begin(self, previous_id: Optional[str]) -> None:
        """Tell that it is in progress, and have it answered on a thread. Called under the lock."""
        self._snapshot = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": self._settings.get("max_output_tokens"),
            "model": self._settings["model"],
            "output": [],
            "parallel_tool_calls": self._settings.get("parallel_tool_calls", True),
            "previous_response_id": previous_id,
            "reasoning": {"effort": "medium", "summary": None},
            "service_tier": "default",
            "store": True,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": self._settings["tool_choice"],
            "tools": [],
            "top_p": 0.98,
            "truncation": "disabled",
            "usage": None,
            "metadata": {},
        }
        self._emit("response.created", response=self._snapshot)
        self._emit("response.in_progress", response=self._snapshot)
        turn = self._turn()
        self._session.start_thread(lambda: self._work(turn), f"backend-{self.id}")

    def _turn(self) -> Turn:
        return Turn(
            items=[dict(item) for item in self._target.items],
            audio_ms={},
            audio={},
            instructions=self._settings.get("instructions") or "",
            tools=self._settings["tools"],
            tool_choice=self._settings["tool_choice"],
            modalities=["text"],
            params={},
            session=self._session.options,
            cancelled=self._cancelled,
        )

    # On its thread ------------------------------------------------------------------------------------------------

    def _work(self, turn: Turn) -> None:
        responder = self._session.rules.backend or self._session.settings.responder
        answer: Optional[_BackendAnswer] = None
        try:
            answer = self._collected(responder(turn))
        except Exception:  # user code; the service tells of it as of any other failure
            _log.exception("the responder failed, as a Responses backend")
        with self._session.lock:
            if not self._cancelled.is_set():
                self._tell(answer)
            self._target.is_done(self)

    def _collected(self, said: Union[Piece, Iterable[Piece]]) -> _BackendAnswer:
        text, calls = "", list[FunctionCall]()
        for piece in pieces_of(said):
            if isinstance(piece, MCPCall):
                raise TypeError("a Responses backend calls remote tools by itself: return their result as text")
            if isinstance(piece, FunctionCall):
                calls.append(piece)
            elif isinstance(piece, Reply):
                pause(self._session.clock, piece.delay, self._wake, self._cancelled.is_set)
                text += piece.text
                calls.extend(piece.function_calls)
            else:
                text += piece
        named = (attrs.evolve(call, call_id=call.call_id or new_id("call", 24)) for call in calls)
        return _BackendAnswer(text, tuple(named))

    # Under the lock ---------------------------------------------------------------------------------------------

    def _tell(self, answer: Optional[_BackendAnswer]) -> None:
        most = self._settings.get("max_output_tokens")
        failed = self._session.rules.faults.handoff_incomplete
        if answer is None or failed or (most is not None and answer.tokens > most):
            # No event of the response tells of it, and no delegation is named (seen by several, 2026-10).
            told = Refused("responses_handoff_incomplete", "Responses handoff incomplete.", kind="server_error")
            self._session.refuse(told)
            return
        self._target.has_open_calls((str(call.call_id) for call in answer.calls), self._delegation_id)
        for call in answer.calls:
            self._tell_call(call)
        if answer.text:
            self._tell_message(answer.text)
        count = sum(tokens_of(str(item)) for item in self._target.items)
        usage = {
            "input_tokens": count,
            "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
            "output_tokens": answer.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": count + answer.tokens,
        }
        done = {**self._snapshot, "status": "completed", "completed_at": int(time.time()), "usage": usage}
        self._emit("response.completed", response=done)
        if answer.text and (self._delegation_id is not None or self._target.may_speak):
            self._session.delegations.acknowledge_no_more()
            self._session.mouth.say(answer.text, retold=True)
        self._target.may_speak = False

    def _tell_call(self, call: FunctionCall) -> None:
        item: Json = {"id": new_id("fc"), "type": "function_call", "status": "in_progress", "arguments": ""}
        item |= {"call_id": call.call_id, "name": call.name}
        place = {"item_id": item["id"], "output_index": self._outputs}
        self._emit("response.output_item.added", item=item, output_index=self._outputs)
        for delta in re.findall(r"\w+|\W+", call.arguments_text):
            told = {"delta": delta, "obfuscation": new_id("", 12)[1:]}
            self._emit("response.function_call_arguments.delta", **told, **place)
        self._emit("response.function_call_arguments.done", arguments=call.arguments_text, **place)
        self._end_item({**item, "status": "completed", "arguments": call.arguments_text})

    def _tell_message(self, text: str) -> None:
        item = {"id": new_id("msg"), "type": "message", "status": "in_progress", "content": [], "role": "assistant"}
        item["phase"] = "final_answer"
        place = {"item_id": item["id"], "output_index": self._outputs, "content_index": 0}
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        self._emit("response.output_item.added", item=item, output_index=self._outputs)
        self._emit("response.content_part.added", part=part, **place)
        for delta in re.findall(r"\s*\S+|\s+$", text):
            told = {"delta": delta, "logprobs": [], "obfuscation": new_id("", 12)[1:]}
            self._emit("response.output_text.delta", **told, **place)
        self._emit("response.output_text.done", text=text, logprobs=[], **place)
        self._emit("response.content_part.done", part={**part, "text": text}, **place)
        self._end_item({**item, "status": "completed", "content": [{**part, "text": text}]})

    def _end_item(self, item: Json) -> None:
        self._emit("response.output_item.done", item=item, output_index=self._outputs)
        self._target.items.append(item)
        self._outputs += 1

    def _emit(self, kind: str, **fields: object) -> None:
        event = {"type": kind, **fields, "sequence_number": self._sequence}
        self._sequence += 1
        self._session.emit({"type": "response.event", "delegation_id": self._delegation_id, "event": event})
