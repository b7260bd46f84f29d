"""A whole evening by script: tools, an interruption, a loss, the time limit, many turns; a loss at every boundary.

What the model says is fixed, so the final conversation is known word for word, whatever happened to the connections.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Optional

import attrs
import pytest

from realtime_sync import (
    ConnectionReplacedError,
    ConversationItem,
    ConversationSessionOptions,
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
    Reconnect,
    ReconnectFailedError,
    SessionReconnectedUpdate,
    ToolContext,
    function_tool,
)
from realtime_sync.protocol.plain import from_plain
from realtime_sync.server import Faults, FunctionCall, Refusal, Reply, Turn, faults
from tests.core.answers import WRITTEN
from tests.core.harness import House, Running, client_threads, until
from tests.reconnect.test_reconnecting import expire

pytestmark = pytest.mark.medium

QUICKLY = Reconnect(base_delay=0.02, max_delay=0.05, give_up_after=20, renew_before=None)
OPTIONS = ConversationSessionOptions(instructions="an evening", turn_detection_options=None)
SPOKEN = "one two three four"
SPOKEN_AUDIO = bytes(48_000)  # a second


class Model:
    """Answers by script; what it says is cut off where the script says so."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.half_said = threading.Event()

    def __call__(self, turn: Turn) -> Any:
        last = turn.last or {}
        if last.get("type") == "function_call_output":
            return "All tools are done."
        asked = turn.text_of(last)
        if asked == "tools":
            return Reply(function_calls=[FunctionCall(name, {}) for name in ("slow", "broken", "nothing")])
        if asked == "speak":
            return self._spoken(turn)
        if asked == "half" and not self.half_said.is_set():
            return self._half(turn)
        return f"answer to {asked}"

    def _spoken(self, turn: Turn) -> Iterator[Reply]:
        yield Reply(SPOKEN, SPOKEN_AUDIO)
        turn.cancelled.wait(20)

    def _half(self, turn: Turn) -> Iterator[str]:
        yield "half of "
        self.half_said.set()
        turn.cancelled.wait(20)


@attrs.define
class Evening:
    """One run of it against a server: ``replaced`` counts the typed errors that the caller got."""

    session: Any
    house: House
    turns: int
    slow_seconds: float
    replaced: int = 0

    def tools(self) -> list[Any]:
        @function_tool
        def slow(context: ToolContext) -> str:
            """It takes its time."""
            context.cancellation.wait(self.slow_seconds)
            return "slow"

        @function_tool
        def broken() -> str:
            """It raises."""
            raise ValueError("broken")

        @function_tool
        def nothing() -> int:
            """It returns 0."""
            return 0

        return [slow, broken, nothing]

    def ask(self, question: str, **options: Any) -> None:
        """Ask; where the answer was cut off, that is told once, and the evening goes on."""
        try:
            assert self.session.ask(question, WRITTEN, timeout=60, **options).completed
        except ConnectionReplacedError:
            self.replaced += 1

    def interrupt(self) -> None:
        try:
            response = self.session.respond("speak", timeout=30)
            until(lambda: response.done or self._is_spoken(response.answer()), 30)
            self.session.interrupt(heard_ms=500, timeout=30)
        except ConnectionReplacedError:
            self.replaced += 1

    def _is_spoken(self, answer: Any) -> bool:
        return answer.transcript.strip() == SPOKEN and len(answer.audio) == len(SPOKEN_AUDIO)

    def run(self, lose: Optional[Callable[[], None]] = None, expiry: bool = True) -> None:
        self.ask("hello")
        self.ask("tools", tools=self.tools())
        self.interrupt()
        if lose is not None:
            asking = Running(lambda: self.ask("half"))
            until(lambda: "half of " in words(self.session))
            lose()
            asking.result(60)
            until(lambda: not self.session._engine.reconnecting)
        if expiry:
            expire(self.house)
        for number in range(self.turns):
            self.ask(str(number))


Shown = tuple[str, ...]


def shown(item: ConversationItem) -> Shown:
    """An item as the script knows it: without the ids, which the service makes up."""
    if isinstance(item, MessageItem):
        return (str(item.role), *(part.text or part.transcript or "" for part in item.content))
    if isinstance(item, FunctionCallItem):
        return ("call", str(item.name), str(item.arguments))
    assert isinstance(item, FunctionCallOutputItem)
    return ("output", str(item.output))


def words(session: Any) -> list[str]:
    return [word for item in session.conversation.items for word in shown(item)[1:]]


def at_the_server(live: Any) -> list[Shown]:
    return [shown(from_plain(item.wire, ConversationItem)) for item in live.conversation]


