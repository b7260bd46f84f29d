"""How the service's ``session.closed`` ends a session."""

from __future__ import annotations

from typing import Optional

from realtime_sync.core.streams import End
from realtime_sync.errors import CloseInfo, ConnectionClosedError, ConnectionLostError, SessionExpiredError
from realtime_sync.protocol.live.updates import LiveSessionClosedUpdate

# Asked for by either side. ``client_request`` is a name of 2026-09 for ``close_requested``.
_ORDERLY = frozenset({"close_requested", "client_request", "remote_hangup"})
_KINDS: dict[str, tuple[type[ConnectionClosedError], str]] = {
    "expired": (SessionExpiredError, "the service ended the session at its time limit"),
    "connection_lost": (ConnectionLostError, "the service lost the connection to the caller"),
    "content": (ConnectionClosedError, "the service ended the session because of what was said in it (moderation)"),
}


def end_by_service(closed: LiveSessionClosedUpdate, error: ConnectionClosedError) -> End:
    """The end of a session whose service has said ``session.closed``. ``error``: how its connection ended."""
    if closed.reason in _ORDERLY:
        return End(error, clean=True)
    kind, words = _KINDS.get(closed.reason, (ConnectionClosedError, "the service ended the session"))
    ended = kind(f"{words} (session.closed: {closed.reason})", close_info=error.close_info, error=error.error)
    ended.__cause__ = error
    return End(ended, clean=False)


def with_last_word(info: CloseInfo, closed: Optional[LiveSessionClosedUpdate], *, asked: bool) -> CloseInfo:
    """How a session ended, by what the service said of it; ``asked``: this side closes it.

    A session that was closed without the service's word is not known to be over there: it may be billed longer.
    """
    if closed is not None:
        return CloseInfo(info.code, closed.reason, "local" if asked else "remote")
    return CloseInfo(info.code, "unconfirmed: the service did not say session.closed", info.initiator)
