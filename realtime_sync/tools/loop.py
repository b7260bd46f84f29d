"""Letting the model call Python functions: run what it asks for, give the results back in order, let it go on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Callable, Literal, Optional, Protocol, Union, get_args

import attrs

from realtime_sync.conversation.history import History
from realtime_sync.core.answer import Answer
from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.realtime import RealtimeEngine
from realtime_sync.core.response import Response
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.errors import (
    ConnectionClosedError,
    ConnectionReplacedError,
    InvalidInputError,
    SessionNotOpenError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.options import (
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
    ConversationToolChoice,
    SessionOptions,
)
from realtime_sync.protocol.resources import ConversationResponse, RealtimeSession
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import InputAudioBufferSpeechStartedUpdate, ResponseDoneUpdate
from realtime_sync.tools import Tool, ToolCancellation, ToolOutcome, ToolRunner

logger = logging.getLogger(__name__)

OnInterruption = Literal["keep", "drop"]

TOOLS_KEY = "realtime_sync_tools"
"""In the metadata of a response whose calls are made by the ``ask`` that asked for it."""

# How long run_tools waits for the conversation to become free, and for the service to begin its answer.
_PATIENCE_SECONDS = 600.0
# A model that calls tools for ever is a bug somewhere, and it costs money.
_MOST_ROUNDS = 32


class Conversing(Protocol):
    """What is needed of a session."""

    def add_item(self, item: ConversationItem) -> CommandHandle:
        """Add an item to the conversation."""
        ...

    def configure_session(self, options: SessionOptions) -> CommandHandle:
        """Change settings."""
        ...

    def respond(
        self,
        content: list[ConversationItem],
        options: Optional[ConversationResponseOptions] = None,
        *,
        timeout: float = 60.0,
    ) -> Response:
        """Ask for an answer."""
        ...


@contextmanager
def as_runner(tools: Union[ToolRunner, Iterable[Tool]]) -> Iterator[ToolRunner]:
    """A runner for ``tools``, closed in the end unless it is the caller's own."""
    if isinstance(tools, ToolRunner):
        yield tools
        return
    with ToolRunner(tools) as runner:
        yield runner


def with_tools(
    options: Optional[ConversationResponseOptions], tools: list[ConversationTool]
) -> ConversationResponseOptions:
    """The options of a response that may call these tools; tools that the caller named stay."""
    options = options or ConversationResponseOptions()
    return options if isinstance(options.tools, list) else attrs.evolve(options, tools=tools)


def left_to_asker(options: Optional[ConversationResponseOptions]) -> Optional[ConversationResponseOptions]:
    """The options of who makes no calls: those of tools that it names itself are nobody else's to make."""
    if options is None or not isinstance(options.tools, list):
        return options
    return attrs.evolve(options, metadata={**(options.metadata or {}), TOOLS_KEY: "ask"})


def freed(options: ConversationResponseOptions, session: Optional[RealtimeSession]) -> ConversationResponseOptions:
    """The options without the demand to call a tool, theirs or the session's, which the calls have met."""
    choice = options.tool_choice or (session.tool_choice if session is not None else None)
    if not choice or choice.type in ("auto", "none"):
        return options
    return attrs.evolve(options, tool_choice=ConversationToolChoice.auto())


def answer_with_tools(
    engine: RealtimeEngine,
    ask: Callable[[Sequence[ConversationItem], Optional[ConversationResponseOptions], Deadline], Answer],
    items: Sequence[ConversationItem],
    runner: ToolRunner,
    options: Optional[ConversationResponseOptions],
    deadline: Deadline,
) -> Answer:
    """The answer to ``items``: make the calls that it asks for, and have it answered anew, until it asks for none.

    Calls of tools that are run elsewhere are the caller's to make: the answer that asks for them is returned.
    ``ask`` says items and waits for the answer, as ``finished_answer`` does.
    """
    options = options or ConversationResponseOptions()
    options = attrs.evolve(options, metadata={**(options.metadata or {}), TOOLS_KEY: "ask"})
    answer = ask(items, options, deadline)
    for _ in range(_MOST_ROUNDS):
        calls = _calls_of(answer.response)
        if not calls or not all(map(runner.runs, calls)):
            return answer
        cancellation = ToolCancellation()
        with engine.listening(_AtTheEnd(cancellation)):
            outcomes = runner.run(calls, cancellation, timeout=deadline.left)
        engine.check_open()
        said = _results(outcomes)
        # Out of band the service keeps nothing: it is told again what was asked, and which calls these results are of.
        items = [*items, *_carried([*answer.items, *said])] if options.conversation == "none" else said
        options = freed(options, engine.session)
        answer = ask(items, options, deadline)
    raise UsageError(f"the model called tools {_MOST_ROUNDS} times without answering; is a result of use to it?")


