"""What a caller's function raises on a thread of ours reaches a person, though nobody has set up logging."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.errors import ToolError
from realtime_sync.tools import ToolCancellation, ToolContext, ToolRunner, function_tool
from realtime_sync.user_code import warn_once
from tests.core.conftest import plain
from tests.core.harness import House
from tests.tools.calling import call, tool_threads, wait_until

__all__ = ["plain"]
ROOT = Path(__file__).parents[1]
TOLD = "the model was told so"


@contextmanager
def warned() -> Iterator[list[str]]:
    """The messages of the warnings that the block gives."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        yield told
    told += [f"{type(record.message).__name__}: {record.message}" for record in records]


def test_a_bug_in_a_tool_is_warned_of_once_for_each_function_and_logged_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> None:
        undefined  # type: ignore[name-defined]  # noqa: F821

    def odd() -> object:
        return object()  # which JSON cannot say

    with warned() as told, ToolRunner([broken, odd]) as runner:
        runner.run([call("broken", "a"), call("broken", "b"), call("odd", "c")])
        ToolRunner([broken]).run([call("broken", "d")])
    assert len(told) == 2
    assert any("RuntimeWarning: the tool broken raised NameError: name 'undefined' is not" in text for text in told)
    assert any("the tool odd raised TypeError: JSON has no form for object" in text for text in told)
    assert all(TOLD in text for text in told)
    assert sum("broken failed" in record.message and record.exc_info is not None for record in caplog.records) == 3


def test_a_function_that_is_made_anew_for_each_request_is_warned_of_once() -> None:
    def decorated(function: Callable[[], None]) -> Callable[[], None]:
        @functools.wraps(function)
        def wrapper() -> None:
            function()

        return wrapper

    def request() -> None:
        def broken() -> None:
            raise LookupError

        @decorated
        def another() -> None:
            raise LookupError

        with ToolRunner([broken, another]) as runner:
            runner.run([call("broken"), call("another")])

    with warned() as told:
        request()
        request()
    assert len(told) == 2


def test_a_warning_stands_where_the_error_was_raised() -> None:
    def broken() -> None:
        raise LookupError

    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        with ToolRunner([broken]) as runner:
            runner.run([call("broken")])
    (record,) = records
    assert (record.filename, record.lineno) == (__file__, broken.__code__.co_firstlineno + 1)


def test_a_tool_that_takes_too_long_is_warned_of() -> None:
    release = threading.Event()

    @function_tool(timeout=0.01)
    def slow() -> None:
        release.wait(20)

    with warned() as told, ToolRunner([slow]) as runner:
        runner.run([call("slow")])
        release.set()
    wait_until(lambda: not tool_threads())
    assert len(told) == 1
    assert "the tool slow raised" in told[0]
    assert "took longer than 0.01 s" in told[0]


def test_what_the_model_did_wrong_and_what_a_tool_tells_it_is_no_bug() -> None:
    def add(a: int) -> int:
        raise ToolError("there is no such number")

    def stopped(context: ToolContext) -> None:
        context.cancellation.cancel()
        context.cancellation.check()

    with warned() as told, ToolRunner([add, stopped]) as runner:
        runner.run([call("add", "a"), call("add", "b", a=1), call("nothing", "c"), call("stopped", "d")])
    assert told == []


def test_the_model_is_told_though_warnings_are_errors() -> None:
    def broken() -> None:
        raise LookupError("x")

    with warnings.catch_warnings(), ToolRunner([broken]) as runner:
        warnings.simplefilter("error")
        assert runner.run([call("broken")])[0].output == '{"error": "LookupError: x"}'


def test_by_default_it_is_seen_and_a_filter_can_name_it(tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(
        "from realtime_sync.tools import ToolRunner\n"
        "from realtime_sync.protocol.items import FunctionCallItem\n"
        "def broken():\n"
        "    raise LookupError('here it is')\n"
        "for _ in range(2):\n"
        "    ToolRunner([broken]).run([FunctionCallItem(call_id='a', name='broken', arguments='{}')])\n"
    )

    def stderr(*options: str) -> str:
        return subprocess.run(
            [sys.executable, *options, str(script)],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        ).stderr

    told = stderr()
    assert told.count("app.py:4: RuntimeWarning: the tool broken raised LookupError: here it is") == 1
    assert "Traceback" not in told
    assert stderr("-W", "ignore::RuntimeWarning:realtime_sync.user_code") == ""


class Owner:
    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def method(self) -> None: ...

    def __call__(self) -> None: ...


@pytest.mark.parametrize("made", [lambda: Owner().method, lambda: functools.partial(function, 1), Owner, lambda: print])
def test_each_function_is_known_again(made: Callable[[], Any]) -> None:
    with warned() as told:
        warn_once(made(), ValueError("a"), "it", "so")
        warn_once(made(), ValueError("b"), "it", "so")
    assert len(told) <= 1


def function(x: int) -> None: ...


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_an_error_that_has_no_text_is_warned_of_all_the_same() -> None:
    with warned() as told:
        warn_once(lambda: None, Unspeakable(), "it", "so")
    assert "Unspeakable" in told[0]


def test_what_is_called_at_a_cancellation_is_warned_of() -> None:
    def broken() -> None:
        raise LookupError("mine")

    cancellation = ToolCancellation()
    cancellation.on_cancel(broken)
    with warned() as told:
        cancellation.cancel()
    assert len(told) == 1
    assert "a callback of on_cancel raised LookupError: mine" in told[0]


def test_a_source_of_audio_that_fails_is_warned_of_though_nobody_waits(plain: House) -> None:
    session = plain.open()

    def source() -> Iterator[bytes]:
        yield bytes(4800)
        raise LookupError("mine")

    with warned() as told:
        sending = session.start_sending_audio(source())
        wait_until(lambda: sending.done)
    assert len(told) == 1
    assert "raised LookupError: mine; no more of it is sent" in told[0]
