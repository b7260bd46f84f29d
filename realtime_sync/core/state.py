"""A session's states, and the one method that changes them.

    state         a command           audio             the connection ends              close()
    ------------  ------------------  ----------------  -------------------------------  -----------------
    CONNECTED     is sent             is sent           RECONNECTING if it is survived,  CLOSING
                                                        else ENDED
    RECONNECTING  waits               recovery holds    (there is none)                  CLOSING, cancels
    CATCHING_UP   waits               recovery holds    RECONNECTING                     CLOSING, cancels
    CLOSING       raises what the     likewise          ENDED                            nothing
                  session closes with
    ENDED         raises what the     likewise          -                                nothing
                  session ended with

In CATCHING_UP the settings and the history go over a new connection, whose updates are not delivered before the
recovery says so; then what was kept is sent again, and only then may anybody send (CONNECTED). A session without
``reconnect=`` knows CONNECTED, CLOSING and ENDED only. In CLOSING a recovery that is under way ends the session; else
the reader does.

``lock`` guards all fields here, and the engine's: it is held for a few assignments, never while anything is waited
for or computed. ``changed`` is its condition, notified at each transition. One field may be read without it where the
answer may be late by a moment.
"""

from __future__ import annotations

import enum
import threading
from typing import Optional

from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import CloseInfo, ConnectionClosedError, SessionNotOpenError, WaitTimeoutError
from realtime_sync.protocol.updates import ErrorUpdate


class State(enum.Enum):
    """See the table at the head of the module."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CATCHING_UP = "catching up"
    CLOSING = "closing"
    ENDED = "ended"


WAITING = (State.RECONNECTING, State.CATCHING_UP)
"""There is no connection that anybody may send on."""

_TRANSITIONS: dict[State, frozenset[State]] = {
    State.CONNECTED: frozenset({State.RECONNECTING, State.CLOSING, State.ENDED}),
    State.RECONNECTING: frozenset({State.CATCHING_UP, State.CLOSING, State.ENDED}),
    State.CATCHING_UP: frozenset({State.CONNECTED, State.RECONNECTING, State.CLOSING, State.ENDED}),
    State.CLOSING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}


class SessionStates:
    """One session's state, with what it closes and has ended with.

    ``end`` is written once, in one assignment; any thread may read it. ``closing``: the deadline within which the
    server's side of a close is waited for. ``closing_error``: what everyone is told then; None: the session was closed,
    which is no error.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.state = State.CONNECTED
        self.end: Optional[End] = None
        self.closing: Optional[Deadline] = None
        self.closing_error: Optional[ConnectionClosedError] = None

    def transition(self, new: State) -> None:
        """Change the state. The lock is held."""
        assert self.lock.locked()
        assert new in _TRANSITIONS[self.state], f"{self.state} -> {new}"
        self.state = new
        self.changed.notify_all()

    def begin_closing(self, seconds: float, error: Optional[ConnectionClosedError]) -> bool:
        """The session is being closed; True for the first call. The lock is held."""
        assert self.lock.locked()
        if self.closing is not None:
            return False
        self.closing_error = error
        self.closing = Deadline(seconds)
        if self.state is not State.ENDED:
            self.transition(State.CLOSING)
        return True

    def check_open(self) -> None:
        """Raise if nothing can be sent any more."""
        if self.closing_error is not None:
            raise self.closing_error.with_traceback(None)
        if self.closing is not None:
            raise SessionNotOpenError("this session was closed; start another one")
        if self.end is not None:
            raise self.end.reason.with_traceback(None)

    def wait_until_connected(self, deadline: Optional[Deadline]) -> None:
        """Wait until the session has a connection to send on, or never will; ``check_open`` tells which.

        Raises ``WaitTimeoutError`` if ``deadline`` passes first.
        """
        with self.lock:
            if not (deadline or Deadline(None)).wait(lambda s: self.changed.wait_for(self._is_decided, s)):
                raise WaitTimeoutError("the session is still reconnecting; it goes on trying")

    def _is_decided(self) -> bool:
        return self.state not in WAITING

    def closed_end(
        self, error: Optional[ConnectionClosedError] = None, last_error: Optional[ErrorUpdate] = None
    ) -> End:
        """The end of a session that was closed.

        ``error``: how its connection ended; None if it had none. ``last_error``: the last that the server reported.
        """
        error = error or ConnectionClosedError("the session was closed", close_info=CloseInfo(1000, "", "local"))
        error.error = last_error
        if self.closing_error is None:
            return End(error, clean=True)
        told = self.closing_error
        told.close_info, told.error, told.__cause__ = error.close_info, last_error, error
        return End(told, clean=False)
