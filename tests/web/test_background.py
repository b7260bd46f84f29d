"""Sessions in the background: run, kept count of, closed at the end; nothing is left, and a fork is told of."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import (
    AuthenticationError,
    ConfigurationError,
    ConnectionClosedError,
    ConversationSessionOptions,
    InvalidInputError,
    LiveSession,
    LiveSessionClosedUpdate,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeConversationSession,
    SessionNotOpenError,
    TooManySessionsError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.server import RealtimeServer
from realtime_sync.web.background import BackgroundSessions
from tests.core.harness import CALM, Running, client_threads, until

pytestmark = pytest.mark.medium

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads(), 20)


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer() as running:
        yield running


@pytest.fixture
def client(server: RealtimeServer) -> Iterator[RealtimeConversationClient]:
    owner = OpenAIClient("any-key", endpoint=server.url, timeouts=CALM)
    with owner.get_realtime_conversation_client("gpt-realtime-2.1") as made:
        yield made


@pytest.fixture
def sessions() -> Iterator[BackgroundSessions]:
    with BackgroundSessions(max_sessions=3) as owner:
        yield owner


def listen(session: RealtimeConversationSession) -> int:
    """Until the session ends."""
    return sum(1 for _ in session.updates())


def test_a_session_is_opened_run_and_closed_on_a_thread_of_its_own(
    client: RealtimeConversationClient, server: RealtimeServer, sessions: BackgroundSessions
) -> None:
    def ask(session: RealtimeConversationSession) -> tuple[str, str]:
        return threading.current_thread().name, session.ask("Good morning").text

    options = ConversationSessionOptions(content_modalities=["text"])
    background = sessions.start(lambda: client.start_conversation_session(options), ask, key="greeting")
    thread, text = background.wait(20)
    assert "Good morning" in text
    assert thread == "realtime-sync-background-greeting"
    assert background.session is not None
    assert background.session.closed
    assert (background.done, background.error) == (True, None)
    assert server.sessions[0].wait_until_closed(20) == 1000
    until(lambda: sessions.running == 0, 20)


def test_start_returns_before_the_session_is_open(server: RealtimeServer, sessions: BackgroundSessions) -> None:
    may_open = threading.Event()
    client = OpenAIClient("k", endpoint=server.url, timeouts=CALM).get_realtime_conversation_client("m")

    def open_later() -> RealtimeConversationSession:
        assert may_open.wait(20)
        return client.start_conversation_session()

    background = sessions.start(open_later, listen)
    assert "opening" in repr(background)
    with pytest.raises(WaitTimeoutError):
        background.wait_until_open(0)
    may_open.set()
    assert background.wait_until_open(20) is background.session
    assert "running" in repr(background)


def test_its_key_finds_it_while_it_runs_and_is_nobody_elses(
    client: RealtimeConversationClient, sessions: BackgroundSessions
) -> None:
    background = sessions.start(client.start_conversation_session, listen, key="rtc_1")
    background.wait_until_open(20)
    assert sessions.get("rtc_1") is background
    with pytest.raises(UsageError, match="'rtc_1' runs already"):
        sessions.start(client.start_conversation_session, listen, key="rtc_1")
    background.close()
    assert background.wait(20) >= 1
    until(lambda: sessions.get("rtc_1") is None, 20)


def test_one_visitor_leaves_room_for_others(client: RealtimeConversationClient) -> None:
    with BackgroundSessions(max_sessions=4, max_per_visitor=2) as sessions:
        running = [sessions.start(client.start_conversation_session, listen, visitor="10.0.0.1") for _ in range(2)]
        with pytest.raises(TooManySessionsError, match="max_per_visitor"):
            sessions.start(client.start_conversation_session, listen, visitor="10.0.0.1")
        with pytest.raises(TooManySessionsError), sessions.hold(client.start_conversation_session, visitor="10.0.0.1"):
            pass
        with sessions.hold(client.start_conversation_session, visitor="10.0.0.2") as session:
            assert session.id
        sessions.start(client.start_conversation_session, listen)  # of nobody, so it counts for nobody
        running[0].wait_until_open(20)
        running[0].close()
        running[0].wait(20)
        sessions.start(client.start_conversation_session, listen, visitor="10.0.0.1")


def test_no_more_than_allowed_run_at_once(client: RealtimeConversationClient, sessions: BackgroundSessions) -> None:
    running = [sessions.start(client.start_conversation_session, listen) for _ in range(3)]
    with pytest.raises(TooManySessionsError, match="503"):
        sessions.start(client.start_conversation_session, listen)
    with pytest.raises(TooManySessionsError), sessions.hold(client.start_conversation_session):
        pass
    running[0].close()
    until(lambda: sessions.running == 2, 20)
    sessions.start(client.start_conversation_session, listen).wait_until_open(20)


def test_a_key_is_free_again_for_whoever_has_waited_for_its_session(sessions: BackgroundSessions) -> None:
    go = threading.Event()

    def open_nothing() -> RealtimeConversationSession:
        go.wait(20)
        raise ConfigurationError("no key")

    background = sessions.start(open_nothing, listen, key="rtc_1")
    with sessions._lock:  # so that it cannot be taken off the list
        go.set()
        with pytest.raises(WaitTimeoutError):
            background.wait(0.3)
    with pytest.raises(ConfigurationError):
        background.wait(20)
    assert sessions.get("rtc_1") is None


@pytest.mark.parametrize("key", [7, b"rtc_1", ["rtc_1"]])
def test_a_key_that_is_no_text_is_refused(
    client: RealtimeConversationClient, sessions: BackgroundSessions, key: Any
) -> None:
    with pytest.raises(InvalidInputError, match="key"):
        sessions.start(client.start_conversation_session, listen, key=key)
    with pytest.raises(InvalidInputError, match="key"), sessions.hold(client.start_conversation_session, key=key):
        pass


def test_a_session_in_the_place_of_a_function_that_opens_one_is_refused_at_once(
    client: RealtimeConversationClient, sessions: BackgroundSessions
) -> None:
    with client.start_conversation_session() as session:
        opened: Any = session  # as start(client.attach(call_id), ...) would be
        with pytest.raises(InvalidInputError, match="lambda"):
            sessions.start(opened, listen)
        with pytest.raises(InvalidInputError, match="lambda"), sessions.hold(opened):
            pass
    assert sessions.running == 0


@pytest.mark.parametrize("seconds", [None, -1, True, float("inf"), float("nan"), "3"])
def test_a_time_to_close_in_that_makes_no_sense_is_refused(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="close_seconds"):
        BackgroundSessions(close_seconds=seconds)


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "many"])
def test_a_number_of_sessions_that_makes_no_sense_is_refused(number: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_per_visitor"):
        BackgroundSessions(max_per_visitor=0)
    with pytest.raises(ConfigurationError, match="max_sessions"):
        BackgroundSessions(number)


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_what_the_function_raises_is_logged_and_kept_and_the_session_closed(
    client: RealtimeConversationClient,
    server: RealtimeServer,
    sessions: BackgroundSessions,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(session: RealtimeConversationSession) -> None:
        raise KeyError("no such order")

    warned = pytest.warns(RuntimeWarning, match="the background session rtc_2 raised KeyError: 'no such order'")
    with warned, pytest.raises(KeyError):
        (background := sessions.start(client.start_conversation_session, fail, key="rtc_2")).wait(20)
    assert isinstance(background.error, KeyError)
    assert server.sessions[0].wait_until_closed(20) == 1000
    assert "rtc_2 failed" in caplog.text
    assert "no such order" in caplog.text


def test_a_session_that_cannot_be_opened_tells_why_and_no_secret(
    sessions: BackgroundSessions, caplog: pytest.LogCaptureFixture
) -> None:
    def ask_the_vault() -> str:
        raise OSError("the vault said: sk-nobody-may-see-this")

    client = OpenAIClient(ask_the_vault, endpoint="http://127.0.0.1:9/v1").get_realtime_conversation_client("m")
    background = sessions.start(client.start_conversation_session, listen)
    with pytest.raises(AuthenticationError):
        background.wait_until_open(20)
    with pytest.raises(AuthenticationError):
        background.wait(20)
    assert "AuthenticationError" in caplog.text
    assert "sk-nobody" not in caplog.text


def test_a_function_that_opens_no_session_is_told_of(sessions: BackgroundSessions) -> None:
    forgets_to_return: Any = lambda: None  # noqa: E731
    with pytest.raises(InvalidInputError, match="returned None"):
        sessions.start(forgets_to_return, listen).wait_until_open(20)
    with pytest.raises(InvalidInputError, match="returned None"), sessions.hold(forgets_to_return):
        pass


def test_an_error_that_has_a_secret_as_its_cause_is_logged_without_it(
    client: RealtimeConversationClient, sessions: BackgroundSessions, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(session: RealtimeConversationSession) -> None:
        try:
            raise OSError("sk-nobody-may-see-this")
        except OSError as error:
            raise LookupError("the order was not found") from error

    with pytest.raises(LookupError):
        sessions.start(client.start_conversation_session, fail).wait(20)
    assert "the order was not found" in caplog.text
    assert "sk-nobody" not in caplog.text


def test_a_peer_that_ends_in_good_order_within_an_answer_is_no_error_in_the_log(
    client: RealtimeConversationClient,
    server: RealtimeServer,
    sessions: BackgroundSessions,
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = sessions.start(client.start_conversation_session, listen)
    background.wait_until_open(20)
    server.wait_for_session().emit({"type": "response.created", "response": {"id": "resp_1", "output": []}})
    server.sessions[0].close(1000, "")
    with pytest.raises(ConnectionClosedError) as caught:
        background.wait(20)
    assert caught.value.close_info.clean
    assert caplog.records == []


# The end -------------------------------------------------------------------------------------------------------------


def test_close_ends_all_of_them_and_refuses_new_ones(
    client: RealtimeConversationClient, server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = BackgroundSessions()
    running = [sessions.start(client.start_conversation_session, listen) for _ in range(5)]
    for background in running:
        background.wait_until_open(20)
    assert sessions.close(20)
    assert [background.done for background in running] == [True] * 5
    assert [background.error for background in running] == [None] * 5
    assert {session.wait_until_closed(20) for session in server.sessions} == {1000}
    with pytest.raises(SessionNotOpenError, match="closed"):
        sessions.start(client.start_conversation_session, listen)
    assert sessions.close(20)
    assert caplog.records == []


def test_what_is_closed_while_it_is_opened_is_closed_as_soon_as_it_is_open(
    client: RealtimeConversationClient, server: RealtimeServer
) -> None:
    sessions = BackgroundSessions()
    opening, may_open = threading.Event(), threading.Event()

    def open_later() -> RealtimeConversationSession:
        opening.set()
        assert may_open.wait(20)
        return client.start_conversation_session()

    background = sessions.start(open_later, listen)
    assert opening.wait(20)
    assert not sessions.close(0)
    may_open.set()
    with pytest.raises(SessionNotOpenError, match="while it was being opened"):
        background.wait(20)
    assert server.sessions[0].wait_until_closed(20) == 1000


def test_a_function_that_does_not_end_is_told_of_and_not_waited_for(
    client: RealtimeConversationClient, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = BackgroundSessions()
    may_end = threading.Event()
    background = sessions.start(client.start_conversation_session, lambda _: may_end.wait(20), key="stubborn")
    background.wait_until_open(20)
    assert not sessions.close(0.1)
    assert "stubborn" in caplog.text
    may_end.set()
    background.wait(20)


def test_a_function_may_close_its_owner(client: RealtimeConversationClient) -> None:
    sessions = BackgroundSessions()
    background = sessions.start(client.start_conversation_session, lambda _: sessions.close(30))
    assert Running(lambda: background.wait(10)).result(20) is True


# On the caller's own thread ------------------------------------------------------------------------------------------


def test_a_held_session_counts_and_is_closed_when_it_is_left(
    client: RealtimeConversationClient, server: RealtimeServer, sessions: BackgroundSessions
) -> None:
    with sessions.hold(client.start_conversation_session, key="stream") as session:
        assert sessions.running == 1
        assert sessions.get("stream") is not None
        session.add_item("Hi").wait()
    assert session.closed
    assert sessions.running == 0
    assert server.sessions[0].wait_until_closed(20) == 1000


def test_close_ends_a_held_session_and_waits_for_its_holder(client: RealtimeConversationClient) -> None:
    sessions = BackgroundSessions()
    held = threading.Event()

    def stream() -> int:
        with sessions.hold(client.start_conversation_session) as session:
            held.set()
            return listen(session)

    streaming = Running(stream)
    assert held.wait(20)
    assert sessions.close(20)
    assert streaming.result(20) >= 0


def test_a_held_session_that_cannot_be_opened_raises_and_is_not_counted(sessions: BackgroundSessions) -> None:
    client = OpenAIClient("k", endpoint="http://127.0.0.1:9/v1").get_realtime_conversation_client("m")
    with pytest.raises(ConnectionError), sessions.hold(client.start_conversation_session):
        pass
    assert sessions.running == 0


def test_what_goes_wrong_with_a_held_session_is_known_to_who_has_found_it(
    client: RealtimeConversationClient, sessions: BackgroundSessions
) -> None:
    def open_nothing() -> RealtimeConversationSession:
        found.append(sessions.get("stream"))
        raise ConfigurationError("no key")

    found: list[Any] = []
    with pytest.raises(ConfigurationError), sessions.hold(open_nothing, key="stream"):
        pass
    with pytest.raises(ConfigurationError):
        found[0].wait_until_open(20)

    def stream() -> None:
        with sessions.hold(client.start_conversation_session, key="stream"):
            found.append(sessions.get("stream"))
            raise KeyError("the browser")

    for failing in (stream, lambda: found[1].wait(20)):
        with pytest.raises(KeyError, match="browser"):
            failing()


# Processes -----------------------------------------------------------------------------------------------------------

HEAD = """
import logging, os, sys, warnings
from realtime_sync import OpenAIClient, RealtimeSyncError
from realtime_sync.web.background import BackgroundSessions
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of a fork beside threads, which is what we are at
logging.basicConfig(format="%(levelname)s %(message)s")
client = OpenAIClient("any-key", endpoint=sys.argv[1]).get_realtime_conversation_client("gpt-realtime-2.1")
sessions = BackgroundSessions()

