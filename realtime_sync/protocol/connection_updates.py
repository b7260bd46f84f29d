"""Updates that this library makes itself, about the connection under a session. No server sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Union

import attrs

from realtime_sync.errors import ConnectionClosedError
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate

if TYPE_CHECKING:
    from realtime_sync.protocol.live.settings import LiveSessionDetails


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionDisconnectedUpdate(ConversationUpdate):
    """The connection was lost, and the session tries to go on over a new one. Made by this library.

    ``SessionReconnectedUpdate`` follows if it succeeds, the session's end (``ReconnectFailedError``) if it does not. A
    connection that is replaced ahead of the service's time limit is not lost: only ``SessionReconnectedUpdate`` comes.

    Attributes:
        reason: How the connection ended.
        retry_in: Seconds from ``lost_at`` until the first attempt to connect.
        give_up_after: Seconds from ``lost_at`` after which the session ends if no attempt has succeeded.
        lost_at: When the loss was noticed, by ``time.monotonic()``.
    """

    kind = ConversationUpdateKind.SESSION_DISCONNECTED

    reason: ConnectionClosedError
    retry_in: float = 0.0
    give_up_after: float = 0.0
    lost_at: float = 0.0


@attrs.frozen(kw_only=True, repr=False, eq=False, slots=False)
class SessionReconnectedUpdate(ConversationUpdate):
    """The session goes on over a new connection. Made by this library; no server sends it.

    Attributes:
        reason: How the old connection ended.
        losses: One line for each thing that was not carried over; empty if nothing was lost.
        sent_again: The wire types of the commands that the old connection had not acknowledged and that are sent again.
        attempts: How many attempts to connect it took.
        seconds: For how long there was no connection.
        session: The new connection's settings, as the service reported them (``LiveSessionDetails`` of a live session);
            None if it did not.
        endpoint: The URL of the new connection, without secrets.
        moved: True if it is with another service than the old one; see ``with_fallbacks``.
        flavour: Whose rules hold there, as ``Endpoint.flavour``; None: the same as before.
    """

    kind = ConversationUpdateKind.SESSION_RECONNECTED

    reason: ConnectionClosedError
    losses: tuple[str, ...] = ()
    sent_again: tuple[str, ...] = ()
    attempts: int = 1
    seconds: float = 0.0
    session: Optional[Union[RealtimeSession, LiveSessionDetails]] = None
    endpoint: str = ""
    moved: bool = False
    flavour: Optional[str] = None
