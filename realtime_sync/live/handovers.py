"""What was handed over, on its way from the reader thread to those who work on it.

1. Each is claimed once, by its name and its session's: a sideband is told the last seconds again.
2. They are taken in order, each by one thread.
3. They are cancelled when the session has ended, and when its connection was lost: the session that replaces it knows
   nothing of their ids.
4. If nobody takes them, the oldest are left out, with a warning.

Lock: ``_lock`` guards all fields of a ``HandoverQueue``, also of classes derived from it; nothing is taken under it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from typing import Callable, Generic, Optional, TypeVar, Union

from realtime_sync.core.response_router import Recent
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Change
from realtime_sync.live.handover import Handover
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

H = TypeVar("H", bound=Handover)

logger = logging.getLogger(__name__)

_MOST_WAITING = 256


class HandoverQueue(Generic[H]):
    """See the module. A listener.

    ``session_id``: tells the service's name of the session. ``check``: raises in a forked child.
    """

    def __init__(self, session_id: Callable[[], Optional[str]], check: Callable[[], None]) -> None:
        self._session_id = session_id
        self._check = check
        self._claimed = Recent()
        self._lock = threading.Lock()
        self._changed = Change()
        self._waiting: deque[H] = deque()
        self._open: weakref.WeakSet[H] = weakref.WeakSet()  # those that somebody may still work on
        self._end: Optional[End] = None

    # On the reader thread -----------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, (SessionDisconnectedUpdate, SessionReconnectedUpdate)):
            self.cancel_open()
        else:
            self._note(update)
        if self._waiting:
            self._changed.tell()

    def end(self, end: End) -> None:
        """The session has ended: nobody needs results any more."""
        with self._lock:
            self._end = end
        self.cancel_open()
        self._changed.tell()

    def cancel_open(self) -> None:
        """Cancel all that somebody may still work on, whether somebody has taken it or not."""
        with self._lock:
            self._waiting.clear()
            cancelled, self._open = list(self._open), weakref.WeakSet()
        for each in cancelled:
            each._cancellation.cancel()

    @property
    def waiting(self) -> int:
        """How many nobody has taken yet."""
        return len(self._waiting)

    @property
    def open(self) -> list[H]:
        """What is not answered, whether somebody has taken it or not."""
        with self._lock:
            known = list(self._open)
        return [each for each in known if not each.answered]

    @property
    def under_way(self) -> bool:
        """True if somebody has taken one, and it is not answered."""
        with self._lock:
            waiting = set(self._waiting)
        return any(each not in waiting for each in self.open)

    def _note(self, update: ConversationUpdate) -> None:
        """Learn from an update, and ``_add`` what it hands over."""
        raise NotImplementedError

    def _is_new(self, name: Optional[str]) -> bool:
        return name is None or self._claimed.add(f"{self._session_id()} {name}")

    def _add(self, made: H) -> None:
        forgotten = None
        with self._lock:
            self._open.add(made)
            self._waiting.append(made)
            if len(self._waiting) > _MOST_WAITING:
                forgotten = self._waiting.popleft()
        if forgotten is not None:
            logger.warning("more than %d wait, so nobody works on %s", _MOST_WAITING, forgotten._name)

    # On the threads that take -------------------------------------------------------------------------------------

    def take(self, deadline: Deadline) -> Union[H, End, None]:
        """The next one; the end once it has come; None when time is up."""
        self._check()
        return self._changed.wait_for(self._next, deadline, self._seconds_to_look)

    def finish(self, made: H) -> None:
        """Nobody works on it any more."""
        with self._lock:
            self._open.discard(made)

    def _next(self) -> Union[H, End, None]:
        with self._lock:
            if self._end is not None or not self._waiting or not self._is_ready():
                return self._end
            taken = self._waiting.popleft()
            self._has_taken(taken)
        return taken

    def _has_taken(self, taken: H) -> None:
        """It is somebody's now. The lock is held."""

    def _is_ready(self) -> bool:
        """Whether the first one may be taken. The lock is held."""
        return True

    def _seconds_to_look(self) -> Optional[float]:
        """Seconds after which ``_is_ready`` may be true though no update has come; None: never."""
        return None
