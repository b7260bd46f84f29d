"""One connection of a session: sending and receiving on it, its commands and answers in progress, and its end.

A session that reconnects has several, one after the other; ``number`` is 1 for the first.

Sending: ``send`` takes the wire's turn, a lock, so that everything written down in the turn has the order of the wire.
In the turn, in this order: the recovery keeps the frame, the exchange learns of the command, the command is expected,
the recording gets the frame, the frame is written. A command is kept and expected before its first byte is written,
because its acknowledgement may come at once. An error that is raised before the write leaves the connection as it is.
If Ctrl-C comes before the first byte, the frame is not sent, and both forget it; if it cuts the frame, the connection
ends.

The end: the reader thread calls ``end``, and so may whichever thread finishes the session (``Engine.finish``): a second
call finds nobody waiting, and replaces both errors. ``reason`` is how the connection ended; ``error`` is the error that
waiting threads get, which is another one if the session goes on. Both are set before ``ended``.

Locks: the wire's turn (transport) for sending; under it those of ``commands``, of the recovery's outbox and of the
recording. Of the fields below ``_recording`` the reader thread alone writes ``last_error``, ``last_unattributed_error``
and ``heard``, and any thread may read them. ``over`` is guarded by the engine's lock, ``silent`` and ``deferred`` by
the lock for delivery. ``reason`` and ``error`` are written by ``end``, each in one assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable, Optional, Union

from realtime_sync.core.commands import PendingCommands
from realtime_sync.core.recovery import ErrorOf, Outgoing
from realtime_sync.core.streams import End
from realtime_sync.core.vocabulary import SessionState
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionLostError,
    ConsumerTooSlowError,
    SessionExpiredError,
    told_again,
)
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.recording.redaction import secrets_in
from realtime_sync.recording.wire_log import is_logged, log_frame
from realtime_sync.secret import forget_locals
from realtime_sync.transport import Connection, text_frame

if TYPE_CHECKING:
    from realtime_sync.recording import RecordingWriter

Keep = Callable[["SessionConnection", Outgoing], bool]
TakeBack = Callable[[Outgoing], None]

# The reader knows best how a connection ended, and is at most this late (seconds).
_READER_SECONDS = 0.5


class SessionConnection:
    """A transport connection with its commands in flight and its answers in progress."""

    def __init__(
        self,
        transport: Connection,
        number: int,
        name: str,
        state: SessionState,
        recording: Optional[RecordingWriter] = None,
    ) -> None:
        self.transport = transport
        self.number = number
        self.name = name
        self.commands = PendingCommands(state.vocabulary)
        self.exchange = state.new_exchange()
        self.redactor = transport.redactor  # knows the secrets in use
        self._vocabulary = state.vocabulary
        self._recording = recording
        # Written by the reader alone, read by any thread:
        self.last_error: Optional[ErrorUpdate] = None
        self.last_unattributed_error: Optional[ErrorUpdate] = None  # naming no command, if nothing has come since
        self.received = 0  # messages
        self.heard = False  # the server has said something but an error
        # Guarded by locks, see the head:
        self.sent = 0  # messages
        self.silent = False  # the connection catches up: updates are not delivered
        self.deferred: list[ConversationUpdate] = []  # came in silence, and are delivered afterwards
        self._deferred_bytes = 0
        self.over = False  # the reader has come to its end; guarded by the engine's lock
        # Written by end():
        self.reason: Optional[ConnectionClosedError] = None
        self.error: Optional[ConnectionClosedError] = None
        self.greeted = Flag()  # the server has said something but an error, or the connection has ended
        self.ended = Flag()  # all threads that waited on this connection were released

    def send(self, frame: Outgoing, keep: Keep, take_back: TakeBack = lambda frame: None) -> None:
        """Send a frame; ``keep`` and ``take_back`` are called in its turn, see ``Recovery``.

        Raises:
            ConnectionClosedError: the connection has ended, before the frame or while it was kept and written.
            UnsupportedByDialectError: the frame was encoded for a service of another dialect, and this one's has no
                words for it.
        """
        if frame.dialect not in (None, self._vocabulary.dialect):
            frame.text = self._vocabulary.retold(str(frame.text), frame.dialect)
            frame.dialect = self._vocabulary.dialect
        told = frame.text
        if isinstance(told, str):  # bytes are audio
            self.redactor.learn(secrets_in(told))
            told = self.redactor.all(told, words=False)
        self._send((frame,), (told,), text_frame(frame.text), keep, take_back)

    def send_audio(self, frames: Sequence[Outgoing], keep: Keep, take_back: TakeBack) -> None:
        """Send appends by one write, in one turn; otherwise as ``send``."""
        texts = [frame.text for frame in frames]
        data = text_frame(texts[0]) if len(texts) == 1 else bytearray().join(map(text_frame, texts))
        self._send(frames, texts, data, keep, take_back)

    def _send(
        self,
        frames: Sequence[Outgoing],
        told: Sequence[Union[str, bytes]],
        data: bytearray,
        keep: Keep,
        take_back: TakeBack,
    ) -> None:
        """Send the bytes of these frames. ``told``: the text of each, without secrets."""
        if self.error is not None:
            raise told_again(self.error)
        transport, taken = self.transport, False
        if is_logged():
            for text in told:
                log_frame(self.name, ">", text)
        try:
            try:
                with transport.turn:
                    taken = True
                    written = transport.written
                    try:
                        self._begin(frames, told, keep)
                        transport.write(data)
                        self.sent += len(frames)
                    except Exception:
                        raise
                    except BaseException:  # Ctrl-C
                        if transport.written == written:  # so nothing will come of it
                            self._take_back(frames, take_back)
                        raise
            finally:
                if taken:  # a thread that was interrupted before its turn must not wait for it again
                    transport.after_turn()
        except ConnectionClosedError:
            self.ended.wait(_READER_SECONDS)  # the reader knows more: the server's last error, the close frame
            if self.error is None:
                raise
        else:
            return
        raise told_again(self.error)

    def _begin(self, frames: Sequence[Outgoing], told: Sequence[Union[str, bytes]], keep: Keep) -> None:
        """Write down that these frames are sent. The turn is held."""
        for frame in frames:
            frame.kept = keep(self, frame)
            if frame.handle is not None:
                self.exchange.sending(frame.handle, frame.message)
                self.commands.expect(frame.handle, frame.message)
        if self._recording is not None:
            for text in told:
                self._recording.sent(text)

    def _take_back(self, frames: Sequence[Outgoing], take_back: TakeBack) -> None:
        """Undo ``_begin``. The turn is held."""
        for frame in reversed(frames):
            take_back(frame)
            if frame.handle is not None:
                self.exchange.taken_back(frame.handle)
                self.commands.forget(frame.handle)

    def say(self, text: str, within: float) -> bool:
        """Send a last command, whose handle nobody has, in ``within`` seconds at most; False if it was not sent."""
        if is_logged():
            log_frame(self.name, ">", text)
        if self._recording is not None:
            self._recording.sent(text)
        return self.transport.send_within(text, within)

    def receive(self) -> ConversationUpdate:
        """The next message, without the secrets in use; see ``Connection.receive``. The reader thread's."""
        try:
            frame = self.transport.receive()
        except ConnectionClosedError as error:
            forget_locals(error)
            if self._recording is not None:
                self._recording.disconnected(error.close_info)
            raise
        self.received += 1
        update = self._vocabulary.decode(frame)
        if isinstance(frame, str) and not update.type.endswith("audio.delta"):  # no secret is searched for in audio
            is_error = isinstance(update, self._vocabulary.error)
            told = self.redactor.all(frame, words=is_error)
            if told is not frame:  # the update has no credentials; what may be a word of the conversation stays
                update = self._vocabulary.decode(told if is_error else self.redactor.anywhere(frame))
                frame = told
        if is_logged():
            log_frame(self.name, "<", frame if isinstance(frame, str) else "")
        if self._recording is not None:
            self._recording.received(frame)
        return update

    def observe(self, update: ConversationUpdate) -> None:
        """Remember what an update says about the connection itself. The reader thread's."""
        self.last_unattributed_error = None
        if isinstance(update, self._vocabulary.error):
            self.last_error = update
            self.last_unattributed_error = None if update.failed_event_id else update
        elif not self.heard:  # an error is no greeting: a refused key is reported so, just before the close
            self.heard = True

    def greet(self) -> None:
        """Let those go on who wait for the server's first word: it has been taken over. The reader thread's."""
        if self.heard and not self.greeted.is_set():
            self.greeted.set()

    def defer(self, update: ConversationUpdate, most_bytes: int) -> None:
        """Keep an update that came in silence, to be delivered afterwards. The reader thread's."""
        self._deferred_bytes += len(update.raw_content)
        if self._deferred_bytes > most_bytes:
            raise ConnectionLostError(
                f"more than {most_bytes} bytes of updates (QueueLimits.queued) came while the history was sent to a "
                "new connection, which is given up"
            )
        self.deferred.append(update)

    def end_by(self, error: ConnectionClosedError) -> End:
        """The end that ``error`` makes of this connection, with the server's last error. The reader thread's."""
        last = error.error = self.last_error
        if isinstance(error, ConsumerTooSlowError):
            return End(error, clean=False)
        told = self.exchange.end_of(error)
        if told is not None:
            return told
        if last is not None and last.error.code in self._vocabulary.expired:
            expired = SessionExpiredError(
                f"the service ended the session at its time limit: {last.error.message or last.error.code}",
                close_info=error.close_info,
                error=last,
            )
            expired.__cause__ = error
            return End(expired, clean=False)
        return End(error, clean=error.close_info.clean and not self.exchange.open_ids)

    def end(
        self,
        reason: ConnectionClosedError,
        error: Optional[ConnectionClosedError] = None,
        error_of: Optional[ErrorOf] = None,
    ) -> None:
        """Release all threads that wait on this connection, with ``error``, else ``reason``.

        Called by the reader thread, or by the one that finishes the session. ``error_of``: the error of each command,
        if that is not ``error``.
        """
        error = error or reason
        self.reason, self.error = reason, error
        try:
            self.commands.end(error, error_of)
            self.exchange.end(error)
        finally:
            self.greeted.set()
            self.ended.set()
            self.transport.dispose()
