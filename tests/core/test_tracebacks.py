"""A traceback shows the caller's lines, one frame of ours, and one cause at most; nobody else's frames are hidden."""

from __future__ import annotations

import gc
import logging
import socket
import traceback
import weakref
from pathlib import Path
from typing import Any, Callable

import pytest

import realtime_sync
from realtime_sync import (
    AuthenticationError,
    ConfigurationError,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    ConversationResponseOptions,
    ConversationSessionOptions,
    InvalidInputError,
    RealtimeConversationClient,
    ResponseFailedError,
    ServerError,
    SessionNotOpenError,
    TLSError,
    UnknownNameError,
    UnsupportedByDialectError,
    WaitTimeoutError,
)
from realtime_sync.server.faults import drop
from tests.core.harness import KEY, House, Running, waits_for_updates

PACKAGE = str(Path(realtime_sync.__file__).parent)


def raised_by(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def frames_of_ours(error: BaseException) -> list[str]:
    return [f.name for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(PACKAGE)]


def causes(error: BaseException) -> list[BaseException]:
    """As a traceback shows them."""
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [] if shown is None else [shown, *causes(shown)]


def refused_option(house: House) -> object:
    return house.open(start={"options": ConversationSessionOptions(voice="nope")})


def option_of_the_other_dialect(house: House) -> object:
    return house.open(start={"options": ConversationSessionOptions(temperature=1.0)})


def wrong_key(house: House) -> object:
    house.serve(api_keys=["another"])
    return house.open()


def nobody_listens(house: House) -> object:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return house.open(f"http://127.0.0.1:{port}/v1")


def name_is_not_found(house: House) -> object:
    return house.open("http://no-such-host.invalid/v1")


def untrusted_certificate(house: House) -> object:
    house.serve()
    return house.client(house.server.url.replace("ws://", "wss://"), ssl_context=None).start_conversation_session()


def closed_session(house: House) -> object:
    session = house.open()
    session.close()
    return session.ask("Hello")


def no_question(house: House) -> object:
    return house.open().ask(42)


def no_such_argument(house: House) -> object:
    return house.open().ask("Hello", instructions="Be brief.")


def missing_argument(house: House) -> object:
    made: Any = RealtimeConversationClient  # which a checker would refuse
    return made()


def undescribable_tool(house: House) -> object:
    def lookup(what) -> str:  # type: ignore[no-untyped-def]  # it has no hint
        return str(what)

    return house.open().ask("Hello", tools=[lookup])


def refused_response(house: House) -> object:
    return house.open().ask("Hello", ConversationResponseOptions(max_output_tokens=0))


def refused_setting(house: House) -> object:
    return house.open().configure_session(ConversationSessionOptions(max_output_tokens=0)).wait()


def no_such_recording(house: House) -> object:
    return house.open().ask(Path("no such recording.wav"))


def nothing_in_time(house: House) -> object:
    return house.open().ask("Hello", timeout=0.0001)


def failed_response(house: House) -> object:
    house.serve(responder=lambda turn: 1 / 0)
    return house.open().respond("Hello").wait(5)


def no_such_environment(house: House) -> object:
    return RealtimeConversationClient.from_env({})


def bad_url(house: House) -> object:
    return RealtimeConversationClient.from_env({"OPENAI_BASE_URL": "localhost:8765"})


def wrong_value(house: House) -> object:
    wrong: Any = "lookup"
    return ConversationSessionOptions(tools=wrong)


CASES: list[tuple[Callable[[House], object], type[Exception], int]] = [
    (refused_option, ServerError, 0),
    (option_of_the_other_dialect, UnsupportedByDialectError, 0),
    (wrong_key, AuthenticationError, 0),
    (nobody_listens, ConnectionFailedError, 1),
    (name_is_not_found, ConnectionFailedError, 1),
    (closed_session, SessionNotOpenError, 0),
    (no_question, InvalidInputError, 0),
    (no_such_argument, UnknownNameError, 0),
    (missing_argument, TypeError, 0),
    (undescribable_tool, ConfigurationError, 0),
    (refused_response, ServerError, 0),
    (refused_setting, ServerError, 0),
    (failed_response, ResponseFailedError, 0),
    (no_such_recording, FileNotFoundError, 0),
    (nothing_in_time, WaitTimeoutError, 0),
    (no_such_environment, ConfigurationError, 0),
    (bad_url, ConfigurationError, 0),
    (wrong_value, InvalidInputError, 0),
]


@pytest.mark.parametrize(("case", "kind", "most"), CASES, ids=[case.__name__ for case, _, _ in CASES])
def test_an_error_shows_one_frame_of_ours_and_one_cause_at_most(
    plain: House, case: Callable[[House], object], kind: type[Exception], most: int
) -> None:
    error = raised_by(lambda: case(plain))
    assert isinstance(error, kind)
    assert len(frames_of_ours(error)) == 1
    shown = causes(error)
    assert len(shown) <= most
    assert [frames_of_ours(cause) for cause in shown] == [[]] * len(shown)


def test_an_untrusted_certificate_shows_one_frame_of_ours(house: House) -> None:
    if not house.secure:
        pytest.skip("there is no certificate")
    house.serve()
    error = raised_by(lambda: house.open(ssl_context=None))
    assert isinstance(error, TLSError)
    assert len(frames_of_ours(error)) == 1
    assert len(causes(error)) <= 1


def test_the_frame_of_ours_is_named_as_the_call(plain: House) -> None:
    assert frames_of_ours(raised_by(lambda: no_question(plain))) == ["ask"]


def test_the_whole_traceback_is_logged_for_who_looks_for_a_fault_of_ours(
    plain: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "realtime_sync"):
        raised_by(lambda: no_question(plain))
    (entry,) = [entry for entry in caplog.records if entry.name == "realtime_sync.boundary"]
    assert entry.exc_info is not None
    assert entry.getMessage() == "RealtimeConversationSession.ask raised"
    assert "in items_of" in caplog.text


def test_the_frames_of_a_callback_are_not_hidden(plain: House) -> None:
    session = plain.open()

    def on_delta(delta: object) -> None:
        session.ask(42)

    names = [frame.name for frame in traceback.extract_tb(raised_by(lambda: _asked(session, on_delta)).__traceback__)]
    assert "on_delta" in names
    assert names[-1] == "ask"  # of the inner one, the one frame


def _asked(session: Any, on_delta: Callable[[object], None]) -> None:
    session.ask("Hello", on_delta=on_delta)


def test_a_bug_is_shown_as_a_whole(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    session = plain.open()
    session._audio = None  # as if it were one of ours
    assert len(frames_of_ours(raised_by(lambda: session.ask(b"\0\0" * 4800)))) > 1


def test_no_traceback_keeps_what_the_call_was_given(plain: House) -> None:
    client = plain.client()
    wrong: Any = "yes"
    error = raised_by(lambda: client.start_conversation_session(reconnect=wrong, client_secret=KEY))
    last = list(traceback.walk_tb(error.__traceback__))[-1][0]
    assert last.f_code.co_name == "start_conversation_session"
    assert KEY not in str(last.f_locals)


def test_an_error_that_many_wait_for_is_an_error_of_its_own_for_each(plain: House) -> None:
    session = plain.open()
    handle = session.send_message({"type": "vendor.new", "event_id": "event_never_answered"})
    waiting = [Running(lambda: [*session.updates()]) for _ in range(4)]
    waiting += [Running(lambda: handle.wait(10)) for _ in range(4)]
    waits_for_updates(session, 1)
    plain.live.inject(drop())
    errors = [running.join() for running in waiting]
    assert {type(error) for error in errors} <= {ConnectionLostError, ServerError}  # the server knows no such message
    assert len({id(error) for error in errors}) == len(errors)
    assert {len(frames_of_ours(error)) for error in errors if error is not None} == {1}


def test_an_error_that_is_kept_keeps_nothing_of_those_who_were_told(plain: House) -> None:
    session = plain.open()
    plain.live.inject(drop())

    class Large:
        pass

    def told() -> weakref.ref[Large]:
        large = Large()
        with pytest.raises(ConnectionClosedError):
            list(session.updates())
        return weakref.ref(large)

    forgotten = told()
    gc.collect()
    assert forgotten() is None
