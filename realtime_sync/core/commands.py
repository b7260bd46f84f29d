"""Which update acknowledges which command, and the handles on which callers wait for it.

The service does not repeat a command's ``event_id`` in its acknowledgement, only in an ``error``. So an
acknowledgement belongs to the oldest command in flight that it can belong to: by item or response id where there is
one, else by the order of sending, in which the service works through them.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Mapping, Optional

import attrs

from realtime_sync.core.recovery import ErrorOf
from realtime_sync.core.vocabulary import Acknowledgement, Match, Vocabulary
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, ServerError, UsageError, WaitTimeoutError
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate

# Commands in flight that are remembered; a server that never acknowledges must not fill the memory.
_MOST_PENDING = 1024


class CommandHandle:
    """A command that was sent. ``wait()`` for its acknowledgement, or ignore it.

    ``event_id`` is its name on the wire (None for a raw message that had none); ``type`` its wire type.
    """

    def __init__(self, type: str, event_id: Optional[str], timeout: float, check: Callable[[], None]) -> None:
        self.type = type
        self.event_id = event_id
        self._timeout = timeout
        self._check = check
        self._settled = threading.Event()  # set last, after _update or _error
        self._update: Optional[ConversationUpdate] = None
        self._error: Optional[Exception] = None
        self.sent_again: Optional[CommandHandle] = None
        """The handle of the same command on a new connection, once the session has sent it again there."""
        self.overheard: Optional[ErrorUpdate] = None
        """What the service said last meanwhile, about no command in particular. Set by the session."""
        self.overdue = False
        """True once somebody has waited for it in vain, as long as any should take."""

    @property
    def done(self) -> bool:
        """True once it was acknowledged, was refused, or can no longer be either."""
        return self._settled.is_set()

    @property
    def update(self) -> Optional[ConversationUpdate]:
        """The acknowledging update; None while there is none."""
        return self._update

    @property
    def error(self) -> Optional[Exception]:
        """Why it will not be acknowledged; None while it still may be, or was."""
        return self._error

    def wait(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """The update that acknowledges this command. ``timeout`` in seconds; None: ``Timeouts.acknowledge``.

        Raises ``ServerError`` where the service refused this command, ``ConnectionClosedError`` where the session
        ended first, ``WaitTimeoutError`` when time is up (it may still come: wait again).
        """
        self._check()
        seconds = self._timeout if timeout is None else timeout
        if not Deadline(seconds).wait(self._settled.wait):
            self.overdue |= seconds >= self._timeout
            raise time_out(f"{self.type} was not acknowledged within {seconds} s; the session goes on", self.overheard)
        if self._error is not None:
            raise self._error.with_traceback(None)
        assert self._update is not None
        return self._update

    def settle(self, update: Optional[ConversationUpdate], error: Optional[Exception] = None) -> None:
        """Release who waits; the first call counts. Called by the session.

        ``update``: what acknowledges the command, or the ``error`` that refuses it.
        """
        if isinstance(update, ErrorUpdate):
            error, update = server_error(update), None
        if not self._settled.is_set():
            self._update = update
            self._error = error
            self._settled.set()

    def __repr__(self) -> str:
        state = "in flight"
        if self.done:
            state = (
                f"refused: {self._error}" if self._error else f"acknowledged by {getattr(self._update, 'type', '?')}"
            )
        return f"<{' '.join(filter(None, (self.type, self.event_id, state)))}>"


# Nothing on the wire acknowledges such a command.
_NEVER = Acknowledgement((), lambda command, update: True)


@attrs.frozen
class _Pending:
    handle: CommandHandle
    message: Mapping[str, Any]
    kinds: tuple[str, ...]
    match: Match


def _matched(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a message is needed to recognise its acknowledgement: not its audio, for one."""
    matched = {key: message.get(key) for key in ("item_id", "response_id")}
    for key, inner in (("item", "id"), ("response", "metadata")):
        whole = message.get(key)
        if isinstance(whole, Mapping):
            matched[key] = {inner: whole.get(inner)}
    return matched


