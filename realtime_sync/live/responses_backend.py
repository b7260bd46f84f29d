"""A Responses backend: another model of the service does the work, and calls functions of the caller's.

Its events come in envelopes (``response.event``), as the Responses API streams them. The rules:

1. A call counts when its item is done and complete, and is made when its response is complete. Calls of a response that
   failed or ran out of tokens may be half written, and are dropped.
2. All calls of a response are made side by side; errors are results, as of all tools. Each result is sent; then the
   backend is asked once to go on. It refuses that while any call is open, also one of another delegation; so the last
   one who gives results asks.
3. A call is made once, by its id: a sideband is told the last seconds again.
4. If a response calls a function that is only defined here, all of its calls are left to the caller.
5. After ``MOST_ROUNDS`` rounds for one delegation the backend is not asked again, and the model is told.
6. Calls are cancelled when the session has ended, and when its connection was lost: the service knows them no more.

Each response's calls have a thread of their own, which waits for the functions (``tools/calls.py``).
Lock: ``_lock`` guards the fields of ``BackendCalls``; nothing is taken under it. The reader thread delivers.
"""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import attrs

from realtime_sync.boundary import public_call
from realtime_sync.checks import check_whole
from realtime_sync.core.engine import Engine
from realtime_sync.core.response_router import Recent
from realtime_sync.core.streams import End
from realtime_sync.errors import (
    ConfigurationError,
    InvalidInputError,
    NoMoreThreadsError,
    RealtimeSyncError,
)
from realtime_sync.live.delegate_threads import FAILED
from realtime_sync.live.handover import Speaking
from realtime_sync.protocol.connection_updates import SessionDisconnectedUpdate, SessionReconnectedUpdate
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem
from realtime_sync.protocol.live.commands import LiveResponseCreateCommand, LiveResponseItemCreateCommand
from realtime_sync.protocol.live.settings import LiveReasoningOptions, LiveResponsesSettings
from realtime_sync.protocol.live.tools import LiveFunctionTool, LiveTool, LiveToolChoice
from realtime_sync.protocol.live.updates import LiveErrorUpdate, LiveResponseEventUpdate
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.tool_options import ConversationFunctionTool, ConversationTool, ConversationToolChoice
from realtime_sync.secret import reportable
from realtime_sync.tools.cancellation import ToolCancellation
from realtime_sync.tools.rounds import MOST_ROUNDS, cancel_elsewhere
from realtime_sync.tools.runner import CallBatch, Tool, ToolRunner

if TYPE_CHECKING:
    from realtime_sync.protocol.update_base import ConversationUpdate

logger = logging.getLogger(__name__)

BackendTool = Union[Tool, LiveTool]
"""What a backend's ``tools=`` takes: what ``ask`` takes, and definitions of the service's own tools."""

HANDOFF = "handoff incomplete"
"""In the message with which the service tells that the backend has failed. It has no code for it (2026-10)."""

_ENDS = {
    "response.created": False,  # the one before it, if it has not ended by itself
    "response.completed": True,
    **dict.fromkeys(("response.failed", "response.incomplete", "response.cancelled", "error"), False),
}
"""The events that end a response; whether its calls count."""

_MOST_REMEMBERED = 256  # delegations whose rounds are counted, and responses in progress


