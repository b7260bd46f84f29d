"""Rounds of one question: the model is asked, what it calls is answered, and it is asked again.

An answer may call functions, which are run here, and remote tools (MCP), which the service runs and about which
somebody may have to decide. A handler looks after each kind of call. The rules:

- The handlers look at an answer one after the other; each answers the calls of its kind, or leaves them to the caller.
- If a call is left to the caller, the answer that calls it is what the question has come to.
- If something was answered, the model is asked again, with the results of all handlers; else the answer is final.
- An answer that was cut short is final, too: its calls may be half written.
- A demand to call a tool (``tool_choice``) is met by the first round, and is not repeated.
- Out of band, the service keeps nothing: it is given the question, the calls and their results again in each round.
- Each call of a function that is made here is answered, also if the question ends first (out of time, Ctrl-C, an error
  of a callback): with what it has come to, else with the word that it was cancelled. A call without an output would
  stand in the way of all later answers.
- A model that calls tools for ever is a bug somewhere, and it costs money: ``MOST_ROUNDS`` rounds end in an error.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Callable, Final, Optional, Protocol

import attrs

from realtime_sync.conversation.history import History
from realtime_sync.core.answer import Answer
from realtime_sync.core.ask import OnDelta, Said, begin_response, finished_answer, say_results
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.response_router import Owner
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import NoMoreThreadsError, UsageError
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.options import ConversationResponseOptions, ConversationToolChoice
from realtime_sync.protocol.resources import RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.values import Value

if TYPE_CHECKING:
    from realtime_sync.core.engine import Engine
    from realtime_sync.tools.calls import ToolOutcome
    from realtime_sync.tools.runner import CallBatch, ToolRunner

logger = logging.getLogger(__name__)

logger = logging.getLogger(__name__)

MOST_ROUNDS: Final = 32

PATIENCE_SECONDS: Final = 600.0
"""How long to wait for the conversation to become free and the service to begin, if nobody waits for the answer."""

OnCall = Callable[[FunctionCallItem, "ToolOutcome"], object]
"""Is called with each call of a function and how it ended."""


@attrs.frozen(repr=False, eq=False)
class Step(Value):
    """What a handler has done about an answer.

    Attributes:
        results: what the model is asked again with; may be empty; None if this handler does not ask again.
        left: the answer for the caller, if one of its calls is left to the caller.
    """

    results: Optional[Sequence[ConversationItem]] = None
    left: Optional[Answer] = None


class CallHandler(Protocol):
    """Answers one kind of call."""

    @property
    def owner(self) -> Owner:
        """Which calls of the responses it answers, so that nobody else does."""

    def handle(self, answer: Answer, deadline: Deadline) -> Step:
        """Answer the calls of this kind that ``answer`` makes. Raises ``WaitTimeoutError`` if time is up."""

    def abandon(self, answer: Answer) -> Sequence[ConversationItem]:
        """The question ends with an error while this answer is handled: what the service must be told of its calls."""


def run_rounds(
    engine: RealtimeEngine,
    handlers: Sequence[CallHandler],
    items: Sequence[Said],
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
    on_delta: Optional[OnDelta] = None,
) -> Answer:
    """Ask, have the handlers answer what the response calls, and ask again, until an answer is final.

    Args:
        engine: the session's.
        handlers: in the order in which they look at an answer.
        items: the question.
        options: of the responses; None means none.
        deadline: for all rounds together.
        on_delta: is called with each piece of the answers; None if nobody wants them.

    Returns:
        The final answer, or the first one of which a call is left to the caller.

    Raises:
        UsageError: the model called tools ``MOST_ROUNDS`` times.
        WaitTimeoutError: time is up.
    """
    options = options or ConversationResponseOptions()
    owner = Owner.SESSION
    for handler in handlers:
        owner |= handler.owner
    out_of_band = options.conversation == "none"
    for number in range(MOST_ROUNDS):
        answer = finished_answer(engine, items, options, deadline, on_delta, owner, owed=number > 0)
        if is_cut_short(answer.status):
            return answer
        try:
            step = _handled(handlers, answer, deadline)
        except BaseException:
            if not out_of_band:
                say_results(engine, [item for handler in handlers for item in handler.abandon(answer)])
            raise
        if step.left is not None:
            return step.left
        if step.results is None:
            return answer
        items = [*items, *_repeated([*answer.items, *step.results])] if out_of_band else step.results
        options = _without_demand(options, engine.session)
    if not out_of_band:
        say_results(engine, [item for item in items if isinstance(item, ConversationItem)])
    raise _endless()


def _handled(handlers: Sequence[CallHandler], answer: Answer, deadline: Deadline) -> Step:
    """What all handlers together have done about an answer."""
    results: Optional[list[ConversationItem]] = None
    for handler in handlers:
        step = handler.handle(answer, deadline)
        if step.left is not None:
            return step
        if step.results is not None:
            results = [*(results or ()), *step.results]
    return Step(results)


class UnattendedRounds:
    """Has the model go on after responses for which nobody waits; every reader of the session gets what comes."""

    def __init__(self, engine: RealtimeEngine) -> None:
        self._engine = engine
        self._asked: Optional[str] = None  # the response that was asked for here last
        self._in_a_row = 0

    def ask_again(self, response_id: Optional[str], items: Sequence[ConversationItem]) -> None:
        """Give the model what the calls of a response have come to, and ask it to go on."""
        self._in_a_row = self._in_a_row + 1 if response_id == self._asked else 1
        if self._in_a_row > MOST_ROUNDS:
            say_results(self._engine, items)
            raise _endless()
        patience = Deadline(PATIENCE_SECONDS)
        self._asked = begin_response(self._engine, items, None, patience, owner=Owner.FOR_ALL, owed=True).id


def _endless() -> UsageError:
    return UsageError(
        f"the model called tools {MOST_ROUNDS} times without answering, so it was not asked again; check what the "
        "tools return, and what the instructions ask the model to do with it"
    )


def is_cut_short(status: Optional[str]) -> bool:
    """True for a response that was interrupted, ran out of tokens or failed; some servers send no status."""
    return status not in ("completed", None)


def _repeated(items: Sequence[ConversationItem]) -> list[ConversationItem]:
    """What an answer said and called, as the service takes it back."""
    return History([(item, lambda place: None) for item in items]).items


def _without_demand(
    options: ConversationResponseOptions, session: Optional[RealtimeSession]
) -> ConversationResponseOptions:
    """The options without the demand to call a tool, whether it is theirs or the session's."""
    choice = options.tool_choice or (session.tool_choice if session is not None else None)
    if not choice or choice.type in ("auto", "none"):
        return options
    return attrs.evolve(options, tool_choice=ConversationToolChoice.auto())


