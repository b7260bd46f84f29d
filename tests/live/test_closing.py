"""How a live session ends where the service does not do its part: it reads nothing, or leaves the connection open."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from realtime_sync import LiveSession
from tests.live.harness import CALM, LiveHouse, Running, client_threads, until, within
from tests.live.test_no_threads import without
from tests.transport.peer import PING, TEXT, Link, Peer, frame

STARTED = {"id": "live_1", "model": "gpt-live-1.1", "status": "active"}
PATIENT = attrs.evolve(CALM, send=60, close=0.5, live_close=20, ping_interval=60)


class Stubborn:
    """A service that starts sessions, and then only does what the test says."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.links: list[Link] = []

    def __call__(self, link: Link) -> None:
        link.upgrade()
        _, payload = link.read_frame()
        self.links.append(link)
        told = {"type": "session.started", "client_event_id": json.loads(payload)["event_id"], "session": STARTED}
        link.send(frame(TEXT, json.dumps(told)))
        self.over.wait(30)

    def says(self, **told: Any) -> None:
        self.links[-1].send(frame(TEXT, json.dumps(told)))


@pytest.fixture
def stubborn() -> Iterator[Stubborn]:
    service = Stubborn()
    yield service
    service.over.set()


def started(house: LiveHouse, service: Stubborn) -> LiveSession:
    peer = house.stack.enter_context(Peer(service, house.server_tls(), small_buffers=True))
    house.stack.callback(service.over.set)
    return house.stack.enter_context(house.client(peer.url, timeouts=PATIENT).start_live_session())


def stall(session: LiveSession) -> None:
    """Return when a thread is in the middle of a frame that the service does not read: no short one of the clock's."""
    audio = base64.b64encode(bytes(4_000_000)).decode()
    Running(lambda: session.send_message({"type": "session.input_audio.append", "audio": audio}))
    until(lambda: session._engine.connection.transport.turn.locked() and _rest(session) > 10_000)


def _rest(session: LiveSession) -> int:
    return len(session._engine.connection.transport._duplex._rest)


def test_a_service_that_reads_nothing_is_not_waited_for_as_one_that_may_answer(
    house: LiveHouse, stubborn: Stubborn
) -> None:
    session = started(house, stubborn)
    stall(session)
    with within(3):
        session.close()
    assert session.closed
    until(lambda: not client_threads())


def test_all_closers_of_a_session_whose_service_reads_nothing_return(plain: LiveHouse, stubborn: Stubborn) -> None:
    session = started(plain, stubborn)
    stall(session)
    with within(3):
        for closer in [Running(session.close) for _ in range(3)]:
            closer.result()


def test_a_session_that_is_stalled_keeps_no_other_from_its_close(plain: LiveHouse, stubborn: Stubborn) -> None:
    client = plain.client(timeouts=PATIENT)
    peer = plain.stack.enter_context(Peer(stubborn, plain.server_tls(), small_buffers=True))
    sessions = plain.client(peer.url, timeouts=PATIENT)
    stalled, other = sessions.start_live_session(), client.start_live_session()
    client._sessions._engines.add(stalled._engine)
    stall(stalled)
    with within(5):
        client.close()
    assert stalled.closed
    assert other.closed
    assert "unconfirmed" not in str(other.close_info)


def test_a_goodbye_waits_for_nothing_though_a_pong_is_due(plain: LiveHouse, stubborn: Stubborn) -> None:
    session = started(plain, stubborn)
    stall(session)
    stubborn.links[-1].send(frame(PING))
    until(lambda: bool(session._engine.connection.transport._duplex._control))
    with within(1):
        session._engine.begin_close(1001, "", within=0)
    until(lambda: session.closed)


@pytest.mark.parametrize("role", ["none", "leaver"])
def test_a_service_that_has_said_its_last_word_and_stays_is_left(
    plain: LiveHouse, stubborn: Stubborn, role: str
) -> None:
    """Also if there can be no thread for that."""
    session = started(plain, stubborn)
    with without(role), within(5):
        stubborn.says(type="session.closed", reason="remote_hangup", session=STARTED, usage={"seconds": 3})
        assert [update.type for update in session.updates()] == ["session.started", "session.closed"]
    assert session.close_info is not None
    assert session.close_info.reason == "remote_hangup"
