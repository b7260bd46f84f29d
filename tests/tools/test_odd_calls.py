"""Calls as odd servers tell them: understood, or refused to the model; never with defaults that nobody asked for."""

from __future__ import annotations

import itertools
import json
import signal
import threading
from typing import Any, Callable, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync import ConversationResponseOptions, ConversationSessionOptions, UsageError, WaitTimeoutError
from realtime_sync.core.normalizer import ResponseNormalizer
from realtime_sync.core.response_router import ResponseRouter
from realtime_sync.protocol import codec
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.server import FunctionCall, Turn
from realtime_sync.server.responder import Reply
from realtime_sync.tools import ToolRunner, function_tool
from tests.core.answers import Gate as SlowAnswer
from tests.core.harness import House, Running, until
from tests.core.imitator import Imitator, Message, Said, added, created, done, one_after_another, piece
from tests.tools.calling import Gate

SAID = '{"degrees": 25}'
PLACE = {"response_id": "resp_1", "item_id": "fc", "output_index": 0, "call_id": "call_1"}


class Thermostat:
    """A tool with a default, which nobody asks for here."""

    def __init__(self) -> None:
        self.set_to: list[int] = []

    def set_temperature(self, degrees: int = 20) -> str:
        """Set the temperature."""
        self.set_to.append(degrees)
        return f"set to {degrees}"


def item(**fields: Any) -> Message:
    told = {"id": "fc", "type": "function_call", "status": "completed", "name": "set_temperature", "call_id": "call_1"}
    return {name: value for name, value in {**told, "arguments": SAID, **fields}.items() if value != "absent"}


def delta(text: str, **fields: Any) -> Message:
    return {"type": "response.function_call_arguments.delta", **PLACE, "delta": text, **fields}


def arguments_done(arguments: Any, **fields: Any) -> Message:
    told = {"type": "response.function_call_arguments.done", **PLACE, "arguments": arguments, **fields}
    return {name: value for name, value in told.items() if value != "absent"}


def item_done(**fields: Any) -> Message:
    return {"type": "response.output_item.done", "response_id": "resp_1", "output_index": 0, "item": item(**fields)}


def item_added(**fields: Any) -> Message:
    return {**item_done(**{"arguments": "", "status": "in_progress", **fields}), "type": "response.output_item.added"}


def calling(said: list[Said], second: str = "fine") -> Imitator:
    after = [created("resp_2"), piece(second, "resp_2"), done("resp_2")]
    told: Said = {"type": "session.updated", "session": {}}
    answers = one_after_another([created(), *said], after)
    return Imitator({"session.update": [told], "conversation.item.create": added, "response.create": answers})


def outputs(server: Imitator) -> list[tuple[str, str]]:
    items = [message.get("item", {}) for message in list(server.heard)]
    return [(each["call_id"], each["output"]) for each in items if each.get("type") == "function_call_output"]


PIECES: list[Said] = [item_added(), delta('{"degr'), delta('ees": 25}')]

