"""What a live session has used: seconds, and the tokens of the models that it delegates to.

1. The service counts the seconds of one connection's session and tells their sum: about every 15 s of wall time
   (``session.usage.updated``) and at the end (``session.closed``). Those of a session that reconnects are added up.
2. Between two reports, and where none comes (as has been seen), wall time since the last report, or since the first
   audio, is the most that it can be, because audio is sent at real time: ``LiveMeter.at_most``.
3. A backend's tokens stand in the last event of each of its responses, and are counted once for each.

Lock: none. ``LiveMeter`` is fed with the engine's lock for delivery held; what other threads read of it is one object,
which is replaced in one assignment.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

import attrs

from realtime_sync.conversation.pricing import PRICES, Prices, UsageTotals
from realtime_sync.core.response_router import Recent
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.live.updates import (
    LiveDecisionEventUpdate,
    LiveResponseEventUpdate,
    LiveSessionClosedUpdate,
    LiveSessionStartedUpdate,
    LiveSessionUpdatedUpdate,
    LiveSessionUsageUpdatedUpdate,
)
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.core.streams import End
    from realtime_sync.live.state import LiveEngine

_NOTHING: Mapping[str, Any] = {}
_LAST_EVENTS = ("response.completed", "response.incomplete", "response.failed")


@attrs.frozen(kw_only=True, repr=False, eq=False)
class LiveSessionUsage(Value):
    """What a live session has used so far.

    Attributes:
        model: The session's model; None if the service does not name it.
        seconds: Seconds of session that the service has reported, over all connections; 0.0 until it has. Silence
            counts, and so does a muted microphone.
        context_used: How full the model's context is, from 0.0 to 1.0; None until the service has told.
        backend: The tokens of the models that the session delegated to, by the model's name.
        final: True once the session is over, and the service has told the last count of each of its connections. False
            after the end: it has counted some seconds more than it has told.
    """

    model: Optional[str] = None
    seconds: float = 0.0
    context_used: Optional[float] = None
    backend: Mapping[str, UsageTotals] = attrs.field(factory=dict)
    final: bool = False

    def cost(self, prices: Optional[Prices] = None) -> Optional[float]:
        """What this costs by list prices.

        Args:
            prices: The prices of each model; None: ``PRICES``.

        Returns:
            US dollars; None if the session's model has no price by the minute, or tokens of a backend have no price.
        """
        prices = PRICES if prices is None else prices
        own = prices.of(self.model)
        backend = [prices.cost(totals, model) for model, totals in self.backend.items()]
        known = [cost for cost in backend if cost is not None]
        if own is None or own.minute is None or len(known) < len(backend):
            return None
        return self.seconds / 60 * own.minute + sum(known)


@attrs.frozen(eq=False)
class _Reading:
    """What other threads read of the meter.

    Attributes:
        usage: What was reported.
        unreported: The most that connections which are over may have counted beside that, in seconds.
        counts_since: Since when it counts without a report, by ``time.monotonic()``; None: since the first audio.
        stands: Nothing counts: the session has no connection, or is over.
    """

    usage: LiveSessionUsage
    unreported: float = 0.0
    counts_since: Optional[float] = None
    stands: bool = False


class LiveMeter:
    """Counts what a session uses; see the module. A listener.

    ``sends_audio``: this side sends the session's audio; False for a sideband, whose session counts from the start.
    """

    def __init__(self, engine: LiveEngine, *, sends_audio: bool = True) -> None:
        self._engine = engine
        since = None if sends_audio else time.monotonic()
        self._reading = _Reading(LiveSessionUsage(), counts_since=since)
        self._earlier = 0.0  # seconds of the connections before this one
        self._counted = Recent()  # the answers of backends

    @property
    def usage(self) -> LiveSessionUsage:
        """What was reported until now."""
        return self._reading.usage

    def at_most(self) -> float:
        """The seconds that may have been counted until now."""
        reading = self._reading
        return reading.usage.seconds + reading.unreported + self._running(reading, self._engine.clock.begun_at)

    def _running(self, reading: _Reading, first_audio: Optional[float]) -> float:
        since = first_audio if reading.counts_since is None else reading.counts_since
        return 0.0 if reading.stands or since is None else max(0.0, time.monotonic() - since)

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, (LiveSessionStartedUpdate, LiveSessionUpdatedUpdate)):
            self._note({"model": update.session.model})
        elif isinstance(update, LiveSessionUsageUpdatedUpdate):
            window = update.context_window
            self._report(update.usage.seconds, window.usage_ratio if window is not None else None)
        elif isinstance(update, LiveSessionClosedUpdate):
            self._report(update.usage.seconds, None, final=True)
        elif isinstance(update, LiveResponseEventUpdate):
            response = update.event.get("response")
            if update.event.get("type") in _LAST_EVENTS and isinstance(response, Mapping):
                self._count_tokens(_text(response.get("id")), _text(response.get("model")), response.get("usage"))
        elif isinstance(update, LiveDecisionEventUpdate):
            if update.event.decision is not None:
                self._count_tokens(update.event_id, update.event.decision.model, update.event.decision.usage)
        elif isinstance(update, SessionDisconnectedUpdate):
            self._stand(self._engine.clock.begun_at)
        elif isinstance(update, SessionReconnectedUpdate):
            self._stand(self._engine.clock.begun_before)  # it was replaced, and so no loss of it was told
            self._earlier = self.usage.seconds
            self._note({"final": False}, counts_since=None, stands=False)

    def end(self, end: End) -> None:
        """The session has ended."""
        self._stand(self._engine.clock.begun_at)

    def _report(self, seconds: Optional[float], context_used: Optional[float], *, final: bool = False) -> None:
        total = max(self.usage.seconds, self._earlier + (seconds or 0.0))
        context_used = self.usage.context_used if context_used is None else context_used
        told = {"seconds": total, "context_used": context_used, "final": final and not self._reading.unreported}
        self._note(told, counts_since=time.monotonic(), stands=final)

    def _stand(self, first_audio: Optional[float]) -> None:
        """The connection is over: what it counted since the last report is not told any more."""
        running = self._running(self._reading, first_audio)
        self._note(unreported=self._reading.unreported + running, stands=True)

    def _count_tokens(self, name: Optional[str], model: Optional[str], usage: object) -> None:
        if name and not self._counted.add(name):
            return  # a sideband is told the last seconds again
        totals = self.usage.backend.get(model or "", UsageTotals()) + _tokens(usage)
        self._note({"backend": {**self.usage.backend, model or "": totals}})

    def _note(self, told: Mapping[str, Any] = _NOTHING, **changes: Any) -> None:
        """Replace the reading, in one assignment; ``told``: changes of the usage."""
        self._reading = attrs.evolve(self._reading, usage=attrs.evolve(self.usage, **told), **changes)


def _tokens(usage: object) -> UsageTotals:
    """The tokens of one answer of a backend, which reads and writes text; none told: a silent response.

    ``usage``: as the wire has it, or as it was read.
    """
    if usage is None:
        return UsageTotals(responses=1, silent_responses=1)
    read = _count(usage, "input_tokens")
    return UsageTotals(
        responses=1,
        input_text_tokens=read,
        cached_text_tokens=min(read, _count(_told(usage, "input_tokens_details"), "cached_tokens")),
        output_text_tokens=_count(usage, "output_tokens"),
    )


def _text(told: object) -> Optional[str]:
    return told if isinstance(told, str) else None


def _told(told: object, name: str) -> object:
    return told.get(name) if isinstance(told, Mapping) else getattr(told, name, None)


def _count(told: object, name: str) -> int:
    value = _told(told, name)
    return max(0, value) if isinstance(value, int) else 0
