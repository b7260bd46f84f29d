"""A live session of GPT-Live: the facade over the wire's verbs, audio at real time, turns and delegated work.

It checks arguments and puts the features together; their theory stands in their modules, the thread's in
``core/engine.py``, the end's in ``state.py``. No state and no lock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from realtime_sync.boundary import public_call
from realtime_sync.conversation.live.utterances import GAP_MS
from realtime_sync.core.wire_session import WireSession
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.live.settings import LiveSessionDetails

if TYPE_CHECKING:
    from realtime_sync.budget import Budget
    from realtime_sync.conversation.live.conversation import LiveConversation
    from realtime_sync.live.spoken import LiveFragmentStream, LiveTurnStream


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

    # [T] Turns and the conversation ---------------------------------------------------------------------------

    @property
    def conversation(self) -> LiveConversation:
        """What was said so far, in turns: a copy, which later updates do not change."""
        return self._engine.conversation()

    @public_call
    def turns(
        self, timeout: Optional[float] = None, *, gap_ms: float = GAP_MS, keep_audio: bool = True
    ) -> LiveTurnStream:
        """Iterate over the turns that begin from now on, each once it is over; independent of ``updates()``.

        A turn is what one side says without a longer silence. Both sides have turns of their own, which overlap if they
        speak at once. The service does not say that anybody has finished, so a turn comes ``gap_ms`` and 0.8 s after
        its last word.

        Args:
            timeout: Seconds to wait for each turn, then ``WaitTimeoutError`` is raised and iteration may go on; None
                waits as long as the session lives.
            gap_ms: The silence that ends a turn, in milliseconds of the session's timeline.
            keep_audio: True gives the model's turns their sound. False spares its memory, 72 kB a second of session
                while nobody iterates, of ``QueueLimits.queued``.

        Returns:
            A ``LiveTurnStream`` of ``LiveTurn``; it ends as ``updates()`` does.
        """
        from realtime_sync.live.spoken import turns_of

        return turns_of(self._engine, timeout, gap_ms, keep_audio)

    @public_call
    def transcripts(self, timeout: Optional[float] = None) -> LiveFragmentStream:
        """Iterate over the words of both sides as they come from now on; independent of ``updates()``.

        Args:
            timeout: Seconds to wait for each fragment; None waits as long as the session lives.

        Returns:
            A ``LiveFragmentStream`` of ``LiveFragment``; it ends as ``updates()`` does.
        """
        from realtime_sync.live.spoken import fragments_of

        return fragments_of(self._engine, timeout)

    # [K] Audio, appends, talking ------------------------------------------------------------------------------

    # [D] Delegated work ---------------------------------------------------------------------------------------

    # [R] Calls ------------------------------------------------------------------------------------------------
