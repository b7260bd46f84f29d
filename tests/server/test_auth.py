"""Who is let in: routes, keys, models, and the two ways of refusing."""

from __future__ import annotations

import http.client
import json
from typing import Any, Callable, Iterator

import pytest
import websocket

from realtime_sync.errors import ConfigurationError
from realtime_sync.server import RealtimeServer
from tests.server.conftest import Peer

BEARER = ("Authorization: Bearer right",)
API_KEY = ("api-key: right",)


@pytest.fixture
def strict() -> Iterator[RealtimeServer]:
    with RealtimeServer(api_keys=["right"], models=["gpt-realtime-2.1", "gpt-live-1.1", "my-deployment"]) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/realtime?model=gpt-realtime-2.1", BEARER, "ga"),
        ("/v1/realtime?model=gpt-realtime-2.1", API_KEY, "ga"),
        ("/v1/realtime?intent=transcription", BEARER, "ga"),
        ("/v1/realtime/translations?model=gpt-realtime-2.1", BEARER, "translation"),
        ("/openai/v1/realtime?model=my-deployment", API_KEY, "ga"),
        ("/openai/v1/realtime?model=my-deployment", BEARER, "ga"),
        ("/openai/realtime?api-version=2024-10-01-preview&deployment=my-deployment", API_KEY, "preview"),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=my-deployment", BEARER, "preview"),
    ],
)
def test_each_route_opens_its_session(
    strict: RealtimeServer, open_peer: Callable[..., Peer], path: str, headers: tuple[str, ...], dialect: str
) -> None:
    peer = open_peer(strict, path, headers=headers, dialect=dialect)
    assert peer.recv()["type"] == "session.created"
    assert peer.ws.getsubprotocol() == "realtime"
    session = strict.wait_for_session()
    assert path.startswith(session.path)
    assert session.query
    assert "right" in session.headers.get("authorization", "") + session.headers.get("api-key", "")


@pytest.mark.parametrize(
    ("path", "headers", "close", "code"),
    [
        ("/v1/realtime?model=gpt-realtime-2.1", ("Authorization: Bearer wrong",), 3000, "invalid_api_key"),
        ("/v1/realtime?model=gpt-realtime-2.1", (), 3000, "invalid_api_key"),
        ("/v1/realtime", BEARER, 4000, "missing_model"),
        ("/v1/realtime?model=gpt-unknown", BEARER, 4000, "invalid_model"),
        ("/v1/realtime?model=gpt-live-1.1", BEARER, 4000, "invalid_model"),
        ("/v1/realtime?model=gpt-realtime-2.1", (*BEARER, "OpenAI-Beta: realtime=v1"), 4000, "beta_api_shape_disabled"),
    ],
)
def test_openai_accepts_then_tells_one_error_and_closes(
    strict: RealtimeServer,
    open_peer: Callable[..., Peer],
    path: str,
    headers: tuple[str, ...],
    close: int,
    code: str,
) -> None:
    peer = open_peer(strict, path, headers=headers)
    assert peer.recv()["error"]["code"] == code
    assert peer.close_frame() == (close, f"invalid_request_error.{code}")
    assert strict.sessions == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/openai/v1/realtime?model=my-deployment", ("api-key: wrong",), 401),
        ("/openai/v1/realtime?model=my-deployment", (), 401),
        ("/openai/v1/realtime?model=my-deployment&api-version=v1", API_KEY, 401),
        ("/openai/v1/realtime?model=nobodys", API_KEY, 404),
        ("/openai/v1/realtime", API_KEY, 404),
        ("/openai/realtime?deployment=my-deployment", API_KEY, 404),
        ("/openai/realtime?api-version=2023-01-01&deployment=my-deployment", API_KEY, 404),
        ("/openai/realtime?api-version=2025-04-01-preview&deployment=nobodys", API_KEY, 404),
        ("/v2/realtime", BEARER, 404),
        ("/", BEARER, 404),
    ],
)
def test_azure_and_unknown_paths_refuse_by_http(
    strict: RealtimeServer, path: str, headers: tuple[str, ...], status: int
) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        Peer(strict, path, headers=headers)
    assert caught.value.status_code == status
    assert caught.value.resp_headers is not None
    assert caught.value.resp_headers["x-request-id"] == caught.value.resp_headers["apim-request-id"]
    assert caught.value.resp_body is not None
    assert json.loads(caught.value.resp_body)["error"]["message"]


@pytest.mark.parametrize("name", ["api_keys", "models"])
def test_a_single_string_is_no_list_of_those_that_are_let_in(name: str) -> None:
    """No key at all would be a part of it."""
    options: dict[str, Any] = {name: "right"}
    with pytest.raises(ConfigurationError, match=name) as caught:
        RealtimeServer(**options)
    assert "right" not in str(caught.value)


def test_everyone_is_let_in_by_default_with_a_key_or_without(
    server: RealtimeServer, open_peer: Callable[..., Peer]
) -> None:
    assert open_peer(server, headers=("api-key: whatever",)).recv()["type"] == "session.created"
    assert open_peer(server, headers=()).recv()["type"] == "session.created"


@pytest.mark.parametrize(("method", "status"), [("GET", 426), ("POST", 404)])
def test_a_plain_request_gets_a_plain_answer(server: RealtimeServer, method: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request(method, "/v1/realtime?model=m", headers={"Authorization": "Bearer k"})
    response = connection.getresponse()
    assert response.status == status
    assert "error" in json.loads(response.read())
    connection.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_target_that_is_no_url_is_a_bad_request(server: RealtimeServer, method: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest(method, "http://[/v1/realtime", skip_host=True)  # else it takes the target apart itself
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 400
    assert "no URL" in json.loads(response.read())["error"]["message"]
    connection.close()


def test_a_broken_upgrade_is_a_bad_request(server: RealtimeServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    headers = {"Authorization": "Bearer k", "Upgrade": "websocket", "Connection": "Upgrade"}
    connection.request("GET", "/v1/realtime?model=m", headers=headers)
    response = connection.getresponse()
    assert response.status == 400
    assert b"Invalid WebSocket handshake" in response.read()
    connection.close()