class PendingCommands:
    """The commands in flight of one connection."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._rules = vocabulary.acknowledgements
        self._acknowledging = frozenset(kind for rule in self._rules.values() for kind in rule.kinds)
        self._error_class = vocabulary.error
        self._lock = threading.Lock()  # guards _pending and _ended
        self._pending: dict[int, _Pending] = {}  # by the handle's id(); a dict keeps the order of sending
        self._ended: Optional[ErrorOf] = None

    def expect(self, handle: CommandHandle, message: Mapping[str, Any]) -> None:
        """Remember a command that is about to be sent."""
        rule = self._rules.get(handle.type, _NEVER)
        evicted = None
        with self._lock:
            if self._ended is None:
                self._pending[id(handle)] = _Pending(handle, _matched(message), rule.kinds, rule.match)
                if len(self._pending) > _MOST_PENDING:
                    useless = (key for key, entry in self._pending.items() if not entry.kinds)
                    evicted = self._pending.pop(next(useless, next(iter(self._pending))))
        if self._ended is not None:
            handle.settle(None, self._ended(handle.type, _matched(message)))
        if evicted is not None:
            evicted.handle.settle(None, UsageError(f"more than {_MOST_PENDING} commands are unacknowledged"))

    def give_up(self, event_id: str) -> None:
        """Nobody waits for this command's acknowledgement any more: what comes is for later ones."""
        with self._lock:
            for key in [key for key, entry in self._pending.items() if entry.handle.event_id == event_id]:
                del self._pending[key]

    def is_in_flight(self, event_id: str) -> bool:
        """True for a command whose turn on the wire has come, and that is neither acknowledged nor refused."""
        with self._lock:
            return any(entry.handle.event_id == event_id for entry in self._pending.values())

    def take(self, update: ConversationUpdate) -> Optional[CommandHandle]:
        """The command that this update acknowledges or refuses, if any; it is for the caller to settle it."""
        if not self._pending:  # a command is in there before it is sent, so before it can be answered
            return None
        if isinstance(update, self._error_class):
            # An error that names nobody is about a message that had no name, and the service works in order.
            event_id = update.failed_event_id
            handle = self._take_first(lambda entry: entry.handle.event_id == event_id, passed=False)
            if handle is None:
                self._tell_all(update)
            return handle
        if update.kind in self._acknowledging:
            return self._take_first(lambda entry: update.kind in entry.kinds and entry.match(entry.message, update))
        return None

    def _tell_all(self, error: ErrorUpdate) -> None:
        with self._lock:
            pending = list(self._pending.values())
        for entry in pending:
            entry.handle.overheard = error

    def end(self, error: ConnectionClosedError, error_of: Optional[ErrorOf] = None) -> None:
        """Nothing will be acknowledged any more: because of ``error``, or of what ``error_of`` says of a command."""
        ended: ErrorOf = error_of or (lambda wire_type, message: error)
        with self._lock:
            self._ended = ended
            pending = list(self._pending.values())
            self._pending.clear()
        for entry in pending:
            entry.handle.settle(None, ended(entry.handle.type, entry.message))

    def _take_first(self, wanted: Callable[[_Pending], bool], passed: bool = True) -> Optional[CommandHandle]:
        """``passed``: the service has worked on everything before it, so what nothing acknowledges can be forgotten."""
        with self._lock:
            matching = list(filter(wanted, self._pending.values()))
            if not matching:
                return None
            # What was waited for in vain may have been refused without a name: it must not take what is another's.
            found = next((entry for entry in matching if not entry.handle.overdue), matching[0])
            for key, entry in list(self._pending.items()):
                if entry is found:
                    del self._pending[key]
                    break
                if passed and not entry.kinds and entry.handle.event_id is None:
                    del self._pending[key]
        return found.handle


def time_out(message: str, overheard: Optional[ErrorUpdate]) -> WaitTimeoutError:
    """The error of who waited in vain, with what the service said meanwhile: often that is why nothing came."""
    if overheard is None:
        return WaitTimeoutError(message)
    said = server_error(overheard)
    error = WaitTimeoutError(f"{message}. Meanwhile, about no command in particular: {said}")
    error.__cause__ = said
    return error


def server_error(update: ErrorUpdate) -> ServerError:
    """An ``error`` event as an exception."""
    details = update.error
    where = f" (param {details.param})" if details.param else ""
    message = f"the service refused: {details.message or details.code or details.type or 'no reason given'}{where}"
    return ServerError(
        message, type=details.type, code=details.code, param=details.param, event_id=details.event_id, update=update
    )
