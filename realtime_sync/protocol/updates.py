"""Server messages, one class each, named by the wire.

A class has the name of its kind: ``ResponseDoneUpdate`` is of ``ConversationUpdateKind.RESPONSE_DONE``. By these names
all are registered, at the end of this module.

Every class has ``kind``, ``type`` (as the server spelled it), ``event_id``, ``raw_content`` (the frame's verbatim
text), ``extra`` (fields without a place here) and ``oddities`` (what was wrong with the message, in words). A field
that the schemas require is of a plain type: where a server leaves it out it is empty or 0, and ``oddities`` says so.
Updates are shared between everyone who listens: read them, do not change them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

import attrs

from realtime_sync.protocol import resources
from realtime_sync.protocol.items import ConversationContentPart, MCPListToolsItem, decode_base64
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.registry import REALTIME, public_classes
from realtime_sync.protocol.update_base import (
    ContentStreamingUpdateBase,
    ConversationUpdate,
    ItemStreamingPartDeltaUpdate,
    ItemStreamingUpdateBase,
    ItemUpdateBase,
    ResponseUpdateBase,
    SessionUpdateBase,
    WholeItemUpdateBase,
    shortened,
)


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _ContentDelta(ContentStreamingUpdateBase, ItemStreamingPartDeltaUpdate):
    """A piece of a content part."""

    delta: str = attrs.field(repr=shortened)
    obfuscation: Optional[str] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _ArgumentsDelta(ItemStreamingUpdateBase, ItemStreamingPartDeltaUpdate):
    """A piece of a call's arguments, of either kind."""

    delta: str = attrs.field(repr=shortened)
    obfuscation: Optional[str] = None

    @property
    def function_arguments(self) -> Optional[str]:
        return self.delta


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _TranslationDelta(ItemStreamingPartDeltaUpdate):
    """A piece of what a translation session hears or says."""

    delta: str = attrs.field(repr=shortened)
    obfuscation: Optional[str] = None


class SessionCreatedUpdate(SessionUpdateBase):
    """The session is open; always the first message."""


class SessionUpdatedUpdate(SessionUpdateBase):
    """The answer to ``session.update``: the settings now in force."""


class SessionClosedUpdate(ConversationUpdate):
    """A translation session has ended."""


class TranscriptionSessionCreatedUpdate(SessionUpdateBase):
    """A transcription session is open (preview)."""


class TranscriptionSessionUpdatedUpdate(SessionUpdateBase):
    """The answer to ``transcription_session.update``."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ErrorUpdate(ConversationUpdate):
    """The server refused a message or failed; the session usually goes on."""

    error: resources.ErrorDetails

    @property
    def message(self) -> Optional[str]:
        """What went wrong, in the server's words; None if it has none."""
        return self.error.message

    @property
    def code(self) -> Optional[str]:
        """What went wrong, in a word for programs, such as ``"session_expired"``; None if it has none."""
        return self.error.code

    @property
    def param(self) -> Optional[str]:
        """The field that was refused, such as ``"session.voice"``; None if it was none in particular."""
        return self.error.param

    @property
    def failed_event_id(self) -> Optional[str]:
        """The ``event_id`` of the client message that was refused; None if it was none in particular."""
        return self.error.event_id


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationCreatedUpdate(ConversationUpdate):
    """The conversation of the session."""

    conversation: resources.ConversationInfo


class ConversationItemAddedUpdate(WholeItemUpdateBase):
    """An item is in the conversation; its content may still be coming."""


class ConversationItemCreatedUpdate(WholeItemUpdateBase):
    """The older name of ``conversation.item.added``, which some GA servers send beside it."""


class ConversationItemDoneUpdate(WholeItemUpdateBase):
    """An item is complete."""


class ConversationItemRetrievedUpdate(WholeItemUpdateBase):
    """The answer to ``conversation.item.retrieve``."""


