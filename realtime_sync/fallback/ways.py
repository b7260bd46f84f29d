"""How a session that has lost its connection goes on at another service.

A search goes through the services in rounds, the first that is well at the beginning: so a session comes back to the
first one when it needs a new connection anyway (a loss, a renewal), and a good connection is never broken for that.
Within a round there is hardly a pause; before the next round the pauses grow as the policy says. A service that asked
for patience is not tried before. One that gave a verdict, or cannot take the session's settings, is out for this
search. One that has just taken the session and lost it soon comes last.

The service's dialect is its own (``Opened.vocabulary``): the settings and the history are said in it, and so is what
was kept or waits.

No locks: a search belongs to the thread that began it. ``FallbackWays._at`` is the way's thread's.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import realtime_sync.errors as errors
from realtime_sync.core.realtime import realtime_vocabulary
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.fallback.service import Service, all_failed, chain_errors
from realtime_sync.fallback.verdict import Verdict, retry_after
from realtime_sync.reconnect.policy import Reconnect, is_worth_another_try
from realtime_sync.reconnect.ways import Opened
from realtime_sync.starting import Start
from realtime_sync.transport import Cancellation, Connection

if TYPE_CHECKING:
    from realtime_sync.fallback.chain import Chain
    from realtime_sync.live.start import LiveStart

_ONCE = ConnectRetries(attempts=1)  # a reconnector's deadline holds
# What says nothing of a service, but that this one cannot take the session.
_OF_THE_SETTINGS = (errors.ServerError, errors.UnsupportedByDialectError)


def _opened(start: Start, moved: bool, cancellation: Cancellation) -> Connection:
    connect, _ = start.opening()
    return connect(cancellation, _ONCE)


class FallbackWays:
    """See the module.

    Args:
        chain: The services.
        policy: How the session survives.
        starts: The session's start at each of them.
        at: Where the session is.
    """

    def __init__(
        self, chain: Chain, policy: Reconnect, starts: Mapping[Service, Union[Start, LiveStart]], at: Service
    ) -> None:
        self.chain = chain
        self.policy = policy
        self.starts = starts
        self.at = at
        self.open: Callable[[Any, bool, Cancellation], Connection] = _opened  # a live session has another way

    def search(self, lost_soon: bool = False) -> FallbackSearch:
        """See ``Ways``."""
        return FallbackSearch(self, self.at if lost_soon else None)

    def can_leave(self, error: errors.ErrorEvent) -> bool:
        """See ``Ways``: the service counts as down from now on."""
        self.at.why = f"{error.code}: {error.message}"
        self.at.circuit.failed(down=True)
        return True


class FallbackSearch:
    """See the module, and ``Search``. ``last``: see ``in_order``."""

    def __init__(self, ways: FallbackWays, last: Optional[Service]) -> None:
        self._ways = ways
        self._last = last
        self._round: Iterator[Service] = iter(())
        self._chosen: Optional[Service] = None  # for the next attempt
        self._service = ways.at  # of the last attempt
        self._again = False  # the next one is made there, too
        self._out: set[Service] = set()
        self._waits: dict[Service, float] = {}  # until when a service asked for patience
        self._failures: dict[Service, errors.RealtimeSyncError] = {}

    def pause(self, attempt: int, error: errors.RealtimeSyncError) -> float:
        """See ``Search``."""
        policy = self._ways.policy
        if self._again:
            self._again, self._chosen = False, self._service
            return policy.pause(attempt, error)
        self._chosen = self._next()
        if self._chosen is not None and self._failures:
            return policy.pause(1)  # another service, at once
        self._chosen = self._chosen or self._next_round()
        rounds = 1 + (attempt - 1) // len(self._ways.chain.services)
        return max(policy.pause(rounds), self._waits.get(self._chosen, 0.0) - time.monotonic())

    def open(self, cancellation: Cancellation) -> Opened:
        """See ``Search``."""
        self._service = service = self._chosen or self._next() or self._next_round()
        self._chosen = None
        start, moved = self._ways.starts[service], service is not self._ways.at
        transport = self._ways.open(start, moved, cancellation)
        vocabulary = realtime_vocabulary(service.endpoint.dialect) if isinstance(start, Start) else None
        return Opened(transport, vocabulary, moved=moved, flavour=service.endpoint.flavour)

    def failed(self, error: errors.RealtimeSyncError) -> bool:
        """See ``Search``."""
        if self._service.failed(error) is Verdict.STAY and not isinstance(error, _OF_THE_SETTINGS):
            return False
        self._failures.pop(self._service, None)
        self._failures[self._service] = error  # the last one
        patience = retry_after(error)
        if patience is not None:
            self._waits[self._service] = time.monotonic() + patience
        if not is_worth_another_try(error):
            self._out.add(self._service)
        return len(self._out) < len(self._ways.chain.services)

    def again(self) -> None:
        """See ``Search``."""
        self._again = True

    def succeeded(self) -> None:
        """See ``Search``."""
        self._service.succeeded()
        self._ways.at = self._service

    def told(self, error: errors.RealtimeSyncError) -> errors.RealtimeSyncError:
        """See ``Search``."""
        failures = [*self._failures.items()]
        if not failures or error is not failures[-1][1]:
            return error
        for (_, before), (_, after) in itertools.pairwise(failures):
            chain_errors(after, before)
        return all_failed(failures)

    def _next(self) -> Optional[Service]:
        """The next service of this round; None if none is left."""
        return next(self._round, None)

    def _next_round(self) -> Service:
        """The first service of a new round; if all are to be left alone, the one that is so for the shortest time."""
        services, now = self._ways.chain.services, time.monotonic()
        waiting = [service for service, until in self._waits.items() if until > now]
        self._round = self._ways.chain.candidates(self._last, {*self._out, *waiting})
        service = self._next()
        if service is None:
            left = [service for service in services if service not in self._out] or services
            service = min(left, key=lambda service: self._waits.get(service, 0.0))
        return service
