"""Every fault of the server ends in a typed error for everyone who waits, within its deadline, and never in a hang."""

from __future__ import annotations

import time
from typing import Any, Callable

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectRetries,
    ConnectTimeoutError,
    ConversationSessionOptions,
    MessageTooBigError,
    PeerUnresponsiveError,
    ProtocolViolationError,
    RateLimitedError,
    RealtimeSyncError,
    SendStalledError,
)
from realtime_sync.server import Act, Faults, Refusal, Script, faults
from tests.core.harness import QUICK, House, Running, within

FAULTS: dict[str, tuple[Callable[[], Act], type[ConnectionClosedError]]] = {
    "drop": (faults.drop, ConnectionLostError),
    "eof": (faults.eof, ConnectionLostError),
    "silence": (faults.silence, PeerUnresponsiveError),
    "close_1011": (lambda: faults.close(1011, "overloaded"), ConnectionClosedError),
    "close_4000": (lambda: faults.close(4000, "nonsense"), ConnectionClosedError),
    "huge_message": (lambda: faults.huge_message(2_000_000), MessageTooBigError),
    "invalid_utf8": (faults.invalid_utf8, ProtocolViolationError),
    "bad_frame": (faults.bad_frame, ProtocolViolationError),
    "half_a_message": (faults.half_a_message, ConnectionLostError),
}
HARMLESS: dict[str, Callable[[], Act]] = {"not_json": faults.not_json, "unknown_event": faults.unknown_event}


def endless_audio() -> Any:
    while True:
        yield bytes(48_000)


def sends_for_ever(session: Any) -> None:
    while True:
        session.send_message({"type": "nothing.at.all", "padding": "x" * 50_000})


WAITERS: dict[str, Callable[[Any], Any]] = {
    "iterator": lambda session: list(session.updates()),
    "subscription": lambda session: list(session.subscribe()),
    "callbacks": lambda session: session.run(),
    "receive_update": lambda session: [session.receive_update() for _ in range(100)],
    "receive_update_with_timeout": lambda session: [session.receive_update(timeout=60) for _ in range(100)],
    "wait_for": lambda session: session.wait_for("response.done"),
    "handle": lambda session: session.send_message({"type": "response.cancel", "event_id": "x"}).wait(60),
    "send_audio": lambda session: session.send_audio(endless_audio()),
    "AudioSend": lambda session: session.start_sending_audio(endless_audio()).wait(60),
    "sender": sends_for_ever,
}
ALL_AT_ONCE = [name for name in WAITERS if name != "AudioSend"]  # it and send_audio exclude each other


