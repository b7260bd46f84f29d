"""What happens when a connection is lost: nothing, unless ``reconnect/`` is plugged in here.

The engine calls a ``Recovery`` at each place where a session that goes on over a new connection differs from one that
does not. ``NoRecovery`` is a plain session's. The core imports nothing of ``reconnect/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

import attrs

from realtime_sync.errors import ConnectionClosedError
from realtime_sync.protocol.update_base import ConversationUpdate

if TYPE_CHECKING:
    from realtime_sync.core.commands import CommandHandle
    from realtime_sync.core.connection import SessionConnection
    from realtime_sync.core.streams import End


@attrs.define(eq=False)
class Outgoing:
    """A frame on its way out: a command with its handle, or audio without one.

    ``message``: what the command's acknowledgement is recognised by. ``audio_bytes``: of samples, in an append.
    ``kept``: the recovery has it, so it is sent again should the connection end; set at its turn on the wire.
    """

    text: Union[str, bytes]
    handle: Optional[CommandHandle] = None
    message: Mapping[str, Any] = attrs.field(factory=dict)
    audio_bytes: int = 0
    kept: bool = False


ErrorOf = Callable[[str, Mapping[str, Any]], ConnectionClosedError]
"""What a command of this wire type, with this message, ended with."""


class Recovery(Protocol):
    """See the module. The reader thread calls all but ``keep`` and ``hold``, which run on the thread that sends."""

    @property
    def active(self) -> bool:
        """True while a thread makes a new connection; that thread then ends the session, if it must end."""

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """Keep a frame at its turn on the wire; True if it is sent again should this connection end.

        Raises ``ConnectionReplacedError`` if this connection is not the one in use any more; nothing is sent then.
        """

    def hold(self, frame: Outgoing) -> None:
        """Keep audio for the next connection. Raises ``AudioNotHeldError`` if there is no room."""

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Learn what the service has worked on. The lock for delivery is held."""

    def survives(self, connection: SessionConnection, end: End) -> bool:
        """True if the session is to go on over a new connection."""

    def cut_off(self, connection: SessionConnection, reason: ConnectionClosedError) -> ErrorOf:
        """Note what is lost with a connection; says what its commands end with. The lock for delivery is held."""

    def begin(self, reason: ConnectionClosedError) -> None:
        """Announce the loss, and make a new connection on a thread of its own."""

    def cancel(self) -> None:
        """The session is being closed: stop trying. Never blocks."""


class NoRecovery:
    """A session that ends with its connection."""

    active = False

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """Keep nothing."""
        return False

    def hold(self, frame: Outgoing) -> None:
        """Never called: the session has a connection until it has ended."""
        raise AssertionError("a session without recovery is never without a connection")

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Nothing is to be learnt."""

    def survives(self, connection: SessionConnection, end: End) -> bool:
        """No connection's end is survived."""
        return False

    def cut_off(self, connection: SessionConnection, reason: ConnectionClosedError) -> ErrorOf:
        """Never called, as nothing is survived."""
        raise AssertionError("a session without recovery ends with its connection")

    def begin(self, reason: ConnectionClosedError) -> None:
        """Never called, as nothing is survived."""
        raise AssertionError("a session without recovery ends with its connection")

    def cancel(self) -> None:
        """Nothing is under way."""
