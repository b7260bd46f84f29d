"""Other doors to a live session than its start: a sideband of one that goes on, a fork of one that has ended.

A sideband (``/attach``) is a second connection to somebody else's session, such as a browser's or a telephone's. It may
send every command but audio and ``session.start``. It is told the last seconds again, under the same event ids, and all
that comes; also the sound of both sides. The service tells it about the session only if that is young, so it asks: a
``session.update`` that changes nothing is answered with the settings. Closing it does not end the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

import attrs

import realtime_sync.errors as errors
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.endpoint.endpoint import Additions, Endpoint
from realtime_sync.live.delegated_work import Delegating
from realtime_sync.live.session import LiveSession
from realtime_sync.live.start import LiveStart
from realtime_sync.live.state import LiveEngine, LiveState
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.audio_options import AudioFormat
from realtime_sync.protocol.live.commands import LiveSessionStartCommand, LiveSessionUpdateCommand
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.live.settings import LiveResponsesDelegation, LiveSessionChanges, LiveSessionSettings
from realtime_sync.protocol.registry import Command
from realtime_sync.recording import RecordingWriter
from realtime_sync.rest.call_checks import quoted_id
from realtime_sync.starting import ConnectionSettings, Provisions
from realtime_sync.transport import Connection
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation


class SidebandEngine(LiveEngine):
    """An engine beside a session whose sound and clock are somebody else's."""

    beside = True

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.clock.kept = True  # by whoever sends the audio

    @property
    def audio_format(self) -> SampleFormat:
        """See ``LiveEngine``: both sides are told as PCM at 24,000 Hz, whatever the session's own format is."""
        return PCM

    @property
    def close_seconds(self) -> float:
        """See ``Engine``."""
        return self.timeouts.close

    def check_audio(self) -> None:
        """See ``LiveEngine``: none can be sent."""
        self.check_open()
        raise errors.UsageError(
            "a session that is attached to cannot be sent audio: its sound comes from the browser or the telephone. "
            "session.play_clip(...) plays some to the user, and session.append_commentary(...) has the model speak"
        )


@attrs.frozen(eq=False, kw_only=True)
class LiveAttach(LiveStart):
    """A sideband."""

    @classmethod
    def of(
        cls,
        session_id: str,
        *,
        open_sessions: OpenSessions,
        endpoint: Endpoint,
        settings: ConnectionSettings,
        provisions: Provisions,
        delegating: Delegating,
        headers: Optional[Additions],
        query: Optional[Additions],
    ) -> LiveAttach:
        """A sideband of the session with this id. Raises ``InvalidInputError`` if it cannot be one."""
        return cls(
            open_sessions=open_sessions,
            endpoint=endpoint,
            settings=settings,
            options=LiveSessionOptions(),
            provisions=provisions,
            delegating=delegating,
            keep_clock=False,
            headers=headers,
            query={"graceful_close": "true", **(query or {})},  # so that the service tells how the session ended
            door=f"{quoted_id(session_id, 'session_id')}/attach",
        )

    def _engine(
        self, writer: Optional[RecordingWriter], observation: Optional[Observation], connection: Connection
    ) -> LiveEngine:
        settings = self.settings
        return SidebandEngine(
            connection,
            LiveState(settings.limits.conversation),
            timeouts=settings.timeouts,
            limits=settings.limits,
            recording=writer,
            observation=observation,
        )

    def _first_command(self) -> Command:
        return LiveSessionUpdateCommand(session=LiveSessionChanges())


@attrs.frozen(eq=False, kw_only=True)
class LiveFork(LiveStart):
    """A fork. ``changes``: the few settings that may differ from the old session's."""

    changes: LiveSessionSettings

    @classmethod
    def of(
        cls,
        session_id: str,
        store: Optional[bool],
        audio_format: Union[AudioFormat, str, None],
        *,
        open_sessions: OpenSessions,
        endpoint: Endpoint,
        settings: ConnectionSettings,
        provisions: Provisions,
        delegating: Delegating,
        keep_clock: bool,
        headers: Optional[Additions],
        query: Optional[Additions],
    ) -> LiveFork:
        """A fork of the session with this id. Raises ``InvalidInputError``."""
        told = delegating.settings  # of other kinds a fork says nothing: they are as they were
        options = LiveSessionOptions(store=store, audio_format=audio_format)
        return cls(
            open_sessions=open_sessions,
            endpoint=endpoint,
            settings=settings,
            options=options,
            provisions=provisions,
            delegating=delegating,
            keep_clock=keep_clock,
            headers=headers,
            query=query,
            door=f"{quoted_id(session_id, 'session_id')}/fork",
            changes=options.wire_session(told if isinstance(told, LiveResponsesDelegation) else None),
        )

    def _first_command(self) -> LiveSessionStartCommand:
        return LiveSessionStartCommand(session=self.changes)

    def begun_again(self, session: LiveSession, share: float) -> tuple[LiveSessionStartCommand, list[str]]:
        """See ``LiveStart``."""
        said = len(session.conversation.turns)  # the old session is forked once more, and a fork is told no history
        return self._first_command(), [f"history: {counted(said, 'turn')} since the fork"] if said else []
