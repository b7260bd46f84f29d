"""How calls end that nobody waits for any more, and their threads."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from realtime_sync.errors import (
    ToolCancelledError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.tools import ToolCancellation, ToolContext, ToolRunner, function_tool
from tests.core.harness import within
from tests.tools.calling import LONG, Gate, add, call, tool_threads, wait_until

# Time-outs --------------------------------------------------------------------------------------------------


def test_a_call_that_takes_too_long_is_given_up_and_told(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    with ToolRunner([function_tool(gate.hang, timeout=0.05), add]) as runner:
        hung, quick = runner.run([call("hang"), call("add", a=1, b=2)])
        assert hung.timed_out
        assert not hung.cancelled
        assert isinstance(hung.error, WaitTimeoutError)
        assert hung.output == '{"error": "the tool hang took longer than 0.05 s and was given up"}'
        assert 0.05 <= hung.duration < LONG
        assert quick.output == "3"
        assert gate.contexts[0].cancellation.wait(LONG)
        gate.open.set()
    wait_until(lambda: "dropped" in caplog.text)
    assert hung.output != "late"


def test_a_tools_own_time_out_comes_before_the_runners(gate: Gate) -> None:
    with ToolRunner([function_tool(gate.hang, timeout=0.02)], timeout=LONG) as runner:
        assert runner.run([call("hang")])[0].timed_out
        gate.open.set()


def test_a_time_out_is_kept_by_whoever_waits_and_by_whoever_looks(gate: Gate) -> None:
    with ToolRunner([gate.hang], timeout=0.05) as runner:
        waited, looked = runner.start(call("hang")), runner.start(call("hang"))
        gate.await_entered(2)
        assert waited.outcome(timeout=LONG).timed_out
        wait_until(lambda: looked.done)
        assert looked.outcome(timeout=0).timed_out
        assert all(context.cancellation.cancelled for context in gate.contexts)
        gate.open.set()


def test_whoever_waits_for_one_call_gives_up_the_others_whose_time_is_up(gate: Gate) -> None:
    """Nobody waits for the first, and the second waits for its place."""
    with ToolRunner([function_tool(gate.hang, timeout=0.05), add], max_workers=1) as runner:
        hung, waiting = runner.start(call("hang")), runner.start(call("add", a=1, b=2))
        assert waiting.outcome(LONG).output == "3"
        assert hung.outcome(timeout=0).timed_out
        gate.open.set()


def test_the_time_that_a_call_waits_for_a_worker_does_not_count() -> None:
    def wait(context: ToolContext) -> bool:
        return context.cancellation.wait(0.3)

    with ToolRunner([wait], max_workers=1, timeout=1.1) as runner:
        outcomes = runner.run([call("wait") for _ in range(4)])
    assert [outcome.output for outcome in outcomes] == ["false"] * 4


def test_a_function_that_hangs_does_not_keep_the_others_from_running(gate: Gate) -> None:
    with ToolRunner([function_tool(gate.hang, timeout=0.05), add], max_workers=1) as runner:
        hung, quick = runner.run([call("hang"), call("add", a=1, b=2)])
        assert hung.timed_out
        assert quick.output == "3"
        gate.open.set()


def test_once_too_many_hang_calls_fail_at_once_and_go_on_when_they_return(gate: Gate) -> None:
    with ToolRunner([function_tool(gate.hang, timeout=0.03), add], max_workers=2) as runner:
        outcomes = runner.run([call("hang", str(n)) for n in range(6)])
        assert [outcome.timed_out for outcome in outcomes] == [True] * 4 + [False] * 2
        assert "no thread is left" in outcomes[5].output
        assert "no thread is left" in runner.run([call("add", a=1, b=2)])[0].output
        assert len(tool_threads()) == 4
        gate.open.set()
        wait_until(lambda: not tool_threads())
        assert runner.run([call("add", a=1, b=2)])[0].output == "3"


# Cancellation -----------------------------------------------------------------------------------------------


def test_a_cancelled_call_is_settled_at_once_and_its_late_result_is_dropped(gate: Gate) -> None:
    with ToolRunner([gate.hang]) as runner:
        running = runner.start(call("hang", "c"))
        gate.await_entered()
        assert not running.done
        with pytest.raises(WaitTimeoutError):
            running.outcome(timeout=0)
        running.cancel()
        outcome = running.outcome(timeout=0)
        assert outcome.cancelled
        assert not outcome.timed_out
        assert isinstance(outcome.error, ToolCancelledError)
        assert outcome.output == '{"error": "the tool hang was cancelled"}'
        assert gate.contexts[0].cancellation.cancelled
        assert (gate.contexts[0].call_id, gate.contexts[0].name) == ("c", "hang")
        gate.open.set()
        wait_until(lambda: not tool_threads())
        assert running.outcome() is outcome
        running.cancel()


def test_a_function_that_checks_its_cancellation_ends(caplog: pytest.LogCaptureFixture) -> None:
    entered, ended = threading.Event(), threading.Event()

    def loop(context: ToolContext) -> None:
        try:
            while True:
                entered.set()
                context.cancellation.check()
                context.cancellation.wait(LONG)
        finally:
            ended.set()

    def cancel() -> None:
        entered.wait(LONG)
        cancellation.cancel()

    cancellation = ToolCancellation()
    with ToolRunner([loop]) as runner:
        threading.Thread(target=cancel, daemon=True).start()
        outcomes = runner.run([call("loop", "a"), call("loop", "b")], cancellation)
        assert [outcome.cancelled for outcome in outcomes] == [True, True]
        assert ended.wait(LONG)
    assert caplog.records == []
    assert tool_threads() == []


def test_a_call_that_waits_for_a_worker_is_never_begun_once_cancelled(gate: Gate) -> None:
    with ToolRunner([gate.hang, add], max_workers=1) as runner:
        first = runner.start(call("hang"))
        gate.await_entered()
        second = runner.start(call("hang"))
        second.cancel()
        assert second.outcome(timeout=0).duration == 0.0
        gate.open.set()
        assert first.outcome(LONG).output == "late"
        assert runner.run([call("add", a=1, b=2)])[0].output == "3"
        assert len(gate.contexts) == 1


def test_a_cancellation_that_was_before_the_calls_cancels_them() -> None:
    cancellation = ToolCancellation()
    cancellation.cancel()
    with ToolRunner([add]) as runner:
        assert runner.run([call("add", a=1, b=2)], cancellation)[0].cancelled


def test_a_cancellation_forgets_the_calls_that_have_ended() -> None:
    cancellation = ToolCancellation()
    with ToolRunner([add]) as runner:
        runner.run([call("add", a=1, b=2)] * 3, cancellation)
    assert cancellation._callbacks == []


def test_a_function_may_cancel_itself() -> None:
    def give_up(context: ToolContext) -> str:
        context.cancellation.cancel()
        return "not kept"

    with ToolRunner([give_up, add], max_workers=1) as runner:
        assert runner.run([call("give_up")])[0].cancelled
        assert runner.run([call("add", a=1, b=2)])[0].output == "3"


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="a signal cannot be sent to a thread here")
def test_ctrl_c_in_the_waiting_thread_cancels_and_goes_on(gate: Gate) -> None:
    def interrupt() -> None:
        gate.await_entered()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with ToolRunner([gate.hang]) as runner:
        thread = threading.Thread(target=interrupt, daemon=True)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            runner.run([call("hang"), call("add")])
        thread.join(LONG)
        assert gate.contexts[0].cancellation.cancelled
        gate.open.set()


def test_a_cancellation_tells_and_wakes() -> None:
    cancellation = ToolCancellation()
    told: list[str] = []
    cancellation.on_cancel(lambda: told.append("kept"))
    cancellation.on_cancel(lambda: told.append("forgotten"))()
    assert cancellation.wait(0) is False
    cancellation.check()
    cancellation.cancel()
    cancellation.cancel()
    cancellation.on_cancel(lambda: told.append("late"))
    assert cancellation.cancelled
    assert cancellation.wait() is True
    assert told == ["kept", "late"]
    with pytest.raises(ToolCancelledError):
        cancellation.check()


# Ends -------------------------------------------------------------------------------------------------------


def test_no_thread_is_left_after_close_and_a_second_close_is_nothing() -> None:
    runner = ToolRunner([add])
    runner.run([call("add", a=n, b=n) for n in range(20)])
    with within(1.5):
        runner.close()
    assert tool_threads() == []
    runner.close()
    with pytest.raises(UsageError, match="closed"):
        runner.start(call("add"))
    with pytest.raises(UsageError, match="closed"):
        runner.run([call("add")])


def test_close_cancels_what_runs_and_what_waits_and_is_bounded(gate: Gate) -> None:
    runner = ToolRunner([gate.hang], max_workers=2)
    running = [runner.start(call("hang")) for _ in range(10)]
    gate.await_entered(2)
    began = time.monotonic()
    runner.close(timeout=0.1)
    assert time.monotonic() - began < LONG / 2
    assert all(one.outcome(timeout=0).cancelled for one in running)
    assert len(gate.contexts) == 2


def test_a_function_may_close_its_runner() -> None:
    def end() -> str:
        runner.close()
        return "ended"

    runner = ToolRunner([end])
    assert runner.run([call("end")])[0].cancelled
    wait_until(lambda: not tool_threads())


def test_the_interpreter_exits_though_a_tool_hangs() -> None:
    code = """
