"""A response: asked for, said delta by delta on a thread of its own, finished or cut short."""

from __future__ import annotations

import functools
import itertools
import logging
import re
import reprlib
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Sequence, Union

import attrs

from realtime_sync.server.audio_formats import BYTES_PER_MS, RATES, from_pcm
from realtime_sync.server.clock import pause
from realtime_sync.server.items import Item
from realtime_sync.server.output_items import OutputCall, OutputFunctionCall, OutputItem, OutputMCPCall, OutputMessage
from realtime_sync.server.responder import FunctionCall, MCPCall, Piece, Reply, Responder, Turn
from realtime_sync.server.speech.protocols import Recognition, Spoken
from realtime_sync.server.transcribing import recognition_of
from realtime_sync.server.usage import input_tokens, said_tokens, text_tokens, usage
from realtime_sync.server.voice import convert
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

_log = logging.getLogger("realtime_sync.server")
# The recogniser that comes along gives up sooner; this is for one that never does.
_RECOGNITION_TIMEOUT = 300.0
_DELTA_MS = 100  # of audio in a delta; 4,800 bytes of PCM


class _Stopped(Exception):
    """The response has been finished by somebody else: say nothing more."""


class _WrongAnswer(Exception):
    """The responder has returned what cannot be said. Its text is for the client."""


