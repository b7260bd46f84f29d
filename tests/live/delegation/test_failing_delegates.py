"""Delegates that raise, hang, come too late, or cannot be called at all."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import Any, Callable

import pytest

from realtime_sync import InvalidInputError, OpenAIClient, ResponsesBackend, ToolCancelledError
from realtime_sync.errors import ConfigurationError
from realtime_sync.live.delegation_requests import DelegationRequest
from tests.harness import until, within
from tests.live.delegation.conftest import Talk

pytestmark = pytest.mark.medium

Begin = Callable[..., Talk]

SECRET = "password=hunter2hunter2"


def test_what_a_delegate_raises_is_told_to_people_and_the_model_hears_that_it_could_not_be_done(
    talk: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(request: DelegationRequest) -> str:
        raise LookupError(SECRET)

    call = talk(delegate=failing)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        call.asks("Look it up.")
        assert call.wait_for_appends(1) == [("commentary", "The request could not be completed.")]
    assert "the delegate failing raised LookupError" in str(warned[0].message)
    assert warned[0].category is RuntimeWarning
    record = next(record for record in caplog.records if "delegate failing failed" in record.message)
    assert record.exc_info
    assert isinstance(record.exc_info[1], LookupError)
    assert all(SECRET not in str(message) for message in call.twin.received)
    call.until(lambda: "could not be completed" in call.spoken())


@pytest.mark.filterwarnings("ignore:.*failing_once")
def test_the_session_goes_on_after_a_delegate_has_raised(talk: Begin) -> None:
    def failing_once(request: DelegationRequest) -> str:
        if request.text == "One.":
            raise ValueError
        return "Two it is."

    call = talk(delegate=failing_once)
    call.asks("One.")
    call.wait_for_appends(1)
    call.asks("Two.")
    assert call.wait_for_appends(2)[1] == ("commentary", "Two it is.")


@pytest.mark.filterwarnings("ignore:.*failing_late")
def test_nothing_is_said_of_an_error_behind_an_answer(talk: Begin) -> None:
    def failing_late(request: DelegationRequest) -> None:
        request.answer("All is well.")
        raise ValueError

    call = talk(delegate=failing_late)
    call.asks("Is it?")
    call.asks("And now?")
    call.wait_for_appends(2)
    assert {text for _, text in call.appended()} == {"All is well."}


@pytest.mark.filterwarnings("ignore:the delegate hanging")
def test_a_delegate_that_hangs_is_left_behind_and_the_next_delegation_is_served(
    talk: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()
    cancelled: list[bool] = []

    def hanging(request: DelegationRequest) -> str:
        if request.text == "Two.":
            return "Two it is."
        cancelled.append(request.cancelled.wait(20))
        late = request.progress("I am still at it.")
        assert isinstance(late.error, ToolCancelledError)
        released.wait(20)
        return "late"

    call = talk(delegate=hanging, delegate_timeout=0.3)
    first = call.asks("One.")
    assert call.wait_for_appends(1) == [("commentary", "The request could not be completed in time.")]
    call.asks("Two.")
    assert call.wait_for_appends(2)[1] == ("commentary", "Two it is.")
    until(lambda: cancelled, 10.0)
    released.set()
    until(lambda: "its result is dropped" in caplog.text, 10.0)
    assert cancelled == [True]
    assert f"what is said for the delegation {first} is dropped" in caplog.text
    assert len(call.appended()) == 2


def test_a_close_does_not_wait_for_a_delegate_and_its_result_is_dropped(
    talk: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    entered, released = threading.Event(), threading.Event()
    seen: list[Any] = []

    def slow(request: DelegationRequest) -> str:
        entered.set()
        released.wait(20)
        seen.append((request.cancelled.is_set(), bool(request.cancelled), request.answer("late").error))
        return "later"

    call = talk(delegate=slow)
    call.asks("Look it up.")
    assert entered.wait(10)
    with within(5):
        call.close()
    assert call.session.closed
    released.set()
    until(lambda: "its result is dropped" in caplog.text, 10.0)
    assert seen[0][:2] == (True, True)
    assert seen[0][2] is not None
    assert call.appended() == []


def test_requests_that_wait_are_not_worked_on_after_the_end(talk: Begin) -> None:
    entered, released = threading.Event(), threading.Event()
    texts: list[str] = []

    def slow(request: DelegationRequest) -> None:
        texts.append(request.text)
        entered.set()
        released.wait(20)

    call = talk(delegate=slow)
    call.asks("One.")
    assert entered.wait(10)
    call.asks("Two.", seconds=3.0)
    threads = {thread.name for thread in threading.enumerate()}
    call.close()
    released.set()
    until(lambda: not any("delegate" in thread.name for thread in threading.enumerate()), 10.0)
    assert any("delegate" in name for name in threads)
    assert texts == ["One."]


def test_a_delegate_that_hangs_does_not_keep_the_interpreter() -> None:
    code = """
        import base64, threading, time
        from realtime_sync import OpenAIClient
        from realtime_sync.server import LiveRules, RealtimeServer

        entered = threading.Event()

        def hang(request):
            entered.set()
            time.sleep(600)

        server = RealtimeServer(live=LiveRules())
        client = OpenAIClient("k", endpoint=server.url).get_realtime_conversation_client("m")
        session = client.start_live_session(delegate=hang)
        silence = base64.b64encode(bytes(4800)).decode()
        twin = server.wait_for_live_session()
        session.send_message({"type": "session.input_audio.append", "audio": silence})
        twin.hear("Hello.")
        twin.delegate()
        while not entered.wait(0.1):
            session.send_message({"type": "session.input_audio.append", "audio": silence})
        print("hangs", flush=True)
    """
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hangs\n", "")
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("delegate", [lambda: None, "a text", lambda one, two: None, ResponsesBackend])
def test_what_cannot_be_called_with_a_request_is_refused_before_anything_is_connected(delegate: Any) -> None:
    client = OpenAIClient("k", endpoint="ws://127.0.0.1:9").get_realtime_conversation_client("m")
    with pytest.raises(InvalidInputError, match=r"function of one argument|make one, ResponsesBackend\("):
        client.start_live_session(delegate=delegate)


def test_an_async_function_is_refused_before_anything_is_connected() -> None:
    async def look_up(request: DelegationRequest) -> None: ...

    client = OpenAIClient("k", endpoint="ws://127.0.0.1:9").get_realtime_conversation_client("m")
    with pytest.raises(InvalidInputError, match="async function"):
        client.start_live_session(delegate=look_up)


@pytest.mark.parametrize("wrong", [{"delegate_concurrency": 0}, {"delegate_timeout": 0}, {"delegate_timeout": "1"}])
def test_numbers_that_are_none_are_refused_before_anything_is_connected(wrong: dict[str, Any]) -> None:
    client = OpenAIClient("k", endpoint="ws://127.0.0.1:9").get_realtime_conversation_client("m")
    with pytest.raises((InvalidInputError, ConfigurationError), match="delegate"):
        client.start_live_session(delegate=lambda request: None, **wrong)


def test_a_result_that_the_service_has_not_got_at_the_end_is_told(
    talk: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    stands = threading.Event()

    def late(request: DelegationRequest) -> str:
        stands.wait(20)
        return "Too late."

    call = talk(delegate=late)
    delegation = call.asks("Look it up.")
    call.clock.advance(5.0)  # without any audio
    stands.set()
    call.wait_for_appends(1)
    call.close()
    told = f"the model may not have said the result for the delegation {delegation}: "
    until(lambda: told in caplog.text, 10.0)


def test_a_result_that_the_service_refuses_is_told(talk: Begin, caplog: pytest.LogCaptureFixture) -> None:
    call = talk(delegate=lambda request: "An answer.")
    error = {"type": "invalid_request_error", "code": "no_such_delegation", "message": "There is no such delegation."}

    def refuse(message: dict[str, Any]) -> None:
        call.twin.emit({"type": "error", "error": error | {"client_event_id": message["event_id"]}})

    call.twin.appends.take = refuse  # type: ignore[method-assign]
    call.asks("One.")
    call.wait_for_appends(1)
    call.asks("Two.")
    until(lambda: "There is no such delegation." in caplog.text, 10.0)


def test_a_delegate_may_close_its_session(talk: Begin) -> None:
    asked, returned = threading.Event(), threading.Event()
    sessions: list[Any] = []

    def closing(request: DelegationRequest) -> None:
        asked.wait(20)
        sessions[0].close()
        returned.set()

    call = talk(delegate=closing)
    sessions.append(call.session)
    call.asks("Hang up.")
    asked.set()
    assert returned.wait(5)
    call.twin.wait_for_message("session.close")
    call.clock.advance(1.0)
    until(lambda: call.session.closed, 10.0)
