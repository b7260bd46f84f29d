"""What each update does to a conversation.

The rules, which every handler keeps:

1. No update raises, whatever it holds and whenever it comes.
2. An item is in the conversation when a ``conversation.item...`` message has said so, or when a response that is in
   it makes the item (Hugging Face's server says nothing else, 2026-08), and out when it was deleted. Whatever else is
   told of an item is kept with it, in the conversation or not: answers out of band have items too.
3. Pieces add up; the final value of a done message takes their place; what comes late changes nothing.
4. Each response and each transcription is counted once, however often its end is told.
5. Received objects are shared with everyone who listens: they are copied, never changed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Callable, Optional

import attrs

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation.drafts import (
    TAKEN_BY_RESPONSES,
    ItemDraft,
    ItemDrafts,
    PartDraft,
    ResponseDraft,
    TranscriptSegment,
)
from realtime_sync.conversation.order import ItemOrder
from realtime_sync.conversation.pieces import TextPieces
from realtime_sync.conversation.pricing import UsageTotals
from realtime_sync.conversation.sizes import oldest
from realtime_sync.errors import AudioFormatError
from realtime_sync.protocol import updates
from realtime_sync.protocol.items import (
    ConversationItem,
    FunctionCallItem,
    MCPListToolsItem,
    MessageItem,
)
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.protocol.resources import ConversationResponse, RealtimeSession
from realtime_sync.protocol.update_base import (
    ConversationUpdate,
    ItemStreamingUpdateBase,
    SessionUpdateBase,
    WholeItemUpdateBase,
)

logger = logging.getLogger(__name__)


class Accumulator:
    """The state of a conversation, and how updates change it. ``Conversation`` reads it; so does ``export``."""

    def __init__(self, *, keep_audio: bool = False, most_bytes: Optional[int] = None) -> None:
        self.keep_audio = keep_audio
        self.forgotten = 0
        self.id: Optional[str] = None
        self.session: Optional[RealtimeSession] = None
        self.usage = UsageTotals()
        self._usages: dict[Optional[str], UsageTotals] = {}  # by model; replaced as a whole, so copies may share it
        self._order = ItemOrder()
        self._drafts = ItemDrafts()
        """Items by key: their id, or a name that no id can be for those that were told without one."""
        self._responses: dict[str, ResponseDraft] = {}
        self._deleted: dict[str, None] = {}  # an ordered set
        self._most_bytes = math.inf if most_bytes is None else most_bytes
        self._told_bytes = 0  # at least as many as are kept
        self._named = 0  # so many things came without an id, and were given a key of ours

    def apply(self, update: ConversationUpdate) -> None:
        """Take over what an update tells; those that tell nothing of a conversation change nothing."""
        handler = _HANDLERS.get(type(update))
        if handler is not None:
            handler(self, update)
            self._told_bytes += len(update.raw_content)
            if self._told_bytes > self._most_bytes:
                self._make_room()

    def _make_room(self) -> None:
        """Forget the oldest items and responses if what is kept comes near to the bound.

        To count exactly takes time, so it is done once for each quarter of the bound that has been told.
        """
        enough = int(self._most_bytes * 3 // 4)
        items, held = oldest(self._drafts, enough)
        responses, held_by_responses = oldest(self._responses, enough)
        self._told_bytes = max(held, held_by_responses)
        for key in items:
            self._order.remove(key)
            del self._drafts[key]
        for key in responses:
            del self._responses[key]
        if items and not self.forgotten:
            logger.warning("the oldest items are left out of the conversation: it is above QueueLimits.conversation")
        self.forgotten += len(items)

    def _add_usage(self, usage: UsageTotals) -> None:
        self.usage += usage
        model = self._model()
        self._usages = {**self._usages, model: self._usages.get(model, UsageTotals()) + usage}

    def _model(self) -> Optional[str]:
        return self.session.model or None if self.session is not None else None

    # The session --------------------------------------------------------------------------------------------------

    def _session_created(self, update: SessionUpdateBase) -> None:
        self.session = update.session
        self._order.new_connection()

    def _session_updated(self, update: SessionUpdateBase) -> None:
        self.session = update.session

    def _conversation_created(self, update: updates.ConversationCreatedUpdate) -> None:
        self.id = update.conversation.id or self.id

    # Items of the conversation ------------------------------------------------------------------------------------

    def _item_added(self, update: WholeItemUpdateBase) -> None:
        key = update.item.id or self._nameless()
        if key in self._deleted:  # whoever adds an item of this id again means a new one
            del self._deleted[key]
            self._drafts.pop(key, None)
        self._take(key, update.item, final=False)
        self._order.add(key, update.previous_item_id)

    def _item_done(self, update: WholeItemUpdateBase) -> None:
        key = update.item.id or self._open_nameless_item() or self._nameless()
        if key in self._deleted:
            return
        self._take(key, update.item, final=True)
        # OpenAI ends a response's items with null as the previous one, wherever they stand (2026-07): it is no place.
        self._order.add(key, update.previous_item_id or UNSET)

    def _item_retrieved(self, update: WholeItemUpdateBase) -> None:
        key = update.item.id
        if key and key not in self._deleted:
            self._take(key, update.item, final=update.item.status != "in_progress")
            self._order.add(key, UNSET)

    def _item_deleted(self, update: updates.ConversationItemDeletedUpdate) -> None:
        key = update.item_id
        self._deleted[key] = None
        if len(self._deleted) > _MOST_DELETED:
            del self._deleted[next(iter(self._deleted))]
        self._order.remove(key)
        if not any(key in response.outputs.values() for response in self._live_responses()):
            self._drafts.pop(key, None)

    def _item_truncated(self, update: updates.ConversationItemTruncatedUpdate) -> None:
        draft = self._draft(update.item_id, MessageItem(id=update.item_id, role="assistant"))
        if draft is not None:
            draft.part(update.content_index, "output_audio").truncate(update.audio_end_ms, draft.format)

    # Transcription of what the user said ----------------------------------------------------------------------------

    def _heard(self, item_id: str, index: int) -> Optional[PartDraft]:
        """The part of what the user said that an update is about."""
        draft = self._draft(item_id, MessageItem(id=item_id, role="user"))
        return None if draft is None else draft.part(index, "input_audio")

    def _transcription_delta(self, update: updates.ConversationItemInputAudioTranscriptionDeltaUpdate) -> None:
        part = self._heard(update.item_id, update.content_index or 0)
        if part is not None:
            part.transcript.add(update.delta or "")
            transcription = part.transcription()
            if transcription.status == "in_progress":
                transcription.logprobs.extend(update.logprobs or ())

    def _transcription_updated(self, update: updates.ConversationItemInputAudioTranscriptionUpdatedUpdate) -> None:
        part = self._heard(update.item_id, update.content_index or 0)
        if part is not None:
            part.transcript.replace(update.transcript)
            part.transcription()

    def _transcription_segment(self, update: updates.ConversationItemInputAudioTranscriptionSegmentUpdate) -> None:
        part = self._heard(update.item_id, update.content_index)
        if part is not None:
            fields = {name: getattr(update, name) for name in ("id", "text", "speaker", "start", "end")}
            part.transcription()
            part.segments[update.id or f"segment {len(part.segments)}"] = TranscriptSegment(**fields)

    def _transcription_completed(self, update: updates.ConversationItemInputAudioTranscriptionCompletedUpdate) -> None:
        part = self._heard(update.item_id, update.content_index)
        if part is None:
            return
        # Some servers never say that what was spoken is in the conversation, and transcribe nothing else.
        self._order.add(update.item_id, UNSET)
        # An empty final text is one: what the pieces said turned out to be noise. A missing one is none.
        if update.transcript or not update.faults:
            part.transcript.close(update.transcript)
        transcription = part.transcription()
        if transcription.status != "completed":
            self._add_usage(UsageTotals.of_transcription(update.usage))
        transcription.status, transcription.error = "completed", None
        transcription.usage = update.usage or transcription.usage
        transcription.logprobs = list(update.logprobs or transcription.logprobs)
        transcription.languages = list(update.languages or transcription.languages)

    def _transcription_failed(self, update: updates.ConversationItemInputAudioTranscriptionFailedUpdate) -> None:
        part = self._heard(update.item_id, update.content_index)
        if part is not None and part.transcription().status != "completed":
            part.transcription().status, part.transcription().error = "failed", update.error

    # Responses ----------------------------------------------------------------------------------------------------

    def _response_created(self, update: updates.ResponseCreatedUpdate) -> None:
        response = self._response(update.response.id or self._nameless())
        if not response.done:
            response.apply(update)
            self.id = update.response.conversation_id or self.id

    def _response_done(self, update: updates.ResponseDoneUpdate) -> None:
        response = self._response(update.response.id or self._open_nameless_response() or self._nameless())
        if response.done:
            return
        self.id = update.response.conversation_id or self.id
        response.apply(update)
        self._add_usage(UsageTotals.of_response(response.told.usage))
        self._place(response)
        response.told = attrs.evolve(response.told, output=response.output())
        for item_key in response.outputs.values():
            if item_key not in self._order:  # out of band, or deleted meanwhile: only the response has it from now on
                self._drafts.pop(item_key, None)
        response.let_go()

    def _place(self, response: ResponseDraft) -> None:
        """Some servers never say that an answer is in the conversation, and some do so by the response's id alone."""
        for item in response.told.output:
            if item.id:
                self._find_format(item.id, item)
        for key in (*response.item_ids, *(item.id for item in response.told.output)):
            self._expect(response, key)

    def _expect(self, response: ResponseDraft, key: Optional[str]) -> None:
        """An item that a response in the conversation makes is in it, too."""
        if key and response.told.conversation_id and key in self._drafts and key not in self._deleted:
            self._order.expect(key)

    def _output_item(self, update: Any) -> None:
        key = update.item.id
        if key and not self._is_over(update.response_id, key):
            response = self._response_of(update)
            response.apply(update)
            self._find_format(key, update.item)
            self._expect(response, key)

    def _streamed(self, update: ItemStreamingUpdateBase) -> None:
        """A piece or a part of an item that a response is making; nothing if that is over, or no item is named."""
        key, response = update.item_id, self._responses.get(update.response_id)
        if key in self._drafts and response is not None and not response.done:
            response.apply(update)
        elif key and (key in self._drafts or not self._is_over(update.response_id, key)):
            response = self._response_of(update)
            response.apply(update)
            self._expect(response, key)

    def _audio_delta(self, update: updates.ResponseOutputAudioDeltaUpdate) -> None:
        draft, response = self._drafts.get(update.item_id), self._responses.get(update.response_id)
        if draft is not None and draft.format is not None and response is not None and not response.done:
            response.add_audio(update)  # there are many of them
            return
        self._streamed(update)
        draft = self._drafts.get(update.item_id)
        if draft is not None and draft.format is None:
            draft.format = self._output_format(update.response_id)

    # Another connection ---------------------------------------------------------------------------------------------

    def add_item(self, item: ConversationItem, previous_item_id: Optional[str] = None) -> None:
        """Add an item that no update has told; its audio is kept.

        ``previous_item_id`` as in a session's ``add_item``.
        """
        key = item.id or self._nameless()
        self._deleted.pop(key, None)
        self._take(key, item, final=True, keep_audio=True)
        self._order.add(key, previous_item_id or UNSET)

    def _can_be_left_out_of_replay(self, key: str) -> bool:
        """True for a message of which nothing has come, and for lists of tools, which each connection makes anew."""
        draft = self._drafts[key]
        return isinstance(draft.base, MCPListToolsItem) or (
            isinstance(draft.base, MessageItem)
            and draft.base.role == "assistant"
            and not draft.final
            and not any(part.text.value or part.transcript.value or part.audio.size for part in draft.parts.values())
        )

    def _awaited_calls(self) -> set[str]:
        """The ids of calls that whoever makes them was told of, so that their results may still come."""
        outputs = [response.told.output for response in self._responses.values() if response.done]
        calls = [item for items in outputs for item in items if isinstance(item, FunctionCallItem)]
        return {call.call_id for call in calls if call.call_id}

    def _carry_over(self, names: Optional[Mapping[str, str]]) -> None:
        """A new connection has taken the place of the old one, and has these items alone: old id to new one.

        None: it has what the old one had. What was in progress has ended.
        """
        for response in self._live_responses():
            keys = list(response.outputs.values())
            response.lose()
            response.let_go()
            for key in keys:
                self._cut_short(key)
        if names is None:
            return
        for key in list(self._order):
            if key not in names:
                self._order.remove(key)
                self._drafts.pop(key, None)
        for key, name in names.items():
            draft = self._drafts.to_change(key)
            if draft is None:  # it was too much to be kept
                continue
            for part in draft.parts.values():
                if part.heard_text:  # this is what the new connection was told
                    draft.changed()
                    part.transcript, part.heard_text = TextPieces(part.heard_text, closed=True), None
            if key != name:
                self._order.rename(key, name)
                self._drafts[name] = draft
                del self._drafts[key]
                draft.changed()
                draft.base = attrs.evolve(draft.base, id=name)

    def _cut_short(self, key: str) -> None:
        """Nothing more will come of this item."""
        draft = self._drafts.to_change(key)
        if draft is None:
            return
        if key not in self._order:
            del self._drafts[key]
        elif not draft.final and isinstance(draft.base, (MessageItem, FunctionCallItem)):
            draft.changed()
            draft.base, draft.final = attrs.evolve(draft.base, status="incomplete"), True

    # Finding things -------------------------------------------------------------------------------------------------

    def _take(self, key: str, item: ConversationItem, *, final: bool, keep_audio: bool = False) -> None:
        draft = self._drafts.to_change(key)
        if draft is None:
            draft = self._drafts[key] = ItemDraft(item)
        draft.take(item, final=final, keep_audio=keep_audio or self.keep_audio)
        self._find_format(key, item)

    def _find_format(self, key: str, item: ConversationItem) -> None:
        draft = self._drafts.to_change(key)
        assert draft is not None, "the item was just learned"
        if draft.format is None and isinstance(item, MessageItem) and any(part.audio for part in item.content):
            draft.format = self._output_format("") if item.role == "assistant" else self._input_format

    def _draft(self, item_id: str, guess: ConversationItem) -> Optional[ItemDraft]:
        """The item's draft, made if it was not seen yet; None if no item is named, or one that was deleted."""
        draft = self._drafts.to_change(item_id)
        if draft is None and item_id and item_id not in self._deleted:
            draft = self._drafts[item_id] = ItemDraft(guess)
        return draft

    def _is_over(self, response_id: str, item_key: str) -> bool:
        """True for what comes for an item after its response has ended and nobody else has the item."""
        response = self._responses.get(response_id)
        return (response is not None and response.done and item_key not in self._order) or (
            response is None and item_key in self._deleted
        )

    def _response_of(self, update: Any) -> ResponseDraft:
        """The response that an update belongs to; one that is not kept if it names none, or one that is done.

        What is done does not change any more, but its items may: in a way that is as good as another response's.
        """
        response = self._response(update.response_id) if update.response_id else None
        return self._new_response(None) if response is None or response.done else response

    def _response(self, key: str) -> ResponseDraft:
        response = self._responses.get(key)
        if response is None:
            response = self._responses[key] = self._new_response(None if key.startswith(_NAMELESS) else key)
        return response

    def _new_response(self, response_id: Optional[str]) -> ResponseDraft:
        told = ConversationResponse(id=response_id, status="in_progress")
        return ResponseDraft(told, self._drafts, keep_audio=self.keep_audio)

    def _live_responses(self) -> list[ResponseDraft]:
        return [response for response in self._responses.values() if not response.done]

    def _nameless(self) -> str:
        self._named += 1
        return f"{_NAMELESS}{self._named}"

    def _open_nameless_item(self) -> Optional[str]:
        key = f"{_NAMELESS}{self._named}"
        return key if key in self._drafts and not self._drafts[key].final else None

    def _open_nameless_response(self) -> Optional[str]:
        key = f"{_NAMELESS}{self._named}"
        return key if key in self._responses and not self._responses[key].done else None

    def _output_format(self, response_id: str) -> Optional[SampleFormat]:
        response = self._responses.get(response_id)
        told = response.told.output_audio_format if response is not None else None
        return sample_format(told or (self.session.output_audio_format if self.session is not None else None))

    @property
    def _input_format(self) -> Optional[SampleFormat]:
        """The format of what the user says; None if it is not one that this library knows."""
        return sample_format(self.session.input_audio_format if self.session is not None else None)


