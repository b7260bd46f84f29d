"""The way back to a connection for a session that has lost its own, whatever protocol it carries.

``WayBack`` is the half of a ``Recovery`` that knows no message of any protocol: attempts, pauses and the moment to give
up; the silence in which a new connection catches up; the replacement of a connection ahead of the service's time limit.
``reconnector.py`` is the realtime protocol's half; the methods at the end of the class are what such a half adds. The
way runs on one thread, which ends when the session goes on or has ended (``core/state.py`` has the states):

1. RECONNECTING: ``SessionDisconnectedUpdate`` is published; then the thread tries to connect, with pauses that grow,
   until the policy gives up.
2. CATCHING_UP: the engine adopts the connection in silence, and ``_catch_up`` makes it the session's; an attempt that
   fails on the way is followed by the next one.
3. The silence ends: under the engine's lock for delivery ``_carry_over`` is called, then ``SessionReconnectedUpdate``
   and the deferred updates are published.
4. What was kept is sent (``_send_kept``); once nothing is left, all threads may send (CONNECTED). If the connection
   ends before that, the way begins again at 1, with the deadline that runs already.

Before expiry another thread, which sleeps as long as the connection lives, opens the next connection while the old one
still serves, waits until a new one would cut nothing short (``_is_idle``), has the old one closed, and goes the same
way from 2 (the session is RECONNECTING meanwhile, but no ``SessionDisconnectedUpdate`` is published).

A connection's reader has let go of it (``ended``) before the next one is adopted: nothing of the old reaches the new.

Locks: none of its own. Only one thread goes the way back at a time (``SessionStates.recovering``), and the fields
below ``_cancellation`` are that thread's. It takes ``Engine.delivering`` to publish, and under it the small locks of
``_carry_over``; no lock is held while it connects, sends or waits. ``cancel`` may be called by any thread.
"""

from __future__ import annotations

import itertools
import logging
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Optional, Union

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle, new_event_id
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.engine import Engine
from realtime_sync.core.recovery import Outgoing, Recovery
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.endpoint.connect import refusal
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.registry import Command
from realtime_sync.reconnect.policy import Reconnect
from realtime_sync.reconnect.ways import Opened, Search, Ways
from realtime_sync.transport import Cancellation

if TYPE_CHECKING:
    from realtime_sync.protocol.live.settings import LiveSessionDetails
    from realtime_sync.protocol.resources import RealtimeSession

logger = logging.getLogger(__name__)

# A connection that was lost sooner than this belongs to the same trouble: the pauses go on growing.
_STABLE_SECONDS = 30.0
# How often to look whether the session is idle, because there is nothing to wait for.
IDLE_LOOK_SECONDS = 0.25
# How long a connection that was opened ahead may wait for its use.
_SPARE_SECONDS = 8.0
# The longest wait for a renewal: some systems cannot wait for a lock much longer.
_LONGEST_SECONDS = 86_400.0


