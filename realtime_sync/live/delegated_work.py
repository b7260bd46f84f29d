"""Who answers a session's delegations: a function, a backend of the service, or whoever iterates over them.

``Delegating`` is what the caller has asked for, checked before anything is connected; ``SessionDelegation`` is the same
for one session that is open. No lock here; the settings are replaced as a whole.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar, Union

import attrs

from realtime_sync.checks import check_whole
from realtime_sync.core.commands import CommandHandle, new_event_id
from realtime_sync.errors import (
    InvalidInputError,
    RealtimeSyncError,
    ServerError,
    UsageError,
)
from realtime_sync.live.decisions_backend import DecisionQueue, DecisionsBackend, MadeDecision
from realtime_sync.live.delegate_threads import (
    TIMEOUT_SECONDS,
    Delegate,
    DelegateThreads,
    check_callable,
    name_of,
)
from realtime_sync.live.delegation_requests import DelegationQueue, DelegationStream
from realtime_sync.live.handover import Append, Speaking
from realtime_sync.live.responses_backend import BackendCalls, Functions, ResponsesBackend
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.live.commands import (
    LiveDecisionCreateCommand,
    LiveDecisionItemCreateCommand,
    LiveDecisionItemDeleteCommand,
    LiveResponseCreateCommand,
    LiveResponseItemCreateCommand,
    LiveSessionUpdateCommand,
)
from realtime_sync.protocol.live.questions import LiveDecisionsSettings, LiveTrigger
from realtime_sync.protocol.live.settings import (
    LiveDecisionsDelegation,
    LiveDelegation,
    LiveResponsesDelegation,
    LiveResponsesSettings,
    LiveSessionChanges,
)
from realtime_sync.protocol.live.updates import LiveDecisionEventUpdate
from realtime_sync.protocol.registry import UNSET, Options, Setting
from realtime_sync.tools.runner import ToolRunner
from realtime_sync.tools.tool import checked_timeout

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation
    from realtime_sync.live.state import LiveEngine

S = TypeVar("S", bound=Options)
_CHANGES: dict[str, type[Options]] = {"responses": LiveResponsesSettings, "decisions": LiveDecisionsSettings}

# What has not been taken for so long is taken by nobody, or by who looks seldom.
_TAKEN_SECONDS = 10.0

GivenDelegate = Union[Delegate, ResponsesBackend, DecisionsBackend]


@attrs.frozen(eq=False)
class Delegating:
    """What the caller has asked for.

    Attributes:
        delegate: Who answers; None: whoever iterates over ``delegations()``.
        concurrency: For how many delegations a function is called at once.
        timeout: Seconds that it may take, and that ``on_decision`` may; None: no limit.
    """

    delegate: Optional[GivenDelegate] = None
    concurrency: int = 1
    timeout: Optional[float] = TIMEOUT_SECONDS

    def __attrs_post_init__(self) -> None:
        """Raise ``InvalidInputError`` or ``ConfigurationError`` for what cannot answer."""
        check_whole("delegate_concurrency", self.concurrency, at_least=1, at_most=64)
        checked_timeout(self.timeout, "the delegate")
        if isinstance(self.delegate, type) and issubclass(self.delegate, (ResponsesBackend, DecisionsBackend)):
            raise InvalidInputError(f"delegate is the class itself: make one, {self.delegate.__name__}(model=..., ...)")
        if self.delegate is not None and not isinstance(self.delegate, (ResponsesBackend, DecisionsBackend)):
            check_callable("delegate", self.delegate)

    @property
    def settings(self) -> Optional[LiveDelegation]:
        """What the service is told at the start; None: the application works by itself."""
        if isinstance(self.delegate, ResponsesBackend):
            return LiveResponsesDelegation(responses=self.delegate.settings)
        if isinstance(self.delegate, DecisionsBackend):
            return LiveDecisionsDelegation(decisions=self.delegate.settings)
        return None


@attrs.define(eq=False)
class _Told:
    """What the service was told of a backend.

    Attributes:
        settings: All of it; None: it is not known here (a sideband's).
        functions: What is run when the backend calls it.
        before: What held before.
        handle: The command that has told it; None: the start, or it is just being sent.
    """

    settings: Optional[LiveDelegation]
    functions: Functions = attrs.field(factory=lambda: Functions(ToolRunner([]), frozenset()))
    before: Optional[_Told] = None
    handle: Optional[CommandHandle] = None

    @property
    def in_force(self) -> _Told:
        """This, or what was before if the service has refused it."""
        refused = self.handle is not None and isinstance(self.handle.error, ServerError)
        return self.before.in_force if refused and self.before is not None else self


class SessionDelegation:
    """The delegated work of one session.

    Attributes:
        requests: The delegations that the application answers.
    """

    def __init__(
        self,
        engine: LiveEngine,
        delegating: Delegating,
        append: Append,
        conversation: Callable[[], LiveConversation],
    ) -> None:
        self._engine = engine
        self._delegate = delegating.delegate
        self._append = append
        self._speaking = speaking = Speaking(self._say, conversation)
        self._backend: Optional[BackendCalls] = None
        self._told = _Told(delegating.settings)
        self.requests = DelegationQueue(
            speaking, lambda: engine.state.session_id, engine.check_process, lambda: engine.audio_format
        )
        engine.listen_from_the_start(self.requests)
        if isinstance(self._delegate, ResponsesBackend):
            self._told.functions = self._delegate._functions
            self._serve()
        elif isinstance(self._delegate, DecisionsBackend):
            self._act_on_decisions(self._delegate, delegating.timeout)
        elif self._delegate is not None:
            threads = DelegateThreads(
                engine,
                self.requests,
                self._delegate,
                concurrency=delegating.concurrency,
                timeout=delegating.timeout,
            )
            threads.begin()

    def _serve(self) -> None:
        """Make the calls of the backend's functions from now on."""
        if self._backend is None:
            self._backend = BackendCalls(self._engine, lambda: self._told.in_force.functions, self._speaking)
            self._engine.listen_from_the_start(self._backend)

    def _act_on_decisions(self, backend: DecisionsBackend, timeout: Optional[float]) -> None:
        if backend.on_decision is None:
            return
        queue = DecisionQueue(self._speaking, lambda: self._engine.state.session_id, self._engine.check_process)
        self._engine.listen_from_the_start(queue)
        DelegateThreads(self._engine, queue, backend.on_decision, kind="callback", timeout=timeout).begin()

    def _say(self, kind: str, content: str, delegation_id: Optional[str]) -> CommandHandle:
        """Append once a clip that plays is over, during which the service would refuse it."""
        clip = self._engine.clip
        if clip is not None and clip.playing:
            with suppress(RealtimeSyncError):  # it was cut short, or is lost with the connection
                clip.wait_until_played()
        return self._append(kind, content, delegation_id)

    @property
    def settings(self) -> Optional[LiveDelegation]:
        """What the service was told last, for a session that replaces this one; None: nothing."""
        return self._told.in_force.settings

    @property
    def kind(self) -> str:
        """Who does the work: ``"client"``, ``"responses"`` or ``"decisions"``."""
        if self.settings is not None:
            return self.settings.type
        return self._engine.details.delegation_type if self._engine.details is not None else "client"

    def open_ids(self) -> list[str]:
        """The delegations that somebody on this side still works on, or that nobody has taken yet."""
        calls = self._backend.open_ids if self._backend is not None else []
        return [*(request.id for request in self.requests.open), *calls]

    @property
    def under_way(self) -> bool:
        """True if somebody works on a delegation: an answer may come."""
        return self.requests.under_way or bool(self._backend is not None and self._backend.open_ids)

    @property
    def is_awaited(self) -> bool:
        """True if somebody works on a delegation, or may be about to: a new one is taken once its words are there."""
        return self.under_way or any(request._age < _TAKEN_SECONDS for request in self.requests.open)

    # Answering by hand --------------------------------------------------------------------------------------------

    def stream(self, timeout: Optional[float]) -> DelegationStream:
        """See ``LiveSession.delegations``."""
        if self._delegate is not None:
            who = repr(self._delegate) if self.settings is not None else name_of(self._delegate)
            raise UsageError(f"{who} answers the delegations of this session; without delegate= you do")
        return DelegationStream(self.requests, timeout)

    # A Responses backend ------------------------------------------------------------------------------------------

    def add_item(self, item: Union[ConversationItem, dict[str, Any], str], event_id: Optional[str]) -> CommandHandle:
        """See ``LiveSession.add_item``."""
        self._check("responses", "An item goes to a Responses backend")
        given = ConversationItem.create_user_message(item) if isinstance(item, str) else item
        command = LiveResponseItemCreateCommand(item=given, event_id=event_id or new_event_id())
        handle = self._engine.send(command)
        if typed := _typed(command.item):
            self._speaking.append("thinking", f"The user typed: {typed}", None)
        return handle

    def start_response(self, event_id: Optional[str]) -> CommandHandle:
        """See ``LiveSession.start_response``."""
        self._check("responses", "A response is made by a Responses backend")
        if self._backend is not None:
            self._backend.new_round()
        return self._engine.send(LiveResponseCreateCommand(event_id=event_id or new_event_id()))

    # Changing the backend -----------------------------------------------------------------------------------------

    def update(
        self,
        changes: Union[LiveResponsesSettings, LiveDecisionsSettings, None],
        triggers: Setting[list[LiveTrigger]],
        acknowledgement_delay_ms: Setting[int],
        event_id: Optional[str],
    ) -> CommandHandle:
        """See ``LiveSession.update_backend``."""
        delegation = self._changed(changes)
        if acknowledgement_delay_ms is not UNSET:
            delegation = attrs.evolve(delegation, acknowledgement_delay_ms=acknowledgement_delay_ms)
        nothing = changes is None and acknowledgement_delay_ms is UNSET
        session = LiveSessionChanges(delegation=UNSET if nothing else delegation, triggers=triggers)
        command = LiveSessionUpdateCommand(session=session, event_id=event_id or new_event_id())

        before = self._told.in_force
        if before.handle is not None and before.handle.done:  # so it holds, and what was before it is history
            before.before = None
        told = _Told(delegation if before.settings is not None else None, before.functions, before)
        if isinstance(changes, LiveResponsesSettings) and changes.tools is not UNSET:
            told.functions = Functions.of(changes)

        def remember() -> None:
            self._told = told
            if told.functions is not before.functions:
                self._serve()  # the backend may call one as soon as it knows of them

        told.handle = self._engine.send(command, before=remember)
        return told.handle

    def _changed(self, changes: Union[LiveResponsesSettings, LiveDecisionsSettings, None]) -> LiveDelegation:
        """The delegation with these changes, as a whole: Azure replaces it as a whole. Raises if they cannot be."""
        kind = self.kind
        wanted = _CHANGES.get(kind)
        if changes is not None and (wanted is None or not isinstance(changes, wanted)):
            takes = f"takes {wanted.__name__}(...)" if wanted is not None else "has no backend"
            raise InvalidInputError(
                f"{type(changes).__name__} cannot be changed here: who does the delegated work, and all settings of "
                f"the voice, are fixed at the start of a session. This one {takes}"
            )
        now = self.settings
        if isinstance(changes, LiveResponsesSettings):
            before = now.responses if isinstance(now, LiveResponsesDelegation) else UNSET
            now = LiveResponsesDelegation(responses=_merged(before, changes))
        elif isinstance(changes, LiveDecisionsSettings):
            asked = now.decisions if isinstance(now, LiveDecisionsDelegation) else UNSET
            now = LiveDecisionsDelegation(decisions=_merged(asked, changes))
        return now or LiveDelegation(type=kind)

    # Decisions ----------------------------------------------------------------------------------------------------

    def decide(self, timeout: float) -> MadeDecision:
        """See ``LiveSession.decide``."""
        self._check("decisions", "Questions are answered by a Decisions backend")
        update = self._engine.send(LiveDecisionCreateCommand(event_id=new_event_id())).wait(timeout)
        assert isinstance(update, LiveDecisionEventUpdate), "nothing else acknowledges it"
        return MadeDecision(update, self._speaking)

    def add_decision_item(
        self, item: Union[ConversationItem, dict[str, Any], str], event_id: Optional[str]
    ) -> CommandHandle:
        """See ``LiveSession.add_decision_item``."""
        self._check("decisions", "An item goes to a Decisions backend")
        given = {"role": "user", "content": item} if isinstance(item, str) else item
        return self._engine.send(LiveDecisionItemCreateCommand(item=given, event_id=event_id or new_event_id()))

    def delete_decision_item(self, item_id: str, event_id: Optional[str]) -> CommandHandle:
        """See ``LiveSession.delete_decision_item``."""
        self._check("decisions", "An item is a Decisions backend's")
        return self._engine.send(LiveDecisionItemDeleteCommand(item_id=item_id, event_id=event_id or new_event_id()))

    def _check(self, kind: str, what: str) -> None:
        """Raise ``UsageError`` if somebody else does the work of this session."""
        if self.kind != kind:
            name = {"responses": "ResponsesBackend", "decisions": "DecisionsBackend"}[kind]
            raise UsageError(
                f"{what}, and this session has none: start one with start_live_session(delegate={name}(...))"
            )


def _merged(before: Setting[S], changes: S) -> S:
    """Settings with changes: those that are UNSET stay."""
    if not before:
        return changes
    changed = {
        field.name: value
        for field in attrs.fields(type(changes))
        if field.name != "extra" and (value := getattr(changes, field.name)) is not UNSET
    }
    return attrs.evolve(before, **changed, extra={**before.extra, **changes.extra})


def _typed(item: dict[str, Any]) -> str:
    """The text of a user's message; empty if the item is no such message."""
    content = item.get("content") if item.get("role") == "user" else None
    if isinstance(content, str):
        return content
    parts = [part for part in content or () if isinstance(part, dict) and part.get("type") == "input_text"]
    return " ".join(str(part.get("text") or "") for part in parts).strip()
