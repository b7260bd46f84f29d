"""The way back of the realtime protocol: a new connection is given the settings and the history.

The reconnector is the engine's ``Recovery``. ``way_back.py`` has the attempts, the silence and the renewal; here is
what the realtime protocol adds to its steps: the settings and the history go over the silent connection (2); the
conversation is carried over, and the outbox opens (3); the frames that were kept are sent again, in their order, then a
request for an answer that the service owes (4). No connection is renewed while the user speaks, or while an answer is
in progress.

Locks: none of its own. ``_replayed`` and ``_owes_answer`` are the way's thread's.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import Optional, Union

import realtime_sync.errors as errors
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.conversation import Replay
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.realtime import RealtimeEngine, responses_on
from realtime_sync.core.recovery import ErrorOf, Outgoing
from realtime_sync.core.streams import End
from realtime_sync.protocol import commands
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.options import SessionOptions
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.reconnect.policy import FATAL_ERRORS, Reconnect, is_survivable
from realtime_sync.reconnect.state import ReconnectState
from realtime_sync.reconnect.way_back import IDLE_LOOK_SECONDS, WayBack
from realtime_sync.reconnect.ways import Ways

logger = logging.getLogger(__name__)

# The number of items that are sent before their acknowledgements are waited for.
_WINDOW = 200
# The latest expiry that is believed (Unix seconds).
_NO_MOMENT = 1e11


class Reconnector(WayBack):
    """Makes new connections for one engine; its ``Recovery``.

    Args:
        engine: The session's engine.
        policy: How the session survives.
        ways: Where a new connection may be had.
        greeting: Seconds to wait for the server's first message.
        replays: True if the history is carried over; False if the service keeps the conversation itself (a call).
        continuous: See ``ReconnectState``.
    """

    _engine: RealtimeEngine

    def __init__(
        self,
        engine: RealtimeEngine,
        policy: Reconnect,
        ways: Ways,
        *,
        greeting: float,
        replays: bool,
        continuous: bool = False,
    ) -> None:
        super().__init__(engine, policy, ways, greeting=greeting)
        self._kept = ReconnectState(policy, engine.state, continuous=continuous)
        self._outbox = self._kept.outbox
        self._replays = replays
        self._replayed = Replay([], [], {})  # the history that was sent on the connection that catches up
        self._owes_answer = False  # the service would have answered the user's speech by itself

    # Recovery: see core/recovery.py -----------------------------------------------------------------------------------

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """See ``Recovery``."""
        if frame.handle is None:
            self._outbox.keep_audio(connection.number, frame.text, frame.audio_bytes, self._input_format)
        elif frame.handle.type.endswith("input_audio_buffer.append"):  # sent by hand
            size = len(str(frame.message.get("audio") or "")) * 3 // 4
            self._outbox.keep_audio(connection.number, frame.text, size, self._input_format)
        else:
            self._outbox.keep_command(connection.number, frame.text, frame.handle, frame.message, frame.dialect)
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
        error = connection.last_unattributed_error
        if is_survivable(end.reason, end.clean, error):
            return True
        of_service = not isinstance(end.reason, (errors.ConsumerTooSlowError, errors.ProtocolViolationError))
        return of_service and error is not None and error.code in FATAL_ERRORS and self._ways.can_leave(error)

    def cut_off(self, connection: SessionConnection, reason: errors.ConnectionClosedError) -> ErrorOf:
        """See ``Recovery``."""
        return self._kept.cut_off(connection, reason)

    @property
    def _input_format(self) -> SampleFormat:
        return self._engine.settings.input_format

    # The way back: see way_back.py ------------------------------------------------------------------------------------

    def _catch_up(self, connection: SessionConnection) -> list[str]:
        self._greet(connection)
        losses = self._introduce(connection)
        self._replayed, refused = self._replay(connection)
        vocabulary = self._engine.state.vocabulary
        unsaid = self._outbox.retell(vocabulary.dialect, vocabulary.retold)
        return [*self._replayed.losses, *losses, *refused, *unsaid]

    def _carry_over(self, connection: SessionConnection) -> None:
        names = self._replayed.names if self._replays else None  # None: all items are there, with their ids
        self._engine.state.conversation()._carry_over(names)
        self._owes_answer = self._kept.owes_answer(names)
        self._outbox.open(connection.number)

    def _send_kept(self, connection: SessionConnection) -> None:
        while (sent := self._outbox.next_unsent()) is not None:
            old, again = sent.handle, None
            if old is not None:
                again = self._engine.new_handle(old.type, old.event_id)
            frame = Outgoing(sent.frame, again, sent.message, sent.audio_bytes, dialect=sent.dialect)
            connection.send(frame, functools.partial(self._keep_again, old))
        if self._owes_answer:  # voice activity detection would have asked for it
            self._owes_answer = False
            self._send(connection, commands.ResponseCreateCommand())

    def _keep_again(self, old: Optional[CommandHandle], connection: SessionConnection, frame: Outgoing) -> bool:
        self._outbox.keep_again(connection.number, frame.handle)
        if old is not None:
            old.sent_again = frame.handle
        return True

    def _is_all_sent(self) -> bool:
        return self._outbox.next_unsent() is None

    def _sent_again(self) -> list[str]:
        return self._outbox.waiting()

    def _settings(self) -> Optional[RealtimeSession]:
        return self._engine.session

    def _pop_losses(self) -> list[str]:
        return self._kept.pop_losses()

    def _introduce(self, connection: SessionConnection) -> list[str]:
        """Apply the settings; returns those that are lost, one line for each."""
        settings = self._engine.settings
        options, granted = settings.desired(), settings.granted()
        try:
            self._configure(connection, options)
        except (errors.ServerError, errors.UnsupportedByDialectError) as error:
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
            handles = [self._told(connection, item) for item in window]
            for item, handle in zip(window, handles, strict=True):
                try:
                    if isinstance(handle, errors.UnsupportedByDialectError):
                        raise handle
                    handle.wait(deadline)
                except (errors.ServerError, errors.UnsupportedByDialectError) as error:
                    refused.append(f"{item.type} {item.id}: {error}")
                    replay.leave_out(str(item.id))
                except errors.WaitTimeoutError:  # some servers acknowledge no items at all
                    if connection.over:
                        raise
                    if deadline is None:
                        logger.warning("%s: the server does not acknowledge the history", self._engine.name)
                    deadline = 0.0  # the others will not be acknowledged either
        return replay, refused

    def _told(
        self, connection: SessionConnection, item: ConversationItem
    ) -> Union[CommandHandle, errors.UnsupportedByDialectError]:
        """The handle of an item that was sent, or why it was not: a service of another dialect may not know it."""
        try:
            return self._send(connection, commands.ConversationItemCreateCommand(item=item))
        except errors.UnsupportedByDialectError as error:
            return error

    # Ahead of expiry --------------------------------------------------------------------------------------------------

    def _expires_in(self) -> Optional[float]:
        expires_at = self._engine.session.expires_at if self._engine.session else None
        return min(expires_at, _NO_MOMENT) - time.time() if expires_at else None

    def _is_idle(self, connection: SessionConnection) -> bool:
        """True if no speech, no answer and no approval is in progress."""
        vad = self._engine.settings.turn_detection is not None
        speaks = self._outbox.speaking or (self._outbox.has_audio and not vad)
        waits = self._engine.conversation()._awaits_approval()
        return responses_on(connection).idle and not speaks and not waits

    def _await_idleness(self, connection: SessionConnection) -> None:
        responses_on(connection).wait_for_change(IDLE_LOOK_SECONDS)