# Functions --------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class FunctionCalls:
    """Answers calls of functions, and leaves those of tools that are run elsewhere. A handler, and a listener.

    Args:
        engine: the session's.
        runner: runs the functions; None if all calls are left to the caller.
        on_call: is called on the thread that asks, when all calls of a response have ended; None if nobody wants it.
        owner: whose the calls are.
    """

    _engine: RealtimeEngine
    _runner: Optional[ToolRunner]
    _on_call: Optional[OnCall]
    owner: Owner = Owner.TOOLS
    _cancellation: ToolCancellation = attrs.field(init=False, factory=ToolCancellation)
    _batch: Optional[CallBatch] = attrs.field(init=False, default=None)

    def handle(self, answer: Answer, deadline: Deadline) -> Step:
        """Make the calls of an answer, if all of them are made here."""
        calls = calls_to_make(answer.items)
        if not calls:
            return Step()
        if self._runner is None or not all(map(self._runner.runs, calls)):
            return Step(left=answer)  # the results of one response are given together
        for call in calls:
            self._engine.responses.claim_call(call.call_id)  # they are the asker's, so nobody else has claimed them
        self._batch = batch = self._runner.batch(calls, self._engine.observation)
        with self._engine.listening(self):
            outcomes = batch.run(self._cancellation, timeout=deadline.left)
        self._engine.check_open()
        if self._on_call is not None:
            for call, outcome in zip(calls, outcomes, strict=True):
                self._on_call(call, outcome)
        self._batch = None
        return Step(result_items(outcomes))

    def abandon(self, answer: Answer) -> Sequence[ConversationItem]:
        """The outcomes of the calls that have ended, and cancellations of all others."""
        calls = calls_to_make(answer.items)
        if self._runner is None or not all(map(self._runner.runs, calls)):
            return ()
        return result_items((self._batch or self._runner.batch(calls)).given_up())

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update, of which nothing is needed here."""

    def end(self, end: End) -> None:
        """The session has ended: nobody waits for results."""
        cancel_elsewhere(self._engine, self._cancellation)


def calls_to_make(items: Iterable[ConversationItem]) -> list[FunctionCallItem]:
    """The calls of functions among a response's items, each once, and as it was told last."""
    calls = [item for item in items if isinstance(item, FunctionCallItem)]
    nameless = [call for call in calls if not call.call_id]
    if nameless:
        named = ", ".join(str(call.name) for call in nameless)
        logger.warning("calls without an id cannot be answered, so they are not made: %s", named)
    return list({call.call_id: call for call in calls if call.call_id}.values())


def cancel_elsewhere(engine: Engine, cancellation: ToolCancellation) -> None:
    """Cancel on a thread of its own: the reader, which calls this, must not run what a function wants to be called."""
    try:
        engine.start_thread(cancellation.cancel, "cancel")
    except NoMoreThreadsError as error:
        logger.warning("functions that run are not asked to stop; what they return is dropped: %s", error)


def result_items(outcomes: Sequence[ToolOutcome]) -> list[ConversationItem]:
    """The results of calls as items, in the order of the calls; named, so that acknowledgements can be told apart."""
    made = ConversationItem.create_function_call_output
    return [made(each.call_id, each.output, id=f"item_{secrets.token_hex(12)}") for each in outcomes]