class ConversationItemDeletedUpdate(ItemUpdateBase):
    """An item was removed."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemTruncatedUpdate(ItemUpdateBase):
    """An item's audio was shortened."""

    content_index: int
    audio_end_ms: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemInputAudioTranscriptionDeltaUpdate(ItemUpdateBase):
    """A piece of the transcript of what the user said."""

    content_index: Optional[int] = None
    delta: Optional[str] = None
    obfuscation: Optional[str] = None
    logprobs: Optional[list[resources.LogProb]] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemInputAudioTranscriptionSegmentUpdate(ItemUpdateBase):
    """A part of the transcript with its speaker; ``start`` and ``end`` in seconds."""

    content_index: int
    text: str
    id: str
    speaker: str
    start: float
    end: float


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemInputAudioTranscriptionUpdatedUpdate(ItemUpdateBase):
    """xAI: ``transcript`` is all that the user has said so far, in place of what was told before; no piece to add.

    It may correct what was told before. xAI also spells it ``....completed`` with a ``status`` of ``"in_progress"``.
    """

    transcript: str
    content_index: Optional[int] = None
    status: Optional[str] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemInputAudioTranscriptionCompletedUpdate(ItemUpdateBase):
    """The transcript of what the user said; ``status`` is told by xAI alone."""

    content_index: int
    transcript: str
    status: Optional[str] = None
    languages: Optional[list[resources.TranscriptionLanguage]] = None
    logprobs: Optional[list[resources.LogProb]] = None
    usage: Optional[resources.TranscriptionUsage] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ConversationItemInputAudioTranscriptionFailedUpdate(ItemUpdateBase):
    """What the user said could not be transcribed."""

    content_index: int
    error: resources.ErrorDetails


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class InputAudioBufferCommittedUpdate(ItemUpdateBase):
    """The input buffer has become a user message."""

    previous_item_id: Optional[str] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class PingUpdate(ConversationUpdate):
    """xAI shows that it is still there; it wants no answer. ``timestamp`` in Unix milliseconds."""

    timestamp: Optional[int] = None


class InputAudioBufferClearedUpdate(ConversationUpdate):
    """The input buffer is empty."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class InputAudioBufferSpeechStartedUpdate(ItemUpdateBase):
    """The user begins to speak; milliseconds of audio received since the session began."""

    audio_start_ms: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class InputAudioBufferSpeechStoppedUpdate(ItemUpdateBase):
    """The user has stopped; milliseconds of audio received since the session began."""

    audio_end_ms: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class InputAudioBufferTimeoutTriggeredUpdate(ItemUpdateBase):
    """Nobody spoke for ``idle_timeout_ms``."""

    audio_start_ms: int
    audio_end_ms: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class InputAudioBufferDtmfEventReceivedUpdate(ConversationUpdate):
    """A telephone key; ``received_at`` in Unix seconds."""

    event: str
    received_at: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class OutputAudioBufferStartedUpdate(ConversationUpdate):
    """The server begins to play (WebRTC, SIP)."""

    response_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class OutputAudioBufferStoppedUpdate(ConversationUpdate):
    """The server has played all (WebRTC, SIP)."""

    response_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class OutputAudioBufferClearedUpdate(ConversationUpdate):
    """What was still to be played is gone (WebRTC, SIP)."""

    response_id: str


class ResponseCreatedUpdate(ResponseUpdateBase):
    """The model begins to answer."""


class ResponseDoneUpdate(ResponseUpdateBase):
    """The answer has ended: completed, cancelled, failed or incomplete."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseOutputItemAddedUpdate(WholeItemUpdateBase):
    """The answer has a new item."""

    response_id: str
    output_index: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseOutputItemDoneUpdate(WholeItemUpdateBase):
    """An item of the answer is complete."""

    response_id: str
    output_index: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseContentPartAddedUpdate(ContentStreamingUpdateBase):
    """An item of the answer has a new part."""

    part: ConversationContentPart


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseContentPartDoneUpdate(ContentStreamingUpdateBase):
    """A part of the answer is complete."""

    part: ConversationContentPart


class ResponseOutputTextDeltaUpdate(_ContentDelta):
    """A piece of the answer's text."""

    @property
    def text(self) -> Optional[str]:
        return self.delta


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseOutputTextDoneUpdate(ContentStreamingUpdateBase):
    """The whole text of a part."""

    text: str


class ResponseOutputAudioDeltaUpdate(_ContentDelta):
    """A piece of the answer's audio, as base64; ``audio_bytes`` has it decoded."""

    @property
    def audio_bytes(self) -> Optional[bytes]:
        return decode_base64(self.delta)


