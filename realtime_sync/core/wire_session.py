"""The verbs of the wire, which a session of any protocol has.

A session is a facade: it checks what it is given, and calls its engine. Rules: each method works from any thread;
methods that send return a ``CommandHandle``; a forked child gets ``ForkedSessionError``. ``updates``,
``receive_update``, ``wait_for`` and ``run`` read one and the same stream, ``Engine.updates``; ``subscribe`` makes
another one.

State and locks: none but the list of callbacks, which only grows and is copied before it is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional, TypeVar, Union, overload

from realtime_sync.advice import warn_caller
from realtime_sync.boundary import public_call
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.engine import Engine
from realtime_sync.core.streams import Unclassed, Wanted, condition
from realtime_sync.core.update_streams import SessionUpdates, UpdateStream
from realtime_sync.errors import CloseInfo, InvalidInputError, UsageError
from realtime_sync.protocol import codec
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import discreet, reportable

if TYPE_CHECKING:
    from realtime_sync.recording import RecordingWriter

S = TypeVar("S", bound="WireSession")
U = TypeVar("U", bound=ConversationUpdate)

Message = Union[Mapping[str, Any], str, bytes, Command]
"""A message to send as it is: a dict, JSON text, UTF-8 bytes of it, or a command object."""


@reportable
class WireSession:
    """A live session: updates come in, messages go out, and it ends.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    Methods that send return a ``CommandHandle``: ``handle.wait()`` returns the acknowledging update, or raises the
    error of that command; it may be ignored. All raise ``SessionNotOpenError`` after ``close()``,
    ``ConnectionClosedError`` after the connection's end, ``InvalidInputError`` for a message that cannot be sent, and
    ``ForkedSessionError`` in a forked child. ``event_id`` names the command on the wire; None makes one up.
    """

    _says_by = "ask(...) or add_item(...)"  # what says something to the model

    def __init__(self, engine: Engine) -> None:
        self._engine = engine  # other modules of this package use it, too
        self._callbacks: list[tuple[Callable[[ConversationUpdate], bool], Callable[[Any], object]]] = []

    # About the session ----------------------------------------------------------------------------------------

    @property
    def id(self) -> Optional[str]:
        """The service's name for the session; None until the service has sent it."""
        return self._engine.state.session_id

    @property
    def closed(self) -> bool:
        """True once the session has ended, in whatever way."""
        return self._engine.end is not None

    @property
    def close_info(self) -> Optional[CloseInfo]:
        """How the session ended: code, reason, and the side that began; None while it lives."""
        return self._engine.end.reason.close_info if self._engine.end else None

    @property
    def endpoint(self) -> str:
        """The URL of the connection in use, or of the last one, without secrets."""
        return self._engine.connection.transport.url

    @property
    def recording(self) -> Optional[RecordingWriter]:
        """The writer of the session's recording; None if the session was started without ``recording=``."""
        return self._engine.recording

    # Receiving ------------------------------------------------------------------------------------------------

    def updates(self, *, raise_errors: bool = False) -> Iterator[ConversationUpdate]:
        """Iterate over the server's messages, from the first one on; it does not end with the answer, so ``break``.

        ``break`` and iterate again later: nothing closes, nothing is lost. Until you first ask for updates, the newest
        are kept within ``QueueLimits.unread``; from then on all are, and beyond ``QueueLimits.queued`` the session ends
        with ``ConsumerTooSlowError``. Each update goes to one reader: here, by ``receive_update``, ``wait_for`` or
        ``run``. A second reader, and one that needs everything, uses ``subscribe()``.

        ``ask`` and ``respond`` take the updates that belong to them: those that acknowledge or refuse their commands,
        their response, and the items of both.

        Args:
            raise_errors: True raises each ``error`` event as a ``ServerError``; call ``next`` again to go on. False: an
                ``error`` event is an ``ErrorUpdate`` like any other update.

        Returns:
            An iterator, which threads may share. It stops after an orderly close.

        Raises:
            ConnectionClosedError: On iterating, after any other end, or after a close in the middle of a response.
        """
        self._engine.check_process()
        self._engine.updates.keep_all()
        return SessionUpdates(self._engine.updates, self._engine.named, raise_errors=raise_errors)

    @public_call
    def receive_update(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the next update of ``updates()``.

        Args:
            timeout: Seconds to wait. None waits as long as the session lives, 0 does not wait.

        Returns:
            The update.

        Raises:
            WaitTimeoutError: No update came in time; the session goes on.
            ConnectionClosedError: The session has ended, and its last update was taken.
        """
        return self._engine.updates.receive(timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(self, wanted: Unclassed, timeout: Optional[float] = None) -> ConversationUpdate: ...

    @public_call
    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the first update that is wanted out of ``updates()``, and leave the others there.

        Updates that have come and were not taken yet are looked at first.

        Args:
            wanted: A ``ConversationUpdateKind``, a wire type, an update class, or a function that returns True for the
                wanted update.
            timeout: Seconds to wait. None waits as long as the session lives, 0 looks only at what has come.

        Returns:
            The update.

        Raises:
            WaitTimeoutError: It did not come in time; the session goes on.
            ConnectionClosedError: The session has ended, so it can no longer come.
        """
        return self._engine.updates.wait_for(wanted, timeout)

    def subscribe(self) -> UpdateStream:
        """A stream of all updates from now on, independent of ``updates()`` and of other streams.

        Returns:
            The stream. Close it when it is no longer read: beyond ``QueueLimits.queued`` it ends the session.
        """
        self._engine.check_process()
        return UpdateStream(self._engine.open_queue(), self._engine.named)

    @overload
    def on(self, wanted: type[U], callback: Callable[[U], object]) -> None: ...

    @overload
    def on(self, wanted: Unclassed, callback: Callable[[Any], object]) -> None: ...

    @public_call
    def on(self, wanted: Wanted, callback: Callable[[Any], object]) -> None:
        """Have ``run()`` call ``callback(update)`` for each update that is wanted.

        Nothing is called while ``run()`` does not run: start a thread for it if this one has other things to do.

        Args:
            wanted: As in ``wait_for``.
            callback: Called with the update, on the thread of ``run()``.

        Raises:
            InvalidInputError: ``callback`` cannot be called, or ``wanted`` is no condition.
        """
        if not callable(callback):
            raise InvalidInputError(f"callback must be a function that takes an update, not {callback!r:.60}")
        self._callbacks.append((condition(wanted), callback))

    def run(self) -> None:
        """Iterate over ``updates()`` and call the callbacks, on this thread, until the session ends.

        A callback may use the session, and may close it: updates that had come by then are still called back. ``run``
        takes the updates of ``updates()``, which are all updates while it runs, including those of an ``ask``. A reader
        on another thread uses ``subscribe()``.

        Raises:
            ConnectionClosedError: The session ended otherwise than by an orderly close.
            Exception: A callback raised it; this ends ``run()`` and nothing else.
        """
        with self._engine.observing():
            self._call_back()

    def _call_back(self) -> None:
        for update in self.updates():
            for wanted, callback in tuple(self._callbacks):
                if wanted(update):
                    callback(update)

    # Sending --------------------------------------------------------------------------------------------------

    @public_call
    @discreet
    def send_message(self, message: Message) -> CommandHandle:
        """Send any message as it is. In a live session, audio that is sent so is not kept at real time.

        Args:
            message: A dict, JSON text, UTF-8 bytes of it, or a command object. A dict and a text are not changed, so
                give them an ``event_id`` if an ``error`` is to name them.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: It cannot be sent as a message.
        """
        handle = self._engine.send(message) if isinstance(message, Command) else self._send_raw(message)
        self._note_message(handle, message)
        return handle

    @discreet
    def _send_raw(self, message: object) -> CommandHandle:
        text, content = _as_text(message)
        if not text.lstrip().startswith("{"):
            warn_caller(
                "send_message() sends a message of the protocol, which is a JSON object with a type, and this is none. "
                f"To say something to the model, use {self._says_by}"
            )
        given_type, given_id = content.get("type"), content.get("event_id")
        wire_type = given_type if isinstance(given_type, str) else "the message"
        event_id = given_id if isinstance(given_id, str) else None
        return self._engine.send_text(text, content, wire_type, event_id, command=self._command_in(wire_type, text))

    def _note_message(self, handle: CommandHandle, message: Message) -> None:
        """A message was sent as it is: it may be audio, which is counted otherwise."""

    def _command_in(self, wire_type: str, text: str) -> Optional[Command]:
        """A raw message as a command, if the session must remember what it asks for; else None."""
        return None

    # Ending ---------------------------------------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session in an orderly way. Idempotent, from any thread, at most ``Timeouts.close`` + 0.5 seconds.

        A live session also waits for the service's last word, ``Timeouts.live_close`` seconds at most.

        Iterators end; threads that wait are released. In a signal handler, a finaliser or a callback that was called in
        the middle of another call, it returns after half a second at most, and the closing goes on. In a forked child
        it only lets go of the parent's connection.

        Args:
            code: The close code: 1000, or 3000 to 4999.
            reason: At most 123 bytes of UTF-8.

        Raises:
            InvalidInputError: The code or the reason cannot be sent.
        """
        if isinstance(code, bool) or not isinstance(code, int) or not (code == 1000 or 3000 <= code <= 4999):
            raise InvalidInputError(f"the code of a close must be 1000, or 3000 to 4999, not {code!r}")
        if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > 123:
            raise InvalidInputError("the reason of a close must be a text of at most 123 bytes in UTF-8")
        self._engine.close(code, reason)

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a session is a live connection, so it can be neither copied nor sent to another process: start one there"
        )

    def __repr__(self) -> str:
        state = "reconnecting" if self._engine.reconnecting else "open"
        if self._engine.end is not None:
            state = str(self._engine.end.reason.close_info)
        about = " ".join(filter(None, (self.id or "(not greeted yet)", self._about(), state)))
        return f"<{type(self).__name__} {about}; updates: {self._engine.updates.state}>"

    def _about(self) -> str:
        """A fact for the repr, such as the model."""
        return ""


def _as_text(message: object) -> tuple[str, Mapping[str, Any]]:
    """A raw message as text, and its content as far as it can be read."""
    if isinstance(message, Mapping):
        return codec.to_text(dict(message)), message
    if isinstance(message, (bytes, bytearray)):
        try:
            message = bytes(message).decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"a message's bytes must be UTF-8: {error}") from error
    if not isinstance(message, str):
        raise InvalidInputError(
            f"message must be a dict, JSON text or bytes, or a command, not {type(message).__name__}"
        )
    message = codec.sendable(message)
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        content = None
    return message, content if isinstance(content, dict) else {}
