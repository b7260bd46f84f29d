"""The verbs of the wire, which a session of any protocol has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Callable, NoReturn, Optional, TypeVar, Union, overload

from realtime_sync.core.commands import CommandHandle, server_error
from realtime_sync.core.engine import Engine
from realtime_sync.core.streams import Unclassed, UpdateStream, Wanted, condition
from realtime_sync.errors import CloseInfo, InvalidInputError, UsageError
from realtime_sync.protocol import codec
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.recording import RecordingWriter

S = TypeVar("S", bound="WireSession")
U = TypeVar("U", bound=ConversationUpdate)

Message = Union[Mapping[str, Any], str, bytes, Command]


class WireSession:
    """A live session: updates come in, messages go out, and it ends.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    Methods that send return a ``CommandHandle``: ``handle.wait()`` gives the acknowledging update or raises what went
    wrong with that command; ignoring it is fine. All raise ``SessionNotOpenError`` after ``close()``,
    ``ConnectionClosedError`` after the connection's end, ``InvalidInputError`` for what cannot be sent, and
    ``ForkedSessionError`` in a forked child. ``event_id`` names the command on the wire; None makes one up.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine  # other modules of this package use it, too
        self._callbacks: list[tuple[Callable[[ConversationUpdate], bool], Callable[[Any], object]]] = []

    # About the session ----------------------------------------------------------------------------------------

    @property
    def id(self) -> Optional[str]:
        """The service's name for the session; None until it has told it."""
        return self._engine.state.session_id

    @property
    def closed(self) -> bool:
        """True once the session has ended, in whatever way."""
        return self._engine.end is not None

    @property
    def close_info(self) -> Optional[CloseInfo]:
        """How the session ended: code, reason, and who began; None while it lives."""
        return self._engine.end.reason.close_info if self._engine.end else None

    @property
    def recording(self) -> Optional[RecordingWriter]:
        """What writes the traffic down; None if the session was started without ``recording=``."""
        return self._engine.recording

    # Receiving ------------------------------------------------------------------------------------------------

    def updates(self, *, raise_errors: bool = False) -> Iterator[ConversationUpdate]:
        """Iterate over what the server says, from the first message on; it does not end with the answer, so ``break``.

        Without what belongs to an ``ask`` or ``respond``, which take it themselves: what acknowledges or refuses their
        commands, their response, and the items of both. ``break`` and iterate again later: nothing closes, nothing is
        lost. Until you first ask for updates, the newest are kept within ``QueueLimits.unread``; from then on all are,
        and beyond ``QueueLimits.queued`` the session ends with ``ConsumerTooSlowError``. Each update goes to the first
        who takes it: here, by ``receive_update``, ``wait_for`` or ``run``; for a second reader, and for everything,
        there is ``subscribe()``. Iteration ends after an orderly close and raises ``ConnectionClosedError`` after any
        other end, or after a close in the middle of a response. ``raise_errors=True`` raises ``error`` events as
        ``ServerError`` instead; take the next one to go on.
        """
        self._engine.check_process()
        self._engine.updates.keep_all()
        # No generator: threads may share what is returned, and it can be gone on with after an error.
        return map(_raised if raise_errors else _as_it_is, self._engine.updates)

    def receive_update(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """The next update. ``timeout`` in seconds; None waits as long as the session lives, 0 does not wait.

        Raises ``WaitTimeoutError`` when time is up, ``ConnectionClosedError`` after the last update. It takes from what
        ``updates()`` gives.
        """
        return self._engine.updates.receive(timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(self, wanted: Unclassed, timeout: Optional[float] = None) -> ConversationUpdate: ...

    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the first update that is wanted, and leave the others to ``updates()``, of which this takes.

        Those that have come and were not taken yet are looked at first. ``wanted``: a ``ConversationUpdateKind``, a
        wire type, an update class, or a function of the update. ``timeout`` as in ``receive_update``.
        Raises ``WaitTimeoutError``, or ``ConnectionClosedError`` where it can no longer come.
        """
        return self._engine.updates.wait_for(wanted, timeout)

    def subscribe(self) -> UpdateStream:
        """A stream of its own, from now on, beside ``updates()`` and other streams; close it when done with it."""
        self._engine.check_process()
        return self._engine.open_stream()

    @overload
    def on(self, wanted: type[U], callback: Callable[[U], object]) -> None: ...

    @overload
    def on(self, wanted: Unclassed, callback: Callable[[Any], object]) -> None: ...

    def on(self, wanted: Wanted, callback: Callable[[Any], object]) -> None:
        """Have ``run()`` call ``callback(update)`` for each update that is wanted (see ``wait_for``).

        Nothing is called while ``run()`` is not: have a thread run it where this one has other things to do.
        """
        if not callable(callback):
            raise InvalidInputError(f"a callback is a function of an update, not {callback!r:.60}")
        self._callbacks.append((condition(wanted), callback))

    def run(self) -> None:
        """Iterate over ``updates()`` and call the callbacks, on this thread, until the session ends.

        What a callback raises ends ``run()`` and nothing else. A callback may use the session, and may close it: what
        had come by then is still called back. It takes from what ``updates()`` gives, which is everything while this
        runs, what belongs to an ``ask``, too; to read on another thread meanwhile, take ``subscribe()``.
        """
        with self._engine.observing():
            self._call_back()

    def _call_back(self) -> None:
        for update in self.updates():
            for wanted, callback in tuple(self._callbacks):
                if wanted(update):
                    callback(update)

    # Sending --------------------------------------------------------------------------------------------------

    def send_message(self, message: Message) -> CommandHandle:
        """Send any message as it is: a dict, JSON text, UTF-8 bytes of it, or a command object.

        It is not changed, so give it an ``event_id`` if an ``error`` is to name it.
        """
        if isinstance(message, Command):
            return self._engine.send(message)
        text, content = _as_text(message)
        told_type, told_id = content.get("type"), content.get("event_id")
        wire_type = told_type if isinstance(told_type, str) else "the message"
        event_id = told_id if isinstance(told_id, str) else None
        return self._engine.send_text(text, content, wire_type, event_id, command=self._command_in(wire_type, text))

    def _command_in(self, wire_type: str, text: str) -> Optional[Command]:
        """What a raw message asks for, if the session must remember it."""
        return None

    # Ending ---------------------------------------------------------------------------------------------------

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session in an orderly way. Idempotent, from any thread, at most ``Timeouts.close`` + 0.5 seconds.

        Iterators end; whoever waits is released. In a forked child it only lets go of the parent's connection.

        Args:
            code: 1000, or 3000 to 4999.
            reason: at most 123 bytes of UTF-8.
        """
        if isinstance(code, bool) or not isinstance(code, int) or not (code == 1000 or 3000 <= code <= 4999):
            raise InvalidInputError(f"a close code is 1000 or 3000 to 4999, not {code!r}")
        if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > 123:
            raise InvalidInputError("the reason of a close is a text of at most 123 bytes")
        self._engine.close(code, reason)

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a session is a live connection, so it is neither copied nor sent to another process: start one there"
        )

    def __repr__(self) -> str:
        state = str(self._engine.end.reason.close_info) if self._engine.end is not None else "open"
        about = " ".join(filter(None, (self.id or "(not greeted yet)", self._about(), state)))
        return f"<{type(self).__name__} {about}; {self._engine.updates!r}>"

    def _about(self) -> str:
        """For the repr: which model it is, say."""
        return ""


def _as_it_is(update: ConversationUpdate) -> ConversationUpdate:
    return update


def _raised(update: ConversationUpdate) -> ConversationUpdate:
    # A cancel that comes when the answer has just finished by itself is refused; nothing went wrong.
    if isinstance(update, ErrorUpdate) and update.code != "response_cancel_not_active":
        raise server_error(update)
    return update


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
        raise InvalidInputError(f"a message is a dict, JSON text or bytes, or a command, not {type(message).__name__}")
    try:
        message.encode()
        content = json.loads(message)
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"this text cannot be sent as UTF-8: {error}") from error
    except (ValueError, RecursionError):
        content = None
    return message, content if isinstance(content, dict) else {}
