"""A session's engine: the connection in use and its reader, who is told of what comes, and how it all ends.

Who runs where: one daemon thread a connection (``_read``) takes its frames, decodes them, settles commands and fills
the streams; it never runs the caller's code and never waits for it. Everything else happens on the caller's thread. The
reader ends when its connection does, and in ending releases everyone who waits.

A session that survives (``survive``) goes on over a new connection when one is lost: ``revival.py`` makes it, while
whoever sends waits here for it. A connection ends before the next one begins, so nothing of the old reaches the new.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.conversation import Conversation
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.connection import SessionConnection
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.core.settings import SettingsTracker
from realtime_sync.core.streams import End, Listener, UpdateStream, WeakListener
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    CloseInfo,
    ConfigurationError,
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionReplacedError,
    ConsumerTooSlowError,
    ForkedSessionError,
    SessionExpiredError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import SessionOptions
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.protocol.updates import is_about_tool_lists
from realtime_sync.reconnect.policy import is_survivable
from realtime_sync.reconnect.state import ReconnectState, error_of_loss
from realtime_sync.recording import RecordingWriter
from realtime_sync.recording.wire_log import log_frame
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection

logger = logging.getLogger(__name__)

T = TypeVar("T")

_numbers = itertools.count(1)
# The engines whose reader is alive, by id(). Changed and copied by single operations of dict, which need no lock: a
# lock might be held by another thread in the moment of a fork.
_alive: dict[int, Engine] = {}


def _bytes(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"QueueLimits.{attribute.name} must be a whole number of bytes from 1, not {value!r}")


@attrs.frozen(kw_only=True)
class QueueLimits:
    """How many bytes of updates may wait to be taken; whole numbers from 1.

    Attributes:
        queued: in each stream; 64 MiB if not given. Beyond it the session ends with ``ConsumerTooSlowError``, because
            nothing is dropped in silence. One update alone may be of any size.
        unread: in ``session.updates()`` until it is first asked for an update; 8 MiB if not given. Beyond it the oldest
            updates are dropped, and the first ask logs a warning. From then on ``queued`` counts.
    """

    queued: int = attrs.field(default=64 * 2**20, validator=_bytes)
    unread: int = attrs.field(default=8 * 2**20, validator=_bytes)


class Engine:
    """All that a session is, but for what a caller says.

    ``end`` is written once, in one assignment, by the last thread that works for the session; any thread may read it.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        dialect: Dialect,
        timeouts: Timeouts,
        limits: QueueLimits,
        recording: Optional[RecordingWriter] = None,
    ) -> None:
        self.dialect = dialect
        self.timeouts = timeouts
        self.end: Optional[End] = None
        self.name = f"realtime-sync-{next(_numbers)}"
        self.settings = SettingsTracker()
        self.limits = limits
        self._pid = os.getpid()
        # Guards _line, _live, _survival, _streams, _closing and the setting of end; notified when the session can be
        # sent on again, or never again.
        self._changed = threading.Condition()
        self._streams: tuple[Listener, ...] = ()
        self._closing: Optional[Deadline] = None  # once close() was called: with the server's side of it
        self._closing_error: Optional[ConnectionClosedError] = None
        self.recording = recording
        self._line = self._new_line(connection, 1)
        self._live = True  # False while there is no connection
        self._survival: Optional[ReconnectState] = None  # None: the session ends with its connection
        # Guards _conversation, which any thread copies, and the order of delivery: the reader delivers what comes, and
        # who revives the session tells of it.
        self._delivering = threading.Lock()
        self._conversation = Conversation()
        self._ended = threading.Event()  # everyone was released, and the last thread is about to return
        self.updates = self.open_stream(unread_limit=limits.unread)
        _alive[id(self)] = self
        # Last, when everything that the thread uses is there.
        try:
            self.read(self._line)
        except BaseException:  # no thread to be had: nobody else would let go of the connection
            _alive.pop(id(self), None)
            connection.dispose()
            raise

    def _new_line(self, connection: Connection, number: int) -> SessionConnection:
        if self.recording is not None:
            self.recording.connected(connection.url, number, self.dialect)
        return SessionConnection(connection, number, self.name, self.recording)

    def start_thread(self, target: Callable[[], None], role: str) -> threading.Thread:
        """The one place where sessions start threads."""
        thread = threading.Thread(target=target, name=f"{self.name}-{role}", daemon=True)
        thread.start()
        return thread

    def read(self, line: SessionConnection) -> None:
        """Start the reader of a connection."""
        self.start_thread(lambda: self._read(line), "reader" if line.number == 1 else f"reader-{line.number}")

    @property
    def session(self) -> Optional[RealtimeSession]:
        """The settings in force, as the service told them last; None until it has."""
        return self.settings.told

    @property
    def model(self) -> Optional[str]:
        """The model, as the service told it last."""
        return (self.session.model or None) if self.session else None

    @property
    def line(self) -> SessionConnection:
        """The connection in use, or the last one."""
        return self._line

    @property
    def responses(self) -> ResponseRouter:
        """The answers in progress on it."""
        return self._line.responses

    # On the caller's thread -----------------------------------------------------------------------------------

    @property
    def forked(self) -> bool:
        """True in a forked child, where the locks may be held by threads that are not there."""
        # Asked each time (0.15 µs): uWSGI forks without Python's after-fork hooks unless it is told to call them (2.0).
        return self._pid != os.getpid()

    def check_process(self) -> None:
        """Raise in a forked child."""
        if self.forked:
            raise ForkedSessionError(
                "this session was opened before the process was forked; its connection and its thread belong to the "
                "parent. Open a session in the child: after the fork, in the worker, inside the view or task"
            )

    def check_open(self) -> None:
        """Raise where nothing can be sent."""
        self.check_process()
        if self._closing_error is not None:
            raise self._closing_error.with_traceback(None)
        if self._closing:
            raise SessionNotOpenError("this session was closed; start another one")
        if self.end is not None:
            raise self.end.reason.with_traceback(None)

    def wait_until_greeted(self, timeout: float) -> None:
        """Wait for the server's first word; a silent server is no error. Raises where the session ended without one."""
        line = self._line
        if Deadline(timeout).wait(line.greeted.wait) and line.error is not None and not line.heard:
            raise line.error.with_traceback(None)

    def live_line(self, deadline: Optional[Deadline] = None) -> SessionConnection:
        """The connection in use. Waits while a new one is made, which ``Reconnect.give_up_after`` bounds.

        Raises ``WaitTimeoutError`` where ``deadline`` ends first, and what the session has ended with.
        """
        self.check_open()
        line = self._line
        if not self._live:
            with self._changed:
                if not (deadline or Deadline(None)).wait(lambda s: self._changed.wait_for(self._is_decided, s)):
                    raise WaitTimeoutError("the session is still reconnecting; it goes on trying")
                line = self._line
            self.check_open()
        return line

    def send(
        self,
        text: Union[str, bytes],
        message: Mapping[str, Any],
        wire_type: str,
        event_id: Optional[str],
        *,
        line: Optional[SessionConnection] = None,
        settings: Optional[SessionOptions] = None,
    ) -> CommandHandle:
        """Send a command; ``message`` holds what its acknowledgement is recognised by.

        ``line``: send it on this connection only; None: on the one in use, and the next one where that is just ending,
        waiting for it as ``live_line`` does. ``settings``: what the command asks for, to be remembered.
        """
        handle = self.new_handle(wire_type, event_id)
        if settings is not None:
            self.settings.remember(handle, settings)  # before it is sent: a new connection may be given them at once
        try:
            self._send(text, message, handle, line)
        except BaseException:
            if not handle.done:
                self.settings.forget(handle)
            raise
        return handle

    def _send(
        self,
        text: Union[str, bytes],
        message: Mapping[str, Any],
        handle: CommandHandle,
        line: Optional[SessionConnection],
    ) -> None:
        while True:
            used = line or self.live_line()
            turn = _WireTurn(lambda: self._note(used, text, message, handle))  # noqa: B023  called before the next
            try:
                used.send(text, handle, message, turn)
                return
            except ConnectionReplacedError as error:
                if turn.came:  # it may have reached the service or not: it was kept, and the handle tells the rest
                    handle.settle(None, error)
                    return
                if line is not None or (used is self._line and self._live):
                    raise
            except ConnectionClosedError as error:
                if self._survival is None or not turn.came or error is used.error:
                    raise
                return  # the reader is held up, which alone knows whether the session goes on: the handle will tell

    def _note(
        self, line: SessionConnection, text: Union[str, bytes], message: Mapping[str, Any], handle: CommandHandle
    ) -> None:
        """At a command's turn on the wire: keep it, for the case that this connection ends."""
        if self._survival is None:
            return
        outbox = self._survival.outbox
        if handle.type.endswith("input_audio_buffer.append"):  # by hand
            size = len(str(message.get("audio") or "")) * 3 // 4
            outbox.note_audio(line.number, text, size, self.settings.input_format)
        else:
            outbox.note_command(line.number, text, handle, message)

    def new_handle(self, wire_type: str, event_id: Optional[str]) -> CommandHandle:
        """The handle of a command that is about to be sent."""
        return CommandHandle(wire_type, event_id, self.timeouts.acknowledge, self.check_process)

    def send_audio(self, frame: bytes, size: int) -> None:
        """Send an append of ``size`` bytes of samples, or keep it for the next connection."""
        while True:
            self.check_open()
            with self._changed:
                line, survival = self._line, self._survival
                if not self._is_decided():
                    assert survival is not None
                    survival.outbox.hold(frame, size, self.settings.input_format)
                    return
            turn = _WireTurn(lambda: self._note_audio(line, survival, frame, size))  # noqa: B023
            try:
                line.transmit(frame, turn)
                return
            except ConnectionReplacedError:
                if turn.came:
                    return  # kept; it is sent again
                if line is self._line and self._live:
                    raise
            except ConnectionClosedError as error:
                if survival is None or not turn.came or error is line.error:
                    raise
                return  # kept; where the session does not go on, the next one is told

    def _note_audio(self, line: SessionConnection, survival: Optional[ReconnectState], frame: bytes, size: int) -> None:
        if survival is not None:
            survival.outbox.note_audio(line.number, frame, size, self.settings.input_format)

    def conversation(self) -> Conversation:
        """A copy of the conversation as it stands."""
        if self.end is None:  # then the lock may be held for ever in a forked child
            self.check_process()
        with self._delivering:
            return self._conversation.snapshot()

    def read_conversation(self, read: Callable[[Conversation], T]) -> T:
        """What ``read`` makes of the conversation, without copying it (50 ms after 500 turns): it must be quick."""
        self.check_process()
        with self._delivering:
            return read(self._conversation)

    def open_stream(
        self, unread_limit: Optional[int] = None, keep: Optional[Callable[[ConversationUpdate], bool]] = None
    ) -> UpdateStream:
        """A stream of all updates from now on, or of those that ``keep`` returns True for, on the reader thread."""
        stream = UpdateStream(
            limit=self.limits.queued,
            unread_limit=unread_limit,
            keep=keep,
            check=self.check_process,
            forget=lambda: self.stop_listening(listener),
        )
        listener = WeakListener(stream, self.stop_listening)
        self.listen(listener)
        return stream

    def listen(self, listener: Listener) -> None:
        """Have ``listener`` told of all updates from now on, on the reader thread, and of the end."""
        with self._changed:
            self._streams = (*self._streams, listener)
            end = self.end
        if end is not None:
            listener.end(end)

    def stop_listening(self, listener: Listener) -> None:
        """Tell it no more; nothing happens where it was not told."""
        if self.forked:  # nobody here tells it of anything, and the lock may be held for ever
            return
        with self._changed:
            self._streams = tuple(other for other in self._streams if other is not listener)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have it told while the block runs."""
        self.listen(listener)
        try:
            yield
        finally:
            self.stop_listening(listener)

    def close(self, code: int, reason: str) -> None:
        """End the session in an orderly way, within ``timeouts.close``, else cut it."""
        if self.forked:
            self.forget_after_fork()
            return
        if not self.begin_close(code, reason).wait(self._ended.wait):
            logger.info("%s: the server did not answer the close within %s s", self.name, self.timeouts.close)
            self._line.connection.abort()
            if not self._ended.wait(0.5):  # who makes a new connection is in the caller's code: a credential, a proxy
                self.finish(self.closed_end())

    def begin_close(
        self,
        code: int,
        reason: str,
        within: Optional[float] = None,
        error: Optional[ConnectionClosedError] = None,
    ) -> Deadline:
        """Send the close frame; returns how long to wait for the answer. Of several calls the first counts.

        ``within``: seconds that the frame may take to be written; None: ``timeouts.close``; 0: only at once.
        ``error``: what everyone who waits is told; None: that the session was closed, which is no error.
        """
        if self.forked:
            self.forget_after_fork()
            return Deadline(0)
        with self._changed:
            closing = self._closing
            if closing is None:
                self._closing_error = error
            deadline = self._closing = closing or Deadline(self.timeouts.close)
            line, survival = self._line, self._survival
            self._changed.notify_all()
        if closing is None and not self._ended.is_set():
            if survival is not None:
                survival.reviver.cancel()
            line.connection.start_close(code, reason, within)
        return deadline

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection in a forked child. Takes no lock, which the parent might have held."""
        self._line.connection.forget()

    def say_goodbye(self) -> None:
        """At exit: begin a close without waiting for the answer."""
        if not self.forked:
            self.begin_close(1001, "", within=0)

    # The reader thread ----------------------------------------------------------------------------------------

    def _read(self, line: SessionConnection) -> None:
        try:
            while True:
                frame = line.receive()
                self._deliver(line, codec.decode_frame(frame, self.dialect, time.monotonic()))
        except ConnectionClosedError as error:
            reason = error
        except BaseException as error:  # a defect of this library, or no memory: nobody may be left waiting
            logger.exception("the reader failed")
            reason = ConnectionLostError(f"the reader failed: {type(error).__name__}: {error}")
            reason.__cause__ = error
        self._line_ended(line, reason)

    def _deliver(self, line: SessionConnection, update: ConversationUpdate) -> None:
        log_frame(line.name, "<", update.raw_content)
        update = line.completion.complete(update)
        line.take_note(update)
        if isinstance(update, SessionUpdateBase):
            self.settings.tell(update)
        with self._delivering:
            if not line.silent:
                self._conversation.apply(update)
            else:
                self._conversation.note_connection(update)
                if is_about_tool_lists(update):  # each connection makes them anew, and consumers wait for them
                    line.waiting.append(update)
            line.settle(update, self._see if self._survival is not None and not line.silent else None)
            if not line.silent:
                self._tell(update)

    def _see(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        assert self._survival is not None
        self._survival.see(update, acknowledged, self._conversation, lambda: self.settings.input_format)

    def _tell(self, update: ConversationUpdate) -> None:
        too_slow: Optional[ConsumerTooSlowError] = None
        for stream in self._streams:
            try:
                stream.deliver(update)
            except ConsumerTooSlowError as error:  # the others are given it all the same
                too_slow = error
        if too_slow is not None:
            raise too_slow

    def _line_ended(self, line: SessionConnection, error: ConnectionClosedError) -> None:
        try:
            self._go_on_or_finish(line, self._made_end(line, error))
        except BaseException as defect:  # of this library: nobody may be left waiting
            logger.exception("the end of a connection could not be worked on")
            self.finish(End(ConnectionLostError(f"{error} ({type(defect).__name__}: {defect})"), clean=False))
            raise

    def _go_on_or_finish(self, line: SessionConnection, end: End) -> None:
        with self._changed:
            line.over = True
            current = line is self._line
            survival, reviving = self._survival, not self._live
            survives = (
                survival is not None and not self._closing and is_survivable(end.reason, end.clean, line.last_words)
            )
            if current:
                self._live = self._live and not survives
        if not current:  # it was given up before it was of use
            line.end(end.reason)
            return
        if survival is None or not (survives or reviving):
            self.finish(end)
            return
        logger.info("%s: %s", line.name, end.reason.close_info)
        with self._delivering:
            survival.cut_off(line, self._conversation, self.settings.turn_detection, self.settings.input_format)
        error_of = error_of_loss(end.reason)
        line.end(end.reason, error_of("", {}), error_of)
        if not reviving:  # else whoever makes the new connection goes on from here
            self.start_thread(lambda: survival.reviver.run(end.reason), "reviver")

    def _made_end(self, line: SessionConnection, error: ConnectionClosedError) -> End:
        error.error = line.last_error
        if self._closing:
            told = self._closing_error
            if told is None:
                return End(error, clean=True)
            told.close_info, told.error, told.__cause__ = error.close_info, line.last_error, error
            return End(told, clean=False)
        if isinstance(error, ConsumerTooSlowError):
            line.connection.abort(error)
            return End(error, clean=False)
        last = line.last_error.error if line.last_error is not None else None
        if last is not None and last.code == "session_expired":
            reason: ConnectionClosedError = SessionExpiredError(
                f"the service ended the session at its time limit: {last.message or last.code}",
                close_info=error.close_info,
                error=line.last_error,
            )
            reason.__cause__ = error
            return End(reason, clean=False)
        clean = error.close_info.clean and not line.open_responses
        return End(error, clean=clean)

    def finish(self, end: End) -> None:
        """Release everyone: the session has ended. On the last thread that works for it."""
        with self._changed:
            if self.end is not None:
                return
            self.end = end
            line, streams = self._line, self._streams
            self._changed.notify_all()
        with ExitStack() as still:  # the last first, and each of them, whatever another one raises
            still.callback(_alive.pop, id(self), None)
            still.callback(self._ended.set)
            if self.recording is not None:
                still.callback(self.recording.close)
            for stream in reversed(streams):
                still.callback(stream.end, end)
            still.callback(line.end, end.reason)
            logger.info("%s: %s", self.name, end.reason.close_info)

    # Surviving: called by who makes a new connection --------------------------------------------------------------

    def survive(self, survival: ReconnectState) -> SessionConnection:
        """From now on go on over a new connection when one is lost; the one in use. Raises where it has ended."""
        with self._changed:
            line = self._line
            if not line.over:
                self._survival = survival
                return line
        self._ended.wait(self.timeouts.close)
        self.check_open()
        raise AssertionError("a session whose connection is over has ended")

    @property
    def closing(self) -> bool:
        """True once the session is being closed."""
        return self._closing is not None

    @property
    def reconnecting(self) -> bool:
        """True while there is no connection, and a new one is being made."""
        return not self._is_decided()

    def is_idle(self, line: SessionConnection) -> bool:
        """True where a change of the connection would cut nothing short: nobody speaks, nothing is asked for."""
        assert self._survival is not None
        outbox = self._survival.outbox
        talks = outbox.speaking or (outbox.has_audio and self.settings.turn_detection is None)
        return line.responses.idle and not talks and not self.read_conversation(lambda talk: talk.awaits_approval())

    def closed_end(self) -> End:
        """The end of a session that was closed while it had no connection."""
        closed = ConnectionClosedError("the session was closed", close_info=CloseInfo(1000, "", "local"))
        return End(self._closing_error or closed, clean=self._closing_error is None)

    def retire(self, line: SessionConnection) -> bool:
        """Have this connection make room for the next one; False where it is not the one in use any more."""
        with self._changed:
            if self._line is not line or line.over or not self._live or self._closing:
                return False
            self._live = False
        line.connection.start_close(1000, "")
        if not line.ended.wait(self.timeouts.close):
            line.connection.abort()
            line.ended.wait(self.timeouts.close)
        return True

    def adopt(self, connection: Connection) -> SessionConnection:
        """Read a new connection, in silence: nobody is told of what comes, and nobody can send on it yet."""
        line = self._new_line(connection, self._line.number + 1)
        line.silent = True
        with self._changed:
            closing = self._closing is not None
            if not closing:
                self._line = line
        try:
            self.check_open()
            self.read(line)
        except BaseException:
            connection.dispose()
            raise
        return line

    def announce(
        self, line: SessionConnection, update: ConversationUpdate, carried: Optional[Mapping[str, str]]
    ) -> bool:
        """End the silence, and tell everyone; True where the service owes an answer to what the user said.

        ``carried``: ids here to ids there of the items that it has; None: all of them.
        """
        assert self._survival is not None
        with self._delivering:
            self._conversation.carry_over(carried)
            owes = self._survival.owes_answer(self._conversation, self.settings.turn_detection, carried)
            line.silent = False
            self._survival.outbox.open(line.number)
            self._tell(update)
            for waiting in line.waiting:
                self._conversation.apply(waiting)
                self._tell(waiting)
        return owes

    def send_again(self, line: SessionConnection) -> None:
        """Send what was kept for this connection."""
        assert self._survival is not None
        outbox = self._survival.outbox
        while (sent := outbox.next_unsent()) is not None:
            if sent.handle is None:
                line.transmit(sent.frame, functools.partial(outbox.note_again, line.number, sent, None))
                continue
            again = self.new_handle(sent.handle.type, sent.handle.event_id)
            sent.handle.replace(again)
            line.send(sent.frame, again, sent.message, functools.partial(outbox.note_again, line.number, sent, again))

    def go_live(self, line: SessionConnection) -> bool:
        """Let everyone send on this connection; False where something is still to be sent again, or it has ended."""
        assert self._survival is not None
        with self._changed:
            if line.over or self._closing or self._survival.outbox.next_unsent() is not None:
                return False
            self._live = True
            self._changed.notify_all()
            return True

    def _is_decided(self) -> bool:
        return self._live or self._closing is not None or self.end is not None


class _WireTurn:
    """Calls ``note`` when a frame has its turn on the wire, and remembers that it came; ``note`` may refuse it."""

    def __init__(self, note: Callable[[], None]) -> None:
        self._note = note
        self.came = False

    def __call__(self) -> None:
        self._note()
        self.came = True


def _forget_all_after_fork() -> None:
    for engine in list(_alive.values()):
        engine.forget_after_fork()


def _say_goodbye_to_all() -> None:
    for engine in list(_alive.values()):
        engine.say_goodbye()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all_after_fork)
# Daemon threads end without a word at exit; a close frame lets the service stop at once what it would bill.
atexit.register(_say_goodbye_to_all)
