"""A new connection for a session that has lost its own: connect, apply the settings, replay the history, go on.

The reconnector is the engine's ``Recovery``. The way back runs on one thread, which ends when the session goes on or
has ended (``core/state.py`` has the states):

1. RECONNECTING: ``SessionDisconnectedUpdate`` is published; then the thread tries to connect, with pauses that grow,
   until the policy gives up.
2. CATCHING_UP: the engine adopts the connection in silence. It is greeted, and is given the settings and the history;
   an attempt that fails on the way is followed by the next one.
3. The silence ends: under the engine's lock for delivery the conversation is carried over, the outbox opens, and
   ``SessionReconnectedUpdate`` and the deferred updates are published.
4. The frames that were kept are sent again, in their order, then a request for an answer that the service owes; once
   nothing is left, all threads may send (CONNECTED). If the connection ends before that, the way begins again at 1,
   with the deadline that runs already.

Before expiry another thread, which sleeps as long as the connection lives, opens the next connection while the old one
still serves, waits until the user is silent and no answer is in progress, has the old one closed, and goes the same way
from 2 (the session is RECONNECTING meanwhile, but no ``SessionDisconnectedUpdate`` is published).

A connection's reader has let go of it (``ended``) before the next one is adopted: nothing of the old reaches the new.

Locks: none of its own. Only one thread goes the way back at a time (``SessionStates.recovering``), and the fields
below ``_cancellation`` are that thread's. It takes ``Engine.delivering`` to publish, and under it the outbox's lock;
no lock is held while it connects, sends or waits. ``cancel`` may be called by any thread.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Mapping
from typing import Callable, Optional

import realtime_sync.errors as errors
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation import Replay
from realtime_sync.core.acknowledgements import matched_fields
from realtime_sync.core.commands import CommandHandle, new_event_id
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.realtime import RealtimeEngine, responses_on
from realtime_sync.core.recovery import ErrorOf, Outgoing
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.endpoint.connect import refusal
from realtime_sync.protocol import codec, commands
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.options import SessionOptions
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.reconnect.policy import Reconnect, is_survivable, is_worth_another_try
from realtime_sync.reconnect.state import ReconnectState
from realtime_sync.transport import Cancellation, Connection

logger = logging.getLogger(__name__)

# A connection that was lost sooner than this belongs to the same trouble: the pauses go on growing.
_STABLE_SECONDS = 30.0
# The number of items that are sent before their acknowledgements are waited for.
_WINDOW = 200
# How often to look whether the user still speaks, because there is nothing to wait for.
_IDLE_LOOK_SECONDS = 0.25
# How long a connection that was opened ahead may wait for its use.
_SPARE_SECONDS = 8.0
# The longest wait for a renewal: some systems cannot wait for a lock much longer.
_LONGEST_SECONDS = 86_400.0
# The latest expiry that is believed (Unix seconds).
_NO_MOMENT = 1e11


class Reconnector:
    """Makes new connections for one engine; its ``Recovery``.

    Args:
        engine: The session's engine.
        policy: How the session survives.
        connect: Opens a connection.
        greeting: Seconds to wait for the server's first message.
        replays: True if the history is carried over; False if the service keeps the conversation itself (a call).
        continuous: See ``ReconnectState``.
    """

    def __init__(
        self,
        engine: RealtimeEngine,
        policy: Reconnect,
        connect: Callable[[Cancellation], Connection],
        *,
        greeting: float,
        replays: bool,
        continuous: bool = False,
    ) -> None:
        self.policy = policy
        self._engine = engine
        self._kept = ReconnectState(policy, engine.state, continuous=continuous)
        self._outbox = self._kept.outbox
        self._connect = connect
        self._greeting = greeting
        self._replays = replays
        self._cancellation = Cancellation()
        self._spare: Optional[Connection] = None  # opened ahead of expiry
        self._deadline = Deadline(policy.give_up_after)
        self._attempt = 0  # since the session was stable last
        self._live_since = time.monotonic()
        self._renewed_at: Optional[float] = None

    def start(self) -> None:
        """Have the engine recover from now on; raises the error of the end if the session has ended already."""
        self._watch(self._engine.recover_with(self))

    # Recovery: see core/recovery.py -----------------------------------------------------------------------------------

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """See ``Recovery``."""
        if frame.handle is None:
            self._outbox.keep_audio(connection.number, frame.text, frame.audio_bytes, self._input_format)
        elif frame.handle.type.endswith("input_audio_buffer.append"):  # sent by hand
            size = len(str(frame.message.get("audio") or "")) * 3 // 4
            self._outbox.keep_audio(connection.number, frame.text, size, self._input_format)
        else:
            self._outbox.keep_command(connection.number, frame.text, frame.handle, frame.message)
        return True

    def take_back(self, frame: Outgoing) -> None:
        """See ``Recovery``."""
        self._outbox.take_back(frame.text)

    def hold(self, frame: Outgoing) -> None:
        """See ``Recovery``."""
        self._outbox.hold(frame.text, frame.audio_bytes, self._input_format)

    def keeps_audio(self, seconds: float) -> bool:
        """See ``Recovery``."""
        return seconds <= self.policy.hold_audio

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """See ``Recovery``."""
        self._kept.observe(update, acknowledged)

    def survives(self, connection: SessionConnection, end: End) -> bool:
        """See ``Recovery``."""
        return is_survivable(end.reason, end.clean, connection.last_unattributed_error)

    def cut_off(self, connection: SessionConnection, reason: errors.ConnectionClosedError) -> ErrorOf:
        """See ``Recovery``."""
        return self._kept.cut_off(connection, reason)

    def begin(self, reason: errors.ConnectionClosedError) -> None:
        """See ``Recovery``."""
        try:
            self._engine.start_thread(lambda: self._run(reason), "reconnector")
        except errors.NoMoreThreadsError as error:
            self._give_up(reason, error)

    def cancel(self) -> None:
        """See ``Recovery``."""
        self._cancellation.cancel()

    @property
    def _input_format(self) -> SampleFormat:
        return self._engine.settings.input_format

    # The way back -----------------------------------------------------------------------------------------------------

    def _run(self, reason: errors.ConnectionClosedError) -> None:
        try:
            self._go_on(reason)
        except BaseException as error:  # a consumer that is too slow, or a defect: no thread may be left waiting
            logger.exception("the session could not go on over a new connection")
            self._give_up(reason, error)

    def _go_on(self, reason: errors.ConnectionClosedError) -> None:
        while True:
            lost_at = time.monotonic()
            if lost_at - self._live_since > _STABLE_SECONDS:
                self._attempt = 0
            first = self._attempt
            try:
                connection, replay, refused = self._caught_up(reason)
            except errors.RealtimeSyncError as error:
                self._give_up(reason, error)
                return
            update = SessionReconnectedUpdate(
                reason=reason,
                losses=(*self._kept.pop_losses(), *replay.losses, *refused),
                sent_again=tuple(self._outbox.waiting()),
                attempts=self._attempt - first,
                seconds=time.monotonic() - lost_at,
                session=self._engine.session,
                arrived_at=time.monotonic(),
            )
            logger.info("%s: reconnected after %.1f s", self._engine.name, update.seconds)
            self._live_since = time.monotonic()
            if self._resume(connection, update, replay):
                self._watch(connection)
                return
            self._drop(connection)
            reason = connection.reason or reason
            if isinstance(reason, errors.ConsumerTooSlowError):
                self._engine.finish(End(reason, clean=False))
                return

    def _resume(self, connection: SessionConnection, update: SessionReconnectedUpdate, replay: Replay) -> bool:
        """Publish the update, send what was kept, let all threads send; False if the connection has ended meanwhile."""
        engine = self._engine
        owes_answer = self._end_silence(connection, update, replay.names if self._replays else None)
        try:
            self._send_again(connection)
            if owes_answer:  # voice activity detection would have asked for it
                self._send(connection, commands.ResponseCreateCommand())
            while not engine.go_live(connection, lambda: self._outbox.next_unsent() is None):
                if connection.over or engine.closing:
                    return False
                self._send_again(connection)
        except errors.ConnectionClosedError:
            return False
        return True

    def _end_silence(
        self, connection: SessionConnection, update: SessionReconnectedUpdate, names: Optional[Mapping[str, str]]
    ) -> bool:
        """Deliver from now on; True if the service owes an answer to the user's speech.

        ``names``: the new ids of the items that were carried over, by the old ones; None: all items, with their ids.
        """
        with self._engine.delivering:
            conversation = self._engine.state.conversation()
            conversation._carry_over(names)
            owes_answer = self._kept.owes_answer(names)
            connection.silent = False
            self._outbox.open(connection.number)
            self._engine.publish(update)
            for deferred in connection.deferred:
                conversation.apply(deferred)
                self._engine.publish(deferred)
            connection.deferred.clear()
        return owes_answer

    def _send_again(self, connection: SessionConnection) -> None:
        """Send the frames that were kept for this connection."""
        while (sent := self._outbox.next_unsent()) is not None:
            old, again = sent.handle, None
            if old is not None:
                again = self._engine.new_handle(old.type, old.event_id)
            frame = Outgoing(sent.frame, again, sent.message, sent.audio_bytes)
            connection.send(frame, functools.partial(self._keep_again, old))

    def _keep_again(self, old: Optional[CommandHandle], connection: SessionConnection, frame: Outgoing) -> bool:
        self._outbox.keep_again(connection.number, frame.handle)
        if old is not None:
            old.sent_again = frame.handle
        return True

    # A connection -----------------------------------------------------------------------------------------------------

    def _caught_up(self, error: errors.RealtimeSyncError) -> tuple[SessionConnection, Replay, list[str]]:
        """A new connection that has the settings and the history, with the history that was sent and the refusals.

        ``error``: why a new connection is needed.
        """
        # Each loss has a deadline of its own, unless the last connection was lost before it was of any use.
        if self._attempt == 0 or self._was_useful():
            self._deadline = Deadline(self.policy.give_up_after)
        reason, announced = error, False
        while True:
            self._attempt += 1
            if self._spare is None:
                self._wait_for_attempt(error, None if announced else reason)
                announced = True
            try:
                spare, self._spare = self._spare, None
                connection = self._engine.adopt(spare or self._connect(self._cancellation))
                try:
                    losses = self._introduce(connection)
                    replay, refused = self._replay(connection)
                    return connection, replay, losses + refused
                except BaseException as caught:
                    self._drop(connection)
                    ended = connection.reason
                    if ended is None or not isinstance(caught, errors.ConnectionClosedError):
                        raise
                    raise (ended if connection.heard else refusal(ended)) from ended.__cause__
            except errors.RealtimeSyncError as caught:
                error = caught
                if self._cancellation.cancelled or not is_worth_another_try(error):
                    raise
                logger.info("%s: attempt %d to reconnect failed: %s", self._engine.name, self._attempt, error)

    def _wait_for_attempt(self, error: errors.RealtimeSyncError, loss: Optional[errors.RealtimeSyncError]) -> None:
        """Wait before the next attempt; raises ``error`` if the full pause does not fit into the time left.

        It never tries earlier than the backoff says. ``loss``: to be published; None: it was already.
        """
        pause, left = self.policy.pause(self._attempt, error), self._deadline.remaining
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

    def _drop(self, connection: SessionConnection) -> None:
        connection.transport.abort()
        connection.ended.wait(self._engine.timeouts.close)  # its reader lets go of it before the next one begins

    def _introduce(self, connection: SessionConnection) -> list[str]:
        """Wait for the greeting, and apply the settings; returns the settings that are lost, one line for each."""
        Deadline(self._greeting).wait(connection.greeted.wait)
        if connection.over and not connection.heard:
            connection.ended.wait(self._engine.timeouts.close)
            closed = errors.ConnectCancelledError("The session was closed.")
            raise refusal(connection.reason) if connection.reason else closed
        settings = self._engine.settings
        options, granted = settings.desired(), settings.granted()
        try:
            self._configure(connection, options)
        except errors.ServerError as error:
            if granted == options:
                raise
            self._configure(connection, granted)
            return [f"session.update: the settings that were not acknowledged before were refused now: {error}"]
        return []

    def _configure(self, connection: SessionConnection, options: Optional[SessionOptions]) -> None:
        if options is None:
            return
        handle = self._send(connection, commands.SessionUpdateCommand(session=options))
        try:
            handle.wait()
        finally:
            if handle.update is not None or isinstance(handle.error, errors.ServerError):
                for replaced in self._outbox.pop_settings():
                    replaced.sent_again = handle

    def _replay(self, connection: SessionConnection) -> tuple[Replay, list[str]]:
        """Send the history; returns the history that was sent, and the refusals."""
        if not self._replays:
            return Replay([], [], {}), []
        replay = self._engine.conversation()._replay()
        refused: list[str] = []
        deadline: Optional[float] = None  # the usual
        for start in range(0, len(replay.items), _WINDOW):
            window = replay.items[start : start + _WINDOW]
            handles = [self._send(connection, commands.ConversationItemCreateCommand(item=item)) for item in window]
            for item, handle in zip(window, handles, strict=True):
                try:
                    handle.wait(deadline)
                except errors.ServerError as error:
                    refused.append(f"{item.type} {item.id}: {error}")
                    replay.leave_out(str(item.id))
                except errors.WaitTimeoutError:  # some servers acknowledge no items at all
                    if connection.over:
                        raise
                    if deadline is None:
                        logger.warning("%s: the server does not acknowledge the history", self._engine.name)
                    deadline = 0.0  # the others will not be acknowledged either
        return replay, refused

    def _send(self, connection: SessionConnection, command: Command) -> CommandHandle:
        command.event_id = new_event_id()
        handle = self._engine.new_handle(command.wire_type, command.event_id)
        text = codec.encode(command, self._engine.dialect)
        connection.send(Outgoing(text, handle, matched_fields(command)), lambda connection, frame: False)
        return handle

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
            losses=self._kept.pop_losses(),
        )
        failed.__cause__ = error
        engine.finish(End(failed, clean=False))

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def _watch(self, connection: SessionConnection) -> None:
        """Renew this connection before the service ends it, if the service announced when that will be."""
        expires_at = self._engine.session.expires_at if self._engine.session else None
        if self.policy.renew_before is None or not expires_at:
            return
        left = min(expires_at, _NO_MOMENT) - time.time()
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
        while self._is_idle_within(connection, None):
            spare = self._opened_ahead(connection)
            if spare is None:
                return
            try:
                # No thread answers the pings of the spare connection, so it must not wait for long.
                if self._is_idle_within(connection, _SPARE_SECONDS) and self._engine.retire(connection):
                    self._spare, spare, self._renewed_at = spare, None, time.monotonic()
                    reason = "the connection was replaced ahead of the service's time limit"
                    self._run(errors.SessionExpiredError(reason))
                    return
            finally:
                if spare is not None:
                    spare.dispose()

    def _opened_ahead(self, connection: SessionConnection) -> Optional[Connection]:
        """A new connection, opened while the old one serves; None if the old one ended first."""
        for attempt in itertools.count(1):
            try:
                return self._connect(self._cancellation)
            except errors.RealtimeSyncError as error:
                logger.info("%s: could not connect ahead of expiry: %s", self._engine.name, error)
                if connection.ended.wait(self.policy.pause(attempt + 1, error)):
                    return None
        raise AssertionError("count() does not end")

    def _is_idle(self, connection: SessionConnection) -> bool:
        """True if a new connection would cut nothing short: no speech, no answer, no approval is in progress."""
        vad = self._engine.settings.turn_detection is not None
        speaks = self._outbox.speaking or (self._outbox.has_audio and not vad)
        waits = self._engine.conversation()._awaits_approval()
        return responses_on(connection).idle and not speaks and not waits

    def _is_idle_within(self, connection: SessionConnection, seconds: Optional[float]) -> bool:
        """Wait until ``_is_idle``; False if time is up or the connection has ended. ``seconds``: None is for ever."""
        deadline = Deadline(seconds)
        while not self._is_idle(connection):
            if connection.ended.is_set() or deadline.left == 0:
                return False
            responses_on(connection).wait_for_change(_IDLE_LOOK_SECONDS)
        return not connection.ended.is_set()
