"""How a client starts a GPT-Live session.

The order: connect; send ``session.start``, and wait for ``session.started``; guard the budget; plug in the delegate and
the reconnector; keep the clock. Before ``session.started`` each error is fatal. If a step fails, the session is closed
and the step's error raised.
"""

from __future__ import annotations

import functools
from typing import Optional

import attrs

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle
from realtime_sync.endpoint.connect import refusal, refused
from realtime_sync.endpoint.endpoint import Additions, Endpoint
from realtime_sync.live.delegating import Delegating
from realtime_sync.live.session import LiveSession
from realtime_sync.live.state import LiveEngine, LiveState
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.live.commands import LiveSessionStartCommand
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.recording import RecordingWriter
from realtime_sync.starting import ConnectionSettings, Provisions, connector, give_back, with_request_id
from realtime_sync.transport import Connection


@attrs.frozen(eq=False, kw_only=True)
class LiveStart:
    """A start of a GPT-Live session.

    Attributes:
        options: The settings, with the model.
        delegating: Who does the work that the model hands over.
        keep_clock: Whether silence is sent while nobody sends audio.
        door: What follows ``/live/sessions`` in the path; empty: a new session.
    """

    open_sessions: OpenSessions
    endpoint: Endpoint
    settings: ConnectionSettings
    options: LiveSessionOptions
    provisions: Provisions
    delegating: Delegating = attrs.field(factory=Delegating)
    keep_clock: bool = True
    headers: Optional[Additions] = None
    query: Optional[Additions] = None
    door: str = ""

    def run(self) -> LiveSession:
        """Connect, start, and return the session."""
        headers, request_id = with_request_id(self.endpoint, self._headers())
        target = functools.partial(self.endpoint.live_target, self.door, extra_headers=headers, extra_query=self.query)
        connect = connector(target, self.settings)
        self.open_sessions.check_usable()
        writer = self.provisions.writer()
        engine: Optional[LiveEngine] = None
        try:
            engine = self.open_sessions.connected(connect, functools.partial(self._engine, writer))
            session = LiveSession(
                engine,
                client_request_id=request_id,
                budget=self.provisions.budget,
                delegating=self.delegating,
            )
            self._introduce(session, engine)
            return session
        except BaseException:  # Ctrl-C, too
            give_back(engine, writer)
            raise

    def _headers(self) -> Optional[Additions]:
        tier = self.options.service_tier
        return {"OpenAI-Service-Tier": tier, **(self.headers or {})} if tier else self.headers

    def _engine(self, writer: Optional[RecordingWriter], connection: Connection) -> LiveEngine:
        return LiveEngine(
            connection,
            LiveState(self.settings.limits.conversation),
            timeouts=self.settings.timeouts,
            limits=self.settings.limits,
            recording=writer,
        )

    def _introduce(self, session: LiveSession, engine: LiveEngine) -> None:
        try:
            self.open_sessions.check_not_closed()  # close() may have been called before this session was registered
            self._start(engine)
            if self.keep_clock:
                session._audio.keep_clock()
            self.open_sessions.check_not_closed()
        except BaseException as error:
            session.close()
            ended = (errors.ConnectionFailedError, errors.ConnectionClosedError, errors.SessionNotOpenError)
            if not (self.open_sessions.closed and isinstance(error, ended)):
                raise
        self.open_sessions.check_not_closed()  # that it was closed is the reason, and the only error to be told

    def _start(self, engine: LiveEngine) -> None:
        """Say ``session.start``, and wait until the service has started the session."""
        self._await(engine.send(LiveSessionStartCommand(session=self.options.wire_session(self.delegating.settings))))

    def _await(self, started: CommandHandle) -> None:
        """Wait for the answer to the first command. Raises what the service has against it."""
        seconds = self.settings.timeouts.greeting
        try:
            started.wait(seconds)
        except errors.ServerError as error:
            raise refused(error.update.message if error.update else str(error), (error.code, error.type)) from None
        except errors.ConnectionClosedError as error:
            raise refusal(error) from error.__cause__
        except errors.WaitTimeoutError as error:
            late = f"The service did not start the session within {seconds} s (Timeouts.greeting); it was closed."
            raise errors.WaitTimeoutError(late) from error.__cause__
