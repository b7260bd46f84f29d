"""Items and responses in the making: what is known of each so far."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation.pieces import AudioPieces, TextPieces, base64_size
from realtime_sync.protocol.items import (
    ConversationContentPart,
    ConversationItem,
    FunctionCallItem,
    MCPCallItem,
    MessageItem,
    decode_base64,
)
from realtime_sync.protocol.registry import WireObject
from realtime_sync.protocol.resources import (
    ConversationResponse,
    ErrorDetails,
    LogProb,
    TranscriptionLanguage,
    TranscriptionUsage,
)

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
    """One content part: what it is (``base``), and its text, transcript and audio apart."""

    def __init__(self, kind: str) -> None:
        self.base = ConversationContentPart(type=kind)
        self.text = TextPieces()
        self.transcript = TextPieces()
        self.audio = AudioPieces()
        self.heard_ms: Optional[int] = None
        """Where the audio was cut short; None where it was not."""
        self.heard_text: Optional[str] = None
        """The words up to there, as large a part of them as of the audio; None where that cannot be told."""

    def take(self, told: ConversationContentPart, *, final: bool, keep_audio: bool) -> None:
        """Learn what a message tells of the whole part.

        An empty text takes nothing away: Azure Voice Live ends parts with empty ones (2026-07), xAI with none at all.
        """
        if told == _NOTHING:
            return
        self.base = attrs.evolve(told, text=None, transcript=None, audio=None)
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
        """The part as it stands, without its audio."""
        return attrs.evolve(self.base, text=self.text.value, transcript=self.transcript.value)

    def copy(self) -> PartDraft:
        """An independent copy."""
        copy = PartDraft(self.base.type)
        copy.base, copy.heard_ms, copy.heard_text = self.base, self.heard_ms, self.heard_text
        copy.text, copy.transcript, copy.audio = self.text.copy(), self.transcript.copy(), self.audio.copy()
        return copy


class ItemDraft:
    """One item: what it is (``base``, without content and arguments), and what came for it."""

    def __init__(self, guess: ConversationItem) -> None:
        self.base = guess
        self.guessed = True
        """True until a message has shown the item itself: its pieces came first."""
        self.final = False
        self.parts: dict[int, PartDraft] = {}
        self.arguments = TextPieces()
        self.transcriptions: dict[int, ItemTranscription] = {}
        self.format: Optional[SampleFormat] = None
        """Of its audio; None where there is none, or where it is not one that this library knows."""
        self._built: Optional[ConversationItem] = None

    def take(self, told: ConversationItem, *, final: bool, keep_audio: bool) -> None:
        """Learn what a message tells of the whole item. What was final is not undone by what comes late."""
        if self.final and not final:
            return
        self.changed()
        self.base, self.guessed, self.final = told, False, final
        if isinstance(told, MessageItem):
            self.base = attrs.evolve(told, content=[])
            for index, part in enumerate(told.content):
                self.part(index, part.type).take(part, final=final, keep_audio=keep_audio)
        elif isinstance(told, (FunctionCallItem, MCPCallItem)):
            self.base = attrs.evolve(told, arguments=None)
            if told.arguments and final:
                self.arguments.close(told.arguments)
            else:
                self.arguments.begin(told.arguments)

    def part(self, index: int, kind: str) -> PartDraft:
        """The part at this index, for a change; a new one is of this kind."""
        self.changed()
        part = self.parts.get(index)
        if part is None:
            part = self.parts[index] = PartDraft(kind)
        return part

    def transcription(self, index: int) -> ItemTranscription:
        """The transcription of a part, for a change."""
        return self.transcriptions.setdefault(index, ItemTranscription())

    def shown_transcription(self, index: int) -> Optional[ItemTranscription]:
        """The transcription of a part with its text; None where there is none."""
        told = self.transcriptions.get(index)
        if told is None:
            return None
        shown = attrs.evolve(told, text=self.parts[index].transcript.value if index in self.parts else None)
        shown.logprobs, shown.segments = list(told.logprobs), list(told.segments)
        return shown

    def changed(self) -> None:
        """The item that was built is out of date."""
        self._built = None

    def item(self) -> ConversationItem:
        """The item as it stands. Built once for each change."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> ConversationItem:
        if isinstance(self.base, MessageItem):
            return attrs.evolve(self.base, content=[self.parts[index].part() for index in sorted(self.parts)])
        if isinstance(self.base, (FunctionCallItem, MCPCallItem)):
            return attrs.evolve(self.base, arguments=self.arguments.value)
        return self.base

    def cut_short(self) -> bool:
        """True where what was heard of it is known by estimate only."""
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
        copy = ItemDraft(self.base)
        copy.guessed, copy.final, copy.format, copy._built = self.guessed, self.final, self.format, self._built
        copy.parts = {index: part.copy() for index, part in self.parts.items()}
        copy.arguments = self.arguments.copy()
        shown = {index: self.shown_transcription(index) for index in self.transcriptions}
        copy.transcriptions = {index: told for index, told in shown.items() if told is not None}
        return copy


class ResponseDraft:
    """One response: what is told of it, and the keys of its items by output index until it is done."""

    def __init__(self, told: ConversationResponse) -> None:
        self.told = told
        self.done = False
        self.outputs: dict[int, str] = {}

    def copy(self) -> ResponseDraft:
        """An independent copy."""
        copy = ResponseDraft(self.told)
        copy.done, copy.outputs = self.done, dict(self.outputs)
        return copy
