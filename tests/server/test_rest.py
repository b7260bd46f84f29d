"""Client secrets and models over REST: what is answered, what is refused, and what a secret opens."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from typing import Any, Callable, Iterator
from urllib.parse import urlsplit

import pytest
import websocket

from realtime_sync.server import RealtimeServer
from realtime_sync.testing import ManualClock
from tests.server.conftest import Peer
from tests.server.rest_peer import fits, post

SECRETS = "/v1/realtime/client_secrets"
REALTIME = {"type": "realtime", "model": "gpt-realtime-2.1", "instructions": "Be brief.", "output_modalities": ["text"]}


@pytest.fixture
def strict() -> Iterator[RealtimeServer]:
    with RealtimeServer(api_keys=["right"], models=["gpt-realtime-2.1", "gpt-live-1.1"]) as server:
        yield server


def opened(peer: Peer) -> dict[str, Any]:
    session: dict[str, Any] = peer.until("session.created")["session"]
    return session


@pytest.mark.parametrize("path", [SECRETS, "/openai/v1/realtime/client_secrets"])
def test_a_secret_is_answered_as_the_schema_says(server: RealtimeServer, path: str) -> None:
    answer = post(server, path, {"session": REALTIME, "expires_after": {"anchor": "created_at", "seconds": 60}})
    assert answer.status == 200
    told = fits(answer.json, "RealtimeCreateClientSecretResponse")
    assert told["value"].startswith("ek_")
    assert 0 <= told["expires_at"] - time.time() <= 60
    assert (told["session"]["instructions"], told["session"]["expires_at"]) == ("Be brief.", 0)
    assert answer.headers["x-request-id"]


def test_a_secret_needs_no_session_and_lives_ten_minutes(server: RealtimeServer) -> None:
    told = fits(post(server, SECRETS, {}).json, "RealtimeCreateClientSecretResponse")
    assert told["session"]["model"] == "gpt-realtime-2.1"
    assert 540 < told["expires_at"] - time.time() <= 600


def test_a_secret_opens_sessions_with_its_settings(strict: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    value = post(strict, SECRETS, {"session": REALTIME}, key="right").json["value"]
    for path in ("/v1/realtime", "/v1/realtime?model=gpt-realtime-2.1", "/openai/v1/realtime?model=gpt-realtime-2.1"):
        session = opened(open_peer(strict, path, headers=(f"Authorization: Bearer {value}",)))
        assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])


def test_a_secret_opens_a_session_as_a_browser_sends_it(server: RealtimeServer) -> None:
    value = post(server, SECRETS, {"session": REALTIME}).json["value"]
    url = server.azure_endpoint.replace("http", "ws", 1) + "/v1/realtime"
    offered = ["realtime", f"openai-insecure-api-key.{value}"]
    browser = websocket.create_connection(url, subprotocols=offered, timeout=10, suppress_origin=True)
    assert browser.getsubprotocol() == "realtime"
    assert '"Be brief."' in browser.recv()
    browser.shutdown()


def test_a_secret_expires_by_the_servers_clock(open_peer: Callable[..., Peer]) -> None:
    clock = ManualClock()
    with RealtimeServer(clock=clock) as server:
        value = post(server, SECRETS, {"session": REALTIME, "expires_after": {"seconds": 10}}).json["value"]
        bearer = (f"Authorization: Bearer {value}",)
        clock.advance(8)
        going_on = open_peer(server, headers=bearer)
        opened(going_on)
        clock.advance(2)
        late = open_peer(server, headers=bearer)
        assert late.recv()["error"]["code"] == "invalid_api_key"
        assert late.close_frame()[0] == 3000
        going_on.user_says("I go on.")  # only the opening of sessions ends with it
        going_on.until("conversation.item.done")
        assert post(server, SECRETS, {}, key=value).status == 401


def test_a_transcription_secret_opens_a_transcription(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    audio = {"input": {"transcription": {"model": "gpt-transcribe"}}}
    answer = post(server, SECRETS, {"session": {"type": "transcription", "audio": audio}})
    value = fits(answer.json, "RealtimeCreateClientSecretResponse")["value"]
    session = opened(open_peer(server, "/v1/realtime", headers=(f"Authorization: Bearer {value}",)))
    assert session["type"] == "transcription"
    assert session["audio"]["input"]["transcription"]["model"] == "gpt-transcribe"


def test_a_translation_secret_opens_a_translation_alone(server: RealtimeServer, open_peer: Callable[..., Peer]) -> None:
    session = {"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
    told = fits(
        post(server, "/v1/realtime/translations/client_secrets", {"session": session}).json,
        "RealtimeTranslationClientSecretCreateResponse",
    )
    bearer = (f"Authorization: Bearer {told['value']}",)
    peer = open_peer(server, "/v1/realtime/translations", headers=bearer, dialect="translation")
    assert opened(peer)["audio"]["output"]["language"] == "es"
    other = open_peer(server, headers=bearer)
    assert other.recv()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        (
            "/v1/realtime/sessions",
            {"model": "gpt-realtime-2.1", "modalities": ["audio", "text"], "voice": "echo"},
            "realtime",
        ),
        ("/openai/realtimeapi/sessions", {"model": "gpt-realtime-2.1", "instructions": "Hi"}, "realtime"),
        ("/v1/realtime/transcription_sessions", {"input_audio_format": "g711_ulaw"}, "transcription"),
    ],
)
def test_the_older_operations_answer_with_a_flat_session(
    server: RealtimeServer, open_peer: Callable[..., Peer], path: str, body: dict[str, Any], kind: str
) -> None:
    told = post(server, path, body).json
    schema = "RealtimeSessionCreateResponse" if kind == "realtime" else "RealtimeTranscriptionSessionCreateResponse"
    fits(told, schema, "preview")
    assert {key: told[key] for key in body if key != "modalities"} == {
        k: v for k, v in body.items() if k != "modalities"
    }
    peer = open_peer(server, "/v1/realtime", headers=(f"Authorization: Bearer {told['client_secret']['value']}",))
    assert opened(peer)["type"] == kind


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "integer_below_min_value", "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "integer_above_max_value", "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "invalid_value", "expires_after.anchor"),
        ({"session": {"model": "gpt-realtime-2.1"}}, "missing_required_parameter", "session.type"),
        ({"session": {"type": "translation"}}, "invalid_value", "session.type"),
        ({"session": {"type": "realtime", "voice": "alloy"}}, "unknown_parameter", "session.voice"),
        ({"session": {"type": "realtime", "model": 5}}, "invalid_type", "session.model"),
        ({"session": {"type": "realtime", "model": "gpt-unknown"}}, "invalid_model", "session.model"),
        ({"session": {"type": "realtime", "model": "gpt-live-1.1"}}, "invalid_model", "session.model"),
        ({"session": "realtime"}, "invalid_type", "session"),
        ({"lifetime": 5}, "unknown_parameter", "lifetime"),
    ],
)
def test_what_cannot_be_a_secret_is_refused(
    strict: RealtimeServer, body: dict[str, Any], code: str, param: str
) -> None:
    answer = post(strict, SECRETS, body, key="right")
    assert answer.status == 400
    assert (answer.error["code"], answer.error["param"]) == (code, param)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("{", "application/json"),
        ("[]", "application/json"),
        ("[" * 100_000, "application/json"),
        ("{}", "text/plain"),
    ],
)
def test_what_is_not_json_is_a_bad_request(server: RealtimeServer, body: str, content: str) -> None:
    answer = post(server, SECRETS, body, headers={"content-type": content})
    assert answer.status == 400
    assert answer.error


@pytest.mark.parametrize("key", ["wrong", "ek_made_up", None])
def test_a_wrong_key_gets_no_secret(strict: RealtimeServer, key: str | None) -> None:
    answer = post(strict, SECRETS, {}, key=key)
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")


def test_a_secret_makes_no_secret(server: RealtimeServer) -> None:
    value = post(server, SECRETS, {}).json["value"]
    assert post(server, SECRETS, {}, key=value).status == 401


def test_a_secret_is_in_no_repr(server: RealtimeServer) -> None:
    value = post(server, SECRETS, {}).json["value"]
    secret = server.policy.secret(value)
    assert secret is not None
    assert value not in repr(secret) + repr(server) + repr(server.policy)


def test_other_methods_and_paths_are_told_apart(server: RealtimeServer) -> None:
    got = post(server, SECRETS, method="GET")
    assert (got.status, got.headers["allow"]) == (405, "POST")
    assert post(server, "/v1/realtime/nothing", {}).status == 404


def test_a_body_without_length_or_too_long_is_refused(server: RealtimeServer) -> None:
    assert post(server, SECRETS, headers={"content-length": "-1"}).status == 411
    assert post(server, SECRETS, headers={"content-length": str(10**9)}).status == 413


# Models -----------------------------------------------------------------------------------------------------------


def asked_for(server: RealtimeServer, path: str, key: str = "right") -> tuple[int, dict[str, Any]]:
    """The status and the body of the answer to a GET."""
    connection = HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=10)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_models_are_listed_with_the_dates_on_which_they_end() -> None:
    with RealtimeServer() as server:
        status, told = asked_for(server, "/v1/models")
        assert (status, told["object"]) == (200, "list")
        ends = {model["id"]: model["shutdown_date"] for model in told["data"]}
        assert (ends["gpt-realtime"], ends["gpt-realtime-2.1"]) == ("2027-01-20", None)
        status, told = asked_for(server, "/v1/models/gpt-realtime-2025-08-28")
        assert (status, told["object"], told["shutdown_date"]) == (200, "model", "2027-01-20")
        assert asked_for(server, "/openai/v1/models/my%2Fdeployment")[1]["id"] == "my/deployment"


def test_a_server_that_has_some_models_lists_these_to_those_who_may_know() -> None:
    with RealtimeServer(api_keys=["right"], models=["mine"]) as server:
        assert [model["id"] for model in asked_for(server, "/v1/models")[1]["data"]] == ["mine"]
        status, told = asked_for(server, "/v1/models/another")
        assert (status, told["error"]["code"]) == (404, "model_not_found")
        assert asked_for(server, "/v1/models", key="wrong")[0] == 401
