"""Calls that browsers make by WebRTC: nobody keeps one for nothing, nobody ends another's, and the service is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from realtime_sync import (
    AuthenticationError,
    ConfigurationError,
    ConversationSessionOptions,
    SessionNotOpenError,
    TooManySessionsError,
)
from realtime_sync.rest.calls import Calls
from realtime_sync.web.calls import BrowserCall, BrowserCalls
from tests.core.harness import House, Running, until

pytestmark = pytest.mark.medium

OFFER = "v=0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
LONG = {"join_seconds": 60.0, "idle_seconds": 60.0}


@pytest.fixture
def make(plain: House) -> Iterator[Callable[..., BrowserCalls]]:
    made: list[BrowserCalls] = []

    def calls(**options: Any) -> BrowserCalls:
        made.append(BrowserCalls(plain.client(), **{**LONG, **options}))
        return made[-1]

    yield calls
    for each in made:
        each.close()


def states(plain: House) -> list[str]:
    """Of the calls that the service has."""
    return [call.state for call in plain.server.calls._calls.values()]


def created(calls: BrowserCalls, visitor: str = "ada") -> BrowserCall:
    """A call whose session here is open."""
    call = calls.create(OFFER, visitor=visitor)
    background = calls.sessions.get(call.name)
    assert background is not None
    background.wait_until_open(10)
    return call


def caller(plain: House) -> Any:
    """The service's side of the only call."""
    (call,) = plain.server.calls._calls.values()
    return call


def test_a_call_that_nobody_takes_is_hung_up(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make(join_seconds=0.3)
    call = calls.create(OFFER, visitor="ada")
    assert call.sdp.startswith("v=0")
    assert states(plain) == ["active"]
    until(lambda: not calls.sessions.running)
    assert states(plain) == ["ended"]


@pytest.mark.parametrize("how", ["said", "heard"])
def test_a_call_that_is_taken_goes_on(plain: House, make: Callable[..., BrowserCalls], how: str) -> None:
    calls = make(join_seconds=1.5)
    call = created(calls)
    if how == "said":
        assert calls.taken(call.name, visitor="ada")
    else:
        caller(plain).say(b"\x00\x40\x00\xc0" * 12_000)  # half a second that is loud
    time.sleep(1.6)  # that nothing happens is what is promised
    assert states(plain) == ["active"]


def test_what_the_application_has_asked_for_is_no_sign_of_a_caller(
    plain: House, make: Callable[..., BrowserCalls]
) -> None:
    calls = make(join_seconds=0.8)
    background = calls.sessions.get(created(calls).name)
    assert background is not None
    session = background.wait_until_open(0)
    session.add_item("Say hello to nobody")
    session.start_response()
    until(lambda: states(plain) == ["ended"])


def test_a_call_in_which_nothing_happens_any_more_is_hung_up(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make(idle_seconds=0.6)
    call = created(calls)
    calls.taken(call.name, visitor="ada")
    until(lambda: states(plain) == ["ended"])
    until(lambda: not calls.sessions.running)


def test_a_call_is_over_when_its_time_is(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make(max_seconds=0.3)
    call = created(calls)
    calls.taken(call.name, visitor="ada")
    until(lambda: states(plain) == ["ended"])


def test_its_visitor_ends_it_at_once_and_nobody_else_does(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make()
    call = calls.create(OFFER, visitor="ada")
    assert not calls.hang_up(call.name, visitor="bob")
    assert not calls.taken(call.name, visitor="bob")
    assert not calls.hang_up("session-1", visitor="ada")
    assert states(plain) == ["active"]
    assert calls.hang_up(call.name, visitor="ada")  # also while its session here is being opened
    until(lambda: states(plain) == ["ended"])
    until(lambda: not calls.sessions.running)
    assert not calls.hang_up(call.name, visitor="ada")


def test_a_call_that_the_caller_ends_frees_its_place(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make(max_calls=1)
    created(calls)
    caller(plain).hang_up()
    until(lambda: not calls.sessions.running)
    assert calls.create(OFFER, visitor="ada")


def test_places_are_counted_before_the_service_is_asked(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make(max_calls=3, max_per_visitor=2)
    for visitor in ("ada", "ada", "bob"):
        calls.create(OFFER, visitor=visitor)
    for visitor in ("ada", "cleo"):
        with pytest.raises(TooManySessionsError):
            calls.create(OFFER, visitor=visitor)
    assert len(states(plain)) == 3


def test_closing_ends_them_at_the_service(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make()
    created(calls)
    calls.create(OFFER, visitor="ada")  # not attached to yet
    assert calls.close()
    until(lambda: states(plain) == ["ended"] * 2)
    with pytest.raises(SessionNotOpenError):
        calls.create(OFFER, visitor="ada")


def test_a_call_that_the_service_makes_while_they_are_closed_is_ended(
    plain: House, make: Callable[..., BrowserCalls], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = make()
    create, asked, go_on = Calls.create, threading.Event(), threading.Event()

    def slow(*told: Any) -> Any:
        made = create(*told)
        asked.set()
        assert go_on.wait(20)
        return made

    monkeypatch.setattr(Calls, "create", slow)
    creating = Running(lambda: calls.create(OFFER, visitor="ada"))
    assert asked.wait(20)
    assert not calls.close(0.05)
    assert states(plain) == ["active"]
    go_on.set()
    creating.result(20)
    until(lambda: states(plain) == ["ended"])
    until(lambda: not calls.sessions.running)


def test_why_there_is_no_call_is_raised(plain: House, make: Callable[..., BrowserCalls]) -> None:
    plain.serve(api_keys=["sk-another"])
    calls = make()
    with pytest.raises(AuthenticationError):
        calls.create(OFFER, visitor="ada")
    until(lambda: not calls.sessions.running)


def test_a_call_that_cannot_be_watched_is_ended(
    plain: House, make: Callable[..., BrowserCalls], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = make()
    refused = plain.client(url=plain.server.url.replace("/v1", "/v2"))
    monkeypatch.setattr(calls._client, "attach", refused.attach)
    calls.create(OFFER, visitor="ada")
    until(lambda: states(plain) == ["ended"])
    until(lambda: not calls.sessions.running)


def test_functions_among_its_tools_are_run(plain: House) -> None:
    asked: list[str] = []

    def look_up(city: str) -> str:
        """Looks up a city."""
        asked.append(city)
        return "found"

    options = ConversationSessionOptions(tools=[look_up], content_modalities=["text"])
    with closing(BrowserCalls(plain.client(), options, **LONG)) as calls:
        background = calls.sessions.get(created(calls).name)
        assert background is not None
        session = background.wait_until_open(0)
        session.add_item("Please call look_up: city Paris")
        session.start_response()
        until(lambda: asked)


def test_a_name_is_nothing_to_be_guessed_and_shows_no_password(plain: House, make: Callable[..., BrowserCalls]) -> None:
    calls = make()
    told = [Running(lambda: calls.create(OFFER, visitor="ada")).result(10) for _ in range(2)]
    assert len({call.name for call in told}) == 2
    assert all(len(call.name) >= 20 for call in told)
    assert "v=0" not in repr(told)
    assert "2 of 20" in repr(calls)


@pytest.mark.parametrize("name", ["join_seconds", "idle_seconds", "max_seconds"])
def test_what_is_no_number_of_seconds_is_refused(plain: House, name: str) -> None:
    wrong: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigurationError, match=name):
        BrowserCalls(plain.client(), **wrong)
