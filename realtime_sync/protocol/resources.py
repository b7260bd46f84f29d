"""What the server describes: sessions, responses, usage, limits, errors."""

from __future__ import annotations

from typing import Any, Literal, Optional, Union

import attrs

from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import AudioFormat, ConversationSessionOptions, CustomVoice
from realtime_sync.protocol.registry import UNSET, Setting, WireObject

__all__ = [
    "CachedTokenDetails",
    "ClientSecret",
    "ConversationInfo",
    "ConversationResponse",
    "ErrorDetails",
    "InputTokenDetails",
    "LogProb",
    "OutputTokenDetails",
    "RateLimit",
    "RealtimeSession",
    "ResponseStatusDetails",
    "TokenUsage",
    "TranscriptionLanguage",
    "TranscriptionUsage",
]


ResponseStatus = Union[Literal["completed", "cancelled", "failed", "incomplete", "in_progress"], str]
StatusReason = Union[Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class ClientSecret(WireObject):
    """An ephemeral key; ``expires_at`` is in Unix seconds. The value is not shown."""

    value: Optional[str] = attrs.field(default=None, repr=lambda value: "'***'" if value else repr(value))
    expires_at: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class RealtimeSession(ConversationSessionOptions):
    """A session as the server sees it: the options in force, and what the server adds.

    ``type`` is ``realtime``, ``transcription`` or ``translation``; ``expires_at`` is in Unix seconds. An option that
    the server did not tell is ``UNSET``; one that is off is ``None``.
    """

    id: Optional[str] = None
    object: Optional[str] = None
    type: Optional[Union[Literal["realtime", "transcription", "translation"], str]] = None
    expires_at: Optional[int] = None
    client_secret: Optional[ClientSecret] = None
    target_language: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationInfo(WireObject):
    """The conversation of a session."""

    id: Optional[str] = None
    object: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ErrorDetails(WireObject):
    """What went wrong. ``event_id`` is the client message that was refused, if it was one."""

    type: Optional[str] = None
    code: Optional[str] = None
    message: Optional[str] = None
    param: Optional[str] = None
    event_id: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class RateLimit(WireObject):
    """What is left of ``limit`` ``requests`` or ``tokens`` until the reset, in seconds."""

    name: Optional[Union[Literal["requests", "tokens"], str]] = None
    limit: Optional[int] = None
    remaining: Optional[int] = None
    reset_seconds: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class CachedTokenDetails(WireObject):
    """Cached input tokens by modality."""

    text_tokens: Optional[int] = None
    image_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class InputTokenDetails(WireObject):
    """Input tokens by modality; ``cached_tokens`` are a part of them, not beside them."""

    cached_tokens: Optional[int] = None
    text_tokens: Optional[int] = None
    image_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None
    cached_tokens_details: Optional[CachedTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class OutputTokenDetails(WireObject):
    """Output tokens by modality."""

    text_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TokenUsage(WireObject):
    """The tokens of one response."""

    total_tokens: Optional[int] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    input_token_details: Optional[InputTokenDetails] = None
    output_token_details: Optional[OutputTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionUsage(WireObject):
    """What a transcription cost: ``type`` ``tokens``, or ``duration`` in ``seconds``."""

    type: Optional[Union[Literal["tokens", "duration"], str]] = None
    seconds: Optional[float] = None
    total_tokens: Optional[int] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    input_token_details: Optional[InputTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LogProb(WireObject):
    """How sure the transcription was of one token; ``bytes`` are its UTF-8 bytes as numbers."""

    token: Optional[str] = None
    logprob: Optional[float] = None
    bytes: Optional[list[int]] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionLanguage(WireObject):
    """A language that was heard."""

    code: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ResponseStatusDetails(WireObject):
    """Why a response ended: ``reason`` is ``turn_detected``, ``client_cancelled``, ``max_output_tokens``, ..."""

    type: Optional[Union[Literal["completed", "cancelled", "failed", "incomplete"], str]] = None
    reason: Optional[StatusReason] = None
    error: Optional[ErrorDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationResponse(WireObject):
    """A response of the model; ``status``: ``in_progress``, ``completed``, ``cancelled``, ``failed``, ...

    ``conversation_id``: None for a response beside the conversation (out of band); ``UNSET`` where the server tells no
    conversation. ``metadata``: what the request gave, None where it gave none; ``UNSET`` where the server tells none.
    """

    id: Optional[str] = None
    object: Optional[str] = None
    status: Optional[ResponseStatus] = None
    status_details: Optional[ResponseStatusDetails] = None
    output: list[ConversationItem] = attrs.field(factory=list)
    metadata: Setting[dict[str, Any]] = UNSET
    usage: Optional[TokenUsage] = None
    conversation_id: Setting[str] = UNSET
    content_modalities: Optional[list[str]] = None
    voice: Optional[Union[str, CustomVoice]] = None
    output_audio_format: Optional[AudioFormat] = None
    max_output_tokens: Optional[Union[int, str]] = None
    temperature: Optional[float] = None
