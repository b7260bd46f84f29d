"""A Responses backend that calls functions: each is run, each result is given, and the backend goes on once."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from realtime_sync import ConversationTool, InvalidInputError, UsageError, function_tool
from realtime_sync.errors import ConfigurationError, NoMoreThreadsError, ServerError
from realtime_sync.live.responses_backend import ResponsesBackend
from realtime_sync.protocol.items import ConversationItem
from realtime_sync.protocol.live.options import LiveSessionOptions
from realtime_sync.protocol.live.settings import LiveResponsesSettings
from realtime_sync.protocol.live.updates import LiveErrorUpdate, LiveResponseEventUpdate
from realtime_sync.server import FunctionCall, LiveFaults, Turn
from realtime_sync.tools import ToolContext, ToolRunner
from tests.harness import until
from tests.live.delegation.conftest import Talk, lose_connection

Begin = Callable[..., Talk]


@function_tool
def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: the city's name.
    """
    return f"{city}: 14 degrees."


def calling(*calls: FunctionCall) -> Callable[[Turn], list[Any]]:
    """A backend that makes these calls, and then says what came of them."""

    def answer(turn: Turn) -> list[Any]:
        outputs = [item["output"] for item in turn.items if item["type"] == "function_call_output"]
        return [" ".join(outputs)] if outputs else list(calls)

    return answer


def with_tools(talk: Begin, backend: Any, *tools: Any, faults: Any = None, **settings: Any) -> Talk:
    delegate = ResponsesBackend("gpt-5.6-luna", tools=tools, **settings)
    return talk(faults, {"backend": backend}, delegate=delegate)


def sent_to_backend(call: Talk) -> list[str]:
    return [message["type"] for message in list(call.twin.received) if message["type"].startswith("response.")]


def outputs(call: Talk) -> dict[str, str]:
    items = [message["item"] for message in list(call.twin.received) if message["type"] == "response.item.create"]
    return {item["call_id"]: item["output"] for item in items if item["type"] == "function_call_output"}


def test_a_function_is_called_and_the_backends_answer_is_said(talk: Begin) -> None:
    call = with_tools(talk, calling(FunctionCall("weather", {"city": "Amsterdam"}, call_id="c")), weather)
    call.asks("How is the weather in Amsterdam?")
    call.until(lambda: "Amsterdam: 14 degrees." in call.spoken())
    assert sent_to_backend(call) == ["response.item.create", "response.create"]
    assert outputs(call) == {"c": "Amsterdam: 14 degrees."}


def test_the_service_is_told_the_functions_as_the_responses_api_has_them(talk: Begin) -> None:
    call = with_tools(
        talk,
        calling(),
        weather,
        {"type": "web_search"},
        instructions="Use the tools.",
        tool_choice="auto",
        reasoning="low",
        max_output_tokens=2048,
        extra={"text": {"verbosity": "low"}},
    )
    start = call.twin.received[0]["session"]["delegation"]
    assert start["type"] == "responses"
    told = start["responses"]
    assert told.pop("tools") == [
        {"type": "function", "name": "weather", "description": "Tell the weather.", "parameters": weather.parameters},
        {"type": "web_search"},
    ]
    assert told == {
        "model": "gpt-5.6-luna",
        "instructions": "Use the tools.",
        "tool_choice": "auto",
        "reasoning": {"effort": "low"},
        "max_output_tokens": 2048,
        "text": {"verbosity": "low"},
    }


def test_a_batch_of_two_calls_is_made_side_by_side_and_makes_one_response(talk: Begin) -> None:
    both = threading.Barrier(2)

    def left() -> str:
        both.wait(10)
        return "L"

    def right() -> str:
        both.wait(10)
        return "R"

    call = with_tools(
        talk, calling(FunctionCall("left", {}, call_id="l"), FunctionCall("right", {}, call_id="r")), left, right
    )
    call.asks("Go.")
    call.until(lambda: "L R" in call.spoken())
    assert sent_to_backend(call) == ["response.item.create", "response.item.create", "response.create"]
    assert list(outputs(call).items()) == [("l", "L"), ("r", "R")]


