"""A GPT-Live session goes on at the next service: as a new session, with the newest words as its history."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from realtime_sync import LiveSession, LiveSessionOptions, ReconnectFailedError, SessionReconnectedUpdate
from realtime_sync.server import Faults, LiveFaults, LiveRules
from tests.core.harness import until, within
from tests.fallback.harness import DOWN, KEYS, QUICKLY, Town

pytestmark = pytest.mark.medium


def surviving(town: Town, *names: str, options: Any = None, policy: Any = QUICKLY) -> LiveSession:
    client = town.combined(*names)
    session = town.stack.enter_context(client.start_live_session(options, model="my-live", reconnect=policy))
    town.stack.callback(hang_up, town)
    return session


def hang_up(town: Town) -> None:
    """A close would wait 0.7 s for the service's word."""
    for server in town.servers.values():
        for twin in server.live_sessions:
            twin.end("remote_hangup")


def history(twin: Any) -> list[tuple[str, str]]:
    """What a session was begun with."""
    return [(each["role"], each["content"][0]["text"]) for each in twin.received[0]["session"].get("input", [])]


def lose(town: Town, session: LiveSession, name: str) -> SessionReconnectedUpdate:
    """Lose the connection to a service, which refuses others, and go on elsewhere."""
    with session.subscribe() as stream:
        town.servers[name].faults = DOWN
        town.servers[name].live_sessions[-1].drop()
        return stream.wait_for(SessionReconnectedUpdate, 10)


def test_a_live_session_goes_on_at_the_next_service_with_its_history_and_comes_back(town: Town) -> None:
    session = surviving(town, "openai", "azure", options=LiveSessionOptions(instructions="Be kind."))
    twin = town.servers["openai"].live_sessions[-1]
    until(lambda: twin.timeline_ms > 0)
    twin.hear("What do dogs do?")
    until(lambda: "dogs do" in str(session.conversation))
    update = lose(town, session, "openai")
    assert update.moved
    assert update.endpoint == session.endpoint
    assert session.endpoint.endswith("/openai/v1/live/sessions")
    other = town.servers["azure"].live_sessions[-1]
    assert history(other) == [("user", "What do dogs do?")]
    assert other.options["instructions"] == "Be kind."
    assert other.headers["api-key"] == KEYS["azure"]
    town.servers["openai"].faults = Faults()
    update = lose(town, session, "azure")
    assert update.moved
    assert session.endpoint.endswith("/v1/live/sessions")
    assert history(town.servers["openai"].live_sessions[-1]) == [("user", "What do dogs do?")]
    session.append_commentary("Hello.").wait(5)


def test_a_stored_session_is_forked_where_it_is_and_begins_anew_elsewhere(plain: Town) -> None:
    session = surviving(plain, "openai", "azure", options=LiveSessionOptions(store=True))
    first = session.id
    with session.subscribe() as stream:
        plain.servers["openai"].live_sessions[-1].drop()
        assert not stream.wait_for(SessionReconnectedUpdate, 10).moved
    assert session.endpoint.endswith(f"/{first}/fork")
    assert plain.servers["azure"].live_sessions == []
    with within(4):  # a fork that is refused would be tried for 5 s
        assert lose(plain, session, "openai").moved
    assert session.endpoint.endswith("/openai/v1/live/sessions")


def test_a_start_that_is_refused_for_its_history_is_tried_again_with_less_at_the_same_service(plain: Town) -> None:
    plain.service("azure", live=LiveRules(faults=LiveFaults(most_history=0)))
    session = surviving(plain, "openai", "azure", "own")
    twin = plain.servers["openai"].live_sessions[-1]
    until(lambda: twin.timeline_ms > 0)
    twin.hear("What do dogs do?")
    until(lambda: "dogs do" in str(session.conversation))
    update = lose(plain, session, "openai")
    assert update.moved
    assert "/openai/v1/live" in session.endpoint
    assert any("refused to start" in loss for loss in update.losses)
    assert plain.servers["own"].live_sessions == []


def test_an_empty_account_in_mid_session_is_no_end_where_another_service_is_left(plain: Town) -> None:
    session = surviving(plain, "openai", "azure")
    twin = plain.servers["openai"].live_sessions[-1]
    with session.subscribe() as stream:
        error = {"type": "invalid_request_error", "code": "insufficient_quota", "message": "Pay first."}
        twin.emit({"type": "error", "error": error})
        stream.wait_for("error", 5)
        twin.drop()
        assert stream.wait_for(SessionReconnectedUpdate, 10).moved
    assert "/openai/v1/live" in session.endpoint


def test_if_no_service_takes_a_live_session_its_end_names_each(plain: Town) -> None:
    session = surviving(plain, "openai", "azure", policy=attrs.evolve(QUICKLY, give_up_after=0.6))
    plain.servers["azure"].close()
    plain.servers["openai"].close()
    until(lambda: session.closed, 10)
    with pytest.raises(ReconnectFailedError) as raised:
        session.append_commentary("Hello.")
    assert "gpt-realtime-2.1 at http" in str(raised.value)
    assert "my-deployment at http" in str(raised.value)
