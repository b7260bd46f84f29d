"""A live session of GPT-Live: the facade over the wire's verbs, audio at real time, turns and delegated work.

It checks arguments and puts the features together; their theory stands in their modules, the thread's in
``core/engine.py``, the end's in ``state.py``. No state and no lock of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

from realtime_sync.boundary import public_call
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.wire_session import WireSession
from realtime_sync.live.delegating import Delegating, SessionDelegation
from realtime_sync.live.handover import Speaking
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.live.commands import LiveSessionCommentaryAppendCommand, LiveSessionThinkingAppendCommand
from realtime_sync.protocol.live.questions import LiveDecisionsSettings, LiveTrigger
from realtime_sync.protocol.live.settings import LiveResponsesSettings, LiveSessionDetails
from realtime_sync.protocol.registry import UNSET, Setting
from realtime_sync.secret import discreet

if TYPE_CHECKING:
    from realtime_sync.budget import Budget
    from realtime_sync.live.decisions_backend import MadeDecision
    from realtime_sync.live.delegates import DelegationStream


class LiveSession(WireSession):
    """One conversation in full duplex. Made by ``RealtimeConversationClient.start_live_session()``.

    A context manager: leaving it closes the session. All methods may be called from any thread.

    The model listens while it speaks, and decides by itself when it speaks; so there is no ``ask``: send audio, and
    read ``turns()``. The session's clock needs audio, which this library sends when nobody else does (silence), unless
    the session was started with ``keep_clock=False``.
    """

    _engine: LiveEngine

    def __init__(
        self,
        engine: LiveEngine,
        *,
        client_request_id: Optional[str] = None,
        budget: Optional[Budget] = None,
        delegating: Optional[Delegating] = None,
    ) -> None:
        super().__init__(engine)
        self._client_request_id = client_request_id
        self._budget = budget
        speaking = Speaking(append=self._append, conversation=lambda: self.conversation)
        self._delegation = SessionDelegation(engine, delegating or Delegating(), speaking)

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

    # [K] Audio, appends, talking ------------------------------------------------------------------------------

    # [D] Delegated work ---------------------------------------------------------------------------------------

    def delegations(self, timeout: Optional[float] = None) -> DelegationStream:
        """Iterate over the work that the model hands over, to answer it yourself: ``request.answer("...")``.

        For a session without ``delegate=``. The requests are kept until they are taken, also those from before this
        call, 256 at most. Breaking off loses none: iterate again.

        Args:
            timeout: Seconds to wait for each, then ``WaitTimeoutError`` is raised; None waits as long as the session
                lives.

        Returns:
            An iterator over ``DelegationRequest``, which threads may share.

        Raises:
            UsageError: The session has a ``delegate``, which answers them.
        """
        return self._delegation.stream(timeout)

    @public_call
    def add_item(
        self, item: Union[ConversationItem, dict[str, Any], str], *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Give the Responses backend an item; call ``start_response()`` to have it answered.

        A user's message, such as what somebody types, is also told to the voice model as thinking ("The user typed:
        ..."), which else might leave the answer unsaid.

        Args:
            item: A text (a user's message), a ``ConversationItem``, such as a message with an image, or an item of the
                Responses API as a dict.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle. Nothing acknowledges it, so ``wait()`` only tells whether it was refused.

        Raises:
            UsageError: The session has no Responses backend.
            InvalidInputError: ``item`` is no item.
        """
        return self._delegation.add_item(item, event_id)

    @public_call
    def start_response(self, *, event_id: Optional[str] = None) -> CommandHandle:
        """Have the Responses backend answer what was added, or go on after results of calls that you have made.

        Args:
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle. Nothing acknowledges it: its events are ``LiveResponseEventUpdate``.

        Raises:
            UsageError: The session has no Responses backend.
        """
        return self._delegation.start_response(event_id)

    @public_call
    @discreet
    def update_backend(
        self,
        changes: Union[LiveResponsesSettings, LiveDecisionsSettings, None] = None,
        *,
        triggers: Setting[list[LiveTrigger]] = UNSET,
        acknowledgement_delay_ms: Setting[int] = UNSET,
        event_id: Optional[str] = None,
    ) -> CommandHandle:
        """Change how the backend works; acknowledged by ``session.updated``. All else is fixed at the start.

        Args:
            changes: For a Responses backend ``LiveResponsesSettings(...)``, whose functions among ``tools`` are run
                from now on; for a Decisions backend ``LiveDecisionsSettings(...)``. What is UNSET stays; None changes
                nothing.
            triggers: In place of those that the session has; an empty list switches them off. UNSET: nothing changes.
            acknowledgement_delay_ms: After so many milliseconds of delegated work the model says that it is at work.
                UNSET: nothing changes.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            InvalidInputError: The session has no such backend, or this cannot be changed; nothing is sent.
            ConfigurationError: A function cannot be described.
        """
        return self._delegation.update(changes, triggers, acknowledgement_delay_ms, event_id)

    @public_call
    def decide(self, *, timeout: float = 30.0) -> MadeDecision:
        """Ask the questions of the Decisions backend now, and wait for the answers.

        Args:
            timeout: Seconds to wait.

        Returns:
            The answers, in the order of the questions; ``on_decision`` does not get them.

        Raises:
            UsageError: The session has no Decisions backend.
            WaitTimeoutError: They did not come in time.
            ServerError: The service refused to ask.
        """
        return self._delegation.decide(timeout)

    @public_call
    def add_decision_item(
        self, item: Union[ConversationItem, dict[str, Any], str], *, event_id: Optional[str] = None
    ) -> CommandHandle:
        """Tell the Decisions backend something that later decisions are to know.

        Args:
            item: A text (a user's message), a ``ConversationItem``, or a ``LiveDecisionItem``'s fields as a dict.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle; the update of its ``wait()`` has the ``item`` with its id.

        Raises:
            UsageError: The session has no Decisions backend.
        """
        return self._delegation.add_decision_item(item, event_id)

    @public_call
    def delete_decision_item(self, item_id: str, *, event_id: Optional[str] = None) -> CommandHandle:
        """Let the Decisions backend forget an item.

        Args:
            item_id: The item's id.
            event_id: The command's name on the wire; None makes one up.

        Returns:
            The command's handle.

        Raises:
            UsageError: The session has no Decisions backend.
        """
        return self._delegation.delete_decision_item(item_id, event_id)

    def _append(self, kind: str, content: str, delegation_id: Optional[str]) -> CommandHandle:
        commands = {"commentary": LiveSessionCommentaryAppendCommand, "thinking": LiveSessionThinkingAppendCommand}
        return self._engine.send(commands[kind](content=content, delegation_id=delegation_id))

    # [R] Calls ------------------------------------------------------------------------------------------------
