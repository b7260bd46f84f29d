"""Where a session that has lost its connection may have a new one.

A ``Ways`` is asked for a ``Search`` each time that a new connection is needed. ``WayBack`` (``way_back.py``) drives the
search: it waits for ``pause``, calls ``open``, and says how it went: ``failed`` or ``succeeded``. ``OneWay`` is that of
a session whose client has no fallbacks; ``fallback/ways.py`` has the other one.

No locks: a search belongs to the thread that began it.
"""

from __future__ import annotations

from typing import Callable, Optional, Protocol

import attrs

from realtime_sync.core.vocabulary import Vocabulary
from realtime_sync.errors import ErrorEvent, RealtimeSyncError
from realtime_sync.reconnect.policy import Reconnect, is_worth_another_try
from realtime_sync.transport import Cancellation, Connection


@attrs.frozen(eq=False)
class Opened:
    """A new connection, on which nothing was said yet.

    Attributes:
        transport: The connection.
        vocabulary: That of the service at its other end; None: that of the session's last connection.
        moved: True if the service is another one than that of the session's last connection.
        flavour: Whose rules hold there, see ``Endpoint``; None: the same as before.
    """

    transport: Connection
    vocabulary: Optional[Vocabulary] = None
    moved: bool = False
    flavour: Optional[str] = None


class Search(Protocol):
    """The search for one new connection; see the module."""

    def pause(self, attempt: int, error: RealtimeSyncError) -> float:
        """Seconds to wait before ``attempt`` (from 1), which follows ``error``."""

    def open(self, cancellation: Cancellation) -> Opened:
        """Open a connection; raises why there is none."""

    def failed(self, error: RealtimeSyncError) -> bool:
        """The last attempt failed; True if that may pass, or need not concern the next one."""

    def again(self) -> None:
        """In place of ``failed``: the next attempt is to be made at the same service, in another way."""

    def succeeded(self) -> None:
        """The session goes on over the last connection."""

    def told(self, error: RealtimeSyncError) -> RealtimeSyncError:
        """What to tell of a search that is given up with this error."""


class Ways(Protocol):
    """See the module."""

    def search(self, lost_soon: bool = False) -> Search:
        """A new search. ``lost_soon``: the last connection did not live long, so another service may do better."""

    def can_leave(self, error: ErrorEvent) -> bool:
        """True if another service may do better, where this one has ended the session for a reason that stays.

        Called with ``SessionStates.lock`` held.
        """


class OneWay:
    """All connections are made at the same endpoint; it has no state, so it is its own search.

    ``connect`` opens a connection.
    """

    def __init__(self, policy: Reconnect, connect: Callable[[Cancellation], Connection]) -> None:
        self._policy = policy
        self._connect = connect

    def search(self, lost_soon: bool = False) -> Search:
        """See ``Ways``."""
        return self

    def can_leave(self, error: ErrorEvent) -> bool:
        """See ``Ways``."""
        return False

    def pause(self, attempt: int, error: RealtimeSyncError) -> float:
        """See ``Search``."""
        return self._policy.pause(attempt, error)

    def open(self, cancellation: Cancellation) -> Opened:
        """See ``Search``."""
        return Opened(self._connect(cancellation))

    def failed(self, error: RealtimeSyncError) -> bool:
        """See ``Search``."""
        return is_worth_another_try(error)

    def again(self) -> None:
        """See ``Search``."""

    def succeeded(self) -> None:
        """See ``Search``."""

    def told(self, error: RealtimeSyncError) -> RealtimeSyncError:
        """See ``Search``."""
        return error
