"""The handles of commands that the service acknowledges on the session's timeline."""

from __future__ import annotations

from typing import Callable, Optional

from realtime_sync.core.commands import CommandHandle
from realtime_sync.deadline import Deadline
from realtime_sync.errors import WaitTimeoutError
from realtime_sync.live.clock import LiveClock
from realtime_sync.protocol.update_base import ConversationUpdate


class LiveCommandHandle(CommandHandle):
    """A command that waits for the session's clock: ``wait()`` raises ``ClockStoppedError`` once that stands."""

    def __init__(
        self, type: str, event_id: Optional[str], timeout: float, check: Callable[[], None], clock: LiveClock
    ) -> None:
        super().__init__(type, event_id, timeout, check)
        self._clock = clock

    def wait(self, timeout: Optional[float] = None) -> ConversationUpdate:
        """Wait until the service has placed it on the timeline. Otherwise as ``CommandHandle.wait``.

        Raises:
            ClockStoppedError: No audio flows, so that the session's clock stands, or has come to stand meanwhile.
        """
        deadline = Deadline(self._timeout if timeout is None else timeout)
        while not self.done and not self._clock.kept and deadline.left != 0:
            self._clock.check(f"the acknowledgement of {self.type}")
            try:
                return super().wait(min(self._clock.runs_for, deadline.remaining))
            except WaitTimeoutError:
                if self._clock.runs_for > 0 and deadline.left == 0:
                    raise
        return super().wait(deadline.left)
