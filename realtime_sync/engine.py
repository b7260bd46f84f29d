"""One connection's life: the reader thread, what it tells everyone, and how it ends.

Who runs where: one daemon thread a session (``_read``) takes frames from the connection, decodes them, settles
commands and fills the streams; it never runs the caller's code and never waits for it. Everything else happens on the
caller's thread. The reader ends when the connection does, and in ending releases everyone who waits.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.acknowledgement import Acknowledgements, CommandHandle
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation import Conversation
from realtime_sync.delivery import End, Listener, UpdateStream, WeakListener
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConsumerTooSlowError,
    ForkedSessionError,
    InvalidInputError,
    SessionExpiredError,
    SessionNotOpenError,
)
from realtime_sync.patience import Patience
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate, ResponseUpdateBase, SessionUpdateBase
from realtime_sync.protocol.updates import ErrorUpdate, ResponseDoneUpdate
from realtime_sync.response_routing import ResponseRouter
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Connection
from realtime_sync.wire_log import shown

logger = logging.getLogger(__name__)
wire_logger = logging.getLogger("realtime_sync.wire")

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


class Engine:
    """The reader thread of one connection, and all that hangs on it.

    ``session`` and ``end`` are written by the reader, each in one assignment, and may be read by any thread.
    """

    def __init__(self, connection: Connection, *, dialect: Dialect, timeouts: Timeouts, limits: QueueLimits) -> None:
        self.dialect = dialect
        self.timeouts = timeouts
        self.session: Optional[RealtimeSession] = None
        self.end: Optional[End] = None
        self.name = f"realtime-sync-{next(_numbers)}"
        self._connection = connection
        self._limits = limits
        self._pid = os.getpid()
        self._lock = threading.Lock()  # guards _streams and _closing
        self._streams: tuple[Listener, ...] = ()
        self._closing: Optional[Patience] = None  # once close() was called: with the server's side of it
        self.responses = ResponseRouter()
        self._conversation = Conversation()
        self._conversation_lock = threading.Lock()  # guards _conversation: the reader writes it, any thread copies it
        self._acknowledgements = Acknowledgements()
        self._told_format = PCM
        self._asked_format: Optional[tuple[CommandHandle, SampleFormat]] = None
        self._last_error: Optional[ErrorUpdate] = None
        self._open_responses: set[Optional[str]] = set()
        self._heard = False  # the server has said something but an error
        self._greeted = threading.Event()  # it has, or the session has ended
        self._ended = threading.Event()  # the reader has released everyone and is about to return
        self.updates = self.open_stream(unread_limit=limits.unread)
        _alive[id(self)] = self
        # Last, when everything that the thread uses is there.
        try:
            self.start_thread(self._read, "reader")
        except BaseException:  # no thread to be had: nobody else would let go of the connection
            _alive.pop(id(self), None)
            connection.dispose()
            raise

    def start_thread(self, target: Callable[[], None], role: str) -> threading.Thread:
        """The one place where sessions start threads."""
        thread = threading.Thread(target=target, name=f"{self.name}-{role}", daemon=True)
        thread.start()
        return thread

    @property
    def model(self) -> Optional[str]:
        """The model, as the service told it last."""
        return (self.session.model or None) if self.session else None

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
        if self._closing:
            raise SessionNotOpenError("this session was closed; start another one")
        if self.end is not None:
            raise self.end.reason.with_traceback(None)

    def wait_until_greeted(self, timeout: float) -> None:
        """Wait for the server's first word; a silent server is no error. Raises where the session ended without one."""
        if Patience(timeout).wait(self._greeted.wait) and self.end is not None and not self._heard:
            raise self.end.reason.with_traceback(None)

    def send(self, text: str, message: Mapping[str, Any], wire_type: str, event_id: Optional[str]) -> CommandHandle:
        """Send a command; ``message`` holds what its acknowledgement is recognised by."""
        self.check_open()
        handle = CommandHandle(wire_type, event_id, self.timeouts.acknowledge, self.check_process)
        try:
            # In its turn on the wire, because acknowledgements come in that order; before its first byte, because its
            # own may come at once.
            self.transmit(text, lambda: self._acknowledgements.expect(handle, message))
        except BaseException:
            self._acknowledgements.forget(handle)
            raise
        return handle

    def transmit(self, text: Union[str, bytes], at_turn: Optional[Callable[[], None]] = None) -> None:
        """Send a frame; see ``Connection.send_text``."""
        self.check_open()
        if wire_logger.isEnabledFor(logging.DEBUG):
            wire_logger.debug("%s > %s", self.name, shown(text))
        try:
            self._connection.send_text(text, at_turn)
        except ConnectionClosedError as error:
            self._ended.wait(0.5)  # the reader knows more: the server's last error, the close frame
            self.check_open()
            raise error

    def conversation(self) -> Conversation:
        """A copy of the conversation as it stands."""
        with self._conversation_lock:
            return self._conversation.snapshot()

    def read_conversation(self, read: Callable[[Conversation], T]) -> T:
        """What ``read`` makes of the conversation, without copying it (50 ms after 500 turns): it must be quick."""
        with self._conversation_lock:
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
        with self._lock:
            self._streams = (*self._streams, listener)
            end = self.end
        if end is not None:
            listener.end(end)

    def stop_listening(self, listener: Listener) -> None:
        """Tell it no more; nothing happens where it was not told."""
        with self._lock:
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
            if handle.error is None and self._format_in(handle.update) is None:
                return asked
        return self._told_format

    def ask_format(self, handle: CommandHandle, told: object) -> None:
        """Remember the format that a command asks for, if ``told`` is one."""
        asked = self._sample_format(told)
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
        """End the connection in an orderly way, within ``timeouts.close``, else cut it."""
        if self._pid != os.getpid():
            self.forget_after_fork()
            return
        if not self.begin_close(code, reason).wait(self._ended.wait):
            logger.info("%s: the server did not answer the close within %s s", self.name, self.timeouts.close)
            self._connection.abort()
            self._ended.wait(0.5)

    def begin_close(self, code: int, reason: str, within: Optional[float] = None) -> Patience:
        """Send the close frame; returns how long to wait for the answer. Of several calls the first counts.

        ``within``: seconds that the frame may take to be written; None: ``timeouts.close``; 0: only at once.
        """
        if self._pid != os.getpid():
            self.forget_after_fork()
            return Patience(0)
        with self._lock:
            closing = self._closing
            patience = self._closing = closing or Patience(self.timeouts.close)
        if closing is None and not self._ended.is_set():
            self._connection.start_close(code, reason, within)
        return patience

    def forget_after_fork(self) -> None:
        """Let go of the parent's connection in a forked child. Takes no lock, which the parent might have held."""
        self._connection.forget()

    def say_goodbye(self) -> None:
        """At exit: begin a close without waiting for the answer."""
        if self._pid == os.getpid():
            self.begin_close(1001, "", within=0)

    # The reader thread ----------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while True:
                frame = self._connection.receive()
                update = codec.decode(frame, self.dialect) if isinstance(frame, str) else codec.decode_binary(frame)
                self._deliver(update)
        except ConnectionClosedError as error:
            reason = error
        except BaseException as error:  # a defect of this library, or no memory: nobody may be left waiting
            logger.exception("the reader failed")
            reason = ConnectionLostError(f"the reader failed: {type(error).__name__}: {error}")
            reason.__cause__ = error
        self._finish(reason)

    def _deliver(self, update: ConversationUpdate) -> None:
        if wire_logger.isEnabledFor(logging.DEBUG):
            wire_logger.debug("%s < %s", self.name, shown(update.raw_content))
        self._take_note(update)
        with self._conversation_lock:
            self._conversation.apply(update)
        handle = self._acknowledgements.take(update)
        self.responses.see(update, handle.event_id if handle else None)
        if handle is not None:
            handle.settle(update)  # not before the router knows: who wakes may ask for the next answer at once
        for stream in self._streams:
            if not stream.deliver(update):
                raise ConsumerTooSlowError(
                    f"updates of more than {self._limits.queued} bytes wait to be taken; the session was ended rather "
                    "than losing any. Take them faster, on a thread of their own, or raise QueueLimits.queued"
                )

    def _take_note(self, update: ConversationUpdate) -> None:
        if isinstance(update, ErrorUpdate):
            self._last_error = update
            return  # no greeting: a refused key is told so, just before the close
        if isinstance(update, SessionUpdateBase):
            self.session = update.session
            self._told_format = self._format_in(update) or self._told_format
        elif isinstance(update, ResponseDoneUpdate):
            self._open_responses.discard(update.response_id)
        elif isinstance(update, ResponseUpdateBase):
            self._open_responses.add(update.response_id)
        if not self._heard:
            self._heard = True
            self._greeted.set()

    def _finish(self, error: ConnectionClosedError) -> None:
        try:
            end = self._made_end(error)
            logger.info("%s: %s", self.name, end.reason.close_info)
            with self._lock:
                self.end = end
                streams = self._streams
            self._acknowledgements.end(end.reason)
            self.responses.end(end.reason)
            for stream in streams:
                stream.end(end)
        finally:
            self._greeted.set()
            self._ended.set()
            _alive.pop(id(self), None)
            self._connection.dispose()

    def _made_end(self, error: ConnectionClosedError) -> End:
        error.error = self._last_error
        if self._closing:
            return End(error, clean=True)
        if isinstance(error, ConsumerTooSlowError):
            self._connection.abort(error)
            return End(error, clean=False)
        last = self._last_error.error if self._last_error is not None else None
        if last is not None and last.code == "session_expired":
            reason: ConnectionClosedError = SessionExpiredError(
                f"the service ended the session at its time limit: {last.message or last.code}",
                close_info=error.close_info,
                error=self._last_error,
            )
            reason.__cause__ = error
            return End(reason, clean=False)
        clean = error.close_info.clean and not self._open_responses
        return End(error, clean=clean)


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