UNDERSTOOD: dict[str, list[Said]] = {
    "in pieces, empty at the end": [
        *PIECES,
        arguments_done(""),
        item_done(arguments=""),
        done(output=[item(arguments="")]),
    ],
    "in pieces, null": [*PIECES, arguments_done(None), item_done(arguments=None), done(output=[item(arguments=None)])],
    "in pieces, no end": [*PIECES, item_done(arguments="absent"), done(output=[item(arguments="absent")])],
    "in pieces, the response alone ends": [*PIECES, done(output=[item(arguments="")])],
    "in pieces, another item id at the end": [*PIECES, item_done(arguments="", id="other"), done(output=[])],
    "in pieces without the item's id": [
        delta(SAID, item_id=None),
        arguments_done("", item_id=None, name="set_temperature"),
        done(output=[]),
    ],
    "once, and never again": [arguments_done(SAID), item_done(arguments=""), done(output=[item(arguments=None)])],
    "an object": [arguments_done({"degrees": 25}), item_done(arguments={"degrees": 25}), done(output=[])],
    "an object at the end": [done(output=[item(arguments={"degrees": 25})])],
    "an object behind pieces": [*PIECES, done(output=[item(arguments={"degrees": 25})])],
    "twice at the end": [done(output=[item(), item(id="again")])],
    "twice before it": [item_done(), item_done(id="again"), done(output=[])],
    "twice, better the second time": [done(output=[item(arguments=""), item(id="again")])],
}
REFUSED: dict[str, list[Said]] = {
    "nothing": [done(output=[item(arguments="")])],
    "null": [item_done(arguments=None), done(output=[item(arguments=None)])],
    "a number": [done(output=[item(arguments=25)])],
    "an array": [done(output=[item(arguments=[25])])],
    "true": [done(output=[item(arguments=True)])],
    "half of it": [delta('{"degr'), done(output=[item(arguments="")])],
    "pieces twice": [delta(SAID), delta(SAID), done(output=[item(arguments="")])],
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_the_model_said_is_what_the_function_gets(plain: House, name: str) -> None:
    server, thermostat = calling(UNDERSTOOD[name]), Thermostat()
    session = plain.raw(server)
    assert session.ask("25", tools=[thermostat.set_temperature], timeout=5).text == "fine"
    assert (thermostat.set_to, outputs(server)) == ([25], [("call_1", "set to 25")])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_understood_is_refused_to_the_model(plain: House, name: str) -> None:
    server, thermostat = calling(REFUSED[name]), Thermostat()
    assert plain.raw(server).ask("25", tools=[thermostat.set_temperature], timeout=5).text == "fine"
    assert thermostat.set_to == []
    ((call_id, output),) = outputs(server)
    assert call_id == "call_1"
    assert "was not called" in json.loads(output)["error"]


@pytest.mark.parametrize("name", [*UNDERSTOOD, *REFUSED])
def test_the_sessions_own_tools_see_the_same(plain: House, name: str) -> None:
    server, thermostat = calling({**UNDERSTOOD, **REFUSED}[name]), Thermostat()
    options = ConversationSessionOptions(tools=[function_tool(thermostat.set_temperature)])
    session = plain.raw(server, start={"options": options})
    session.start_response()
    until(lambda: outputs(server))
    assert thermostat.set_to == ([25] if name in UNDERSTOOD else [])
    assert len(outputs(server)) == 1


def test_a_function_without_parameters_needs_no_arguments(plain: House) -> None:
    def look() -> str:
        """Look."""
        return "seen"

    server = calling([done(output=[item(name="look", arguments="")])])
    plain.raw(server).ask("Look", tools=[look], timeout=5)
    assert outputs(server) == [("call_1", "seen")]


def test_a_call_without_an_id_is_answered_by_its_items(plain: House) -> None:
    server, thermostat = calling([done(output=[item(call_id="absent")])]), Thermostat()
    assert plain.raw(server).ask("25", tools=[thermostat.set_temperature], timeout=5).text == "fine"
    assert (thermostat.set_to, outputs(server)) == ([25], [("fc", "set to 25")])


@pytest.mark.parametrize("nothing", ["absent", None, ""])
def test_a_call_that_nothing_names_is_not_made_because_it_cannot_be_answered(
    plain: House, nothing: Optional[str], caplog: pytest.LogCaptureFixture
) -> None:
    server, thermostat = calling([done(output=[item(call_id=nothing, id=nothing)])]), Thermostat()
    answer = plain.raw(server).ask("25", tools=[thermostat.set_temperature], timeout=5)
    assert (thermostat.set_to, outputs(server), len(answer.function_calls)) == ([], [], 1)
    assert "set_temperature" in caplog.text


ENDS: list[Callable[[str], Any]] = [
    lambda text: text,
    json.loads,
    lambda text: "",
    lambda text: None,
    lambda _: "absent",
]


@given(
    arguments=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3).map(json.dumps),
    cuts=st.lists(st.integers(0, 60), max_size=4).map(sorted),
    ends=st.tuples(*[st.sampled_from(ENDS)] * 3),
    ids=st.sampled_from(["fc", "another"]),
)
def test_however_a_call_is_told_everyone_sees_the_same_arguments(
    arguments: str, cuts: list[int], ends: tuple[Callable[[str], Any], ...], ids: str
) -> None:
    router = ResponseRouter()
    complete = ResponseNormalizer(router).complete
    bounds = [0, *(min(cut, len(arguments)) for cut in cuts), len(arguments)]
    pieces = [arguments[start:end] for start, end in itertools.pairwise(bounds)]
    first, second, third = (end(arguments) for end in ends)
    told: list[Message] = [
        created(),  # type: ignore[list-item]
        *(delta(text) for text in pieces),
        arguments_done(first),
        item_done(arguments=second, id=ids),
        done(output=[item(arguments=third)]),
    ]
    heard: list[Any] = []
    for message in told:
        update = complete(codec.decode(json.dumps(message)))
        router.route(update, None)
        heard.append(update)
    for text in (heard[-3].arguments, heard[-2].item.arguments, heard[-1].response.output[0].arguments):
        assert json.loads(text) == json.loads(arguments)


# Every call is answered ----------------------------------------------------------------------------------------------