_NAMELESS = "\0"  # no id has one
_MOST_DELETED = 4096  # ids; what comes for an item that was deleted comes soon


def sample_format(told: Setting[AudioFormat]) -> Optional[SampleFormat]:
    """What a told format means; PCM if none was told, None if it is one that this library does not know."""
    if not told:
        return PCM
    try:
        return SampleFormat.of(told)
    except AudioFormatError:
        return None


# What a response takes over is about one of its items, but for what stands below.
_HANDLERS: dict[type[ConversationUpdate], Callable[[Accumulator, Any], None]] = {
    **dict.fromkeys(TAKEN_BY_RESPONSES, Accumulator._streamed),
    updates.SessionCreatedUpdate: Accumulator._session_created,
    updates.SessionUpdatedUpdate: Accumulator._session_updated,
    updates.TranscriptionSessionCreatedUpdate: Accumulator._session_created,
    updates.TranscriptionSessionUpdatedUpdate: Accumulator._session_updated,
    updates.ConversationCreatedUpdate: Accumulator._conversation_created,
    updates.ConversationItemAddedUpdate: Accumulator._item_added,
    updates.ConversationItemCreatedUpdate: Accumulator._item_added,
    updates.ConversationItemDoneUpdate: Accumulator._item_done,
    updates.ConversationItemRetrievedUpdate: Accumulator._item_retrieved,
    updates.ConversationItemDeletedUpdate: Accumulator._item_deleted,
    updates.ConversationItemTruncatedUpdate: Accumulator._item_truncated,
    updates.ConversationItemInputAudioTranscriptionDeltaUpdate: Accumulator._transcription_delta,
    updates.ConversationItemInputAudioTranscriptionUpdatedUpdate: Accumulator._transcription_updated,
    updates.ConversationItemInputAudioTranscriptionSegmentUpdate: Accumulator._transcription_segment,
    updates.ConversationItemInputAudioTranscriptionCompletedUpdate: Accumulator._transcription_completed,
    updates.ConversationItemInputAudioTranscriptionFailedUpdate: Accumulator._transcription_failed,
    updates.ResponseCreatedUpdate: Accumulator._response_created,
    updates.ResponseDoneUpdate: Accumulator._response_done,
    updates.ResponseOutputItemAddedUpdate: Accumulator._output_item,
    updates.ResponseOutputItemDoneUpdate: Accumulator._output_item,
    updates.ResponseOutputAudioDeltaUpdate: Accumulator._audio_delta,
}
