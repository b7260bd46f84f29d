"""Pages of other sites, and names that are not the server's: refused at the handshake and by REST."""

from __future__ import annotations

import http.client
from typing import Any, Optional

import pytest

from realtime_sync.errors import ConfigurationError
from realtime_sync.server import RealtimeServer

EVIL = "http://evil.example"


def asked(server: RealtimeServer, host: str, origin: Optional[str] = None, post: Optional[str] = None) -> int:
    """The status of a handshake, or of a POST to a path."""
    headers = {"Host": host, "Authorization": "Bearer any-key", **({"Origin": origin} if origin is not None else {})}
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        if post is None:
            connection.request("GET", "/v1/realtime?model=m", headers={**headers, **upgrade})
        else:
            connection.request("POST", post, "{}", headers)
        answer = connection.getresponse()
        if answer.status == 403:
            assert b"allowed_hosts" in answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:80", None),
        ("127.0.0.1:80", "http://localhost:3000"),
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("localhost", "https://[::1]:8443"),
        ("[::1]:1", "http://[::1]:1"),
    ],
)
def test_programs_and_pages_of_this_machine_are_served(
    server: RealtimeServer, host: str, origin: Optional[str]
) -> None:
    assert asked(server, host, origin) == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", EVIL),
        ("localhost", "null"),
        ("evil.example", None),
        ("evil.example", EVIL),
        ("evil.example:1", EVIL),
    ],
)
def test_a_page_of_another_site_gets_neither_a_session_nor_a_client_secret_nor_a_call(
    server: RealtimeServer, host: str, origin: Optional[str]
) -> None:
    assert asked(server, host, origin) == 403
    for path in ("/v1/realtime/client_secrets", "/v1/realtime/calls", "/nowhere"):
        assert asked(server, host, origin, post=path) == 403
    assert server.sessions == []


def test_hosts_that_are_named_are_served() -> None:
    with RealtimeServer(allowed_hosts=["voice.example.com", "page.example.com"]) as server:
        assert asked(server, "voice.example.com", "https://page.example.com") == 101
        assert asked(server, "voice.example.com", EVIL) == 403


def test_a_server_in_a_network_takes_programs_by_any_name_and_pages_by_names_that_no_stranger_owns() -> None:
    with RealtimeServer("0.0.0.0") as server:
        assert asked(server, "voice.example.com") == 101
        assert asked(server, "kitchen:8765", "http://kitchen:8765") == 101
        assert asked(server, "192.168.1.20:8765", "http://192.168.1.20:8765") == 101
        assert asked(server, "evil.example", EVIL) == 403
        assert asked(server, "192.168.1.20", "http://192.168.1.66") == 403


def test_a_single_text_is_no_list_of_hosts() -> None:
    hosts: Any = "voice.example.com"
    with pytest.raises(ConfigurationError, match="brackets"):
        RealtimeServer(allowed_hosts=hosts)