@reportable
class ResponsesBackend:
    """Has another model of the service do the work, for ``start_live_session(delegate=...)``; also for many sessions.

    Args:
        model: The model that works, such as ``"gpt-5.6-luna"``; on Azure a deployment.
        instructions: What it is to do; apart from those of the voice. None: none.
        tools: Functions (``@function_tool``, or plain ones), which this library runs when the backend calls them; the
            service's own tools as dicts, such as ``{"type": "web_search"}``; MCP tools; or a ``ToolRunner``.
        tool_choice: ``"auto"``, ``"none"``, ``"required"``, or a ``LiveToolChoice``; None: the service chooses
            (``"auto"``). A demand is made of each answer, also of that after a call, so it may go round in circles.
        reasoning: How much it thinks: ``"low"``, or ``LiveReasoningOptions``; None: the service chooses.
        max_output_tokens: Tokens of one answer, at least 16; None: no limit. Beyond it the work fails, and the model
            says nothing of it.
        extra: Other settings of the service's, such as ``{"text": {"verbosity": "low"}}``; None: none.

    Attributes:
        settings: The same, as the service gets it.

    Raises:
        ConfigurationError: A setting cannot be right, two tools have one name, or a function cannot be described.
        InvalidInputError: A tool is none, or ``tools`` is no list.
    """

    @public_call
    def __init__(
        self,
        model: str,
        *,
        instructions: Optional[str] = None,
        tools: Union[ToolRunner, Iterable[BackendTool]] = (),
        tool_choice: Union[str, LiveToolChoice, ConversationToolChoice, None] = None,
        reasoning: Union[str, LiveReasoningOptions, None] = None,
        max_output_tokens: Optional[int] = None,
        extra: Optional[dict[str, Any]] = None,
    ) -> None:
        if not isinstance(model, str) or not model:
            raise ConfigurationError(f"a backend needs the name of a model, not {model!r:.60}")
        check_whole("max_output_tokens", max_output_tokens, at_least=16, optional=True, error=ConfigurationError)
        if isinstance(tools, (str, dict)) or not isinstance(tools, (ToolRunner, Iterable)):
            raise InvalidInputError(f"tools must be a list of functions, or a ToolRunner, not {tools!r:.60}")
        given = tools.definitions if isinstance(tools, ToolRunner) else list(tools)
        effort = LiveReasoningOptions(effort=reasoning) if isinstance(reasoning, str) else reasoning
        self.settings = LiveResponsesSettings(
            model=model,
            instructions=UNSET if instructions is None else instructions,
            tools=given or UNSET,
            tool_choice=UNSET if tool_choice is None else tool_choice,
            reasoning=UNSET if effort is None else effort,
            max_output_tokens=UNSET if max_output_tokens is None else max_output_tokens,
            extra=dict(extra or {}),
        )
        self._functions = Functions.of(self.settings, tools if isinstance(tools, ToolRunner) else None)

    def __repr__(self) -> str:
        return f"<ResponsesBackend {self.settings.model}, tools: {', '.join(self._functions.names) or 'none'}>"


@attrs.frozen(eq=False)
class Functions:
    """The functions among a backend's tools.

    Attributes:
        runner: Runs those that are run here.
        elsewhere: The names of those that are only defined here.
    """

    runner: ToolRunner
    elsewhere: frozenset[str]

    @classmethod
    def of(cls, settings: LiveResponsesSettings, runner: Optional[ToolRunner] = None) -> Functions:
        """Those of some settings; ``runner``: that runs them already. Raises as ``ToolRunner`` does."""
        tools: Sequence[Any] = settings.tools or ()
        runner = runner or ToolRunner([tool for tool in tools if not isinstance(tool, (LiveTool, ConversationTool))])
        defined = (tool.name for tool in tools if isinstance(tool, (LiveFunctionTool, ConversationFunctionTool)))
        return cls(runner, frozenset(defined) - set(runner.tools))

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [*self.runner.tools, *sorted(self.elsewhere)]

    def run(self, call: FunctionCallItem) -> bool:
        """Whether a call is made here; one of an unknown function is answered here, too."""
        return call.name not in self.elsewhere


