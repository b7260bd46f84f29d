"""A new connection for a session that has lost its own: connect, apply the settings, replay the history, go on.

It all runs on one thread, which ends when the session goes on or has ended. Before expiry another thread, which sleeps
as long as the connection lives, opens the new connection while the old one still serves.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from typing import Callable, Optional

import attrs

from realtime_sync.conversation import Replay
from realtime_sync.core.commanding import acknowledged_fields
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.engine import Engine
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.endpoint.connect import refusal
from realtime_sync.errors import (
    ConnectCancelledError,
    ConnectionClosedError,
    RealtimeSyncError,
    ReconnectFailedError,
    ServerError,
    SessionExpiredError,
    WaitTimeoutError,
)
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import (
    ConversationItemCreateCommand,
    ResponseCreateCommand,
    SessionUpdateCommand,
)
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.options import SessionOptions
from realtime_sync.protocol.registry import Command
from realtime_sync.reconnect.policy import Reconnect, is_worth_another_try
from realtime_sync.reconnect.state import ReconnectState
from realtime_sync.transport import Cancellation, Connection

logger = logging.getLogger(__name__)

# A connection that was lost sooner than this belongs to the same trouble: the pauses go on growing.
_STABLE_SECONDS = 30.0
# Items that are sent before their acknowledgements are waited for.
_WINDOW = 200
# How often it is looked whether the user still speaks, of which there is nothing to wait for.
_IDLE_LOOK_SECONDS = 0.25
# How long a connection that was opened ahead may wait for its use.
_SPARE_SECONDS = 8.0
# The longest wait for a renewal: locks cannot be waited for much longer on some systems.
_LONGEST_SECONDS = 86_400.0
# Beyond it, in Unix seconds, no server means what it says.
_NO_MOMENT = 1e11


class Reconnector:
    """Makes new connections for one engine.

    ``connect`` opens one; ``greeting``: seconds for the server's first word; ``replays``: False where the service keeps
    the conversation itself (a call), True where the history is carried over; ``continuous``: see ``ReconnectState``.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Reconnect,
        connect: Callable[[Cancellation], Connection],
        *,
        greeting: float,
        replays: bool,
        continuous: bool = False,
    ) -> None:
        self.policy = policy
        self._engine = engine
        self._survival = ReconnectState(self, engine.dialect, continuous=continuous)
        self._connect = connect
        self._greeting = greeting
        self._replays = replays
        self._cancellation = Cancellation()
        self._spare: Optional[Connection] = None  # opened ahead of expiry
        self._patience = Deadline(policy.give_up_after)
        self._attempt = 0  # since the session was stable last
        self._live_since = time.monotonic()
        self._renewed_at: Optional[float] = None

    def begin(self) -> None:
        """Have the engine survive from now on; raises what the session has ended with, where it has already."""
        self.watch(self._engine.survive(self._survival))

    def cancel(self) -> None:
        """See ``Reviver``."""
        self._cancellation.cancel()

    def run(self, reason: ConnectionClosedError) -> None:
        """See ``Reviver``."""
        try:
            self._run(reason)
        except BaseException as error:  # a consumer that is too slow; or a defect: nobody may be left waiting
            logger.exception("the session could not be revived")
            self._give_up(reason, error)

    def _run(self, reason: ConnectionClosedError) -> None:
        while True:
            lost_at = time.monotonic()
            if lost_at - self._live_since > _STABLE_SECONDS:
                self._attempt = 0
            first = self._attempt
            try:
                line, replay, refused = self._new_line(reason)
            except RealtimeSyncError as error:
                self._give_up(reason, error)
                return
            update = SessionReconnectedUpdate(
                reason=reason,
                losses=(*self._survival.take_losses(), *replay.losses, *refused),
                sent_again=tuple(self._survival.outbox.waiting()),
                attempts=self._attempt - first,
                seconds=time.monotonic() - lost_at,
                session=self._engine.session,
                arrived_at=time.monotonic(),
            )
            logger.info("%s: reconnected after %.1f s", self._engine.name, update.seconds)
            self._live_since = time.monotonic()
            if self._goes_on(line, update, replay):
                self.watch(line)
                return
            self._drop(line)
            reason = line.reason or reason

    def _goes_on(self, line: SessionConnection, update: SessionReconnectedUpdate, replay: Replay) -> bool:
        """Tell everyone, send what was kept, and let everyone send; False where the connection has ended meanwhile."""
        engine = self._engine
        owes_answer = engine.announce(line, update, replay.names if self._replays else None)
        try:
            engine.send_again(line)
            if owes_answer:  # that voice activity detection would have asked for
                self._send(line, ResponseCreateCommand())
            while not engine.go_live(line):
                if line.over or engine.closing:
                    return False
                engine.send_again(line)
        except ConnectionClosedError:
            return False
        return True

    # A connection -----------------------------------------------------------------------------------------------------

    def _new_line(self, error: RealtimeSyncError) -> tuple[SessionConnection, Replay, list[str]]:
        """``error``: why there is to be one."""
        # Each loss has a deadline of its own, unless the connection was lost before it was of any use.
        if self._attempt == 0 or self._was_useful():
            self._patience = Deadline(self.policy.give_up_after)
        while True:
            self._attempt += 1
            if self._spare is None and not self._pause(error):
                raise error
            try:
                line = self._engine.adopt(self._take_spare() or self._connect(self._cancellation))
                try:
                    losses = self._introduce(line)
                    replay, refused = self._replay(line)
                    return line, replay, losses + refused
                except BaseException as caught:
                    self._drop(line)
                    if line.reason is not None and isinstance(caught, ConnectionClosedError):
                        raise (line.reason if line.heard else refusal(line.reason)) from caught
                    raise
            except RealtimeSyncError as caught:
                error = caught
                if self._cancellation.cancelled or not is_worth_another_try(error):
                    raise
                logger.info("%s: attempt %d to reconnect failed: %s", self._engine.name, self._attempt, error)

    def _take_spare(self) -> Optional[Connection]:
        spare, self._spare = self._spare, None
        return spare

    def _pause(self, error: RealtimeSyncError) -> bool:
        """Wait before the next attempt; False if the pause does not fit into the time left: it is never shortened."""
        pause, left = self.policy.pause(self._attempt, error), self._patience.left or 0.0
        return not self._cancellation.wait(min(pause, left)) and pause < left

    def _was_useful(self) -> bool:
        """True where the last connection was lived with for a while."""
        return time.monotonic() - self._live_since > min(_STABLE_SECONDS, self.policy.give_up_after)

    def _drop(self, line: SessionConnection) -> None:
        line.connection.abort()
        line.ended.wait(self._engine.timeouts.close)  # its reader lets go of it before the next one begins

    def _introduce(self, line: SessionConnection) -> list[str]:
        """Wait for the greeting, and apply the settings; what of them is lost."""
        Deadline(self._greeting).wait(line.greeted.wait)
        if line.over and not line.heard:
            line.ended.wait(self._engine.timeouts.close)
            raise refusal(line.reason) if line.reason else ConnectCancelledError("The session was closed.")
        settings = self._engine.settings
        options, granted = settings.merged(), settings.granted()
        try:
            self._configure(line, options)
        except ServerError as error:
            if granted == options:
                raise
            self._configure(line, granted)
            return [f"session.update: what was not acknowledged is refused: {error}"]
        return []

    def _configure(self, line: SessionConnection, options: Optional[SessionOptions]) -> None:
        if options is not None:
            self._send(line, SessionUpdateCommand(session=options)).wait()

    def _replay(self, line: SessionConnection) -> tuple[Replay, list[str]]:
        """Send the history; what of it was sent, and what the service refused."""
        if not self._replays:
            return Replay([], [], {}), []
        replay = self._engine.read_conversation(lambda conversation: conversation.replay())
        refused: list[str] = []
        deadline: Optional[float] = None  # the usual
        for start in range(0, len(replay.items), _WINDOW):
            window = replay.items[start : start + _WINDOW]
            handles = [self._send(line, ConversationItemCreateCommand(item=item)) for item in window]
            for item, handle in zip(window, handles, strict=True):
                try:
                    handle.wait(deadline)
                except ServerError as error:
                    refused.append(f"{item.type} {item.id}: {error}")
                    replay.leave_out(str(item.id))
                except WaitTimeoutError:  # some servers acknowledge no items at all
                    if line.over:
                        raise
                    if deadline is None:
                        logger.warning("%s: the server does not acknowledge the history", self._engine.name)
                    deadline = 0.0
        return replay, refused

    def _send(self, line: SessionConnection, command: Command) -> CommandHandle:
        command = attrs.evolve(command, event_id=f"event_{secrets.token_hex(10)}")
        handle = self._engine.new_handle(command.wire_type, command.event_id)
        line.send(codec.encode(command, self._engine.dialect), handle, acknowledged_fields(command))
        return handle

    def _give_up(self, reason: ConnectionClosedError, error: BaseException) -> None:
        engine = self._engine
        if engine.closing:
            engine.finish(engine.closed_end())
            return
        failed = ReconnectFailedError(
            f"the connection was lost ({reason}), and no new one came about ({_counted(self._attempt)}): {error}",
            close_info=reason.close_info,
            error=reason.error,
            losses=self._survival.take_losses(),
        )
        failed.__cause__ = error
        engine.finish(End(failed, clean=False))

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def watch(self, line: SessionConnection) -> None:
        """Renew this connection before the service ends it, if it tells when that will be."""
        expires_at = self._engine.session.expires_at if self._engine.session else None
        if self.policy.renew_before is None or not expires_at:
            return
        left = min(expires_at, _NO_MOMENT) - time.time()
        seconds = min(left - min(self.policy.renew_before, left / 10), _LONGEST_SECONDS)
        if left <= 0:  # the clocks differ, and nobody knows by how much: the end itself is survived, too
            return
        if self._renewed_at is not None and seconds < _STABLE_SECONDS:
            return  # the clocks differ, or the sessions are very short: not one renewal after the other
        self._engine.start_thread(lambda: self._renew(line, seconds), "renewal")

    def _renew(self, line: SessionConnection, seconds: float) -> None:
        if line.ended.wait(max(0.0, seconds)):
            return
        while self._is_idle_within(line, None):
            spare = self._opened_ahead(line)
            if spare is None:
                return
            # Nobody answers the pings of the spare: it must not wait for long.
            if self._is_idle_within(line, _SPARE_SECONDS) and self._engine.retire(line):
                self._spare, self._renewed_at = spare, time.monotonic()
                self.run(SessionExpiredError("the connection was replaced ahead of the service's time limit"))
                return
            spare.dispose()

    def _opened_ahead(self, line: SessionConnection) -> Optional[Connection]:
        """A new connection, while the old one serves; None where that ended first."""
        for attempt in itertools.count(1):
            try:
                return self._connect(self._cancellation)
            except RealtimeSyncError as error:
                logger.info("%s: could not connect ahead of expiry: %s", self._engine.name, error)
                if line.ended.wait(self.policy.pause(attempt + 1, error)):
                    return None
        raise AssertionError("count() does not end")

    def _is_idle_within(self, line: SessionConnection, seconds: Optional[float]) -> bool:
        """Wait until nobody speaks and nothing is asked for; False where time is up or the connection has ended."""
        deadline = Deadline(seconds)
        while not self._engine.is_idle(line):
            if line.ended.is_set() or deadline.left == 0:
                return False
            line.responses.wait_for_change(_IDLE_LOOK_SECONDS)
        return not line.ended.is_set()


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
