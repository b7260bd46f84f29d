"""The server messages of a live session, one class each, named by the wire.

A class has the name of its kind, after ``Live``: ``LiveSessionStartedUpdate`` is of ``LiveUpdateKind.SESSION_STARTED``.
Times (``start_ms``, ``end_ms``, ``offset_ms``) are milliseconds on the session's own timeline, which stands still while
no audio comes; they may be fractions. What ``protocol/updates.py`` says of its classes holds for these, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Optional, Union

import attrs

from realtime_sync.protocol.items import audio_repr, decode_base64
from realtime_sync.protocol.live import resources
from realtime_sync.protocol.live.kinds import LIVE, LiveUpdateKind
from realtime_sync.protocol.live.parts import TranscriptEvent
from realtime_sync.protocol.live.questions import LiveDecisionResult
from realtime_sync.protocol.live.settings import LiveSessionDetails
from realtime_sync.protocol.live.update_base import LiveUpdate
from realtime_sync.protocol.registry import extra_repr, public_classes
from realtime_sync.protocol.update_base import shortened
from realtime_sync.protocol.updates import ErrorUpdate

CloseReason = Union[
    Literal["close_requested", "expired", "content", "remote_hangup", "connection_lost", "client_request"], str
]


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _Snapshot(LiveUpdate):
    """A message with the whole session."""

    session: LiveSessionDetails

    @property
    def session_id(self) -> Optional[str]:
        """The session's id; None if the server did not tell it."""
        return self.session.id


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _Placed(LiveUpdate):
    """A message with a place on the timeline: from ``start_ms`` until before ``end_ms``."""

    start_ms: float
    end_ms: float


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class _Fragment(_Placed):
    """A piece of what somebody says. Its leading space belongs to it."""

    delta: str = attrs.field(repr=shortened)


class LiveSessionStartedUpdate(_Snapshot):
    """The session is ready: the answer to ``session.start``, with the settings in force."""


class LiveSessionUpdatedUpdate(_Snapshot):
    """The answer to ``session.update``: the settings now in force."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveSessionClosedUpdate(_Snapshot):
    """The session is over. If the connection ends without it, the end is not confirmed.

    Attributes:
        reason: ``"close_requested"``, ``"expired"``, ``"content"``, ``"remote_hangup"``, ``"connection_lost"``, ...
        usage: All that the session has used.
    """

    reason: CloseReason
    usage: resources.LiveUsage


class LiveSessionPausedUpdate(LiveUpdate):
    """Nobody has spoken for ``idle_timeout_s``, and the session pauses (WebRTC)."""


class LiveSessionResumedUpdate(LiveUpdate):
    """Speech has woken the session (WebRTC)."""


class LiveSessionInputAudioMutedUpdate(LiveUpdate):
    """The model hears silence from now on."""


class LiveSessionInputAudioUnmutedUpdate(LiveUpdate):
    """The model hears the user again."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveSessionInputAudioAppendUpdate(LiveUpdate):
    """On a sideband: a copy of the user's audio, as base64 of PCM16 at 24,000 Hz; ``audio_bytes`` has it decoded."""

    audio: str = attrs.field(repr=audio_repr)

    @property
    def audio_bytes(self) -> Optional[bytes]:
        """The samples; None if they are not base64."""
        return decode_base64(self.audio)


class LiveSessionOutputAudioFixturePlayingUpdate(LiveUpdate):
    """The clip was accepted, and is played."""


class LiveSessionOutputAudioFixturePlayedUpdate(LiveUpdate):
    """The clip has left the service. Not sent if it was cancelled."""


class LiveSessionInstructionsAppendedUpdate(_Placed):
    """The instruction has reached the model's timeline."""


class LiveSessionThinkingAppendedUpdate(_Placed):
    """What the model is to know has reached its timeline."""


