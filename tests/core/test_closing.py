"""``close()``: bounded against any peer, from any thread, and everyone who waits is released with their ending."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectCancelledError,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectRetries,
    ConversationSessionOptions,
    InvalidInputError,
    SessionNotOpenError,
    Timeouts,
)
from realtime_sync.core import lifetime
from realtime_sync.server import Faults, Refusal, Script, faults
from tests.core.harness import CALM, House, Running, client_threads, until, waits_for_updates, within
from tests.transport.peer import PING, PONG, TEXT, Link, close_frame, frame

AT_ONCE = 0.2
CREATED = frame(TEXT, '{"type": "session.created", "session": {"id": "sess_1"}}')


def hold(link: Link, until_set: threading.Event) -> None:
    """Keep the connection open without reading."""
    link.send(CREATED)
    until_set.wait(10)


def test_a_live_server_is_left_at_once_and_told_why(house: House) -> None:
    session = house.open()
    with within(AT_ONCE):
        session.close(3001, "enough")
    assert house.live.wait_until_closed() == 3001
    assert (house.live.close_reason, house.live.closed_by_client) == ("enough", True)
    assert session.closed
    assert (session.close_info.code, session.close_info.reason, session.close_info.initiator) == (
        3001,
        "enough",
        "local",
    )


def test_a_silent_server_costs_no_more_than_the_close_time_out(house: House) -> None:
    session = house.open(timeouts=attrs.evolve(CALM, close=1))
    session.wait_for("session.created")
    house.live.inject(faults.silence())
    with within(1.5):
        session.close()
    assert session.close_info.initiator == "local"
    assert list(session.updates()) == []


def test_at_exit_many_silent_servers_cost_no_more_than_one(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(lifetime, "_QUIET_SECONDS", 0.1)
    sessions = [plain.raw(lambda link: hold(link, answer), timeouts=attrs.evolve(CALM, close=1)) for _ in range(4)]
    for session in sessions:
        session.wait_for("session.created")
        threading.Thread(target=lambda updates: list(updates), args=(session.updates(),)).start()  # no daemon
        waits_for_updates(session)
    with within(3):
        lifetime._release_waiting_threads()
    answer.set()
    assert all(session.closed for session in sessions)


@pytest.mark.parametrize("size", [8_000_000])
def test_a_server_that_does_not_read_costs_no_more_while_a_big_send_is_stuck(house: House, size: int) -> None:
    released = threading.Event()
    session = house.raw(lambda link: hold(link, released), small_buffers=True, timeouts=Timeouts(send=30, close=1))
    sending = Running(lambda: session.send_message({"type": "big", "padding": "x" * size}))
    until(lambda: session._engine.connection.transport._duplex.lock.locked())
    with within(1.5):
        session.close()
    with pytest.raises((SessionNotOpenError, ConnectionClosedError)):
        sending.result(1)
    released.set()


def test_twice_is_as_good_as_once(house: House) -> None:
    session = house.open()
    session.close()
    with within(AT_ONCE):
        session.close(4000, "again")
    assert session.close_info.code == 1000


def test_two_closers_at_once_both_return(house: House) -> None:
    for silent in (False, True):
        session = house.open(timeouts=Timeouts(close=0.5))
        if silent:
            house.live.inject(faults.silence())
        barrier = threading.Barrier(4)

        def close(session: Any = session, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(5)
            session.close()

        closers = [Running(close) for _ in range(4)]
        with within(1.2):
            for closer in closers:
                closer.result()
        assert session.closed


def test_a_session_that_the_server_has_closed_is_closed_at_once(house: House) -> None:
    session = house.open()
    house.live.close(1000)
    until(lambda: session.closed)
    with within(AT_ONCE):
        session.close()
    assert session.close_info.initiator == "remote"


def test_a_lost_session_is_closed_at_once(house: House) -> None:
    session = house.open()
    house.live.inject(faults.drop())
    until(lambda: session.closed)
    with within(AT_ONCE):
        session.close()
    assert session.close_info.code == 1006


@pytest.mark.parametrize(
    ("code", "reason"), [(999, ""), (1001, ""), (5000, ""), (True, ""), ("1000", ""), (1000, "é" * 62), (1000, None)]
)
def test_what_no_close_frame_may_hold_is_refused_and_the_session_goes_on(plain: House, code: Any, reason: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError):
        session.close(code, reason)
    assert session.add_item("Hi").wait().type == "conversation.item.added"


def test_leaving_the_with_block_closes(plain: House) -> None:
    session: Any
    with plain.client().start_conversation_session() as session:
        assert not session.closed
    assert session.closed
    assert plain.live.wait_until_closed() == 1000


def test_an_exception_in_the_with_block_closes_and_passes(plain: House) -> None:
    with pytest.raises(ZeroDivisionError), plain.client().start_conversation_session() as session:
        1 / 0
    assert session.closed


# Who waits -----------------------------------------------------------------------------------------------------------


def test_iteration_ends(house: House) -> None:
    session = house.open()
    iterating = Running(lambda: [update.type for update in session.updates()])
    waits_for_updates(session)
    with within(AT_ONCE):
        session.close()
    assert iterating.result(1)[0] == "session.created"


def test_what_came_before_the_close_can_still_be_taken(plain: House) -> None:
    session = plain.open()
    session.add_item("Hi").wait()
    session.close()
    assert [update.type for update in session.updates()][:2] == ["session.created", "conversation.item.added"]
    assert list(session.updates()) == []


def test_who_waits_for_an_update_learns_of_the_close(house: House) -> None:
    session = house.open()
    session.wait_for("session.created")
    waiting = [
        Running(session.receive_update),
        Running(lambda: session.receive_update(timeout=30)),
        Running(lambda: session.wait_for("response.done")),
    ]
    waits_for_updates(session, 3)
    session.close()
    for one in waiting:
        with pytest.raises(ConnectionClosedError) as caught:
            one.result(1)
        assert caught.value.close_info.initiator == "local"


def test_who_waits_for_an_acknowledgement_learns_of_the_close(house: House) -> None:
    session = house.open(timeouts=Timeouts(close=0.3))
    house.live.inject(faults.silence())
    pending = session.add_item("Hi")
    waiting = Running(lambda: pending.wait(30))
    session.close()
    with pytest.raises(ConnectionClosedError):
        waiting.result(1)
    assert pending.done
    assert isinstance(pending.error, ConnectionClosedError)


def test_who_sends_audio_learns_of_the_close(house: House) -> None:
    session = house.open()
    sent = threading.Event()

    def endless() -> Any:
        while True:
            yield bytes(48_000)
            sent.set()

    sending = Running(lambda: session.send_audio(endless()))
    assert sent.wait(5)
    session.close()
    with pytest.raises((SessionNotOpenError, ConnectionClosedError)):
        sending.result(2)


def test_audio_that_is_sent_in_the_background_is_cancelled_by_the_close(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever the close meets it: between two chunks, or in the middle of one."""
    session = house.open()
    sent = threading.Event()

    def endless() -> Any:
        while True:
            yield bytes(48_000)
            sent.set()

    sending = session.start_sending_audio(endless())
    assert sent.wait(5)
    session.close()
    assert sending.wait(10) == sending.bytes_sent > 0
    assert (sending.cancelled, sending.error) == (True, None)
    assert caplog.text == ""


