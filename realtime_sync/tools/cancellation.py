"""Asking a running function to stop, and what it may know of its call."""

from __future__ import annotations

import logging
import threading
import types
from typing import Annotated, Any, Callable, Optional, Union, get_args, get_origin

import attrs

from realtime_sync.errors import ToolCancelledError
from realtime_sync.interrupts import Flag
from realtime_sync.threads import aside_if_nested
from realtime_sync.user_code import warn_once
from realtime_sync.values import Value

logger = logging.getLogger(__name__)


class ToolCancellation:
    """A request to stop, which the function that runs should notice.

    Python cannot end a thread, so a function that takes long calls ``check()`` in its loop, or ``wait(seconds)`` in
    place of ``time.sleep``. Every method may be called from any thread.
    """

    def __init__(self) -> None:
        self._event = Flag()
        self._lock = threading.Lock()  # guards _callbacks, and that none is added once it was emptied
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """True once ``cancel()`` was called."""
        return self._event.is_set()

    @aside_if_nested
    def cancel(self) -> None:
        """Ask the function to stop; calling it again does nothing."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception as error:  # the caller's; the others are called all the same
                logger.exception("what was to be called at a cancellation failed")
                warn_once(callback, error, "a callback of on_cancel", "the others were called")

    def wait(self, seconds: Optional[float] = None) -> bool:
        """Sleep for ``seconds`` (None: for ever), or until it is cancelled; True if it was cancelled."""
        return self._event.wait(seconds)

    def check(self) -> None:
        """Raise ``ToolCancelledError`` if it was cancelled."""
        if self.cancelled:
            raise ToolCancelledError("the call was cancelled")

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` once, on a thread of the session's, or now if it was cancelled already.

        Args:
            callback: must be short, and must raise nothing.

        Returns:
            A function that takes the callback back.
        """
        with self._lock:
            waits = not self.cancelled
            if waits:
                self._callbacks.append(callback)
        if not waits:
            callback()
        return lambda: self._forget(callback)

    def _forget(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


@attrs.frozen(repr=False, eq=False)
class ToolContext(Value):
    """What a function may know of its call: give it a parameter with this type hint, which the model does not see.

    Attributes:
        call_id: the service's name of the call; empty if the function is called by hand.
        name: the tool's name.
        cancellation: asks the function to stop, if nobody waits for its result any more.
    """

    call_id: str = ""
    name: str = ""
    cancellation: ToolCancellation = attrs.field(factory=ToolCancellation, repr=False)


def is_context(hint: Any) -> bool:
    """Whether a parameter with this type hint is given the ``ToolContext`` of its call."""
    if get_origin(hint) in (Annotated, Union, types.UnionType):
        return any(is_context(member) for member in get_args(hint))
    return hint is ToolContext