def listen(session):
    for update in session.updates():
        pass

def in_child(work):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except RealtimeSyncError as error:
            print("child:", type(error).__name__, error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def run_script(server: RealtimeServer, code: str) -> tuple[str, str]:
    finished = subprocess.run(
        [sys.executable, "-c", HEAD + code, server.url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout, finished.stderr


def test_a_program_that_forgets_to_close_ends_in_good_order(server: RealtimeServer) -> None:
    _, errors = run_script(server, "sessions.start(client.start_conversation_session, listen).wait_until_open(20)")
    assert errors == ""
    assert server.wait_for_session().wait_until_closed(20) == 1000


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@needs_fork
def test_an_owner_that_was_not_used_before_the_fork_works_in_the_child(server: RealtimeServer) -> None:
    code = """
def work():
    with sessions:
        sessions.start(client.start_conversation_session, lambda session: print("child: ran", flush=True)).wait(20)
in_child(work)
sessions.start(client.start_conversation_session, lambda session: print("parent: ran")).wait(20)
"""
    told, errors = run_script(server, code)
    assert told.splitlines() == ["child: ran", "parent: ran"]
    assert errors == ""


@needs_fork
def test_sessions_that_ran_before_the_fork_are_refused_in_the_child_with_the_reason(server: RealtimeServer) -> None:
    code = """
background = sessions.start(client.start_conversation_session, listen, key="early")
session = background.wait_until_open(20)
in_child(lambda: sessions.start(client.start_conversation_session, listen))
in_child(lambda: background.wait(20))
in_child(lambda: background.close())
in_child(lambda: session.ask("Hello"))
in_child(lambda: print("child: close", sessions.close(20), flush=True))
session.add_item("It lives").wait()
sessions.close()
"""
    told, errors = run_script(server, code)
    lines = told.splitlines()
    assert [line.split()[1] for line in lines] == ["ForkedSessionError"] * 4 + ["close"]
    assert "the worker" in lines[0]
    assert "early belongs to the parent process" in lines[1]
    assert errors.count("WARNING this process was forked while 1 background session(s) ran") == 5


# Live sessions -------------------------------------------------------------------------------------------------------


def test_a_telephones_live_session_is_run_and_ends_with_its_call(
    client: RealtimeConversationClient, server: RealtimeServer, sessions: BackgroundSessions
) -> None:
    session_id = server.place_live_call()
    client.live_calls.accept(session_id)

    def serve(session: LiveSession) -> str:
        session.append_commentary("Good morning.").wait(20)
        client.live_calls.hangup(session_id)
        return str(session.wait_for(LiveSessionClosedUpdate, 20).reason)

    running = sessions.start(lambda: client.attach_live(session_id), serve, key=session_id)
    assert running.wait(20) == "close_requested"


def test_live_sessions_are_closed_with_the_others_in_good_order(
    client: RealtimeConversationClient, server: RealtimeServer
) -> None:
    with BackgroundSessions(max_sessions=2) as sessions:
        running = sessions.start(client.start_live_session, lambda session: list(session.updates()))
        running.wait_until_open(20)
        assert sessions.close()
    assert isinstance(running.wait(20)[-1], LiveSessionClosedUpdate)
    assert server.live_sessions[0].ended_by == "close_requested"