def run_tools(session: Conversing, engine: RealtimeEngine, runner: ToolRunner, on_interruption: OnInterruption) -> None:
    """Serve the model's calls until the session ends; see ``RealtimeConversationSession.run_tools``."""
    if on_interruption not in get_args(OnInterruption):
        raise InvalidInputError(f'on_interruption is "keep" or "drop", not {on_interruption!r}')
    engine.updates.rest()
    inbox = Inbox(drop=on_interruption == "drop")
    with engine.listening(inbox):
        try:
            session.configure_session(ConversationSessionOptions(tools=runner.definitions)).wait()
        except ConnectionReplacedError:
            pass  # the next connection is told of them
        except WaitTimeoutError as error:  # some servers acknowledge no settings, and keep them (Hugging Face's)
            logger.warning("the calls that come are made, but the service may not know the tools: %s", error)
        while not isinstance(item := inbox.next(), End):
            serve(session, runner, inbox, *item)
    if not item.clean:
        raise item.reason.with_traceback(None)


def serve(session: Conversing, runner: ToolRunner, inbox: Inbox, calls: Sequence[FunctionCallItem], turn: int) -> None:
    """Make the calls of one response, and have the model go on with their results."""
    if not all(map(runner.runs, calls)):
        return  # some are run elsewhere, and the results of one response are given together
    try:
        _give_results(session, runner, inbox, calls, turn)
    except (ConnectionClosedError, SessionNotOpenError):
        pass  # the end is on its way into the inbox, and says how it came; or the session goes on elsewhere


def _give_results(
    session: Conversing, runner: ToolRunner, inbox: Inbox, calls: Sequence[FunctionCallItem], turn: int
) -> None:
    with inbox.cancelling(turn) as cancellation:
        outcomes = runner.run(calls, cancellation)
    if not cancellation.cancelled:
        session.respond(_results(outcomes), timeout=_PATIENCE_SECONDS)
        return
    for handle in [session.add_item(result) for result in _results(outcomes)]:
        with suppress(WaitTimeoutError):  # some servers acknowledge no items
            handle.wait()  # and no answer: the user has spoken, and is answered for that


def _calls_of(response: ConversationResponse) -> list[FunctionCallItem]:
    """The calls to make: none of a response that was cut off, by an interruption for one."""
    if response.status not in ("completed", None):  # some servers tell no status
        return []
    return [item for item in response.output if isinstance(item, FunctionCallItem)]


def _is_for_all(update: ResponseDoneUpdate) -> bool:
    """False for an answer whose ``ask`` makes the calls, and for one out of band: its results could not be added."""
    return not update.out_of_band and TOOLS_KEY not in (update.response.metadata or {})


def _results(outcomes: Sequence[ToolOutcome]) -> list[ConversationItem]:
    """The results as items, in the order of the calls."""
    return [ConversationItem.create_function_call_output(outcome.call_id, outcome.output) for outcome in outcomes]


def _carried(items: Sequence[ConversationItem]) -> list[ConversationItem]:
    """What an answer said and called, as the service takes it back."""
    return History([(item, lambda place: None) for item in items]).items


class _AtTheEnd:
    """Cancels what runs when the session has ended. A listener: called on the reader thread."""

    def __init__(self, cancellation: ToolCancellation) -> None:
        self._cancellation = cancellation

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update; True: there is always room for more."""
        return True

    def end(self, end: End) -> None:
        """The session has ended; nobody waits for results."""
        self._cancellation.cancel()


class Inbox:
    """The calls that wait to be made, and whether the user has spoken since. A listener: called on the reader thread.

    It keeps calls only, so it does not fill up while a tool runs.
    """

    def __init__(self, drop: bool) -> None:
        self._drop = drop
        self._changed = threading.Condition()  # guards all below; notified when there is something to take
        self._calls: deque[tuple[list[FunctionCallItem], int]] = deque()
        self._turn = 0  # how often the user has begun to speak
        self._end: Optional[End] = None
        self._running: Optional[ToolCancellation] = None

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update; True: there is always room for more."""
        cancelled = None
        with self._changed:
            if isinstance(update, InputAudioBufferSpeechStartedUpdate):
                self._turn += 1
                cancelled = self._running if self._drop else None
            elif isinstance(update, ResponseDoneUpdate) and _is_for_all(update):
                calls = _calls_of(update.response)
                if calls:
                    self._calls.append((calls, self._turn))
                    self._changed.notify_all()
        if cancelled is not None:
            cancelled.cancel()
        return True

    def end(self, end: End) -> None:
        """The session has ended; nobody waits for results."""
        with self._changed:
            self._end = end
            cancelled = self._running
            self._changed.notify_all()
        if cancelled is not None:
            cancelled.cancel()

    def next(self) -> Union[tuple[list[FunctionCallItem], int], End]:
        """The next calls with the turn that they were made in; the end once it has come."""
        with self._changed:
            Deadline(None).wait(lambda s: self._changed.wait_for(lambda: bool(self._end or self._calls), s))
            return self._end or self._calls.popleft()

    @contextmanager
    def cancelling(self, turn: int) -> Iterator[ToolCancellation]:
        """What cancels calls of this turn while they run; it is cancelled already where the user has spoken since."""
        cancellation = ToolCancellation()
        with self._changed:
            self._running = cancellation
            late = self._end is not None or (self._drop and self._turn != turn)
        if late:
            cancellation.cancel()
        try:
            yield cancellation
        finally:
            with self._changed:
                self._running = None
