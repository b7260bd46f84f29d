"""The way on from one session to the next: ahead of the service's time limit, and by a fork of a stored one."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from realtime_sync import (
    LiveSessionOptions,
    Reconnect,
    SessionDisconnectedUpdate,
    SessionExpiredError,
    SessionReconnectedUpdate,
    WaitTimeoutError,
)
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.server import LiveFaults, LiveRules
from tests.live.harness import CALM, LiveHouse, until, within
from tests.live.test_reconnecting import QUICKLY, clock_runs, come_back, lost, surviving

pytestmark = pytest.mark.medium

RENEWED = Reconnect(base_delay=0.05, renew_before=3600)


# Ahead of the limit --------------------------------------------------------------------------------------------------


def go_ahead(monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    """This machine's clock is ahead of the service's, so that so many seconds seem to be left of the two hours.

    The service tells whole seconds, so it may be one less.
    """
    told = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() + 7200 - left)
    monkeypatch.setattr("realtime_sync.live.reconnector.time", told)


@pytest.fixture
def _ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    go_ahead(monkeypatch, 2)


@pytest.mark.usefixtures("_ahead")
def test_a_session_is_renewed_ahead_of_its_limit_while_both_are_silent(patient: LiveHouse) -> None:
    session = surviving(patient, policy=RENEWED)
    stream = session.subscribe()
    told = come_back(session)
    assert isinstance(told.reason, SessionExpiredError)
    assert told.losses == ()
    assert patient.server.live_sessions[0].ended_by == "close_requested"
    session.append_commentary("Hello.").wait(5)
    session.close()
    assert not any(isinstance(update, SessionDisconnectedUpdate) for update in stream)


@pytest.mark.slow
@pytest.mark.usefixtures("_ahead")
def test_a_close_on_the_way_back_does_not_wait_for_the_word_of_a_connection_before(
    plain: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = surviving(plain, policy=RENEWED, client={"timeouts": attrs.evolve(CALM, greeting=20, close=0.5)})
    come_back(session)  # for which the first connection was asked to close
    begun = threading.Event()
    monkeypatch.setattr("realtime_sync.server.live.session.TwinSession._start", lambda twin, message: begun.set())
    monkeypatch.setattr("realtime_sync.server.connection.ServerConnection._answer_close", lambda *_: None)
    plain.twin.drop()
    assert begun.wait(10)
    with within(5):
        session.close()


@pytest.mark.slow
def test_a_sentence_is_not_cut_off_by_the_renewal(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    go_ahead(monkeypatch, 3)  # it is due when some of the words are said
    session = surviving(plain, policy=RENEWED)
    clock_runs(plain)
    plain.twin.say("Dogs bark at night and cats sleep all day long.")
    assert come_back(session).losses == ()
    first = plain.server.live_sessions[0]
    said = [each["delta"] for each in first.sent if each["type"] == "session.output_transcript.delta"]
    assert "".join(said).strip() == "Dogs bark at night and cats sleep all day long."


# By a fork -----------------------------------------------------------------------------------------------------------


def test_a_session_that_is_stored_goes_on_as_a_fork(patient: LiveHouse) -> None:
    session = surviving(patient, LiveSessionOptions(instructions="Be kind.", store=True))
    first = patient.twin
    session.append_instructions("Be brief.").wait(5)
    session.append_thinking("The user is called Ann.").wait(5)
    told = lost(patient, session)
    assert told.losses == ()
    assert patient.twin.path.endswith(f"/live/sessions/{first.id}/fork")
    assert patient.twin.received[0]["session"] == {}
    assert patient.twin.options["instructions"] == "Be kind."
    patient.twin.wait_for_message("session.instructions.append")
    second = patient.twin
    assert lost(patient, session).losses == ()
    assert patient.twin.path.endswith(f"/live/sessions/{second.id}/fork")
    session.append_commentary("Hello.").wait(5)


def test_a_fork_that_is_refused_is_tried_again_for_a_while(plain: LiveHouse) -> None:
    session = surviving(plain, LiveSessionOptions(store=True))
    stream, first = session.subscribe(), plain.twin
    first.options["store"] = False  # the service does not find it yet
    first.drop()
    until(lambda: session._engine.recovery._attempt > 2)
    first.options["store"] = True
    assert come_back(stream).losses == ()
    assert plain.twin.path.endswith("/fork")


def test_a_fork_that_stays_refused_gives_way_to_a_new_session(
    plain: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.live.reconnector._FORK_SECONDS", 0.3)
    session = surviving(plain, LiveSessionOptions(instructions="Be kind.", store=True))
    session.append_thinking("The user is called Ann.").wait(5)
    plain.twin.options["store"] = False
    assert lost(plain, session).losses == ("thinking: 1 text that the new session does not know",)
    assert plain.twin.path.endswith("/live/sessions")
    assert plain.twin.options["instructions"] == "Be kind."
    lost(plain, session)  # which was stored, too
    assert plain.twin.path.endswith("/fork")


@pytest.mark.slow
def test_delegated_work_is_done_before_the_renewal(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    go_ahead(monkeypatch, 3)
    done = threading.Event()

    def work(request: DelegationRequest) -> str:
        done.wait(10)
        return "Found."

    session = surviving(plain, policy=RENEWED, delegate=work)
    clock_runs(plain)
    plain.twin.delegate(after_last_fragment=False)
    with pytest.raises(WaitTimeoutError):
        session.wait_for(SessionReconnectedUpdate, 4)
    done.set()
    assert come_back(session).losses == ()
    plain.server.live_sessions[0].wait_for_message("session.commentary.append")


def test_a_delegation_that_nobody_takes_does_not_hinder_the_renewal(
    plain: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_ahead(monkeypatch, 3)
    monkeypatch.setattr("realtime_sync.live.delegated_work._TAKEN_SECONDS", 0.3)
    plain.serve(live=LiveRules(acknowledgement=""))
    session = surviving(plain, policy=RENEWED)
    clock_runs(plain)
    name = plain.twin.delegate(after_last_fragment=False)
    assert come_back(session).losses == (f"delegation {name}: it was cancelled",)


@pytest.mark.slow
def test_a_clip_is_played_to_its_end_before_the_renewal(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    go_ahead(monkeypatch, 3)
    session = surviving(plain, policy=RENEWED)
    clock_runs(plain)
    clip = session.play_clip(bytes(3 * 48_000))
    assert come_back(session).losses == ()
    assert clip.played


def test_a_fork_that_is_refused_after_its_connect_gives_way_too(
    plain: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime_sync.live.reconnector._FORK_SECONDS", 0.3)
    session = surviving(plain, LiveSessionOptions(store=True))
    stream = session.subscribe()
    refused = {"type": "invalid_request_error", "code": "session_id_not_found", "message": "No such session."}
    plain.server.live.rules = LiveRules(faults=LiveFaults(start_error=refused))
    plain.twin.drop()
    until(lambda: len(plain.server.live_sessions) > 2 and plain.twin.path.endswith("/live/sessions"))
    plain.server.live.rules = LiveRules()
    come_back(stream)


def test_a_fork_that_is_not_answered_gives_way_too(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_sync.live.reconnector._FORK_SECONDS", 0.3)
    monkeypatch.setattr("realtime_sync.server.live.forks.TwinFork._start", lambda fork, message: None)
    session = surviving(plain, LiveSessionOptions(store=True), client={"timeouts": attrs.evolve(CALM, greeting=0.3)})
    lost(plain, session)
    assert plain.twin.path.endswith("/live/sessions")


@pytest.mark.usefixtures("_ahead")
def test_a_session_that_is_stored_has_ended_before_it_is_renewed(plain: LiveHouse) -> None:
    session = surviving(plain, LiveSessionOptions(store=True), policy=RENEWED)
    stream = session.subscribe()
    told = come_back(session)
    assert isinstance(told.reason, SessionExpiredError)
    assert plain.server.live_sessions[0].ended_by == "close_requested"
    assert plain.twin.path.endswith("/fork")
    session.close()
    assert not any(isinstance(update, SessionDisconnectedUpdate) for update in stream)


def test_a_fork_that_is_not_stored_is_forked_once_more(plain: LiveHouse) -> None:
    with plain.start(LiveSessionOptions(store=True)) as session:
        name = session.id
    quickly: Any = QUICKLY
    session = plain.stack.enter_context(plain.client().fork_live(name, store=False, reconnect=quickly))
    lost(plain, session)
    assert plain.twin.path.endswith(f"/live/sessions/{name}/fork")
    assert plain.twin.received[0]["session"] == {"store": False}