@pytest.mark.filterwarnings("ignore:.*failing")
def test_no_event_of_a_backend_is_so_odd_that_the_session_ends_of_it(talk: Begin) -> None:
    call = with_tools(talk, calling(FunctionCall("weather", {"city": "Amsterdam"}, call_id="c")), weather)
    response = {"id": "r", "model": "m", "usage": {"input_tokens": 1}}
    for odd in ([], {}, [[]], {"a": []}, None, 5, 1e308):
        for event in (
            {"type": odd, "response": response, "item": response},
            {"type": "response.completed", "response": odd},
            *({"type": "response.completed", "response": {**response, name: odd}} for name in response),
            {"type": "response.output_item.done", "item": odd},
            {"type": "response.output_item.done", "item": {"type": odd, "status": odd}},
            {"type": "response.output_item.done", "item": {"type": "function_call", "call_id": odd, "name": odd}},
        ):
            call.twin.send_as_it_is({"type": "response.event", "event_id": "e", "delegation_id": "d", "event": event})
    call.asks("How is the weather in Amsterdam?")
    # Answers to calls that the twin has not made have it run, too, so that the call may come before the question.
    call.until(lambda: outputs(call).get("c") == "Amsterdam: 14 degrees.")
    assert not call.session.closed


def test_errors_are_results(talk: Begin) -> None:
    def failing() -> str:
        raise LookupError("no such thing")

    calls = [FunctionCall("failing", {}, call_id="f"), FunctionCall("nothing", {}, call_id="n")]
    call = with_tools(talk, calling(*calls), failing)
    call.asks("Go.")
    call.until(lambda: sent_to_backend(call)[-1:] == ["response.create"])  # which follows the last result
    assert outputs(call) == {
        "f": '{"error": "LookupError: no such thing"}',
        "n": '{"error": "there is no tool \'nothing\'; the tools are: failing"}',
    }


def test_the_calls_of_two_delegations_are_all_answered_before_the_backend_goes_on(talk: Begin) -> None:
    entered, released = threading.Semaphore(0), {"one": threading.Event(), "two": threading.Event()}

    def work(name: str) -> str:
        entered.release()
        released[name].wait(10)
        return name

    texts = ["one", "two"]

    def backend(turn: Turn) -> list[Any]:
        if texts:
            return [FunctionCall("work", {"name": texts[0]}, call_id=texts.pop(0))]
        return ["Both are done."]

    call = with_tools(talk, backend, work)
    call.asks("One.")
    assert entered.acquire(timeout=10)
    call.asks("Two.")
    assert entered.acquire(timeout=10)
    released["one"].set()
    until(lambda: "one" in outputs(call), 10.0)
    assert "response.create" not in sent_to_backend(call)
    released["two"].set()
    call.until(lambda: "Both are done." in call.spoken())
    assert sent_to_backend(call) == ["response.item.create", "response.item.create", "response.create"]


def told(call: Talk, *events: dict[str, Any]) -> None:
    """The service tells these events of a backend."""
    for event in events:
        call.twin.emit({"type": "response.event", "delegation_id": "item_1", "event": event})


def a_call(call_id: str, status: str = "completed") -> dict[str, Any]:
    item = {"id": f"fc_{call_id}", "type": "function_call", "status": status, "call_id": call_id, "name": "note"}
    return {"type": "response.output_item.done", "item": {**item, "arguments": "{}"}}


@pytest.fixture
def noting(talk: Begin) -> tuple[Talk, list[str]]:
    """A session whose backend may call ``note``, and the calls that were made."""
    made: list[str] = []

    def note(context: ToolContext) -> str:
        made.append(context.call_id)
        return "noted"

    return with_tools(talk, calling(), note), made


