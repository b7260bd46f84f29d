"""A session's engine: its connection, its reader thread, sending, and the session's end.

It carries any protocol: the meaning of messages stands behind ``SessionState`` (``vocabulary.py``). Its other half,
``Publisher`` (``publisher.py``), hands updates to listeners.

Threads. One daemon thread for each connection, the reader (``_read``), receives frames, decodes them, settles commands
and fills the streams. It never runs the caller's code, never waits for it, and never raises out. All else runs on the
caller's threads, or on those that ``start_thread`` starts, the one place where a session's threads start.

States: ``state.py`` has the table, and the one method that changes them. A connection ends before the next one
begins.

Order. The reader hands each update on in one order; ``realtime.py`` explains it for its protocol. An update is
delivered with the lock ``delivering``, which also guards the conversation: so the recovery can publish the news of a
connection between two updates.

Locks, in the order in which they may be taken. None is held while the caller's code runs, and none but the turn during
I/O or while a thread waits: in the turn the recording is written to its file, and the one write waits for room up to
``Timeouts.send``. (Duplex's ``_io`` is held for single calls that do not block. A ``DerivedStream`` waits with its own
``_collecting``, which comes before all of these.)

    delivering    the conversation, and the order of delivery
    the turn      of a connection (transport): the order of frames
    states.lock   the state, _connection, _listeners (publisher.py), recovery, how the session ends
    small ones    of PendingCommands, ResponseRouter and its Recent, SettingsTracker, ReconnectState, the outbox,
                  Response, each stream, the recording; under delivering also those of the listeners (tools/serving.py,
                  mcp/calls.py, voice/barge_in.py, budget.py); Duplex's _io or _state inside the turn, or without
                  it; nothing is taken under them
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import attrs

from realtime_sync.core import lifetime
from realtime_sync.core.commands import CommandHandle, new_event_id
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.limits import QueueLimits
from realtime_sync.core.publisher import Publisher
from realtime_sync.core.recovery import NoRecovery, Outgoing, Recovery
from realtime_sync.core.state import WAITING, State
from realtime_sync.core.streams import End
from realtime_sync.core.vocabulary import SessionState, Vocabulary
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionReplacedError,
    ConsumerTooSlowError,
    InvalidInputError,
    told_again,
)
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import discreet
from realtime_sync.threads import aside, start_thread
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection

if TYPE_CHECKING:
    from realtime_sync.core.observation import Observation
    from realtime_sync.recording import RecordingWriter

logger = logging.getLogger(__name__)

_numbers = itertools.count(1)


class Engine(Publisher):
    """See the module."""

    def __init__(
        self,
        transport: Connection,
        state: SessionState,
        *,
        timeouts: Timeouts,
        limits: QueueLimits,
        recording: Optional[RecordingWriter] = None,
        observation: Optional[Observation] = None,
    ) -> None:
        super().__init__(limits)
        self.state = state
        self.timeouts = timeouts
        self.recording = recording
        self.observation = observation
        self.recovery: Recovery = NoRecovery()
        self.name = f"realtime-sync-{next(_numbers)}"
        self._connection = self._new_connection(transport, 1)
        self._ended = Flag()  # all waiting threads were released, and the last thread is about to return
        try:
            lifetime.enter(self)
            self._start_reader(self._connection)  # last, when everything that the thread uses is there
        except BaseException:  # if the thread runs all the same, it ends by this
            lifetime.leave(self)
            transport.dispose()
            raise
        if observation is not None:
            observation.attach(self)

    def _new_connection(self, transport: Connection, number: int) -> SessionConnection:
        if number > 1:
            transport.redactor.learn(self._connection.redactor)
        if self.recording is not None:
            vocabulary = self.state.vocabulary
            self.recording.connected(transport.url, number, vocabulary.dialect, protocol=vocabulary.protocol)
        return SessionConnection(transport, number, self.name, self.state, self.recording)

    def named(self) -> str:
        """The session, as reprs name it."""
        return f"session {self.state.session_id or '(not greeted yet)'}"

    def start_thread(self, target: Callable[[], None], role: str) -> threading.Thread:
        """The one place where sessions start threads. Raises ``NoMoreThreadsError``."""
        if self.observation is not None:
            target = self.observation.within(target)
        return start_thread(target, f"{self.name}-{role}")

    def _start_reader(self, connection: SessionConnection) -> None:
        number = connection.number
        self.start_thread(lambda: self._read(connection), "reader" if number == 1 else f"reader-{number}")

    @property
    def connection(self) -> SessionConnection:
        """The connection in use, or the last one."""
        return self._connection

    # The state --------------------------------------------------------------------------------------------------

    @property
    def end(self) -> Optional[End]:
        """How the session ended; None while it lives."""
        return self.states.end

    @property
    def closing(self) -> bool:
        """True once the session is being closed."""
        return self.states.closing is not None

    @property
    def reconnecting(self) -> bool:
        """True while there is no connection to send on, and a new one is being made."""
        return self.states.state in WAITING

    def check_open(self) -> None:
        """Raise if nothing can be sent any more."""
        if self.forked:
            self.check_process()
        if self.states.state is not State.CONNECTED:
            self.states.check_open()

    def wait_until_greeted(self, timeout: float) -> None:
        """Wait for the server's first message; raises if the session ended without one. A silent server is no error."""
        connection = self._connection
        greeted = Deadline(timeout).wait(connection.greeted.wait)
        if greeted and connection.error is not None and not connection.heard:
            raise told_again(connection.error)

    def live_connection(self, deadline: Optional[Deadline] = None) -> SessionConnection:
        """The connection in use. Waits while a new one is made, which ``Reconnect.give_up_after`` bounds.

        Raises ``WaitTimeoutError`` if ``deadline`` passes first, and the error of the end if the session has ended.
        """
        self.check_open()
        connection = self._connection  # before the state: behind it, it may be one that others must send on first
        if self.reconnecting:
            self.states.wait_until_connected(deadline)
            self.check_open()
            connection = self._connection
        return connection

    # Sending, on the caller's thread ------------------------------------------------------------------------------

    @discreet
    def send(
        self,
        command: Command,
        connection: Optional[SessionConnection] = None,
        *,
        before: Optional[Callable[[], None]] = None,
    ) -> CommandHandle:
        """Send a command; it gets an ``event_id`` if it has none.

        ``connection``: send it on this one only; None: on the one in use, as ``live_connection`` finds it, and on the
        next one if that is just ending. ``before`` is called once the command is encoded, so that it can be sent.
        """
        self.check_open()
        if command.event_id is None:
            command = attrs.evolve(command, event_id=new_event_id())
        elif not isinstance(command.event_id, str) or not command.event_id:  # no error could ever name it
            raise InvalidInputError(f"event_id must be None or a text that is not empty, not {command.event_id!r:.60}")
        command = self.state.prepare(command, connection or self._connection)
        vocabulary = self.state.vocabulary
        text = vocabulary.encode(command)
        if before is not None:
            before()
        message = vocabulary.matched(command)
        return self.send_text(
            text, message, command.wire_type, command.event_id, connection, command, dialect=vocabulary.dialect
        )

    def send_text(
        self,
        text: Union[str, bytes],
        message: Mapping[str, Any],
        wire_type: str,
        event_id: Optional[str],
        connection: Optional[SessionConnection] = None,
        command: Optional[Command] = None,
        *,
        dialect: Optional[Dialect] = None,
    ) -> CommandHandle:
        """Send a message that is encoded already. Whoever calls it is ``discreet``.

        ``message``: the fields by which its acknowledgement is recognised. ``command``: the same as a command, if
        known. ``dialect``: see ``Outgoing``.
        """
        handle = self.new_handle(wire_type, event_id)
        try:
            if command is not None:
                self.state.asked(handle, command)
            self._send(Outgoing(text, handle, message, dialect=dialect), connection)
        except BaseException:
            if not handle.done:
                self.state.not_asked(handle)
            raise
        return handle

    def new_handle(self, wire_type: str, event_id: Optional[str]) -> CommandHandle:
        """The handle of a command that is about to be sent."""
        return CommandHandle(wire_type, event_id, self.timeouts.acknowledge, self.check_process)

    def _send(self, frame: Outgoing, connection: Optional[SessionConnection]) -> None:
        while not self._sent_on(connection or self.live_connection(), frame, fixed=connection is not None):
            pass

    def send_audio(self, frames: Sequence[Outgoing]) -> None:
        """Send appends, one right behind the other, or have the recovery hold them for the next connection."""
        while frames:
            connection = self._connection  # before the state, as in ``live_connection``
            if self.states.state is not State.CONNECTED or self.forked:
                self.check_open()
                with self.states.lock:  # go_live holds it, too: no audio is held after all held audio was sent
                    if self.reconnecting:
                        for frame in frames:
                            self.recovery.hold(frame)
                        return
            try:
                connection.send_audio(frames, self.recovery.keep, self.recovery.take_back)
            except ConnectionClosedError as error:
                self._check_sent(error, connection, frames)
                frames = [frame for frame in frames if not frame.kept]
            else:
                return

    def _sent_on(self, connection: SessionConnection, frame: Outgoing, fixed: bool = False) -> bool:
        """Send a frame on this connection; False if another one replaced it, so that the frame must be sent there."""
        try:
            connection.send(frame, self.recovery.keep, self.recovery.take_back)
        except ConnectionClosedError as error:
            self._check_sent(error, connection, (frame,), fixed)
            return frame.kept
        return True

    def _check_sent(
        self,
        error: ConnectionClosedError,
        connection: SessionConnection,
        frames: Sequence[Outgoing],
        fixed: bool = False,
    ) -> None:
        """Raise the error with which the sending of these frames ended, unless the session goes on and sends them.

        Those that were kept may have reached the service or not: they are sent again, or their handle says why not. The
        others are to be sent on the connection that replaced this one.
        """
        kept = frames[-1].kept
        if not isinstance(error, ConnectionReplacedError):
            if not kept or error is connection.error:
                raise error
            # Only the reader thread knows whether the session will reconnect; it settles the handle.
        elif kept:
            if frames[-1].handle is not None:
                frames[-1].handle._settle(None, error)
        elif fixed or (connection is self._connection and self.states.state is State.CONNECTED):
            raise error

    # The reader thread ----------------------------------------------------------------------------------------

    def _read(self, connection: SessionConnection) -> None:
        try:
            while True:
                self._deliver(connection, connection.receive())
        except ConnectionClosedError as error:
            reason = error
        except BaseException as error:  # a defect of this library, or no memory: no thread may be left waiting
            logger.exception("the reader failed")
            reason = ConnectionLostError(f"The reader failed: {type(error).__name__}: {error}.")
            reason.__cause__ = error
        try:
            self._go_on_or_finish(connection, self._made_end(connection, reason))
        except BaseException as defect:  # of this library: no thread may be left waiting
            logger.exception("the end of a connection could not be worked on")
            self.finish(End(ConnectionLostError(f"{reason} ({type(defect).__name__}: {defect})"), clean=False))
            raise

    def _deliver(self, connection: SessionConnection, update: ConversationUpdate) -> None:
        exchange = connection.exchange
        if exchange.goes_on(update) and not connection.silent:  # silence ends only, so the lock is not needed here
            connection.observe(update)
            with self.delivering:
                self.state.apply(update)
                askers = exchange.route(update, None)
                self.recovery.observe(update, None)
                self.publish(update, askers=askers)
            return
        for whole in exchange.complete(update):
            connection.observe(whole)
            with self.delivering:
                self._delivered(connection, whole)
            connection.greet()

    def _delivered(self, connection: SessionConnection, update: ConversationUpdate) -> None:
        """Give a whole update to everything that reads it; the lock for delivery is held."""
        silent = connection.silent
        if not silent:
            self.state.apply(update)
        elif self.state.apply_in_silence(update):
            connection.defer(update, self.limits.queued)
        for each, handle in connection.exchange.matched(update, connection.commands):  # the last one is the update
            askers = connection.exchange.route(each, handle.event_id if handle is not None else None)
            if not silent:
                self.recovery.observe(each, handle)
            if handle is not None:
                handle._settle(each)
        if not silent:
            self.publish(update, askers=askers)

    def _go_on_or_finish(self, connection: SessionConnection, end: End) -> None:
        with self.states.lock:
            connection.over = True
            current = connection is self._connection
            recovering = self.states.recovering
            survives = self.states.state is State.CONNECTED and self.recovery.survives(connection, end)
            if current and (survives or self.states.state is State.CATCHING_UP):
                self.states.transition(State.RECONNECTING)
        if not current:  # it was given up before it was used
            connection.end(end.reason)
        elif not (survives or recovering):
            if isinstance(end.reason, ConnectionLostError):
                advice = "Open a new session to go on; one that is started with reconnect=True does so itself."
                end.reason.args = (f"{end.reason} {advice}",)
            self.finish(end)
        else:
            logger.info("%s: %s", connection.name, end.reason.close_info)
            with self.delivering:
                error_of = self.recovery.cut_off(connection, end.reason)
            connection.end(end.reason, error_of(None), error_of)
            if survives:
                self.recovery.begin(end.reason)

    def _made_end(self, connection: SessionConnection, error: ConnectionClosedError) -> End:
        if self.closing:
            return self.states.closed_end(error, connection.last_error)
        if isinstance(error, ConsumerTooSlowError):
            connection.transport.abort(error)
        return connection.end_by(error)

    # Ending -------------------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End the session in an orderly way within ``timeouts.close``; if that fails, cut the connection.

        It is done on a thread of its own (``threads.py`` says why), for which this one waits.
        """
        if self.forked:
            self.close_here(code, reason)
        elif not (self._ended.is_set() and (self.observation is None or self.observation.told)):
            is_hook = self.observation is not None and self.observation.is_here  # which nobody may wait for then
            aside(lambda: self._close(code, reason, is_hook), f"{self.name}-closer", self.close_seconds)

    def _close(self, code: int, reason: str, is_hook: bool) -> None:
        self.close_here(code, reason)
        if not is_hook:
            self.wait_for_hooks()

    def wait_for_hooks(self, deadline: Optional[Deadline] = None) -> None:
        """Return once hooks were told of the end, or at the deadline (None: ``HOOK_SECONDS``); after ``close_here``."""
        if self.observation is not None:
            self.observation.wait_until_told(deadline)

    @property
    def close_seconds(self) -> float:
        """How long the server has to answer a close, in seconds."""
        return self.timeouts.close

    def close_here(self, code: int, reason: str) -> None:
        """Do what ``close`` does on this thread, which is one of our own, and so inside of no other call."""
        if self.forked:
            self.forget_after_fork()
        else:
            self._finish_close(self.begin_close(code, reason))

    def _finish_close(self, deadline: Deadline) -> None:
        """Wait for the end until the deadline, then cut the connection."""
        if not deadline.wait(self._ended.wait):
            logger.info("%s: the server did not answer the close in time", self.name)
            self._connection.transport.abort()
            if not self._ended.wait(0.5):  # the recovery may be inside the caller's code: a credential, a proxy
                self.finish(self.states.closed_end())

    def begin_close(
        self,
        code: int,
        reason: str,
        within: Optional[float] = None,
        error: Optional[ConnectionClosedError] = None,
    ) -> Deadline:
        """Send the close frame; returns how long to wait for the answer. Of several calls the first counts.

        ``within``: seconds that the frame may take to be written; None: ``timeouts.close``; 0: only at once.
        ``error``: the error that waiting threads get; None: the caller closes the session, which is no error.
        """
        if self.forked:
            self.forget_after_fork()
            return Deadline(0)
        with self.states.lock:
            first = self.states.begin_closing(self.close_seconds, error)
            deadline, connection, recovery = self.states.closing, self._connection, self.recovery
        assert deadline is not None
        if first and not self._ended.is_set():
            recovery.cancel()
            self._say_close(connection, code, reason, within)
        return deadline

    def _say_close(self, connection: SessionConnection, code: int, reason: str, within: Optional[float]) -> None:
        """Tell the server that the session is closed. ``within``: see ``begin_close``."""
        connection.transport.start_close(code, reason, within)

    def finish(self, end: End) -> None:
        """End the session and release all threads that wait. On the last thread that works for it."""
        with self.states.lock:
            if self.states.state is State.ENDED:
                return
            self.states.end = end
            connection, listeners = self._connection, self._listeners
            self.states.transition(State.ENDED)
        with ExitStack() as still:  # called in reverse order, and each of them even if another one raises
            still.callback(lifetime.leave, self)
            still.callback(self._ended.set)
            if self.recording is not None:
                still.callback(self.recording.close)
            for listener in reversed(listeners):
                still.callback(listener.end, end)
            still.callback(connection.end, end.reason)
            logger.info("%s: %s", self.name, end.reason.close_info)

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection in a forked child. Takes no lock, which the parent might have held."""
        self._connection.transport.forget()

    @property
    def traffic(self) -> tuple[int, int, int]:
        """Another value after each message that was received or sent."""
        connection = self._connection
        return connection.number, connection.received, connection.sent

    @property
    def answering(self) -> bool:
        """True while the service answers."""
        return bool(self._connection.exchange.open_ids)

    def say_goodbye(self, deadline: Deadline) -> None:
        """At exit: begin a close without waiting for the answer. One that is under way has until the deadline."""
        if self.forked:
            return
        if self.closing:
            deadline.wait(self._ended.wait)
        else:
            self.begin_close(1001, "", within=0)

    # For the recovery -----------------------------------------------------------------------------------------------

    def recover_with(self, recovery: Recovery) -> SessionConnection:
        """Go on over a new connection if one is lost, from now on. Returns the one in use; raises if it has ended."""
        with self.states.lock:
            connection = self._connection
            if not connection.over:
                self.recovery = recovery
                return connection
        self._ended.wait(self.timeouts.close)
        self.check_open()
        raise AssertionError("a session whose connection is over has ended")

    def retire(self, connection: SessionConnection) -> bool:
        """End this connection so that the next one can replace it; False if it is not the one in use any more."""
        with self.states.lock:
            if self._connection is not connection or connection.over or self.states.state is not State.CONNECTED:
                return False
            self.states.transition(State.RECONNECTING)
        self._say_close(connection, 1000, "", None)
        if not connection.ended.wait(self.close_seconds):
            connection.transport.abort()
            connection.ended.wait(self.timeouts.close)
        return True

    def adopt(self, transport: Connection, vocabulary: Optional[Vocabulary] = None) -> SessionConnection:
        """Read a new connection, in silence: no update is delivered, and no other thread can send on it yet.

        ``vocabulary``: that of the service at its other end; None: as before.
        """
        try:
            if vocabulary is not None:
                self.state.vocabulary = vocabulary
            connection = self._new_connection(transport, self._connection.number + 1)
            connection.silent = True
            with self.states.lock:
                if self.states.state in WAITING:
                    self._connection = connection
                    if self.states.state is State.RECONNECTING:
                        self.states.transition(State.CATCHING_UP)
            self.check_open()
            self._start_reader(connection)
        except BaseException:
            transport.dispose()
            raise
        return connection

    def go_live(self, connection: SessionConnection, is_all_sent: Callable[[], bool]) -> bool:
        """Let all threads send on this connection; False if a frame is still to be sent again, or it has ended."""
        with self.states.lock:
            if connection.over or self.states.state is not State.CATCHING_UP or not is_all_sent():
                return False
            self.states.transition(State.CONNECTED)
            return True