class ResponseOutputAudioDoneUpdate(ContentStreamingUpdateBase):
    """The audio of a part is complete."""


class ResponseOutputAudioTranscriptDeltaUpdate(_ContentDelta):
    """A piece of the transcript of the answer's audio."""

    @property
    def audio_transcript(self) -> Optional[str]:
        return self.delta


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseOutputAudioTranscriptDoneUpdate(ContentStreamingUpdateBase):
    """The whole transcript of a part's audio."""

    transcript: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseFunctionCallArgumentsDeltaUpdate(_ArgumentsDelta):
    """A piece of a call's arguments."""

    call_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseFunctionCallArgumentsDoneUpdate(ItemStreamingUpdateBase):
    """The arguments of a call, as JSON text. ``name`` is not told in preview."""

    call_id: str
    arguments: str
    name: Optional[str] = None


class ResponseMCPCallArgumentsDeltaUpdate(_ArgumentsDelta):
    """A piece of an MCP call's arguments."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseMCPCallArgumentsDoneUpdate(ItemStreamingUpdateBase):
    """The arguments of an MCP call, as JSON text."""

    arguments: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseMCPCallInProgressUpdate(ItemUpdateBase):
    """The service calls an MCP tool."""

    output_index: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseMCPCallCompletedUpdate(ItemUpdateBase):
    """An MCP call has its result."""

    output_index: int


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class ResponseMCPCallFailedUpdate(ItemUpdateBase):
    """An MCP call failed."""

    output_index: int


class MCPListToolsInProgressUpdate(ItemUpdateBase):
    """The service asks an MCP server for its tools."""


class MCPListToolsCompletedUpdate(ItemUpdateBase):
    """The MCP server's tools are known."""


class MCPListToolsFailedUpdate(ItemUpdateBase):
    """The MCP server could not be asked for its tools."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class RateLimitsUpdatedUpdate(ConversationUpdate):
    """What is left of the rate limits; some servers send an empty list."""

    rate_limits: list[resources.RateLimit]

    @property
    def requests(self) -> Optional[resources.RateLimit]:
        """The limit on requests, or None if it was not told."""
        return self._named("requests")

    @property
    def tokens(self) -> Optional[resources.RateLimit]:
        """The limit on tokens, or None if it was not told."""
        return self._named("tokens")

    def _named(self, name: str) -> Optional[resources.RateLimit]:
        return next((limit for limit in self.rate_limits if limit.name == name), None)


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionInputTranscriptDeltaUpdate(_TranslationDelta):
    """A piece of what was said, in the speaker's language (translation)."""

    elapsed_ms: Optional[int] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionOutputTranscriptDeltaUpdate(_TranslationDelta):
    """A piece of the translation as text."""

    elapsed_ms: Optional[int] = None

    @property
    def audio_transcript(self) -> Optional[str]:
        return self.delta


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionOutputAudioDeltaUpdate(_TranslationDelta):
    """A piece of the translation as speech; ``sample_rate`` in Hz."""

    sample_rate: Optional[int] = None
    channels: Optional[int] = None
    format: Optional[str] = None
    elapsed_ms: Optional[int] = None

    @property
    def audio_bytes(self) -> Optional[bytes]:
        return decode_base64(self.delta)


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class TranscriptionDeltaUpdate(ConversationUpdate):
    """vLLM's own realtime endpoint: a piece of what it hears."""

    delta: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class TranscriptionDoneUpdate(ConversationUpdate):
    """vLLM's own realtime endpoint: all that it has heard since it was told to listen."""

    text: str
    usage: Optional[resources.CompletionUsage] = None


def is_about_tool_lists(update: ConversationUpdate) -> bool:
    """True for what tells of a remote server's list of tools."""
    if isinstance(update, WholeItemUpdateBase):
        return isinstance(update.item, MCPListToolsItem)
    return isinstance(update, (MCPListToolsInProgressUpdate, MCPListToolsCompletedUpdate, MCPListToolsFailedUpdate))


REALTIME.register_updates(globals(), ConversationUpdateKind)

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
