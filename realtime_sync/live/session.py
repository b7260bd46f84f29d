"""A live session of GPT-Live: the facade over the wire's verbs, audio at real time, turns and delegated work.

It checks arguments and puts the features together; their theory stands in their modules, the thread's in
``core/engine.py``, the end's in ``state.py``. No state and no lock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from realtime_sync.core.wire_session import WireSession
from realtime_sync.live.state import LiveEngine
from realtime_sync.live.usage import LiveMeter, LiveSessionUsage
from realtime_sync.protocol.live.settings import LiveSessionDetails

if TYPE_CHECKING:
    from realtime_sync.budget import Budget


class LiveSession(WireSession):
    """One conversation in full duplex. Made by ``RealtimeConversationClient.start_live_session()``.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    The model listens while it speaks, and decides by itself when it speaks; so there is no ``ask``: send audio, and
    read ``turns()``. The session's clock needs audio, which this library sends when nobody else does (silence), unless
    the session was started with ``keep_clock=False``.
    """

    _engine: LiveEngine

    def __init__(
        self, engine: LiveEngine, *, client_request_id: Optional[str] = None, budget: Optional[Budget] = None
    ) -> None:
        super().__init__(engine)
        self._client_request_id = client_request_id
        self._budget = budget
        self._meter = LiveMeter(engine)
        engine.listen(self._meter)

    # About the session ----------------------------------------------------------------------------------------

    @property
    def session(self) -> Optional[LiveSessionDetails]:
        """The settings in force, as the service reported them last; None until it has."""
        return self._engine.details

    @property
    def budget(self) -> Optional[Budget]:
        """The session's budget, with the cost so far; None if it was started without ``budget=``."""
        return self._budget

    @property
    def client_request_id(self) -> Optional[str]:
        """The id that Azure's support asks for (``x-ms-client-request-id``); None on other services."""
        return self._client_request_id

    def _about(self) -> str:
        return str(self.session.model) if self.session is not None and self.session.model else ""

    # [B] Usage, money, time -----------------------------------------------------------------------------------

    @property
    def usage(self) -> LiveSessionUsage:
        """What the session has used so far, as the service has reported it; also after the end."""
        return self._meter.usage

    @property
    def seconds(self) -> float:
        """The seconds that the service has counted, over all connections; it tells them about every 15 s."""
        return self._meter.usage.seconds

    @property
    def context_used(self) -> Optional[float]:
        """How full the model's context is, from 0.0 to 1.0; None until the service has told."""
        return self._meter.usage.context_used

    @property
    def cost(self) -> Optional[float]:
        """What that costs in US dollars, by the budget's prices, else by ``PRICES``; None if it cannot be told."""
        return self._meter.usage.cost(self._budget.prices if self._budget is not None else None)

    # [T] Turns and the conversation ---------------------------------------------------------------------------

    # [K] Audio, appends, talking ------------------------------------------------------------------------------

    # [D] Delegated work ---------------------------------------------------------------------------------------

    # [R] Calls ------------------------------------------------------------------------------------------------
