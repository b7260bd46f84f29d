"""Functions given in a session's options: the session runs them, for ``ask`` and for what was spoken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConfigurationError,
    ConversationFunctionTool,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
    Delta,
    InvalidInputError,
    SessionReconnectedUpdate,
    UnsupportedByDialectError,
    WaitTimeoutError,
    function_tool,
)
from realtime_sync.server import Reply, Turn, faults
from realtime_sync.server.voice import speak
from tests.core.answers import Gate, errors
from tests.core.harness import House, Running, client_threads, until, within
from tests.tools.test_rounds import TEXT, calling, double, outputs
from tests.voice.test_barge_in import QUICK_VAD

DOUBLING = attrs.evolve(TEXT, tools=[double])
BY_HAND = ConversationTool.create_function_tool("by_hand")


@function_tool
def shout(text: str) -> str:
    """Say it louder."""
    return text.upper()


def sent_options(live: Any) -> list[dict[str, Any]]:
    return [message["response"] for message in list(live.received) if message["type"] == "response.create"]


def test_the_service_is_told_the_functions_definition(plain: House) -> None:
    session = plain.open(start={"options": DOUBLING})
    assert session.session.tools == [double.definition]
    assert isinstance(session.session.tools[0], ConversationFunctionTool)


def test_what_ask_has_called_is_run_without_being_named_again(house: House) -> None:
    house.serve(responder=calling(("double", {"number": 21})))
    session = house.open(start={"options": DOUBLING})
    assert session.ask("Double 21").text == "42"
    assert all("tools" not in told for told in sent_options(house.live))  # the session has them


def test_what_a_spoken_turn_has_called_is_run_and_answered(house: House) -> None:
    house.serve(responder=calling(("double", {"number": 21})))
    session = house.open(start={"options": attrs.evolve(QUICK_VAD, content_modalities=["text"], tools=[double])})
    session.send_audio(speak("double 21") + bytes(48 * 600))
    told = session.wait_for("response.output_text.done", 10)
    assert told.text == "42", f"the answer to the call was {told.text!r}"


def test_several_who_ask_at_once_each_get_their_own_results(plain: House) -> None:
    def answer(turn: Any) -> Any:
        question = turn.text_of(next(item for item in reversed(turn.items) if item.get("role") == "user"))
        if turn.last["type"] == "function_call_output":
            return turn.last["output"]
        return calling(("double", {"number": int(question)}))(attrs.evolve(turn, items=[]))

    plain.serve(responder=answer)
    session = plain.open(start={"options": DOUBLING})
    asking = [Running(lambda n=n: session.ask(str(n)).text) for n in range(6)]  # type: ignore[misc]
    assert [each.result(20) for each in asking] == [str(2 * n) for n in range(6)]


def test_the_options_of_a_question_go_before_those_of_the_session(plain: House) -> None:
    plain.serve(responder=calling(("shout", {"text": "hi"}), ("double", {"number": 1})))
    session = plain.open(start={"options": DOUBLING})
    told = session.ask("Go", ConversationResponseOptions(tools=[shout])).text
    assert told.startswith("HI | ")
    assert "there is no tool 'double'" in told


def test_without_tools_on_request_nothing_is_run(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 1})))
    session = plain.open(start={"options": DOUBLING})
    answer = session.ask("Go", ConversationResponseOptions(tools=[]))
    assert [call.name for call in answer.function_calls] == ["double"]


def test_new_settings_bring_new_functions_and_others_leave_them(plain: House) -> None:
    plain.serve(responder=calling(("shout", {"text": "hi"})))
    session = plain.open(start={"options": DOUBLING})
    session.configure_session(ConversationSessionOptions(tools=[shout])).wait()
    session.configure_session(ConversationSessionOptions(instructions="Be loud.")).wait()
    assert session.ask("Go").text == "HI"
    session.configure_session(ConversationSessionOptions(tools=[BY_HAND])).wait()
    assert not session.ask("Go").function_calls  # the result of before is in the conversation


def test_settings_that_cannot_be_sent_leave_the_functions(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 21})))
    session = plain.open(start={"options": DOUBLING})
    with pytest.raises(UnsupportedByDialectError):
        session.configure_session(ConversationSessionOptions(tools=[], temperature=0.5))
    with pytest.raises(InvalidInputError, match="event_id"):
        session.configure_session(ConversationSessionOptions(tools=[]), event_id="")
    assert session.ask("Double 21").text == "42"


def test_calls_of_tools_that_are_only_defined_are_left_to_the_caller(plain: House) -> None:
    plain.serve(responder=calling(("by_hand", {})))
    session = plain.open(start={"options": attrs.evolve(TEXT, tools=[double, BY_HAND])})
    assert [call.name for call in session.ask("Go").function_calls] == ["by_hand"]
    with session.respond("Go") as response:  # nor by the session, beside an answer that nobody runs tools for
        assert [call.name for call in response.wait(5).function_calls] == ["by_hand"]
    assert session.ask("Still there?", ConversationResponseOptions(conversation="none")).function_calls
    assert "function_call_output" not in str(list(plain.live.received))


def test_a_tool_that_only_a_question_names_is_left_to_the_caller(plain: House) -> None:
    """The session's functions are others: it would say that there is no such tool."""
    plain.serve(responder=calling(("by_hand", {})))
    session = plain.open(start={"options": DOUBLING})
    (call,) = session.ask("Go", ConversationResponseOptions(tools=[BY_HAND])).function_calls
    result = ConversationItem.create_function_call_output(call.call_id, "mine")
    assert session.ask([result]).text == "mine"
    assert str(list(plain.live.received)).count("function_call_output") == 1


