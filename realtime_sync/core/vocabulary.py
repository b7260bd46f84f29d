"""What the core must know of the protocol that it carries.

The engine, its connections and its commands act on no message of one protocol by name. They are given a ``Vocabulary``:
the decoder, the encoder, the acknowledgements of commands, and the class of updates that report an error. A protocol
keeps its own knowledge of a session (settings, a conversation) behind ``SessionState``, and of one connection (answers
in progress) behind ``Exchange``. The reader thread calls them, in the order that ``realtime.py`` explains for its
protocol. A second protocol is a second module like ``realtime.py``, not a second engine.

Locks: none here. The engine calls ``apply``, ``apply_in_silence``, ``Exchange.matched`` and ``Exchange.route`` with its
lock for delivery held; ``Exchange.sending`` in the turn on the wire; ``prepare``, ``asked`` and ``not_asked`` on the
thread that sends, with no lock held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

import attrs

from realtime_sync.protocol.dialects import Dialect, ProtocolName
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.core.commands import CommandHandle, PendingCommands
    from realtime_sync.core.connection import SessionConnection
    from realtime_sync.core.streams import End
    from realtime_sync.errors import ConnectionClosedError

Match = Callable[[Mapping[str, Any], ConversationUpdate], bool]


def _unchanged(text: str, dialect: Dialect) -> str:
    return text


@attrs.frozen(repr=False, eq=False)
class Acknowledgement(Value):
    """How a command is acknowledged.

    Attributes:
        kinds: The kinds of the updates that may acknowledge it.
        match: ``match(fields, update)`` is True if the update acknowledges the command with these fields.
    """

    kinds: tuple[str, ...]
    match: Match


@attrs.frozen(repr=False, eq=False)
class Vocabulary(Value):
    """A protocol's messages, as far as the core acts on them.

    Attributes:
        decode: Makes an update of a frame (str for text, bytes for binary); never raises.
        encode: Makes a frame's text of a command.
        acknowledgements: How a command is acknowledged, by its wire type.
        matched: The fields of a command that ``Acknowledgement.match`` is given.
        error: The class of updates that report an error.
        expired: The error codes with which the service ends a session at its time limit.
        dialect: How the messages are spelled; it is written into a recording.
        protocol: Whose messages they are; it is written into a recording.
        retold: Makes of a command's frame, which was encoded in another dialect, one of this dialect.
    """

    decode: Callable[[Union[str, bytes]], ConversationUpdate]
    encode: Callable[[Command], str]
    acknowledgements: Mapping[str, Acknowledgement]
    matched: Callable[[Command], Mapping[str, Any]]
    error: type[ErrorUpdate] = ErrorUpdate
    expired: frozenset[str] = frozenset()
    dialect: Dialect = Dialect.GA
    protocol: ProtocolName = "realtime"
    retold: Callable[[str, Dialect], str] = _unchanged


class Exchange(Protocol):
    """What a protocol keeps of one connection: the answers in progress on it."""

    def goes_on(self, update: ConversationUpdate) -> bool:
        """True for a piece of an answer, of which nothing is missing and which is no command's business.

        There are many of them, so ``complete`` and ``matched`` are left out: 6 % of a piece of text.
        """

    def complete(self, update: ConversationUpdate) -> Sequence[ConversationUpdate]:
        """The update with what a server left out, the same object if nothing is missing; before it, what it ends."""

    def sending(self, handle: CommandHandle, message: Mapping[str, Any]) -> None:
        """A command with these fields is about to be written, in its turn on the wire."""

    def taken_back(self, handle: CommandHandle) -> None:
        """Ctrl-C came before the command's first byte was written: it is not sent."""

    def matched(
        self, update: ConversationUpdate, commands: PendingCommands
    ) -> Sequence[tuple[ConversationUpdate, Optional[CommandHandle]]]:
        """The update with the command that it acknowledges or refuses, if any.

        Before it in the sequence: earlier updates whose command is known only now.
        """

    def route(self, update: ConversationUpdate, acknowledged: Optional[str]) -> bool:
        """Hand the update to the answer that it belongs to. ``acknowledged``: the command's ``event_id``.

        True if the update belongs to an asker, so that the session's own stream does not get it.
        """

    def end_of(self, error: ConnectionClosedError) -> Optional[End]:
        """The end that the server has announced before the connection ended with this error; None if it has not."""

    def end(self, error: Exception) -> None:
        """The connection has ended: release all threads that wait for an answer on it."""

    @property
    def open_ids(self) -> list[str]:
        """The ids of the answers that have begun and are not done."""


class SessionState(Protocol):
    """What a protocol keeps of a session, over all of its connections.

    ``vocabulary``: of the connection in use. It is replaced if the session goes on at a service of another dialect.
    """

    vocabulary: Vocabulary

    @property
    def session_id(self) -> Optional[str]:
        """The service's name for the session; None until the service has sent it."""

    def new_exchange(self) -> Exchange:
        """An exchange for a new connection."""

    def prepare(self, command: Command, connection: SessionConnection) -> Command:
        """The command as it is to be sent on this connection. Called before each command is encoded."""

    def asked(self, handle: CommandHandle, command: Command) -> None:
        """The command is about to be sent: remember the settings that it asks for."""

    def not_asked(self, handle: CommandHandle) -> None:
        """The command was not sent after all."""

    def apply(self, update: ConversationUpdate) -> None:
        """Learn from an update. The engine's lock for delivery is held."""

    def apply_in_silence(self, update: ConversationUpdate) -> bool:
        """Learn from an update of a connection that catches up; True if it is to be delivered afterwards."""
