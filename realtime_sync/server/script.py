"""A session by script: exact messages to send and messages to wait for, in place of the state machine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Callable, Iterable, Sequence, Union

import attrs

from realtime_sync.errors import WaitTimeoutError
from realtime_sync.secret import reportable
from realtime_sync.server.faults import Act, send
from realtime_sync.server.traffic import Match
from realtime_sync.server.wire import Json

if TYPE_CHECKING:
    from realtime_sync.server.session import ServerSession

_log = logging.getLogger("realtime_sync.server")
_REASON_BYTES = 123  # of a close frame's 125


@attrs.frozen
class Expect:
    """Wait for the next message of the client that matches."""

    match: Match
    timeout: float


def expect(match: Match, timeout: float = 10.0) -> Expect:
    """Go on once the client has sent a message of this type, or that fulfils this predicate, after those that earlier
    steps waited for. ``timeout``: seconds; past it the script is failed, and the connection closed with code 1002 and
    a reason that says what was expected and what came.
    """
    return Expect(match, timeout)


Step = Union[Json, str, bytes, Expect, Act, Callable[["ServerSession"], Union[Json, Iterable[Json], None]]]


@reportable
class Script:
    """Steps, done in order for each session: a dict is sent as it is, a str or bytes as a text or binary message,
    ``expect(...)`` waits, an ``Act`` is a fault that happens then, a callable gets the session and returns a message,
    some, or None.

    ``session.created`` still comes first unless the server's ``first_update`` is None. Nothing else is answered.
    ``failures`` lists what was expected and did not come, and what a step raised.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps: Sequence[Step] = tuple(steps)
        self.failures: list[str] = []

    def run(self, session: ServerSession) -> None:
        """Do the steps for one session; on a thread of the session's."""
        position = number = 0
        try:
            for number, step in enumerate(self.steps, 1):  # noqa: B007  told if a step fails
                position = self._do(step, session, position)
        except Exception as error:
            step = self.steps[number - 1]
            if isinstance(step, Expect) and isinstance(error, WaitTimeoutError):
                told = f"step {number} expected {_in_vain(step, session, position)}"
                self.failures.append(told)
                _log.warning("a script failed: %s", told)
                session.close(1002, told.encode()[:_REASON_BYTES].decode(errors="ignore"))
                return
            self.failures.append(f"step {number} failed: {type(error).__name__}: {error}")
            _log.exception("a step of a script failed")
            session.close(1011, "a step of the script failed")

    def __repr__(self) -> str:
        failures = f", failures: {self.failures}" if self.failures else ""
        return f"<Script of {len(self.steps)} steps{failures}>"

    def _do(self, step: Step, session: ServerSession, position: int) -> int:
        if isinstance(step, Expect):
            return session.wait_after(position, step.match, step.timeout)
        if isinstance(step, Act):
            session.inject(step)
        elif isinstance(step, (str, bytes)):
            session.inject(send(step))
        elif isinstance(step, dict):
            session.send_as_it_is(step)
        else:
            said = step(session)
            for message in [said] if isinstance(said, dict) else said or ():
                session.send_as_it_is(message)
        return position


def _in_vain(step: Expect, session: ServerSession, position: int) -> str:
    """What was waited for, until when, and what came in its place."""
    match = step.match
    what = repr(match) if isinstance(match, str) else f"a message that {getattr(match, '__name__', match)}() accepts"
    ended = session.close_code
    until = f"within {step.timeout:g} s" if ended is None else f"before the connection ended with {ended}"
    kinds = [str(message.get("type")) for message in session.received[position:]]
    came = f": {', '.join(kinds[-20:])}" if kinds else " nothing more" if position else " nothing"
    return f"{what} {until}; received{came}"
