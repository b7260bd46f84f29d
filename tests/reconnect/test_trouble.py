"""A session that survives, in trouble: servers that do not stay, keys that cannot be had, clocks, and renewal."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConnectionLostError,
    OpenAIClient,
    QueueLimits,
    Reconnect,
    ReconnectFailedError,
    SessionExpiredError,
    SessionReconnectedUpdate,
    WaitTimeoutError,
)
from realtime_sync.server import Faults, faults
from realtime_sync.testing import ManualClock
from tests.core.answers import WRITTEN, received
from tests.core.harness import CALM, House, Running, client_threads, until, within
from tests.core.imitator import Imitator, added, one_after_another
from tests.mcp import remote
from tests.reconnect.test_reconnecting import BY_HAND, DOWN, QUICKLY, come_back, drop, ours, samples, surviving, texts
from tests.transport.peer import CLOSE, frame

pytestmark = pytest.mark.medium

IMPATIENT = attrs.evolve(QUICKLY, max_delay=0.2, give_up_after=1.0)
# Renewed as soon as nine tenths of the session's time have passed: the least that is kept of it.
RENEWED = Reconnect(base_delay=0.05, renew_before=3600)
# More would be made in the time of IMPATIENT only by one who makes no pauses.
MANY_CONNECTIONS = 30
INCORRECT_KEY = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key provided"}


def serve_briefly(house: House, **options: Any) -> None:
    """A server whose sessions tell that they end in 2 to 3 seconds, and do not: their clock stands."""
    house.serve(session_seconds=3, clock=ManualClock(), **options)


def session_with_credential(house: House, credential: Callable[[], str]) -> Any:
    timeouts = attrs.evolve(CALM, close=0.3)
    client = OpenAIClient(credential, endpoint=house.server.url, timeouts=timeouts).get_realtime_conversation_client(
        "m"
    )
    return house.stack.enter_context(house.stack.enter_context(client).start_conversation_session(reconnect=QUICKLY))


def end_of(stream: Any) -> Any:
    """What a stream ends with, which it does soon."""
    return Running(lambda: list(stream)).join(15)


def renewals() -> list[str]:
    """The threads that wait for the moment of a renewal."""
    return [name for name in client_threads() if "renewal" in name]


# Servers that do not stay ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act", [faults.drop(after_sent=1), faults.drop(after_received=1)], ids=["greeting", "first command"]
)
def test_a_server_that_drops_each_connection_early_is_given_up_in_time_and_not_hammered(plain: House, act: Any) -> None:
    session = surviving(plain, IMPATIENT)
    stream = session.subscribe()
    plain.server.faults = Faults(acts=[act])
    assert isinstance(end_of(stream), ReconnectFailedError)
    assert session.closed
    assert 2 < len(plain.server.sessions) < MANY_CONNECTIONS


def test_a_command_that_no_connection_outlives_is_given_up_and_the_session_goes_on(plain: House) -> None:
    session = surviving(plain, options=None)
    stream = session.subscribe()
    # What came is not acknowledged: else it would be history, without which there is no session.
    plain.server.faults = Faults(acts=[faults.silence(after_received=1), faults.drop(after_received=1)])
    session.add_item("poison")
    losses: tuple[str, ...] = ()
    while not losses:
        losses = come_back(session, stream).losses
    assert losses == ("conversation.item.create: the connection was lost each time that it was sent",)
    plain.server.faults = Faults()
    assert session.ask("two", WRITTEN).text == "You said: two"
    poisoned = [live for live in plain.server.sessions if "poison" in json.dumps(live.received)]
    assert len(poisoned) == 3


def test_a_second_loss_has_patience_of_its_own(plain: House) -> None:
    session = surviving(plain, attrs.evolve(IMPATIENT, max_delay=0.05))
    stream = session.subscribe()
    drop(plain)
    come_back(session, stream)
    came_back_at = time.monotonic()
    until(lambda: session.ask("again").completed and time.monotonic() > came_back_at + 1.2)
    plain.server.faults = DOWN
    lost_at = time.monotonic()
    drop(plain)
    assert isinstance(end_of(stream), ReconnectFailedError)
    assert time.monotonic() - lost_at > 0.8  # all of its second, but for a last pause that would be too long


def test_a_session_is_alive_when_it_is_returned_or_is_not_returned(plain: House) -> None:
    """The loss right behind the acknowledgement of the first settings: before or after the session can survive."""
    for _ in range(8):
        plain.serve(faults=Faults(acts=[faults.eof(after_sent=2)]))
        try:
            session = surviving(plain)
        except ConnectionLostError:
            continue
        plain.server.faults = Faults()
        assert session.ask("one").completed
        session.close()


def test_the_end_of_a_server_that_comes_back_with_a_bad_key_is_told_by_its_last_words(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    plain.server.settings = attrs.evolve(plain.server.settings, first_update=None)
    words = json.dumps({"type": "error", "error": INCORRECT_KEY})
    plain.server.faults = Faults(acts=[faults.send(words), faults.close(3000, "")])
    assert isinstance(end_of(stream), ConnectionClosedError)
    assert session.closed
    assert len(plain.server.sessions) <= 2


@pytest.mark.parametrize("last", [True, False], ids=["its last words", "long ago"])
def test_an_error_is_a_verdict_only_where_it_was_the_last_that_was_said(plain: House, last: bool) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    plain.live.emit({"type": "error", "error": {**INCORRECT_KEY, "param": None, "event_id": None}})
    stream.wait_for("error", 5)
    if not last:
        session.ask("one")
    plain.live.close(1011)  # after which there would be another attempt
    if last:
        assert isinstance(end_of(stream), ConnectionClosedError)
        assert len(plain.server.sessions) == 1
    else:
        assert session.ask("two").completed


def test_an_error_about_a_command_of_long_ago_is_no_verdict(plain: House) -> None:
    session = surviving(plain)
    stream = session.subscribe()
    about = {"param": "session.audio.input.transcription.model", "event_id": "event_of_yesterday"}
    plain.live.emit({"type": "error", "error": {**INCORRECT_KEY, "code": "model_not_found", **about}})
    stream.wait_for("error", 5)
    drop(plain)
    assert session.ask("two").completed


# Keys, and being closed -----------------------------------------------------------------------------------------------


def test_a_token_that_cannot_be_had_for_a_moment_is_another_attempt(plain: House) -> None:
    asked: list[bool] = []

    def credential() -> str:
        asked.append(True)
        if len(asked) == 2:
            raise OSError("name resolution failed: the network is down")
        return "key"

    session = session_with_credential(plain, credential)
    stream = session.subscribe()
    drop(plain)
    assert come_back(session, stream).attempts == 2
    assert session.ask("two").completed


def test_close_releases_everyone_while_a_credential_blocks(plain: House) -> None:
    asked: list[bool] = []
    blocked, release = threading.Event(), threading.Event()

    def credential() -> str:
        asked.append(True)
        if len(asked) > 1:
            blocked.set()
            assert release.wait(20)
        return "key"

    session = session_with_credential(plain, credential)
    iterating = Running(lambda: list(session.updates()))
    drop(plain)
    assert blocked.wait(10)
    try:
        with within(5):
            session.close()
        assert session.closed
        assert iterating.join() is None
    finally:
        release.set()


def test_close_ends_the_replay_of_a_long_history(plain: House) -> None:
    session = surviving(plain)
    for number in range(300):
        session.add_item(str(number))
    session.ask("end")
    iterating = Running(lambda: list(session.updates()))
    plain.server.faults = Faults(delay=0.05)  # so that the replay takes 15 s
    drop(plain)
    until(lambda: len(plain.server.sessions) > 1 and received(plain.live, "conversation.item.create"))
    with within(CALM.close + 3):
        for closing in [Running(session.close) for _ in range(3)]:
            closing.join()
    assert session.closed
    assert iterating.join() is None


# Clocks ---------------------------------------------------------------------------------------------------------------


def ahead(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """This machine's clock is ahead of the service's, as who renews connections sees it."""
    told = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + seconds)
    monkeypatch.setattr("realtime_sync.reconnect.reconnector.time", told)


def test_a_clock_that_is_hours_ahead_makes_no_renewals(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead(monkeypatch, 2 * 3600)
    session = surviving(plain, RENEWED)
    stream = session.subscribe()
    drop(plain)
    assert isinstance(come_back(session, stream).reason, ConnectionLostError)
    assert renewals() == []
    for number in range(10):
        assert session.ask(str(number)).completed
    assert len(plain.server.sessions) == 2


def test_a_clock_that_is_a_little_ahead_makes_one_renewal_and_not_one_after_the_other(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead(monkeypatch, 3600 - 3)
    session = surviving(plain, RENEWED)
    stream = session.subscribe()
    assert isinstance(come_back(session, stream).reason, SessionExpiredError)
    until(lambda: renewals() == [])
    for number in range(10):
        assert session.ask(str(number)).completed
    assert len(plain.server.sessions) == 2


def test_an_expiry_that_no_clock_can_wait_for_does_no_harm(plain: House) -> None:
    plain.serve(session_seconds=1e15, clock=ManualClock())  # microseconds, where seconds are meant
    session = surviving(plain, RENEWED)
    drop(plain)
    assert session.ask("two").completed


# Renewal --------------------------------------------------------------------------------------------------------------


def test_a_connection_whose_server_answers_no_close_is_renewed_all_the_same(plain: House) -> None:
    serve_briefly(plain)
    session = surviving(plain, RENEWED, timeouts=attrs.evolve(CALM, close=0.3))
    stream = session.subscribe()
    session.ask("one")
    plain.live.inject(faults.stop_reading())
    told = come_back(session, stream)
    assert isinstance(told.reason, SessionExpiredError)
    assert told.losses == ()
    assert session.ask("two", timeout=10).text == "You said: two"
    assert ours(session) == texts(plain.live)
    until(lambda: len([name for name in client_threads() if "reader" in name]) == 1)


@pytest.mark.slow
def test_a_renewal_waits_until_what_is_said_by_hand_is_committed(plain: House) -> None:
    serve_briefly(plain)
    session = surviving(plain, RENEWED, BY_HAND)
    stream = session.subscribe()
    session.send_audio(samples(0.5))
    with pytest.raises(WaitTimeoutError):
        stream.wait_for(SessionReconnectedUpdate, 3.2)  # it was due before
    session.commit_pending_audio().wait()
    assert come_back(session, stream).losses == ()


@pytest.mark.slow
def test_a_renewal_waits_until_a_person_has_decided(plain: House) -> None:
    serve_briefly(plain, responder=remote.calling((remote.SEARCH,)), mcp_servers={"docs": ["search"]})
    session = surviving(plain, RENEWED, remote.options())
    stream = session.subscribe()
    decided = threading.Event()
    with session.approve_mcp(lambda request: decided.wait(20)):
        session.add_item("Go")
        session.start_response()
        with pytest.raises(WaitTimeoutError):
            stream.wait_for(SessionReconnectedUpdate, 3.2)
        decided.set()
        until(lambda: remote.decisions(plain.server.sessions[0]))
    assert remote.decisions(plain.server.sessions[0]) == [(True, None)]
    come_back(session, stream)


def test_an_end_right_behind_the_way_back_is_the_sessions_end_and_not_its_silence(plain: House) -> None:
    """The thread that made the connection may still be about to end: it must not be waited for."""
    for _ in range(40):
        session = surviving(plain)
        stream = session.subscribe()
        drop(plain)
        come_back(session, stream)
        plain.live.inject(faults.close(1000))
        with within(5):
            for _ in stream:
                pass
        assert session.closed


def test_updates_that_wait_for_a_new_connection_to_catch_up_are_bounded(plain: House) -> None:
    listed = {"type": "mcp_list_tools.completed", "item_id": "x" * 5000}
    greeted_once = one_after_another([], *[[listed] * 50] * 50)
    answers = {"conversation.item.create": lambda message: [*greeted_once(message), *added(message)]}
    server = Imitator(answers)
    policy = Reconnect(give_up_after=1, base_delay=0.01, max_delay=0.05)
    session = plain.raw(server, limits=QueueLimits(queued=100_000), start={"reconnect": policy})
    session.add_item("Hello").wait(5)
    server.say(frame(CLOSE, b"\x03\xf3"))
    with within(8), pytest.raises(ReconnectFailedError, match=r"100000 bytes of updates \(QueueLimits\.queued\)"):
        session.wait_for("nothing", 10)
