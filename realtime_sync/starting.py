"""How a client starts a session of the realtime protocol; and what the start of any session shares.

``start_session`` has the order: connect, wait for the server's first message, guard the budget, apply the options, plug
in the reconnector. If a step fails, the session is closed and the step's error raised.

What few sessions need (budgets, recordings, reconnecting) is imported where it is asked for; see ``lazy.py``.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Callable, Optional, Union

import attrs

import realtime_sync.errors as errors
import realtime_sync.hooks as hooks
from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_whole, validated_by
from realtime_sync.core.commands import time_out
from realtime_sync.core.engine import Engine
from realtime_sync.core.limits import QueueLimits
from realtime_sync.core.realtime import RealtimeEngine, RealtimeState
from realtime_sync.core.realtime_session import SESSION_OPTIONS, check_type
from realtime_sync.endpoint.connect import ConnectRetries, open_connection, refusal
from realtime_sync.endpoint.endpoint import Additions, Endpoint, Target
from realtime_sync.endpoint.model_kinds import check_is_not_live
from realtime_sync.endpoint.retirement import warn_of_ends
from realtime_sync.open_sessions import OpenSessions
from realtime_sync.protocol.options import ConversationSessionOptions, SessionOptions
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.timeouts import Timeouts
from realtime_sync.tools.serving import runner_of
from realtime_sync.transport import MAX_MESSAGE_BYTES, Cancellation, Connection
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.budget import Budget
    from realtime_sync.core.observation import Observation, Scribe
    from realtime_sync.reconnect.policy import Reconnect
    from realtime_sync.reconnect.ways import Ways
    from realtime_sync.recording import RecordingWriter

Recorded = Union[str, os.PathLike[str], "RecordingWriter"]
Connect = Callable[..., Connection]
"""``connect(cancellation, retries=None)`` opens a connection; with ``retries`` in place of the client's."""

_REFUSAL_SECONDS = 0.5


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConnectionSettings(Value, metaclass=NamedFields):
    """How sessions are connected and kept, whatever they are connected to.

    Attributes:
        timeouts: The deadlines of connecting, sending and closing, in seconds (default: ``Timeouts()``).
        retries: What is tried again after a refusal (default: ``ConnectRetries()``).
        limits: How many bytes a session keeps (default: ``QueueLimits()``).
        max_message_bytes: Bytes (default: 64 MiB) of the largest message that the server may send. None: no limit.
    """

    timeouts: Timeouts = attrs.field(factory=Timeouts)
    retries: ConnectRetries = attrs.field(factory=ConnectRetries)
    limits: QueueLimits = attrs.field(factory=QueueLimits)
    max_message_bytes: Optional[int] = attrs.field(
        default=MAX_MESSAGE_BYTES, validator=validated_by(check_whole, "bytes", at_least=1, optional=True)
    )

    def __attrs_post_init__(self) -> None:
        """Refuse now what would fail in the middle of a connect."""
        for name, kind in (("timeouts", Timeouts), ("retries", ConnectRetries), ("limits", QueueLimits)):
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise errors.ConfigurationError(f"{name} must be a {kind.__name__}(...), not {value!r:.60}")


@attrs.frozen(eq=False)
class Provisions:
    """What a session is started with beside its own settings, checked before anything is connected.

    Attributes:
        policy: How it survives the loss of its connection; None: it does not.
        budget: What it may cost; None: there is no bound.
        recorded: Where its traffic is written to; None: nowhere.
    """

    policy: Optional[Reconnect]
    budget: Optional[Budget]
    recorded: Optional[Recorded]

    @classmethod
    def of(
        cls, reconnect: Union[bool, Reconnect], budget: Union[float, Budget, None], recorded: Optional[Recorded]
    ) -> Provisions:
        """Check what a caller gave."""
        if recorded is not None:
            from realtime_sync.recording import RecordingWriter

            if not isinstance(recorded, (str, os.PathLike, RecordingWriter)):
                raise errors.InvalidInputError(f"recording must be a path or a RecordingWriter, not {recorded!r:.60}")
        if budget is not None:
            from realtime_sync.budget import Budget

            budget = budget if isinstance(budget, Budget) else Budget(budget)
        return cls(_policy(reconnect), budget, recorded)

    def writer(self) -> Optional[RecordingWriter]:
        """The writer of the recording. The caller closes it if no session comes about."""
        if not isinstance(self.recorded, (str, os.PathLike)):
            return self.recorded
        from realtime_sync.recording import RecordingWriter

        return RecordingWriter(self.recorded)


