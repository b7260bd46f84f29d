"""What people hold of a queue of updates: the face of a subscription, and that of the session's own stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, Optional, TypeVar, overload

from realtime_sync.boundary import public_call
from realtime_sync.core.commands import server_error
from realtime_sync.core.streams import Unclassed, UpdateQueue, Wanted
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested

U = TypeVar("U", bound=ConversationUpdate)
Owner = Callable[[], str]
"""Names the session that the updates are of, in words."""


@reportable
class UpdateStream(Iterator[ConversationUpdate]):
    """An independent view of all updates from the moment it was made: an iterator and a context manager.

    Iteration ends after an orderly close and raises ``ConnectionClosedError`` after any other end. Any thread may
    take updates; each goes to one taker. Close it when it is no longer read, or it fills up to its bound. Made by
    ``session.subscribe()``.
    """

    def __init__(self, queue: UpdateQueue, owner: Owner) -> None:
        self._queue = queue  # other modules of this room use both
        self._owner = owner

    def __iter__(self) -> Iterator[ConversationUpdate]:
        return self._queue  # so that each update of a ``for`` costs one call, and an error shows one frame

    @public_call
    def __next__(self) -> ConversationUpdate:
        return next(self._queue)

    def receive(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the next update.

        Args:
            timeout: Seconds to wait; None waits as long as the session lives, 0 does not wait.

        Returns:
            The update.

        Raises:
            WaitTimeoutError: No update came in time.
            ConnectionClosedError: The session has ended, and its last update was taken.
        """
        return self._queue.receive(timeout)

    @overload
    def wait_for(self, wanted: type[U], timeout: Optional[float] = None) -> U: ...

    @overload
    def wait_for(self, wanted: Unclassed, timeout: Optional[float] = None) -> ConversationUpdate: ...

    def wait_for(self, wanted: Wanted, timeout: Optional[float] = None) -> ConversationUpdate:
        """Take the first update that is ``wanted`` out of the stream, and leave the others for later.

        Updates that have come and were not taken yet are looked at first.

        Args:
            wanted: A ``ConversationUpdateKind``, a wire type, an update class, or a function of the update.
            timeout: Seconds to wait; None waits as long as the session lives, 0 looks only at what has come.

        Returns:
            The update.

        Raises:
            WaitTimeoutError: It did not come in time.
            ConnectionClosedError: The session has ended, so it can no longer come.
        """
        return self._queue.wait_for(wanted, timeout)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes of updates wait to be taken."""
        return self._queue.waiting_bytes

    @aside_if_nested
    def close(self) -> None:
        """Stop listening; threads that wait in this stream are released. Idempotent."""
        self._queue.close()

    def __enter__(self) -> UpdateStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._owner()}: {self._queue.state}>"


@reportable
class SessionUpdates(Iterator[ConversationUpdate]):
    """What ``session.updates()`` returns. Threads may share it, and iteration can continue after an error."""

    def __init__(self, queue: UpdateQueue, owner: Owner, *, raise_errors: bool) -> None:
        self._queue = queue
        self._owner = owner
        self._raise_errors = raise_errors

    def __iter__(self) -> Iterator[ConversationUpdate]:
        return map(_raised, self._queue) if self._raise_errors else self._queue  # as of ``UpdateStream``

    @public_call
    def __next__(self) -> ConversationUpdate:
        update = next(self._queue)
        return _raised(update) if self._raise_errors else update

    def __repr__(self) -> str:
        return f"<updates of {self._owner()}: {self._queue.state}>"


def _raised(update: ConversationUpdate) -> ConversationUpdate:
    # The service refuses a cancel that comes when the answer has just finished; nothing went wrong.
    if isinstance(update, ErrorUpdate) and update.code != "response_cancel_not_active":
        raise server_error(update)
    return update
