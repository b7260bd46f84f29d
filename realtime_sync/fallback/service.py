"""One service of a client with fallbacks: where, as whom, with which model and settings, and its circuit.

The circuits are the client's: all threads and sessions of it share what they know, and another client knows nothing of
it. No lock but the circuit's; ``why`` is written in one assignment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Optional

import attrs

import realtime_sync.errors as errors
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.fallback.circuit import Circuit
from realtime_sync.fallback.verdict import Verdict, retry_after, verdict
from realtime_sync.starting import ConnectionSettings
from realtime_sync.transport.urls import show_url


@attrs.frozen(kw_only=True)
class EndpointHealth:
    """What a client with fallbacks knows of one of its services.

    Attributes:
        model: The model, or Azure's deployment; None if the endpoint knows it.
        endpoint: The base URL, without secrets.
        state: ``"closed"``: it is used. ``"open"``: it is down, and left alone. ``"half-open"``: it was down, and the
            next session tries it.
        why: What the last attempt failed with; None if it succeeded, or if there was none.
    """

    model: Optional[str]
    endpoint: str
    state: Literal["closed", "open", "half-open"]
    why: Optional[str]


@attrs.define(eq=False, repr=False)
class Service:
    """One service, as its client speaks to it; see the module."""

    model: Optional[str]
    endpoint: Endpoint
    settings: ConnectionSettings
    circuit: Circuit
    why: Optional[str] = None

    @property
    def name(self) -> str:
        """As messages call it."""
        return f"{self.model or '(no model)'} at {show_url(self.endpoint.base_url)} ({self.endpoint.flavour})"

    def succeeded(self) -> None:
        """A session was started, or goes on here."""
        self.why = None
        self.circuit.succeeded()

    def failed(self, error: BaseException) -> Verdict:
        """An attempt has failed; returns what that means."""
        found = verdict(error)
        if found in (Verdict.COUNT, Verdict.OPEN):
            self.why = f"{type(error).__name__}: {error}"
            self.circuit.failed(down=found is Verdict.OPEN, wait=retry_after(error))
        return found

    def health(self) -> EndpointHealth:
        """What is known of it."""
        shown = show_url(self.endpoint.base_url)
        return EndpointHealth(model=self.model, endpoint=shown, state=self.circuit.state, why=self.why)


def all_failed(failures: Sequence[tuple[Service, errors.RealtimeSyncError]]) -> errors.AllEndpointsFailedError:
    """The error that names all of these, with the last one as its cause."""
    told = "; ".join(f"{service.name}: {str(error).rstrip('.')}" for service, error in failures)
    failed = errors.AllEndpointsFailedError(
        f"No service could be used. {told}.", failures=[(service.name, error) for service, error in failures]
    )
    failed.__cause__ = failures[-1][1]
    return failed


def chain_errors(error: BaseException, before: BaseException) -> None:
    """Have a traceback of ``error`` show ``before``, too, because of which it was tried at all."""
    seen = []
    root = error
    while root not in seen and root is not before:
        seen.append(root)
        following = root.__cause__ or root.__context__
        if following is None:
            root.__cause__ = before
            return
        root = following