def test_the_tools_of_one_response_are_left_to_who_asked_for_it(plain: House) -> None:
    plain.serve(responder=calling(("by_hand", {})))
    session = plain.open(start={"options": DOUBLING})
    with session.respond("Go", ConversationResponseOptions(tools=[BY_HAND])) as response:
        assert [call.name for call in response.wait(5).function_calls] == ["by_hand"]
    session.add_item("Go on").wait(5)
    assert "function_call_output" not in str(list(plain.live.received))


def plain_double(number: int) -> int:
    """Doubles a number."""
    return 2 * number


AS_JSON: dict[str, Any] = {"type": "function", "name": "by_hand", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("where", ["session", "settings", "options", "ask", "run_tools"])
def test_plain_functions_are_tools_wherever_tools_are_given(plain: House, where: str) -> None:
    plain.serve(responder=calling(("plain_double", {"number": 21})))
    given: list[Any] = [plain_double, AS_JSON]
    session = plain.open(start={"options": attrs.evolve(TEXT, tools=given) if where == "session" else TEXT})
    if where == "settings":
        session.configure_session(ConversationSessionOptions(tools=given)).wait()
    if where == "run_tools":
        serving = Running(lambda: session.run_tools(given))
        plain.live.wait_for_message("session.update", 2)
        session.start_response()
        until(lambda: "42" in str(session.conversation.items[-1:]))
        session.close()
        serving.result()
    elif where == "options":
        assert session.ask("Go", ConversationResponseOptions(tools=given)).text == "42"
    else:
        assert session.ask("Go", tools=given if where == "ask" else None).text == "42"
    (definitions,) = {
        str(told["tools"])
        for message in plain.live.received
        for told in (message.get("session") or message.get("response") or {},)
        if told.get("tools")
    }
    assert "'name': 'plain_double', 'description': 'Doubles a number.'" in definitions
    assert "'name': 'by_hand'" in definitions


def test_calls_of_a_tool_that_is_given_as_json_are_left_to_the_caller(plain: House) -> None:
    plain.serve(responder=calling(("by_hand", {})))
    session = plain.open(start={"options": TEXT})
    for tools, options in (([AS_JSON], None), (None, ConversationResponseOptions(tools=[AS_JSON]))):
        assert [call.name for call in session.ask("Go", options, tools=tools).function_calls] == ["by_hand"]


def test_a_function_that_cannot_be_described_is_refused_before_anything_is_connected(plain: House) -> None:
    def lookup(what) -> str:  # type: ignore[no-untyped-def]  # it has no hint
        return str(what)

    with pytest.raises(ConfigurationError, match="the tool lookup: parameter what has no type hint"):
        plain.open(start={"options": ConversationSessionOptions(tools=[lookup])})
    assert plain.server.sessions == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "f"}, r"this is no tool \(it has no type\)"),
        ({"type": "function", "function": {"name": "f"}}, r"this is no tool.*\{\"type\": \"function\", \"name\""),
    ],
)
def test_what_is_no_tool_is_told_what_one_is(plain: House, wrong: Any, told: str) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match=told):
        ConversationSessionOptions(tools=[wrong])
    with pytest.raises(InvalidInputError, match=told):
        session.ask("Go", tools=[wrong])


