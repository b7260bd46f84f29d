"""One answer of the model while it is made.

The reader thread feeds a ``Response``; any thread reads it, several at once. The pieces are kept in one list of events
that only grows, and each stream is that list, filtered, from its beginning: so each is complete however late it is
read. A ``ResponseDraft`` adds the pieces up to the whole answer, as in the conversation.

States: asked (``_draft.told`` is empty), begun (``response.created`` has come), finished (``response.done``, or
``_error``, or there is no room for more). A finished one accepts no update.

Locks: ``_lock`` guards all that changes; nothing is taken under it. ``_changed`` is told of each piece and of the end,
``_turned`` of the beginning and of the end alone: a thread that waits for the whole is not woken by each piece. Audio
is kept as it came, in base64, and decoded on the threads that read it, without the lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable, Optional, TypeVar, Union

from realtime_sync.advice import warn_caller
from realtime_sync.boundary import public_call
from realtime_sync.conversation.drafts import ResponseDraft
from realtime_sync.conversation.pricing import PRICES
from realtime_sync.core.answer import Answer, Delta, Timings
from realtime_sync.core.commands import time_out
from realtime_sync.core.limits import QueueLimits
from realtime_sync.deadline import Deadline
from realtime_sync.errors import RealtimeSyncError, ResponseFailedError, told_again
from realtime_sync.interrupts import Change
from realtime_sync.protocol.items import ConversationItem, decode_base64
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import ConversationResponse, ErrorDetails
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ErrorUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    ResponseOutputItemDoneUpdate,
    ResponseOutputTextDeltaUpdate,
)
from realtime_sync.secret import reportable
from realtime_sync.threads import aside, is_nested

T = TypeVar("T")

Audio = str
"""A piece of audio as it came: base64."""

Event = Union[Delta, Audio, ConversationItem]


def _audio_of(update: ResponseOutputAudioDeltaUpdate) -> Audio:
    return update.delta


# The event that each update adds to an answer. The draft finds the texts that come only as a whole.
_EVENTS: dict[type[ConversationUpdate], Callable[[Any], Event]] = {
    ResponseOutputAudioDeltaUpdate: _audio_of,
    ResponseOutputTextDeltaUpdate: lambda update: Delta("text", update.delta),
    ResponseOutputAudioTranscriptDeltaUpdate: lambda update: Delta("transcript", update.delta),
    ResponseOutputItemDoneUpdate: lambda update: update.item,
}
_MOMENTS: dict[type[Any], str] = {
    ResponseCreatedUpdate: "created",
    ResponseDoneUpdate: "done",
    Delta: "first_text",
    Audio: "first_audio",
}


def _is_delta(event: Event, kind: str) -> bool:
    return isinstance(event, Delta) and event.kind == kind


def decoded(piece: Audio) -> bytes:
    """The samples of a piece of audio."""
    return decode_base64(piece) or b""


@reportable
class Pieces(Iterator[T]):
    """What ``text_deltas()`` and its like return: an iterator that tells what it is."""

    def __init__(self, name: str, pieces: Iterator[T], response: Response, is_one: Callable[[Event], bool]) -> None:
        self._name = name
        self._pieces = pieces
        self._response = response
        self._is_one = is_one  # of the response's events, is it one of these pieces?
        self._taken = 0

    def __next__(self) -> T:
        piece = next(self._pieces)
        self._taken += 1
        return piece

    def __repr__(self) -> str:
        came = sum(map(self._is_one, list(self._response._events)))
        state = "no more will come" if self._response.done else "in progress"
        of = self._response.id or "that has not begun"
        return f"<{self._name} of response {of}: {self._taken} taken, {came - self._taken} waiting, {state}>"


@reportable
class Response:
    """An answer that is being made. Made by ``session.respond()``; a context manager.

    ``text_deltas()``, ``transcript_deltas()``, ``deltas()``, ``audio_chunks()`` and ``items()`` are independent of each
    other and each complete; ``wait()`` returns the finished ``Answer``. Leaving the ``with`` block before the end
    cancels the answer. After the pieces that came, all of them raise ``ResponseFailedError`` if the service failed or
    said more than ``QueueLimits.answer``, and ``ConnectionClosedError`` if the connection ended first; and
    ``WaitTimeoutError`` if no piece comes in time.
    """

    def __init__(
        self,
        *,
        cancel: Callable[[Optional[str]], object],
        check: Callable[[], None],
        audio_format: AudioFormat,
        model: Optional[str],
        most_bytes: int = QueueLimits().answer,
    ) -> None:
        self._cancel = cancel
        self._check = check
        self._audio_format = audio_format
        self._model = model
        self._room = most_bytes  # bytes of messages that may still come
        self._lock = threading.Lock()
        self._changed = Change()
        self._turned = Change()
        self._events: list[Event] = []
        self._draft = ResponseDraft(ConversationResponse())
        self._finished = False
        self._error: Optional[Exception] = None
        # The last error of the service since the request that named no command; set by the session.
        self._overheard: Optional[ErrorUpdate] = None
        self._is_heard = False  # somebody has asked for the words of speech
        self._asked = time.monotonic()
        self._times: dict[str, float] = {}

    # For the asker ------------------------------------------------------------------------------------------------

    @property
    def id(self) -> Optional[str]:
        """The service's name for the response; None until it has begun."""
        return self._draft.told.id

    @property
    def done(self) -> bool:
        """True once the answer is complete, or can no longer be."""
        return self._finished

    @property
    def has_begun_to_come(self) -> bool:
        """True once any text, audio or item of it has come."""
        return bool(self._events)

    def text_deltas(self, timeout: Optional[float] = None) -> Iterator[str]:
        """Iterate over the pieces of the text that the model writes, from the first on.

        An answer that is spoken has none: its words are ``transcript_deltas()``, and ``deltas()`` gives either. At its
        end a warning says so, unless one of the two was asked for.

        Args:
            timeout: Seconds to wait for each piece; None waits as long as the connection lives, 0 does not wait.

        Returns:
            An iterator of its own.
        """
        return Pieces("text_deltas", self._written(timeout), self, lambda event: _is_delta(event, "text"))

    def _written(self, timeout: Optional[float]) -> Iterator[str]:
        spoken = written = False
        for delta in self._pieces(Delta, timeout):
            if delta.kind == "text":
                written = True
                yield delta.text
            else:
                spoken = True
        if spoken and not written and not self._is_heard:
            warn_caller(
                "text_deltas() gave nothing, because the model spoke: transcript_deltas() gives the words of speech, "
                'deltas() those of either. For a written answer set content_modalities=["text"]'
            )

    def transcript_deltas(self, timeout: Optional[float] = None) -> Iterator[str]:
        """Iterate over the pieces of the transcript of the answer's audio; as ``text_deltas``."""
        self._is_heard = True
        texts = (delta.text for delta in self._pieces(Delta, timeout) if delta.kind == "transcript")
        return Pieces("transcript_deltas", texts, self, lambda event: _is_delta(event, "transcript"))

    def deltas(self, timeout: Optional[float] = None) -> Iterator[Delta]:
        """Iterate over the pieces of text and transcript, in the order in which they came; as ``text_deltas``."""
        self._is_heard = True
        return Pieces("deltas", self._pieces(Delta, timeout), self, lambda event: isinstance(event, Delta))

    def audio_chunks(self, timeout: Optional[float] = None) -> Iterator[bytes]:
        """Iterate over the pieces of the answer's audio: samples in the session's output format; as ``text_deltas``."""
        chunks = map(decoded, self._pieces(Audio, timeout))
        return Pieces("audio_chunks", chunks, self, lambda event: isinstance(event, Audio))

    def items(self, timeout: Optional[float] = None) -> Iterator[ConversationItem]:
        """Iterate over the answer's items, each when it is complete: messages, function calls; as ``text_deltas``."""
        items = self._pieces(ConversationItem, timeout)
        return Pieces("items", items, self, lambda event: isinstance(event, ConversationItem))

    @public_call
    def wait(self, timeout: Optional[float] = None) -> Answer:
        """Wait until the answer is finished.

        Args:
            timeout: Seconds to wait; None waits as long as the connection lives, 0 does not wait.

        Returns:
            The answer. One that is incomplete or cancelled says so in its ``status`` and ``reason``.

        Raises:
            ResponseFailedError: The service could not answer.
            ConnectionClosedError: The connection ended first.
            WaitTimeoutError: Time is up; the answer goes on.
        """
        self._check()
        if not self._turned.wait_for(lambda: self._finished, Deadline(timeout)):
            raise time_out(f"the answer was not finished within {timeout:.3g} s; it goes on", self._overheard)
        self._check_success()
        return self.answer()

    def answer(self) -> Answer:
        """The answer as far as it has come."""
        self._check()
        with self._lock:
            response, events, times = self._draft.told, list(self._events), dict(self._times)
            text, transcript, reason = self._draft.text, self._draft.transcript, self._draft.reason
        return Answer(
            id=response.id,
            status=response.status,
            reason=reason,
            text=text,
            transcript=transcript,
            audio=b"".join(decoded(event) for event in events if isinstance(event, Audio)),
            audio_format=response.output_audio_format or self._audio_format,
            items=list(response.output) or [event for event in events if isinstance(event, ConversationItem)],
            usage=response.usage,
            cost=PRICES.cost(response.usage, self._model),
            cost_note=PRICES.cost_note(response.usage, self._model),
            timings=Timings(**times),
            response=response,
        )

    def cancel(self) -> None:
        """Have the service stop; the pieces that have come stay. Does nothing once the answer is done.

        In a signal handler, a finaliser or a callback it does not raise if the connection has ended.
        """
        if not self._finished or self._is_too_long:
            if is_nested():  # the call that it is inside of may have the turn on the wire
                aside(self._cancel_if_possible, "realtime-sync-canceller", 0)
            else:
                self._cancel(self.id)

    def _cancel_if_possible(self) -> None:
        with suppress(RealtimeSyncError):  # the connection has ended, and the response with it
            self._cancel(self.id)

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(RealtimeSyncError):  # the connection has ended, and the response with it
            self.cancel()

    def __repr__(self) -> str:
        state = "in progress"
        if self._finished:
            state = f"{self._error or self._draft.told.status!s:.200}"
        events = list(self._events)
        heard = sum(len(event.text) for event in events if isinstance(event, Delta))
        pieces = sum(isinstance(event, Audio) for event in events)
        return f"<Response {self.id or '?'} {state}, {heard} characters, {pieces} pieces of audio>"

    def _pieces(
        self, kind: type[T], timeout: Union[float, Deadline, None], enough: Callable[[], bool] = bool
    ) -> Iterator[T]:
        """The events of a kind, from the first on, until ``enough()``; ``_look_again`` has who waits ask that."""
        self._check()
        position = 0
        deadline = timeout if isinstance(timeout, Deadline) else Deadline(timeout)
        while fresh := self._events_from(position, deadline, enough):
            position += len(fresh)
            for event in fresh:
                if isinstance(event, kind):
                    yield event
                    deadline = timeout if isinstance(timeout, Deadline) else Deadline(timeout)
        if not enough():
            self._check_success()

    def _events_from(self, position: int, deadline: Deadline, enough: Callable[[], bool]) -> list[Event]:
        """The events from this position on, once there are some; none if it is finished, or enough."""
        if not self._changed.wait_for(lambda: self._finished or len(self._events) > position or enough(), deadline):
            message = f"no piece of the answer came within {deadline.seconds} s; it goes on"
            raise time_out(message, self._overheard)
        if enough():
            return []
        with self._lock:
            return self._events[position:]

    def _look_again(self) -> None:
        """Have each thread that waits for a piece ask whether it has enough. From anywhere, at once."""
        self._changed.tell()

    def _check_success(self) -> None:
        """Raise the error that ended the answer, if there is one."""
        if self._error is not None:
            raise told_again(self._error)
        if self._is_too_long:
            raise ResponseFailedError(
                "the answer is longer than QueueLimits.answer allows; the rest of it is not read. Raise that limit if "
                "answers are to be so long",
                answer=self.answer(),
            )
        if self._draft.told.status == "failed":
            details = self._draft.told.status_details
            error = (details.error if details else None) or ErrorDetails()
            why = error.message or error.code or error.type or "no reason given"
            raise ResponseFailedError(f"the service could not answer: {why}", answer=self.answer(), code=error.code)

    # For asking, and for the reader -------------------------------------------------------------------------------

    def _deltas_within(self, deadline: Deadline) -> Iterator[Delta]:
        """As ``deltas``, with one deadline for all of them."""
        return self._pieces(Delta, deadline)

    def _wait_until_begun(self, deadline: Deadline) -> None:
        """Return once the service has begun to answer; raises ``ServerError`` if it refused to, and as ``wait``."""
        begun = self._turned.wait_for(lambda: self._begun or self._finished, deadline)
        if self._begun:
            return  # if it has failed since, reading it raises the error
        if self._error is not None:
            raise told_again(self._error)
        if not begun:
            message = "the service did not begin to answer in time; the answer is cancelled if it does"
            raise time_out(message, self._overheard)

    def _feed(self, update: ConversationUpdate) -> None:
        """Add an update that belongs to this response. On the reader thread."""
        event_of = _EVENTS.get(type(update))
        with self._lock:
            if self._finished:
                return
            self._room -= len(update.raw_content)
            if self._is_too_long:
                self._finished = True
                self._tell(turned=True)
                return
            whole_texts = () if event_of is _audio_of else self._draft.apply(update)
            if event_of is not None:
                self._add(event_of(update))
            else:
                self._time(update)
            for kind, text in whole_texts:
                self._add(Delta(kind, text))
            self._finished = isinstance(update, ResponseDoneUpdate)
        self._tell(turned=self._finished or isinstance(update, ResponseCreatedUpdate))

    def _add(self, event: Event) -> None:
        self._events.append(event)
        self._time(event)

    def _time(self, cause: object) -> None:
        moment = _MOMENTS.get(type(cause))
        if moment is not None and moment not in self._times:
            self._times[moment] = time.monotonic() - self._asked

    @property
    def _is_too_long(self) -> bool:
        return self._room < 0

    @property
    def _begun(self) -> bool:
        return "created" in self._times or "done" in self._times

    def _fail(self, error: Exception) -> None:
        """End the answer with ``error``."""
        with self._lock:
            if not self._finished:
                self._error = error
                self._finished = True
        self._tell(turned=True)

    def _tell(self, *, turned: bool) -> None:
        self._changed.tell()
        if turned:
            self._turned.tell()
