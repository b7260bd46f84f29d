"""What the model hands over to the application: the common part of a delegation and of a decision.

What is said about it goes out with the delegation's id: as commentary, which the model says in its own words when it
fits, or as thinking, which it need not say. Nothing on the wire says that the work is done, or has failed.

Its way from the reader thread to those who work on it:

1. Each is claimed once, by its name and its session's: a sideband is told the last seconds again.
2. They are taken in order, each by one thread.
3. They are cancelled when the session has ended, and when its connection was lost: the session that replaces it knows
   nothing of their ids. What is said for one that is cancelled is dropped, with one warning: whoever works could not
   know.
4. If nobody takes them, the oldest are left out, with a warning.

Lock: ``_lock`` guards all fields of a ``HandoverQueue``, also of classes derived from it; nothing is taken under it.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Callable, Generic, Optional, TypeVar, Union

import attrs

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.response_router import Recent
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionClosedError, SessionNotOpenError, ToolCancelledError
from realtime_sync.interrupts import Change
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import reportable
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation

logger = logging.getLogger(__name__)

_MOST_WAITING = 256

Append = Callable[[str, str, Optional[str]], CommandHandle]
"""``append(kind, content, delegation_id)``; the kinds are ``"commentary"`` and ``"thinking"``."""


@attrs.frozen(repr=False, eq=False)
class Speaking(Value):
    """What handed-over work needs of its session.

    Attributes:
        append: Says something in it.
        conversation: the conversation as it stands.
    """

    append: Append
    conversation: Callable[[], LiveConversation]


@reportable
class Cancelled:
    """Whether work is not wanted any more: its time is up, the session has ended, or its connection was lost."""

    def __init__(self, cancellation: ToolCancellation) -> None:
        self._cancellation = cancellation

    def __bool__(self) -> bool:
        return self.is_set()

    def __repr__(self) -> str:
        return f"<Cancelled: {self.is_set()}>"

    def is_set(self) -> bool:
        """True once it is cancelled."""
        return self._cancellation.cancelled

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Sleep for ``timeout`` seconds (None: for ever), or until it is cancelled; True if it is cancelled."""
        return self._cancellation.wait(timeout)


@reportable
class Handover:
    """Work that was handed over; see the module. Any thread may use it.

    Args:
        name: what it is called in messages.
        delegation_id: with which id its results go out; None: they belong to no delegation.
        speaking: of its session.
    """

    def __init__(self, name: str, delegation_id: Optional[str], speaking: Speaking) -> None:
        self._name = name
        self._delegation_id = delegation_id
        self._speaking = speaking
        self._cancellation = ToolCancellation()
        self._answered = False
        self._warned = False

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "answered" if self.answered else "open"
        return f"<{type(self).__name__} {self._name}, {state}>"

    @property
    def answered(self) -> bool:
        """True once ``answer()`` was called, or the function that works for it has returned."""
        return self._answered

    @property
    def cancelled(self) -> Cancelled:
        """Whether it is not wanted any more: ``request.cancelled.is_set()``, ``request.cancelled.wait(0.1)``."""
        return Cancelled(self._cancellation)

    @property
    def conversation(self) -> LiveConversation:
        """The conversation as it stands now."""
        return self._speaking.conversation()

    def progress(self, text: str) -> CommandHandle:
        """Have the model say how far the work is, in its own words (commentary).

        Args:
            text: What there is to say.

        Returns:
            The command's handle. If the work is cancelled, nothing is sent, and the handle has the error.
        """
        return self._say("commentary", text)

    def note(self, text: str) -> CommandHandle:
        """Tell the model what it is to know and need not say (thinking).

        Args:
            text: What there is to know.

        Returns:
            The command's handle, as of ``progress``.
        """
        return self._say("thinking", text)

    def answer(self, text: str) -> CommandHandle:
        """Have the model say the result, in its own words (commentary). More may follow.

        Args:
            text: The result.

        Returns:
            The command's handle, as of ``progress``.
        """
        self._answered = True
        return self._say("commentary", text)

    def _say(self, kind: str, text: str) -> CommandHandle:
        if self.cancelled:
            return self._dropped(kind, ToolCancelledError(f"{self._name} is cancelled"))
        try:
            return self._speaking.append(kind, text, self._delegation_id)
        except (SessionNotOpenError, ConnectionClosedError) as error:
            return self._dropped(kind, error)

    def _dropped(self, kind: str, error: Exception) -> CommandHandle:
        if not self._warned:
            self._warned = True
            logger.warning("what is said for %s is dropped: %s", self._name, error)
        handle = CommandHandle(f"session.{kind}.append", None, 0.0, lambda: None)
        handle._settle(None, error)
        return handle


H = TypeVar("H", bound=Handover)


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
