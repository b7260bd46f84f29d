"""The way back of a live session: a fork of it, if the service keeps it, else a new session that is told what was said.

``reconnect/way_back.py`` has the attempts, the silence and the renewal; here is what GPT-Live adds to its steps:

1. The client speaks first. A session that was stored is forked: the service then knows the talk itself. It may need a
   moment to find that the old one has ended, so a fork that it refuses, or does not answer, is tried again for
   ``_FORK_SECONDS``. After that, and without ``store``, a new session is started with the same settings, and with the
   newest words as its history. How much the service takes is not known for each model: if it refuses the start, half
   of that is tried, then none.
2. What holds for the whole session is sent again (``kept.py``). Commands that were not acknowledged are not: whether
   they were carried out is not known. Delegated work is cancelled: the new session does not know its ids.
3. Audio is not held. The session's clock begins anew with the audio that comes once all threads may send.
4. A session is renewed while nothing is said, asked, played or worked on; a delegation that nobody takes is lost. A
   stored one must have ended before it can be forked, so no connection is opened ahead for it.

5. At another service (``FallbackWays``) the session is no fork, but a new one. A start that is refused because of its
   history, or a fork, is tried again at the same one first (``Search.again``).

An end that the service has announced is survived if its reason is ``expired``, but for a session that was never sent
any audio, or ``connection_lost``.

Locks: none of its own. The fields below ``_kept`` are the way's thread's.
"""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Optional, Union

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.recovery import ErrorOf, Outgoing
from realtime_sync.core.streams import End
from realtime_sync.live.delegated_work import SessionDelegation
from realtime_sync.live.greeting import wait_until_started
from realtime_sync.live.kept import Lasting, LiveKept
from realtime_sync.live.state import LiveEngine, exchange_of
from realtime_sync.protocol import codec
from realtime_sync.protocol.items import decode_base64
from realtime_sync.protocol.live.commands import LiveSessionStartCommand
from realtime_sync.protocol.live.settings import LiveSessionDetails, LiveSessionSettings
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.reconnect.policy import FATAL_ERRORS, PASSING_CODES, Reconnect, is_survivable
from realtime_sync.reconnect.state import error_of_loss
from realtime_sync.reconnect.way_back import IDLE_LOOK_SECONDS, WayBack
from realtime_sync.reconnect.ways import OneWay
from realtime_sync.transport import Cancellation, Connection

if TYPE_CHECKING:
    from realtime_sync.fallback.ways import FallbackWays
    from realtime_sync.live.session import LiveSession
    from realtime_sync.live.start import LiveStart

# How long a fork is tried that is refused.
_FORK_SECONDS = 5.0
# How much of the history a new session is told, after each refusal of a start with it.
_SHARES = (1.0, 0.5, 0.0)
_ABOUT_SOMETHING_ELSE = (
    *(errors.AuthenticationError, errors.NotFoundError),
    *(errors.RateLimitedError, errors.ServiceUnavailableError),
)