class BackendCalls:
    """Makes the calls of a session's Responses backend; see the module. A listener.

    ``functions``: those that the backend may call now.
    """

    def __init__(self, engine: Engine, functions: Callable[[], Functions], speaking: Speaking) -> None:
        self._functions = functions
        self._engine = engine
        self._speaking = speaking
        self._made = Recent()  # the ids of calls
        self._lock = threading.Lock()
        self._noted: dict[Optional[str], list[FunctionCallItem]] = {}  # by delegation, of its response in progress
        self._rounds: dict[Optional[str], int] = {}  # by delegation, how often it has called
        self._running: dict[
            ToolCancellation, Optional[str]
        ] = {}  # of each response whose calls are made: by delegation

    # On the reader thread -----------------------------------------------------------------------------------------

    def deliver(self, update: ConversationUpdate) -> None:
        """Take over an update."""
        if isinstance(update, LiveResponseEventUpdate):
            self._note(update.delegation_id, update.event)
        elif isinstance(update, LiveErrorUpdate) and HANDOFF in (update.error.message or "").lower():
            logger.warning(
                "the backend has failed, and the model has no result to speak of (is max_output_tokens too small?): %s",
                update.error.message,
            )
            self._forget_failed()
        elif isinstance(update, (SessionDisconnectedUpdate, SessionReconnectedUpdate)):
            self.cancel()

    def end(self, end: End) -> None:
        """The session has ended: nobody waits for results."""
        self.cancel()

    def cancel(self) -> None:
        """Cancel the calls that are being made, on a thread of its own: what a function wants to be called may wait."""
        with self._lock:
            running, self._running = list(self._running), {}
            self._noted.clear()
        for cancellation in running:
            cancel_elsewhere(self._engine, cancellation)

    @property
    def open_ids(self) -> list[str]:
        """The delegations on which the backend works, or the functions that it has called."""
        with self._lock:
            names = {*self._noted, *self._running.values()}
        return [name for name in names if name is not None]

    def new_round(self) -> None:
        """The application asks the backend itself: its rounds count anew."""
        with self._lock:
            self._rounds.pop(None, None)

    def _note(self, delegation_id: Optional[str], event: dict[str, Any]) -> None:
        """Learn from an event of the backend's."""
        kind, item = event.get("type"), event.get("item")
        if kind == "response.output_item.done" and isinstance(item, dict):
            self._note_item(delegation_id, item)
        elif isinstance(kind, str) and kind in _ENDS:
            with self._lock:
                calls = self._noted.pop(delegation_id, [])
                if kind == "response.created":
                    self._noted[delegation_id] = []
                    _keep_newest(self._noted)
            if _ENDS[kind]:
                self._begin(delegation_id, calls)
            elif calls:
                logger.warning("the backend's response has failed, so its calls are not made: %s", _names(calls))

    def _forget_failed(self) -> None:
        """A response has failed, and no event of its own tells of it: nobody waits for its end.

        Which one it is, is not told. If several are in progress, those that have called nothing yet may be.
        """
        with self._lock:
            have_called = filter(operator.itemgetter(1), self._noted.items())
            self._noted = dict(have_called) if len(self._noted) > 1 else {}

    def _note_item(self, delegation_id: Optional[str], item: dict[str, Any]) -> None:
        if item.get("type") == "mcp_approval_request":
            logger.warning(
                "the backend waits for an approval of the remote tool %s: answer by "
                "add_item(ConversationItem.create_mcp_approval_response(%r, True)) and start_response(), or give the "
                "tool require_approval='never'",
                *(item.get("name"), item.get("id")),
            )
        if item.get("type") != "function_call" or item.get("status") not in ("completed", None):
            return
        call_id, name, arguments = (str(item.get(name) or "") for name in ("call_id", "name", "arguments"))
        call = FunctionCallItem(call_id=call_id, name=name, arguments=arguments)
        with self._lock:
            self._noted.setdefault(delegation_id, []).append(call)
            _keep_newest(self._noted)

    def _begin(self, delegation_id: Optional[str], noted: list[FunctionCallItem]) -> None:
        functions = self._functions()
        if not all(map(functions.run, noted)):
            return
        calls = [call for call in noted if self._made.add(call.call_id)]
        if not calls:
            return
        cancellation = ToolCancellation()
        with self._lock:
            self._running[cancellation] = delegation_id
            rounds = self._rounds[delegation_id] = self._rounds.pop(delegation_id, 0) + 1
            _keep_newest(self._rounds)
        try:
            self._engine.start_thread(
                lambda: self._make(
                    functions.runner.batch(calls, self._engine.observation), calls, cancellation, rounds
                ),
                "backend",
            )
        except NoMoreThreadsError as error:
            self._forget(cancellation)
            logger.error("the calls of the backend are not made, so it waits: %s: %s", _names(calls), error)

    # On a thread for each response --------------------------------------------------------------------------------

    def _make(
        self, batch: CallBatch, calls: Sequence[FunctionCallItem], cancellation: ToolCancellation, rounds: int
    ) -> None:
        """Make the calls of a response, and have the backend go on with their results."""
        try:
            outcomes = batch.run(cancellation)
        except RealtimeSyncError as error:  # somebody has closed the runner
            logger.error("the backend is told that its calls were cancelled: %s", error)
            outcomes = batch.given_up()
        if cancellation not in self._running:
            logger.warning("results of calls are dropped, because the backend is gone: %s", _names(calls))
            return
        try:
            for outcome in outcomes:
                item = ConversationItem.create_function_call_output(outcome.call_id, outcome.output)
                self._engine.send(LiveResponseItemCreateCommand(item=item))
            self._go_on(cancellation, rounds)
        except RealtimeSyncError as error:
            logger.warning("results of calls are dropped: %s: %s", _names(calls), error)
        finally:
            self._forget(cancellation)

    def _go_on(self, cancellation: ToolCancellation, rounds: int) -> None:
        """Have the backend go on once all results are there."""
        with self._lock:
            if cancellation not in self._running:
                return
            del self._running[cancellation]
            last = not self._running
        if rounds > MOST_ROUNDS:
            logger.error("the backend called tools %d times without answering, so it was not asked again", MOST_ROUNDS)
            self._speaking.append("commentary", FAILED, None)
        elif last:
            self._engine.send(LiveResponseCreateCommand())

    def _forget(self, cancellation: ToolCancellation) -> None:
        """Nobody makes the calls of this response any more."""
        with self._lock:
            self._running.pop(cancellation, None)


def _names(calls: Sequence[FunctionCallItem]) -> str:
    return ", ".join(str(call.name) for call in calls)


def _keep_newest(remembered: dict[Optional[str], Any]) -> None:
    if len(remembered) > _MOST_REMEMBERED:
        del remembered[next(iter(remembered))]
