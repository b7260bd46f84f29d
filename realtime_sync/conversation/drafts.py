"""Items and responses in the making: what is known of each so far."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Literal, Optional

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation.pieces import AudioPieces, TextPieces
from realtime_sync.conversation.sizes import OBJECT_BYTES, size_of
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import updates
from realtime_sync.protocol.items import (
    ConversationContentPart,
    ConversationItem,
    FunctionCallItem,
    MCPCallItem,
    MessageItem,
    base64_size,
    decode_base64,
)
from realtime_sync.protocol.plain import from_plain
from realtime_sync.protocol.registry import WireObject
from realtime_sync.protocol.resources import (
    ConversationResponse,
    ErrorDetails,
    LogProb,
    ResponseStatusDetails,
    TokenUsage,
    TranscriptionLanguage,
    TranscriptionUsage,
)
from realtime_sync.protocol.update_base import ConversationUpdate, ItemStreamingUpdateBase

Kind = Literal["text", "transcript"]
Saying = tuple[Kind, str]
"""A piece of what the model says, written or spoken."""

CONNECTION_LOST = "connection_lost"
"""The reason of a response that its connection did not outlive; no service says it."""

_NAMELESS = "\0output "  # no id begins so
_NOTHING = ConversationContentPart()


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptSegment(WireObject):
    """A part of a transcript with its speaker; ``start`` and ``end`` in seconds of the item's audio."""

    id: Optional[str] = None
    text: Optional[str] = None
    speaker: Optional[str] = None
    start: Optional[float] = None
    end: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ItemTranscription(WireObject):
    """The transcription of what the user said in one part of an item.

    ``status``: ``in_progress``, ``completed`` or ``failed``; then ``error`` says why. ``text``: what came so far, None
    where nothing did. ``usage`` is by the transcription's own model.
    """

    status: str = "in_progress"
    text: Optional[str] = None
    logprobs: list[LogProb] = attrs.field(factory=list)
    segments: list[TranscriptSegment] = attrs.field(factory=list)
    languages: list[TranscriptionLanguage] = attrs.field(factory=list)
    usage: Optional[TranscriptionUsage] = None
    error: Optional[ErrorDetails] = None


