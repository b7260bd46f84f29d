"""One answer of the model while it is made.

The reader feeds a ``Response``; any thread reads it. What came is kept in lists that only grow, so each of the streams
is complete however late it is read, and in whatever order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Callable, Literal, Optional, TypeVar, Union

import attrs

from realtime_sync.conversation.accumulator import usage_of
from realtime_sync.conversation.pricing import cost
from realtime_sync.core.answer import Answer, Delta, Timings
from realtime_sync.core.commands import time_out
from realtime_sync.deadline import Deadline
from realtime_sync.errors import RealtimeSyncError, ResponseFailedError
from realtime_sync.protocol.items import (
    ConversationContentPart,
    ConversationItem,
    MessageItem,
    decode_base64,
)
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import ConversationResponse, ErrorDetails
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ErrorUpdate,
    ResponseContentPartDoneUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    ResponseOutputAudioTranscriptDoneUpdate,
    ResponseOutputItemDoneUpdate,
    ResponseOutputTextDeltaUpdate,
    ResponseOutputTextDoneUpdate,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


def _decoded(piece: str) -> bytes:
    audio = decode_base64(piece)
    if audio is None:
        logger.warning("a piece of audio (%d characters) is not base64 and cannot be heard", len(piece))
    return audio or b""


class Response:
    """An answer that is being made. Made by ``session.respond()``; a context manager.

    ``text_deltas()``, ``transcript_deltas()``, ``deltas()``, ``audio_chunks()`` and ``items()`` are independent of each
    other and each complete; ``wait()`` gives the finished ``Answer``. Leaving the ``with`` block before the end cancels
    it. All, after what has come, raise ``ResponseFailedError`` where the service failed and ``ConnectionClosedError``
    where the connection ended first.
    """

    def __init__(
        self,
        *,
        cancel: Callable[[Optional[str]], object],
        check: Callable[[], None],
        audio_format: AudioFormat,
        model: Optional[str],
    ) -> None:
        self._cancel = cancel
        self._check = check
        self._audio_format = audio_format
        self._model = model
        self._changed = threading.Condition()  # guards all below; notified at each change
        self._texts: list[str] = []
        self._transcripts: list[str] = []
        self._deltas: list[Delta] = []  # of both, as they came
        self._sources: dict[str, str] = {}  # by kind of text: which messages tell it
        self._audio: list[str] = []  # base64 as it came; decoded by whoever reads it, not by the reader thread
        self._items: list[ConversationItem] = []
        self._response: Optional[ConversationResponse] = None
        self._finished = False
        self._error: Optional[Exception] = None
        self.overheard: Optional[ErrorUpdate] = None
        """What the service said last meanwhile, about no command in particular. Set by the session."""
        self._asked = time.monotonic()
        self._times: dict[str, float] = {}

    # For whoever asked -----------------------------------------------------------------------------------------

    @property
    def id(self) -> Optional[str]:
        """The service's name for the response; None until it has told it."""
        return self._response.id if self._response else None

    @property
    def done(self) -> bool:
        """True once nothing more will come."""
        return self._finished

    @property
    def has_begun_to_come(self) -> bool:
        """True once any text, audio or item of it has come."""
        return bool(self._texts or self._transcripts or self._audio or self._items)

    def text_deltas(self, timeout: Optional[float] = None) -> Iterator[str]:
        """The answer's text in pieces, from the first on. ``timeout``: seconds to wait for each; None is for ever."""
        return self._pieces(self._texts, timeout)

    def transcript_deltas(self, timeout: Optional[float] = None) -> Iterator[str]:
        """The transcript of the answer's audio in pieces, from the first on."""
        return self._pieces(self._transcripts, timeout)

    def deltas(self, timeout: Optional[float] = None) -> Iterator[Delta]:
        """The pieces of both, in the order in which they came: for who does not know whether it will be spoken."""
        return self._pieces(self._deltas, timeout)

    def audio_chunks(self, timeout: Optional[float] = None) -> Iterator[bytes]:
        """The answer's audio in pieces, from the first on: samples in the session's output format."""
        return map(_decoded, self._pieces(self._audio, timeout))

    def items(self, timeout: Optional[float] = None) -> Iterator[ConversationItem]:
        """The answer's items, each when it is complete: messages, function calls, ..."""
        return self._pieces(self._items, timeout)

    def wait(self, timeout: Optional[float] = None) -> Answer:
        """The finished answer; ``timeout`` in seconds, None waits as long as the connection lives.

        Raises ``ResponseFailedError`` where the service failed, ``ConnectionClosedError``, ``WaitTimeoutError``. An
        incomplete or cancelled answer is returned; its ``status`` and ``reason`` say so.
        """
        self._check()
        deadline = Deadline(timeout)
        with self._changed:
            if not deadline.wait(lambda s: self._changed.wait_for(lambda: self._finished, s)):
                raise time_out(f"the answer was not finished within {timeout:.3g} s; it goes on", self.overheard)
        self._check_success()
        return self.answer()

    def answer(self) -> Answer:
        """What has come so far, as a value."""
        self._check()
        with self._changed:
            response = self._response or ConversationResponse()
            texts, transcripts, audio = "".join(self._texts), "".join(self._transcripts), list(self._audio)
            items = list(response.output or self._items)
            times = dict(self._times)
        details = response.status_details
        return Answer(
            id=response.id,
            status=response.status,
            reason=details.reason if details else None,
            text=texts,
            transcript=transcripts,
            audio=b"".join(map(_decoded, audio)),
            audio_format=response.output_audio_format or self._audio_format,
            items=items,
            usage=response.usage,
            cost=cost(response.usage, self._model) if response.usage and self._model else None,
            timings=Timings(**times),
            response=response,
        )

    def cancel(self) -> None:
        """Have the service stop; what has come stays. Does nothing once it is done."""
        if not self._finished:
            self._cancel(self.id)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if not self._finished:
            try:
                self.cancel()
            except RealtimeSyncError:
                pass  # the connection has ended, and the response with it

    def __repr__(self) -> str:
        state = "in progress"
        if self._finished:
            state = str(self._error or (self._response.status if self._response else None))
        heard = sum(map(len, self._texts)) + sum(map(len, self._transcripts))
        return f"<Response {self.id or '?'} {state}, {heard} characters, {len(self._audio)} pieces of audio>"

    def _pieces(self, pieces: list[T], timeout: Union[float, Deadline, None]) -> Iterator[T]:
        self._check()
        position = 0
        while True:
            with self._changed:
                deadline = timeout if isinstance(timeout, Deadline) else Deadline(timeout)
                if not deadline.wait(
                    lambda s, n=position: self._changed.wait_for(lambda: len(pieces) > n or self._finished, s)  # type: ignore[misc]
                ):
                    raise time_out(f"no piece of the answer came within {timeout} s; it goes on", self.overheard)
                fresh = pieces[position:]
            if not fresh:
                self._check_success()
                return
            position += len(fresh)
            yield from fresh

    def _check_success(self) -> None:
        """Raise what ended it, if that was not the service by saying that it is done."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._response is not None and self._response.status == "failed":
            details = self._response.status_details
            error = (details.error if details else None) or ErrorDetails()
            told = error.message or error.code or error.type or "no reason given"
            raise ResponseFailedError(f"the service could not answer: {told}", answer=self.answer(), code=error.code)

    # For whoever asks, and for the reader -----------------------------------------------------------------------

    def deltas_within(self, deadline: Deadline) -> Iterator[Delta]:
        """As ``deltas``, with one deadline for all of them."""
        return self._pieces(self._deltas, deadline)

    def wait_until_begun(self, deadline: Deadline) -> None:
        """Return once the service has begun to answer; raises ``ServerError`` where it refused to, and as ``wait``."""
        with self._changed:
            begun = deadline.wait(
                lambda s: self._changed.wait_for(lambda: self._response is not None or self._finished, s)
            )
        if self._response is not None:
            return  # and if it has failed since, that is for whoever reads it
        if self._error is not None:
            raise self._error.with_traceback(None)
        if not begun:
            told = "the service did not begin to answer in time; the answer is cancelled if it does"
            raise time_out(told, self.overheard)

    def feed(self, update: ConversationUpdate) -> None:
        """Take in an update that belongs to this response."""
        with self._changed:
            if isinstance(update, ResponseOutputAudioDeltaUpdate):
                self._audio.append(update.delta)
                self._note("first_audio")
            elif isinstance(update, ResponseOutputTextDeltaUpdate):
                self._take("text", update.delta, "delta")
            elif isinstance(update, ResponseOutputAudioTranscriptDeltaUpdate):
                self._take("transcript", update.delta, "delta")
            elif isinstance(update, ResponseOutputTextDoneUpdate):
                self._take("text", update.text, "done")
            elif isinstance(update, ResponseOutputAudioTranscriptDoneUpdate):
                self._take("transcript", update.transcript, "done")
            elif isinstance(update, ResponseContentPartDoneUpdate):
                self._take_part(update.part, "part")
            elif isinstance(update, ResponseOutputItemDoneUpdate):
                self._items.append(update.item)
                self._take_items([update.item], "item")
            elif isinstance(update, ResponseCreatedUpdate):
                self._response = update.response
                self._note("created")
            elif isinstance(update, ResponseDoneUpdate):
                self._response = attrs.evolve(update.response, usage=usage_of(update))
                self._take_items(update.response.output, "response")
                self._note("done")
                self._finished = True
            else:
                return
            self._changed.notify_all()

    def fail(self, error: Exception) -> None:
        """Nothing more will come, because of ``error``."""
        with self._changed:
            if not self._finished:
                self._error = error
                self._finished = True
                self._changed.notify_all()

    def _take(self, kind: Literal["text", "transcript"], text: Optional[str], source: str) -> None:
        """A piece; a whole text is one where the server sends none (Hugging Face's spoke so until 2026-08)."""
        if source == "delta":
            self._sources[kind] = source
        elif not text or self._sources.setdefault(kind, source) != source:
            return
        text = text or ""
        (self._texts if kind == "text" else self._transcripts).append(text)
        self._deltas.append(Delta(kind, text))
        self._note("first_text")

    def _take_part(self, part: ConversationContentPart, source: str) -> None:
        self._take("text", part.text, source)
        self._take("transcript", part.transcript, source)

    def _take_items(self, items: Sequence[ConversationItem], source: str) -> None:
        """Whole items: they tell what was said only where nothing else did."""
        if set(self._sources.values()) <= {source}:
            for item in items:
                for part in item.content if isinstance(item, MessageItem) else ():
                    self._take_part(part, source)

    def _note(self, moment: str) -> None:
        if moment not in self._times:
            self._times[moment] = time.monotonic() - self._asked