import threading
from realtime_sync.tools import ToolRunner
from realtime_sync.protocol.items import FunctionCallItem
entered = threading.Event()
def hang() -> None:
    entered.set()
    threading.Event().wait()
runner = ToolRunner([hang], timeout=None)
runner.start(FunctionCallItem(call_id="1", name="hang", arguments="{}"))
assert entered.wait(10)
print("over")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("over\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_runs_calls_on_threads_of_its_own() -> None:
    code = """
import os
from realtime_sync.tools import ToolRunner
from realtime_sync.protocol.items import FunctionCallItem
def seven() -> int:
    return 7
runner = ToolRunner([seven], timeout=5)
call = FunctionCallItem(call_id="1", name="seven", arguments="{}")
assert runner.run([call])[0].output == "7"
child = os.fork()
if child == 0:
    os._exit(int(runner.start(call).outcome(5).output))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert told.stdout == "7\n"


def test_a_function_sees_the_context_variables_of_its_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    def read() -> str:
        return variable.get()

    with ToolRunner([read]) as runner:
        runner.run([call("read")])
        variable.set("mine")
        assert runner.run([call("read")])[0].output == "mine"


def test_many_callers_and_cancellers_at_once_lose_no_call() -> None:
    def work(n: int, context: ToolContext) -> int:
        context.cancellation.wait(0.001 * (n % 4))
        return n

    faults: list[str] = []

    def caller(seed: int) -> None:
        for turn in range(20):
            started = [runner.start(call("work", str(n), n=n + seed + turn)) for n in range(5)]
            started[turn % 5].cancel()
            for n, running in enumerate(started):
                outcome = running.outcome(LONG)
                if outcome.call_id != str(n) or not (outcome.cancelled or outcome.output == str(n + seed + turn)):
                    faults.append(repr(outcome))

    with ToolRunner([work], max_workers=3, timeout=5) as runner:
        threads = [threading.Thread(target=caller, args=(seed,), daemon=True) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
            assert not thread.is_alive()
        # Nothing hangs here, so no thread may be left behind.
        wait_until(lambda: not tool_threads())
    assert faults == []
    assert tool_threads() == []
