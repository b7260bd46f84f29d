"""Closing from inside of another call of the same thread: in signal handlers, finalisers, callbacks."""

from __future__ import annotations

import functools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Callable

import pytest

from realtime_sync import ConversationSessionOptions, RealtimeSyncError, ToolRunner, threads
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.threads import is_nested
from realtime_sync.tools import ToolCancellation
from tests.core.harness import CALM, QUICK, House, Running, client_threads, until, within
from tests.transport.peer import TEXT, Link, close_frame, frame

pytestmark = pytest.mark.medium

ROOT = Path(__file__).parents[2]
CREATED = frame(TEXT, '{"type": "session.created", "session": {"id": "sess_1"}}')


def at(function: str, act: Callable[[], object]) -> None:
    """Call ``act`` on this thread, once, as soon as a function of this name begins: as a signal handler would be."""

    def profile(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and frame.f_code.co_name == function:
            sys.setprofile(None)
            act()

    sys.setprofile(profile)


# A call, and a function that runs while the call holds a lock that the closing needs.
HOLDING: dict[str, tuple[Callable[[Any], object], str]] = {
    "the turn on the wire": (lambda session: session.add_item("Hi"), "expect"),
    "the lock of a stream": (lambda session: session.receive_update(5), "_taken_out"),
    "the lock of the states": (lambda session: session.subscribe().close(), "<genexpr>"),
    "the lock of the conversation": (lambda session: session.conversation, "copy"),
}


@pytest.mark.parametrize("held", HOLDING)
@pytest.mark.parametrize("closer", ["session", "client"])
def test_a_close_inside_of_a_call_that_holds_a_lock_returns_soon_and_ends_the_session(
    plain: House, held: str, closer: str
) -> None:
    client = plain.client()
    session = client.start_conversation_session()
    took: list[float] = []

    def close() -> None:
        begun = time.monotonic()
        (session if closer == "session" else client).close()
        took.append(time.monotonic() - begun)

    call, function = HOLDING[held]
    at(function, close)
    try:
        with within(5):
            call(session)
    except RealtimeSyncError:
        pass  # it was closed in the middle of the call
    finally:
        sys.setprofile(None)
    assert took, f"{function} was not called"
    assert took[0] < 2  # half a second, on a machine with time
    until(lambda: session.closed)
    assert plain.live.wait_until_closed() == 1000


def test_a_stream_that_is_closed_inside_of_a_call_of_its_own_is_closed(plain: House) -> None:
    session = plain.open()
    stream = session.subscribe()
    session.add_item("Hi").wait()
    at("_taken_out", stream.close)
    with within(5):
        stream.receive(5)
    until(lambda: "closed" in repr(stream))
    session.add_item("Hi").wait()


def test_an_answer_is_cancelled_inside_of_a_call_that_has_the_turn_on_the_wire(plain: House) -> None:
    goes_on = threading.Event()
    plain.serve(responder=lambda turn: iter(lambda: goes_on.wait(0.05) or "and ", True))
    session = plain.open(start={"options": ConversationSessionOptions(content_modalities=["text"])})
    response = session.respond("Hi")
    at("expect", response.cancel)
    with within(5):
        session.add_item("Hi")
    assert response.wait(5).status == "cancelled"
    goes_on.set()


def test_calls_of_tools_are_ended_inside_of_a_call_that_holds_their_lock() -> None:
    def look_up() -> None:
        done.wait(5)

    cancellation, told, done = ToolCancellation(), threading.Event(), threading.Event()
    at("cancelled", cancellation.cancel)  # which is looked at with the lock held
    cancellation.on_cancel(told.set)
    assert told.wait(5)
    for end in (lambda runner, call: call.cancel(), lambda runner, call: runner.close()):
        runner = ToolRunner([look_up])
        call = runner.start(FunctionCallItem(call_id="call_1", name="look_up", arguments="{}"))
        at("_at_work", functools.partial(end, runner, call))
        with within(4):
            assert call.outcome(5).cancelled
    done.set()


def test_a_closing_goes_on_after_ctrl_c(plain: House) -> None:
    def script(link: Link) -> None:
        link.send(CREATED)
        link.read_frame()  # the close, which it answers later
        told.set()
        answer.wait(5)
        link.send(close_frame(1000, ""))

    told, answer = threading.Event(), threading.Event()
    session = plain.raw(script, timeouts=CALM)
    interrupt = Running(lambda: (told.wait(5), signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        session.close()
    interrupt.result()
    assert not session.closed
    answer.set()
    until(lambda: session.closed)
    assert session.close_info.code == 1000
    assert session.close_info.initiator == "local"


def test_a_close_in_a_handler_that_interrupts_logging_returns_in_time(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader logs the session's end, and waits for the lock that the interrupted call of ``logging`` holds."""
    closes = True
    monkeypatch.setattr(threads, "_SLACK_SECONDS", 0.2)  # to wait for less

    class Interrupted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # with the handler's lock, on the main thread
            nonlocal closes
            if closes and threading.current_thread() is threading.main_thread():
                closes = False
                session.close()

    session = plain.open(timeouts=QUICK)
    handler = Interrupted()
    logger = logging.getLogger("realtime_sync")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with within(10):
            logging.getLogger("realtime_sync.application").info("at work")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert not closes
    until(lambda: session.closed)


def test_a_callback_of_run_closes_the_session_and_run_returns(plain: House) -> None:
    session = plain.open()
    session.on("session.created", lambda update: session.close())
    session.run()
    assert session.closed


def test_a_silent_server_keeps_a_callback_half_a_second_and_no_longer(plain: House) -> None:
    def script(link: Link) -> None:
        link.send(CREATED)
        link.read_to_end()

    session = plain.raw(script, timeouts=CALM)
    took: list[float] = []

    def close(update: object) -> bool:
        begun = time.monotonic()
        session.close()
        took.append(time.monotonic() - begun)
        return True

    session.wait_for(close, 5)
    assert 0.4 < took[0] < CALM.close
    until(lambda: session.closed)


def test_two_that_close_at_once_wait_for_one_close(plain: House) -> None:
    session = plain.open()
    closers = [Running(session.close) for _ in range(4)]
    for closer in closers:
        closer.result()
    assert session.closed
    assert plain.live.wait_until_closed() == 1000
    until(lambda: not client_threads())


def test_a_closed_session_starts_no_thread_to_be_closed_again(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    session = plain.open()
    session.close()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda *_: pytest.fail("a thread was started"))
        session.close()


def test_without_a_thread_to_be_had_a_session_is_closed_all_the_same(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = plain.client()
    session = client.start_conversation_session()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        client.close()
    assert session.closed
    assert plain.live.wait_until_closed() == 1000


def test_only_a_caller_that_was_called_by_this_package_is_inside_of_a_call(plain: House) -> None:
    assert not is_nested()
    seen: list[bool] = []
    session = plain.open()
    session.wait_for(lambda update: seen.append(is_nested()) or True, 5)  # type: ignore[func-returns-value]
    assert seen == [True]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("sessions", "rounds"), [("core", "7"), ("live", "4")])  # of 33 and 16 calls
def test_no_close_in_a_handler_hangs_whatever_call_it_interrupts(sessions: str, rounds: str) -> None:
    command = [sys.executable, "-m", f"tests.{sessions}.close_in_handlers", rounds]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=360, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
