"""Secrets in every place that takes one, and servers that tell them back: nothing that is told holds any."""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import json
import logging
import os
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationSessionOptions,
    ConversationTool,
    LiveCall,
    LiveSessionOptions,
    OpenAIClient,
    RealtimeConversationClient,
    RealtimeSyncError,
    Reconnect,
    SipTrunk,
    Timeouts,
)
from realtime_sync.live.responses_backend import ResponsesBackend
from realtime_sync.protocol.live.tools import LiveMCPTool
from realtime_sync.protocol.updates import ErrorUpdate
from realtime_sync.server import RealtimeServer
from realtime_sync.web.webhooks import WebhookVerifier
from tests import canaries
from tests.transport.peer import CLOSE, Link, Peer, close_frame, frame

pytestmark = pytest.mark.medium

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
    "fallback": Place(
        lambda url, secret: openai("http://127.0.0.1:9/v1", "another-key").with_fallbacks([openai(url, secret)])
    ),
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
        handle = session.send_message({"type": "odd", "event_id": "the_last"})
        # Only then the reader is done with what was told: what it works on is not without secrets yet.
        session.wait_for(lambda update: isinstance(update, ErrorUpdate) and "the_last" in update.error.message, 5)
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
        if handle.error is not None:
            yield from canaries.of_error(handle.error)
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


