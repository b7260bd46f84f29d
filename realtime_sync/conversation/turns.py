"""Turns: what the user said and what the model answered, with when each thing happened; made of updates alone.

The rules:

1. A turn begins with the user: speech, a commit, or a user's item. What the user adds before it is answered joins it.
   An answer that nobody asked for (the model goes on by itself) is a turn without a user.
2. A response belongs to the newest turn that waits for one. One with function calls is not the last of its turn: the
   turn waits for the response to their results. Out-of-band responses belong to no turn.
3. A turn is finished when its response is done and its transcripts have come or failed, or when two later turns have
   been answered: what has not come by then is not waited for. Turns finish in the order in which they began.
4. No update raises, whatever it holds and whenever it comes; what is told again changes nothing.

The tracker keeps ids and moments; what a response has said adds up in a ``ResponseDraft``, which is asked at the end.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Optional

import attrs

from realtime_sync.conversation.drafts import ResponseDraft
from realtime_sync.conversation.pieces import TextPieces
from realtime_sync.conversation.turn_words import user_words
from realtime_sync.protocol import updates
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.items import FunctionCallItem, MCPApprovalRequestItem, MCPCallItem, MessageItem
from realtime_sync.protocol.resources import ConversationResponse, ErrorDetails, RealtimeSession
from realtime_sync.protocol.update_base import (
    ConversationUpdate,
    ItemStreamingPartDeltaUpdate,
    SessionUpdateBase,
    WholeItemUpdateBase,
    shortened,
)

logger = logging.getLogger(__name__)

# So many later turns have been answered: what a turn still waits for is given up.
_MOST_LATER_TURNS = 2
# Items and responses that have had their turn: what is told of them again begins no other.
_MOST_REMEMBERED = 256
# A server that commits for ever and never answers must not fill the memory.
_MOST_OPEN_TURNS = 100


@attrs.frozen(kw_only=True)
class Timeline:
    """When things happened, in seconds after the turn began; None if they did not, or it is not known.

    All by one monotonic clock, at which the updates were received. Of several responses (tools) ``response_created``
    and the ``first_...`` are the earliest, ``done`` is the last.

    Attributes:
        speech_started: The user began to speak.
        speech_stopped: Voice activity detection reported the end of speech, for which it waits for a silence first.
        committed: The user's words are in the conversation: the buffer was committed, or the written item was added.
        response_created: The model began to answer.
        first_text: The first piece of text or transcript came.
        first_audio: The first piece of audio came.
        first_played: The first audio was played: by the ``PlaybackPosition`` given to ``session.turns()``, or by a
        service that plays itself (WebRTC, SIP).
        done: The answer was done.
    """

    speech_started: Optional[float] = None
    speech_stopped: Optional[float] = None
    committed: Optional[float] = None
    response_created: Optional[float] = None
    first_text: Optional[float] = None
    first_audio: Optional[float] = None
    first_played: Optional[float] = None
    done: Optional[float] = None

    def _repr_html_(self) -> str:
        from realtime_sync.conversation.html import timeline_page

        return timeline_page(self)

    def between(self, earlier: str, later: str) -> Optional[float]:
        """Seconds from one moment to another, each by its name here; None if one of them is not known."""
        start, end = getattr(self, earlier), getattr(self, later)
        return None if start is None or end is None else end - start

    @property
    def speech_seconds(self) -> Optional[float]:
        """How long the user spoke, as told while it happened."""
        return self.between("speech_started", "speech_stopped")

    @property
    def speech_stopped_to_first_audio(self) -> Optional[float]:
        """The wait that a user feels, without what the player adds."""
        return self.between("speech_stopped", "first_audio")

    @property
    def speech_stopped_to_first_played(self) -> Optional[float]:
        """The wait that a user feels."""
        return self.between("speech_stopped", "first_played")

    @property
    def committed_to_first_text(self) -> Optional[float]:
        """The wait in a written conversation."""
        return self.between("committed", "first_text")

    @property
    def committed_to_first_audio(self) -> Optional[float]:
        """The wait where turns are taken by hand."""
        return self.between("committed", "first_audio")

    @property
    def response_created_to_first_audio(self) -> Optional[float]:
        """How long the model took to speak."""
        return self.between("response_created", "first_audio")

    @property
    def response_created_to_done(self) -> Optional[float]:
        """How long the answer was in the making."""
        return self.between("response_created", "done")


@attrs.frozen(kw_only=True)
class Turn:
    """What the user said, and what the model answered.

    Attributes:
        user_item_ids: The ids of the user's items, in order.
        user_text: The user's written text.
        user_transcript: The user's spoken words; None if no transcript has come.
        transcription_error: Why there is no transcript, if the service said so; else None.
        response_ids: The ids of the responses: one, several if tools were called, none if nothing was answered.
        item_ids: The ids of the model's items, in order.
        text: The model's written text.
        transcript: The model's spoken words.
        function_calls: The function calls of the responses.
        status: The last response's: ``"completed"``, ``"cancelled"``, ``"incomplete"`` or ``"failed"``; None without an
            answer.
        reason: Why the last response is not completed; None if it is, or without an answer.
        truncated: True if its audio was shortened before the turn was finished. After a later interruption, while the
            player was still busy, ``session.conversation.heard_ms(item_id)`` knows it.
        timeline: When each thing happened.
        started: When the turn began, by ``time.monotonic()`` (or by the clock of the tracker's updates).
    """

    user_item_ids: Sequence[str] = attrs.field(repr=False)
    user_text: str = attrs.field(repr=shortened)
    user_transcript: Optional[str]
    transcription_error: Optional[ErrorDetails] = attrs.field(repr=False)
    response_ids: Sequence[str] = attrs.field(repr=False)
    item_ids: Sequence[str] = attrs.field(repr=False)
    text: str = attrs.field(repr=shortened)
    transcript: str = attrs.field(repr=shortened)
    function_calls: Sequence[FunctionCallItem] = attrs.field(repr=lambda calls: str([call.name for call in calls]))
    status: Optional[str]
    reason: Optional[str]
    truncated: bool = attrs.field(repr=False)
    timeline: Timeline = attrs.field(repr=False)
    started: float = attrs.field(repr=False)

    @property
    def response_id(self) -> Optional[str]:
        """The last response's."""
        return self.response_ids[-1] if self.response_ids else None

    @property
    def interrupted(self) -> bool:
        """True if the answer was cancelled while it was made, or cut to what was heard."""
        return self.truncated or self.status == "cancelled"

    def __str__(self) -> str:
        said = user_words(self) or "..."
        return f"{said} -> {self.text or self.transcript or '...'}{' [interrupted]' if self.interrupted else ''}"

    def _repr_html_(self) -> str:
        from realtime_sync.conversation.html import turn_page

        return turn_page(self)


class _Answer:
    """One response of a turn in the making."""

    def __init__(self, response_id: str) -> None:
        self.id = response_id
        self.draft = ResponseDraft(ConversationResponse())  # without audio

    @property
    def wants_results(self) -> bool:
        """It ended with calls, whose results another response will answer."""
        if not self.draft.done or self.draft.told.status in ("cancelled", "failed", "incomplete"):
            return False
        wanting = (FunctionCallItem, MCPCallItem, MCPApprovalRequestItem)
        return any(isinstance(item, wanting) for item in self.draft.output())

    @property
    def has_words(self) -> bool:
        return bool(self.draft.text or self.draft.transcript)

    @property
    def calls(self) -> list[FunctionCallItem]:
        return [item for item in self.draft.output() if isinstance(item, FunctionCallItem)]


class _Draft:
    """One turn in the making."""

    def __init__(self, at: float) -> None:
        self.started = at
        self.times: dict[str, float] = {}
        self.user_items: dict[str, None] = {}  # an ordered set: what is in the conversation
        self.speaking: Optional[str] = None  # the item of the utterance that has begun
        self.uncommitted: Optional[str] = None  # the item of an utterance that has ended, and was not committed yet
        self.written: list[str] = []
        self.spoken: dict[str, TextPieces] = {}  # transcripts by item
        self.awaited: set[str] = set()  # items whose transcript is still to come
        self.transcription_error: Optional[ErrorDetails] = None
        self.answers: list[_Answer] = []
        self.truncated = False
        self.size = 0  # bytes of the messages of its words

    @property
    def answered(self) -> bool:
        """Nothing more is to come from the model."""
        return bool(self.answers) and all(answer.draft.done for answer in self.answers) and not self.wants_response

    @property
    def wants_response(self) -> bool:
        """The next response in the conversation is this turn's."""
        if not self.answers:
            return bool(self.user_items or self.uncommitted)  # not while the user still speaks
        return self.answers[-1].wants_results

    @property
    def finished(self) -> bool:
        return self.answered and not self.awaited

    def note(self, moment: str, at: float) -> None:
        self.times.setdefault(moment, at - self.started)

    def turn(self) -> Turn:
        transcripts = [pieces.value for pieces in self.spoken.values() if pieces.value is not None]
        last = self.answers[-1] if self.answers else None
        return Turn(
            user_item_ids=tuple(self.user_items),
            user_text="\n".join(self.written),
            user_transcript="\n".join(transcripts) if transcripts else None,
            transcription_error=self.transcription_error,
            response_ids=tuple(answer.id for answer in self.answers),
            item_ids=tuple(item_id for answer in self.answers for item_id in answer.draft.item_ids),
            text="\n".join(filter(None, (answer.draft.text for answer in self.answers))),
            transcript="\n".join(filter(None, (answer.draft.transcript for answer in self.answers))),
            function_calls=tuple(call for answer in self.answers for call in answer.calls),
            status=last.draft.told.status if last else None,
            reason=last.draft.reason if last else None,
            truncated=self.truncated,
            timeline=Timeline(**self.times),
            started=self.started,
        )


class TurnTracker:
    """Makes ``Turn`` values of updates. Pure: no I/O, no clock, no lock; feed it from one thread at a time.

    ``session``: the settings in force where the tracker begins in the middle of a session; they tell whether what the
    user says is transcribed. ``most_bytes``: of the messages whose words are kept for one turn; of a longer turn the
    other pieces are left out, with a warning. ``before``: the ids of items that are in the conversation already; a
    transcript of one of them begins no turn.
    """

    def __init__(
        self, session: Optional[RealtimeSession] = None, *, most_bytes: float = math.inf, before: Iterable[str] = ()
    ) -> None:
        self._most_bytes = most_bytes
        self._before = frozenset(before)
        self._transcribes = bool(session is not None and session.input_transcription_options)
        self._open: deque[_Draft] = deque()  # oldest first
        self._answers: dict[str, tuple[_Draft, _Answer]] = {}  # responses in progress
        self._had: dict[str, None] = {}  # ids of items of the user's and of responses that are in a turn, or were

    def apply(self, update: ConversationUpdate, at: Optional[float] = None) -> list[Turn]:
        """Take over an update; the turns that it finishes.

        Args:
            update: the next update of the session.
            at: when it was received, in seconds by any monotonic clock; None: ``update.arrived_at``.
        """
        handler = _HANDLERS.get(type(update))
        if handler is None:
            return []
        handler(self, update, update.arrived_at if at is None else at)
        # Pieces finish nothing, and there are many of them.
        return [] if isinstance(update, ItemStreamingPartDeltaUpdate) else self._finished()

    def rest(self) -> list[Turn]:
        """The session has ended: the turns that are answered, or being answered, as they stand."""
        drafts = [draft for draft in self._open if draft.answers]
        for draft in list(self._open):
            self._forget(draft)
        return [draft.turn() for draft in drafts]

    # The user ---------------------------------------------------------------------------------------------------------

    def _session_told(self, update: SessionUpdateBase, at: float) -> None:
        self._transcribes = bool(update.session.input_transcription_options)

    def _speech_started(self, update: updates.InputAudioBufferSpeechStartedUpdate, at: float) -> None:
        item_id = update.item_id
        if item_id and (item_id in self._had or (self._unanswered and self._unanswered.speaking == item_id)):
            return
        self._forget_unsaid()
        draft = self._users_turn(at)
        draft.note("speech_started", at)
        draft.speaking = item_id

    def _speech_stopped(self, update: updates.InputAudioBufferSpeechStoppedUpdate, at: float) -> None:
        if update.item_id in self._had:
            return
        draft = self._users_turn(at)
        draft.times["speech_stopped"] = at - draft.started  # of several utterances the last: from then on one waits
        draft.uncommitted = update.item_id or None

    def _committed(self, update: updates.InputAudioBufferCommittedUpdate, at: float) -> None:
        if update.item_id in self._had or self._draft_of_user(update.item_id) is not None:
            return
        draft = self._users_turn(at)
        draft.times["committed"] = at - draft.started
        draft.uncommitted = None
        self._join(draft, update.item_id)
        draft.spoken.setdefault(update.item_id, TextPieces())
        if self._transcribes:
            draft.awaited.add(update.item_id)

    def _cleared(self, update: updates.InputAudioBufferClearedUpdate, at: float) -> None:
        self._forget_unsaid()

    def _item_added(self, update: WholeItemUpdateBase, at: float) -> None:
        item = update.item
        if not isinstance(item, MessageItem):
            return
        if item.role == "assistant":
            if self._unanswered and not self._answers and self._draft_of_model(item.id) is None:
                self._forget(self._unanswered)  # history: this answers it, and it was no turn of this session
            return
        if item.role != "user" or item.id in self._had or self._draft_of_user(item.id or "") is not None:
            return
        draft = self._users_turn(at)
        draft.times["committed"] = at - draft.started
        self._join(draft, item.id or "")
        draft.written.extend(part.text for part in item.content if part.text)
        spoken = [part.transcript for part in item.content if part.transcript]
        if spoken:
            draft.spoken[item.id or ""] = TextPieces(" ".join(spoken))

    def _item_deleted(self, update: updates.ConversationItemDeletedUpdate, at: float) -> None:
        self._had.pop(update.item_id, None)  # whoever adds an item of this id again means a new one
        draft = self._draft_of_user(update.item_id)
        if draft is not None:
            draft.awaited.discard(update.item_id)  # no transcript will come

    def _transcript_delta(self, update: updates.ConversationItemInputAudioTranscriptionDeltaUpdate, at: float) -> None:
        draft = self._draft_of_speech(update.item_id)
        if draft is not None and self._has_room(draft, update):
            draft.spoken.setdefault(update.item_id, TextPieces()).add(update.delta or "")

    def _transcript_updated(
        self, update: updates.ConversationItemInputAudioTranscriptionUpdatedUpdate, at: float
    ) -> None:
        speaking = self._unanswered if self._unanswered and self._unanswered.speaking == update.item_id else None
        draft = self._draft_of_speech(update.item_id) or speaking
        if draft is not None and self._has_room(draft, update):
            draft.spoken.setdefault(update.item_id, TextPieces()).replace(update.transcript)

    def _transcript_completed(
        self, update: updates.ConversationItemInputAudioTranscriptionCompletedUpdate, at: float
    ) -> None:
        draft = self._draft_of_speech(update.item_id) or self._unannounced(update.item_id, at)
        if draft is not None:
            draft.spoken.setdefault(update.item_id, TextPieces()).close(update.transcript)
            draft.awaited.discard(update.item_id)

    def _transcript_failed(
        self, update: updates.ConversationItemInputAudioTranscriptionFailedUpdate, at: float
    ) -> None:
        draft = self._draft_of_speech(update.item_id)
        if draft is not None:
            draft.transcription_error = update.error
            draft.awaited.discard(update.item_id)

    def _draft_of_speech(self, item_id: str) -> Optional[_Draft]:
        """As ``_draft_of_user``; some servers commit what was said without a word (Hugging Face's, 2026-08)."""
        draft = next(
            (draft for draft in reversed(self._open) if draft.uncommitted and draft.uncommitted == item_id), None
        )
        return self._draft_of_user(item_id) or (None if draft is None else self._untold(draft))

    def _unannounced(self, item_id: str, at: float) -> Optional[_Draft]:
        """The turn of speech that is first told of by its transcript (LiteLLM's bridge to Gemini, 2026-11).

        While an answer is in progress it is a late one, of what was said before this tracker began.
        """
        if not item_id or item_id in self._had or item_id in self._before or self._answers:
            return None
        draft = self._users_turn(at)
        draft.note("committed", at)
        self._join(draft, item_id)
        return draft

    def _untold(self, draft: _Draft) -> _Draft:
        """Take over an utterance that must have been committed: it is transcribed, or answered."""
        if draft.uncommitted:
            self._join(draft, draft.uncommitted)
            draft.spoken.setdefault(draft.uncommitted, TextPieces())
            draft.uncommitted = None
        return draft

    # The model --------------------------------------------------------------------------------------------------------

    def _response_created(self, update: updates.ResponseCreatedUpdate, at: float) -> None:
        response_id = update.response_id or ""
        if update.out_of_band or response_id in self._answers:
            return
        draft = next((draft for draft in reversed(self._open) if draft.wants_response), None)
        if draft is None and response_id in self._had:  # if one is wanted, the server uses an id again
            return
        draft = draft or self._begin(at)
        self._remember(response_id)
        if not draft.user_items:
            self._untold(draft)
        answer = _Answer(response_id)
        draft.answers.append(answer)
        draft.note("response_created", at)
        self._answers[response_id] = draft, answer

    def _response_done(self, update: updates.ResponseDoneUpdate, at: float) -> None:
        found = self._answers.pop(update.response_id or "", None)
        if found is None:
            return
        draft, answer = found
        self._words_told(draft, answer, update, at)
        draft.times["done"] = at - draft.started

    def _audio_delta(self, update: updates.ResponseOutputAudioDeltaUpdate, at: float) -> None:
        found = self._answers.get(update.response_id)
        if found is not None and "first_audio" not in found[0].times:
            found[1].draft.apply(update)
            found[0].note("first_audio", at)

    def _output_told(self, update: Any, at: float) -> None:
        """An item, a part or a piece of an answer."""
        found = self._answers.get(update.response_id)
        if found is not None:
            self._words_told(*found, update, at)

    def _words_told(self, draft: _Draft, answer: _Answer, update: ConversationUpdate, at: float) -> None:
        if not self._has_room(draft, update) and not isinstance(update, updates.ResponseDoneUpdate):
            return
        answer.draft.apply(update)
        if "first_text" not in draft.times and answer.has_words:
            draft.note("first_text", at)

    def _output_started(self, update: updates.OutputAudioBufferStartedUpdate, at: float) -> None:
        found = self._answers.get(update.response_id)
        if found is not None:
            found[0].note("first_played", at)

    def _item_truncated(self, update: updates.ConversationItemTruncatedUpdate, at: float) -> None:
        draft = self._draft_of_model(update.item_id)
        if draft is not None:
            draft.truncated = True

    # The connection ---------------------------------------------------------------------------------------------------

    def _reconnected(self, update: SessionReconnectedUpdate, at: float) -> None:
        """What was being said went down with the old connection; a question without a word of an answer still waits."""
        for draft in self._open:
            draft.awaited.clear()
            draft.answers = [answer for answer in draft.answers if answer.draft.done or answer.has_words]
            for answer in draft.answers:
                if not answer.draft.done:
                    answer.draft.lose()
        self._answers.clear()

    def _has_room(self, draft: _Draft, update: ConversationUpdate) -> bool:
        had_room = draft.size <= self._most_bytes
        draft.size += len(update.raw_content)
        has_room = draft.size <= self._most_bytes
        if had_room and not has_room:
            logger.warning("a turn has more words than QueueLimits.answer allows; the others are left out of it")
        return has_room

    # The turns --------------------------------------------------------------------------------------------------------

    def _users_turn(self, at: float) -> _Draft:
        """The turn that the user's words go into."""
        return self._unanswered or self._begin(at)

    @property
    def _unanswered(self) -> Optional[_Draft]:
        """The newest turn, while it is not being answered."""
        return self._open[-1] if self._open and not self._open[-1].answers else None

    def _forget_unsaid(self) -> None:
        """Forget an utterance that came to nothing: it was never committed."""
        if self._unanswered and not self._unanswered.user_items:
            self._forget(self._unanswered)

    def _begin(self, at: float) -> _Draft:
        draft = _Draft(at)
        self._open.append(draft)
        return draft

    def _join(self, draft: _Draft, item_id: str) -> None:
        """An item of the user's is in the conversation."""
        draft.user_items[item_id] = None
        self._remember(item_id)

    def _remember(self, name: str) -> None:
        if name:
            self._had[name] = None
            if len(self._had) > _MOST_REMEMBERED:
                del self._had[next(iter(self._had))]

    def _draft_of_user(self, item_id: str) -> Optional[_Draft]:
        return next((draft for draft in reversed(self._open) if item_id in draft.user_items), None)

    def _draft_of_model(self, item_id: Optional[str]) -> Optional[_Draft]:
        made = ((draft, answer.draft) for draft in self._open for answer in draft.answers)
        return next((draft for draft, response in made if item_id in response.item_ids), None)

    def _finished(self) -> list[Turn]:
        finished: list[Turn] = []
        while self._open and (self._open[0].finished or self._is_overdue()):
            draft = self._open[0]
            self._forget(draft)
            finished.append(draft.turn())
        return finished

    def _is_overdue(self) -> bool:
        if len(self._open) <= _MOST_LATER_TURNS:
            return False
        later = sum(draft.answered for draft in self._open) - self._open[0].answered
        return later >= _MOST_LATER_TURNS or len(self._open) > _MOST_OPEN_TURNS

    def _forget(self, draft: _Draft) -> None:
        self._open.remove(draft)
        for answer in draft.answers:
            self._answers.pop(answer.id, None)


class TurnFilter:
    """Says of each update whether a ``TurnTracker`` needs it. For one thread.

    Of an answer's audio that is the first piece: how much was said in sound must not fill a stream of turns.
    """

    def __init__(self) -> None:
        self._heard: Optional[str] = None  # the response whose audio came last

    def __call__(self, update: ConversationUpdate) -> bool:
        """True if the tracker needs this update; to be asked once for each, in order."""
        if not isinstance(update, updates.ResponseOutputAudioDeltaUpdate):
            return type(update) in _HANDLERS
        earlier, self._heard = self._heard, update.response_id
        return earlier != update.response_id


_HANDLERS: dict[type[ConversationUpdate], Callable[[TurnTracker, Any, float], None]] = {
    updates.SessionCreatedUpdate: TurnTracker._session_told,
    updates.SessionUpdatedUpdate: TurnTracker._session_told,
    updates.InputAudioBufferSpeechStartedUpdate: TurnTracker._speech_started,
    updates.InputAudioBufferSpeechStoppedUpdate: TurnTracker._speech_stopped,
    updates.InputAudioBufferCommittedUpdate: TurnTracker._committed,
    updates.InputAudioBufferClearedUpdate: TurnTracker._cleared,
    updates.ConversationItemAddedUpdate: TurnTracker._item_added,
    updates.ConversationItemCreatedUpdate: TurnTracker._item_added,
    updates.ConversationItemDeletedUpdate: TurnTracker._item_deleted,
    updates.ConversationItemTruncatedUpdate: TurnTracker._item_truncated,
    updates.ConversationItemInputAudioTranscriptionDeltaUpdate: TurnTracker._transcript_delta,
    updates.ConversationItemInputAudioTranscriptionUpdatedUpdate: TurnTracker._transcript_updated,
    updates.ConversationItemInputAudioTranscriptionCompletedUpdate: TurnTracker._transcript_completed,
    updates.ConversationItemInputAudioTranscriptionFailedUpdate: TurnTracker._transcript_failed,
    updates.ResponseCreatedUpdate: TurnTracker._response_created,
    updates.ResponseDoneUpdate: TurnTracker._response_done,
    updates.ResponseOutputItemAddedUpdate: TurnTracker._output_told,
    updates.ResponseOutputItemDoneUpdate: TurnTracker._output_told,
    updates.ResponseOutputAudioDeltaUpdate: TurnTracker._audio_delta,
    updates.ResponseContentPartDoneUpdate: TurnTracker._output_told,
    updates.ResponseOutputTextDeltaUpdate: TurnTracker._output_told,
    updates.ResponseOutputTextDoneUpdate: TurnTracker._output_told,
    updates.ResponseOutputAudioTranscriptDeltaUpdate: TurnTracker._output_told,
    updates.ResponseOutputAudioTranscriptDoneUpdate: TurnTracker._output_told,
    updates.ResponseFunctionCallArgumentsDoneUpdate: TurnTracker._output_told,
    updates.OutputAudioBufferStartedUpdate: TurnTracker._output_started,
    SessionReconnectedUpdate: TurnTracker._reconnected,
}