def expected(turns: int) -> list[Shown]:
    output = ("output", json.dumps({"error": "ValueError: broken"}))
    return [
        ("user", "hello"),
        ("assistant", "answer to hello"),
        ("user", "tools"),
        *(("call", name, "{}") for name in ("slow", "broken", "nothing")),
        ("output", "slow"),
        output,
        ("output", "0"),
        ("assistant", "All tools are done."),
        ("user", "speak"),
        ("assistant", "one two"),
        ("user", "half"),
        ("assistant", "half of "),
        *(line for n in range(turns) for line in (("user", str(n)), ("assistant", f"answer to {n}"))),
    ]


def spend(house: House, turns: int, slow_seconds: float) -> None:
    house.serve(responder=Model(), audio_pace=None)
    session = house.open(start={"options": OPTIONS, "reconnect": QUICKLY})
    stream = session.subscribe()
    evening = Evening(session, house, turns, slow_seconds)
    evening.run(lose=lambda: house.live.inject(faults.drop()))
    assert evening.replaced == 1  # the answer that was cut off
    conversation = session.conversation
    assert json.dumps([shown(item) for item in conversation.items]) == json.dumps(expected(turns))
    assert json.dumps(at_the_server(house.live)) == json.dumps(expected(turns))
    session.close()
    told = [update for update in stream if isinstance(update, SessionReconnectedUpdate)]
    assert len(told) == 2
    assert [response.status for response in conversation.responses][:5] == [
        "completed", "completed", "completed", "cancelled", "incomplete",
    ]  # fmt: skip
    until(lambda: not client_threads())


def test_an_evening_ends_as_the_script_says(house: House) -> None:
    spend(house, turns=5, slow_seconds=0.3)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_long_evening_with_a_tool_of_twenty_seconds_ends_as_the_script_says(house: House) -> None:
    spend(house, turns=200, slow_seconds=20)


# The loss at every boundary ------------------------------------------------------------------------------------------


def count_messages(house: House) -> tuple[int, int]:
    """How many messages the undisturbed evening takes in each direction."""
    house.serve(responder=Model(), audio_pace=None)
    session = house.open(start={"options": OPTIONS, "reconnect": QUICKLY})
    Evening(session, house, 2, 0.02).run(expiry=False)
    session.close()
    (live,) = house.server.sessions
    return live.sent_count, live.received_count


def lose_at(house: House, act: Any) -> None:
    """One evening with one loss; what was said in the end is the same for both sides, and nothing hangs."""
    house.serve(responder=Model(), audio_pace=None)
    session = house.open(start={"options": OPTIONS, "reconnect": QUICKLY})
    stream = session.subscribe()
    house.live.inject(act)
    evening = Evening(session, house, 2, 0.02)
    Running(lambda: evening.run(expiry=False)).result(60)
    assert evening.replaced <= 1
    assert session.ask("still there?", WRITTEN, timeout=30).text == "answer to still there?"
    assert [shown(item) for item in session.conversation.items] == at_the_server(house.live)
    asked = [item[1] for item in at_the_server(house.live) if item[0] == "user"]
    assert asked == ["hello", "tools", "speak", "0", "1", "still there?"]
    session.close()
    told = [update for update in stream if isinstance(update, SessionReconnectedUpdate)]
    assert len(told) == len(house.server.sessions) - 1
    house.server.close()


def test_a_loss_at_a_boundary_here_and_there_is_survived(plain: House) -> None:
    sent, received = count_messages(plain)
    for number in range(3, sent, 11):
        lose_at(plain, faults.drop(after_sent=number))
    for number in range(2, received, 7):
        lose_at(plain, faults.eof(after_received=number))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [faults.drop, faults.eof])
def test_a_loss_at_every_boundary_is_survived(house: House, end: Callable[..., Any]) -> None:
    sent, received = count_messages(house)
    for number in range(1, sent + 1):
        lose_at(house, end(after_sent=number))
    for number in range(1, received + 1):
        lose_at(house, end(after_received=number))


def test_where_no_connection_comes_back_the_caller_gets_one_error_that_says_what_was_lost(plain: House) -> None:
    plain.serve(responder=Model(), audio_pace=None)
    policy = attrs.evolve(QUICKLY, give_up_after=0.3)
    session = plain.open(start={"options": OPTIONS, "reconnect": policy})
    plain.server.faults = Faults(refuse=Refusal(503))
    plain.live.inject(faults.drop(after_sent=12))
    with pytest.raises(ReconnectFailedError) as caught:
        Evening(session, plain, 2, 0.02).run(expiry=False)
    assert caught.value.__cause__ is not None
