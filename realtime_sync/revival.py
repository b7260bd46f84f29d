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

from realtime_sync.acknowledgement import CommandHandle
from realtime_sync.commanding import acknowledged_fields
from realtime_sync.connecting import refusal
from realtime_sync.conversation import Replay
from realtime_sync.delivery import End
from realtime_sync.engine import Engine
from realtime_sync.errors import (
    ConnectCancelledError,
    ConnectionClosedError,
    RealtimeSyncError,
    ReconnectFailedError,
    ServerError,
    SessionExpiredError,
)
from realtime_sync.line import Line
from realtime_sync.patience import Patience
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import ConversationItemCreateCommand, SessionUpdateCommand
from realtime_sync.protocol.registry import Command
from realtime_sync.reconnecting import Reconnect, SessionReconnectedUpdate, is_worth_another_try
from realtime_sync.transport import Cancellation, Connection

logger = logging.getLogger(__name__)

# A connection that was lost sooner than this belongs to the same trouble: patience goes on running out.
_STABLE_SECONDS = 30.0
# Items that are sent before their acknowledgements are waited for.
_WINDOW = 200
# How often it is looked whether the user still speaks, of which there is nothing to wait for.
_IDLE_LOOK_SECONDS = 0.25


class Revival:
    """Makes new connections for one engine.

    ``connect`` opens one; ``greeting``: seconds for the server's first word; ``replays``: False where the service keeps
    the conversation itself (a call), True where the history is to be carried over.
    """

    def __init__(
        self,
        engine: Engine,
        policy: Reconnect,
        connect: Callable[[Cancellation], Connection],
        *,
        greeting: float,
        replays: bool,
    ) -> None:
        self.policy = policy
        self._engine = engine
        self._connect = connect
        self._greeting = greeting
        self._replays = replays
        self._cancellation = Cancellation()
        self._spare: Optional[Connection] = None  # opened ahead of expiry
        self._patience = Patience(policy.give_up_after)
        self._attempt = 0
        self._lived_since = time.monotonic()

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
        lost_at = time.monotonic()
        if lost_at - self._lived_since > _STABLE_SECONDS:
            self._patience, self._attempt = Patience(self.policy.give_up_after), 0
        elif self._attempt == 0:
            self._patience = Patience(self.policy.give_up_after)
        while True:
            first = self._attempt
            try:
                line, replay, refused = self._new_line()
            except RealtimeSyncError as error:
                self._give_up(reason, error)
                return
            update = SessionReconnectedUpdate(
                reason=reason,
                losses=(*self._engine.take_losses(), *replay.losses, *refused),
                attempts=self._attempt - first,
                seconds=time.monotonic() - lost_at,
                session=self._engine.session,
            )
            logger.info("%s: reconnected after %.1f s", self._engine.name, update.seconds)
            self._engine.announce(line, update, replay.names if self._replays else None)
            if self._sent_again(line):
                self._lived_since = time.monotonic()
                self.watch(line)
                return
            lost_at, reason = time.monotonic(), line.error or reason

    # A connection -----------------------------------------------------------------------------------------------------

    def _new_line(self) -> tuple[Line, Replay, list[str]]:
        error: Optional[RealtimeSyncError] = None
        while True:
            self._attempt += 1
            try:
                line = self._engine.adopt(self._take_spare() or self._connected(error))
                try:
                    self._introduce(line)
                    return (line, *self._replay(line))
                except BaseException:
                    self._drop(line)
                    raise
            except RealtimeSyncError as caught:
                error = caught
                if self._cancellation.cancelled or not is_worth_another_try(error) or self._patience.left == 0:
                    raise
                logger.info("%s: attempt %d to reconnect failed: %s", self._engine.name, self._attempt, error)

    def _take_spare(self) -> Optional[Connection]:
        spare, self._spare = self._spare, None
        return spare

    def _connected(self, error: Optional[RealtimeSyncError]) -> Connection:
        pause = self.policy.pause(self._attempt, error)
        if self._cancellation.wait(min(pause, self._patience.left or 0.0)):
            raise ConnectCancelledError("The session was closed while it was reconnecting.")
        return self._connect(self._cancellation)

    def _drop(self, line: Line) -> None:
        line.connection.abort()
        line.ended.wait(self._engine.timeouts.close)  # its reader lets go of it before the next one begins

    def _introduce(self, line: Line) -> None:
        Patience(self._greeting).wait(line.greeted.wait)
        if line.over and not line.heard:
            line.ended.wait(self._engine.timeouts.close)
            raise refusal(line.error) if line.error is not None else ConnectCancelledError("The session was closed.")
        options = self._engine.settings.merged()
        if options is not None:
            self._send(line, SessionUpdateCommand(session=options)).wait()

    def _replay(self, line: Line) -> tuple[Replay, list[str]]:
        """Send the history; what of it was sent, and what the service refused."""
        if not self._replays:
            return Replay([], [], {}), []
        replay = self._engine.read_conversation(lambda conversation: conversation.replay())
        refused: list[str] = []
        for start in range(0, len(replay.items), _WINDOW):
            window = replay.items[start : start + _WINDOW]
            handles = [self._send(line, ConversationItemCreateCommand(item=item)) for item in window]
            for item, handle in zip(window, handles, strict=True):
                try:
                    handle.wait()
                except ServerError as error:
                    refused.append(f"{item.type} {item.id}: {error}")
                    replay.leave_out(str(item.id))
        return replay, refused

    def _send(self, line: Line, command: Command) -> CommandHandle:
        command = attrs.evolve(command, event_id=f"event_{secrets.token_hex(10)}")
        handle = self._engine.new_handle(command.wire_type, command.event_id)
        line.send(codec.encode(command, self._engine.dialect), handle, acknowledged_fields(command))
        return handle

    def _sent_again(self, line: Line) -> bool:
        """Send what was kept, and let everyone send; False where the connection has ended meanwhile."""
        try:
            while not self._engine.go_live(line):
                if line.over or self._engine.closing:
                    line.ended.wait(self._engine.timeouts.close)
                    return False
                self._engine.send_again(line)
        except ConnectionClosedError:
            line.ended.wait(self._engine.timeouts.close)
            return False
        return True

    def _give_up(self, reason: ConnectionClosedError, error: BaseException) -> None:
        engine = self._engine
        if engine.closing:
            engine.finish(engine.closed_end())
            return
        failed = ReconnectFailedError(
            f"the connection was lost ({reason}), and no new one came about ({_counted(self._attempt)}): {error}",
            close_info=reason.close_info,
            error=reason.error,
            losses=engine.take_losses(),
        )
        failed.__cause__ = error
        engine.finish(End(failed, clean=False))

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def watch(self, line: Line) -> None:
        """Renew this connection before the service ends it, if it tells when that will be."""
        expires_at = self._engine.session.expires_at if self._engine.session else None
        if self.policy.renew_before is None or not expires_at:
            return
        left = expires_at - time.time()
        seconds = left - min(self.policy.renew_before, left / 10)  # short sessions must not be renewed all the time
        self._engine.start_thread(lambda: self._renew(line, seconds), "renewal")

    def _renew(self, line: Line, seconds: float) -> None:
        if line.ended.wait(max(0.0, seconds)) or not self._is_idle_at_last(line):
            return
        spare = self._opened_ahead(line)
        if spare is None:
            return
        if not self._is_idle_at_last(line) or not self._engine.retire(line):
            spare.dispose()
            return
        self._spare = spare
        self.run(SessionExpiredError("the connection was replaced ahead of the service's time limit"))

    def _opened_ahead(self, line: Line) -> Optional[Connection]:
        """A new connection, while the old one serves; None where that ended first."""
        for attempt in itertools.count(1):
            try:
                return self._connect(self._cancellation)
            except RealtimeSyncError as error:
                logger.info("%s: could not connect ahead of expiry: %s", self._engine.name, error)
                if line.ended.wait(self.policy.pause(attempt + 1, error)):
                    return None
        raise AssertionError("count() does not end")

    def _is_idle_at_last(self, line: Line) -> bool:
        """Wait until nobody speaks and no answer is in progress; False where the connection ended first."""
        while not self._engine.is_idle(line):
            if line.ended.is_set():
                return False
            line.responses.wait_for_change(_IDLE_LOOK_SECONDS)
        return not line.ended.is_set()


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
