"""A Decisions backend: a model of the service answers questions about what is said, and the application acts on them.

It is asked by a delegation of the voice model, by a trigger (``LiveSessionOptions.triggers``), or by ``decide()``. The
answers of the first two go to ``on_decision``, one after the other, on threads of its own (``delegate_threads.py``);
those of ``decide()`` go to its caller. All of them are updates, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Optional

from realtime_sync.errors import ConfigurationError
from realtime_sync.live.delegate_threads import check_callable
from realtime_sync.live.handover import Handover, HandoverQueue, Speaking
from realtime_sync.protocol.live.questions import LiveAnswer, LiveBackendUsage, LiveDecisionsSettings, LiveQuestion
from realtime_sync.protocol.live.updates import LiveDecisionEventUpdate
from realtime_sync.protocol.tool_options import as_list
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.secret import reportable


@reportable
class MadeDecision(Handover):
    """What a Decisions backend has answered. Any thread may use it.

    ``made["mood"]`` is the answer to the question of this name. Without any delegation, what is said belongs to none.

    Attributes:
        answers: One for each question, in their order: a ``LiveChoiceAnswer``, ``LivePredicateAnswer``,
            ``LiveScoreAnswer`` or ``LiveRefusalAnswer``.
        model: The model that has decided; None if it was not told.
        usage: Its tokens; None if they were not told.
        delegation_id: The delegation that it was asked for; None if it was none.
        trigger_id: The firing of a trigger that has asked; None if none has.
        source_event_id: Of a trigger: the ``event_id`` of the fragment that has set it off; else None.
    """

    def __init__(self, update: LiveDecisionEventUpdate, speaking: Speaking) -> None:
        super().__init__(f"the decision {update.event_id}", update.delegation_id, speaking)
        decision = update.event.decision
        self.answers: Sequence[LiveAnswer] = tuple(decision.answers) if decision is not None else ()
        self.model: Optional[str] = decision.model if decision is not None else None
        self.usage: Optional[LiveBackendUsage] = decision.usage if decision is not None else None
        self.delegation_id = update.delegation_id
        self.trigger_id = update.trigger_id
        self.source_event_id = update.source_event_id

    def __repr__(self) -> str:
        return f"<MadeDecision {', '.join(map(repr, self.answers))}>"

    def __getitem__(self, name: str) -> LiveAnswer:
        """The answer to the question of this name. Raises ``KeyError``."""
        for answer in self.answers:
            if answer.name == name:
                return answer
        raise KeyError(f"no question has the name {name!r}; the names are: {[answer.name for answer in self.answers]}")


OnDecision = Callable[[MadeDecision], object]
"""Is called with each decision. A text that it returns is said; None: nothing is said."""


@reportable
class DecisionsBackend:
    """Has a model answer questions about what is said, for ``start_live_session(delegate=...)``.

    Args:
        model: The model that decides; on Azure a deployment.
        questions: A ``LiveChoiceQuestion``, ``LivePredicateQuestion`` or ``LiveScoreQuestion`` each. They are asked
            together, whenever the voice model delegates.
        on_decision: Is called with each ``MadeDecision`` of a delegation or a trigger, one after the other, on a thread
            of its own. A text that it returns is said (commentary); None: nothing is. Without it, decisions are updates
            alone.

    Attributes:
        settings: Model and questions, as the service gets them.

    Raises:
        ConfigurationError: There is no model or no question, or a question is none.
        InvalidInputError: The questions are no list, or ``on_decision`` takes no decision.
    """

    def __init__(self, model: str, questions: Sequence[LiveQuestion], on_decision: Optional[OnDecision] = None) -> None:
        if not isinstance(model, str) or not model:
            raise ConfigurationError(f"a backend needs the name of a model, not {model!r:.60}")
        if on_decision is not None:
            check_callable("on_decision", on_decision)
        asked = as_list("questions", questions)
        if not asked or not all(isinstance(each, LiveQuestion) for each in asked):
            raise ConfigurationError(
                "questions are a list of LiveChoiceQuestion(...), LivePredicateQuestion(...) or "
                f"LiveScoreQuestion(...), not {asked!r:.60}"
            )
        self.settings = LiveDecisionsSettings(model=model, questions=asked)
        self.on_decision = on_decision

    def __repr__(self) -> str:
        return f"<DecisionsBackend {self.settings.model}, {len(self.settings.questions or ())} questions>"


class DecisionQueue(HandoverQueue[MadeDecision]):
    """The decisions that wait for ``on_decision``. A listener."""

    def __init__(self, speaking: Speaking, session_id: Callable[[], Optional[str]], check: Callable[[], None]) -> None:
        super().__init__(session_id, check)
        self._speaking = speaking

    def _note(self, update: ConversationUpdate) -> None:
        if isinstance(update, LiveDecisionEventUpdate) and is_for_all(update) and self._is_new(update.event_id):
            self._add(MadeDecision(update, self._speaking))


def is_for_all(update: LiveDecisionEventUpdate) -> bool:
    """Whether a delegation or a trigger has asked; else ``decide()`` has."""
    return update.delegation_id is not None or update.trigger_id is not None
