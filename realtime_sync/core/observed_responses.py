"""What hooks are told of answers: of the realtime protocol's updates, their moments, tokens and cost.

The reader decides what is noted: of the pieces of an answer only the first of its kind. It also looks up when the
answer was asked for, because the registry of responses is of that moment.

An answer is told when it is done. If a player is known that has not come to its sound yet, it is told when that has
begun, was cut off, or the player has stopped, after ``_PLAYED_SECONDS`` at most.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Optional

import attrs

from realtime_sync.conversation.drafts import usage_of
from realtime_sync.conversation.pricing import PRICES, UsageTotals
from realtime_sync.core.observation import Note, Observation, Scribe
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.hooks import HookEvent, ResponseEnded
from realtime_sync.protocol.items import FunctionCallItem, MessageItem
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.protocol.updates import (
    ConversationItemInputAudioTranscriptionCompletedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    ResponseCreatedUpdate,
    ResponseDoneUpdate,
    ResponseOutputAudioDeltaUpdate,
    ResponseOutputAudioTranscriptDeltaUpdate,
    ResponseOutputTextDeltaUpdate,
)

if TYPE_CHECKING:
    from realtime_sync.core.engine import Engine

# So long an answer may wait for its first sound to be played.
_PLAYED_SECONDS: Final = 60.0
# Answers in progress; some servers never end one that failed.
_MOST_OPEN: Final = 64
_MOST_SEEN: Final = 1024

_PIECES: dict[type[ConversationUpdate], str] = {
    ResponseOutputTextDeltaUpdate: "text",
    ResponseOutputAudioTranscriptDeltaUpdate: "text",
    ResponseOutputAudioDeltaUpdate: "audio",
}


@attrs.define(eq=False)
class ObservedAnswer:
    """An answer in progress, or one that waits to be played."""

    id: str
    began: float
    created: float
    speech_ended: Optional[float] = None
    first_text: Optional[float] = None
    first_audio: Optional[ResponseOutputAudioDeltaUpdate] = None
    event: Optional[ResponseEnded] = None  # what is to be told, but for its first_played
    tell_by: float = 0.0  # by time.monotonic()


class ResponseScribe(Scribe):
    """See the module."""

    _engine: RealtimeEngine

    def __init__(self, observation: Observation) -> None:
        super().__init__(observation)
        self._seen: set[tuple[str, str]] = set()  # kinds of pieces and their responses; the reader's alone
        self._open: dict[str, ObservedAnswer] = {}
        self._waiting: list[ObservedAnswer] = []
        self._speech_ended: Optional[float] = None  # which no answer has followed yet
        self._usage = UsageTotals()
        self._cost: Optional[float] = None

    def begin(self, engine: Engine) -> None:
        """See ``Scribe``."""
        assert isinstance(engine, RealtimeEngine), "a session of another protocol"
        self._engine = engine

    # On the reader thread ------------------------------------------------------------------------------------------

    def wants(self, update: ConversationUpdate) -> Optional[Note]:
        """See ``Scribe``."""
        piece = _PIECES.get(type(update))
        if piece is not None:
            key = (piece, update.response_id)  # type: ignore[attr-defined]
            if key in self._seen:
                return None
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen.add(key)
            return functools.partial(self._note_piece, update)
        if isinstance(update, ResponseCreatedUpdate):
            return functools.partial(self._note_created, update, self._asked_at(update))
        if isinstance(update, ResponseDoneUpdate):
            self._seen -= {("text", update.response_id or ""), ("audio", update.response_id or "")}
            return functools.partial(self._note_done, update)
        if isinstance(update, _NOTED):
            return functools.partial(self.note, update)
        return super().wants(update)

    def _asked_at(self, update: ResponseCreatedUpdate) -> Optional[float]:
        """When this session asked for it, if it did."""
        known = self._engine.responses.get(update.response_id)
        return known.response._asked if known is not None and known.response is not None else None

    # On the observer -------------------------------------------------------------------------------------------------

    def note(self, update: ConversationUpdate) -> Iterator[HookEvent]:
        """See ``Scribe``."""
        session = self._observation.session
        if isinstance(update, SessionUpdateBase):
            session.id = update.session.id or session.id
            session.model = update.session.model or session.model
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            self._speech_ended = self._observation.moment(update.arrived_at)
        elif isinstance(update, ConversationItemInputAudioTranscriptionCompletedUpdate):
            self._usage += UsageTotals.of_transcription(update.usage)
        yield from super().note(update)

    def _note_created(self, update: ResponseCreatedUpdate, asked: Optional[float]) -> Iterator[HookEvent]:
        if update.response_id is None:
            return
        created = self._observation.moment(update.arrived_at)
        speech_ended = None
        if asked is None and not update.out_of_band:
            speech_ended, self._speech_ended = self._speech_ended, None
        began = speech_ended or created if asked is None else self._observation.moment(asked)
        if update.response_id not in self._open:  # a server may say everything twice
            self._open[update.response_id] = ObservedAnswer(update.response_id, began, created, speech_ended)
        if len(self._open) > _MOST_OPEN:
            oldest = self._open.pop(next(iter(self._open)))
            yield from self._told(oldest, self._ended(oldest, self._observation.now()))

    def _note_piece(self, update: Any) -> Iterator[HookEvent]:
        answer = self._open.get(update.response_id)
        if answer is not None and type(update) is ResponseOutputAudioDeltaUpdate:
            answer.first_audio = answer.first_audio or update
        elif answer is not None:
            answer.first_text = answer.first_text or self._observation.moment(update.arrived_at)
        return iter(())

    def _note_done(self, update: ResponseDoneUpdate) -> Iterator[HookEvent]:
        answer = self._open.pop(update.response_id or "", None)
        if answer is None:
            return
        response, words = update.response, self._observation.words
        details = response.status_details
        error = details.error if details is not None else None
        usage = usage_of(update)
        totals = UsageTotals.of_response(usage)
        cost = PRICES.cost(usage, self._observation.session.model)
        self._usage += totals
        if cost is not None:
            self._cost = (self._cost or 0.0) + cost
        ended = self._ended(
            answer,
            self._observation.moment(update.arrived_at),
            status=response.status,
            reason=details.reason if details is not None else None,
            error=(error.code or error.type) if error is not None else None,
            message=error.message if error is not None and words else None,
            out_of_band=update.out_of_band,
            calls=tuple(item.name or "" for item in response.output if isinstance(item, FunctionCallItem)),
            usage=totals if usage is not None else None,
            cost=cost,
            words="".join(item.text for item in response.output if isinstance(item, MessageItem)) if words else None,
        )
        yield from self._told(answer, ended)

    def lost(self, reason: BaseException, at: float) -> Iterator[HookEvent]:
        """See ``Scribe``."""
        answers, self._open = list(self._open.values()), {}
        for answer in answers:
            yield from self._told(answer, self._ended(answer, at, status="lost", error=type(reason).__name__))

    def finish(self, error: Optional[BaseException], began: float, at: float) -> Iterator[HookEvent]:
        """See ``Scribe``."""
        answers, self._open = list(self._open.values()), {}
        name = type(error).__name__ if error is not None else None
        for answer in answers:
            yield self._heard(answer, self._ended(answer, at, status="lost", error=name))
        yield from super().finish(error, began, at)

    def _ended(self, answer: ObservedAnswer, at: float, **facts: Any) -> ResponseEnded:
        audio = answer.first_audio
        return ResponseEnded(
            session=self._observation.session,
            at=at,
            id=answer.id,
            began=answer.began,
            speech_ended=answer.speech_ended,
            created=answer.created,
            first_text=answer.first_text,
            first_audio=self._observation.moment(audio.arrived_at) if audio is not None else None,
            **facts,
        )

    # What was played -------------------------------------------------------------------------------------------------

    def _told(self, answer: ObservedAnswer, event: ResponseEnded) -> Iterator[HookEvent]:
        """The event now, or when its sound was played."""
        answer.event = event
        if self._is_decided(answer):
            yield self._heard(answer, event)
            return
        answer.tell_by = time.monotonic() + _PLAYED_SECONDS
        self._waiting.append(answer)
        if len(self._waiting) > _MOST_OPEN:
            oldest = self._waiting.pop(0)
            yield self._heard(oldest, oldest.event)

    def _is_decided(self, answer: ObservedAnswer) -> bool:
        """Whether its sound was played or will not be, as far as is known."""
        audio = answer.first_audio
        return audio is None or self._played_at(answer) is not None or not self._may_be_played(audio)

    def _may_be_played(self, audio: ResponseOutputAudioDeltaUpdate) -> bool:
        return any(position.playable(audio) for position in self._observation.playing)

    def _played_at(self, answer: ObservedAnswer) -> Optional[float]:
        audio = answer.first_audio
        if audio is None:
            return None
        played = (each.of_item(audio.item_id, audio.content_index) for each in self._observation.positions)
        return min((one.started for one in played if one is not None), default=None)

    def _heard(self, answer: ObservedAnswer, event: Optional[ResponseEnded]) -> ResponseEnded:
        assert event is not None, "an answer without its event"
        played = self._played_at(answer)
        return event if played is None else attrs.evolve(event, first_played=self._observation.moment(played))

    def due(self, *, anyhow: bool = False) -> Iterator[HookEvent]:
        """See ``Scribe``."""
        for answer in list(self._waiting):
            if anyhow or self._is_to_be_told(answer):
                self._waiting.remove(answer)
                yield self._heard(answer, answer.event)

    def _is_to_be_told(self, answer: ObservedAnswer) -> bool:
        return self._is_decided(answer) or time.monotonic() >= answer.tell_by

    @property
    def is_due(self) -> bool:
        """See ``Scribe``."""
        return any(map(self._is_to_be_told, self._waiting))

    @property
    def seconds_until_due(self) -> Optional[float]:
        """See ``Scribe``."""
        first = min((answer.tell_by for answer in self._waiting), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def totals(self) -> tuple[Optional[UsageTotals], Optional[float], Optional[float]]:
        """See ``Scribe``."""
        return self._usage if self._usage != UsageTotals() else None, self._cost, None


_NOTED = (
    SessionUpdateBase,
    InputAudioBufferSpeechStoppedUpdate,
    ConversationItemInputAudioTranscriptionCompletedUpdate,
)