def test_audio_that_is_sent_in_the_background_does_not_wait_for_the_end_of_a_long_close(plain: House) -> None:
    session = plain.open(timeouts=Timeouts(close=600))
    session.wait_for("session.created")
    plain.live.inject(faults.silence())
    sent, closed = threading.Event(), threading.Event()

    def two() -> Any:
        yield bytes(4800)
        sent.set()
        closed.wait(30)
        yield bytes(4800)

    sending = session.start_sending_audio(two())
    assert sent.wait(5)
    closing = Running(session.close)
    until(lambda: session._engine.states.closing is not None)
    closed.set()
    assert sending.wait(30) == 4800
    assert sending.cancelled
    session._engine.connection.transport.abort()
    closing.result()


def test_a_callback_may_close(house: House) -> None:
    session = house.open()
    session.on("session.created", lambda update: session.close())
    with within(2):
        session.run()
    assert session.closed


def test_the_consumer_may_close_in_its_loop(plain: House) -> None:
    session = plain.open()
    for _ in session.updates():
        session.close()
    assert session.closed


@pytest.mark.parametrize("what", ["add_item", "send_message", "send_audio", "configure_session", "start_sending_audio"])
def test_after_the_close_nothing_can_be_sent_and_the_error_says_why(plain: House, what: str) -> None:
    session = plain.open()
    session.close()
    argument: Any = {
        "send_message": {"type": "x"},
        "add_item": "Hi",
        "configure_session": ConversationSessionOptions(instructions="x"),
    }.get(what, bytes(480))
    with pytest.raises(SessionNotOpenError, match="closed"):
        getattr(session, what)(argument)
    with pytest.raises(SessionNotOpenError, match="closed"):
        session.audio_writer()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_listener_that_fails_leaves_nobody_waiting(plain: House) -> None:
    class Defective:
        def deliver(self, update: Any) -> None:
            pass

        def end(self, end: Any) -> None:
            raise ZeroDivisionError

    session = plain.open()
    session._engine.listen(Defective())
    stream = session.subscribe()
    waiting = Running(lambda: [list(session.updates()), list(stream)])
    session.close()
    assert [update.type for update in waiting.result()[0]] == ["session.created"]


