"""Letting the model call Python functions: run what it asks for, give the results back in order, let it go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, Optional, Protocol, Union

import attrs

from realtime_sync.acknowledgement import CommandHandle
from realtime_sync.delivery import End, UpdateStream
from realtime_sync.engine import Engine
from realtime_sync.errors import UsageError
from realtime_sync.function_tools import Tool, ToolCancellation, ToolOutcome, ToolRunner
from realtime_sync.patience import Patience
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.options import ConversationResponseOptions, ConversationSessionOptions, SessionOptions
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import InputAudioBufferSpeechStartedUpdate, ResponseDoneUpdate
from realtime_sync.response import Answer, Response

OnInterruption = Literal["keep", "drop"]

TOOLS_KEY = "realtime_sync_tools"
"""In the metadata of a response whose calls are made by the ``ask`` that asked for it."""

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
        self, content: None = None, options: Optional[ConversationResponseOptions] = None, *, timeout: float = 60.0
    ) -> Response:
        """Ask for an answer."""
        ...

    def subscribe(self) -> UpdateStream:
        """A stream of updates of its own."""
        ...


@contextmanager
def as_runner(tools: Union[ToolRunner, Iterable[Tool]]) -> Iterator[ToolRunner]:
    """A runner for ``tools``, closed in the end unless it is the caller's own."""
    if isinstance(tools, ToolRunner):
        yield tools
        return
    with ToolRunner(tools) as runner:
        yield runner


def with_tools(options: Optional[ConversationResponseOptions], runner: ToolRunner) -> ConversationResponseOptions:
    """The options of a response that may call the runner's tools; tools that the caller named stay."""
    options = options or ConversationResponseOptions()
    tools = options.tools if isinstance(options.tools, list) else runner.definitions
    return attrs.evolve(options, tools=tools, metadata={**(options.metadata or {}), TOOLS_KEY: "ask"})


def finish_with_tools(
    session: Conversing,
    answer: Answer,
    runner: ToolRunner,
    options: ConversationResponseOptions,
    patience: Patience,
) -> Answer:
    """Make the calls that an answer asks for, and have it answered anew, until it asks for none."""
    for _ in range(_MOST_ROUNDS):
        if not answer.function_calls:
            return answer
        give_back(session, runner.run(answer.function_calls))
        with session.respond(None, options, timeout=patience.left or 0.0) as response:
            answer = response.wait(patience.left)
    raise UsageError(f"the model called tools {_MOST_ROUNDS} times without answering; is a result of use to it?")


def run_tools(session: Conversing, engine: Engine, runner: ToolRunner, on_interruption: OnInterruption) -> None:
    """Serve the model's calls until the session ends; see ``RealtimeConversationSession.run_tools``."""
    with session.subscribe() as updates:
        session.configure_session(ConversationSessionOptions(tools=runner.definitions)).wait()
        for update in updates:
            if not isinstance(update, ResponseDoneUpdate):
                continue
            calls = [item for item in update.response.output if isinstance(item, FunctionCallItem)]
            if not calls or TOOLS_KEY in (update.response.metadata or {}):
                continue
            cancellation = ToolCancellation()
            with engine.listening(_Interruption(cancellation, on_interruption)):
                outcomes = runner.run(calls, cancellation)
            give_back(session, outcomes)
            if not cancellation.cancelled:  # else the user has spoken, and is answered for that
                session.respond()


def give_back(session: Conversing, outcomes: Sequence[ToolOutcome]) -> None:
    """Add the results to the conversation, in the order of the calls."""
    for outcome in outcomes:
        session.add_item(ConversationItem.create_function_call_output(outcome.call_id, outcome.output))


class _Interruption:
    """Tells running tools that the user speaks, or that the session has ended. Called on the reader thread."""

    def __init__(self, cancellation: ToolCancellation, on_interruption: OnInterruption) -> None:
        self._cancellation = cancellation
        self._drop = on_interruption == "drop"

    def deliver(self, update: ConversationUpdate) -> bool:
        """See an update; True: there is always room for more."""
        if self._drop and isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._cancellation.cancel()
        return True

    def end(self, end: End) -> None:
        """The session has ended; nobody waits for results."""
        self._cancellation.cancel()
