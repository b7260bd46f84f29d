"""A session's states, and the one method that changes them.

    state         a command           audio             the connection ends              close()
    ------------  ------------------  ----------------  -------------------------------  -----------------
    CONNECTED     is sent             is sent           RECONNECTING if it is survived,  CLOSING
                                                        else ENDED
    RECONNECTING  waits               recovery holds    (there is none, or it is the     CLOSING, cancels
                                                        one that was given up)
    CATCHING_UP   waits               recovery holds    RECONNECTING                     CLOSING, cancels
    CLOSING       raises the closing  likewise          ENDED                            nothing
                  error
    ENDED         raises the closing  likewise          -                                nothing
                  error if it was
                  closed, else the
                  error of the end

Rules:

1. In CATCHING_UP the settings and the history go over a new connection, whose updates are not delivered before the
   recovery says so. Then the frames that were kept are sent again; only then may other threads send (CONNECTED).
2. A session without ``reconnect=`` knows CONNECTED, CLOSING and ENDED only.
3. In CLOSING the recovery ends the session if it is under way, else the reader does; ``close()`` does if neither has
   half a second after the connection was cut.
4. The closing error is ``closing_error`` if there is one (a budget that is spent), else ``SessionNotOpenError``.

Lock: ``lock`` guards all fields here, and the engine's. It is held for a few assignments, never while a thread waits.
Three short calls of the recovery run under it: ``hold``, ``survives``, and
the question of ``go_live`` whether all was sent; the first and the last take the outbox's lock inside. ``changed`` is
told of each transition. A single field may be read without the lock if the answer may be late by a
moment.
"""

from __future__ import annotations

import enum
import threading
from typing import Optional

from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import CloseInfo, ConnectionClosedError, SessionNotOpenError, WaitTimeoutError, told_again
from realtime_sync.interrupts import Change
from realtime_sync.protocol.updates import ErrorUpdate


class State(enum.Enum):
    """See the table at the head of the module."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    CATCHING_UP = "catching up"
    CLOSING = "closing"
    ENDED = "ended"


WAITING = (State.RECONNECTING, State.CATCHING_UP)
"""The states without a connection to send on."""

_TRANSITIONS: dict[State, frozenset[State]] = {
    State.CONNECTED: frozenset({State.RECONNECTING, State.CLOSING, State.ENDED}),
    State.RECONNECTING: frozenset({State.CATCHING_UP, State.CLOSING, State.ENDED}),
    State.CATCHING_UP: frozenset({State.CONNECTED, State.RECONNECTING, State.CLOSING, State.ENDED}),
    State.CLOSING: frozenset({State.ENDED}),
    State.ENDED: frozenset(),
}


class SessionStates:
    """One session's state, and how it closes and ended.

    Attributes:
        state: The state; only ``transition`` writes it.
        end: How the session ended, written once, in one assignment; any thread may read it. None while it lives.
        closing: The deadline for the server's answer to a close; None if the session is not being closed.
        closing_error: The error that waiting threads get at a close; None: the caller closed the session, which is no
            error.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.changed = Change()
        self.state = State.CONNECTED
        self.recovering = False  # a recovery is under way: until CONNECTED again, or it ends a session that was closed
        self.end: Optional[End] = None
        self.closing: Optional[Deadline] = None
        self.closing_error: Optional[ConnectionClosedError] = None

    def transition(self, new: State) -> None:
        """Change the state. The lock is held."""
        assert self.lock.locked()
        assert new in _TRANSITIONS[self.state], f"{self.state} -> {new}"
        self.state = new
        if new in (State.RECONNECTING, State.CONNECTED):
            self.recovering = new is State.RECONNECTING
        self.changed.tell()

    def begin_closing(self, seconds: float, error: Optional[ConnectionClosedError]) -> bool:
        """Begin to close, with ``seconds`` for the server's answer; True for the first call. The lock is held."""
        assert self.lock.locked()
        if self.closing is not None:
            return False
        self.closing_error = error
        self.closing = Deadline(seconds)
        if self.state is not State.ENDED:
            self.transition(State.CLOSING)
        return True

    def check_open(self) -> None:
        """Raise the closing error, or the error of the end, if nothing can be sent any more."""
        if self.closing_error is not None:
            raise told_again(self.closing_error)
        if self.closing is not None:
            raise SessionNotOpenError("this session was closed, so nothing more can be sent; start another one")
        if self.end is not None:
            raise told_again(self.end.reason)

    def wait_until_connected(self, deadline: Optional[Deadline]) -> None:
        """Wait until the session has a connection to send on, or never will: ``check_open`` raises then.

        Raises ``WaitTimeoutError`` if ``deadline`` passes first.
        """
        if not self.changed.wait_for(self._is_decided, deadline or Deadline(None)):
            raise WaitTimeoutError(
                "the session is still reconnecting, so nothing was sent in the time allowed; it goes on trying"
            )

    def _is_decided(self) -> bool:
        return self.state not in WAITING

    def closed_end(
        self, error: Optional[ConnectionClosedError] = None, last_error: Optional[ErrorUpdate] = None
    ) -> End:
        """The end of a session that was closed.

        ``error``: how its connection ended; None if it had none. ``last_error``: the last error that the server sent.
        """
        error = error or ConnectionClosedError("the session was closed", close_info=CloseInfo(1000, "", "local"))
        error.error = last_error
        if self.closing_error is None:
            return End(error, clean=True)
        reason = self.closing_error
        reason.close_info, reason.error, reason.__cause__ = error.close_info, last_error, error
        return End(reason, clean=False)
