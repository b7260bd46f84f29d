"""A response: asked for, said delta by delta on a thread of its own, finished or cut short."""

from __future__ import annotations

import base64
import functools
import logging
import re
import threading
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, Optional, Sequence

from realtime_sync.server.checks import Json
from realtime_sync.server.ids import new_id
from realtime_sync.server.items import BYTES_PER_MS, Item
from realtime_sync.server.responder import FunctionCall, Piece, Reply, Responder, Turn
from realtime_sync.server.usage import input_tokens, said_tokens, text_tokens, usage
from realtime_sync.server.voice import convert, speak

if TYPE_CHECKING:
    from realtime_sync.server.session import LiveSession

_log = logging.getLogger("realtime_sync.server")
_DELTA_MS = 100  # of audio in a delta; 4,800 bytes of PCM


class _Stopped(Exception):
    """The response has been finished by somebody else: say nothing more."""


class ResponseRun:
    """One response. All state is guarded by the session's lock, under which its events are queued too."""

    def __init__(
        self, session: LiveSession, params: Json, items: Sequence[Item], *, in_conversation: bool = True
    ) -> None:
        self._session = session
        self._params = params
        self._items = items
        self.in_conversation = in_conversation
        options = {**session.options, **{key: value for key, value in params.items() if value is not None}}
        self._instructions = str(options["instructions"])
        self._tools: list[Json] = options["tools"]
        self._tool_choice = options["tool_choice"]
        output = {**session.options["audio"]["output"], **(params.get("audio") or {}).get("output", {})}
        self._voice = output["voice"]
        self._audio_type = str(output["format"]["type"])
        self._limit = float(options["max_output_tokens"])
        self._said_text = 0
        self._said_audio = 0
        self._audio_bytes = 0
        self._open: Optional[_OutputItem] = None
        self._wake = threading.Event()
        self.cancelled = threading.Event()
        self.id = new_id("resp")
        self.finished = False
        self.wire: Json = {
            "object": "realtime.response",
            "id": self.id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": session.conversation.id if in_conversation else None,
            "output_modalities": list(options["output_modalities"]),
            "max_output_tokens": options["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": None,
            "metadata": params.get("metadata"),
        }

    @property
    def speaks(self) -> bool:
        """True where it is said aloud, with a transcript; False where it is text."""
        return "audio" in self.wire["output_modalities"]

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio that have been said."""
        return self._audio_bytes // BYTES_PER_MS[self._audio_type]

    # Beginning and end, under the session's lock ---------------------------------------------------------------

    def start(self, responder: Responder) -> None:
        """Tell that it has begun and let a thread go on with it."""
        self._session.emit({"type": "response.created", "response": dict(self.wire)})
        turn = self._turn()
        self._session.start_thread(lambda: self._work(responder, turn), f"response-{self.id}")

    def finish(self, status: str, details: Optional[Json] = None) -> None:
        """Close what is open and tell that it is done. Does nothing where it is done already."""
        if self.finished:
            return
        self.finished = True
        self._wake.set()
        self.cancelled.set()
        if self._open is not None:
            self._open.close("completed" if status == "completed" else "incomplete")
        self.wire.update(status=status, status_details=details, usage=self._usage())
        self._session.response_is_done(self)

    def abandon(self) -> None:
        """The session has ended: say nothing more."""
        self.finished = True
        self.cancelled.set()
        self._wake.set()

    def cancel(self, reason: str) -> None:
        """Cut it short: ``client_cancelled`` or ``turn_detected``."""
        self.finish("cancelled", {"type": "cancelled", "reason": reason})

    def _usage(self) -> Json:
        read = input_tokens(self._instructions, self._tools, self._items)
        cached, self._session.read_tokens = self._session.read_tokens, read[0]
        return usage(read, (self._said_text, self._said_audio), cached)

    def _turn(self) -> Turn:
        return Turn(
            items=[dict(item.wire) for item in self._items],
            audio_ms={item.id: sum(map(item.audio_ms, item.audio)) for item in self._items if item.audio},
            audio={item.id: b"".join(item.audio.values()) for item in self._items if item.audio},
            instructions=self._instructions,
            tools=self._tools,
            tool_choice=self._tool_choice,
            modalities=self.wire["output_modalities"],
            params=self._params,
            session=self._session.options,
            cancelled=self.cancelled,
        )

    # On its thread ------------------------------------------------------------------------------------------------

    def _work(self, responder: Responder, turn: Turn) -> None:
        try:
            for piece in _pieces(responder(turn)):
                self._say_piece(piece)
            self._under_lock(lambda: self.finish("completed"))
        except _Stopped:
            pass
        except Exception:  # user code: the service would say that it failed, and so do we
            _log.exception("the responder failed")
            details = {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}
            self._under_lock(lambda: self.finish("failed", details))

    def _under_lock(self, act: Callable[[], None]) -> None:
        with self._session.lock:
            act()

    def _say_piece(self, piece: Piece) -> None:
        if isinstance(piece, str):
            self._say(self._message(), [piece], self._chunks(piece, None), 0.0)
            return
        self._end_item()
        if isinstance(piece, FunctionCall):
            self._call(piece, 0.0)
            return
        self._pause(piece.delay)
        if piece.text or piece.audio is not None:
            words = re.findall(r"\s*\S+|\s+$", piece.text)
            self._say(self._message(), words, self._chunks(piece.text, piece.audio), piece.delta_delay)
            self._end_item()
        for call in piece.function_calls:
            self._call(call, piece.delta_delay)

    def _message(self) -> _Message:
        """The message that is open, or a new one."""
        with self._session.lock:
            self._check()
            if isinstance(self._open, _Message):
                return self._open
            message = _Message(self._session, self)
            self._open = message
            message.open()
            return message

    def _say(self, message: _Message, words: Sequence[str], chunks: Iterator[bytes], delay: float) -> None:
        """Say the words as deltas; aloud, with the chunks of audio between them."""
        say = message.transcript_delta if self.speaks else message.text_delta
        for index, word in enumerate(words, 1):
            self._step(delay)
            self._delta(functools.partial(say, word), text_tokens(word), 0)
            # The transcript runs ahead of the audio that says it, as the live service's does.
            if self.speaks and index % 3 == 0:
                self._speak(message, chunks, delay, 8)
        if self.speaks:
            self._speak(message, chunks, delay, None)

    def _speak(self, message: _Message, chunks: Iterator[bytes], delay: float, most: Optional[int]) -> None:
        """Say the next so many chunks of audio; all that are left where ``most`` is None."""
        while most is None or most > 0:
            chunk = next(chunks, None)
            if chunk is None:
                return
            self._step(delay)
            size, self._audio_bytes = self._audio_bytes, self._audio_bytes + len(chunk)
            cost = said_tokens(self._audio_bytes, self._audio_type) - said_tokens(size, self._audio_type)
            self._delta(functools.partial(message.audio_delta, chunk), 0, cost)
            pace = self._session.settings.audio_pace
            if pace:
                self._pause(len(chunk) / BYTES_PER_MS[self._audio_type] / 1000 / pace)
            most = None if most is None else most - 1

    def _chunks(self, text: str, audio: Optional[bytes]) -> Iterator[bytes]:
        """The audio of a text, in pieces of a delta each; none where the response is text."""
        if not self.speaks:
            return iter(())
        voice = self._voice if isinstance(self._voice, str) else str(self._voice.get("id"))
        data = convert(speak(text, voice) if audio is None else audio, self._audio_type)
        size = _DELTA_MS * BYTES_PER_MS[self._audio_type]
        return (data[start : start + size] for start in range(0, len(data), size))

    def _call(self, call: FunctionCall, delay: float) -> None:
        with self._session.lock:
            self._check()
            item = _CallItem(self._session, self, call)
            self._open = item
            item.open()
        for part in re.findall(r"\s*[^\s]{1,12}|\s+", call.arguments_text):
            self._step(delay)
            self._delta(functools.partial(item.arguments_delta, part), text_tokens(part), 0)
        self._end_item()

    def _end_item(self) -> None:
        with self._session.lock:
            self._check()
            if self._open is not None:
                self._open.close("completed")
                self._open = None

    def _delta(self, emit: Callable[[], None], text_cost: int, audio_cost: int) -> None:
        """Emit one delta, unless the response is over or this would exceed ``max_output_tokens``."""
        with self._session.lock:
            self._check()
            if self._said_text + self._said_audio + text_cost + audio_cost > self._limit:
                self.finish("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})
                raise _Stopped
            self._said_text += text_cost
            self._said_audio += audio_cost
            emit()

    def _check(self) -> None:
        if self.finished:
            raise _Stopped

    def _step(self, delay: float) -> None:
        """Between two deltas: let the client catch up, and wait what the reply wants."""
        self._session.wait_for_room()
        self._pause(delay)

    def _pause(self, seconds: float) -> None:
        clock = self._session.clock
        until = clock.monotonic() + seconds
        while seconds > 0 and not self.finished:
            clock.wait(self._wake, seconds)
            self._wake.clear()
            seconds = until - clock.monotonic()
        with self._session.lock:
            self._check()


class _OutputItem:
    """An item that a response is saying. Every method is called under the session's lock."""

    def __init__(self, session: LiveSession, run: ResponseRun, wire: Json) -> None:
        self._session = session
        self._run = run
        self._index = len(run.wire["output"])
        self.item = Item({"id": new_id("item"), **wire}, audio_type=run._audio_type)
        self._previous: Optional[str] = None

    def open(self) -> None:
        self.emit("response.output_item.added", {"item": self._wire()}, named=False)
        if self._run.in_conversation:
            self._previous = self._session.conversation.add(self.item)
            self._session.emit_item("conversation.item.added", self._previous, self._wire())

    def close(self, status: str) -> None:
        self.item.wire["status"] = status
        self._finish_content()
        if self._run.in_conversation:
            self._session.emit_item("conversation.item.done", self._previous, self._wire())
        self.emit("response.output_item.done", {"item": self._wire()}, named=False)
        self._run.wire["output"].append(self._wire())

    def emit(self, wire_type: str, fields: Json, *, named: bool = True) -> None:
        item = {"item_id": self.item.id} if named else {}
        self._session.emit(
            {"type": wire_type, "response_id": self._run.id, **item, "output_index": self._index, **fields}
        )

    def _wire(self) -> Json:
        wire = dict(self.item.wire)
        if "content" in wire:
            wire["content"] = [dict(part) for part in wire["content"]]
        return wire

    def _finish_content(self) -> None:
        raise NotImplementedError


class _Message(_OutputItem):
    """An assistant's message of one part: text, or audio with its transcript."""

    def __init__(self, session: LiveSession, run: ResponseRun) -> None:
        super().__init__(session, run, {"type": "message", "status": "in_progress", "role": "assistant", "content": []})
        self._said: list[str] = []
        self._audio: list[bytes] = []
        self._field = "transcript" if run.speaks else "text"

    def open(self) -> None:
        super().open()
        self._part_event("response.content_part.added", "")

    def text_delta(self, delta: str) -> None:
        self._said.append(delta)
        self.emit("response.output_text.delta", {"content_index": 0, "delta": delta, "obfuscation": new_id("", 12)[1:]})

    def transcript_delta(self, delta: str) -> None:
        self._said.append(delta)
        fields = {"content_index": 0, "delta": delta, "obfuscation": new_id("", 12)[1:]}
        self.emit("response.output_audio_transcript.delta", fields)

    def audio_delta(self, audio: bytes) -> None:
        self._audio.append(audio)
        self._session.audio_has_been_said = self._session.audio_has_been_said or self._run.in_conversation
        fields = {"content_index": 0, "delta": base64.b64encode(audio).decode()}
        self.emit("response.output_audio.delta", fields)

    def _finish_content(self) -> None:
        said = "".join(self._said)
        if self._run.speaks:
            self.emit("response.output_audio.done", {"content_index": 0})
            self.emit("response.output_audio_transcript.done", {"content_index": 0, "transcript": said})
            self.item.audio[0] = b"".join(self._audio)
        else:
            self.emit("response.output_text.done", {"content_index": 0, "text": said})
        self._part_event("response.content_part.done", said)
        kind = "output_audio" if self._run.speaks else "output_text"
        self.item.wire["content"] = [{"type": kind, self._field: said}]

    def _part_event(self, wire_type: str, said: str) -> None:
        # The part is "audio" or "text" here, while the item says "output_audio" or "output_text" (live, 2026).
        part = {"type": "audio" if self._run.speaks else "text", self._field: said}
        fields: Json = {"content_index": 0, "part": part}
        if self._session.flavour.doubles_parts:
            fields["content"] = part
        self.emit(wire_type, fields)


class _CallItem(_OutputItem):
    """A function call."""

    def __init__(self, session: LiveSession, run: ResponseRun, call: FunctionCall) -> None:
        self._call_id = call.call_id or new_id("call", 16)
        fields = {"name": call.name, "call_id": self._call_id, "arguments": ""}
        super().__init__(session, run, {"type": "function_call", "status": "in_progress", **fields})

    def arguments_delta(self, delta: str) -> None:
        self.item.wire["arguments"] += delta
        fields = {"call_id": self._call_id, "delta": delta, "obfuscation": new_id("", 12)[1:]}
        self.emit("response.function_call_arguments.delta", fields)

    def _finish_content(self) -> None:
        wire = self.item.wire
        fields = {"call_id": self._call_id, "name": wire["name"], "arguments": wire["arguments"]}
        self.emit("response.function_call_arguments.done", fields)


def _pieces(answer: Piece | Iterable[Piece]) -> Iterable[Piece]:
    """A whole string is said word by word; the strings of an iterable are deltas as they are."""
    if isinstance(answer, (str, Reply, FunctionCall)):
        return (Reply(answer) if isinstance(answer, str) else answer,)
    return answer