def test_a_header_that_is_no_credential_stays_what_it_is_in_data_and_is_told_nowhere(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tenant = canary("tenant-")
    with Peer(Teller(close)) as peer, caplog.at_level(logging.DEBUG, "realtime_sync"):
        client = openai(peer.url, headers={"X-Tenant": tenant})
        with client.start_conversation_session(recording=tmp_path / "r.jsonl") as session:
            session.send_message({"type": "odd", "tenant": tenant})
            assert tenant in session.wait_for("odd", timeout=5).extra["told"]
            assert tenant not in str(session.wait_for("error", timeout=5))
            session.send_message('{"type": "stop"}')
    assert canaries.leaks([tenant], [caplog.text, (tmp_path / "r.jsonl").read_text()]) == []


def test_a_key_that_is_a_word_does_not_change_what_is_said() -> None:
    def greet(link: Link) -> None:
        accept(link, greeting("realtime, anything"))

    with Peer(greet) as peer, openai(peer.url, "anything").start_conversation_session() as session:
        assert session.session is not None
        assert session.session.instructions == "realtime, anything"


@pytest.mark.parametrize("name", ["X-Title", "HTTP-Referer", "Origin"])
def test_what_a_header_says_of_the_application_stays_in_its_instructions(name: str) -> None:
    told = "https://my-application.example"
    options = ConversationSessionOptions(instructions=f"You are the voice of {told}.")
    with RealtimeServer(allowed_hosts=["my-application.example"]) as server:
        client = openai(server.url, headers={name: told})
        with client.start_conversation_session(options) as session:
            assert session.session is not None
            assert session.session.instructions == options.instructions


@pytest.mark.parametrize("name", ["X-Model", "X-Author", "X-Keyword", "X-Tokenizer"])
def test_what_a_header_says_of_the_model_and_the_like_stays_in_data(name: str) -> None:
    model = "a-model-that-has-a-long-name"
    with RealtimeServer() as server:
        client = OpenAIClient("any-key", endpoint=server.url, headers={name: model}, proxy=False)
        with client.get_realtime_conversation_client(model).start_conversation_session() as session:
            assert session.session is not None
            assert session.session.model == model
            assert model in session.ask(f"Say {model}", timeout=5).transcript


# What is refused, or fails, before a server has said anything -------------------------------------------------------


def unused_port() -> int:
    with Peer(lambda link: None) as peer:
        return peer.port


def failures(secret: str) -> dict[str, Callable[[], Any]]:
    """Calls that are given a secret and raise."""
    quoted = urllib.parse.quote(secret, safe="")
    nowhere, tls = f"ws://127.0.0.1:{unused_port()}/v1", f"wss://127.0.0.1:{unused_port()}/v1"
    offer = ConversationTool.create_mcp_tool("x", "https://x", authorization=secret)
    circle: dict[str, Any] = {"authorization": secret}
    circle["itself"] = circle

    def broken() -> str:
        token = secret
        raise OSError(len(token))

    def start(*args: Any, **settings: Any) -> None:
        openai(*args, **settings).start_conversation_session()

    return {
        "connect": lambda: start(nowhere, secret),
        "connect by TLS": lambda: start(tls, secret),
        "function": lambda: start(nowhere, broken),
        "function's answer": lambda: start(nowhere, lambda: f"{secret} " * 2),
        "secret": lambda: openai(nowhere).start_conversation_session(client_secret=f"{secret}\n\n{secret}"),
        "start's header": lambda: openai(nowhere).start_conversation_session(headers={"X": f"{secret}\n"}),
        "transcription": lambda: openai(nowhere, secret).start_transcription_session(),
        "translation": lambda: openai(nowhere, secret).start_translation_session("es"),
        "attach": lambda: openai(nowhere, secret).attach("rtc_1"),
        "via proxy": lambda: start("http://example.com", proxy=nowhere.replace("ws://", f"http://u:{quoted}@")[:-3]),
        "via socks": lambda: start("http://10.0.0.1", proxy=nowhere.replace("ws://", f"socks5h://u:{quoted}@")[:-3]),
        "client secret": lambda: openai(nowhere, secret).create_client_secret(),
        "client secret by TLS": lambda: openai(tls, secret).create_client_secret(),
        "client secret's query": lambda: openai(nowhere, query={"key": secret}).create_client_secret(),
        "client secret by proxy": lambda: openai(
            "http://example.com", proxy=nowhere.replace("ws://", f"http://u:{quoted}@")[:-3]
        ).create_client_secret(),
        "call": lambda: openai(nowhere, secret).calls.create(f"v=0 a=ice-pwd:{secret}"),
        "hang up": lambda: openai(nowhere, secret).calls.hangup("rtc_1"),
        "live session": lambda: openai(nowhere, secret).start_live_session(),
        "live session's header": lambda: openai(nowhere).start_live_session(headers={"X": f"{secret}\n"}),
        "attach to a live session": lambda: openai(tls, secret).attach_live("live_1"),
        "fork of a live session": lambda: openai(nowhere, secret).fork_live("live_1"),
        "live call": lambda: openai(nowhere, secret).live_calls.create(f"v=0 a=ice-pwd:{secret}"),
        "live call's fork": lambda: openai(tls, secret).live_calls.fork("live_1", f"v=0 a=ice-pwd:{secret}"),
        "live call's end": lambda: openai(nowhere, secret).live_calls.hangup("live_1"),
        "live call's tools": lambda: openai(nowhere).live_calls.accept("live_1", delegate=backend(secret)),
        "dial": lambda: openai(nowhere).live_calls.dial("+1", trunk(secret)),
        "trunk without a user": lambda: trunk(secret, username=None),
        "live recording": lambda: openai(nowhere, secret).download_live_recording("live_1", os.devnull),
        "wrong proxy": lambda: openai(nowhere, secret, proxy=f"ftp://u:{quoted}@h"),
        "wrong url": lambda: openai(f"https://u:{quoted}@h/v1"),
        "wrong headers": lambda: openai(nowhere, headers=[secret]),
        "wrong header": lambda: openai(nowhere, headers={"X": f"{secret}\n"}),
        "wrong name of a header": lambda: openai(nowhere, headers={"a b": secret}),
        "wrong query": lambda: openai(nowhere, query={"x": f"{secret}\n"}),
        "wrong key": lambda: openai(nowhere, f"Bearer {secret}"),
        "wrong azure key": lambda: azure("https://x.openai.azure.com", f"{secret} x"),
        "wrong azure url": lambda: azure(f"https://x.openai.azure.com/openai/deployments/x?key={quoted}#x", secret),
        "wrong settings": lambda: RealtimeConversationClient("m", secret, settings=circle),  # type: ignore[arg-type]
        "key as the model": lambda: RealtimeConversationClient(f"sk-{secret}", secret),
        "environment": lambda: RealtimeConversationClient.from_env(
            {"OPENAI_API_KEY": f"{secret} {secret}", "OPENAI_BASE_URL": nowhere}
        ),
        "webhook's secret": lambda: WebhookVerifier(f"whsec_{secret}!"),
        "webhook": lambda: WebhookVerifier(webhook_secret(secret)).verify({"webhook-id": "1"}, b"{}"),
        "tool that holds itself": lambda: openai_session(lambda it: it.send_message(circle)),
        "tool after the end": lambda: openai_session(
            lambda it: (it.close(), it.configure_session(ConversationSessionOptions(tools=[offer])))
        ),
        "message after the end": lambda: openai_session(
            lambda it: (it.close(), it.send_message({"type": "session.update", "session": {"authorization": secret}}))
        ),
        "server": lambda: RealtimeServer(port=70000, api_keys=[secret]),
    }


def trunk(password: str, username: Optional[str] = "user") -> SipTrunk:
    return SipTrunk(provider_url="sips:x", caller_number="+1", username=username, password=password)


def backend(secret: str) -> ResponsesBackend:
    return ResponsesBackend("m", tools=[LiveMCPTool(server_label="x", server_url="https://x", authorization=secret)])


def webhook_secret(text: str) -> str:
    return f"whsec_{base64.b64encode(text.encode()).decode()}"


def openai_session(use: Callable[[Any], object]) -> None:
    with RealtimeServer() as server, openai(server.url).start_conversation_session() as session:
        use(session)


@pytest.mark.parametrize("name", failures("x"))
def test_what_fails_tells_no_secret(name: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = canary()
    call = failures(secret)[name]
    with caplog.at_level(logging.DEBUG, "realtime_sync"), pytest.raises((RealtimeSyncError, TypeError)) as caught:
        call()
    assert (
        canaries.leaks([*variants(secret), webhook_secret(secret)], [*canaries.of_error(caught.value), caplog.text])
        == []
    )


def report(call: Callable[[], Any]) -> tuple[str, str]:
    """What a call's error says, and a report of it with local variables."""
    with pytest.raises((RealtimeSyncError, TypeError)) as caught:
        call()
    made = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    return str(caught.value), "".join(made.format())


@pytest.mark.parametrize("name", failures("x"))
def test_a_report_with_local_variables_still_says_what_failed_and_where(name: str) -> None:
    message, told = report(failures(canary())[name])
    assert message.partition("\n")[0] in told
    assert "/realtime_sync/" in told


def test_a_user_s_own_exceptions_keep_their_local_variables() -> None:
    def own() -> None:
        precious = "kept"
        raise KeyError(precious)

    kept: list[dict[str, Any]] = []
    try:
        own()
    except KeyError as error:
        with contextlib.suppress(RealtimeSyncError):
            openai("ftp://nowhere")
        kept = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert kept[-1] == {"precious": "kept"}


def refuse_and_tell_the_body(link: Link) -> None:
    """As a server that shows what it was asked, in its head and in its body."""
    head = link.read_head().decode()
    length = int(next(line for line in head.split("\r\n") if line.lower().startswith("content-length:")).split(":")[1])
    told = link.read(length).decode()
    body = json.dumps({"error": {"message": told, "code": told, "param": told}})
    link.send(f"HTTP/1.1 400 No\r\nX-Told: {told}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode("latin-1"))


BODIES: dict[str, Callable[[Any, str], Any]] = {
    "trunk": lambda calls, secret: calls.dial("+1", trunk(secret)),
    "remote tool": lambda calls, secret: calls.create("v=0", delegate=backend(secret)),
    "extra": lambda calls, secret: calls.accept("live_1", LiveSessionOptions(extra={"api_key": secret})),
}


@pytest.mark.parametrize("place", BODIES)
def test_a_live_call_whose_body_is_told_back_tells_no_secret(place: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = canary()
    with (
        Peer(refuse_and_tell_the_body) as peer,
        caplog.at_level(logging.DEBUG, "realtime_sync"),
        pytest.raises(RealtimeSyncError) as caught,
    ):
        BODIES[place](openai(peer.url).live_calls, secret)
    assert canaries.leaks(variants(secret), [*canaries.of_error(caught.value), caplog.text]) == []
    assert "***" in str(caught.value)


def test_what_a_live_call_and_its_trunk_hold_is_not_shown() -> None:
    secret = canary()
    for thing in (trunk(secret), LiveCall("live_1", f"a=ice-pwd:{secret}"), backend(secret)):
        assert canaries.leaks(variants(secret), [repr(thing), f"{thing}"]) == []


@pytest.mark.parametrize("way", [refuse, refuse_proxy, not_http, hang_up], ids=lambda way: way.__name__)
@pytest.mark.parametrize("place", [name for name in PLACES if "session's" not in name and name != "client secret"])
def test_a_rest_request_that_fails_tells_no_secret(
    place: str, way: Callable[[Link], None], caplog: pytest.LogCaptureFixture
) -> None:
    secret = canary()
    with (
        Peer(way) as peer,
        caplog.at_level(logging.DEBUG, "realtime_sync"),
        PLACES[place].make(peer.url.partition("?")[0], secret) as client,
        pytest.raises(RealtimeSyncError) as caught,
    ):
        client.create_client_secret()
    assert canaries.leaks(variants(secret), [*canaries.of_error(caught.value), caplog.text]) == []


def test_each_token_of_a_credential_that_changes_is_hidden_and_an_end_without_a_new_connection_tells_none(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tokens = [canary() for _ in range(20)]
    given: list[str] = []

    def rotate() -> str:
        given.append(tokens[len(given)])
        if len(given) == 4:
            raise PermissionError("no more")
        return given[-1]

    told: list[str] = []

    def tell(link: Link) -> None:
        told.append(echo(link)[0])
        accept_all = "\n".join(told)  # those of earlier connections, too
        link.upgrade(
            behind=frame(1, json.dumps(greeting(accept_all)))
            + frame(1, json.dumps({"type": "odd", "told": accept_all}))
        )
        if len(told) == 1:
            link.read_frame()
        link.reset()

    with Peer(tell) as peer, caplog.at_level(logging.DEBUG, "realtime_sync"):
        client = openai(peer.url, rotate)
        policy = Reconnect(base_delay=0.01, give_up_after=2)
        session = client.start_conversation_session(reconnect=policy, recording=tmp_path / "r.jsonl")
        session.send_message({"type": "odd"})
        with session, pytest.raises(RealtimeSyncError) as caught:
            list(session.updates())
    assert len(given) > 2
    texts = [*canaries.of_error(caught.value), caplog.text, (tmp_path / "r.jsonl").read_text()]
    assert canaries.leaks(tokens, [*texts, *canaries.of_object(session)]) == []