@pytest.mark.parametrize("wrong", ["lookup", 5])
def test_what_is_neither_a_function_nor_a_definition_is_no_tool(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"a tool is a function, or made by ConversationTool\.create_"):
        ConversationSessionOptions(tools=[wrong])


def test_the_serving_thread_ends_with_the_session_and_there_is_none_without_functions(plain: House) -> None:
    session = plain.open(start={"options": attrs.evolve(TEXT, tools=[BY_HAND])})
    assert not any(name.endswith("-tools") for name in client_threads())
    session.configure_session(DOUBLING).wait()
    assert any(name.endswith("-tools") for name in client_threads())
    session.close()
    until(lambda: not client_threads())


def test_closing_does_not_wait_for_a_function_that_hangs(plain: House) -> None:
    begun, released = threading.Event(), threading.Event()

    @function_tool
    def hang() -> str:
        begun.set()
        released.wait(10)
        return "late"

    plain.serve(responder=calling(("hang", {})))
    session = plain.open(start={"options": attrs.evolve(TEXT, tools=[hang])})
    session.start_response()
    assert begun.wait(5)
    session.close()
    released.set()
    until(lambda: not client_threads())


def test_what_is_said_before_and_after_the_calls_is_told_as_it_comes(house: House) -> None:
    def answer(turn: Turn) -> Reply:
        if outputs(turn):
            return Reply("It is 42.")
        return Reply("Let me see. ", function_calls=[("double", {"number": 21})])

    house.serve(responder=answer)
    session = house.open(start={"options": DOUBLING})
    told: list[Delta] = []
    answered = session.ask("Double 21", on_delta=told.append)
    assert "".join(delta.text for delta in told) == "Let me see. It is 42."
    assert answered.text == "It is 42."


def test_what_on_delta_raises_cancels_the_answer_and_is_raised(house: House) -> None:
    house.serve(responder=Gate())
    session = house.open(start={"options": TEXT})
    with pytest.raises(ZeroDivisionError):
        session.ask("Go on", on_delta=lambda delta: 1 / 0)
    until(lambda: any(told["type"] == "response.done" for told in list(house.live.sent)))
    assert errors(house.live) == []


def test_a_time_out_of_what_on_delta_waits_for_is_raised_as_it_is(plain: House) -> None:
    def wait_for_another(delta: Delta) -> None:
        raise WaitTimeoutError("the printer is slow")

    session = plain.open(start={"options": TEXT})
    with pytest.raises(WaitTimeoutError, match="printer"):
        session.ask("Go on", on_delta=wait_for_another)


def test_time_is_up_for_all_pieces_together(plain: House) -> None:
    def talkative(turn: Turn) -> Iterator[str]:
        while not turn.cancelled.wait(0.05):
            yield "and "

    plain.serve(responder=talkative)
    session = plain.open(start={"options": TEXT})
    with within(5), pytest.raises(WaitTimeoutError, match="no answer within"):
        session.ask("Go on", on_delta=lambda delta: None, timeout=0.5)


def test_a_session_that_survives_keeps_its_functions(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 4})))
    session = plain.open(start={"options": DOUBLING, "reconnect": True})
    plain.live.inject(faults.eof())
    session.wait_for(SessionReconnectedUpdate, 10)
    assert session.ask("Go", timeout=20).text == "8"
