"""How sessions end, and what everyone is told: clean, abnormal, expired, refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from realtime_sync import (
    AuthenticationError,
    AzureOpenAIClient,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectionLostError,
    ConnectRetries,
    ConversationResponseOptions,
    ConversationSessionOptions,
    HandshakeError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    ServiceUnavailableError,
    SessionExpiredError,
    Timeouts,
)
from realtime_sync.server import Faults, Refusal, Script, expect, faults
from realtime_sync.server.client_secrets import Configuration
from realtime_sync.testing import ManualClock
from tests.core.harness import CALM, KEY, House, Running, client_threads, until, within

ONCE = ConnectRetries(attempts=1)


@pytest.mark.parametrize("code", [1000, 1001])
def test_a_clean_close_ends_iteration(house: House, code: int) -> None:
    house.serve(responder=Script([faults.close(code, "bye")]))
    session = house.open()
    assert [update.type for update in session.updates()] == ["session.created"]
    assert list(session.updates()) == []
    assert (session.close_info.code, session.close_info.reason, session.close_info.initiator) == (code, "bye", "remote")
    assert session.close_info.clean
    with pytest.raises(ConnectionClosedError, match="bye"):
        session.receive_update()
    with pytest.raises(ConnectionClosedError, match="bye"):
        session.add_item("too late")


@pytest.mark.parametrize("code", [1002, 1008, 1011, 1013, 3000, 4999])
def test_another_close_raises_after_what_came_before(house: House, code: int) -> None:
    house.serve(responder=Script([{"type": "rate_limits.updated", "rate_limits": []}, faults.close(code, "why")]))
    session = house.open()
    updates = session.updates()
    assert [next(updates).type, next(updates).type] == ["session.created", "rate_limits.updated"]
    with pytest.raises(ConnectionClosedError, match="why") as caught:
        next(updates)
    assert (caught.value.close_info.code, caught.value.close_info.initiator) == (code, "remote")
    with pytest.raises(ConnectionClosedError):
        next(session.updates())


def test_a_normal_close_in_the_middle_of_a_response_raises(house: House) -> None:
    house.serve(
        responder=Script(
            [
                expect("response.create"),
                {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}},
                faults.close(1000),
            ]
        )
    )
    session = house.open()
    session.start_response()
    with pytest.raises(ConnectionClosedError) as caught:
        list(session.updates())
    assert caught.value.close_info.code == 1000


def test_a_normal_close_after_the_response_is_done_is_clean(plain: House) -> None:
    session = plain.open()
    session.add_item("Hi")
    session.start_response(ConversationResponseOptions(content_modalities=["text"]))
    assert session.wait_for("rate_limits.updated", timeout=5)  # the server's last word: it comes behind the response
    plain.live.close(1000)
    assert list(session.updates())[-1].type == "response.done"


def test_a_loss_raises_for_everyone_and_says_so(house: House) -> None:
    session = house.open()
    house.live.inject(faults.drop())
    with pytest.raises(ConnectionLostError) as caught:
        list(session.updates())
    assert caught.value.close_info.code == 1006
    assert isinstance(caught.value, ConnectionError)
    assert str(caught.value).count("Open a new session to go on") == 1
    assert "reconnect=True" in str(caught.value)
    assert "1006" in repr(session)


def test_the_last_error_event_is_kept_with_the_end(house: House) -> None:
    error = {"type": "server_error", "code": "internal", "message": "the reason", "event_id": None}
    house.serve(responder=Script([{"type": "error", "error": error}, faults.close(1011)]))
    session = house.open()
    with pytest.raises(ConnectionClosedError) as caught:
        list(session.updates())
    assert caught.value.error is not None
    assert caught.value.error.error.message == "the reason"


def test_an_expired_session_says_so(house: House) -> None:
    clock = ManualClock()
    house.serve(clock=clock, ping_interval=None, session_seconds=1800)
    session = house.open()
    waiting = Running(lambda: session.wait_for("response.done"))
    clock.advance(1800)
    with pytest.raises(SessionExpiredError, match="30 minutes") as caught:
        waiting.result(5)
    assert caught.value.error is not None
    assert caught.value.error.error.code == "session_expired"
    assert caught.value.close_info.code == 1001
    with pytest.raises(SessionExpiredError):
        list(session.updates())
    with pytest.raises(SessionExpiredError):
        session.add_item("too late")


# Refused after the handshake (OpenAI) --------------------------------------------------------------------------------


def test_a_wrong_key_is_an_authentication_error(house: House) -> None:
    house.serve(api_keys=["another"])
    with pytest.raises(AuthenticationError, match="Incorrect API key") as caught:
        house.client().start_conversation_session()
    assert (caught.value.code, caught.value.status) == ("invalid_api_key", None)
    assert caught.value.close_info is not None
    assert caught.value.close_info.code == 3000
    assert KEY not in str(caught.value)


def test_an_unknown_model_is_not_found(house: House) -> None:
    house.serve(models=["gpt-realtime-2.1"])
    with pytest.raises(NotFoundError, match='Model "m"') as caught:
        house.client().start_conversation_session()
    assert caught.value.close_info is not None
    assert (caught.value.code, caught.value.close_info.code) == ("invalid_model", 4000)


def test_another_refusal_after_the_handshake_is_a_handshake_error(plain: House) -> None:
    with pytest.raises(HandshakeError, match="Beta API") as caught:
        plain.client(headers={"OpenAI-Beta": "realtime=v1"}).start_conversation_session()
    assert caught.value.code == "beta_api_shape_disabled"


def test_a_close_without_a_word_is_told_by_its_reason(plain: House) -> None:
    plain.serve(first_update=None, responder=Script([faults.close(4000, "invalid_request_error.missing_model")]))
    with pytest.raises(NotFoundError, match="missing_model"):
        plain.client().start_conversation_session()


def test_a_loss_before_the_first_word_is_a_failed_connection(house: House) -> None:
    house.serve(first_update=None, faults=Faults(acts=[faults.drop()]))
    with pytest.raises(ConnectionFailedError):
        house.client().start_conversation_session()


def test_a_loss_after_the_first_word_is_the_sessions_end(house: House) -> None:
    house.serve(responder=Script([faults.close(1011, "gone")]))
    for _ in range(10):  # whichever thread is faster
        session = house.client().start_conversation_session()
        with pytest.raises(ConnectionClosedError, match="gone"):
            list(session.updates())


def test_a_server_without_a_first_word_is_used_all_the_same(plain: House) -> None:
    plain.serve(first_update=None)
    with within(2):
        session = plain.open(timeouts=Timeouts(greeting=0.1))
    assert session.id is None
    assert "not greeted" in repr(session)
    assert session.add_item("Hi").wait().type == "conversation.item.added"


# Refused by HTTP (Azure, gateways) -----------------------------------------------------------------------------------


def azure(house: House, **options: Any) -> Any:
    options = {"retries": ONCE, "ssl_context": house.client_tls, **options}
    client = AzureOpenAIClient(house.server.azure_endpoint, KEY, **options)
    return house.stack.enter_context(client.get_realtime_conversation_client("my-deployment"))


@pytest.mark.parametrize("api_version", ["v1", "2025-04-01-preview"])
def test_azure_refuses_a_wrong_key_by_401(house: House, api_version: str) -> None:
    house.serve(api_keys=["another"])
    with pytest.raises(AuthenticationError, match="Access denied") as caught:
        azure(house, api_version=api_version).start_conversation_session()
    assert caught.value.status == 401
    assert caught.value.request_id
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("api_version", ["v1", "2025-04-01-preview"])
def test_azure_refuses_an_unknown_deployment_by_404(house: House, api_version: str) -> None:
    house.serve(models=["another"])
    with pytest.raises(NotFoundError, match="does not exist") as caught:
        azure(house, api_version=api_version).start_conversation_session()
    assert (caught.value.status, caught.value.code) == (404, "DeploymentNotFound")


@pytest.mark.parametrize("framing", ["length", "chunked", "truncated", "until-close"])
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationError), (404, NotFoundError), (429, RateLimitedError), (503, ServiceUnavailableError)],
)
def test_a_refusal_is_typed_by_its_status(plain: House, status: int, error: type[HandshakeError], framing: str) -> None:
    plain.serve(faults=Faults(refuse=Refusal(status, {"retry-after": "7"}, "because of this and of that", framing)))
    with pytest.raises(error, match="because") as caught:
        azure(plain).start_conversation_session()
    assert (caught.value.status, caught.value.retry_after) == (status, 7)
    assert plain.server.sessions == []


def test_a_busy_service_is_asked_again_as_it_asked_for(house: House) -> None:
    house.serve(faults=Faults(refuse=Refusal(429, {"retry-after-ms": "50"}, "slow down", times=2)))
    started = time.monotonic()
    with within(3):
        session = azure(house, retries=ConnectRetries(attempts=3)).start_conversation_session()
    assert time.monotonic() - started >= 0.1
    assert session.id


# Options at the start ------------------------------------------------------------------------------------------------


def test_options_at_the_start_are_in_force_when_the_session_is_returned(house: House) -> None:
    session = house.open(start={"options": ConversationSessionOptions(instructions="Be brief.")})
    assert session.session.instructions == "Be brief."


def test_options_that_are_refused_end_the_session(house: House) -> None:
    with pytest.raises(ServerError, match="Unknown parameter"):
        house.open(start={"options": ConversationSessionOptions(extra={"nonsense": 1})})
    assert house.live.wait_until_closed() == 1000
    until(lambda: not client_threads())


def test_joining_a_call_does_not_wait_for_a_greeting_that_does_not_come(plain: House) -> None:
    call_id = plain.server.place_call()
    plain.server.call(call_id).accept(Configuration.from_client(None))
    with within(CALM.greeting / 2):
        session = plain.open(start={"call_id": call_id})
    session.configure_session(ConversationSessionOptions(instructions="Answer in two words.")).wait()
