"""The services of a client with fallbacks, in order: a session starts at the first that takes it. No lock here."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Callable, Optional, Protocol, TypeVar

import realtime_sync.errors as errors
from realtime_sync.endpoint.connect import ConnectRetries
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.fallback.circuit import Circuit
from realtime_sync.fallback.order import in_order
from realtime_sync.fallback.service import Service, all_failed, chain_errors
from realtime_sync.fallback.settings import FallbackSettings
from realtime_sync.fallback.verdict import Verdict
from realtime_sync.fallback.ways import FallbackWays
from realtime_sync.protocol import codec
from realtime_sync.protocol.commands import SessionUpdateCommand
from realtime_sync.reconnect.ways import Ways
from realtime_sync.recording import RecordingWriter
from realtime_sync.secret import reportable
from realtime_sync.session import RealtimeConversationSession
from realtime_sync.starting import ConnectionSettings, Provisions, Start

if TYPE_CHECKING:
    from realtime_sync.live.session import LiveSession
    from realtime_sync.live.start import LiveStart

logger = logging.getLogger(__name__)
S = TypeVar("S", covariant=True)

_ONCE = ConnectRetries(attempts=1)


class Starting(Protocol[S]):
    """A start of a session, ``Start`` or ``LiveStart``."""

    def run(self, retries: Optional[ConnectRetries] = None) -> S:
        """Connect, and return the session. ``retries``: in place of those of the settings."""


@reportable
class Chain:
    """See the module.

    Args:
        where: Model, endpoint and settings of each service, in order.
        settings: When a service counts as down.
        clock: The time; tests have one of their own.
    """

    def __init__(
        self,
        where: Sequence[tuple[Optional[str], Endpoint, ConnectionSettings]],
        settings: FallbackSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.services = [Service(*each, Circuit(settings, clock)) for each in where]

    def __repr__(self) -> str:
        states = (service.circuit.state for service in self.services)
        told = ("" if state == "closed" else f" [{state}]" for state in states)
        return ", then ".join(map(str.__add__, (service.name for service in self.services), told))

    def candidates(self, last: Optional[Service] = None, without: Collection[Service] = ()) -> Iterator[Service]:
        """The services but those ``without``, in the order in which they are to be tried now; see ``in_order``."""
        circuits = [service.circuit for service in self.services]
        number = None if last is None else self.services.index(last)
        order = in_order(circuits, number, [*map(self.services.index, without)])
        return (self.services[number] for number in order)

    def start_conversation(
        self, start_at: Callable[[Service, Optional[Ways]], Start], provisions: Provisions
    ) -> RealtimeConversationSession:
        """A session of the realtime protocol, at the first service that takes it.

        ``start_at`` makes the start of one service; it is called for all, so that what cannot be right is told at once.
        """
        starts: dict[Service, Start] = {}
        for service in self.services:
            policy = provisions.policy
            ways = None if policy is None else FallbackWays(self, policy, starts, service)
            starts[service] = start_at(service, ways)
            _check_options(starts[service], service)
        return self.first(starts, provisions)

    def start_live(
        self, start_at: Callable[[Service, Optional[FallbackWays]], LiveStart], provisions: Provisions
    ) -> LiveSession:
        """A GPT-Live session, at the first service that takes it. ``start_at`` is as above."""
        starts: dict[Service, LiveStart] = {}
        for service in self.services:
            policy = provisions.policy
            starts[service] = start_at(service, None if policy is None else FallbackWays(self, policy, starts, service))
        return self.first(starts, provisions)

    def first(self, starts: Mapping[Service, Starting[S]], provisions: Provisions) -> S:
        """A session at the first service that takes it. Only at the last one that is left is an attempt made again."""
        failures: list[tuple[Service, errors.RealtimeSyncError]] = []
        with _kept_open(provisions) as begin:
            for number, service in enumerate(self.candidates(), 1):
                begin()
                try:
                    started = starts[service].run(None if number == len(self.services) else _ONCE)
                except errors.RealtimeSyncError as error:
                    if failures:
                        chain_errors(error, failures[-1][1])
                    if service.failed(error) is Verdict.STAY:
                        raise
                    logger.warning("%s cannot be used: %s", service.name, error)
                    failures.append((service, error))
                else:
                    service.succeeded()
                    if failures:
                        logger.warning("the session is held with %s", service.name)
                    return started
            raise all_failed(failures)


def _check_options(start: Start, service: Service) -> None:
    """Raise ``UnsupportedByDialectError`` if a service has no words for the options: not when it is needed."""
    if start.options is None or start.translation:  # where there are no translations, there is no session at all
        return
    try:
        codec.encode(SessionUpdateCommand(session=start.options), service.endpoint.dialect)
    except errors.UnsupportedByDialectError as error:
        raise errors.UnsupportedByDialectError(
            f"{error}; and the client has a fallback to {service.name}, which must take all options, too"
        ) from None


@contextlib.contextmanager
def _kept_open(provisions: Provisions) -> Iterator[Callable[[], None]]:
    """Keep a recording open that the caller has made, until a session has it, or none came about."""
    if isinstance(provisions.recorded, RecordingWriter):
        with provisions.recorded._kept_open() as begin:
            yield begin
    else:
        yield lambda: None