# With TLS the quick tests have all waiters at once, below.
@pytest.mark.parametrize("house", ["ws", pytest.param("wss", marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("waiter", WAITERS)
def test_who_waits_gets_a_typed_error(house: House, fault: str, waiter: str) -> None:
    make, error = FAULTS[fault]
    house.serve(responder=Script([]), record=False)
    session = house.open(timeouts=QUICK, max_message_bytes=1_000_000)
    waiting = Running(lambda: WAITERS[waiter](session))
    house.live.inject(make())
    with within(4):
        ended = waiting.join()
    # Who sends into a peer that is silent notices by the stalled frame, maybe before the ping is due.
    assert isinstance(ended, (error, SendStalledError) if fault == "silence" else error), repr(ended)
    assert session.closed


@pytest.mark.parametrize("fault", FAULTS)
def test_all_who_wait_together_get_the_same_end(house: House, fault: str) -> None:
    make, error = FAULTS[fault]
    house.serve(responder=Script([]), record=False)
    session = house.open(timeouts=QUICK, max_message_bytes=1_000_000)
    waiting = {name: Running(lambda name=name: WAITERS[name](session)) for name in ALL_AT_ONCE}  # type: ignore[misc]
    house.live.inject(make())
    with within(4):
        ended = {name: one.join() for name, one in waiting.items()}
    assert all(isinstance(e, (error, SendStalledError)) for e in ended.values()), ended
    assert len({type(e) for e in ended.values()}) == 1, ended
    with within(0.5):
        session.close()


@pytest.mark.parametrize("waiter", ["send_audio", "AudioSend", "sender"])
def test_a_server_that_reads_no_more_ends_in_a_stalled_send(house: House, waiter: str) -> None:
    house.serve(responder=Script([]), record=False)
    session = house.open(timeouts=QUICK)
    session.wait_for("session.created")
    house.live.inject(faults.stop_reading())
    waiting = [Running(lambda: WAITERS[waiter](session)), Running(session.receive_update)]
    with within(5):
        ended = [one.join() for one in waiting]
    # It does not answer pings either, as it does not read them.
    assert all(isinstance(error, (SendStalledError, PeerUnresponsiveError)) for error in ended), ended


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_is_odd_but_harmless_is_an_update(house: House, fault: str) -> None:
    session = house.open()
    session.wait_for("session.created")
    house.live.inject(HARMLESS[fault]())
    assert session.receive_update(timeout=5).oddities
    assert session.add_item("Hi").wait().type == "conversation.item.added"


def test_a_delay_delays_and_nothing_else(house: House) -> None:
    house.serve(faults=Faults(delay=0.2))
    session = house.open()
    started = time.monotonic()
    assert session.add_item("Hi").wait().type == "conversation.item.added"
    assert time.monotonic() - started > 0.15


# While a session is started ------------------------------------------------------------------------------------------


def test_a_handshake_that_is_too_slow_ends_at_the_deadline(house: House) -> None:
    house.serve(faults=Faults(slow_handshake=0.2))
    client = house.client(timeouts=attrs.evolve(QUICK, connect=0.8))
    with within(3), pytest.raises(ConnectTimeoutError):
        client.start_conversation_session()


def test_a_slow_handshake_within_the_deadline_is_waited_for(house: House) -> None:
    house.serve(faults=Faults(slow_handshake=0.002))
    assert house.open(timeouts=QUICK).add_item("Hi").wait().type == "conversation.item.added"


@pytest.mark.parametrize("size", [0, 12, 40])
def test_a_connection_that_breaks_in_the_handshake_is_told(house: House, size: int) -> None:
    house.serve(faults=Faults(handshake_bytes=size))
    with within(4), pytest.raises(ConnectionFailedError, match="handshake"):
        house.client(timeouts=QUICK, retries=ConnectRetries(attempts=1)).start_conversation_session()
    assert house.server.sessions == []


@pytest.mark.parametrize("framing", ["length", "chunked", "truncated", "until-close"])
def test_a_refusal_is_raised_with_what_was_said(house: House, framing: str) -> None:
    house.serve(faults=Faults(refuse=Refusal(429, {}, "too many of you, and of all others", framing)))
    with within(3), pytest.raises(RateLimitedError, match="too many"):
        house.client(retries=ConnectRetries(attempts=1)).start_conversation_session()


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "silence"])
def test_who_starts_a_session_gets_a_typed_error(house: House, fault: str) -> None:
    house.serve(first_update=None, faults=Faults(acts=[FAULTS[fault][0]()]))
    client = house.client(timeouts=QUICK, max_message_bytes=1_000_000)
    with within(4), pytest.raises(ConnectionFailedError) as caught:
        client.start_conversation_session()
    # One error of ours says all of it; behind it is at most what the system said.
    assert not isinstance(caught.value.__cause__, RealtimeSyncError)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("fault", FAULTS)
def test_who_starts_a_session_with_options_gets_a_typed_error(house: House, fault: str) -> None:
    act = attrs.evolve(FAULTS[fault][0](), after_received=1)
    house.serve(responder=Script([]), faults=Faults(acts=[act]))
    client = house.client(timeouts=QUICK, max_message_bytes=1_000_000)
    with within(4), pytest.raises(RealtimeSyncError) as caught:
        client.start_conversation_session(ConversationSessionOptions())
    assert isinstance(caught.value, FAULTS[fault][1])


def test_a_server_that_is_silent_from_the_start_is_noticed(house: House) -> None:
    house.serve(first_update=None, faults=Faults(acts=[faults.silence()]))
    with within(4), pytest.raises(ConnectionFailedError):
        house.client(timeouts=QUICK).start_conversation_session()


def test_after_a_fault_another_session_can_be_started(house: House) -> None:
    client = house.client(timeouts=QUICK, max_message_bytes=1_000_000)
    for make, error in FAULTS.values():
        session = client.start_conversation_session()
        house.live.inject(make())
        with pytest.raises(error):
            list(session.updates())
    assert client.start_conversation_session().add_item("Hi").wait().type == "conversation.item.added"
