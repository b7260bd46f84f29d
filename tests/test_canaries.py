"""Secrets in every place that takes one, and servers that tell them back: nothing that is told holds any."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeSyncError,
    Timeouts,
)
from tests import canaries
from tests.transport.peer import Link, Peer, close_frame, frame

TIMES = Timeouts(connect=5, greeting=3, send=5, acknowledge=5, close=0.3)
_numbers = itertools.count(10)


def canary(words: str = "") -> str:
    """A secret of no known shape, never the same."""
    return f"{words}{next(_numbers)}c4n4ry0f{next(_numbers)}abcdef0123456789+/{next(_numbers)}"


class Token:
    """A credential as azure-identity has them."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str) -> Token:
        return self

    def __repr__(self) -> str:
        return "<Token>"


class Place:
    """A place for secrets: how a client is made with one, and how its session is started."""

    def __init__(
        self, make: Callable[[str, str], Any], start: Optional[Callable[[str], dict[str, Any]]] = None
    ) -> None:
        self.make, self.start = make, start or (lambda secret: {})


def openai(url: str, credential: Any = "any-key", **settings: Any) -> RealtimeConversationClient:
    settings = {"timeouts": TIMES, "proxy": False, **settings}
    return OpenAIClient(credential, endpoint=url, **settings).get_realtime_conversation_client("m")


def azure(url: str, credential: Any, **settings: Any) -> RealtimeConversationClient:
    client = AzureOpenAIClient(url, credential, timeouts=TIMES, proxy=False, **settings)
    return client.get_realtime_conversation_client("m")


PLACES = {
    "key": Place(lambda url, secret: openai(url, secret)),
    "function": Place(lambda url, secret: openai(url, lambda: secret)),
    "token object": Place(lambda url, secret: openai(url, Token(secret))),
    "azure key": Place(lambda url, secret: azure(url, secret)),
    "azure token": Place(lambda url, secret: azure(url, lambda: secret)),
    "azure preview": Place(lambda url, secret: azure(url, secret, api_version="2025-04-01-preview")),
    "header": Place(lambda url, secret: openai(url, headers={"X-Extra": secret})),
    "query": Place(lambda url, secret: openai(url, query={"extra": secret})),
    "url": Place(lambda url, secret: openai(f"{url}?code={urllib.parse.quote(secret, safe='')}")),
    "own client": Place(lambda url, secret: openai(url, secret)),
    "client secret": Place(lambda url, secret: openai(url), lambda secret: {"client_secret": secret}),
    "session's header": Place(lambda url, secret: openai(url), lambda secret: {"headers": {"X-Extra": secret}}),
    "session's query": Place(lambda url, secret: openai(url), lambda secret: {"query": {"extra": secret}}),
    "proxy": Place(
        lambda url, secret: openai(
            "http://example.invalid/v1",
            proxy=url.replace("ws://", f"http://user:{urllib.parse.quote(secret, safe='')}@").partition("/realtime")[0],
        )
    ),
}


def echo(link: Link) -> tuple[str, str]:
    """Reads the request; all that it says, as it stands and decoded, and that fit for a header."""
    link.read_head()
    head = link.head.decode("latin-1")
    if head.startswith("CONNECT"):
        link.send(b"HTTP/1.1 200 OK\r\n\r\n")
        asked, link.head = head, b""
        link.read_head()
        head = f"{asked}\n{link.head.decode('latin-1')}"
    basic = [base64.b64decode(line.rpartition(" ")[2]).decode() for line in head.splitlines() if "Basic " in line]
    told = "\n".join([head, urllib.parse.unquote(head), *basic])
    return told, " ".join(told.split())


def accept(link: Link, greeting: Any, *behind: bytes) -> None:
    link.upgrade(behind=frame(1, json.dumps(greeting)) + b"".join(behind))
    link.read_to_end()


def refuse(link: Link, status: str = "401 Unauthorized", kind: str = "text/html", proxy: bool = False) -> None:
    told, line = echo(link)
    body = f"<html><body>{told}</body></html>" if kind == "text/html" else json.dumps({"error": {"message": told}})
    head = f"HTTP/1.1 {status}\r\nX-Told: {line}\r\nx-request-id: {line}\r\nContent-Type: {kind}\r\n"
    link.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))


def refuse_proxy(link: Link) -> None:
    link.read_head()
    told = " ".join(link.head.decode().split())
    link.send(f"HTTP/1.1 407 {told}\r\nX-Told: {told}\r\nContent-Length: 0\r\n\r\n".encode())


def not_http(link: Link) -> None:
    told, line = echo(link)
    link.send(f"{line}\r\n{told}\r\n\r\n".encode())


def wrong_accept(link: Link) -> None:
    _, line = echo(link)
    link.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: x\r\nX-Told: {line}\r\n\r\n".encode("latin-1")
    )


def error_event(link: Link) -> None:
    told, _ = echo(link)
    accept(
        link,
        {"type": "error", "error": {"type": "invalid", "code": "invalid_api_key", "message": told}},
        close_frame(3000, "refused"),
    )


def close_reason(link: Link) -> None:
    told, _ = echo(link)
    values = [piece for piece in told.replace("=", " ").replace("&", " ").split() if "c4n4ry" in piece]
    accept(link, {"type": "error", "error": {"message": "no"}}, close_frame(3000, min(values, key=len)[:120]))


def hang_up(link: Link) -> None:
    echo(link)


WAYS = [refuse, refuse_proxy, not_http, wrong_accept, error_event, close_reason, hang_up]


def variants(secret: str) -> list[str]:
    """A secret as servers write it."""
    return [
        secret,
        urllib.parse.quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(f"user:{secret}".encode()).decode(),
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_a_session_that_is_refused_tells_no_secret(
    place: str, way: Callable[[Link], None], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    secret = canary()
    with (
        Peer(way) as peer,
        caplog.at_level(logging.DEBUG, "realtime_sync"),
        PLACES[place].make(peer.url.partition("?")[0], secret) as client,
        pytest.raises(RealtimeSyncError) as caught,
    ):
        client.start_conversation_session(recording=tmp_path / "r.jsonl", **PLACES[place].start(secret))
    recording = (tmp_path / "r.jsonl").read_text()
    assert canaries.leaks(variants(secret), [*canaries.of_error(caught.value), caplog.text, recording]) == []
    assert canaries.leaks(variants(secret), canaries.of_object(client)) == []