class LiveSessionCommentaryAppendedUpdate(_Placed):
    """What the model is to say has reached its timeline; it may not have said it yet."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveSessionOutputAudioDeltaUpdate(LiveUpdate):
    """The next piece of the model's audio, about 100 ms: one continuous track, with its silences.

    Attributes:
        delta: The samples as base64; ``audio_bytes`` has them decoded.
        start_ms: Its place on the timeline. None: not told (OpenAI tells it on sidebands alone).
        end_ms: The end of that.
    """

    delta: str = attrs.field(repr=shortened)
    start_ms: Optional[float] = None
    end_ms: Optional[float] = None

    @property
    def audio_bytes(self) -> Optional[bytes]:
        """The samples in the session's format; None if they are not base64."""
        return decode_base64(self.delta)


class LiveSessionInputTranscriptDeltaUpdate(_Fragment):
    """A piece of what the user says."""


class LiveSessionOutputTranscriptDeltaUpdate(_Fragment):
    """A piece of what the model says."""


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveSessionDelegationCreatedUpdate(LiveUpdate):
    """The model hands over work. What is wanted is not said: the transcripts up to ``offset_ms`` tell it.

    Attributes:
        delegation: Its id, and who is to do it.
        offset_ms: Where on the timeline it was wanted.
    """

    delegation: resources.LiveDelegationInfo
    offset_ms: float

    @property
    def delegation_id(self) -> str:
        """The name that what is appended for it repeats."""
        return self.delegation.id


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveResponseEventUpdate(LiveUpdate):
    """An event of a Responses backend.

    Attributes:
        event: As the Responses API streams it: a dict with its ``type``.
        delegation_id: The delegation that it works for; None if the application has started the response.
    """

    event: dict[str, Any] = attrs.field(repr=extra_repr)
    delegation_id: Optional[str] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveDecisionEventUpdate(LiveUpdate):
    """A decision: for a delegation, a trigger, or ``decision.create``.

    Attributes:
        event: The answers.
        delegation_id: The delegation that it was asked for; None if it was none.
        trigger_id: The trigger that has asked; None if none has.
        source_event_id: Of a trigger: the ``event_id`` of the fragment that has set it off.
        source_event_type: The type of that.
    """

    event: LiveDecisionResult
    delegation_id: Optional[str] = None
    trigger_id: Optional[str] = None
    source_event_id: Optional[str] = None
    source_event_type: Optional[TranscriptEvent] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveDecisionItemCreatedUpdate(LiveUpdate):
    """Decisions know the item now."""

    item: resources.LiveDecisionItem


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveDecisionItemDeletedUpdate(LiveUpdate):
    """Decisions know the item no more."""

    item_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveSessionUsageUpdatedUpdate(LiveUpdate):
    """What the session has used so far.

    Attributes:
        usage: The seconds.
        context_window: How full the model's memory is; None if it was not told.
    """

    usage: resources.LiveUsage
    context_window: Optional[resources.LiveContextWindow] = None


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveErrorUpdate(LiveUpdate, ErrorUpdate):
    """The server refused a message or failed. Before ``session.started`` it is the end; later the session goes on."""

    error: resources.LiveErrorDetails

    @property
    def failed_event_id(self) -> Optional[str]:
        """The ``event_id`` of the client message that was refused; None if it was none in particular."""
        return self.error.client_event_id or self.client_event_id or self.error.event_id


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveInfoUpdate(LiveUpdate):
    """A notice.

    Attributes:
        code: What it is about, for programs, such as ``"data_channel_permissions"``.
        message: The same for people.
    """

    code: str
    message: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportDtmfReceivedUpdate(LiveUpdate):
    """The caller has pressed a telephone key; ``event`` is the key."""

    event: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportDtmfSendUpdate(LiveUpdate):
    """The older name of ``transport.dtmf.sent``."""

    event: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportDtmfSentUpdate(LiveUpdate):
    """A telephone key was sent; ``event`` is the key."""

    event: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportRingingUpdate(LiveUpdate):
    """The telephone that was called rings."""

    session_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportAnsweredUpdate(LiveUpdate):
    """The telephone that was called was answered."""

    session_id: str


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class LiveTransportFailedUpdate(LiveUpdate):
    """The telephone could not be called."""

    session_id: str
    error: resources.LiveTransportError


LIVE.register_updates(globals(), LiveUpdateKind, prefix="Live")

if not TYPE_CHECKING:  # checkers, which read no such expression, take all names without an underscore
    __all__ = public_classes(globals())
