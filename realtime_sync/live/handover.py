"""What the model hands over to the application: the common part of a delegation and of a decision.

What is said about it goes out with the delegation's id: as commentary, which the model says in its own words when it
fits, or as thinking, which it need not say. Nothing on the wire says that the work is done, or has failed.

Once it is cancelled, what is said for it is dropped, with one warning: whoever works could not know.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Callable, Optional

import attrs

from realtime_sync.core.commands import CommandHandle
from realtime_sync.errors import ConnectionClosedError, SessionNotOpenError, ToolCancelledError
from realtime_sync.secret import reportable
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation

logger = logging.getLogger(__name__)


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