def connector(target: Callable[[], Target], settings: ConnectionSettings) -> Connect:
    """What opens a session's connections."""

    def connect(cancellation: Cancellation, retries: Optional[ConnectRetries] = None) -> Connection:
        return open_connection(
            target,
            timeouts=settings.timeouts,
            retries=retries or settings.retries,
            cancellation=cancellation,
            max_message_bytes=settings.max_message_bytes,
        )

    return connect


def with_request_id(endpoint: Endpoint, headers: Optional[Additions]) -> tuple[Optional[Additions], Optional[str]]:
    """The headers with an id of the session for Azure's support, and the id; on other services None."""
    if endpoint.flavour == "openai":
        return headers, None
    import uuid

    request_id = str(uuid.uuid4())
    return {"x-ms-client-request-id": request_id, **(headers or {})}, request_id


def observed(
    endpoint: Endpoint,
    protocol: str,
    scribe: Callable[[Observation], Scribe],
    *,
    model: Optional[str],
    beside: bool = False,
) -> Optional[Observation]:
    """What tells the hooks of a session, once it has begun; None if there are none. See ``hooks.py``."""
    if not hooks.registered().hooks:
        return None
    from realtime_sync.core.observation import Observation, place

    about = hooks.ObservedSession(0, protocol, endpoint.flavour, *place(endpoint.base_url), beside, model)
    return Observation(hooks.registered(), about, scribe)


def give_back(
    engine: Optional[Engine],
    writer: Optional[RecordingWriter],
    observation: Optional[Observation],
    error: BaseException,
) -> None:
    """End what a start that failed with this error has begun: nobody else knows of it."""
    try:
        if observation is not None:
            observation.start_failed(error, has_engine=engine is not None)
    finally:  # Ctrl-C ends the wait for a hook
        if engine is not None:
            engine.close(1000, "")
        elif writer is not None:
            writer.close()


def introduce(open_sessions: OpenSessions, steps: Callable[[], None]) -> None:
    """Do the first steps of a session that is connected. Raises what they raise; the caller closes the session then.

    If the client was closed meanwhile, that is the reason, and the only error to be told.
    """
    try:
        open_sessions.check_not_closed()  # close() may have been called before this session was registered
        steps()
    except (errors.ConnectionFailedError, errors.ConnectionClosedError, errors.SessionNotOpenError):
        if not open_sessions.closed:
            raise
    open_sessions.check_not_closed()