class WayBack(Recovery):
    """See the module.

    Args:
        engine: The session's engine.
        policy: How the session survives.
        ways: Where a new connection may be had.
        greeting: Seconds to wait for the server's first message.
    """

    def __init__(self, engine: Engine, policy: Reconnect, ways: Ways, *, greeting: float) -> None:
        self.policy = policy
        self._engine = engine
        self._ways = ways
        self._greeting = greeting
        self._cancellation = Cancellation()
        self._search = ways.search()  # for the connection that is needed now
        self._spare: Optional[Opened] = None  # opened ahead of expiry, by this search
        self._deadline = Deadline(policy.give_up_after)
        self._attempt = 0  # since the session was stable last
        self._live_since = time.monotonic()
        self._renewed_at: Optional[float] = None

    def start(self) -> None:
        """Have the engine recover from now on; raises the error of the end if the session has ended already."""
        self._watch(self._engine.recover_with(self))

    def begin(self, reason: errors.ConnectionClosedError) -> None:
        """See ``Recovery``."""
        try:
            self._engine.start_thread(lambda: self._run(reason), "reconnector")
        except errors.NoMoreThreadsError as error:
            self._give_up(reason, error)

    def cancel(self) -> None:
        """See ``Recovery``."""
        self._cancellation.cancel()

    # The way back -----------------------------------------------------------------------------------------------------

    def _run(self, reason: errors.ConnectionClosedError, announced: bool = False) -> None:
        """Go the way back. ``announced``: people need not be told that there is no connection."""
        try:
            self._go_on(reason, announced)
        except BaseException as error:  # a consumer that is too slow, or a defect: no thread may be left waiting
            logger.exception("the session could not go on over a new connection")
            self._give_up(reason, error)

    def _go_on(self, reason: errors.ConnectionClosedError, announced: bool) -> None:
        while True:
            lost_at = time.monotonic()
            if lost_at - self._live_since > _STABLE_SECONDS:
                self._attempt = 0
            first = self._attempt
            if self._spare is None:
                self._search = self._ways.search(lost_soon=self._attempt > 0)
            try:
                connection, opened, losses = self._caught_up(reason, announced)
            except errors.RealtimeSyncError as error:
                self._give_up(reason, self._search.told(error))
                return
            update = SessionReconnectedUpdate(
                reason=reason,
                losses=(*self._pop_losses(), *losses),
                sent_again=tuple(self._sent_again()),
                attempts=self._attempt - first,
                seconds=time.monotonic() - lost_at,
                session=self._settings(),
                endpoint=connection.transport.url,
                moved=opened.moved,
                flavour=opened.flavour,
                arrived_at=time.monotonic(),
            )
            logger.info("%s: reconnected after %.1f s", self._engine.name, update.seconds)
            if update.moved:
                logger.warning("%s: it goes on at another service: %s", self._engine.name, update.endpoint)
            self._live_since = time.monotonic()
            if self._resume(connection, update):
                self._watch(connection)
                return
            self._drop(connection)
            reason, announced = connection.reason or reason, False
            if isinstance(reason, errors.ConsumerTooSlowError):
                self._engine.finish(End(reason, clean=False))
                return

    def _resume(self, connection: SessionConnection, update: SessionReconnectedUpdate) -> bool:
        """Publish the update, send what was kept, let all threads send; False if the connection has ended meanwhile."""
        engine = self._engine
        self._end_silence(connection, update)
        try:
            self._send_kept(connection)
            while not engine.go_live(connection, self._is_all_sent):
                if connection.over or engine.closing:
                    return False
                self._send_kept(connection)
        except errors.ConnectionClosedError:
            return False
        return True

    def _end_silence(self, connection: SessionConnection, update: SessionReconnectedUpdate) -> None:
        """Deliver from now on."""
        engine = self._engine
        with engine.delivering:
            self._carry_over(connection)
            connection.silent = False
            engine.publish(update)
            for deferred in connection.deferred:
                engine.state.apply(deferred)
                engine.publish(deferred)
            connection.deferred.clear()

    # A connection -----------------------------------------------------------------------------------------------------

    def _caught_up(
        self, error: errors.RealtimeSyncError, announced: bool
    ) -> tuple[SessionConnection, Opened, list[str]]:
        """A new connection that has caught up, how it was opened, and what was lost on the way.

        ``error``: why a new connection is needed.
        """
        # Each loss has a deadline of its own, unless the last connection was lost before it was of any use.
        if self._attempt == 0 or self._was_useful():
            self._deadline = Deadline(self.policy.give_up_after)
        reason = error
        while True:
            self._attempt += 1
            if self._spare is None:
                self._wait_for_attempt(error, None if announced else reason)
                announced = True
            try:
                spare, self._spare = self._spare, None
                opened = spare or self._search.open(self._cancellation)
                connection = self._engine.adopt(opened.transport, opened.vocabulary)
                try:
                    losses = self._catch_up(connection)
                except BaseException as caught:
                    self._drop(connection)
                    ended = connection.reason
                    if ended is None or not isinstance(caught, errors.ConnectionClosedError):
                        raise
                    raise (ended if connection.heard else refusal(ended)) from ended.__cause__
                self._search.succeeded()
                return connection, opened, losses
            except errors.RealtimeSyncError as caught:
                error = caught
                if self._cancellation.cancelled or not self._is_worth_another_try(error):
                    raise
                logger.info("%s: attempt %d to reconnect failed: %s", self._engine.name, self._attempt, error)

    def _wait_for_attempt(self, error: errors.RealtimeSyncError, loss: Optional[errors.RealtimeSyncError]) -> None:
        """Wait before the next attempt; raises ``error`` if the full pause does not fit into the time left.

        It never tries earlier than the backoff says. ``loss``: to be published; None: it was already.
        """
        pause, left = self._search.pause(self._attempt, error), self._deadline.remaining
        if isinstance(loss, errors.ConnectionClosedError):
            update = SessionDisconnectedUpdate(
                reason=loss, retry_in=min(pause, left), give_up_after=left, lost_at=time.monotonic()
            )
            with self._engine.delivering:
                self._engine.publish(update)
        if self._cancellation.wait(min(pause, left)) or pause >= left:
            raise error

    def _was_useful(self) -> bool:
        """True if the last connection stayed up long enough to reset the backoff."""
        return time.monotonic() - self._live_since > min(_STABLE_SECONDS, self.policy.give_up_after)

    def _greet(self, connection: SessionConnection) -> None:
        """Wait for the server's first message; raises if the connection ended without one."""
        Deadline(self._greeting).wait(connection.greeted.wait)
        if connection.over and not connection.heard:
            connection.ended.wait(self._engine.timeouts.close)
            closed = errors.ConnectCancelledError("The session was closed.")
            raise refusal(connection.reason) if connection.reason else closed

    def _send(self, connection: SessionConnection, command: Command) -> CommandHandle:
        """Send a command of the way's own, which is not kept."""
        command.event_id = new_event_id()
        handle = self._engine.new_handle(command.wire_type, command.event_id)
        vocabulary = self._engine.state.vocabulary
        frame = Outgoing(vocabulary.encode(command), handle, vocabulary.matched(command))
        connection.send(frame, lambda connection, frame: False)
        return handle

    def _drop(self, connection: SessionConnection) -> None:
        connection.transport.abort()
        connection.ended.wait(self._engine.timeouts.close)  # its reader lets go of it before the next one begins

    def _give_up(self, reason: errors.ConnectionClosedError, error: BaseException) -> None:
        engine = self._engine
        if engine.closing:
            engine.finish(engine.states.closed_end())
            return
        attempts = "1 attempt" if self._attempt == 1 else f"{self._attempt} attempts"
        why = f"no new connection could be made ({attempts}): {error}"
        if error is reason:
            why = "there was no time for an attempt to make a new one (Reconnect.give_up_after)"
        failed = errors.ReconnectFailedError(
            f"{str(reason).rstrip('.')}, and {why}",
            close_info=reason.close_info,
            error=reason.error,
            losses=self._pop_losses(),
        )
        failed.__cause__ = error
        engine.finish(End(failed, clean=False))

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def _watch(self, connection: SessionConnection) -> None:
        """Renew this connection before the service ends it, if the service announced when that will be."""
        left = self._expires_in()
        if self.policy.renew_before is None or left is None:
            return
        seconds = min(left - min(self.policy.renew_before, left / 10), _LONGEST_SECONDS)
        if left <= 0:  # the clocks differ by an unknown time; the end itself is survived, too
            return
        if self._renewed_at is not None and seconds < _STABLE_SECONDS:
            return  # the clocks differ, or the sessions are very short: one renewal would follow the other
        try:
            self._engine.start_thread(lambda: self._renew(connection, seconds), "renewal")
        except errors.NoMoreThreadsError as error:
            logger.warning("%s: it is not renewed ahead of its end, which is survived: %s", connection.name, error)

    def _renew(self, connection: SessionConnection, seconds: float) -> None:
        if connection.ended.wait(max(0.0, seconds)):
            return
        if not self._opens_ahead:
            if self._is_idle_within(connection, None) and self._engine.retire(connection):
                self._replace()
            return
        while self._is_idle_within(connection, None):
            search = self._ways.search()
            spare = self._opened_ahead(connection, search)
            if spare is None:
                return
            try:
                # No thread answers the pings of the spare connection, so it must not wait for long.
                if self._is_idle_within(connection, _SPARE_SECONDS) and self._engine.retire(connection):
                    self._search, self._spare, spare = search, spare, None
                    self._replace()
                    return
            finally:
                if spare is not None:
                    spare.transport.dispose()

    def _replace(self) -> None:
        """Go the way back for a connection that was retired."""
        self._renewed_at = time.monotonic()
        reason = errors.SessionExpiredError("the connection was replaced ahead of the service's time limit")
        self._run(reason, announced=True)

    def _opened_ahead(self, connection: SessionConnection, search: Search) -> Optional[Opened]:
        """A new connection, opened while the old one serves; None if the old one ended first."""
        for attempt in itertools.count(1):
            try:
                return search.open(self._cancellation)
            except errors.RealtimeSyncError as error:
                logger.info("%s: could not connect ahead of expiry: %s", self._engine.name, error)
                search.failed(error)
                if connection.ended.wait(search.pause(attempt + 1, error)):
                    return None
        raise AssertionError("count() does not end")

    def _is_idle_within(self, connection: SessionConnection, seconds: Optional[float]) -> bool:
        """Wait until ``_is_idle``; False if time is up or the connection has ended. ``seconds``: None is for ever."""
        deadline = Deadline(seconds)
        while not self._is_idle(connection):
            if connection.ended.is_set() or deadline.left == 0:
                return False
            self._await_idleness(connection)
        return not connection.ended.is_set()

    @property
    def _opens_ahead(self) -> bool:
        """True if the next connection may be opened while the old one still serves."""
        return True

    def _is_worth_another_try(self, error: errors.RealtimeSyncError) -> bool:
        """True if an attempt failed in a way that may pass, or that need not concern the next one."""
        return self._search.failed(error)

    # What a protocol adds ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _catch_up(self, connection: SessionConnection) -> list[str]:
        """Have the connection greeted, and give it the session's past; returns what it refused, one line for each."""

    @abstractmethod
    def _carry_over(self, connection: SessionConnection) -> None:
        """The connection has caught up, and its silence ends now. The lock for delivery is held."""

    @abstractmethod
    def _send_kept(self, connection: SessionConnection) -> None:
        """Send what was kept for this connection, before other threads may send."""

    @abstractmethod
    def _is_all_sent(self) -> bool:
        """True if nothing is left to be sent before other threads may. ``SessionStates.lock`` is held."""

    @abstractmethod
    def _sent_again(self) -> list[str]:
        """The wire types of the commands that are sent again and were not acknowledged."""

    @abstractmethod
    def _settings(self) -> Union[RealtimeSession, LiveSessionDetails, None]:
        """The session's settings, as the service has told them."""

    @abstractmethod
    def _pop_losses(self) -> list[str]:
        """The losses since the last call, one line for each."""

    @abstractmethod
    def _expires_in(self) -> Optional[float]:
        """Seconds until the service ends the session at its time limit; None if it has not announced that."""

    @abstractmethod
    def _is_idle(self, connection: SessionConnection) -> bool:
        """True if a new connection would cut nothing short."""

    @abstractmethod
    def _await_idleness(self, connection: SessionConnection) -> None:
        """Wait until ``_is_idle`` is worth another look, ``IDLE_LOOK_SECONDS`` at most."""
