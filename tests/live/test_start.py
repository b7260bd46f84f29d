"""How a GPT-Live session starts and is closed: the first words, the refusals, the last word and the final usage."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from realtime_sync import (
    AuthenticationError,
    AzureOpenAIClient,
    CompactConversation,
    ConfigurationError,
    ConnectCancelledError,
    HandshakeError,
    LiveSessionClosedUpdate,
    LiveSessionOptions,
    LiveSessionStartedUpdate,
    NotFoundError,
    RateLimitedError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.server import LiveFaults, LiveRules
from tests.live.harness import CALM, LiveHouse, Running, until, within


def refusing(**error: Any) -> LiveRules:
    return LiveRules(faults=LiveFaults(start_error={"type": "invalid_request_error", "message": "No.", **error}))


def test_a_session_is_started_with_its_options_and_says_what_is_in_force(house: LiveHouse) -> None:
    session = house.start(LiveSessionOptions(instructions="Be brief.", voice="cedar"), model="gpt-live-1")
    told = house.twin.received[0]
    assert told["type"] == "session.start"
    assert told["session"]["instructions"] == "Be brief."
    assert session.session is not None
    assert (session.session.model, session.session.voice) == ("gpt-live-1", "cedar")
    assert session.id == session.session.id
    assert isinstance(session.receive_update(timeout=5), LiveSessionStartedUpdate)


def test_the_model_is_never_that_of_conversations(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_LIVE_MODEL", raising=False)
    assert plain.start().session.model == "gpt-live-1.1"  # type: ignore[union-attr]
    monkeypatch.setenv("OPENAI_LIVE_MODEL", "gpt-live-1")
    assert plain.start().session.model == "gpt-live-1"  # type: ignore[union-attr]
    assert plain.start(LiveSessionOptions(model="my-own")).session.model == "my-own"  # type: ignore[union-attr]


def test_azure_wants_a_deployment_and_gets_its_own_path(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_LIVE_MODEL", raising=False)
    azure = AzureOpenAIClient(plain.serve().azure_endpoint, "a-key")
    client = plain.stack.enter_context(azure.get_realtime_conversation_client("talks"))
    with pytest.raises(ConfigurationError, match="Which deployment"):
        client.start_live_session()
    with client.start_live_session(model="my-live-deployment") as session:
        assert plain.twin.path == "/openai/v1/live/sessions"
        assert session.client_request_id


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "invalid_api_key"}, AuthenticationError),
        ({"code": "forbidden"}, AuthenticationError),
        ({"code": "credit_balance_exhausted"}, RateLimitedError),
        ({"code": "insufficient_quota"}, RateLimitedError),
        ({"code": None, "type": "insufficient_quota"}, RateLimitedError),
        ({"code": "model_not_found"}, NotFoundError),
        ({"code": "unknown_parameter"}, HandshakeError),
    ],
    ids=lambda given: str(given.get("code") or given.get("type")) if isinstance(given, dict) else "",
)
def test_an_error_before_the_start_is_fatal_and_typed(
    plain: LiveHouse, error: dict[str, Any], kind: type[HandshakeError]
) -> None:
    plain.serve(live=refusing(**error))
    with pytest.raises(kind, match="No\\.") as raised:
        plain.start()
    assert raised.value.code == (error["code"] or error["type"])


def test_an_error_that_names_no_command_refuses_the_start_too(plain: LiveHouse) -> None:
    plain.serve(live=LiveRules(echoes_ids=False, faults=refusing(code="insufficient_quota").faults))
    with pytest.raises(RateLimitedError):
        plain.start()


@pytest.mark.parametrize("attempt", range(5))
def test_a_wrong_key_is_told_as_such_also_if_the_service_was_faster_than_the_start(
    plain: LiveHouse, attempt: int
) -> None:
    plain.serve(api_keys=["another"])
    with pytest.raises(AuthenticationError, match="Incorrect API key"):
        plain.start()


def test_a_service_that_says_nothing_is_given_up_in_time(plain: LiveHouse) -> None:
    client = plain.silent(timeouts=attrs.evolve(CALM, greeting=0.2, close=0.2))
    with within(3), pytest.raises(WaitTimeoutError, match="Timeouts\\.greeting"):
        client.start_live_session()


def test_a_close_gets_the_final_usage(house: LiveHouse) -> None:
    session = house.start()
    session.close()
    assert session.closed
    last = list(session.updates())[-1]
    assert isinstance(last, LiveSessionClosedUpdate)
    assert last.usage.seconds is not None
    assert [each["type"] for each in house.twin.received] == ["session.start", "session.close"]
    with pytest.raises(SessionNotOpenError):
        session.send_message({"type": "session.input_audio.mute"})


def test_two_closers_and_the_client_send_one_close(plain: LiveHouse) -> None:
    session = plain.start()
    closers = [Running(session.close) for _ in range(3)]
    for closer in closers:
        closer.result()
    assert [each["type"] for each in plain.twin.received].count("session.close") == 1


def test_a_service_without_a_last_word_is_left_in_time(plain: LiveHouse) -> None:
    plain.serve(live=LiveRules(faults=LiveFaults(no_closed=True)))
    session = plain.start(client={"timeouts": attrs.evolve(CALM, live_close=0.3, close=0.5)})
    with within(3):
        session.close()
    assert session.closed
    assert not any(isinstance(update, LiveSessionClosedUpdate) for update in session.updates())


def test_closing_the_client_ends_its_live_sessions(plain: LiveHouse) -> None:
    client = plain.client()
    session = client.start_live_session()
    client.close()
    assert session.closed
    plain.twin.wait_until_closed()
    with pytest.raises(ConnectCancelledError):
        client.start_live_session()


def test_the_connection_s_loss_is_no_orderly_end(plain: LiveHouse) -> None:
    session = plain.start()
    plain.twin.drop(1011)
    with pytest.raises(ConnectionError):
        for _ in session.updates():
            pass


def test_a_raw_command_is_acknowledged_by_its_name(plain: LiveHouse) -> None:
    session = plain.start()
    first = session.send_message({"type": "session.input_audio.mute", "event_id": "mine"})
    second = session.send_message(json.dumps({"type": "session.input_audio.unmute", "event_id": "other"}))
    assert first.wait(5).type == "session.input_audio.muted"
    assert second.wait(5).type == "session.input_audio.unmuted"


def test_a_text_that_is_no_message_is_told_how_the_model_is_given_one(plain: LiveHouse) -> None:
    session = plain.start()
    with pytest.warns(UserWarning, match=r"use append_commentary"):
        session.send_message("Hello!")


def test_closing_the_client_ends_a_start(plain: LiveHouse) -> None:
    client = plain.silent(timeouts=attrs.evolve(CALM, greeting=30, close=0.2))
    with within(4):
        start = Running(client.start_live_session)
        until(lambda: len(client._sessions._engines))
        client.close()
        with pytest.raises(ConnectCancelledError):
            start.result()


def test_a_session_knows_what_was_said_before_it(plain: LiveHouse) -> None:
    """So that a third session in a row is told of the first."""
    kept = CompactConversation.from_plain({"v": 1, "said": [["u", "My name is Ada."], ["a", "Hello, Ada!"]], "out": 4})
    session = plain.start(LiveSessionOptions(history=kept.live_history()))
    assert session.conversation.compact() == kept
    assert session.conversation.turns == []