class LiveReconnector(WayBack):
    """Makes new connections for one live session; its ``Recovery``.

    Args:
        engine: The session's engine.
        policy: How the session survives.
        start: How the session was started, and is begun again if it is no fork.
        session: The session.
        delegation: Its delegated work.
        ways: The services at which it may go on; None: at the same one only.
        greeting: Seconds to wait for ``session.started``.
    """

    _engine: LiveEngine

    def __init__(
        self,
        engine: LiveEngine,
        policy: Reconnect,
        start: LiveStart,
        session: LiveSession,
        delegation: SessionDelegation,
        ways: Optional[FallbackWays] = None,
        *,
        greeting: float,
    ) -> None:
        if ways is not None:
            ways.open = self._opened
        one_way = OneWay(policy, lambda cancellation: self._opened(self._start, False, cancellation))
        super().__init__(engine, policy, ways or one_way, greeting=greeting)
        self._start = start  # at the service that was connected to last
        self._session = session
        self._delegation = delegation
        self._kept = LiveKept(policy.hold_commands)
        self._forks: Optional[str] = None  # the session that the connection in hand is a fork of
        self._refused_at: Optional[float] = None  # when a fork of the session was refused first
        self._shares = [*_SHARES]  # of the history, that are left to be tried
        self._told_history = False  # the session that was started last

    # Recovery: see core/recovery.py -----------------------------------------------------------------------------------

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """See ``Recovery``: True, because nothing is to be sent twice; audio that is lost on its way is lost."""
        self._kept.keep(connection.number, frame)
        return True

    def take_back(self, frame: Outgoing) -> None:
        """See ``Recovery``."""
        self._kept.take_back(frame)

    def hold(self, frame: Outgoing) -> None:
        """See ``Recovery``: it is dropped."""
        samples = decode_base64(json.loads(frame.text)["audio"])
        if samples and len(set(samples)) > 1:  # else it is silence
            self._kept.drop(self._engine.audio_format.seconds(len(samples)))

    def keeps_audio(self, seconds: float) -> bool:
        """See ``Recovery``."""
        return False

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """See ``Recovery``."""
        self._kept.observe(update, acknowledged)

    def survives(self, connection: SessionConnection, end: End) -> bool:
        """See ``Recovery``."""
        closed, error = exchange_of(connection).closed, connection.last_unattributed_error
        if closed is not None:
            was_used = self._engine.clock.begun_at is not None
            return closed.reason == "connection_lost" or (closed.reason == "expired" and was_used)
        if error is not None and FATAL_ERRORS & {error.error.code, error.error.type}:
            return self._ways.can_leave(error)
        return is_survivable(end.reason, clean=False, last_error=None)

    def cut_off(self, connection: SessionConnection, reason: errors.ConnectionClosedError) -> ErrorOf:
        """See ``Recovery``."""
        return error_of_loss(reason, self._kept.cut(connection.number, self._under_way()))

    # The way back: see way_back.py ------------------------------------------------------------------------------------

    def _opened(self, start: LiveStart, moved: bool, cancellation: Cancellation) -> Connection:
        """A connection for a fork, or for a new session. ``moved``: at another service, which knows no session."""
        self._start = start
        self._told_history = False
        details = self._engine.details
        trying = self._refused_at is None or time.monotonic() - self._refused_at < _FORK_SECONDS
        self._forks = details.id if details is not None and details.store and trying and not moved else None
        return start.open_again(f"{self._forks}/fork" if self._forks else start.door, cancellation)

    def _catch_up(self, connection: SessionConnection) -> list[str]:
        if self._forks is not None:  # the service knows all that was
            self._begin(connection, LiveSessionStartCommand(session=LiveSessionSettings()))
            return []
        start, losses = self._start.begun_again(self._session, self._shares[0])
        self._told_history = bool(start.session.input)
        self._begin(connection, start)
        return [*losses, *self._kept.pop_thoughts()]

    def _begin(self, connection: SessionConnection, start: Command) -> None:
        wait_until_started(lambda: self._send(connection, start), self._greeting)

    def _is_worth_another_try(self, error: errors.RealtimeSyncError) -> bool:
        passing = (errors.RateLimitedError, errors.ServiceUnavailableError)
        refused = isinstance(error, (errors.HandshakeError, errors.WaitTimeoutError)) and not isinstance(error, passing)
        if (self._forks is None or not refused) and not self._tries_less_history(error):
            return super()._is_worth_another_try(error)
        self._search.again()
        if self._forks is not None:
            self._refused_at = self._refused_at or time.monotonic()
        return True  # the service has not noticed yet that the session has ended, or does not keep it

    def _tries_less_history(self, error: errors.RealtimeSyncError) -> bool:
        """True if the history may be why a new session was refused, so that the next one is told less of it."""
        if not (self._told_history and _may_be_about_history(error)):
            return False
        del self._shares[0]
        return True

    def _carry_over(self, connection: SessionConnection) -> None:
        self._refused_at, self._shares = None, [*_SHARES]
        self._engine.clock.restart()
        self._kept.open(connection.number)

    def _send_kept(self, connection: SessionConnection) -> None:
        while (lasting := self._kept.next_unsent(connection.number)) is not None:
            again = self._engine.new_handle(lasting.handle.type, lasting.handle.event_id)
            frame = Outgoing(_of_no_delegation(lasting.frame.text), again, lasting.frame.message)
            connection.send(frame, functools.partial(_note_sent_again, lasting))

    def _is_all_sent(self) -> bool:
        return self._kept.next_unsent(self._engine.connection.number) is None

    def _sent_again(self) -> list[str]:
        return self._kept.unacknowledged()

    def _settings(self) -> Optional[LiveSessionDetails]:
        return self._engine.details

    def _pop_losses(self) -> list[str]:
        return self._kept.pop_losses()

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def _expires_in(self) -> Optional[float]:
        details = self._engine.details
        return details.expires_at - time.time() if details is not None and details.expires_at else None

    @property
    def _opens_ahead(self) -> bool:
        details = self._engine.details
        return details is None or not details.store

    def _is_idle(self, connection: SessionConnection) -> bool:
        """True if nothing is said, asked, played or worked on."""
        return self._kept.is_idle and not self._delegation.is_awaited and not self._is_playing

    def _under_way(self) -> list[str]:
        """What is lost with this connection, beside words and commands."""
        lost = [f"delegation {name}: it was cancelled" for name in self._delegation.open_ids()]
        return [*lost, "clip: the rest of it was not played"] if self._is_playing else lost

    @property
    def _is_playing(self) -> bool:
        clip = self._engine.clip
        return clip is not None and clip.playing

    def _await_idleness(self, connection: SessionConnection) -> None:
        connection.ended.wait(IDLE_LOOK_SECONDS)


def _may_be_about_history(error: errors.RealtimeSyncError) -> bool:
    """Whether a service that does not start a session may do so with less history: it tells no code for that."""
    if not isinstance(error, errors.HandshakeError) or isinstance(error, _ABOUT_SOMETHING_ELSE):
        return False
    return error.close_info is None or error.close_info.code not in PASSING_CODES


def _of_no_delegation(text: Union[str, bytes]) -> Union[str, bytes]:
    """A command as another session may get it, which does not know the old one's delegations."""
    message = json.loads(text)
    return text if message.get("delegation_id") is None else codec.to_text({**message, "delegation_id": None})


def _note_sent_again(lasting: Lasting, connection: SessionConnection, frame: Outgoing) -> bool:
    lasting.handle.sent_again = frame.handle
    lasting.frame, lasting.connection = frame, connection.number
    return True
