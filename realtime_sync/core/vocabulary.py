"""What the core must know of the protocol that it carries.

The engine, its connections and its commands know no update class by name. They are given a ``Vocabulary``: what
decodes, what encodes, what acknowledges a command, and which update reports an error. What a protocol keeps of a
session (settings, a conversation) and of one connection (answers in progress) acts on updates behind two small
interfaces, on the reader thread, in the order that ``engine.py`` explains. ``realtime.py`` is the realtime
protocol's; a second protocol is a second module like it, not a second engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

import attrs

from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.registry import Command
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate

if TYPE_CHECKING:
    from realtime_sync.core.commands import CommandHandle
    from realtime_sync.core.connection import SessionConnection

Match = Callable[[Mapping[str, Any], ConversationUpdate], bool]


@attrs.frozen
class Acknowledgement:
    """How a command is acknowledged: by updates of these ``kinds`` that ``match`` what is known of the command."""

    kinds: tuple[str, ...]
    match: Match


@attrs.frozen
class Vocabulary:
    """A protocol's messages, as far as the core acts on them.

    ``decode``: a frame (str for text, bytes for binary) as an update; never raises. ``encode``: a command as a frame's
    text. ``acknowledgements``: by a command's wire type. ``matched``: what of a command its acknowledgement is
    recognised by, as ``Acknowledgement.match`` gets it. ``error``: the class of updates that report an error.
    ``expired``: the error codes with which the service ends a session at its time limit. ``dialect``: what a recording
    says of how the messages are spelled.
    """

    decode: Callable[[Union[str, bytes]], ConversationUpdate]
    encode: Callable[[Command], str]
    acknowledgements: Mapping[str, Acknowledgement]
    matched: Callable[[Command], Mapping[str, Any]]
    error: type[ErrorUpdate] = ErrorUpdate
    expired: frozenset[str] = frozenset()
    dialect: Dialect = Dialect.GA


class Exchange(Protocol):
    """What a protocol keeps of one connection: the answers in progress on it."""

    def complete(self, update: ConversationUpdate) -> ConversationUpdate:
        """The update with what a server left out; the same object if nothing is missing."""

    def see(self, update: ConversationUpdate, acknowledged: Optional[str]) -> bool:
        """Hand the update to the answer that it belongs to. ``acknowledged``: the command's ``event_id``.

        True if the update belongs to an asker, so that nobody else need take it.
        """

    def end(self, error: Exception) -> None:
        """The connection has ended; release everyone who waits for an answer on it."""

    @property
    def unfinished(self) -> list[str]:
        """The ids of the answers that have begun and are not done."""


class SessionState(Protocol):
    """What a protocol keeps of a session, over all of its connections."""

    vocabulary: Vocabulary

    @property
    def session_id(self) -> Optional[str]:
        """The service's name for the session; None until it has told it."""

    def new_exchange(self) -> Exchange:
        """For a new connection."""

    def prepare(self, command: Command, connection: SessionConnection) -> Command:
        """The command as it is to be sent on this connection. Called before each command that is sent."""

    def asked(self, handle: CommandHandle, command: Command) -> None:
        """The command is about to be sent: remember what it asks for."""

    def not_asked(self, handle: CommandHandle) -> None:
        """The command was not sent after all."""

    def apply(self, update: ConversationUpdate) -> None:
        """Learn from an update. The engine's lock for delivery is held."""

    def apply_in_silence(self, update: ConversationUpdate) -> bool:
        """Learn from an update of a connection that catches up; True if it is to be delivered afterwards."""
