"""What happens when a connection is lost: nothing, unless ``reconnect/`` is plugged in here.

The engine calls a ``Recovery`` at each point at which a session that goes on over a new connection differs from one
that does not. ``NoRecovery`` is a plain session's. The core imports nothing of ``reconnect/``.

Order, for one connection: ``keep`` for each frame, at its turn on the wire, and ``take_back`` if it was interrupted
there before it was sent; ``observe`` for each update; ``survives``
once the connection has ended, then, if it is True, ``cut_off`` and ``begin``. If a connection ends while the recovery
is already at work, only ``cut_off`` is called.

Locks held by the engine: the turn on the wire for ``keep`` and ``take_back``; ``SessionStates.lock`` for ``hold`` and
``survives``; ``Engine.delivering`` for ``observe`` and ``cut_off``. So these six take small locks only.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol, Union

import attrs

from realtime_sync.errors import ConnectionClosedError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.update_base import ConversationUpdate

if TYPE_CHECKING:
    from realtime_sync.core.commands import CommandHandle
    from realtime_sync.core.connection import SessionConnection
    from realtime_sync.core.streams import End


_NO_FIELDS: Mapping[str, Any] = types.MappingProxyType({})


@attrs.define(eq=False)
class Outgoing:
    """A frame on its way out: a command with its handle, or audio without one.

    Attributes:
        text: The frame's text, as str or as UTF-8.
        handle: The command's handle; None for audio.
        message: The fields by which the command's acknowledgement is recognised.
        audio_bytes: Bytes of samples in an append; 0 for a command.
        kept: True if the recovery has the frame and sends it again if the connection ends; set at its turn on the wire.
        dialect: The one in which a command was encoded; None: the frame is sent as it is, whatever the server's is.
    """

    text: Union[str, bytes] = attrs.field(repr=False)
    handle: Optional[CommandHandle] = None
    message: Mapping[str, Any] = _NO_FIELDS
    audio_bytes: int = 0
    kept: bool = False
    dialect: Optional[Dialect] = None


ErrorOf = Callable[[Optional["CommandHandle"]], ConnectionClosedError]
"""The error with which a command ends; None: that of everything else that waits on the connection."""


class Recovery(Protocol):
    """See the module.

    ``keep``, ``take_back`` and ``hold`` run on the thread that sends, ``cancel`` on the one that closes, the others on
    the reader thread.
    """

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """Keep a frame at its turn on the wire; True if it is sent again should this connection end.

        Raises ``ConnectionReplacedError`` if this connection is not the one in use any more; nothing is sent then.
        """

    def take_back(self, frame: Outgoing) -> None:
        """Forget the frame, if it was kept: still in its turn, it was interrupted and not sent."""

    def hold(self, frame: Outgoing) -> None:
        """Keep audio for the next connection. Raises ``AudioNotHeldError`` if there is no room."""

    def keeps_audio(self, seconds: float) -> bool:
        """True if so much audio is sent again as a whole should this connection end; also if nothing is."""

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Learn from an update which frames the service has worked on. The lock for delivery is held."""

    def survives(self, connection: SessionConnection, end: End) -> bool:
        """True if the session is to go on over a new connection."""

    def cut_off(self, connection: SessionConnection, reason: ConnectionClosedError) -> ErrorOf:
        """Collect the losses of a connection; returns how its commands end. The lock for delivery is held."""

    def begin(self, reason: ConnectionClosedError) -> None:
        """Make a new connection on another thread, which also announces the loss."""

    def cancel(self) -> None:
        """The session is being closed: stop trying. Never blocks."""


class NoRecovery:
    """A session that ends with its connection."""

    def keep(self, connection: SessionConnection, frame: Outgoing) -> bool:
        """Keep nothing."""
        return False

    def take_back(self, frame: Outgoing) -> None:
        """Nothing was kept."""

    def hold(self, frame: Outgoing) -> None:
        """Never called: the session has a connection until it has ended."""
        raise AssertionError("a session without recovery is never without a connection")

    def keeps_audio(self, seconds: float) -> bool:
        """The session ends with its connection, so there is nothing to be sent again."""
        return True

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Learn nothing."""

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
