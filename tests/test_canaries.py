"""Secrets in every place that takes one, and servers that tell them back: nothing that is told holds any."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationSessionOptions,
    ConversationTool,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeSyncError,
    Timeouts,
)
from tests import canaries
from tests.transport.peer import CLOSE, Link, Peer, close_frame, frame

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
    "header": Place(lambda url, secret: openai(url, headers={"X-Extra-Token": secret})),
    "query": Place(lambda url, secret: openai(url, query={"extra_key": secret})),
    "url": Place(lambda url, secret: openai(f"{url}?code={urllib.parse.quote(secret, safe='')}")),
    "client secret": Place(lambda url, secret: openai(url), lambda secret: {"client_secret": secret}),
    "session's header": Place(lambda url, secret: openai(url), lambda secret: {"headers": {"X-Extra-Token": secret}}),
    "session's query": Place(lambda url, secret: openai(url), lambda secret: {"query": {"extra_key": secret}}),
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


# Sessions that are open -----------------------------------------------------------------------------------------------

MCP = {
    "authorization": lambda secret: {"authorization": secret},
    "bearer": lambda secret: {"authorization": f"Bearer {secret}"},
    "header": lambda secret: {"headers": {"X-Api-Key": secret}},
    "password": lambda secret: {"server_url": f"https://user:{urllib.parse.quote(secret, safe='')}@example.com/mcp"},
    "query": lambda secret: {"server_url": f"https://example.com/mcp?token={urllib.parse.quote(secret, safe='')}"},
    "extra": lambda secret: {"extra": {"api_key": secret}},
}


def greeting(told: str, **session: Any) -> dict[str, Any]:
    return {"type": "session.created", "session": {"id": "sess_1", "object": told, "instructions": told, **session}}


class Teller:
    """A server that tells all that it is told, in each way that a session has, until it is told to stop."""

    def __init__(self, last: Callable[[Link], object]) -> None:
        self._last = last

    def __call__(self, link: Link) -> None:
        told, line = echo(link)
        link.upgrade(f"X-Told: {line}", behind=frame(1, json.dumps(greeting(told))))
        while True:
            opcode, data = link.read_frame()
            if opcode == CLOSE:
                return
            text = data.decode()
            told += text + urllib.parse.unquote(text)
            if '"stop"' in text:
                break
            if '"session.update"' in text:
                session = json.loads(text)["session"]
                link.send(frame(1, json.dumps({**greeting(told, **session), "type": "session.updated"})))
            link.send(frame(1, json.dumps({"type": "odd", "told": told})))
            link.send(frame(1, json.dumps({"type": "mcp_list_tools.failed", "item_id": told, "error": told})))
            link.send(frame(1, json.dumps({"type": "error", "error": {"message": told, "param": told}})))
        self._last(link)


def used(client: RealtimeConversationClient, recording: Path, tool: Any = None, **start: Any) -> Iterator[str]:
    """All that a session tells in which secrets were used and told back."""
    with client.start_conversation_session(recording=recording, **start) as session:
        if tool is not None:
            handle = session.configure_session(ConversationSessionOptions(tools=[tool]))
            handle.wait()
            yield from canaries.of_object(handle)
        handle = session.send_message({"type": "odd", "event_id": "event_1"})
        session.wait_for("error", timeout=5)
        session.send_message('{"type": "stop"}')
        yield from canaries.of_threads()
        try:
            for update in session.updates():
                yield from canaries.of_object(update)
                yield from canaries.of_pickle(update)
        except RealtimeSyncError as error:
            yield from canaries.of_error(error)
        for thing in (session, session.session, session.conversation, session.close_info, handle.error, client):
            yield from canaries.of_object(thing)
            yield from canaries.of_pickle(thing)
        yield session.conversation.to_json()
        yield session._repr_html_()
    yield recording.read_text()


def close(link: Link) -> None:
    link.send(close_frame(4000, "bye"))
    link.read_to_end()


ENDS = {"closed": close, "reset": Link.reset}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_session_whose_server_tells_everything_back_tells_no_secret(
    place: str, end: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    secret = canary()
    start = PLACES[place].start(secret)
    with Peer(Teller(ENDS[end])) as peer, caplog.at_level(logging.DEBUG, "realtime_sync"):
        client = PLACES[place].make(peer.url.partition("?")[0], secret)
        told = list(used(client, tmp_path / "r.jsonl", **start))
    assert canaries.leaks(variants(secret), [*told, caplog.text]) == []
    assert "***" in caplog.text


@pytest.mark.parametrize("place", MCP)
def test_what_a_remote_tool_is_called_with_is_not_told(
    place: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    secret = canary()
    tool = ConversationTool.create_mcp_tool("label", **{"server_url": "https://example.com", **MCP[place](secret)})
    with Peer(Teller(close)) as peer, caplog.at_level(logging.DEBUG, "realtime_sync"):
        told = list(used(openai(peer.url), tmp_path / "r.jsonl", tool))
    told += [*canaries.of_object(tool), *canaries.of_pickle(tool)]
    assert canaries.leaks(variants(secret), [*told, caplog.text]) == []
    assert copy.deepcopy(tool) == tool
