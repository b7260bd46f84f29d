"""A live session's budget: seconds and the tokens of backends, and an end also where the service reports nothing.

``Budget.spent`` is the most that the session may have cost until now: ``LiveMeter.at_most`` seconds by the price of a
minute, and the tokens that were reported. It is counted anew with each update, so reports make it smaller again. Where
nothing comes, a thread sleeps until the budget would be passed, and looks.

Threads: the watch ends with the session. Lock: that of ``SpendingGuard``. What reader and watch write into
``Budget.spent`` are single assignments of what it is in that moment.
"""

from __future__ import annotations

import attrs

from realtime_sync.budget import Budget, SpendingGuard
from realtime_sync.core.streams import End
from realtime_sync.interrupts import Flag
from realtime_sync.live.state import LiveEngine
from realtime_sync.live.usage import LiveMeter
from realtime_sync.protocol.live.updates import LiveDecisionEventUpdate, LiveResponseEventUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

# The watch looks no sooner and no later than so (seconds); some systems cannot wait for a lock much longer.
_SOONEST, _LATEST = 0.02, 86_400.0


class LiveBudgetGuard(SpendingGuard):
    """Ends a live session once its budget may be passed; see the module. A listener behind the meter.

    The service is told ``session.close``; if it does not answer, the connection is closed with ``BUDGET_PASSED``.
    """

    _engine: LiveEngine
    _costs = "it may have cost"

    def __init__(self, budget: Budget, engine: LiveEngine, meter: LiveMeter) -> None:
        super().__init__(budget, engine)
        self._meter = meter
        self._over = Flag()
        self._tokens = 0.0  # what those of backends cost

    def start(self) -> None:
        """Begin to watch. Raises ``ConfigurationError`` if the model has no price by the minute."""
        details = self._engine.details
        model = details.model if details is not None else None
        self._minute = self.budget._minute_price(model, "which is billed by time")
        self._engine.start_thread(self._watch, "budget-watch")
        self._engine.listen(self)

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, (LiveResponseEventUpdate, LiveDecisionEventUpdate)):
            self._count_tokens()
        self._look()

    def end(self, end: End) -> None:
        """The session has ended."""
        self._count()
        self._over.set()

    def _watch(self) -> None:
        while not self._over.wait(self._seconds_left()):
            self._look()

    def _seconds_left(self) -> float:
        """How long the budget lasts at least."""
        left = self.budget.usd - self.budget.spent
        return min(max(left / self._minute * 60, _SOONEST), _LATEST) if self._minute else _LATEST

    def _look(self) -> None:
        self._count()
        self._end_if_passed()

    def _count(self) -> None:
        self.budget.spent = self._meter.at_most() / 60 * self._minute + self._tokens

    def _count_tokens(self) -> None:
        """Price what the backends have used, answers without a count and models without a price apart. The reader's."""
        tokens, unpriced = 0.0, 0
        for model, totals in self._meter.usage.backend.items():
            cost = self.budget.prices.cost(attrs.evolve(totals, silent_responses=0), model)
            tokens += cost or 0.0
            unpriced += totals.responses if cost is None else totals.silent_responses
        while self.budget.unpriced < unpriced:
            self.budget._note_unpriced("what a backend has used has no price")
        self._tokens = tokens