def booking(turn: Turn) -> Reply:
    """Calls ``book`` when asked to, else tells how many calls have no output."""
    outputs = {each["call_id"] for each in turn.items if each["type"] == "function_call_output"}
    open_calls = [each for each in turn.items if each["type"] == "function_call" and each["call_id"] not in outputs]
    if turn.last["type"] == "message" and "book" in turn.text_of(turn.last):
        return FunctionCall("book", {})  # type: ignore[return-value]
    return f"{len(open_calls)} unanswered"  # type: ignore[return-value]


TEXT = ConversationResponseOptions(content_modalities=["text"])


def told(session: Any) -> list[str]:
    items = session.conversation.items
    return [each.output for each in items if each.type == "function_call_output"]


def test_a_question_that_ends_while_its_tool_runs_has_its_call_answered(plain: House) -> None:
    plain.serve(responder=booking)
    session, gate = plain.open(), Gate()

    def book() -> str:
        """Book."""
        gate.open.wait(10)
        return "booked"

    with pytest.raises(WaitTimeoutError):
        session.ask("book", TEXT, tools=[book], timeout=1)  # within which the call must have come
    gate.open.set()
    assert session.ask("And now?", TEXT, timeout=5).text == "0 unanswered"
    assert "cancelled" in told(session)[0]
    session.close()
    assert [update.type for update in session.updates() if update.type.startswith("conversation.item")] == []


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a signal cannot be sent to a thread here")
def test_ctrl_c_while_a_tool_runs_leaves_no_call_without_an_output(plain: House) -> None:
    plain.serve(responder=booking)
    session, gate, asker = plain.open(), Gate(), threading.get_ident()

    def book() -> str:
        """Book."""
        signal.pthread_kill(asker, signal.SIGINT)
        gate.open.wait(10)
        return "booked"

    with pytest.raises(KeyboardInterrupt):
        session.ask("book", TEXT, tools=[book], timeout=10)
    gate.open.set()
    assert session.ask("And now?", TEXT, timeout=5).text == "0 unanswered"


def test_what_a_tool_has_done_is_told_though_the_callback_fails(plain: House) -> None:
    plain.serve(responder=booking)
    session = plain.open()

    def book() -> str:
        """Book."""
        return "booked"

    with pytest.raises(ZeroDivisionError):
        session.ask("book", TEXT, tools=[book], on_call=lambda call, outcome: 1 / 0, timeout=5)
    assert session.ask("And now?", TEXT, timeout=5).text == "0 unanswered"
    assert told(session) == ["booked"]


def test_results_are_given_though_no_answer_can_be_asked_for(plain: House) -> None:
    """Another answer has begun meanwhile, and takes longer than the question has time for."""
    slow = SlowAnswer()

    def respond(turn: Turn) -> Any:
        return slow(turn) if turn.text_of(turn.last) == "Talk" else booking(turn)

    plain.serve(responder=respond)
    session = plain.open()

    def book() -> str:
        """Book, while the user goes on."""
        session.add_item("Talk")
        session.start_response().wait()
        return "booked"

    with pytest.raises(WaitTimeoutError):
        session.ask("book", TEXT, tools=[book], timeout=1)
    until(lambda: told(session) == ["booked"])
    slow.opened.set()
    session.wait_for("response.done", 5)
    assert session.ask("And now?", TEXT, timeout=5).text == "0 unanswered"


def test_a_model_that_calls_for_ever_has_its_last_call_answered(plain: House) -> None:
    plain.serve(responder=lambda turn: FunctionCall("book", {}))
    session = plain.open()

    def book() -> str:
        """Book."""
        return "booked"

    with pytest.raises(UsageError, match="32 times"):
        session.ask("book", TEXT, tools=[book], timeout=20)
    until(lambda: len(told(session)) == 32)


def test_a_served_call_whose_runner_is_closed_is_answered(plain: House) -> None:
    plain.serve(responder=booking)
    session = plain.open()

    def book() -> str:
        """Book."""
        return "booked"

    runner = ToolRunner([book])
    serving = Running(lambda: session.run_tools(runner))
    plain.live.wait_for_message("session.update")
    session.wait_for("session.updated", 5)
    runner.close()
    session.add_item("book")
    session.start_response(TEXT)
    assert isinstance(serving.join(), UsageError)
    until(lambda: told(session))
    assert "cancelled" in told(session)[0]


def test_a_call_that_is_left_to_the_caller_is_not_answered(plain: House) -> None:
    plain.serve(responder=booking)
    session = plain.open()
    answer = session.ask("book", TEXT, timeout=5)
    assert [call.name for call in answer.function_calls] == ["book"]
    assert isinstance(answer.function_calls[0], FunctionCallItem)
    assert told(session) == []
