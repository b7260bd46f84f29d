"""A live session's settings as the wire has them: what is asked for, and what the server says is in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Optional, Union

import attrs

from realtime_sync.protocol.audio_options import AudioFormat, CustomVoice
from realtime_sync.protocol.converters import add_family
from realtime_sync.protocol.live.history import LiveHistoryItem
from realtime_sync.protocol.live.parts import LiveAudio, LiveVoice
from realtime_sync.protocol.live.questions import LiveDecisionsSettings, LiveTrigger
from realtime_sync.protocol.live.tools import LiveTool, LiveToolChoice, as_live_tool_choice, as_live_tools
from realtime_sync.protocol.registry import UNSET, Options, Setting, WireObject, public_classes

ServiceTier = Union[Literal["auto", "default", "flex", "priority", "ultrafast", "fast_tier_temp_pilot"], str]


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveReasoningOptions(Options):
    """How much a backend thinks before it answers.

    Attributes:
        effort: ``"none"``, ``"minimal"``, ``"low"``, ``"medium"``, ``"high"`` or ``"xhigh"``. UNSET: the service
            chooses.
        summary: Have the thoughts summed up: ``"auto"``, ``"concise"`` or ``"detailed"``. UNSET: no.
    """

    effort: Setting[Union[Literal["none", "minimal", "low", "medium", "high", "xhigh"], str]] = UNSET
    summary: Setting[Union[Literal["auto", "concise", "detailed"], str]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveTextOptions(Options):
    """How a backend writes.

    Attributes:
        verbosity: ``"low"``, ``"medium"`` or ``"high"``. UNSET: the service chooses.
    """

    verbosity: Setting[Union[Literal["low", "medium", "high"], str]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveResponsesSettings(Options):
    """A Responses backend. A field that is UNSET (the default) is not sent; an update keeps what was there.

    Attributes:
        model: The model that does the work, or an Azure deployment. It must be told at the start.
        instructions: What it is to do.
        tools: What it may call: functions (plain ones, or with ``@function_tool``), definitions, or their JSON.
        tool_choice: ``"auto"``, ``"none"``, ``"required"``, or a ``LiveToolChoice``.
        parallel_tool_calls: Whether it may call several tools at once.
        max_output_tokens: Tokens of one answer, at least 16.
        reasoning: How much it thinks.
        text: How it writes.
        service_tier: ``"auto"``, ``"default"``, ``"flex"``, ``"priority"`` or ``"ultrafast"``.
    """

    model: Setting[str] = UNSET
    instructions: Setting[str] = UNSET
    tools: Setting[list[LiveTool]] = attrs.field(default=UNSET, converter=as_live_tools)
    tool_choice: Setting[Union[Literal["auto", "none", "required"], str, LiveToolChoice]] = attrs.field(
        default=UNSET, converter=as_live_tool_choice
    )
    parallel_tool_calls: Setting[bool] = UNSET
    max_output_tokens: Setting[int] = UNSET
    reasoning: Setting[LiveReasoningOptions] = UNSET
    text: Setting[LiveTextOptions] = UNSET
    service_tier: Setting[ServiceTier] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDelegation(Options):
    """Who does the work that the model hands over: a ``LiveClientDelegation``, ``LiveResponsesDelegation`` or
    ``LiveDecisionsDelegation``. The type cannot change while a session goes on.

    Attributes:
        type: ``"client"``, ``"responses"`` or ``"decisions"``.
        acknowledgement_delay_ms: After so many milliseconds the model says that it is at work. UNSET: the service
            chooses (0; for decisions 400).
    """

    type: str
    acknowledgement_delay_ms: Setting[int] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveClientDelegation(LiveDelegation):
    """The application does the work.

    Attributes:
        type: ``"client"``.
    """

    type: str = "client"


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveResponsesDelegation(LiveDelegation):
    """Another model of the service does the work.

    Attributes:
        type: ``"responses"``.
        responses: Which one, and how. UNSET, of an update: as before.
    """

    type: str = "responses"
    responses: Setting[LiveResponsesSettings] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDecisionsDelegation(LiveDelegation):
    """A model that decides is asked questions.

    Attributes:
        type: ``"decisions"``.
        decisions: Which ones. UNSET, of an update: as before.
    """

    type: str = "decisions"
    decisions: Setting[LiveDecisionsSettings] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class UnknownLiveDelegation(LiveDelegation):
    """A delegation of a type that this version does not know; its fields are in ``extra``.

    Attributes:
        type: As the server wrote it.
    """

    type: str = ""


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveEventSelector(Options):
    """Server messages that a browser may see.

    Attributes:
        type: Their wire type.
        response_event: Of ``"response.event"``: the type of the event within. UNSET: of any.
    """

    type: str
    response_event: Setting[str] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveDataChannel(Options):
    """What a browser may do on its data channel (WebRTC).

    Attributes:
        allowed_client_events: The wire types that it may send, or ``"all"``. UNSET: the service chooses.
        allowed_server_events: What it may see, or ``"all"``. UNSET: the service chooses.
    """

    allowed_client_events: Setting[Union[Literal["all"], str, list[str]]] = UNSET
    allowed_server_events: Setting[Union[Literal["all"], str, list[LiveEventSelector]]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveBrowser(Options):
    """What the wire calls ``client``: the browser of a WebRTC session.

    Attributes:
        data_channel: What it may do there. UNSET: the service chooses.
    """

    data_channel: Setting[LiveDataChannel] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveWakePolicy(Options):
    """What wakes a paused session (WebRTC).

    Attributes:
        type: ``"speech"``.
        vad_threshold: From this loudness on, 0.0 to 1.0, sound is speech. UNSET: 0.5.
    """

    type: Union[Literal["speech"], str] = "speech"
    vad_threshold: Setting[float] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionSettings(Options):
    """The ``session`` of ``session.start`` and of the REST requests, as the wire nests it.

    ``LiveSessionOptions`` makes one. A field that is UNSET (the default) is not sent.

    Attributes:
        type: ``"live"``, where a telephone call is accepted; refused elsewhere.
        model: The model, or an Azure deployment. A fork has none.
        instructions: What the model is to do and how it is to speak.
        input: The conversation so far.
        audio: What is heard and said.
        delegation: Who does the work that the model hands over. None and UNSET: the application.
        store: True: the service keeps the session, for forks and recordings.
        triggers: Questions that are asked by themselves.
        safety_identifier: The user, by a name that tells nobody who it is.
        client: What a browser may do (WebRTC).
        wake_policy: What wakes a paused session (WebRTC).
        idle_timeout_s: After so many seconds without speech the session pauses (WebRTC).
    """

    type: Setting[Union[Literal["live"], str]] = UNSET
    model: Setting[str] = UNSET
    instructions: Setting[str] = UNSET
    input: Setting[list[LiveHistoryItem]] = UNSET
    audio: Setting[LiveAudio] = UNSET
    delegation: Setting[LiveDelegation] = UNSET
    store: Setting[bool] = UNSET
    triggers: Setting[list[LiveTrigger]] = UNSET
    safety_identifier: Setting[str] = UNSET
    client: Setting[LiveBrowser] = UNSET
    wake_policy: Setting[LiveWakePolicy] = UNSET
    idle_timeout_s: Setting[int] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionChanges(Options):
    """The ``session`` of ``session.update``: all that can change while a session goes on.

    Attributes:
        delegation: Of the type that the session has, with what is to change. UNSET: nothing.
        triggers: In place of those that were there. UNSET: nothing changes.
    """

    delegation: Setting[LiveDelegation] = UNSET
    triggers: Setting[list[LiveTrigger]] = UNSET


@attrs.define(kw_only=True, repr=False, eq=False)
class LiveSessionDetails(WireObject):
    """A live session as the server describes it. A field that the server did not send, or sent as null, is None.

    Attributes:
        id: The session's id (``live_...``), for ``attach_live`` and ``fork_live``.
        expires_at: When the service ends the session, in Unix seconds.
        status: ``"active"``, also in the last snapshot of a session that is closed.
        model: The model that speaks.
        instructions: What it is to do.
        input: The conversation that the session began with.
        audio: What is heard and said.
        delegation: Who does the work that the model hands over. None: the application.
        store: Whether the service keeps the session.
        triggers: Questions that are asked by themselves.
        safety_identifier: The user, as the application has named it.
        client: What a browser may do (WebRTC).
    """

    id: Optional[str] = None
    expires_at: Optional[int] = None
    status: Optional[Union[Literal["active"], str]] = None
    model: Optional[str] = None
    instructions: Optional[str] = None
    input: Optional[list[LiveHistoryItem]] = None
    audio: Optional[LiveAudio] = None
    delegation: Optional[LiveDelegation] = None
    store: Optional[bool] = None
    triggers: Optional[list[LiveTrigger]] = None
    safety_identifier: Optional[str] = None
    client: Optional[LiveBrowser] = None

    @property
    def voice(self) -> Optional[Union[LiveVoice, CustomVoice]]:
        """The voice that speaks; None if the server did not tell it."""
        return (self.audio.output.voice or None) if self.audio and self.audio.output else None

    @property
    def audio_format(self) -> Optional[AudioFormat]:
        """The format of the audio, both ways; None if the server did not tell it."""
        return (self.audio.format or None) if self.audio else None

    @property
    def delegation_type(self) -> str:
        """``"client"``, ``"responses"`` or ``"decisions"``: who does the work that the model hands over."""
        return self.delegation.type if self.delegation else "client"


add_family(
    LiveDelegation,
    {
        "client": LiveClientDelegation,
        "responses": LiveResponsesDelegation,
        "decisions": LiveDecisionsDelegation,
    },
    UnknownLiveDelegation,
)

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
