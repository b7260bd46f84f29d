"""Calls side by side: their order, their outcomes, their threads."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from realtime_sync.errors import (
    ConfigurationError,
    ToolArgumentError,
    ToolError,
    WaitTimeoutError,
)
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.protocol.options import ConversationTool
from realtime_sync.tools import ToolRunner, function_tool
from tests.tools.calling import LONG, Gate, add, call, tool_threads, wait_until


def fail(text: str) -> None:
    raise LookupError(text)


def test_outcomes_come_in_the_order_of_the_calls_whatever_they_took_and_however_they_ended() -> None:
    others_done = threading.Event()

    def slow() -> str:
        assert others_done.wait(LONG)
        return "slow"

    def zero() -> int:
        others_done.set()
        return 0

    with ToolRunner([slow, fail, zero]) as runner:
        outcomes = runner.run([call("slow", "a"), call("fail", "b", text="no such thing"), call("zero", "c")])
    assert [outcome.call_id for outcome in outcomes] == ["a", "b", "c"]
    assert [outcome.output for outcome in outcomes] == ["slow", '{"error": "LookupError: no such thing"}', "0"]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), LookupError, type(None)]
    assert all(0 < outcome.duration < LONG for outcome in outcomes)
    assert not any(outcome.timed_out or outcome.cancelled for outcome in outcomes)


def test_an_exception_is_logged_with_its_traceback_and_the_model_gets_none(caplog: pytest.LogCaptureFixture) -> None:
    with ToolRunner([fail]) as runner:
        outcome = runner.run([call("fail", text="x")])[0]
    record = caplog.records[0]
    assert (record.levelno, record.name) == (logging.WARNING, "realtime_sync.tools.calls")
    assert record.exc_info
    assert record.exc_info[1] is outcome.error
    assert "Traceback" not in outcome.output
    assert "line" not in outcome.output


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), RecursionError()])
def test_whatever_a_function_raises_ends_its_call_only(error: BaseException) -> None:
    def bad() -> None:
        raise error

    with ToolRunner([bad, add]) as runner:
        outcomes = runner.run([call("bad"), call("add", a=1, b=2)])
    assert outcomes[0].error is error
    assert outcomes[1].output == "3"


def test_an_exception_whose_text_fails_is_told_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def bad() -> None:
        raise Mute

    with ToolRunner([bad]) as runner:
        assert runner.run([call("bad")])[0].output == '{"error": "Mute"}'


def test_wrong_arguments_and_unknown_names_are_told_to_the_model(caplog: pytest.LogCaptureFixture) -> None:
    with ToolRunner([add]) as runner:
        wrong, unknown, nameless = runner.run([call("add", a="1", b=2), call("sub"), FunctionCallItem()])
    assert wrong.output == (
        '{"error": "add was not called: a: expected an integer, got a string. Its parameters: a, b."}'
    )
    assert isinstance(wrong.error, ToolArgumentError)
    assert unknown.output == '{"error": "there is no tool \'sub\'; the tools are: add"}'
    assert type(unknown.error) is ToolError
    assert (unknown.duration, nameless.call_id) == (0.0, "")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3


def test_fifty_calls_run_by_eight_workers_and_no_more() -> None:
    lock = threading.Lock()
    now, most, most_threads = 0, 0, 0
    eight = threading.Barrier(8)

    def work(n: int) -> int:
        nonlocal now, most, most_threads
        with lock:
            now += 1
            most = max(most, now)
            most_threads = max(most_threads, len(tool_threads()))
        if n < 8:
            eight.wait(LONG)  # broken unless eight run at once
        with lock:
            now -= 1
        return n

    with ToolRunner([work]) as runner:
        outcomes = runner.run([call("work", str(n), n=n) for n in range(50)])
        assert most == 8
        assert most_threads <= 8
    assert [outcome.output for outcome in outcomes] == [str(n) for n in range(50)]
    assert tool_threads() == []


def test_threads_are_daemons_with_names() -> None:
    seen: list[threading.Thread] = []

    def f() -> None:
        seen.append(threading.current_thread())

    with ToolRunner([f]) as runner:
        runner.run([call("f")])
    assert seen[0].daemon
    assert seen[0].name.startswith("realtime-sync-tool-")


def test_threads_end_when_no_call_waits_for_them() -> None:
    runner = ToolRunner([add])
    for _ in range(2):
        assert runner.run([call("add", a=1, b=1)])[0].output == "2"
        wait_until(lambda: not tool_threads())


def test_the_next_call_waits_until_one_of_those_at_the_bound_ends(gate: Gate) -> None:
    with ToolRunner([gate.hang, add], max_workers=2) as runner:
        running = [runner.start(call("hang", str(n))) for n in range(2)]
        gate.await_entered(2)
        waiting = runner.start(call("add", a=1, b=2))
        with pytest.raises(WaitTimeoutError):
            waiting.outcome(timeout=0.05)
        assert not waiting.done
        assert len(tool_threads()) == 2
        gate.open.set()
        assert waiting.outcome(LONG).output == "3"
        assert [each.outcome(LONG).output for each in running] == ["late", "late"]


# tools= -----------------------------------------------------------------------------------------------------


def test_tools_functions_and_definitions_run_elsewhere_are_taken() -> None:
    mcp = ConversationTool.create_mcp_tool("docs", "https://example.invalid/mcp")
    by_hand = ConversationTool.create_function_tool("by_hand")
    runner = ToolRunner([add, function_tool(name="minus")(lambda: 0), mcp, by_hand])
    assert [type(tool).__name__ for tool in runner.definitions] == [
        "ConversationFunctionTool",
        "ConversationFunctionTool",
        "ConversationMCPTool",
        "ConversationFunctionTool",
    ]
    assert list(runner.tools) == ["add", "minus"]
    assert repr(runner) == "<ToolRunner add, minus>"


def test_two_tools_of_one_name_are_refused() -> None:
    for second in (function_tool(add), add, ConversationTool.create_function_tool("add")):
        with pytest.raises(ConfigurationError, match="two tools have the name 'add'"):
            ToolRunner([add, second])


@pytest.mark.parametrize("wrong", [{"max_workers": 0}, {"max_workers": True}, {"timeout": 0}, {"timeout": "5"}])
def test_settings_that_make_no_sense_are_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        ToolRunner([add], **wrong)


def test_what_is_no_tool_is_refused() -> None:
    nonsense: Any = [5]
    with pytest.raises(ConfigurationError, match="function"):
        ToolRunner(nonsense)


@pytest.mark.parametrize("single", [add, function_tool(add), ConversationTool.create_function_tool("add")])
def test_a_single_tool_is_told_to_go_into_a_list(single: Any) -> None:
    with pytest.raises(ConfigurationError, match="as a list"):
        ToolRunner(single)


def test_a_running_call_shows_what_it_is(gate: Gate) -> None:
    with ToolRunner([gate.hang]) as runner:
        running = runner.start(call("hang", "c"))
        assert repr(running) == "<RunningCall hang c running>"
        gate.open.set()
        running.outcome(LONG)
        assert repr(running) == "<RunningCall hang c done>"
