"""How a client starts a GPT-Live session.

The order: connect; send ``session.start``, and wait for ``session.started``; guard the budget; plug in the delegate and
the reconnector; keep the clock. Before ``session.started`` each error is fatal. If a step fails, the session is closed
and the step's error raised.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.endpoint import Additions, Endpoint
from realtime_sync.live.delegated_work import Delegating
from realtime_sync.live.greeting import wait_until_started
from realtime_sync.live.session import LiveSession
from realtime_sync.live.state import LiveEngine, LiveState
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.live.commands import LiveSessionStartCommand
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.registry import Command
from realtime_sync.recording import RecordingWriter
from realtime_sync.starting import (
    Connect,
    ConnectionSettings,
    Provisions,
    connector,
    give_back,
    introduce,
    observed,
    with_request_id,
)
from realtime_sync.transport import Cancellation, Connection
from realtime_sync.words import counted

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation, Scribe
    from realtime_sync.fallback.ways import FallbackWays


@attrs.frozen(eq=False, kw_only=True)
class LiveStart:
    """A start of a GPT-Live session.

    Attributes:
        options: The settings, with the model.
        delegating: Who does the work that the model hands over.
        keep_clock: Whether silence is sent while nobody sends audio.
        door: What follows ``/live/sessions`` in the path; empty: a new session.
        ways: Where a session that has lost its connection may go on; None: at the same endpoint.
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
    ways: Optional[FallbackWays] = None

    def opening(self) -> tuple[Callable[[str], Connect], Optional[str]]:
        """What opens a connection at a door, and the id that it tells to Azure's support; on other services None."""
        headers, request_id = with_request_id(self.endpoint, self._headers())

        def connect(door: str) -> Connect:
            target = functools.partial(self.endpoint.live_target, door, extra_headers=headers, extra_query=self.query)
            return connector(target, self.settings)

        return connect, request_id

    def run(self, retries: Optional[ConnectRetries] = None) -> LiveSession:
        """Connect, start, and return the session. ``retries``: in place of those of the settings."""
        connect, request_id = self.opening()
        self.open_sessions.check_usable()
        observation: Optional[Observation] = None
        writer: Optional[RecordingWriter] = None
        engine: Optional[LiveEngine] = None
        try:
            beside = self.door.endswith("/attach")
            observation = observed(self.endpoint, "live", self._scribe, model=self.options.model or None, beside=beside)
            if observation is not None:
                observation.begin()
            writer = self.provisions.writer()
            first = functools.partial(connect(self.door), retries=retries)
            engine = self.open_sessions.connected(first, functools.partial(self._engine, writer, observation))
            session = LiveSession(
                engine,
                client_request_id=request_id,
                budget=self.provisions.budget,
                delegating=self.delegating,
            )
            if observation is not None:
                observation.scribe.opened(session)
            introduce(self.open_sessions, lambda: self._introduce(session, engine))
            self._outlive(session, engine)
            if observation is not None:
                observation.started()
            return session
        except BaseException as error:  # Ctrl-C, too
            give_back(engine, writer, observation, error)
            raise

    def _scribe(self, observation: Observation) -> Scribe:
        from realtime_sync.live.observed import LiveScribe

        return LiveScribe(observation)

    def _headers(self) -> Optional[Additions]:
        tier = self.options.service_tier
        return {"OpenAI-Service-Tier": tier, **(self.headers or {})} if tier else self.headers

    def _engine(
        self, writer: Optional[RecordingWriter], observation: Optional[Observation], connection: Connection
    ) -> LiveEngine:
        return LiveEngine(
            connection,
            LiveState(self.settings.limits.conversation, self.options.history or ()),
            timeouts=self.settings.timeouts,
            limits=self.settings.limits,
            recording=writer,
            observation=observation,
        )

    def _introduce(self, session: LiveSession, engine: LiveEngine) -> None:
        """Say the first word, wait until the service has answered that the session has begun, and keep its clock."""
        wait_until_started(lambda: engine.send(self._first_command()), self.settings.timeouts.greeting)
        if self.provisions.budget is not None:
            from realtime_sync.live.budget import LiveBudgetGuard

            LiveBudgetGuard(self.provisions.budget, engine, session._meter).start()
        if self.keep_clock:
            session._audio.keep_clock()

    def _first_command(self) -> Command:
        return LiveSessionStartCommand(session=self.options.wire_session(self.delegating.settings))

    def _outlive(self, session: LiveSession, engine: LiveEngine) -> None:
        """Have the session survive its connection, if that is asked for."""
        if self.provisions.policy is None:
            return
        from realtime_sync.live.reconnector import LiveReconnector

        LiveReconnector(
            engine,
            self.provisions.policy,
            self,
            session,
            session._delegation,
            self.ways,
            greeting=self.settings.timeouts.greeting,
        ).start()

    def open_again(self, door: str, cancellation: Cancellation) -> Connection:
        """A new connection at this door, at once or not at all: the reconnector's deadline holds."""
        connect, _ = self.opening()
        return connect(door)(cancellation, ConnectRetries(attempts=1))

    def begun_again(self, session: LiveSession, share: float) -> tuple[LiveSessionStartCommand, list[str]]:
        """The first command of a session that goes on for this one, and what of its past that is not told.

        ``share``: how much of the history for which there is room it is told; less than 1.0 if that was refused.
        """
        from realtime_sync.conversation.live.history import newest

        said = session.conversation
        messages = said._messages()
        history = newest(messages)
        history = history[len(history) - int(share * len(history)) :]
        whole = sum(map(operator.is_, reversed(history), reversed(messages)))  # all, but for one that was cut
        gone = said.forgotten + len(messages) - whole
        why = "for which the new session has no room" if share == 1.0 else "with which the service has refused to start"
        losses = [f"history: {counted(gone, 'message')}, the oldest, {why}"] if gone else []
        options = attrs.evolve(self.options, history=history)
        return LiveSessionStartCommand(session=options.wire_session(self.delegating.settings)), losses
