"""One connection's life: what is sent and awaited on it, and how it ends. A session that survives has several."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

from realtime_sync.core.commands import CommandHandle, ErrorOf, PendingCommands
from realtime_sync.core.normalizer import ResponseNormalizer
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.errors import ConnectionClosedError
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.recording import RecordingWriter
from realtime_sync.recording.wire_log import log_frame
from realtime_sync.transport import Connection


class SessionConnection:
    """A connection with its commands in flight and its answers in progress. ``number``: 1 for a session's first."""

    def __init__(
        self,
        connection: Connection,
        number: int,
        name: str,
        recording: Optional[RecordingWriter] = None,
        before: Optional[ResponseRouter] = None,
    ) -> None:
        self.connection = connection
        self.number = number
        self.name = name
        self.recording = recording
        self.acknowledgements = PendingCommands()
        self.responses = ResponseRouter(before)
        # The reader's alone, until it has ended.
        self.completion = ResponseNormalizer(self.responses)
        self.last_error: Optional[ErrorUpdate] = None
        self.heard = False  # the server has said something but an error
        self.silent = False  # nobody is told of what comes: a history is being replayed
        self.over = False  # the reader has come to its end; guarded by the engine
        self.last_words: Optional[ErrorUpdate] = None  # an error about no command, where nothing has come since
        self.waiting: list[ConversationUpdate] = []  # what came in silence and is to be told afterwards
        self.reason: Optional[ConnectionClosedError] = None  # how it ended; set before `error`
        self.error: Optional[ConnectionClosedError] = None  # what everyone is told; set before `ended`
        self.greeted = threading.Event()  # the server has said something, or the line has ended
        self.ended = threading.Event()  # everyone who waited on this line was released

    def send(
        self,
        text: Union[str, bytes],
        handle: CommandHandle,
        message: Mapping[str, Any],
        note: Optional[Callable[[], None]] = None,
    ) -> None:
        """Send a command; ``message`` holds what its acknowledgement is known by. ``note`` is called at its turn."""
        turned: list[bool] = []

        def at_turn() -> None:
            # In its turn on the wire, because acknowledgements come in that order; before its first byte, because its
            # own may come at once.
            if note is not None:
                note()
            turned.append(True)
            self.acknowledgements.expect(handle, message)

        try:
            self.transmit(text, at_turn)
        except BaseException:
            if not turned:  # else it may have been sent, and be answered
                self.acknowledgements.forget(handle)
            raise

    def transmit(self, text: Union[str, bytes], at_turn: Optional[Callable[[], None]] = None) -> None:
        """Send a frame; see ``Connection.send_text``. Raises what the line ended with, where it has."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        log_frame(self.name, ">", text)
        try:
            self.connection.send_text(text, self._recorded(text, at_turn))
        except ConnectionClosedError:
            self.ended.wait(0.5)  # the reader knows more: the server's last error, the close frame
            if self.error is None:
                raise
        else:
            return
        raise self.error.with_traceback(None)

    def _recorded(self, text: Union[str, bytes], at_turn: Optional[Callable[[], None]]) -> Optional[Callable[[], None]]:
        """What is called at the frame's turn, so that the recording has the order of the wire."""
        recording = self.recording
        if recording is None:
            return at_turn

        def at_turn_recorded() -> None:
            if at_turn is not None:
                at_turn()  # which may refuse it
            recording.sent(text)

        return at_turn_recorded

    @property
    def owes_answer(self) -> bool:
        """True where an answer in the conversation was asked for on the wire, and has not begun."""
        claimed = self.responses.claimed
        return claimed is not None and self.acknowledgements.is_in_flight(claimed)

    def receive(self) -> Union[str, bytes]:
        """The next message; see ``Connection.receive``."""
        try:
            frame = self.connection.receive()
        except ConnectionClosedError as error:
            if self.recording is not None:
                self.recording.disconnected(error.close_info)
            raise
        if self.recording is not None:
            self.recording.received(frame)
        return frame

    def take_note(self, update: ConversationUpdate) -> None:
        """On the reader thread: what an update tells of the line itself."""
        self.last_words = None
        if isinstance(update, ErrorUpdate):
            self.last_error = update
            self.last_words = None if update.failed_event_id else update
            return  # no greeting: a refused key is told so, just before the close
        if not self.heard:
            self.heard = True
            self.greeted.set()

    def settle(
        self, update: ConversationUpdate, note: Optional[Callable[[ConversationUpdate, Optional[CommandHandle]], None]]
    ) -> None:
        """On the reader thread: hand the update to the command and the answer that wait for it; ``note`` is told."""
        handle = self.acknowledgements.take(update)
        self.responses.see(update, handle.event_id if handle else None)
        if note is not None:
            note(update, handle)
        if handle is not None:
            handle.settle(update)  # last: who wakes may ask for the next answer at once

    def end(
        self,
        reason: ConnectionClosedError,
        error: Optional[ConnectionClosedError] = None,
        error_of: Optional[ErrorOf] = None,
    ) -> None:
        """At its end: release everyone who waits on this line, with ``error``, else ``reason``.

        ``error_of`` as for ``PendingCommands.end``.
        """
        error = error or reason
        self.reason, self.error = reason, error
        try:
            self.acknowledgements.end(error, error_of)
            self.responses.end(error)
        finally:
            self.greeted.set()
            self.ended.set()
            self.connection.dispose()