def test_calls_of_a_response_that_failed_or_was_cut_short_are_not_made(
    noting: tuple[Talk, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    call, made = noting
    told(call, {"type": "response.created"}, a_call("a"), {"type": "response.failed"})
    told(call, {"type": "response.created"}, a_call("b"), {"type": "response.incomplete"})
    told(call, {"type": "response.created"}, a_call("c", "incomplete"), a_call("d"), {"type": "response.completed"})
    until(lambda: made, 10.0)
    assert made == ["d"]
    assert caplog.text.count("its calls are not made: note") == 2


def test_a_call_is_made_once_though_it_is_told_again(noting: tuple[Talk, list[str]]) -> None:
    call, made = noting
    for call_id in ("a", "a", "b"):
        told(call, {"type": "response.created"}, a_call(call_id), {"type": "response.completed"})
    until(lambda: "b" in made, 10.0)
    assert made == ["a", "b"]


def test_a_backend_that_calls_for_ever_is_not_asked_again(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    def more() -> str:
        return "more"

    call = with_tools(talk, lambda turn: [FunctionCall("more", {})], more)
    call.asks("Go.")
    assert call.wait_for_appends(1) == [("commentary", "The request could not be completed.")]
    assert sent_to_backend(call).count("response.create") == 32
    assert len(outputs(call)) == 33
    assert "called tools 32 times without answering" in caplog.text


def test_a_backend_that_has_failed_is_told(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    call = with_tools(talk, calling(), faults=LiveFaults(handoff_incomplete=True))
    call.asks("Go.")
    call.session.wait_for(LiveErrorUpdate, 10)
    until(lambda: "the backend has failed" in caplog.text, 10.0)
    assert not call.session.closed
    assert not call.session._delegation.under_way  # no event of the response tells of its end
    assert call.session._delegation.open_ids() == []


def test_a_failure_takes_the_response_that_has_called_nothing_and_leaves_the_other(talk: Begin) -> None:
    call = with_tools(talk, calling(), weather)
    item = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
    for delegation_id, event in (
        ("idle", {"type": "response.created", "response": {"id": "r1", "model": "m"}}),
        ("calls", {"type": "response.created", "response": {"id": "r2", "model": "m"}}),
        ("calls", {"type": "response.output_item.done", "item": item}),
    ):
        call.twin.emit({"type": "response.event", "delegation_id": delegation_id, "event": event})
    failure = {"type": "server_error", "code": None, "message": "Responses handoff incomplete."}
    call.twin.emit({"type": "error", "error": failure})
    call.session.wait_for(LiveErrorUpdate, 10)
    until(lambda: call.session._delegation.open_ids() == ["calls"])


def test_calls_for_which_there_is_no_thread_do_not_keep_the_backend_from_going_on(
    talk: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = with_tools(talk, calling(FunctionCall("weather", {"city": "Rome"})), weather)

    def no_thread(*arguments: Any) -> None:
        raise NoMoreThreadsError("there are too many")

    with monkeypatch.context() as patched:
        patched.setattr(call.session._engine, "start_thread", no_thread)
        call.asks("Go.")
        call.until(lambda: "the calls of the backend are not made" in caplog.text)
    assert not call.session._delegation.under_way


def test_results_are_dropped_when_the_session_ends(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    entered = threading.Event()

    def slow(context: ToolContext) -> str:
        entered.set()
        context.cancellation.wait(20)
        return "late"

    call = with_tools(talk, calling(FunctionCall("slow", {})), slow)
    call.asks("Go.")
    assert entered.wait(10)
    call.close()
    until(lambda: "results of calls are dropped" in caplog.text, 10.0)
    assert outputs(call) == {}


def test_results_are_dropped_when_the_connection_was_lost(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow() -> str:
        entered.set()
        released.wait(20)
        return "late"

    call = with_tools(talk, calling(FunctionCall("slow", {})), slow)
    call.asks("Go.")
    assert entered.wait(10)
    lose_connection(call.session)
    released.set()
    until(lambda: "results of calls are dropped, because the backend is gone" in caplog.text, 10.0)
    assert outputs(call) == {}


def test_functions_that_are_only_defined_here_are_left_to_the_caller(talk: Begin) -> None:
    elsewhere = ConversationTool.create_function_tool("elsewhere", "Runs on another machine.")
    backend = calling(
        FunctionCall("elsewhere", {}, call_id="e"), FunctionCall("weather", {"city": "Rome"}, call_id="w")
    )
    call = with_tools(talk, backend, weather, elsewhere)
    call.asks("Go.")
    call.session.wait_for(lambda update: is_event(update, "response.completed"), 10)
    assert sent_to_backend(call) == []
    call.session.add_item(ConversationItem.create_function_call_output("e", "done"))
    call.session.add_item({"type": "function_call_output", "call_id": "w", "output": "sunny"})
    call.session.start_response()
    call.until(lambda: "done sunny" in call.spoken())
    assert sent_to_backend(call) == ["response.item.create", "response.item.create", "response.create"]
    assert call.appended() == []


def is_event(update: object, kind: str) -> bool:
    return isinstance(update, LiveResponseEventUpdate) and update.event["type"] == kind


def test_what_is_typed_goes_to_the_backend_and_is_told_to_the_model(talk: Begin) -> None:
    call = with_tools(talk, lambda turn: [f"Yes, {turn.text_of(turn.last)}"])
    call.session.add_item("order seven")
    call.session.start_response()
    assert call.wait_for_appends(1) == [("thinking", "The user typed: order seven")]
    assert call.twin.wait_for_message("response.item.create")["item"] == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "order seven"}],
    }
    call.until(lambda: "Yes, order seven" in call.spoken())


def test_a_tool_runner_may_be_given_and_serve_several_backends(talk: Begin) -> None:
    with ToolRunner([weather]) as runner:
        backend = ResponsesBackend("m", tools=runner)
        assert repr(backend) == "<ResponsesBackend m, tools: weather>"
        call = talk(None, {"backend": calling(FunctionCall("weather", {"city": "Rome"}))}, delegate=backend)
        call.asks("Go.")
        call.until(lambda: "Rome: 14 degrees." in call.spoken())


def test_settings_that_cannot_be_right_are_refused() -> None:
    for wrong in ({"max_output_tokens": 15}, {"tools": [weather, weather]}):
        with pytest.raises(ConfigurationError):
            ResponsesBackend("m", **wrong)
    with pytest.raises(ConfigurationError, match="name of a model"):
        ResponsesBackend("")
    for no_tools in ([3], weather, {"type": "web_search"}, "weather"):
        with pytest.raises(InvalidInputError, match="tool"):
            ResponsesBackend("m", tools=no_tools)  # type: ignore[arg-type]


# Changing it ------------------------------------------------------------------------------------------------------


def test_a_backend_may_be_changed_and_new_functions_are_run(talk: Begin) -> None:
    def second() -> str:
        return "the second one"

    calls = [FunctionCall("second", {})]
    call = with_tools(talk, calling(*calls), weather, instructions="Old.")
    handle = call.session.update_backend(LiveResponsesSettings(instructions="New.", tools=[second]))
    handle.wait()
    told = call.session.session
    assert told is not None
    assert told.delegation is not None
    assert told.delegation.responses.instructions == "New."  # type: ignore[attr-defined]
    assert told.delegation.responses.model == "gpt-5.6-luna"  # type: ignore[attr-defined]
    call.asks("Go.")
    call.until(lambda: "the second one" in call.spoken())


def test_an_update_tells_the_backend_as_a_whole_because_azure_replaces_it_as_a_whole(talk: Begin) -> None:
    call = with_tools(talk, calling(), weather, instructions="Old.")
    call.session.update_backend(LiveResponsesSettings(max_output_tokens=64)).wait()
    call.session.update_backend(acknowledgement_delay_ms=300).wait()
    update = [message for message in call.twin.received if message["type"] == "session.update"][-1]
    delegation = update["session"]["delegation"]
    assert delegation["acknowledgement_delay_ms"] == 300
    assert delegation["responses"].pop("tools")[0]["name"] == "weather"
    assert delegation["responses"] == {"model": "gpt-5.6-luna", "instructions": "Old.", "max_output_tokens": 64}


def test_a_refused_change_is_not_told_again_and_the_functions_of_before_are_run(talk: Begin) -> None:
    def second() -> str:
        return "the second one"

    call = with_tools(talk, calling(FunctionCall("weather", {"city": "Rome"})), weather)
    refused = call.session.update_backend(LiveResponsesSettings(max_output_tokens=1, tools=[second]))
    with pytest.raises(ServerError):
        refused.wait()
    call.session.update_backend(LiveResponsesSettings(instructions="New.")).wait()
    update = [message for message in call.twin.received if message["type"] == "session.update"][-1]
    told = update["session"]["delegation"]["responses"]
    assert told.pop("tools")[0]["name"] == "weather"
    assert told == {"model": "gpt-5.6-luna", "instructions": "New."}
    call.asks("Go.")
    call.until(lambda: "Rome: 14 degrees." in call.spoken())


@pytest.mark.parametrize("backend", [True, False])
def test_what_is_fixed_raises_before_anything_is_sent(talk: Begin, backend: bool) -> None:
    call = with_tools(talk, calling()) if backend else talk()
    wrong: Any = LiveSessionOptions(instructions="Speak loudly.") if backend else LiveResponsesSettings(model="m")
    with pytest.raises(InvalidInputError, match="fixed at the start"):
        call.session.update_backend(wrong)
    assert not [message for message in call.twin.received if message["type"] == "session.update"]


def test_without_a_backend_there_is_nothing_to_give_an_item_to(talk: Begin) -> None:
    session = talk().session
    for verb in (
        lambda: session.add_item("Hello."),
        session.start_response,
        session.decide,
        lambda: session.add_decision_item("Hello."),
        lambda: session.delete_decision_item("item_1"),
    ):
        with pytest.raises(UsageError, match="delegate="):
            verb()


def test_delegations_that_are_worked_on_are_known_until_they_are_done(talk: Begin) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow() -> str:
        entered.set()
        released.wait(20)
        return "done"

    call = with_tools(talk, calling(FunctionCall("slow", {})), slow)
    delegation = call.asks("Go.")
    assert entered.wait(10)
    assert call.session._delegation.open_ids() == [delegation]
    released.set()
    call.until(lambda: "done" in call.spoken())
    until(lambda: call.session._delegation.open_ids() == [], 10.0)