class PartDraft:
    """One content part: as it was told last (``base``, without its audio), and its text, transcript and audio apart."""

    def __init__(self, kind: str) -> None:
        self.base = ConversationContentPart(type=kind)
        self.text = TextPieces()
        self.transcript = TextPieces()
        self.audio = AudioPieces()
        self.heard_ms: Optional[int] = None
        """Where the audio was cut short; None if it was not."""
        self.heard_text: Optional[str] = None
        """The words up to there, as large a part of them as of the audio; None if that cannot be told."""
        self.told_transcription: Optional[ItemTranscription] = None
        """Of what the user said, without its text and segments; None if nothing was told of it."""
        self.segments: dict[str, TranscriptSegment] = {}
        """Those of the transcription, by their ids."""

    def take(self, told: ConversationContentPart, *, final: bool, keep_audio: bool) -> None:
        """Learn what a message tells of the whole part.

        An empty text takes nothing away: Azure Voice Live ends parts with empty ones (2026-07), xAI with none at all.
        """
        if not told.text and told == _NOTHING:
            return
        self.base = attrs.evolve(told, audio=None) if told.audio else told
        for pieces, text in ((self.text, told.text), (self.transcript, told.transcript)):
            if text and final and not (pieces is self.transcript and self.heard_ms is not None):
                pieces.close(text)
            else:
                pieces.begin(text)
        if told.audio and not self.audio.closed:
            samples = decode_base64(told.audio) if keep_audio else None
            self.audio.replace(base64_size(told.audio), samples)

    def truncate(self, heard_ms: int, format: Optional[SampleFormat]) -> None:
        """Only so much was heard. The transcript goes, as at the service: it says more than that."""
        self.heard_ms = heard_ms
        received, words = self.audio.size, (self.transcript.value or self.heard_text or "").split()
        self.transcript.close("")
        if format is not None:
            self.audio.cut(max(0, heard_ms) * format.rate // 1000 * format.sample_bytes)
            if received and words:
                self.heard_text = " ".join(words[: len(words) * self.audio.size // received])
        self.audio.closed = True

    def part(self) -> ConversationContentPart:
        """The part as it stands, without its audio; as it was told, if that is the same."""
        text, transcript = self.text.value, self.transcript.value
        if text == self.base.text and transcript == self.base.transcript:
            return self.base
        return attrs.evolve(self.base, text=text, transcript=transcript)

    @property
    def memory(self) -> int:
        """How many bytes it takes beside its texts, about: of kept audio, and of what is told of its transcription."""
        told = self.told_transcription
        return self.audio.memory + OBJECT_BYTES * (len(self.segments) + (len(told.logprobs) if told else 0))

    def transcription(self) -> ItemTranscription:
        """The transcription, for a change."""
        self.told_transcription = self.told_transcription or ItemTranscription()
        return self.told_transcription

    def shown_transcription(self) -> Optional[ItemTranscription]:
        """The transcription with its text; None if there is none."""
        told = self.told_transcription
        if told is None:
            return None
        logprobs, segments = list(told.logprobs), list(self.segments.values())
        return attrs.evolve(told, text=self.transcript.value, logprobs=logprobs, segments=segments)

    def copy(self) -> PartDraft:
        """An independent copy."""
        copied = copy.copy(self)
        copied.text, copied.transcript, copied.audio = self.text.copy(), self.transcript.copy(), self.audio.copy()
        copied.told_transcription, copied.segments = self.shown_transcription(), dict(self.segments)
        return copied


class ItemDraft:
    """One item: as it was told last (``base``), and its content or its arguments, which come in pieces, apart."""

    def __init__(self, guess: ConversationItem) -> None:
        self.base = guess
        self.guessed = True
        """True until a message has shown the item itself: its pieces came first."""
        self.final = False
        self.parts: dict[int, PartDraft] = {}
        self.arguments = TextPieces()
        self.format: Optional[SampleFormat] = None
        """Of its audio; None if there is none, or if it is not one that this library knows."""
        self._built: Optional[ConversationItem] = None

    def take(self, told: ConversationItem, *, final: bool, keep_audio: bool) -> None:
        """Learn what a message tells of the whole item. What was final is not undone by what comes late."""
        if self.final and not final:
            return
        self.changed()
        self.base, self.guessed, self.final = told, False, final
        if isinstance(told, MessageItem):
            if any(part.audio for part in told.content):  # it is not to be kept
                self.base = attrs.evolve(told, content=[])
            for index, part in enumerate(told.content):
                self.part(index, part.type).take(part, final=final, keep_audio=keep_audio)
        elif isinstance(told, (FunctionCallItem, MCPCallItem)):
            if told.arguments and final:
                self.arguments.close(told.arguments)
            else:
                self.arguments.begin(told.arguments)

    def part(self, index: int, kind: str) -> PartDraft:
        """The part at this index, for a change; a new one is of this kind."""
        self._built = None
        part = self.parts.get(index)
        if part is None:
            part = self.parts[index] = PartDraft(kind)
        return part

    def changed(self) -> None:
        """The item that was built is out of date."""
        self._built = None

    def item(self) -> ConversationItem:
        """The item as it stands. Built once for each change."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> ConversationItem:
        base = self.base
        if isinstance(base, MessageItem):
            content = [self.parts[index].part() for index in sorted(self.parts)]
            as_told = len(content) == len(base.content) and all(map(operator.is_, content, base.content))
            return base if as_told else attrs.evolve(base, content=content)
        if isinstance(base, (FunctionCallItem, MCPCallItem)):
            arguments = self.arguments.value
            return base if base.arguments == arguments else attrs.evolve(base, arguments=arguments)
        return base

    def without_pieces(self) -> ConversationItem:
        """The item without its content or its arguments."""
        if isinstance(self.base, MessageItem):
            return attrs.evolve(self.base, content=[])
        if isinstance(self.base, (FunctionCallItem, MCPCallItem)):
            return attrs.evolve(self.base, arguments=None)
        return self.base

    @property
    def memory(self) -> int:
        """How many bytes it takes, about."""
        return size_of(self.item()) + sum(part.memory for part in self.parts.values())

    def cut_short(self) -> bool:
        """True if what was heard of it is known by estimate only."""
        return any(part.heard_text for part in self.parts.values())

    def carried_item(self) -> ConversationItem:
        """The item as it can be told to another service: with the words that were heard of what was cut short."""
        item = self.item()
        if not self.cut_short() or not isinstance(item, MessageItem):
            return item
        parts = zip(item.content, (self.parts[index] for index in sorted(self.parts)), strict=True)
        content = [attrs.evolve(told, transcript=part.heard_text or told.transcript) for told, part in parts]
        return attrs.evolve(item, content=content)

    def copy(self) -> ItemDraft:
        """An independent copy."""
        copied = copy.copy(self)
        copied.parts = {index: part.copy() for index, part in self.parts.items()}
        copied.arguments = self.arguments.copy()
        return copied


class ItemDrafts(dict[str, ItemDraft]):
    """Drafts by the keys of their items. What is shared with others is copied before it is changed.

    So sharing costs the same however much was said, and nothing that is shared ever changes.
    """

    def __init__(self, drafts: Iterable[tuple[str, ItemDraft]] = ()) -> None:
        super().__init__(drafts)
        self._shared: set[str] = set()

    def to_change(self, key: str) -> Optional[ItemDraft]:
        """The draft, for a change; None if there is none. All others are read only."""
        if key in self._shared:
            self._shared.discard(key)
            if key in self:
                self[key] = self[key].copy()
        return self.get(key)

    def share(self) -> ItemDrafts:
        """Another one with the same drafts, that changes independently of this one."""
        other = ItemDrafts(self.items())
        self._shared, other._shared = set(self), set(self)
        return other


class ResponseDraft:
    """One response in the making: the one place where what a server tells of it adds up.

    Pieces add up; what is told as a whole takes their place, or is a piece if none came; what comes late changes
    nothing. ``items``: the drafts of its items by key; None: its own. A conversation gives its own, which it shares.
    """

    def __init__(
        self, told: ConversationResponse, items: Optional[ItemDrafts] = None, *, keep_audio: bool = False
    ) -> None:
        self.told = told
        self.done = False
        self.outputs: dict[int, str] = {}
        """The keys of its items by output index."""
        self.items = ItemDrafts() if items is None else items
        self._keep_audio = keep_audio
        self._sources: dict[Kind, str] = {}  # by kind of text: which messages told it

    def apply(self, update: ConversationUpdate) -> Sequence[Saying]:
        """Take over an update of this response; returns the texts that only whole messages have told until now.

        Whole texts are pieces if the server sends none (Hugging Face's spoke so until 2026-08, a sentence a message).
        """
        handler = _APPLY.get(type(update))
        return () if handler is None else handler(self, update) or ()

    @property
    def text(self) -> str:
        """All that was written."""
        return self._joined("text")

    @property
    def transcript(self) -> str:
        """All that was spoken, in words."""
        return self._joined("transcript")

    @property
    def reason(self) -> Optional[str]:
        """Why it ended as it did; None if that was not told."""
        return self.told.status_details.reason if self.told.status_details else None

    @property
    def item_ids(self) -> list[str]:
        """The ids of its items, in the order in which they were told."""
        return [key for key in self.outputs.values() if not key.startswith(_NAMELESS)]

    def output(self) -> list[ConversationItem]:
        """Its items as they stand: those that the end has told, else those that came."""
        if self.done and self.told.output:
            return [
                self.items[item.id].item() if item.id and item.id in self.items else item for item in self.told.output
            ]
        return [draft.item() for draft in self._drafts()]

    def lose(self) -> None:
        """Its connection has ended, and nothing more will come of it."""
        details = ResponseStatusDetails(type="incomplete", reason=CONNECTION_LOST)
        self.told = attrs.evolve(self.told, status="incomplete", status_details=details, output=self.output())
        self.done = True

    @property
    def memory(self) -> int:
        """How many bytes it takes, about, without items that are still in the making."""
        output = sum(map(size_of, self.told.output))
        return OBJECT_BYTES * (1 + len(self.outputs)) + output + (len(str(self.told.extra)) if self.told.extra else 0)

    def let_go(self) -> None:
        """Refer to no drafts any more: it is done, and tells its output itself."""
        self.outputs, self.items = {}, ItemDrafts()

    def copy(self, items: ItemDrafts) -> ResponseDraft:
        """A copy that is independent but for its items, which are these."""
        copied = copy.copy(self)
        copied.items, copied.outputs, copied._sources = items, dict(self.outputs), dict(self._sources)
        return copied

    def _joined(self, kind: Kind) -> str:
        told = (
            [self.items[item.id] for item in self.told.output if item.id and item.id in self.items] if self.done else []
        )
        # What the end tells may have other ids than what came before it: then each text is there twice.
        for drafts in (told, self._drafts()):
            parts = [draft.parts[index] for draft in drafts for index in sorted(draft.parts)]
            text = "".join(getattr(part, kind).value or "" for part in parts)
            if text:
                return text
        return ""

    def _drafts(self) -> list[ItemDraft]:
        keys = [self.outputs[index] for index in sorted(self.outputs)]
        return [self.items[key] for key in keys if key in self.items]

    # What updates do to it ------------------------------------------------------------------------------------------

    def _created(self, update: updates.ResponseCreatedUpdate) -> None:
        if not self.done:
            self.told = attrs.evolve(update.response, output=[])

    def _finish(self, update: updates.ResponseDoneUpdate) -> list[Saying]:
        if self.done:
            return []
        output = update.response.output
        for index, item in enumerate(output):
            self._learn(item, index, final=True)
        self.told, usage = update.response, usage_of(update)
        if usage is not self.told.usage:
            self.told = attrs.evolve(self.told, usage=usage)
        self.done = True
        return self._said_by(output, "response")

    def _item_added(self, update: updates.ResponseOutputItemAddedUpdate) -> None:
        self._learn(update.item, update.output_index, final=False)

    def _item_done(self, update: updates.ResponseOutputItemDoneUpdate) -> list[Saying]:
        self._learn(update.item, update.output_index, final=True)
        return self._said_by([update.item], "item")

    def _part_added(self, update: updates.ResponseContentPartAddedUpdate) -> None:
        draft = self._item(update, _message)
        if not draft.final:
            part = draft.part(update.content_index, update.part.type)
            part.take(update.part, final=False, keep_audio=self._keep_audio)

    def _part_done(self, update: updates.ResponseContentPartDoneUpdate) -> list[Saying]:
        part = self._item(update, _message).part(update.content_index, update.part.type)
        part.take(update.part, final=True, keep_audio=self._keep_audio)
        return self._said_by_part(update.part, "part")

    def _text_delta(self, update: updates.ResponseOutputTextDeltaUpdate) -> None:
        self._sources["text"] = "delta"
        self._item(update, _message).part(update.content_index, "output_text").text.add(update.delta)

    def _transcript_delta(self, update: updates.ResponseOutputAudioTranscriptDeltaUpdate) -> None:
        self._sources["transcript"] = "delta"
        self._item(update, _message).part(update.content_index, "output_audio").transcript.add(update.delta)

    def _text_done(self, update: updates.ResponseOutputTextDoneUpdate) -> list[Saying]:
        part = self._item(update, _message).part(update.content_index, "output_text")
        return self._text_told("text", part.text, update.text)

    def _transcript_done(self, update: updates.ResponseOutputAudioTranscriptDoneUpdate) -> list[Saying]:
        part = self._item(update, _message).part(update.content_index, "output_audio")
        # What was truncated is told without the words that were not heard, and stays so.
        return self._text_told("transcript", part.transcript, "" if part.heard_ms is not None else update.transcript)

    def _text_told(self, kind: Kind, pieces: TextPieces, text: str) -> list[Saying]:
        if not text:  # some servers end parts with empty texts
            return []
        if self._sources.setdefault(kind, "delta" if pieces.value else "done") != "done":
            pieces.close(text)
            return []
        pieces.add(text)
        return [(kind, text)]

    def add_audio(self, update: updates.ResponseOutputAudioDeltaUpdate) -> None:
        """As ``apply``, for a piece of audio."""
        draft = self._item(update, _message)
        part = draft.parts.get(update.content_index) or draft.part(update.content_index, "output_audio")
        part.audio.add(update.delta, keep=self._keep_audio)

    def _arguments_delta(self, update: Any) -> None:
        draft = self._item(update, _call)
        draft.changed()
        draft.arguments.add(update.delta)

    def _arguments_done(self, update: Any) -> None:
        draft = self._item(update, _call)
        draft.changed()
        if update.arguments:
            draft.arguments.close(update.arguments)
        name = getattr(update, "name", None)
        if name and isinstance(draft.base, FunctionCallItem) and not draft.base.name:
            draft.base = attrs.evolve(draft.base, name=name)

    # Finding its items ----------------------------------------------------------------------------------------------

    def _learn(self, item: ConversationItem, index: int, *, final: bool) -> None:
        key = self._key(item.id, index)
        self._join(key, index)
        draft = self.items.to_change(key)
        if draft is None:
            draft = self.items[key] = ItemDraft(item)
        draft.take(item, final=final, keep_audio=self._keep_audio)

    def _item(self, update: ItemStreamingUpdateBase, guess: Callable[[Any], ConversationItem]) -> ItemDraft:
        """The draft of the item that an update is about, made if it was not seen yet."""
        draft = self.items.to_change(update.item_id)
        if draft is None or self.outputs.get(update.output_index) != update.item_id:  # there are many pieces
            key = self._key(update.item_id, update.output_index)
            self._join(key, update.output_index)
            draft = self.items.to_change(key)
            if draft is None:
                draft = self.items[key] = ItemDraft(guess(update))
        return draft

    def _key(self, item_id: Optional[str], index: int) -> str:
        """The item's id; without one it is the item that is at this place."""
        return item_id or self.outputs.get(index) or f"{_NAMELESS}{index}"

    def _join(self, key: str, index: int) -> None:
        if self.done or key in self.outputs.values():
            return
        there = self.outputs.get(index)
        if there is not None and there.startswith(_NAMELESS):  # its pieces came without its id
            draft = self.items.to_change(there)
            if draft is not None:
                self.items[key] = draft
                del self.items[there]
        elif there is not None:
            index = max(self.outputs) + 1
        self.outputs[index] = key

    # Texts that are told as a whole ---------------------------------------------------------------------------------

    def _said_by(self, items: Sequence[ConversationItem], source: str) -> list[Saying]:
        """Whole items: they tell what was said only if nothing else did."""
        if not set(self._sources.values()) <= {source}:
            return []
        parts = [part for item in items if isinstance(item, MessageItem) for part in item.content]
        return [saying for part in parts for saying in self._said_by_part(part, source)]

    def _said_by_part(self, part: ConversationContentPart, source: str) -> list[Saying]:
        told: list[tuple[Kind, Optional[str]]] = [("text", part.text), ("transcript", part.transcript)]
        return [(kind, text) for kind, text in told if text and self._sources.setdefault(kind, source) == source]


def _message(update: ItemStreamingUpdateBase) -> ConversationItem:
    return MessageItem(id=update.item_id or None, role="assistant", status="in_progress")


def _call(update: ItemStreamingUpdateBase) -> ConversationItem:
    if isinstance(update, (updates.ResponseMCPCallArgumentsDeltaUpdate, updates.ResponseMCPCallArgumentsDoneUpdate)):
        return MCPCallItem(id=update.item_id or None, status="in_progress")
    call_id = getattr(update, "call_id", None)
    return FunctionCallItem(id=update.item_id or None, call_id=call_id or None, status="in_progress")


def usage_of(update: updates.ResponseDoneUpdate) -> Optional[TokenUsage]:
    """The response's usage; xAI tells it beside the response, and an empty one inside it (2026-07)."""
    inside = update.response.usage
    beside = update.extra.get("usage")
    if isinstance(beside, dict) and (inside is None or inside == TokenUsage()):
        try:
            return from_plain(beside, TokenUsage)
        except InvalidInputError:
            return inside
    return inside


_APPLY: dict[type[ConversationUpdate], Callable[[ResponseDraft, Any], Optional[list[Saying]]]] = {
    updates.ResponseCreatedUpdate: ResponseDraft._created,
    updates.ResponseDoneUpdate: ResponseDraft._finish,
    updates.ResponseOutputItemAddedUpdate: ResponseDraft._item_added,
    updates.ResponseOutputItemDoneUpdate: ResponseDraft._item_done,
    updates.ResponseContentPartAddedUpdate: ResponseDraft._part_added,
    updates.ResponseContentPartDoneUpdate: ResponseDraft._part_done,
    updates.ResponseOutputTextDeltaUpdate: ResponseDraft._text_delta,
    updates.ResponseOutputTextDoneUpdate: ResponseDraft._text_done,
    updates.ResponseOutputAudioTranscriptDeltaUpdate: ResponseDraft._transcript_delta,
    updates.ResponseOutputAudioTranscriptDoneUpdate: ResponseDraft._transcript_done,
    updates.ResponseOutputAudioDeltaUpdate: ResponseDraft.add_audio,
    updates.ResponseFunctionCallArgumentsDeltaUpdate: ResponseDraft._arguments_delta,
    updates.ResponseFunctionCallArgumentsDoneUpdate: ResponseDraft._arguments_done,
    updates.ResponseMCPCallArgumentsDeltaUpdate: ResponseDraft._arguments_delta,
    updates.ResponseMCPCallArgumentsDoneUpdate: ResponseDraft._arguments_done,
}

TAKEN_BY_RESPONSES = frozenset(_APPLY)
"""The classes of updates that a ``ResponseDraft`` takes over."""
