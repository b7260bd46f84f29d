"""Settings of sessions and responses: flat, named as one thinks of them, one class for both dialects.

``UNSET`` (the default everywhere) is not sent, so the service keeps its value; ``None`` is sent as ``null``.
Where a type is ``str``, the service may add values, and any string is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Optional, Protocol, Union, cast

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.registry import UNSET, Options, Setting, UnsetType, url_repr

__all__ = [
    "AudioFormat",
    "ConversationFunctionTool",
    "ConversationMCPTool",
    "ConversationResponseOptions",
    "ConversationSessionOptions",
    "ConversationTool",
    "ConversationToolChoice",
    "CustomVoice",
    "InputNoiseReductionOptions",
    "InputTranscriptionOptions",
    "MCPApprovalPolicy",
    "MCPToolFilter",
    "MaxOutputTokens",
    "Modality",
    "PromptReference",
    "ReasoningOptions",
    "SessionOptions",
    "TokenLimits",
    "TracingOptions",
    "TranscriptionSessionOptions",
    "TranslationSessionOptions",
    "TruncationOptions",
    "TurnDetectionOptions",
    "UnknownTool",
    "Voice",
]

Voice = Union[
    Literal["alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"],
    Literal["fable", "onyx", "nova"],  # named by preview's schemas alone
    str,
]
Modality = Union[Literal["text", "audio"], str]
MaxOutputTokens = Union[int, Literal["inf"]]
Eagerness = Union[Literal["low", "medium", "high", "auto"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class AudioFormat(Options):
    """How audio bytes are to be read: ``audio/pcm`` is 16 bit little endian mono at 24,000 Hz.

    ``audio/pcmu`` and ``audio/pcma`` are G.711 µ-law and A-law, 8 bit mono at 8,000 Hz. ``rate`` is in Hz.
    """

    type: Union[Literal["audio/pcm", "audio/pcmu", "audio/pcma"], str] = "audio/pcm"
    rate: Setting[int] = UNSET


def _audio_format(value: Setting[Union[AudioFormat, str]]) -> Setting[AudioFormat]:
    """``"pcm16"``, ``"g711_ulaw"``, ``"audio/pcmu"``, ... as an ``AudioFormat``."""
    if not isinstance(value, str):
        return value
    name = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}.get(value, value)
    return AudioFormat(type=name, rate=24000) if name == "audio/pcm" else AudioFormat(type=name)


@attrs.define(kw_only=True, repr=False, eq=False)
class InputTranscriptionOptions(Options):
    """Ask for the user's speech as text, by a model of its own beside the conversation's."""

    model: Setting[str] = UNSET
    language: Setting[str] = UNSET
    """ISO-639-1, such as ``"en"``; better and faster when told."""
    languages: Setting[list[str]] = UNSET
    """Those that may be spoken, where it is not certain which."""
    keywords: Setting[list[str]] = UNSET
    """Words and phrases that are likely to be said."""
    prompt: Setting[str] = UNSET
    """What it is about, in a sentence; for ``whisper-1`` a list of keywords."""
    delay: Setting[str] = UNSET
    """``minimal``, ``low``, ``medium``, ``high``, ``xhigh``: how long to wait for context."""


@attrs.define(kw_only=True, repr=False, eq=False)
class InputNoiseReductionOptions(Options):
    """``near_field`` for a headset, ``far_field`` for a room microphone; ``strength`` 1.0 is the service's default."""

    type: Setting[str] = UNSET
    strength: Setting[float] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TurnDetectionOptions(Options):
    """How the service notices that the user has begun or ended to speak.

    Use ``server_vad(...)``, ``semantic_vad(...)`` or ``disabled()``. Durations are in milliseconds.
    """

    type: Union[Literal["server_vad", "semantic_vad", "none"], str] = "server_vad"
    threshold: Setting[float] = UNSET
    prefix_padding_ms: Setting[int] = UNSET
    silence_duration_ms: Setting[int] = UNSET
    create_response: Setting[bool] = UNSET
    interrupt_response: Setting[bool] = UNSET
    idle_timeout_ms: Setting[int] = UNSET
    eagerness: Setting[Eagerness] = UNSET

    @classmethod
    def server_vad(
        cls,
        *,
        threshold: Setting[float] = UNSET,
        prefix_padding_ms: Setting[int] = UNSET,
        silence_duration_ms: Setting[int] = UNSET,
        create_response: Setting[bool] = UNSET,
        interrupt_response: Setting[bool] = UNSET,
        idle_timeout_ms: Setting[int] = UNSET,
    ) -> TurnDetectionOptions:
        """By loudness: above ``threshold`` (0.0 to 1.0) is speech, ``silence_duration_ms`` of quiet end a turn.

        ``prefix_padding_ms`` of sound before the speech are heard with it. ``create_response=False``: turns are
        noticed, and the caller starts the responses; ``interrupt_response=False``: speech does not cut off an answer.
        ``idle_timeout_ms`` (5,000 to 30,000; None: never) after an answer the model speaks again by itself.
        """
        return cls(
            type="server_vad",
            threshold=threshold,
            prefix_padding_ms=prefix_padding_ms,
            silence_duration_ms=silence_duration_ms,
            create_response=create_response,
            interrupt_response=interrupt_response,
            idle_timeout_ms=idle_timeout_ms,
        )

    @classmethod
    def semantic_vad(
        cls,
        *,
        eagerness: Setting[Eagerness] = UNSET,
        create_response: Setting[bool] = UNSET,
        interrupt_response: Setting[bool] = UNSET,
    ) -> TurnDetectionOptions:
        """By what was said; ``eagerness`` to answer is ``low``, ``medium``, ``high`` or ``auto`` (``medium``).

        ``create_response`` and ``interrupt_response`` as in ``server_vad``.
        """
        return cls(
            type="semantic_vad",
            eagerness=eagerness,
            create_response=create_response,
            interrupt_response=interrupt_response,
        )

    @classmethod
    def disabled(cls) -> TurnDetectionOptions:
        """Off: the caller commits the audio and starts the responses."""
        return cls(type="none")


