"""The commands in flight of a connection, and the handles on which callers wait for their acknowledgements.

The service does not repeat a command's ``event_id`` in its acknowledgement, only in an ``error``. Rules:

1. An acknowledgement belongs to the oldest command in flight that it can belong to: by item or response id if the
   command has one, else by the order of sending, because the service answers in order. Responses have a rule of their
   own (``matching.py``).
2. A command whose wait has timed out comes last among those: it may have been refused by an error that names no
   command.
3. An error belongs to the command that it names. One that names none belongs to a raw message that had no
   ``event_id``, if there is one; all other commands remember it, and their time-outs report it.
4. A command that nothing acknowledges and no error can name (it has no ``event_id``) is dropped once a later one is
   acknowledged. All others stay until they are answered, within a bound.

States of a handle: in flight; then done, with an update or an error. The first of the two counts. ``sent_again`` names
the handle of the same command on a new connection; it does not change the state of this one.

Order: a command is expected before its first byte is written, because its acknowledgement may come at once. ``match``
finds the command of an update; its handle is settled later, when everything that its waiter may look at is up to date
(``realtime.py``).

Locks: ``PendingCommands._lock`` guards ``_pending`` and ``_ended``. It is held for dictionary work only, nothing is
taken under it, and no handle is settled under it. A ``CommandHandle`` has no lock: ``_settled`` is set last, behind
the field that a waiter reads.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any, Callable, Mapping, Optional

import attrs

from realtime_sync.core.recovery import ErrorOf
from realtime_sync.core.vocabulary import Acknowledgement, Match, Vocabulary
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, ServerError, UsageError, WaitTimeoutError, told_again
from realtime_sync.interrupts import Flag
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.secret import reportable
from realtime_sync.values import Value

# Commands in flight that are remembered; a server that never acknowledges must not fill the memory.
_MOST_PENDING = 1024


def new_event_id() -> str:
    """A name for a command, which no other client of the same call gives."""
    return f"event_{secrets.token_hex(10)}"


@reportable
class CommandHandle:
    """A command that was sent. Call ``wait()`` for its acknowledgement, or ignore it.

    Attributes:
        event_id: The command's name on the wire; None for a raw message that has none.
        type: The command's wire type.
        update: The acknowledging update; None while there is none.
        error: Why the command will not be acknowledged; None while it still may be, or if it was.
        sent_again: The handle of the same command on a new connection, for settings that of the settings as a whole;
            None if it was not sent again.
    """

    def __init__(self, type: str, event_id: Optional[str], timeout: float, check: Callable[[], None]) -> None:
        self.type = type
        self.event_id = event_id
        self._timeout = timeout
        self._check = check
        self._settled = Flag()  # set last, after update or error
        self.update: Optional[ConversationUpdate] = None
        self.error: Optional[Exception] = None
        self.sent_again: Optional[CommandHandle] = None
        # Set by the session: the newest error that names no command, for the message of a time-out.
        self._overheard: Optional[ErrorUpdate] = None
        self._overdue = False  # a wait as long as Timeouts.acknowledge has timed out

    @property
    def done(self) -> bool:
        """True once the command was acknowledged or refused, or can no longer be either."""
        return self._settled.is_set()

    def wait(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """Wait until the service acknowledges the command.

        Args:
            timeout: Seconds to wait. None: ``Timeouts.acknowledge``. 0 does not wait.

        Returns:
            The update that acknowledges this command.

        Raises:
            ServerError: The service refused this command.
            ConnectionClosedError: The session ended first. ``ConnectionReplacedError``: the connection did, and the
                session goes on; ``sent_again`` says whether the command was sent again.
            WaitTimeoutError: Time is up. The acknowledgement may still come: wait again.
        """
        self._check()
        seconds = self._timeout if timeout is None else timeout
        if not self._settled_within(Deadline(seconds)):
            self._overdue |= seconds >= self._timeout
            raise time_out(f"{self.type} was not acknowledged within {seconds} s; the session goes on", self._overheard)
        if self.error is not None:
            raise told_again(self.error)
        assert self.update is not None
        return self.update

    def _settled_within(self, deadline: Deadline) -> bool:
        """Wait until it is acknowledged, refused, or can be neither; False if time is up before."""
        return deadline.wait(self._settled.wait)

    def _settle(self, update: Optional[ConversationUpdate], error: Optional[Exception] = None) -> None:
        """Release the threads that wait; the first call counts. Called by the session.

        ``update``: the update that acknowledges the command, or the ``error`` event that refuses it.
        """
        if isinstance(update, ErrorUpdate):
            error, update = server_error(update), None
        if not self._settled.is_set():
            self.update = update
            self.error = error
            self._settled.set()

    def __repr__(self) -> str:
        state = "in flight"
        if self.done:
            state = f"refused: {self.error}" if self.error else f"acknowledged by {getattr(self.update, 'type', '?')}"
        return f"<{' '.join(filter(None, (self.type, self.event_id, state)))}>"


# Nothing on the wire acknowledges such a command.
_NEVER = Acknowledgement((), lambda command, update: True)


@attrs.frozen(repr=False, eq=False)
class _Pending(Value):
    handle: CommandHandle
    message: Mapping[str, Any]
    kinds: tuple[str, ...]
    match: Match


def _matched(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a message by which its acknowledgement is recognised; without its audio, for example."""
    matched = {key: message.get(key) for key in ("item_id", "response_id", "event_id")}
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
        if "type" in message:  # it was sent as JSON; of the others only that part has come here
            message = _matched(message)
        evicted = None
        with self._lock:
            if self._ended is None:
                self._pending[id(handle)] = _Pending(handle, message, rule.kinds, rule.match)
                if len(self._pending) > _MOST_PENDING:
                    useless = (key for key, entry in self._pending.items() if not entry.kinds)
                    evicted = self._pending.pop(next(useless, next(iter(self._pending))))
        if self._ended is not None:
            handle._settle(None, self._ended(handle))
        if evicted is not None:
            late = f"more than {_MOST_PENDING} commands are in flight, so this one is not awaited any more"
            evicted.handle._settle(None, UsageError(late))

    def forget(self, handle: CommandHandle) -> None:
        """Expect no acknowledgement of this command: it was not sent after all, or the caller settles it."""
        with self._lock:
            self._pending.pop(id(handle), None)

    def give_up(self, event_id: str) -> None:
        """Expect no acknowledgement of this command any more: the next one that comes is a later command's."""
        with self._lock:
            for key in [*(key for key, entry in self._pending.items() if entry.handle.event_id == event_id)]:
                del self._pending[key]

    def awaits(self, handle: CommandHandle) -> bool:
        """True if this command is in flight."""
        return id(handle) in self._pending

    def in_flight(self, kind: str) -> list[tuple[CommandHandle, Mapping[str, Any]]]:
        """The commands that an update of this kind acknowledges, each with its message, in the order to expect it."""
        with self._lock:
            found = list(filter(lambda entry: kind in entry.kinds, self._pending.values()))
        return [(entry.handle, entry.message) for entry in sorted(found, key=lambda entry: entry.handle._overdue)]

    def is_in_flight(self, event_id: str) -> bool:
        """True if the command has had its turn on the wire, and is neither acknowledged nor refused."""
        with self._lock:
            return any(entry.handle.event_id == event_id for entry in self._pending.values())

    def match(self, update: ConversationUpdate) -> Optional[CommandHandle]:
        """The command that this update acknowledges or refuses, if any; it is for the caller to settle it."""
        if not self._pending:  # a command is in there before it is sent, so before it can be answered
            return None
        if isinstance(update, self._error_class):
            # An error that names no command is about a message that had no name (rule 3).
            event_id = update.failed_event_id
            handle = self._remove_first(lambda entry: entry.handle.event_id == event_id, passed=False)
            if handle is None:
                self._overhear_all(update)
            return handle
        if update.kind in self._acknowledging:
            return self._remove_first(lambda entry: update.kind in entry.kinds and entry.match(entry.message, update))
        return None

    def _overhear_all(self, error: ErrorUpdate) -> None:
        with self._lock:
            pending = list(self._pending.values())
        for entry in pending:
            entry.handle._overheard = error

    def end(self, error: ConnectionClosedError, error_of: Optional[ErrorOf] = None) -> None:
        """Fail all commands: with ``error``, or with the error that ``error_of`` gives for each command."""
        ended: ErrorOf = error_of or (lambda handle: error)
        with self._lock:
            self._ended = ended
            pending = list(self._pending.values())
            self._pending.clear()
        for entry in pending:
            entry.handle._settle(None, ended(entry.handle))

    def _remove_first(self, wanted: Callable[[_Pending], bool], passed: bool = True) -> Optional[CommandHandle]:
        """Remove the first command that is wanted.

        ``passed``: the service answers in order, so drop earlier commands that have no acknowledgement of their own.
        """
        with self._lock:
            matching = list(filter(wanted, self._pending.values()))
            if not matching:
                return None
            # Prefer commands whose wait has not timed out: a timed-out one may have been refused by an error without
            # event_id, and must not consume this acknowledgement.
            found = next((entry for entry in matching if not entry.handle._overdue), matching[0])
            self._remove(found, passed)
        return found.handle

    def _remove(self, found: _Pending, passed: bool) -> None:
        for key, entry in list(self._pending.items()):
            if entry is found:
                del self._pending[key]
                break
            if passed and not entry.kinds and entry.handle.event_id is None:
                del self._pending[key]


def time_out(message: str, overheard: Optional[ErrorUpdate]) -> WaitTimeoutError:
    """A time-out's error, with the last error that named no command: often that is the reason why nothing came."""
    if overheard is None:
        return WaitTimeoutError(message)
    reported = server_error(overheard)
    error = WaitTimeoutError(f"{message}. Meanwhile the service reported, without naming a command: {reported}")
    error.__cause__ = reported
    return error


def server_error(update: ErrorUpdate) -> ServerError:
    """An ``error`` event as an exception."""
    details = update.error
    where = f" (param {details.param})" if details.param else ""
    message = f"the service refused: {details.message or details.code or details.type or 'no reason given'}{where}"
    return ServerError(
        message, type=details.type, code=details.code, param=details.param, event_id=details.event_id, update=update
    )
