"""Settings of sessions and responses: flat, named as one thinks of them, one class for both dialects.

``UNSET`` (the default everywhere) is not sent, so the service keeps its value; ``None`` is sent as ``null``.
Where a type is ``str``, the service may add values, and any string is accepted.

What is heard and said has its settings in ``audio_options.py``, tools in ``tool_options.py``; here are all names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Union, cast

import attrs

from realtime_sync.models import ConversationModelName
from realtime_sync.protocol import audio_options, tool_options
from realtime_sync.protocol.audio_options import AudioFormat as AudioFormat
from realtime_sync.protocol.audio_options import CustomVoice as CustomVoice
from realtime_sync.protocol.audio_options import Eagerness as Eagerness
from realtime_sync.protocol.audio_options import InputNoiseReductionOptions as InputNoiseReductionOptions
from realtime_sync.protocol.audio_options import InputTranscriptionOptions as InputTranscriptionOptions
from realtime_sync.protocol.audio_options import TurnDetectionOptions as TurnDetectionOptions
from realtime_sync.protocol.audio_options import Voice as Voice
from realtime_sync.protocol.audio_options import (
    as_audio_format,
    as_noise_reduction,
    as_transcription,
    as_turn_detection,
)
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.registry import UNSET, Options, Setting, UnsetType, public_classes
from realtime_sync.protocol.tool_options import ConversationFunctionTool as ConversationFunctionTool
from realtime_sync.protocol.tool_options import ConversationMCPTool as ConversationMCPTool
from realtime_sync.protocol.tool_options import ConversationTool as ConversationTool
from realtime_sync.protocol.tool_options import ConversationToolChoice as ConversationToolChoice
from realtime_sync.protocol.tool_options import MCPApprovalPolicy as MCPApprovalPolicy
from realtime_sync.protocol.tool_options import MCPToolFilter as MCPToolFilter
from realtime_sync.protocol.tool_options import UnknownTool as UnknownTool
from realtime_sync.protocol.tool_options import as_list, as_tool_choice, as_tools

Modality = Union[Literal["text", "audio"], str]
Include = Union[Literal["item.input_audio_transcription.logprobs"], str]
MaxOutputTokens = Union[int, Literal["inf"]]


@attrs.define(kw_only=True, repr=False, eq=False)
class TracingOptions(Options):
    """Names for the service's own traces.

    Attributes:
        workflow_name: The workflow's name. UNSET: the service chooses.
        group_id: Groups several sessions. UNSET: no group.
        metadata: Anything to be kept with the trace. UNSET: nothing.
    """

    workflow_name: Setting[str] = UNSET
    group_id: Setting[str] = UNSET
    metadata: Setting[dict[str, Any]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TokenLimits(Options):
    """Bounds on the context after truncation.

    Attributes:
        post_instructions: Tokens that may follow the instructions. UNSET: the model's own limit.
    """

    post_instructions: Setting[int] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TruncationOptions(Options):
    """How much of the history to keep when the context is full.

    Attributes:
        type: ``"retention_ratio"``.
        retention_ratio: The part to keep, 0.0 to 1.0. UNSET: the service chooses.
        token_limits: Bounds in tokens. UNSET: the model's own.
    """

    type: Union[Literal["retention_ratio"], str] = "retention_ratio"
    retention_ratio: Setting[float] = UNSET
    token_limits: Setting[TokenLimits] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class PromptReference(Options):
    """A prompt that is kept at the service, and the values for its variables.

    OpenAI ends these prompts on 2026-11-30: keep the text in your program, and pass it as ``instructions``.

    Attributes:
        id: The prompt's id.
        version: Its version. UNSET: the newest.
        variables: Values by name: texts, or parts of content. UNSET: none.
    """

    id: str
    version: Setting[str] = UNSET
    variables: Setting[dict[str, Union[str, ConversationContentPart]]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ReasoningOptions(Options):
    """How much the model thinks before it answers.

    Attributes:
        effort: ``"minimal"``, ``"low"``, ``"medium"``, ``"high"`` or ``"xhigh"``. UNSET: the service chooses.
    """

    effort: Setting[Union[Literal["minimal", "low", "medium", "high", "xhigh"], str]] = UNSET


def _modalities(value: Setting[Union[Modality, Sequence[Modality]]]) -> Setting[list[Modality]]:
    return [value] if isinstance(value, str) else list(value) if value else value  # type: ignore[return-value]


def _include(value: Setting[Sequence[Include]]) -> Setting[list[Include]]:
    return value if value is None or isinstance(value, UnsetType) else as_list("include", value)


def _items(value: Setting[Sequence[ConversationItem]]) -> Setting[list[ConversationItem]]:
    if value is None or isinstance(value, UnsetType):
        return value
    return cast("list[ConversationItem]", as_list("input_items", value))


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationSessionOptions(Options):
    """Settings of a conversation session, for ``start_conversation_session`` and ``configure_session``.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session. None is sent as
    ``null``; where the service takes that, it says here what it means.

    Attributes:
        model: The model, or an Azure deployment. A session is started with the client's, and keeps it.
        instructions: What the model is to do and how it is to speak.
        content_modalities: ``["audio"]`` (its transcript comes with it) or ``["text"]``, on preview endpoints, too.
        voice: A name such as ``"marin"``, or a ``CustomVoice``; it cannot change after the first audio.
        output_speed: The speed of the speech, 0.25 to 1.5 times the normal one. GA endpoints only.
        input_audio_format: Of the user's audio; as ``output_audio_format``.
        output_audio_format: ``"audio/pcm"`` (24,000 Hz), ``"audio/pcmu"`` or ``"audio/pcma"`` as a text or as an
            ``AudioFormat``; also ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``.
        input_transcription_options: Have the user's speech written down; a text is the model alone. None: no longer.
        input_noise_reduction_options: Take noise out of the input; a text is the type alone. None: no longer.
        turn_detection_options: How turns are noticed; a text is the type alone. None, ``"none"``, or
            ``TurnDetectionOptions.disabled()``: not at all; the caller commits the audio and starts the responses.
        tools: What the model may call, as a list. Functions (plain ones, or with ``@function_tool``) are run by the
            session that the options are given to; definitions are JSON, or by ``ConversationTool.create_...``.
        tool_choice: Whether the model must call a tool: ``"auto"``, ``"none"``, ``"required"``, or a
            ``ConversationToolChoice``.
        parallel_tool_calls: Whether the model may call several tools at once. GA endpoints only.
        max_output_tokens: Tokens of each response, its calls included: 1 to 4,096, or ``"inf"``; the service refuses 0.
        temperature: How freely the model chooses its words, 0.6 to 1.2. Preview endpoints only.
        reasoning: How much the model thinks before it answers. GA endpoints only.
        tracing: ``"auto"``, or names for the service's traces. None: no traces. GA endpoints only.
        truncation: What to forget when the context is full: ``"auto"``, ``"disabled"``, or ``TruncationOptions``. GA
            endpoints only.
        prompt: A prompt that is kept at the service. GA endpoints only. OpenAI ends these on 2026-11-30: use
            ``instructions``.
        include: What the service adds to updates: ``["item.input_audio_transcription.logprobs"]``. GA endpoints only.
    """

    session_type: ClassVar[Optional[str]] = "realtime"

    model: Setting[ConversationModelName] = UNSET
    instructions: Setting[str] = UNSET
    content_modalities: Setting[list[Modality]] = attrs.field(default=UNSET, converter=_modalities)
    voice: Setting[Union[Voice, CustomVoice]] = UNSET
    output_speed: Setting[float] = UNSET
    input_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=as_audio_format)
    output_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=as_audio_format)
    input_transcription_options: Setting[InputTranscriptionOptions] = attrs.field(
        default=UNSET, converter=as_transcription
    )
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = attrs.field(
        default=UNSET, converter=as_noise_reduction
    )
    turn_detection_options: Setting[TurnDetectionOptions] = attrs.field(default=UNSET, converter=as_turn_detection)
    tools: Setting[list[ConversationTool]] = attrs.field(default=UNSET, converter=as_tools)
    tool_choice: Setting[ConversationToolChoice] = attrs.field(default=UNSET, converter=as_tool_choice)
    parallel_tool_calls: Setting[bool] = UNSET
    max_output_tokens: Setting[MaxOutputTokens] = UNSET
    temperature: Setting[float] = UNSET
    reasoning: Setting[ReasoningOptions] = UNSET
    tracing: Setting[Union[Literal["auto"], str, TracingOptions]] = UNSET
    truncation: Setting[Union[Literal["auto", "disabled"], str, TruncationOptions]] = UNSET
    prompt: Setting[PromptReference] = UNSET
    include: Setting[list[Include]] = attrs.field(default=UNSET, converter=_include)


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionSessionOptions(Options):
    """Settings of a session that only writes down what is said.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session. None is sent as
    ``null``; where the service takes that, it says here what it means.

    Attributes:
        content_modalities: ``["text"]``. Preview endpoints only.
        input_audio_format: ``"audio/pcm"`` (24,000 Hz), ``"audio/pcmu"`` or ``"audio/pcma"`` as a text or as an
            ``AudioFormat``; also ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``.
        input_transcription_options: The model that transcribes, the language, and hints.
        input_noise_reduction_options: Take noise out of the input. None: no longer.
        turn_detection_options: How the ends of utterances are noticed. None: not at all; the caller commits the audio.
        include: What the service adds to updates: ``["item.input_audio_transcription.logprobs"]``. GA endpoints only.
    """

    session_type: ClassVar[Optional[str]] = "transcription"

    content_modalities: Setting[list[Modality]] = attrs.field(default=UNSET, converter=_modalities)
    input_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=as_audio_format)
    input_transcription_options: Setting[InputTranscriptionOptions] = attrs.field(
        default=UNSET, converter=as_transcription
    )
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = attrs.field(
        default=UNSET, converter=as_noise_reduction
    )
    turn_detection_options: Setting[TurnDetectionOptions] = attrs.field(default=UNSET, converter=as_turn_detection)
    include: Setting[list[Include]] = attrs.field(default=UNSET, converter=_include)


@attrs.define(kw_only=True, repr=False, eq=False)
class TranslationSessionOptions(Options):
    """Settings of a session that translates speech as it is spoken.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session. None is sent as
    ``null``; where the service takes that, it says here what it means.

    Attributes:
        target_language: The language to translate into, such as ``"es"``.
        input_transcription_options: Have the speaker's own words written down, too. None: no longer.
        input_noise_reduction_options: Take noise out of the input. None: no longer.
    """

    session_type: ClassVar[Optional[str]] = None

    target_language: Setting[str] = UNSET
    input_transcription_options: Setting[InputTranscriptionOptions] = attrs.field(
        default=UNSET, converter=as_transcription
    )
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = attrs.field(
        default=UNSET, converter=as_noise_reduction
    )


SessionOptions = Union[ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions]


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationResponseOptions(Options):
    """What one response shall do otherwise than the session says.

    Each field is UNSET by default: the session's setting holds. None is sent as ``null``, which the service refuses
    for most fields.

    Attributes:
        instructions: What the model is to do and how it is to speak.
        content_modalities: ``["audio"]`` (its transcript comes with it) or ``["text"]``, on preview endpoints, too.
        voice: A name such as ``"marin"``, or a ``CustomVoice``; it cannot change after the first audio.
        output_audio_format: ``"audio/pcm"`` (24,000 Hz), ``"audio/pcmu"`` or ``"audio/pcma"`` as a text or as an
            ``AudioFormat``; also ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``.
        tools: What the model may call, as a list.
        tool_choice: Whether the model must call a tool: ``"auto"``, ``"none"``, ``"required"``, or a
            ``ConversationToolChoice``.
        parallel_tool_calls: Whether the model may call several tools at once. GA endpoints only.
        max_output_tokens: Tokens of this response, its calls included: 1 to 4,096, or ``"inf"``; the service refuses 0.
        temperature: How freely the model chooses its words, 0.6 to 1.2. Preview endpoints only.
        reasoning: How much the model thinks before it answers. GA endpoints only.
        prompt: A prompt that is kept at the service. GA endpoints only. OpenAI ends these on 2026-11-30: use
            ``instructions``.
        conversation: ``"none"``: out-of-band; the response answers ``input_items`` (or the conversation as it stands)
            and leaves the conversation as it was. ``"auto"``: it becomes a part of the conversation.
        metadata: Up to 16 texts by name; they come back with the response, to tell several apart.
        input_items: What the response answers, in place of the conversation. UNSET: the conversation.
    """

    instructions: Setting[str] = UNSET
    content_modalities: Setting[list[Modality]] = attrs.field(default=UNSET, converter=_modalities)
    voice: Setting[Union[Voice, CustomVoice]] = UNSET
    output_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=as_audio_format)
    tools: Setting[list[ConversationTool]] = attrs.field(default=UNSET, converter=as_tools)
    tool_choice: Setting[ConversationToolChoice] = attrs.field(default=UNSET, converter=as_tool_choice)
    parallel_tool_calls: Setting[bool] = UNSET
    max_output_tokens: Setting[MaxOutputTokens] = UNSET
    temperature: Setting[float] = UNSET
    reasoning: Setting[ReasoningOptions] = UNSET
    prompt: Setting[PromptReference] = UNSET
    conversation: Setting[Union[Literal["auto", "none"], str]] = UNSET
    metadata: Setting[dict[str, str]] = UNSET
    input_items: Setting[list[ConversationItem]] = attrs.field(default=UNSET, converter=_items)


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    _HERE = public_classes(globals())
    _PARTS = (*public_classes(vars(audio_options)), *public_classes(vars(tool_options)))
    __all__ = ["MaxOutputTokens", "Modality", "SessionOptions", "Voice", *_PARTS, *_HERE]
