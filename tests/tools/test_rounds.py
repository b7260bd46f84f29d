"""Python functions that the model calls: in ``ask``, and for as long as a session lives."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from realtime_sync import (
    UNSET,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
    ConversationToolChoice,
    InvalidInputError,
    ServerError,
    ToolContext,
    ToolRunner,
    UsageError,
    function_tool,
)
from realtime_sync.server import Faults, Reply, Turn, faults
from realtime_sync.tools.rounds import MOST_ROUNDS
from tests.core.harness import House, Running, until, within

TEXT = ConversationSessionOptions(content_modalities=["text"])


@function_tool
def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


def outputs(turn: Turn) -> list[str]:
    return [item["output"] for item in turn.items if item["type"] == "function_call_output"]


def response_with_call(response_id: str, name: str) -> list[dict[str, Any]]:
    """A finished response with one call, as events."""
    call = {"type": "function_call", "id": "item_9", "call_id": "call_9", "name": name, "arguments": "{}"}
    response = {"id": response_id, "object": "realtime.response", "conversation_id": "conv_1", "metadata": None}
    return [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.done", "response": {**response, "status": "completed", "output": [call]}},
    ]


def calling(*calls: tuple[str, dict[str, Any]]) -> Any:
    """A model that makes these calls once, then says what came back."""

    def answer(turn: Turn) -> Reply:
        returned = outputs(turn)
        return Reply(text=" | ".join(returned)) if returned else Reply(function_calls=calls)

    return answer


def test_results_go_back_in_the_order_of_the_calls_whatever_becomes_of_them(house: House) -> None:
    second_is_done = threading.Event()

    def slow() -> str:
        assert second_is_done.wait(5)
        return "slow"

    def zero() -> int:
        second_is_done.set()
        return 0

    def nothing() -> None:
        return None

    def broken() -> None:
        raise ValueError("no luck")

    calls = [("slow", {}), ("zero", {}), ("nothing", {}), ("broken", {}), ("double", {"number": "x"}), ("unheard", {})]
    house.serve(responder=calling(*calls))
    session = house.open(start={"options": TEXT})
    answer = session.ask("Go", tools=[slow, zero, nothing, broken, double])
    told = answer.text.split(" | ")
    assert told[:3] == ["slow", "0", "null"]
    assert "no luck" in told[3]
    assert "number" in told[4]
    assert "unheard" in told[5]
    assert answer.function_calls == []


def test_the_service_is_told_of_the_tools_only_for_this_answer(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 21})))
    session = plain.open(start={"options": TEXT})
    assert session.ask("Go", tools=[double]).text == "42"
    asked = [message["response"]["tools"][0]["name"] for message in plain.live.received if "response" in message]
    assert asked == ["double", "double"]
    assert session.session.tools == []


def test_a_model_that_calls_for_ever_is_stopped(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(function_calls=[("double", {"number": 1})]))
    session = plain.open(start={"options": TEXT})
    with pytest.raises(UsageError, match="without answering"):
        session.ask("Go", tools=[double])
    assert session._engine.responses.idle


def test_run_tools_stops_a_model_that_calls_for_ever(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(function_calls=[("double", {"number": 1})]))
    session = plain.open(start={"options": TEXT})
    serving = Running(lambda: session.run_tools([double]))
    until(lambda: session.session.tools != [])
    session.start_response()
    with pytest.raises(UsageError, match="without answering"):
        serving.result(30)
    assert len(session.conversation.responses) == MOST_ROUNDS + 1


def test_on_call_is_told_of_each_call_and_its_outcome_in_order(house: House) -> None:
    def broken() -> None:
        raise ValueError("no luck")

    house.serve(responder=calling(("broken", {}), ("double", {"number": 4})))
    session = house.open(start={"options": TEXT})
    seen: list[Any] = []
    answer = session.ask("Go", tools=[double, broken], on_call=lambda call, outcome: seen.append((call, outcome)))
    assert [(call.name, call.arguments) for call, _ in seen] == [("broken", "{}"), ("double", '{"number": 4}')]
    assert [outcome.output for _, outcome in seen] == answer.text.split(" | ")
    assert [outcome.call_id for _, outcome in seen] == [call.call_id for call, _ in seen]


def test_what_on_call_raises_is_raised_and_leaves_the_session_usable(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 4})))
    session = plain.open(start={"options": TEXT})
    with pytest.raises(ZeroDivisionError):
        session.ask("Go", tools=[double], on_call=lambda call, outcome: 1 / 0)
    assert session._engine.responses.idle


def test_calls_that_two_loops_hear_of_are_made_once(plain: House) -> None:
    plain.serve(responder=calling(("count", {})))
    session = plain.open(start={"options": TEXT})
    ran: list[int] = []

    def count() -> int:
        ran.append(1)
        return len(ran)

    serving = [Running(lambda: session.run_tools([count])) for _ in range(2)]
    told = "session.update"
    until(lambda: [message["type"] for message in list(plain.live.received)].count(told) == 3)
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    answer: Any = session.wait_for("response.output_text.done", timeout=5)
    assert answer.text == "1"
    session.close()
    for each in serving:
        each.result()
    assert ran == [1]


def test_a_tool_may_ask_the_session_itself(house: House) -> None:
    def answer(turn: Turn) -> Reply:
        returned = outputs(turn)
        if turn.text_of(turn.last) == "inner":
            return Reply("found")
        return Reply(text=" | ".join(returned)) if returned else Reply(function_calls=[("look_up", {})])

    house.serve(responder=answer)
    session = house.open(start={"options": TEXT})

    def look_up() -> str:
        return session.ask("inner").text

    assert session.ask("Go", tools=[look_up]).text == "found"


def test_the_session_goes_on_while_a_tool_runs(house: House) -> None:
    """The tool waits for what only a living session can bring."""
    house.serve(responder=calling(("busy", {})))
    session = house.open(start={"options": TEXT})
    stream = session.subscribe()

    def busy() -> str:
        session.add_item("said meanwhile")
        update: Any = stream.wait_for(
            lambda u: u.type == "conversation.item.added" and "said meanwhile" in u.raw_content, timeout=5
        )
        return str(update.item.role)

    assert session.ask("Go", tools=[busy]).text == "user"


def test_a_runner_of_the_caller_is_left_open(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 4})))
    session = plain.open(start={"options": TEXT})
    with ToolRunner([double]) as runner:
        assert session.ask("Go", tools=runner).text == "8"
        assert runner.run([]) == []


def test_run_tools_serves_calls_until_the_session_ends(house: House) -> None:
    house.serve(responder=calling(("double", {"number": 5})))
    session = house.open(start={"options": TEXT})
    serving = Running(lambda: session.run_tools([double]))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    told: Any = session.wait_for("response.output_text.done", timeout=5)
    assert told.text == "10"
    session.close()
    assert serving.result() is None


def test_run_tools_leaves_to_an_ask_what_is_the_asks(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 6})))
    session = plain.open(start={"options": TEXT})
    serving = Running(lambda: session.run_tools([double]))
    until(lambda: session.session.tools != [])
    assert session.ask("Go", tools=[double]).text == "12"
    session.close()
    serving.result()
    results = [m for m in plain.live.received if m.get("item", {}).get("type") == "function_call_output"]
    assert len(results) == 1


@pytest.mark.parametrize("on_interruption", ["keep", "drop"])
def test_tools_are_told_that_the_user_speaks_if_that_is_wanted(plain: House, on_interruption: Any) -> None:
    plain.serve(responder=calling(("patient", {})))
    session = plain.open(start={"options": TEXT})
    runs, spoken = threading.Event(), threading.Event()

    def patient(context: ToolContext) -> str:
        runs.set()
        assert spoken.wait(5)
        return f"told: {context.cancellation.wait(2 if on_interruption == 'drop' else 0.05)}"

    serving = Running(lambda: session.run_tools([patient], on_interruption=on_interruption))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    assert runs.wait(5)
    plain.live.emit({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"})
    session.wait_for("input_audio_buffer.speech_started", timeout=5)
    spoken.set()
    result: Any = plain.live.wait_for_message(lambda m: m.get("item", {}).get("type") == "function_call_output")
    if on_interruption == "keep":
        assert result["item"]["output"] == "told: False"
        session.wait_for("response.output_text.done", timeout=5)
    else:
        assert "cancel" in result["item"]["output"]
    session.close()
    serving.result()


def test_the_loss_of_the_connection_ends_run_tools_and_tells_the_tools(plain: House) -> None:
    plain.serve(responder=calling(("patient", {})))
    session = plain.open(start={"options": TEXT})
    told = threading.Event()

    def patient(context: ToolContext) -> None:
        plain.live.inject(faults.drop())
        if context.cancellation.wait(5):
            told.set()

    serving = Running(lambda: session.run_tools([patient]))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    with pytest.raises(ConnectionError):
        serving.result()
    assert told.wait(2)


def test_tools_that_are_run_elsewhere_are_only_told(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(text=",".join(tool["type"] for tool in turn.tools)))
    session = plain.open(start={"options": TEXT})
    mcp = ConversationTool.create_mcp_tool("docs", "https://example.com/mcp")
    assert session.ask("Go", tools=[double, mcp]).text == "function,mcp"


def test_a_refused_request_for_an_answer_raises_and_leaves_the_session_usable(plain: House) -> None:
    session = plain.open(start={"options": TEXT})
    with pytest.raises(ServerError):
        session.ask("Go", ConversationResponseOptions(extra={"nonsense": 1}), tools=[double])
    with pytest.raises((InvalidInputError, ValueError)):
        session.run_tools([double, double])
    with pytest.raises(InvalidInputError, match="keep"):
        session.run_tools([double], on_interruption="stop")
    assert session.ask("Good morning").text


def test_a_drop_while_tools_run_is_one_typed_error(plain: House) -> None:
    plain.serve(responder=calling(("double", {"number": 1})), faults=Faults(acts=[faults.drop(after_received=3)]))
    session = plain.open(start={"options": TEXT})
    with pytest.raises(ConnectionError):
        session.ask("Go", tools=[double])


def test_a_response_that_was_cut_off_has_no_tools_run(plain: House) -> None:
    """Its calls are half written, and the user has gone on to something else."""
    gone = Reply(function_calls=[("double", {"number": 1})])
    plain.serve(responder=lambda turn: gone)
    session = plain.open(start={"options": TEXT})
    ran: list[int] = []

    def double(number: int) -> int:
        """Twice the number."""
        ran.append(number)
        return 2 * number

    answer = session.ask("Go", ConversationResponseOptions(max_output_tokens=1), tools=[double])
    assert answer.status == "incomplete"
    assert ran == []


def test_the_time_out_of_an_ask_holds_for_its_tools(plain: House) -> None:
    plain.serve(responder=calling(("endless", {})))
    session = plain.open(start={"options": TEXT})

    def endless(context: ToolContext) -> None:
        context.cancellation.wait(20)

    with within(3), pytest.raises(TimeoutError):
        session.ask("Go", tools=[endless], timeout=1)
    assert [m["type"] for m in plain.live.received].count("response.create") == 1


def test_the_loss_of_the_connection_ends_an_ask_whose_tool_still_runs(house: House) -> None:
    house.serve(responder=calling(("patient", {})))
    session = house.open(start={"options": TEXT})

    def patient(context: ToolContext) -> None:
        house.live.inject(faults.drop())
        context.cancellation.wait(20)

    with within(5), pytest.raises(ConnectionError):
        session.ask("Go", tools=[patient])


def test_run_tools_returns_after_a_close_while_a_tool_runs(plain: House) -> None:
    plain.serve(responder=calling(("patient", {})))
    session = plain.open(start={"options": TEXT})
    runs = threading.Event()

    def patient(context: ToolContext) -> None:
        runs.set()
        context.cancellation.wait(20)

    serving = Running(lambda: session.run_tools([patient]))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    assert runs.wait(5)
    session.close()
    assert serving.result(5) is None


def test_a_user_who_speaks_before_the_tools_begin_is_heard(plain: House) -> None:
    """The calls wait behind a slow tool of an earlier response."""
    plain.serve(responder=calling(("first", {})))
    session = plain.open(start={"options": TEXT})
    runs, go_on = threading.Event(), threading.Event()

    def first() -> str:
        runs.set()
        assert go_on.wait(5)
        return "first"

    def second() -> None:
        pass

    serving = Running(lambda: session.run_tools([first, second], on_interruption="drop"))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    assert runs.wait(5)
    for event in response_with_call("resp_9", "second"):
        plain.live.emit(event)
    plain.live.emit({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"})
    session.wait_for("input_audio_buffer.speech_started", timeout=5)
    go_on.set()
    told = plain.live.wait_for_message(lambda m: m.get("item", {}).get("call_id") == "call_9")
    assert "cancel" in told["item"]["output"]
    with pytest.raises(ServerError, match="call_9"):  # this server knows of no such call, and a refusal is told
        serving.result()


# Beside the conversation, and on demand ---------------------------------------------------------------------------


def test_an_out_of_band_ask_is_told_again_what_was_asked_and_called(plain: House) -> None:
    turns: list[list[str]] = []

    def answer(turn: Turn) -> Reply:
        turns.append([item["type"] for item in turn.items])
        returned = outputs(turn)
        calls = [] if len(returned) == 2 else [("double", {"number": len(returned) + 1})]
        return Reply(text=" | ".join(returned) if not calls else "", function_calls=calls)

    plain.serve(responder=answer)
    session = plain.open(start={"options": TEXT})
    answered = session.ask("Go", ConversationResponseOptions(conversation="none"), tools=[double])
    call = ["function_call", "function_call_output"]
    assert turns == [["message"], ["message", *call], ["message", *call, *call]]
    assert answered.text == "2 | 4"
    assert session.conversation.items == []


def test_run_tools_leaves_the_calls_of_an_out_of_band_answer_to_whoever_asked(plain: House) -> None:
    """Their results could not be given back: the service refuses them, for the calls are not in the conversation."""
    plain.serve(responder=calling(("double", {"number": 5})))
    session = plain.open(start={"options": TEXT})
    serving = Running(lambda: session.run_tools([double]))
    until(lambda: session.session.tools != [])
    aside = session.ask("Go", ConversationResponseOptions(conversation="none"))
    assert [call.name for call in aside.function_calls] == ["double"]
    session.add_item("Go")
    session.start_response()
    told: Any = session.wait_for("response.output_text.done", timeout=5)
    assert told.text == "10"
    session.close()
    assert serving.result() is None


@pytest.mark.parametrize("whose", ["response", "session"])
def test_a_demand_to_call_a_tool_is_met_by_one_call(plain: House, whose: str) -> None:
    def answer(turn: Turn) -> Reply:
        demanded = turn.tool_choice == "required"
        return Reply(function_calls=[("double", {"number": 7})]) if demanded else Reply(text=outputs(turn)[-1])

    plain.serve(responder=answer)
    required = ConversationToolChoice.required()
    of_session = required if whose == "session" else UNSET
    session = plain.open(start={"options": attrs.evolve(TEXT, tool_choice=of_session)})
    options = ConversationResponseOptions(tool_choice=required if whose == "response" else UNSET)
    assert session.ask("Go", options, tools=[double]).text == "14"


def test_what_a_tool_has_called_at_its_cancellation_may_use_the_session_and_may_fail(plain: House) -> None:
    """It is the caller's code: it never runs on the reader, which would wait for itself."""
    plain.serve(responder=calling(("patient", {})))
    session = plain.open(start={"options": TEXT})
    runs, called, threads = threading.Event(), threading.Event(), []

    def fail() -> None:
        raise LookupError("no")

    def look() -> None:
        threads.append(threading.current_thread().name)
        assert session.conversation.items
        called.set()

    def patient(context: ToolContext) -> None:
        context.cancellation.on_cancel(fail)
        context.cancellation.on_cancel(look)
        runs.set()
        context.cancellation.wait(10)

    serving = Running(lambda: session.run_tools([patient], on_interruption="drop"))
    until(lambda: session.session.tools != [])
    session.add_item("Go")
    session.start_response()
    assert runs.wait(5)
    plain.live.emit({"type": "input_audio_buffer.speech_started", "audio_start_ms": 0, "item_id": "item_1"})
    assert called.wait(5)
    assert not any("reader" in name for name in threads)
    session.add_item("still here").wait()
    session.close()
    assert serving.join() is None