# Clients -------------------------------------------------------------------------------------------------------------


def test_closing_the_client_ends_its_sessions(house: House) -> None:
    client = house.client()
    sessions = [client.start_conversation_session() for _ in range(3)]
    with within(1):
        client.close()
    assert all(session.closed for session in sessions)
    client.close()


def test_a_closed_client_starts_nothing(plain: House) -> None:
    client = plain.client()
    client.close()
    with pytest.raises(ConnectCancelledError, match="closed"):
        client.start_conversation_session()
    assert plain.server.sessions == []


def test_closing_the_client_ends_a_slow_handshake(house: House) -> None:
    house.serve(faults=Faults(slow_handshake=0.5))
    client = house.client()
    starting = Running(client.start_conversation_session)
    until(lambda: client._sessions._connecting)
    with within(1):
        client.close()
        with pytest.raises(ConnectCancelledError):
            starting.result(1)


def test_closing_the_client_ends_the_pause_before_a_retry(house: House) -> None:
    house.serve(faults=Faults(refuse=Refusal(503, {"retry-after": "20"}, times=None)))
    client = house.client(retries=ConnectRetries(attempts=5))
    starting = Running(client.start_conversation_session)
    until(lambda: house.server._refused)
    with within(1):
        client.close()
        with pytest.raises(ConnectCancelledError):
            starting.result(1)


def test_closing_the_client_ends_the_wait_for_the_first_word(house: House) -> None:
    house.serve(first_update=None)
    client = house.client(timeouts=Timeouts(greeting=20))
    starting = Running(client.start_conversation_session)
    house.server.wait_for_session()
    until(client_threads)
    with within(1):
        client.close()
        with pytest.raises(ConnectCancelledError, match="client was closed"):
            starting.result(1)


def test_closing_the_client_ends_the_wait_for_the_options(plain: House) -> None:
    plain.serve(responder=Script([]))
    client = plain.client()
    starting = Running(lambda: client.start_conversation_session(ConversationSessionOptions()))
    plain.server.wait_for_session().wait_for_message("session.update")
    with within(1):
        client.close()
        with pytest.raises(ConnectCancelledError):
            starting.result(1)


def test_a_silent_server_in_the_middle_of_a_close_handshake_is_cut(house: House) -> None:
    """A server that has sent half a close frame, and then nothing."""
    released = threading.Event()

    def script(link: Link) -> None:
        link.send(CREATED + close_frame(1000, "bye")[:3])
        released.wait(10)

    session = house.raw(script)
    with within(2.5):
        session.close()
    released.set()


FLOODS = {
    "pings": frame(PING, b"x"),
    "pongs": frame(PONG),
    "updates": frame(TEXT, '{"type": "session.updated", "session": {}}'),
    "updates of no known kind": frame(TEXT, '{"type": "x"}'),
    "fragments": frame(TEXT, "{", fin=False) + frame(0, "}"),
    "errors": frame(TEXT, '{"type": "error", "error": {"message": "no"}}'),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_server_that_never_stops_to_speak_and_does_not_close_is_cut(house: House, flood: bytes) -> None:
    def script(link: Link) -> None:
        link.send(CREATED)
        with suppress(OSError):
            while True:
                link.send(flood * 500)

    session = house.raw(script)
    session.wait_for("session.created", timeout=5)
    with within(1.5):
        session.close()
    assert session.closed


def test_many_silent_servers_are_left_together(plain: House) -> None:
    client = plain.client(timeouts=Timeouts(close=1))
    sessions = [client.start_conversation_session() for _ in range(5)]
    for live in plain.server.sessions:
        live.inject(faults.silence())
    with within(2.5):
        client.close()
    assert all(session.closed for session in sessions)


def test_many_stalled_sessions_are_left_together(plain: House) -> None:
    """Each with a big frame on its way that the server does not read."""
    client = plain.client(timeouts=Timeouts(close=1))
    sessions = [client.start_conversation_session() for _ in range(5)]
    for live in plain.server.sessions:
        live.inject(faults.stop_reading())
    stuck = [Running(lambda session=session: session.send_audio(bytes(8_000_000))) for session in sessions]  # type: ignore[misc]
    until(lambda: all(session._engine.connection.transport._duplex.lock.locked() for session in sessions))
    with within(3):
        client.close()
    for sending in stuck:
        with pytest.raises((SessionNotOpenError, ConnectionClosedError)):
            sending.result()


def test_an_unopened_connection_names_its_cause(plain: House) -> None:
    with pytest.raises(ConnectionFailedError):
        plain.client("http://127.0.0.1:1/v1", timeouts=CALM).start_conversation_session()
