"""What the server describes: sessions, responses, usage, limits, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import AudioFormat, ConversationSessionOptions, CustomVoice, Modality, Voice
from realtime_sync.protocol.registry import UNSET, Setting, WireObject, public_classes
from realtime_sync.secret import Secret

ResponseStatus = Union[Literal["completed", "cancelled", "failed", "incomplete", "in_progress"], str]
StatusReason = Union[Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class ClientSecret(WireObject):
    """An ephemeral key, as a session has it.

    Attributes:
        value: The key; reprs do not show it.
        expires_at: When it ends, in Unix seconds.
    """

    value: Optional[str] = attrs.field(default=None, converter=attrs.converters.optional(Secret))
    expires_at: Optional[int] = None


# NO_OP: converters run when one is made, not on assignment; hooks into that would make it 2 us slower of 22 in all.
@attrs.define(kw_only=True, repr=False, eq=False, on_setattr=attrs.setters.NO_OP)
class RealtimeSession(ConversationSessionOptions):
    """A session as the server describes it: the options in force, and what the server adds.

    An option that the server did not send is ``UNSET``; an option that is off is None.

    Attributes:
        id: The session's id.
        object: ``"realtime.session"``, or the like.
        type: ``"realtime"``, ``"transcription"`` or ``"translation"``.
        expires_at: When the service ends the session, in Unix seconds.
        client_secret: An ephemeral key, on preview endpoints.
        target_language: Of a translation: the language translated into.
    """

    id: Optional[str] = None
    object: Optional[str] = None
    type: Optional[Union[Literal["realtime", "transcription", "translation"], str]] = None
    expires_at: Optional[int] = None
    client_secret: Optional[ClientSecret] = None
    target_language: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationInfo(WireObject):
    """The conversation of a session.

    Attributes:
        id: The conversation's id.
        object: ``"realtime.conversation"``.
    """

    id: Optional[str] = None
    object: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ErrorDetails(WireObject):
    """What went wrong. A field that the server did not send is None.

    Attributes:
        type: ``"invalid_request_error"``, ``"server_error"``, ...
        code: The cause, for programs.
        message: The cause, for people.
        param: The field that was wrong.
        event_id: The client message that was refused, if it was one.
    """

    type: Optional[str] = None
    code: Optional[str] = None
    message: Optional[str] = None
    param: Optional[str] = None
    event_id: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class RateLimit(WireObject):
    """How much the service still takes until a limit is reset.

    Attributes:
        name: What is counted: ``"requests"`` or ``"tokens"``.
        limit: How many are allowed.
        remaining: How many are left.
        reset_seconds: Seconds until all are there again.
    """

    name: Optional[Union[Literal["requests", "tokens"], str]] = None
    limit: Optional[int] = None
    remaining: Optional[int] = None
    reset_seconds: Optional[float] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class CachedTokenDetails(WireObject):
    """Cached input tokens by modality. A field that the server did not send is None.

    Attributes:
        text_tokens: Of text.
        image_tokens: Of images.
        audio_tokens: Of audio.
    """

    text_tokens: Optional[int] = None
    image_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class InputTokenDetails(WireObject):
    """Input tokens by modality. A field that the server did not send is None.

    Attributes:
        cached_tokens: Tokens from the cache: a part of the others, not beside them.
        text_tokens: Of text.
        image_tokens: Of images.
        audio_tokens: Of audio.
        cached_tokens_details: The cached tokens by modality.
    """

    cached_tokens: Optional[int] = None
    text_tokens: Optional[int] = None
    image_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None
    cached_tokens_details: Optional[CachedTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class OutputTokenDetails(WireObject):
    """Output tokens by modality. A field that the server did not send is None.

    Attributes:
        text_tokens: Of text.
        audio_tokens: Of audio.
    """

    text_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TokenUsage(WireObject):
    """The tokens of one response. A field that the server did not send is None.

    Attributes:
        total_tokens: Input and output.
        input_tokens: All that the model read and heard.
        output_tokens: All that it wrote and said.
        input_token_details: The input by modality.
        output_token_details: The output by modality.
    """

    total_tokens: Optional[int] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    input_token_details: Optional[InputTokenDetails] = None
    output_token_details: Optional[OutputTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionUsage(WireObject):
    """What a transcription used. A field that the server did not send is None.

    Attributes:
        type: ``"tokens"``, or ``"duration"`` if it is billed by time.
        seconds: The length of the audio, if it is billed by time.
        total_tokens: Input and output.
        input_tokens: Of audio and prompt.
        output_tokens: Of the text.
        input_token_details: The input by modality.
    """

    type: Optional[Union[Literal["tokens", "duration"], str]] = None
    seconds: Optional[float] = None
    total_tokens: Optional[int] = None
    input_tokens: Optional[int] = None
    output_tokens: Optional[int] = None
    input_token_details: Optional[InputTokenDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class CompletionUsage(WireObject):
    """What vLLM used for a transcription, as chat completions tell it. A field that the server did not send is None.

    Attributes:
        prompt_tokens: Of the audio.
        completion_tokens: Of the text.
        total_tokens: Both.
    """

    prompt_tokens: Optional[int] = None
    completion_tokens: Optional[int] = None
    total_tokens: Optional[int] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class LogProb(WireObject):
    """How sure the transcription was of one token.

    Attributes:
        token: Its text.
        logprob: The logarithm of its probability.
        bytes: Its UTF-8 bytes as numbers.
    """

    token: Optional[str] = None
    logprob: Optional[float] = None
    bytes: Optional[list[int]] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionLanguage(WireObject):
    """A language that was heard.

    Attributes:
        code: Its code, such as ``"en"``.
    """

    code: Optional[str] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ResponseStatusDetails(WireObject):
    """Why a response ended. A field that the server did not send is None.

    Attributes:
        type: The status that this explains: ``"cancelled"``, ``"incomplete"`` or ``"failed"``.
        reason: ``"turn_detected"``, ``"client_cancelled"``, ``"max_output_tokens"``, ``"content_filter"``, ...
        error: What went wrong, of a failed response.
    """

    type: Optional[Union[Literal["completed", "cancelled", "failed", "incomplete"], str]] = None
    reason: Optional[StatusReason] = None
    error: Optional[ErrorDetails] = None


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationResponse(WireObject):
    """A response of the model. A field that the server did not send is None.

    Attributes:
        id: The response's id.
        object: ``"realtime.response"``.
        status: ``"in_progress"``, ``"completed"``, ``"cancelled"``, ``"failed"`` or ``"incomplete"``.
        status_details: Why it ended so.
        output: Its items, once it is done.
        metadata: What the request gave, None if it gave none; ``UNSET`` if the server does not say.
        usage: Its tokens, once it is done.
        conversation_id: The conversation that it belongs to; None out of band, ``UNSET`` if the server does not say.
        content_modalities: ``["audio"]`` or ``["text"]``.
        voice: The voice it speaks with.
        output_audio_format: The format of its audio.
        max_output_tokens: The bound on its tokens, or ``"inf"``.
        temperature: Preview endpoints only.
    """

    id: Optional[str] = None
    object: Optional[str] = None
    status: Optional[ResponseStatus] = None
    status_details: Optional[ResponseStatusDetails] = None
    output: list[ConversationItem] = attrs.field(factory=list)
    metadata: Setting[dict[str, Any]] = UNSET
    usage: Optional[TokenUsage] = None
    conversation_id: Setting[str] = UNSET
    content_modalities: Optional[list[Modality]] = None
    voice: Optional[Union[Voice, CustomVoice]] = None
    output_audio_format: Optional[AudioFormat] = None
    max_output_tokens: Optional[Union[int, str]] = None
    temperature: Optional[float] = None


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