@attrs.define(kw_only=True, repr=False, eq=False)
class CustomVoice(Options):
    """A voice of one's own, by its id."""

    id: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationTool(Options):
    """What the model may call. Use ``create_function_tool`` or ``create_mcp_tool``."""

    type: str

    @staticmethod
    def create_function_tool(
        name: str, description: Setting[str] = UNSET, parameters: Setting[Mapping[str, Any]] = UNSET
    ) -> ConversationFunctionTool:
        """A function that the caller runs; ``parameters`` is a JSON schema (a dict)."""
        known = parameters if parameters is UNSET or parameters is None else dict(parameters)
        return ConversationFunctionTool(name=name, description=description, parameters=known)

    @staticmethod
    def create_mcp_tool(server_label: str, server_url: Setting[str] = UNSET, **settings: Any) -> ConversationMCPTool:
        """A remote MCP server whose tools the service runs; ``settings``: ``ConversationMCPTool``'s fields."""
        return ConversationMCPTool(server_label=server_label, server_url=server_url, **settings)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationFunctionTool(ConversationTool):
    """A function that the caller runs when the model asks for it."""

    type: str = "function"
    name: str
    description: Setting[str] = UNSET
    parameters: Setting[dict[str, Any]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPToolFilter(Options):
    """Some of an MCP server's tools: by name, or those that only read."""

    tool_names: Setting[list[str]] = UNSET
    read_only: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPApprovalPolicy(Options):
    """Which of an MCP server's tools always or never need the caller's approval."""

    always: Setting[MCPToolFilter] = UNSET
    never: Setting[MCPToolFilter] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationMCPTool(ConversationTool):
    """A remote MCP server, by URL, connector or tunnel. ``authorization`` is a secret and is not shown."""

    type: str = "mcp"
    server_label: str
    server_url: Setting[str] = attrs.field(default=UNSET, repr=url_repr)
    connector_id: Setting[str] = UNSET
    tunnel_id: Setting[str] = UNSET
    authorization: Setting[str] = attrs.field(default=UNSET, repr=lambda value: "'***'" if value else repr(value))
    server_description: Setting[str] = UNSET
    headers: Setting[dict[str, str]] = attrs.field(
        default=UNSET, repr=lambda value: repr(sorted(value)) if value else repr(value)
    )
    allowed_tools: Setting[Union[list[str], MCPToolFilter]] = UNSET
    allowed_callers: Setting[list[str]] = UNSET
    require_approval: Setting[Union[str, MCPApprovalPolicy]] = UNSET
    defer_loading: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownTool(ConversationTool):
    """A tool of a type that this version does not know; its fields are in ``extra``."""

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationToolChoice(Options):
    """Whether the model must call a tool, and which."""

    type: str = "auto"
    name: Setting[str] = UNSET
    server_label: Setting[str] = UNSET

    @classmethod
    def auto(cls) -> ConversationToolChoice:
        """The model decides."""
        return cls(type="auto")

    @classmethod
    def none(cls) -> ConversationToolChoice:
        """No call."""
        return cls(type="none")

    @classmethod
    def required(cls) -> ConversationToolChoice:
        """At least one call."""
        return cls(type="required")

    @classmethod
    def function(cls, name: str) -> ConversationToolChoice:
        """This function."""
        return cls(type="function", name=name)

    @classmethod
    def mcp(cls, server_label: str, name: Setting[str] = UNSET) -> ConversationToolChoice:
        """This MCP server, or this tool of it."""
        return cls(type="mcp", server_label=server_label, name=name)


def _tool_choice(value: Setting[Union[ConversationToolChoice, str]]) -> Setting[ConversationToolChoice]:
    """``"auto"``, ``"none"``, ``"required"`` as a ``ConversationToolChoice``."""
    return ConversationToolChoice(type=value) if isinstance(value, str) else value


@attrs.define(kw_only=True, repr=False, eq=False)
class TracingOptions(Options):
    """Names for the service's own traces."""

    workflow_name: Setting[str] = UNSET
    group_id: Setting[str] = UNSET
    metadata: Setting[dict[str, Any]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TokenLimits(Options):
    """Bounds on the context after truncation, in tokens."""

    post_instructions: Setting[int] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TruncationOptions(Options):
    """How much of the history to keep when the context is full; ``retention_ratio`` is 0.0 to 1.0."""

    type: str = "retention_ratio"
    retention_ratio: Setting[float] = UNSET
    token_limits: Setting[TokenLimits] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class PromptReference(Options):
    """A prompt kept at the service, and the values for its variables."""

    id: str
    version: Setting[str] = UNSET
    variables: Setting[dict[str, Union[str, ConversationContentPart]]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ReasoningOptions(Options):
    """``effort``: ``minimal``, ``low``, ``medium``, ``high`` or ``xhigh``."""

    effort: Setting[str] = UNSET


def _modalities(value: Setting[Union[Modality, Sequence[Modality]]]) -> Setting[list[str]]:
    return [value] if isinstance(value, str) else list(value) if value else value  # type: ignore[return-value]


class DescribedTool(Protocol):
    """A function that was made a tool (``@function_tool``)."""

    @property
    def definition(self) -> ConversationFunctionTool:
        """What the service is told of it."""
        ...


def _tools(value: Setting[Sequence[Union[ConversationTool, DescribedTool]]]) -> Setting[list[ConversationTool]]:
    if value is None or isinstance(value, UnsetType):
        return value
    told: list[object] = _listed("tools", value)
    for tool in told:
        if callable(tool) and not hasattr(tool, "definition"):
            name = getattr(tool, "__name__", repr(tool))
            raise InvalidInputError(f"{name} is a plain function; make it a tool by putting @function_tool before it")
    return cast("list[ConversationTool]", told)  # codec.py has the definitions sent


def _items(value: Setting[Sequence[ConversationItem]]) -> Setting[list[ConversationItem]]:
    if value is None or isinstance(value, UnsetType):
        return value
    return cast("list[ConversationItem]", _listed("input_items", value))


def _listed(name: str, value: object) -> list[object]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        raise InvalidInputError(f"{name} is a list, not {type(value).__name__}; put one alone in brackets")
    return list(value)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationSessionOptions(Options):
    """Settings of a conversation session, for ``start_conversation_session`` and ``configure_session``.

    The formats also take ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``; ``tool_choice`` also ``"auto"`` and the like.
    ``turn_detection_options=None`` (or ``.disabled()``) switches voice activity detection off, and None switches off
    ``input_transcription_options``, ``input_noise_reduction_options`` and ``tracing``. ``max_output_tokens`` are 1 to
    4,096 for each response, its calls included, or ``"inf"``; the service refuses 0. ``temperature`` is 0.6 to 1.2.
    Functions among the ``tools`` (``@function_tool``) are run by the session that the options are given to.
    ``temperature`` exists on preview endpoints only; ``output_speed`` (0.25 to 1.5), ``tracing``, ``truncation``,
    ``prompt``, ``include``, ``reasoning`` and ``parallel_tool_calls`` on GA endpoints only.
    """

    session_type: ClassVar[Optional[str]] = "realtime"

    model: Setting[str] = UNSET
    instructions: Setting[str] = UNSET
    content_modalities: Setting[list[str]] = attrs.field(default=UNSET, converter=_modalities)
    """``["audio"]`` (its transcript comes with it) or ``["text"]``, on preview endpoints, too."""
    voice: Setting[Union[Voice, CustomVoice]] = UNSET
    output_speed: Setting[float] = UNSET
    input_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=_audio_format)
    output_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=_audio_format)
    input_transcription_options: Setting[InputTranscriptionOptions] = UNSET
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = UNSET
    turn_detection_options: Setting[TurnDetectionOptions] = UNSET
    tools: Setting[list[ConversationTool]] = attrs.field(default=UNSET, converter=_tools)
    tool_choice: Setting[ConversationToolChoice] = attrs.field(default=UNSET, converter=_tool_choice)
    parallel_tool_calls: Setting[bool] = UNSET
    max_output_tokens: Setting[MaxOutputTokens] = UNSET
    temperature: Setting[float] = UNSET
    reasoning: Setting[ReasoningOptions] = UNSET
    tracing: Setting[Union[Literal["auto"], str, TracingOptions]] = UNSET
    truncation: Setting[Union[Literal["auto", "disabled"], str, TruncationOptions]] = UNSET
    prompt: Setting[PromptReference] = UNSET
    include: Setting[list[str]] = UNSET
    """``"item.input_audio_transcription.logprobs"``."""


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionSessionOptions(Options):
    """Settings of a session that only writes down what is said; ``content_modalities`` on preview endpoints only."""

    session_type: ClassVar[Optional[str]] = "transcription"

    content_modalities: Setting[list[str]] = attrs.field(default=UNSET, converter=_modalities)
    input_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=_audio_format)
    input_transcription_options: Setting[InputTranscriptionOptions] = UNSET
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = UNSET
    turn_detection_options: Setting[TurnDetectionOptions] = UNSET
    include: Setting[list[str]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TranslationSessionOptions(Options):
    """Settings of a session that translates speech as it is spoken; ``target_language`` such as ``"es"``."""

    session_type: ClassVar[Optional[str]] = None

    target_language: Setting[str] = UNSET
    input_transcription_options: Setting[InputTranscriptionOptions] = UNSET
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = UNSET


SessionOptions = Union[ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions]


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationResponseOptions(Options):
    """What this one response shall do otherwise than the session says.

    ``conversation="none"`` makes it out-of-band: it answers ``input_items`` (or the conversation as it stands) and
    leaves the conversation as it was. ``metadata`` comes back with the response, to tell several apart.
    """

    instructions: Setting[str] = UNSET
    content_modalities: Setting[list[str]] = attrs.field(default=UNSET, converter=_modalities)
    voice: Setting[Union[Voice, CustomVoice]] = UNSET
    output_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=_audio_format)
    tools: Setting[list[ConversationTool]] = attrs.field(default=UNSET, converter=_tools)
    tool_choice: Setting[ConversationToolChoice] = attrs.field(default=UNSET, converter=_tool_choice)
    parallel_tool_calls: Setting[bool] = UNSET
    max_output_tokens: Setting[MaxOutputTokens] = UNSET
    temperature: Setting[float] = UNSET
    reasoning: Setting[ReasoningOptions] = UNSET
    prompt: Setting[PromptReference] = UNSET
    conversation: Setting[str] = UNSET
    metadata: Setting[dict[str, str]] = UNSET
    input_items: Setting[list[ConversationItem]] = attrs.field(default=UNSET, converter=_items)