@attrs.frozen(eq=False, kw_only=True)
class Start:
    """A start of a session of the realtime protocol.

    ``options``: applied and acknowledged before the session is given to the caller; None: the service's defaults. Of
    ``model``, ``call_id`` and ``intent`` one selects the session, see ``Endpoint.target``. ``ways``: where a session
    that has lost its connection may go on; None: at the same endpoint.
    """

    open_sessions: OpenSessions
    endpoint: Endpoint
    settings: ConnectionSettings
    options: Optional[SessionOptions]
    provisions: Provisions
    headers: Optional[Additions]
    query: Optional[Additions]
    model: Optional[str] = None
    call_id: Optional[str] = None
    intent: Optional[str] = None
    translation: bool = False
    ways: Optional[Ways] = None

    def __attrs_post_init__(self) -> None:
        """Check the options before anything is connected."""
        if self.options is not None:
            check_type(self.options, SESSION_OPTIONS, "options")
        if isinstance(self.options, ConversationSessionOptions):
            runner_of(self.options.tools)  # raises if one of its functions cannot be described
        check_is_not_live(self.endpoint, self.model)
        warn_of_ends(self.endpoint, self.model, self.options)

    def opening(self) -> tuple[Connect, Optional[str]]:
        """What opens the session's connections, and the id that it tells to Azure's support; on other services None."""
        headers, request_id = with_request_id(self.endpoint, self.headers)
        target = functools.partial(
            self.endpoint.target,
            model=self.model,
            call_id=self.call_id,
            intent=self.intent,
            path_suffix="translations" if self.translation else None,
            extra_headers=headers,
            extra_query=self.query,
        )
        return connector(target, self.settings), request_id

    def run(self, retries: Optional[ConnectRetries] = None) -> RealtimeConversationSession:
        """Connect, introduce, and return the session. ``retries``: in place of those of the settings."""
        policy, budget = self.provisions.policy, self.provisions.budget
        if policy is not None:  # now, because from the connection on it must be quick
            from realtime_sync.reconnect.reconnector import Reconnector
            from realtime_sync.reconnect.ways import OneWay
        connect, request_id = self.opening()
        self.open_sessions.check_usable()
        observation: Optional[Observation] = None
        writer: Optional[RecordingWriter] = None
        engine: Optional[RealtimeEngine] = None
        try:
            observation = observed(
                self.endpoint, "realtime", self._scribe, model=self.model, beside=self.call_id is not None
            )
            if observation is not None:
                observation.begin()
            writer = self.provisions.writer()
            first = functools.partial(connect, retries=retries)
            engine = self.open_sessions.connected(first, functools.partial(self._engine, writer, observation))
            session = RealtimeConversationSession(
                engine, client_request_id=request_id, translation=self.translation, budget=budget
            )
            introduce(self.open_sessions, lambda: self._introduce(session, engine))
            if policy is not None:
                once = functools.partial(connect, retries=ConnectRetries(attempts=1))  # a reconnector's deadline holds
                replays, greeting = self.call_id is None, self._greeting
                continuous = self.translation
                ways = self.ways or OneWay(policy, once)
                Reconnector(engine, policy, ways, greeting=greeting, replays=replays, continuous=continuous).start()
            if observation is not None:
                observation.started()
            return session
        except BaseException as error:  # Ctrl-C, too
            give_back(engine, writer, observation, error)
            raise

    def _scribe(self, observation: Observation) -> Scribe:
        from realtime_sync.core.observed_responses import ResponseScribe

        return ResponseScribe(observation)

    def _engine(
        self, writer: Optional[RecordingWriter], observation: Optional[Observation], connection: Connection
    ) -> RealtimeEngine:
        timeouts, limits = self.settings.timeouts, self.settings.limits
        state = RealtimeState(self.endpoint.dialect, timeouts.acknowledge, limits.conversation)
        return RealtimeEngine(
            connection, state, timeouts=timeouts, limits=limits, recording=writer, observation=observation
        )

    @property
    def _greeting(self) -> float:
        """Seconds to wait for the server's first message.

        A session that joins a call is not greeted, only refused (OpenAI, 2026): a refusal is given the time to come.
        """
        greeting = self.settings.timeouts.greeting
        return min(greeting, _REFUSAL_SECONDS) if self.call_id else greeting

    def _introduce(self, session: RealtimeConversationSession, engine: RealtimeEngine) -> None:
        """Wait until the session has been greeted and configured."""
        try:
            engine.wait_until_greeted(self._greeting)
        except errors.ConnectionClosedError as error:
            raise refusal(error) from error.__cause__
        if self.provisions.budget is not None:
            from realtime_sync.budget import BudgetGuard

            BudgetGuard(self.provisions.budget, engine).start(self.options)
        if self.options is not None:
            self._configure(session, self.options)

    def _configure(self, session: RealtimeConversationSession, options: SessionOptions) -> None:
        handle = session.configure_session(options)
        try:
            handle.wait()
        except errors.WaitTimeoutError:
            seconds = self.settings.timeouts.acknowledge
            late = (
                f"The server did not acknowledge the options within {seconds} s. It is not known whether they are in "
                "force, so the session was closed. If the server acknowledges no settings at all, start the session "
                "without options and call session.configure_session(options)"
            )
            error = time_out(late, handle._overheard)
            raise error from error.__cause__


def _policy(reconnect: Union[bool, Reconnect]) -> Optional[Reconnect]:
    if reconnect is False:
        return None
    from realtime_sync.reconnect.policy import Reconnect

    if isinstance(reconnect, Reconnect):
        return reconnect
    if not isinstance(reconnect, bool):
        raise errors.InvalidInputError(f"reconnect must be True, False or a Reconnect, not {reconnect!r:.60}")
    return Reconnect()
