"""Settings of sessions and responses: flat, named as one thinks of them, one class for both dialects.

``UNSET`` (the default everywhere) is not sent, so the service keeps its value; ``None`` is sent as ``null``.
Where a type is ``str``, the service may add values, and any string is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Protocol, Union, cast

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.hiding import secret_text, secret_url, secret_values, url_repr
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem
from realtime_sync.protocol.registry import UNSET, Options, Setting, UnsetType, public_classes
from realtime_sync.secret import discreet

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
    """How audio bytes are to be read.

    Attributes:
        type: ``"audio/pcm"`` (the default) is 16 bit little endian mono; ``"audio/pcmu"`` and ``"audio/pcma"`` are
            G.711 µ-law and A-law, 8 bit mono at 8,000 Hz.
        rate: Samples a second (Hz), for PCM; the service knows 24,000. UNSET: the rate of the type.
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
    """Ask for the user's speech as text, by a model of its own beside the conversation's.

    Each field is UNSET by default: the service chooses.

    Attributes:
        model: Such as ``"gpt-transcribe"`` or, for live captions without turn detection, ``"gpt-live-transcribe"``.
        language: The language that is spoken, in ISO-639-1, such as ``"en"``; with it, transcription is better and
            faster.
        languages: The languages that may be spoken, if it is not certain which one is.
        keywords: Words and phrases that are likely to be said.
        prompt: What the speech is about, in a sentence; for ``whisper-1`` a list of keywords.
        delay: How long to wait for context: ``"minimal"``, ``"low"``, ``"medium"``, ``"high"`` or ``"xhigh"``.
    """

    model: Setting[str] = UNSET
    language: Setting[str] = UNSET
    languages: Setting[list[str]] = UNSET
    keywords: Setting[list[str]] = UNSET
    prompt: Setting[str] = UNSET
    delay: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class InputNoiseReductionOptions(Options):
    """How noise is taken out of the input audio, before voice activity detection and the model.

    Attributes:
        type: ``"near_field"`` for a headset, ``"far_field"`` for a room microphone. UNSET: the service chooses.
        strength: 1.0 and UNSET are the service's default.
    """

    type: Setting[str] = UNSET
    strength: Setting[float] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TurnDetectionOptions(Options):
    """How the service notices that the user has begun or ended to speak.

    Use ``server_vad(...)``, ``semantic_vad(...)`` or ``disabled()``. A field that is UNSET (the default) has the
    service's value; durations are in milliseconds.

    Attributes:
        type: ``"server_vad"`` (by loudness, the default), ``"semantic_vad"`` (by what was said), or ``"none"`` (off).
        threshold: ``server_vad``: from this loudness on (0.0 to 1.0), sound is speech.
        prefix_padding_ms: ``server_vad``: so much audio before the speech is heard with it.
        silence_duration_ms: ``server_vad``: so much quiet ends a turn.
        create_response: False: turns are noticed, and the caller starts the responses.
        interrupt_response: False: speech does not cut off an answer.
        idle_timeout_ms: ``server_vad``: so long after an answer (5,000 to 30,000), the model speaks again by itself.
            None: never.
        eagerness: ``semantic_vad``: how soon to answer: ``"low"``, ``"medium"``, ``"high"``, or ``"auto"``, which is
            medium.
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
    """A voice of one's own.

    Attributes:
        id: The id under which the service keeps it. UNSET: not sent.
    """

    id: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationTool(Options):
    """What the model may call. Use ``create_function_tool`` or ``create_mcp_tool``.

    Attributes:
        type: The kind of tool: ``"function"``, ``"mcp"``, or one that this version does not know.
    """

    type: str

    @staticmethod
    def create_function_tool(
        name: str, description: Setting[str] = UNSET, parameters: Setting[Mapping[str, Any]] = UNSET
    ) -> ConversationFunctionTool:
        """A function that the caller runs; ``parameters`` is a JSON schema (a dict)."""
        known = parameters if parameters is UNSET or parameters is None else dict(parameters)
        return ConversationFunctionTool(name=name, description=description, parameters=known)

    @staticmethod
    @discreet
    def create_mcp_tool(server_label: str, server_url: Setting[str] = UNSET, **settings: Any) -> ConversationMCPTool:
        """A remote MCP server whose tools the service runs; ``settings``: ``ConversationMCPTool``'s fields."""
        return ConversationMCPTool(server_label=server_label, server_url=server_url, **settings)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationFunctionTool(ConversationTool):
    """A function that the caller runs when the model asks for it.

    Attributes:
        type: ``"function"``.
        name: 1 to 64 of the characters a-z, A-Z, 0-9, ``_`` and ``-``.
        description: What the function does, for the model. UNSET: no description.
        parameters: The arguments, as a JSON schema (a dict). UNSET: the function takes none.
    """

    type: str = "function"
    name: str
    description: Setting[str] = UNSET
    parameters: Setting[dict[str, Any]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPToolFilter(Options):
    """Some of an MCP server's tools.

    Attributes:
        tool_names: The tools of these names. UNSET: of any name.
        read_only: True: the tools that change nothing. UNSET: both kinds.
    """

    tool_names: Setting[list[str]] = UNSET
    read_only: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class MCPApprovalPolicy(Options):
    """Which of an MCP server's tools need the caller's approval.

    Attributes:
        always: These tools always need it. UNSET: none is named.
        never: These tools never need it. UNSET: none is named.
    """

    always: Setting[MCPToolFilter] = UNSET
    never: Setting[MCPToolFilter] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationMCPTool(ConversationTool):
    """A remote MCP server, by URL, connector or tunnel; the service calls its tools.

    A field that is UNSET (the default) is not sent.

    Attributes:
        type: ``"mcp"``.
        server_label: The caller's name for the server; updates repeat it.
        server_url: The server's URL; without user, password and query in reprs.
        connector_id: One of the service's own connectors, in place of a URL.
        tunnel_id: One of the service's tunnels, in place of a URL.
        authorization: The token that the server wants; a secret, which reprs do not show.
        server_description: What the server is for; the model reads it.
        headers: HTTP headers for the server; reprs show their names only.
        allowed_tools: The names of the tools that the model may call, or a filter. UNSET: all.
        allowed_callers: Which callers may use the tools, by the names that the service has for them.
        require_approval: ``"always"`` (what the service does if it is UNSET), ``"never"``, or a policy by tool.
        defer_loading: True: the server's list of tools is fetched only when the model looks for a tool.
    """

    type: str = "mcp"
    server_label: str
    server_url: Setting[str] = attrs.field(default=UNSET, converter=secret_url, repr=url_repr)
    connector_id: Setting[str] = UNSET
    tunnel_id: Setting[str] = UNSET
    authorization: Setting[str] = attrs.field(default=UNSET, converter=secret_text)
    server_description: Setting[str] = UNSET
    headers: Setting[dict[str, str]] = attrs.field(default=UNSET, converter=secret_values)
    allowed_tools: Setting[Union[list[str], MCPToolFilter]] = UNSET
    allowed_callers: Setting[list[str]] = UNSET
    require_approval: Setting[Union[str, MCPApprovalPolicy]] = UNSET
    defer_loading: Setting[bool] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownTool(ConversationTool):
    """A tool of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
    """

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationToolChoice(Options):
    """Whether the model must call a tool, and which. Use ``auto()``, ``none()``, ``required()``, ``function(...)`` or
    ``mcp(...)``.

    Attributes:
        type: ``"auto"`` (the default), ``"none"``, ``"required"``, ``"function"`` or ``"mcp"``.
        name: The function, or the tool of the MCP server. UNSET: any.
        server_label: The MCP server. UNSET: none.
    """

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

    type: str = "retention_ratio"
    retention_ratio: Setting[float] = UNSET
    token_limits: Setting[TokenLimits] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class PromptReference(Options):
    """A prompt that is kept at the service, and the values for its variables.

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

    effort: Setting[str] = UNSET


def _modalities(value: Setting[Union[Modality, Sequence[Modality]]]) -> Setting[list[str]]:
    return [value] if isinstance(value, str) else list(value) if value else value  # type: ignore[return-value]


class _DescribedTool(Protocol):
    """A function that was made a tool (``@function_tool``)."""

    @property
    def definition(self) -> ConversationFunctionTool:
        """What the service is told of it."""


def _tools(value: Setting[Sequence[Union[ConversationTool, _DescribedTool]]]) -> Setting[list[ConversationTool]]:
    if value is None or isinstance(value, UnsetType):
        return value
    told: list[object] = _listed("tools", value)
    for tool in told:
        if callable(tool) and not hasattr(tool, "definition"):
            name = getattr(tool, "__name__", repr(tool))
            raise InvalidInputError(f"{name} is a plain function; make it a tool by putting @function_tool before it")
    return cast("list[ConversationTool]", told)  # converters.py has the definitions sent


def _items(value: Setting[Sequence[ConversationItem]]) -> Setting[list[ConversationItem]]:
    if value is None or isinstance(value, UnsetType):
        return value
    return cast("list[ConversationItem]", _listed("input_items", value))


def _listed(name: str, value: object) -> list[object]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        raise InvalidInputError(f"{name} must be a list, not {type(value).__name__}; put a single one in brackets")
    return list(value)


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationSessionOptions(Options):
    """Settings of a conversation session, for ``start_conversation_session`` and ``configure_session``.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session.

    Attributes:
        model: The model, or an Azure deployment. A session is started with the client's, and keeps it.
        instructions: What the model is to do and how it is to speak.
        content_modalities: ``["audio"]`` (its transcript comes with it) or ``["text"]``, on preview endpoints, too.
        voice: A name such as ``"marin"``, or a ``CustomVoice``; it cannot change after the first audio.
        output_speed: The speed of the speech, 0.25 to 1.5; 1.0 is normal. GA endpoints only.
        input_audio_format: Of the user's audio; as ``output_audio_format``.
        output_audio_format: ``"audio/pcm"`` (24,000 Hz), ``"audio/pcmu"`` or ``"audio/pcma"`` as a text or as an
            ``AudioFormat``; also ``"pcm16"``, ``"g711_ulaw"``, ``"g711_alaw"``.
        input_transcription_options: Have the user's speech written down. None: no longer.
        input_noise_reduction_options: Take noise out of the input. None: no longer.
        turn_detection_options: How turns are noticed. None, or ``TurnDetectionOptions.disabled()``: not at all; the
            caller commits the audio and starts the responses.
        tools: What the model may call, as a list. Functions (``@function_tool``) are run by the session that the
            options are given to.
        tool_choice: Whether the model must call a tool: ``"auto"``, ``"none"``, ``"required"``, or a
            ``ConversationToolChoice``.
        parallel_tool_calls: Whether the model may call several tools at once. GA endpoints only.
        max_output_tokens: Tokens of each response, its calls included: 1 to 4,096, or ``"inf"``; the service refuses 0.
        temperature: 0.6 to 1.2. Preview endpoints only.
        reasoning: How much the model thinks before it answers. GA endpoints only.
        tracing: ``"auto"``, or names for the service's traces. None: no traces. GA endpoints only.
        truncation: What to forget when the context is full: ``"auto"``, ``"disabled"``, or ``TruncationOptions``. GA
            endpoints only.
        prompt: A prompt that is kept at the service. GA endpoints only.
        include: What the service adds to updates: ``["item.input_audio_transcription.logprobs"]``. GA endpoints only.
    """

    session_type: ClassVar[Optional[str]] = "realtime"

    model: Setting[str] = UNSET
    instructions: Setting[str] = UNSET
    content_modalities: Setting[list[str]] = attrs.field(default=UNSET, converter=_modalities)
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


@attrs.define(kw_only=True, repr=False, eq=False)
class TranscriptionSessionOptions(Options):
    """Settings of a session that only writes down what is said.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session.

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

    content_modalities: Setting[list[str]] = attrs.field(default=UNSET, converter=_modalities)
    input_audio_format: Setting[AudioFormat] = attrs.field(default=UNSET, converter=_audio_format)
    input_transcription_options: Setting[InputTranscriptionOptions] = UNSET
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = UNSET
    turn_detection_options: Setting[TurnDetectionOptions] = UNSET
    include: Setting[list[str]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class TranslationSessionOptions(Options):
    """Settings of a session that translates speech as it is spoken.

    Each field is UNSET by default: the service keeps its value, or chooses one in a new session.

    Attributes:
        target_language: The language to translate into, such as ``"es"``.
        input_transcription_options: Have the speaker's own words written down, too. None: no longer.
        input_noise_reduction_options: Take noise out of the input. None: no longer.
    """

    session_type: ClassVar[Optional[str]] = None

    target_language: Setting[str] = UNSET
    input_transcription_options: Setting[InputTranscriptionOptions] = UNSET
    input_noise_reduction_options: Setting[InputNoiseReductionOptions] = UNSET


SessionOptions = Union[ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions]


@attrs.define(kw_only=True, repr=False, eq=False)
class ConversationResponseOptions(Options):
    """What one response shall do otherwise than the session says.

    Each field is UNSET by default: the session's setting holds.

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
        temperature: 0.6 to 1.2. Preview endpoints only.
        reasoning: How much the model thinks before it answers. GA endpoints only.
        prompt: A prompt that is kept at the service. GA endpoints only.
        conversation: ``"none"``: out-of-band; the response answers ``input_items`` (or the conversation as it stands)
            and leaves the conversation as it was. ``"auto"``: it becomes a part of the conversation.
        metadata: Up to 16 texts by name; they come back with the response, to tell several apart.
        input_items: What the response answers, in place of the conversation. UNSET: the conversation.
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


if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = ["MaxOutputTokens", "Modality", "SessionOptions", "Voice", *public_classes(globals())]