class ResponseRun:
    """One response. All state is guarded by the session's lock, under which its events are queued too."""

    def __init__(self, session: ServerSession, params: Json, items: Sequence[Item], in_conversation: bool) -> None:
        self._session = session
        self._params = params
        self._items = items
        self.in_conversation = in_conversation
        options = {**session.options, **params}
        self._instructions = str(options["instructions"])
        self._tools: list[Json] = options["tools"]
        self._mcp_labels = {tool["server_label"] for tool in self._tools if tool.get("type") == "mcp"}
        self._tool_choice = options["tool_choice"]
        output = {**session.options["audio"]["output"], **params.get("audio", {}).get("output", {})}
        self._voice = output["voice"] if isinstance(output["voice"], str) else str(output["voice"].get("id"))
        self._speed = float(output.get("speed") or 1.0)
        self.audio_type = str(output["format"]["type"])
        self._limit = float(options["max_output_tokens"])
        self._said_text = self._said_audio = self._audio_bytes = 0
        self._open: Optional[OutputItem] = None
        self._recognitions: dict[str, Future[Recognition]] = {}
        self._wake = threading.Event()
        self.cancelled = threading.Event()  # set once it is over, in whatever way
        self.id = new_id("resp")
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
        """True if it is said aloud, with a transcript; False if it is text."""
        return "audio" in self.wire["output_modalities"]

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio that have been said."""
        return self._audio_bytes // BYTES_PER_MS[self.audio_type]

    # Beginning and end, under the session's lock ---------------------------------------------------------------

    def start(self, responder: Responder) -> None:
        """Tell that it has begun and let a thread go on with it."""
        self._session.emit({"type": "response.created", "response": {**self.wire, "output": []}})
        turn = self._turn()
        if self._session.settings.speech.understands:
            heard = (item for item in self._items if item.audio and item.wire.get("role") == "user")
            self._recognitions = {item.id: recognition_of(self._session, item) for item in heard}
        self._session.start_thread(lambda: self._work(responder, turn), f"response-{self.id}")

    def finish(self, status: str, details: Optional[Json] = None) -> None:
        """Close what is open and say that it is done. Does nothing if it is done already."""
        if self.cancelled.is_set():
            return
        self.abandon()
        if self._open is not None:
            self._open.close("completed" if status == "completed" else "incomplete")
        read = input_tokens(self._instructions, self._tools, self._items)
        cached, self._session.read_tokens = self._session.read_tokens, read[0]
        told = usage(read, (self._said_text, self._said_audio), cached)
        self.wire.update(status=status, status_details=details, usage=told)
        self._session.response_is_done(self)

    def abandon(self) -> None:
        """It is over, as the session may be: say nothing more."""
        self.cancelled.set()
        self._wake.set()

    def cancel(self, reason: str) -> None:
        """Cut it short: ``client_cancelled`` or ``turn_detected``."""
        self.finish("cancelled", {"type": "cancelled", "reason": reason})

    def _turn(self) -> Turn:
        sounding = [item for item in self._items if item.audio]
        return Turn(
            items=[dict(item.wire) for item in self._items],
            audio_ms={item.id: sum(map(item.audio_ms, item.audio)) for item in sounding},
            audio={item.id: b"".join(item.audio.values()) for item in sounding},
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
            answer = _pieces(responder(self._understood(turn)))
            # Strings that follow one another are one message: the voice makes sentences of them.
            for is_text, pieces in itertools.groupby(answer, lambda piece: isinstance(piece, str)):
                if is_text:
                    self._say_text(map(str, pieces), None, 0.0, by_words=False)
                    continue
                for piece in pieces:
                    if not isinstance(piece, (Reply, FunctionCall, MCPCall)):
                        raise _wrong(f"{reprlib.repr(piece)} in a list")
                    self._say_piece(piece)
            with self._session.lock:
                self.finish("completed")
        except _Stopped:
            pass
        except Exception as error:  # user code: the service would say that it failed, and so do we
            _log.exception("the responder failed")
            # The author of the responder may see what the client is told, and not this server's log.
            told = f"the responder failed: {type(error).__name__}: {error}".removesuffix(": ")
            message = str(error) if isinstance(error, _WrongAnswer) else told
            what = {"type": "server_error", "code": "server_error", "message": message}
            with self._session.lock:
                self.finish("failed", {"type": "failed", "error": what})

    def _understood(self, turn: Turn) -> Turn:
        """The turn with what was heard: by the server of its user, and of the server's answers before a truncation."""
        heard = {item.id: item.heard for item in self._items if item.heard}
        for item_id, recognition in self._recognitions.items():
            try:
                recognised = recognition.result(_RECOGNITION_TIMEOUT)
                heard[item_id] = recognised.text if recognised.understood else ""
            except Exception:  # of the recogniser; the client is told if it asked for transcripts
                _log.warning("speech could not be recognised", exc_info=True)
        with self._session.lock:
            self._check()
        return attrs.evolve(turn, heard=heard)

    def _say_text(self, texts: Iterable[str], audio: Optional[bytes], delay: float, *, by_words: bool) -> None:
        """Say texts as one message. ``audio``: what says them (24 kHz PCM16); None to have the voice speak."""
        for spoken in self._spoken(texts, audio):
            deltas = spoken.deltas
            if by_words and len(deltas) == 1:
                deltas = re.findall(r"\s*\S+|\s+$", deltas[0])
            message = self._message()
            with self._session.lock:
                message.item.spoken.append(("".join(deltas), len(spoken.audio)))
            size = _DELTA_MS * BYTES_PER_MS[self.audio_type]
            chunks = (spoken.audio[start : start + size] for start in range(0, len(spoken.audio), size))
            self._say(message, deltas, chunks, delay)

    def _spoken(self, texts: Iterable[str], audio: Optional[bytes]) -> Iterator[Spoken]:
        """The texts with the audio that says them, in the output format; without audio if the response is text."""
        if not self.speaks:
            yield from (Spoken([text], b"") for text in texts)
        elif audio is not None:
            yield Spoken(["".join(texts)], convert(audio, self.audio_type))
        else:
            synthesizer, rate = self._session.settings.speech.synthesizer, RATES[self.audio_type]
            for spoken in synthesizer.speak(texts, voice=self._voice, speed=self._speed, rate=rate):
                yield attrs.evolve(spoken, audio=from_pcm(spoken.audio, self.audio_type))

    def _say_piece(self, piece: Union[Reply, FunctionCall, MCPCall]) -> None:
        self._end_item()
        if isinstance(piece, (FunctionCall, MCPCall)):
            self._call(piece, 0.0)
            return
        self._pause(piece.delay)
        if piece.text or piece.audio is not None:
            self._say_text([piece.text], piece.audio, piece.delta_delay, by_words=True)
            self._end_item()
        calls: list[FunctionCall | MCPCall] = [*piece.function_calls, *piece.mcp_calls]
        for call in calls:
            self._call(call, piece.delta_delay)

    def _message(self) -> OutputMessage:
        """The message that is open, or a new one."""
        with self._session.lock:
            self._check()
            if isinstance(self._open, OutputMessage):
                return self._open
            message = OutputMessage(self._session, self)
            self._open = message
            message.open()
            return message

    def _say(self, message: OutputMessage, words: Sequence[str], chunks: Iterator[bytes], delay: float) -> None:
        """Say the words as deltas; aloud, with the chunks of audio between them."""
        for index, word in enumerate(words, 1):
            self._step(delay)
            self._delta(functools.partial(message.words_delta, word), text_tokens(word), 0)
            # The transcript runs ahead of the audio that says it, as the live service's does.
            if self.speaks and index % 3 == 0:
                self._speak(message, chunks, delay, 8)
        if self.speaks:
            self._speak(message, chunks, delay, None)

    def _speak(self, message: OutputMessage, chunks: Iterator[bytes], delay: float, most: Optional[int]) -> None:
        """Say the next so many chunks of audio; all that are left if ``most`` is None."""
        for chunk in itertools.islice(chunks, most):
            self._step(delay)
            size, self._audio_bytes = self._audio_bytes, self._audio_bytes + len(chunk)
            cost = said_tokens(self._audio_bytes, self.audio_type) - said_tokens(size, self.audio_type)
            self._delta(functools.partial(message.audio_delta, chunk), 0, cost)
            pace = self._session.settings.audio_pace
            if pace:
                self._pause(len(chunk) / BYTES_PER_MS[self.audio_type] / 1000 / pace)

    def _call(self, call: FunctionCall | MCPCall, delay: float) -> None:
        if isinstance(call, MCPCall) and call.server_label not in self._mcp_labels:
            told = f"a tool of the MCP server {call.server_label!r}, which the session does not have"
            raise _WrongAnswer(f"the responder calls {told}")
        with self._session.lock:
            self._check()
            at = self._session, self
            item: OutputCall = OutputMCPCall(*at, call) if isinstance(call, MCPCall) else OutputFunctionCall(*at, call)
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
        if self.cancelled.is_set():
            raise _Stopped

    def _step(self, delay: float) -> None:
        """Between two deltas: let the client catch up, and wait what the reply wants."""
        self._session.wait_for_room()
        self._pause(delay)

    def _pause(self, seconds: float) -> None:
        pause(self._session.clock, seconds, self._wake, self.cancelled.is_set)
        with self._session.lock:
            self._check()


def _pieces(answer: Piece | Iterable[Piece]) -> Iterable[Piece]:
    """A whole string is said word by word; the strings of an iterable are deltas as they are."""
    if isinstance(answer, (str, Reply, FunctionCall, MCPCall)):
        return (Reply(answer) if isinstance(answer, str) else answer,)
    if isinstance(answer, (Mapping, bytes)) or not isinstance(answer, Iterable):
        raise _wrong(reprlib.repr(answer))
    return answer


def _wrong(returned: str) -> _WrongAnswer:
    wanted = "it must return a text, a Reply, a FunctionCall, an MCPCall, or a list of them"
    return _WrongAnswer(f"the responder returned {returned}; {wanted}")
