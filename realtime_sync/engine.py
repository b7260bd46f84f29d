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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional, Protocol, TypeVar, Union

import attrs

from realtime_sync.acknowledgement import CommandHandle
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation import Conversation
from realtime_sync.delivery import End, Listener, UpdateStream, WeakListener
from realtime_sync.errors import (
    CloseInfo,
    ConnectionClosedError,
    ConnectionLostError,
    ConnectionReplacedError,
    ConsumerTooSlowError,
    ForkedSessionError,
    InvalidInputError,
    ServerError,
    SessionExpiredError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.line import Line
from realtime_sync.outbox import Outbox, is_sent_again
from realtime_sync.patience import Patience
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import AudioFormat, SessionOptions, TurnDetectionOptions
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase
from realtime_sync.reconnecting import Reconnect, is_survivable
from realtime_sync.recording import RecordingWriter
from realtime_sync.response_routing import ResponseRouter
from realtime_sync.settings_memory import SettingsMemory
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection
from realtime_sync.wire_log import log_frame

logger = logging.getLogger(__name__)

T = TypeVar("T")

_numbers = itertools.count(1)
# The engines whose reader is alive, by id(). Changed and copied by single operations of dict, which need no lock: a
# lock might be held by another thread in the moment of a fork.
_alive: dict[int, Engine] = {}


@attrs.frozen(kw_only=True)
class QueueLimits:
    """How many bytes of updates may wait to be taken.

    ``queued``: in a stream that somebody reads; beyond it the session ends with ``ConsumerTooSlowError``, because
    nothing is dropped in silence. ``unread``: in ``session.updates()`` before anybody has asked for it; beyond it the
    oldest are dropped.
    """

    queued: int = 64 * 2**20
    unread: int = 8 * 2**20


class Reviver(Protocol):
    """Who makes a new connection; see ``revival.py``."""

    policy: Reconnect

    def run(self, reason: ConnectionClosedError) -> None:
        """Make one and have the session go on over it, or finish the session; on a thread of its own."""
        ...

    def cancel(self) -> None:
        """The session is being closed: stop trying. Never blocks."""
        ...


class Engine:
    """All that a session is, but for what a caller says.

    ``session`` and ``end`` are written by the reader, each in one assignment, and may be read by any thread.
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
        self.session: Optional[RealtimeSession] = None
        self.end: Optional[End] = None
        self.name = f"realtime-sync-{next(_numbers)}"
        self.settings = SettingsMemory()
        self._limits = limits
        self._pid = os.getpid()
        # Guards _line, _live, _losses, _reviver, _streams, _closing and the setting of end; notified when the session
        # can be sent on again, or never again.
        self._changed = threading.Condition()
        self._streams: tuple[Listener, ...] = ()
        self._closing: Optional[Patience] = None  # once close() was called: with the server's side of it
        self._closing_error: Optional[ConnectionClosedError] = None
        self.recording = recording
        self._line = self._new_line(connection, 1)
        self._live = True  # False while there is no connection
        self._losses: list[str] = []
        self._reviver: Optional[Reviver] = None
        self._outbox: Optional[Outbox] = None
        # Guards _conversation, which any thread copies, and the order of delivery: the reader delivers what comes, and
        # who revives the session tells of it.
        self._delivering = threading.Lock()
        self._conversation = Conversation()
        self._said: dict[str, bytes] = {}  # what the user said, by items that are still to be told of; the reader's
        self._told_format = PCM
        self._asked_format: Optional[tuple[CommandHandle, SampleFormat]] = None
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

    def _new_line(self, connection: Connection, number: int) -> Line:
        if self.recording is not None:
            self.recording.connected(connection.url, number, self.dialect)
        return Line(connection, number, self.name, self.recording)

    def start_thread(self, target: Callable[[], None], role: str) -> threading.Thread:
        """The one place where sessions start threads."""
        thread = threading.Thread(target=target, name=f"{self.name}-{role}", daemon=True)
        thread.start()
        return thread

    def read(self, line: Line) -> None:
        """Start the reader of a connection."""
        self.start_thread(lambda: self._read(line), "reader" if line.number == 1 else f"reader-{line.number}")

    @property
    def model(self) -> Optional[str]:
        """The model, as the service told it last."""
        return (self.session.model or None) if self.session else None

    @property
    def responses(self) -> ResponseRouter:
        """The answers in progress on the connection in use, or on the last one."""
        return self._line.responses

    # On the caller's thread -----------------------------------------------------------------------------------

    def check_process(self) -> None:
        """Raise in a forked child."""
        if self._pid != os.getpid():
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
        if Patience(timeout).wait(line.greeted.wait) and line.error is not None and not line.heard:
            raise line.error.with_traceback(None)

    def live_line(self, patience: Optional[Patience] = None) -> Line:
        """The connection in use. Waits while a new one is made, which ``Reconnect.give_up_after`` bounds.

        Raises ``WaitTimeoutError`` where ``patience`` ends first, and what the session has ended with.
        """
        self.check_open()
        line = self._line
        if not self._live:
            with self._changed:
                if not (patience or Patience(None)).wait(lambda s: self._changed.wait_for(self._is_decided, s)):
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
        line: Optional[Line] = None,
    ) -> CommandHandle:
        """Send a command; ``message`` holds what its acknowledgement is recognised by.

        ``line``: send it on this connection only; None: on the one in use, and the next one where that is just ending.
        """
        handle = self.new_handle(wire_type, event_id)
        while True:
            used = line or self.live_line()
            turn = _Turn(lambda: self._note_command(used, text, handle, message))  # noqa: B023  called before the next
            try:
                used.send(text, handle, message, turn)
            except ConnectionReplacedError as error:
                if (
                    turn.came
                ):  # it may have reached the service or not; it was kept, and the handle says what becomes of it
                    handle.settle(None, error)
                elif line is None:
                    continue
                else:
                    raise
            return handle

    def _note_command(
        self, line: Line, text: Union[str, bytes], handle: CommandHandle, told: Mapping[str, Any]
    ) -> None:
        if self._outbox is not None:
            self._outbox.note_command(line.number, text, handle, told)

    def new_handle(self, wire_type: str, event_id: Optional[str]) -> CommandHandle:
        """The handle of a command that is about to be sent."""
        return CommandHandle(wire_type, event_id, self.timeouts.acknowledge, self.check_process)

    def send_audio(self, frame: bytes, size: int) -> None:
        """Send an append of ``size`` bytes of samples, or keep it for the next connection."""
        outbox = self._outbox
        if outbox is None:
            self.live_line().transmit(frame)
            return
        while True:
            self.check_open()
            with self._changed:
                line = self._line
                if not self._is_decided():
                    outbox.hold(frame, size, self.input_format)
                    return
            turn = _Turn(lambda: outbox.note_audio(line.number, frame, size, self.input_format))  # noqa: B023
            try:
                line.transmit(frame, turn)
                return
            except ConnectionReplacedError:
                if turn.came:
                    return  # kept; it is sent again

    def conversation(self) -> Conversation:
        """A copy of the conversation as it stands."""
        with self._delivering:
            return self._conversation.snapshot()

    def read_conversation(self, read: Callable[[Conversation], T]) -> T:
        """What ``read`` makes of the conversation, without copying it (50 ms after 500 turns): it must be quick."""
        with self._delivering:
            return read(self._conversation)

    def open_stream(self, unread_limit: Optional[int] = None) -> UpdateStream:
        """A stream of all updates from now on."""
        stream = UpdateStream(
            limit=self._limits.queued,
            unread_limit=unread_limit,
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

    @property
    def input_format(self) -> SampleFormat:
        """What audio is to be sent in: as was asked for last, unless that was refused, else as the service told."""
        if self._asked_format is not None:
            handle, asked = self._asked_format
            # At once, not with the acknowledgement: audio that is sent behind the command is heard in the new format.
            if not isinstance(handle.error, ServerError) and self._format_in(handle.update) is None:
                return asked
        return self._told_format

    @property
    def turn_detection(self) -> Optional[TurnDetectionOptions]:
        """As it was asked for last, else as the service told; None where it is off or not known."""
        asked = self.settings.merged()
        options = getattr(asked, "turn_detection_options", UNSET)
        if options is UNSET and self.session is not None:
            options = self.session.turn_detection_options
        return options if isinstance(options, TurnDetectionOptions) else None

    def ask_settings(self, handle: CommandHandle, options: SessionOptions) -> None:
        """Remember what a ``session.update`` asks for."""
        self.settings.remember(handle, options)
        asked = self._sample_format(getattr(options, "input_audio_format", None))
        if asked is not None:
            self._asked_format = handle, asked

    def _format_in(self, update: Optional[ConversationUpdate]) -> Optional[SampleFormat]:
        return self._sample_format(update.session.input_audio_format) if isinstance(update, SessionUpdateBase) else None

    def _sample_format(self, told: object) -> Optional[SampleFormat]:
        if not isinstance(told, AudioFormat):
            return None
        try:
            return SampleFormat.of(told)
        except InvalidInputError:
            logger.warning("%s: audio cannot be checked: unknown input format %r", self.name, told.type)
            return None

    def close(self, code: int, reason: str) -> None:
        """End the session in an orderly way, within ``timeouts.close``, else cut it."""
        if self._pid != os.getpid():
            self.forget_after_fork()
            return
        if not self.begin_close(code, reason).wait(self._ended.wait):
            logger.info("%s: the server did not answer the close within %s s", self.name, self.timeouts.close)
            self._line.connection.abort()
            self._ended.wait(0.5)

    def begin_close(
        self,
        code: int,
        reason: str,
        within: Optional[float] = None,
        error: Optional[ConnectionClosedError] = None,
    ) -> Patience:
        """Send the close frame; returns how long to wait for the answer. Of several calls the first counts.

        ``within``: seconds that the frame may take to be written; None: ``timeouts.close``; 0: only at once.
        ``error``: what everyone who waits is told; None: that the session was closed, which is no error.
        """
        if self._pid != os.getpid():
            self.forget_after_fork()
            return Patience(0)
        with self._changed:
            closing = self._closing
            if closing is None:
                self._closing_error = error
            patience = self._closing = closing or Patience(self.timeouts.close)
            line, reviver = self._line, self._reviver
            self._changed.notify_all()
        if closing is None and not self._ended.is_set():
            if reviver is not None:
                reviver.cancel()
            line.connection.start_close(code, reason, within)
        return patience

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection in a forked child. Takes no lock, which the parent might have held."""
        self._line.connection.forget()

    def say_goodbye(self) -> None:
        """At exit: begin a close without waiting for the answer."""
        if self._pid == os.getpid():
            self.begin_close(1001, "", within=0)

    # The reader thread ----------------------------------------------------------------------------------------

    def _read(self, line: Line) -> None:
        try:
            while True:
                frame = line.receive()
                update = codec.decode(frame, self.dialect) if isinstance(frame, str) else codec.decode_binary(frame)
                self._deliver(line, update)
        except ConnectionClosedError as error:
            reason = error
        except BaseException as error:  # a defect of this library, or no memory: nobody may be left waiting
            logger.exception("the reader failed")
            reason = ConnectionLostError(f"the reader failed: {type(error).__name__}: {error}")
            reason.__cause__ = error
        self._line_ended(line, reason)

    def _deliver(self, line: Line, update: ConversationUpdate) -> None:
        log_frame(line.name, "<", update.raw_content)
        line.take_note(update)
        if isinstance(update, SessionUpdateBase):
            self.session = update.session
            self._told_format = self._format_in(update) or self._told_format
        with self._delivering:
            if line.silent:
                self._conversation.note_connection(update)
            else:
                self._conversation.apply(update)
            handle = line.settle(update)
            if self._outbox is not None:
                self._outbox.see(update, handle, self.input_format)
                if self._said:
                    self._keep_what_was_said()
            if not line.silent:
                self._tell(update)

    def _keep_what_was_said(self) -> None:
        """A commit is told before the item that it makes."""
        for item_id in list(self._said):
            if self._conversation.item(item_id) is not None:
                self._conversation.add_audio(item_id, self._said.pop(item_id), keep=True)

    def _tell(self, update: ConversationUpdate) -> None:
        for stream in self._streams:
            if not stream.deliver(update):
                raise ConsumerTooSlowError(
                    f"updates of more than {self._limits.queued} bytes wait to be taken; the session was ended rather "
                    "than losing any. Take them faster, on a thread of their own, or raise QueueLimits.queued"
                )

    def _line_ended(self, line: Line, error: ConnectionClosedError) -> None:
        end = self._made_end(line, error)
        with self._changed:
            line.over = True
            reviver, reviving = self._reviver, not self._live
            survives = reviver is not None and not self._closing and is_survivable(end.reason, end.clean)
            self._live = self._live and not survives
        if reviver is None or not (survives or reviving):
            self.finish(end)
            return
        logger.info("%s: %s", line.name, end.reason.close_info)
        self._cut_off(line, end.reason)
        if not reviving:  # else whoever makes the new connection goes on from here
            self._revive(end.reason, reviver)

    def _revive(self, reason: ConnectionClosedError, reviver: Reviver) -> None:
        try:
            self.start_thread(lambda: reviver.run(reason), "reviver")
        except BaseException:  # no thread to be had
            self.finish(End(reason, clean=False))
            raise

    def _made_end(self, line: Line, error: ConnectionClosedError) -> End:
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
        try:
            logger.info("%s: %s", self.name, end.reason.close_info)
            with self._changed:
                self.end = end
                line, streams = self._line, self._streams
                self._changed.notify_all()
            line.end(end.reason)
            for stream in streams:
                stream.end(end)
        finally:
            line.connection.dispose()
            if self.recording is not None:
                self.recording.close()
            self._ended.set()
            _alive.pop(id(self), None)

    # Surviving ------------------------------------------------------------------------------------------------

    def survive(self, reviver: Reviver) -> Line:
        """From now on go on over a new connection, which ``reviver`` makes, when one is lost; the one in use."""
        with self._changed:
            said = self._said.__setitem__ if reviver.policy.keep_audio else None
            self._outbox = Outbox(reviver.policy.hold_audio, said)
            self._reviver = reviver
            return self._line

    @property
    def closing(self) -> bool:
        """True once the session is being closed."""
        return self._closing is not None

    @property
    def reconnecting(self) -> bool:
        """True while there is no connection, and a new one is being made."""
        return not self._is_decided()

    def is_idle(self, line: Line) -> bool:
        """True where nobody speaks and no answer is in progress or asked for."""
        assert self._outbox is not None
        return line.responses.idle and not self._outbox.speaking

    def closed_end(self) -> End:
        """The end of a session that was closed while it had no connection."""
        closed = ConnectionClosedError("the session was closed", close_info=CloseInfo(1000, "", "local"))
        return End(self._closing_error or closed, clean=self._closing_error is None)

    def retire(self, line: Line) -> bool:
        """Have this connection make room for the next one; False where it is not the one in use any more."""
        with self._changed:
            if self._line is not line or line.over or not self._live or self._closing:
                return False
            self._live = False
        line.connection.start_close(1000, "")
        if not line.ended.wait(self.timeouts.close):
            line.connection.abort()
        return True

    def adopt(self, connection: Connection) -> Line:
        """Read a new connection, in silence: nobody is told of what comes, and nobody can send on it yet."""
        assert self._outbox is not None
        line = self._new_line(connection, self._outbox.connection)
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

    def announce(self, line: Line, update: ConversationUpdate, carried: Optional[Mapping[str, str]]) -> None:
        """End the silence, and tell everyone. ``carried``: ids here to ids there; None: the service has all items."""
        assert self._outbox is not None
        with self._delivering:
            self._conversation.carry_over(carried)
            line.silent = False
            self._outbox.reopen()
            self._tell(update)

    def send_again(self, line: Line) -> list[str]:
        """Send what was kept for this connection; the wire types of the commands."""
        assert self._outbox is not None
        outbox, types = self._outbox, []
        while (sent := outbox.next_unsent()) is not None:
            if sent.handle is None:
                line.transmit(sent.frame, functools.partial(outbox.note_again, line.number, sent, None))
                continue
            again = self.new_handle(sent.handle.type, sent.handle.event_id)
            sent.handle.replace(again)
            note = functools.partial(outbox.note_again, line.number, sent, again)
            line.send(sent.frame, again, sent.message, note)
            types.append(again.type)
        return types

    def go_live(self, line: Line) -> bool:
        """Let everyone send on this connection; False where something is still to be sent again, or it has ended."""
        assert self._outbox is not None
        with self._changed:
            if line.over or self._closing or self._outbox.next_unsent() is not None:
                return False
            self._live = True
            self._changed.notify_all()
            return True

    def take_losses(self) -> list[str]:
        """What was lost since this was asked last, one line for each thing."""
        with self._changed:
            losses, self._losses = self._losses, []
            return losses

    def _is_decided(self) -> bool:
        return self._live or self._closing is not None or self.end is not None

    def _cut_off(self, line: Line, reason: ConnectionClosedError) -> None:
        """On the reader thread of a connection that will be followed by another one."""
        assert self._outbox is not None
        told = f"the connection has ended ({reason}); the session goes on over a new one."
        vad = bool(self.session is not None and self.session.turn_detection_options)
        losses = self._outbox.cut(vad, self.input_format)
        losses += [f"response {id}: it was cut off" for id in sorted(filter(None, line.open_responses))]
        with self._changed:
            self._losses += losses

        def error_of(wire_type: str, message: Mapping[str, Any]) -> ConnectionReplacedError:
            again = is_sent_again(wire_type, message)
            what = (
                "This command is sent again there" if again else "This is not sent again: do so if it is still wanted"
            )
            return ConnectionReplacedError(f"{told} {what}", close_info=reason.close_info, sent_again=again)

        line.end(error_of("", {}), error_of)


class _Turn:
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
