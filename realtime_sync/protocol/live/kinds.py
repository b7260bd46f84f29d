"""The kinds of a live session's server messages, one member a wire ``type``, and the registry of its classes."""

from __future__ import annotations

from typing import Final

from realtime_sync.protocol.dialects import Dialect, Json, read_error
from realtime_sync.protocol.kinds import UpdateKind
from realtime_sync.protocol.registry import Registry


class LiveUpdateKind(UpdateKind):
    """What an update of a live session is; the value is the wire's ``type``.

    ``UNKNOWN`` stands for every type that this version has no class for, and for frames that are no message.
    """

    DECISION_EVENT = "decision.event"
    DECISION_ITEM_CREATED = "decision.item.created"
    DECISION_ITEM_DELETED = "decision.item.deleted"
    ERROR = "error"
    INFO = "info"
    RESPONSE_EVENT = "response.event"
    SESSION_CLOSED = "session.closed"
    SESSION_COMMENTARY_APPENDED = "session.commentary.appended"
    SESSION_DELEGATION_CREATED = "session.delegation.created"
    SESSION_INPUT_AUDIO_APPEND = "session.input_audio.append"
    SESSION_INPUT_AUDIO_MUTED = "session.input_audio.muted"
    SESSION_INPUT_AUDIO_UNMUTED = "session.input_audio.unmuted"
    SESSION_INPUT_TRANSCRIPT_DELTA = "session.input_transcript.delta"
    SESSION_INSTRUCTIONS_APPENDED = "session.instructions.appended"
    SESSION_OUTPUT_AUDIO_DELTA = "session.output_audio.delta"
    SESSION_OUTPUT_AUDIO_FIXTURE_PLAYED = "session.output_audio.fixture.played"
    SESSION_OUTPUT_AUDIO_FIXTURE_PLAYING = "session.output_audio.fixture.playing"
    SESSION_OUTPUT_TRANSCRIPT_DELTA = "session.output_transcript.delta"
    SESSION_PAUSED = "session.paused"
    SESSION_RESUMED = "session.resumed"
    SESSION_STARTED = "session.started"
    SESSION_THINKING_APPENDED = "session.thinking.appended"
    SESSION_UPDATED = "session.updated"
    SESSION_USAGE_UPDATED = "session.usage.updated"
    TRANSPORT_ANSWERED = "transport.answered"
    TRANSPORT_DTMF_RECEIVED = "transport.dtmf.received"
    TRANSPORT_DTMF_SEND = "transport.dtmf.send"
    TRANSPORT_DTMF_SENT = "transport.dtmf.sent"
    TRANSPORT_FAILED = "transport.failed"
    TRANSPORT_RINGING = "transport.ringing"
    UNKNOWN = "unknown"


def _read(message: Json, _: Dialect) -> Json:
    """A wire message as the classes say it: of an error that is a bare text, the text is the message."""
    message = dict(message)
    return read_error(message) if message.get("type") == "error" else message


def _write(message: Json, _: Dialect) -> Json:
    """A message as the wire says it: there is one dialect, and the classes are named as it is."""
    return message


LIVE: Final = Registry(_read, _write, frozenset({"error"}))
"""The protocol of live sessions."""
