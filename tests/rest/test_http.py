"""REST requests on the wire: who is asked, through what, how often, and what each failure says and does not say."""

from __future__ import annotations

import base64
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from realtime_sync import (
    AuthenticationError,
    AzureOpenAIClient,
    ConfigurationError,
    ConnectCancelledError,
    ConnectionFailedError,
    ConnectRetries,
    ConnectTimeoutError,
    HandshakeError,
    NotFoundError,
    OpenAIClient,
    ProxyError,
    RateLimitedError,
    RealtimeConversationClient,
    RealtimeSyncError,
    ServiceUnavailableError,
    Timeouts,
    TLSError,
)
from tests.core.harness import within
from tests.harness import Running, Scheme, until
from tests.rest.rest_service import SECRET, Service, answer, secret
from tests.transport.peer import ENDLESS_HEADS, Link, Peer, flood
from tests.transport.test_proxies import Connector, Socks

KEY = "sk-a-key-that-nobody-may-see"
QUICK = ConnectRetries(base_delay=0.001)
CALM = Timeouts(connect=20, rest=20)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(params=["http", "https"])
def house(request: pytest.FixtureRequest, stack: ExitStack, ca: trustme.CA) -> House:
    return House(request.param, ca, stack)


@pytest.fixture
def plain(stack: ExitStack, ca: trustme.CA) -> House:
    return House("http", ca, stack)


@pytest.fixture
def secure(stack: ExitStack, ca: trustme.CA) -> House:
    return House("https", ca, stack)


class House(Scheme):
    """Services of one scheme, and clients for them."""

    def serve(self, *answers: Any) -> Service:
        return self.stack.enter_context(Service(*answers, tls=self.server_tls()))

    def peer(self, script: Any, tls: bool = False) -> Peer:
        return self.stack.enter_context(Peer(script, self.certified() if tls else None))

    def client(self, service: Service | str, **options: Any) -> RealtimeConversationClient:
        url = service if isinstance(service, str) else service.endpoint
        options.setdefault("timeouts", CALM)
        options.setdefault("retries", QUICK)
        if "ca_file" not in options:
            options.setdefault("ssl_context", self.trusting())
        client = OpenAIClient(options.pop("credential", KEY), endpoint=url, **options)
        return self.stack.enter_context(client.get_realtime_conversation_client("gpt-realtime-2.1"))


# What is sent --------------------------------------------------------------------------------------------------------


def test_a_request_carries_what_a_session_would(house: House) -> None:
    service = house.serve(secret())
    client = house.client(
        service,
        organization="org-1",
        project="proj-1",
        user_agent="shop/2",
        headers={"X-Mine": "1"},
        query={"tenant": "a b", "model": "never-here"},
    )
    assert client.create_client_secret().value == SECRET["value"]
    (asked,) = service.asked
    assert asked.line == "POST /v1/realtime/client_secrets?tenant=a%20b HTTP/1.1"
    told = {name: asked.headers[name] for name in ("authorization", "openai-organization", "openai-project", "x-mine")}
    assert list(told.values()) == [f"Bearer {KEY}", "org-1", "proj-1", "1"]
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["user-agent"].startswith("realtime-sync/")
    assert asked.headers["user-agent"].endswith(" shop/2")
    assert asked.json == {"session": {"type": "realtime", "model": "gpt-realtime-2.1"}}


@pytest.mark.parametrize(
    ("version", "path"),
    [
        ("v1", "/openai/v1/realtime/client_secrets"),
        ("2025-04-01-preview", "/openai/realtimeapi/sessions?api-version=2025-04-01-preview"),
    ],
)
def test_azure_has_paths_and_a_header_of_its_own(plain: House, version: str, path: str) -> None:
    service = plain.serve(answer(200, body={**SECRET, "client_secret": SECRET}))
    azure = AzureOpenAIClient(service.endpoint.removesuffix("/v1"), KEY, api_version=version)
    azure.get_realtime_conversation_client("my-deployment").create_client_secret()
    (asked,) = service.asked
    assert asked.path == path
    assert asked.headers["api-key"] == KEY
    assert "authorization" not in asked.headers
    assert len(asked.headers["x-ms-client-request-id"]) == 36
    session = asked.json if version != "v1" else asked.json["session"]
    assert session["model"] == "my-deployment"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/realtime", "/gateway/openai/v1?region=eu"])
def test_the_endpoints_own_path_and_query_are_kept(plain: House, path: str) -> None:
    service = plain.serve(secret())
    plain.client(service.endpoint.removesuffix("/v1") + path).create_client_secret()
    expected = {"/gateway/openai/v1?region=eu": "/gateway/openai/v1/realtime/client_secrets?region=eu"}
    assert service.asked[0].path == expected.get(path, "/v1/realtime/client_secrets")


def test_a_netrc_does_not_replace_the_key(plain: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    service = plain.serve(secret())
    plain.client(service).create_client_secret()
    assert service.asked[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_client_secret_costs_no_import_of_requests() -> None:
    code = """
import sys
from realtime_sync import OpenAIClient
client = OpenAIClient("k", endpoint=sys.argv[1]).get_realtime_conversation_client("m")
try:
    client.create_client_secret()
except ConnectionError:
    print("requests" in sys.modules)
"""
    told = subprocess.run(
        [sys.executable, "-c", code, "http://127.0.0.1:9/v1"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    assert told.stdout == "False\n"


# TLS -----------------------------------------------------------------------------------------------------------------


def test_a_ca_file_is_trusted(secure: House, tmp_path: Path) -> None:
    secure.ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = secure.client(secure.serve(secret()), ca_file=str(tmp_path / "ca.pem"))
    assert client.create_client_secret().expires_at == SECRET["expires_at"]


def test_the_callers_context_stays_as_it_was(secure: House) -> None:
    context = secure.trusting()
    before = context.cert_store_stats()
    secure.client(secure.serve(secret()), ssl_context=context).create_client_secret()
    assert context.cert_store_stats() == before
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_context_that_verifies_nothing_is_the_callers_choice(secure: House) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secure.client(secure.serve(secret()), ssl_context=context).create_client_secret()
    assert context.verify_mode == ssl.CERT_NONE


def test_an_unknown_authority_is_refused_with_advice(secure: House) -> None:
    service = secure.serve()
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trustme.CA().configure_trust(stranger)
    with pytest.raises(TLSError, match="ca_file"):
        secure.client(service, ssl_context=stranger).create_client_secret()
    assert service.asked == []


def test_a_service_without_tls_is_told_of(secure: House, plain: House) -> None:
    service = plain.peer(lambda link: link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(TLSError, match="does not speak TLS"):
        secure.client(f"https://127.0.0.1:{service.port}/v1").create_client_secret()


# Proxies -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_https_goes_through_a_tunnel_that_sees_no_key(secure: House, tls: bool) -> None:
    connector = Connector()
    peer = secure.peer(connector, tls)
    service = secure.serve(secret())
    proxy = f"{'https' if tls else 'http'}://me:p%3Ass@127.0.0.1:{peer.port}"
    assert secure.client(service, proxy=proxy).create_client_secret().value
    (head,) = connector.heads
    assert head.startswith(f"CONNECT 127.0.0.1:{service.port} ")
    assert KEY not in head
    assert base64.b64encode(b"me:p:ss").decode() in head


def test_the_environments_proxy_is_taken_as_the_socket_takes_it(secure: House, monkeypatch: pytest.MonkeyPatch) -> None:
    service = secure.serve(secret(), secret())
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    secure.client(service).create_client_secret()  # what is on this machine is never asked of a proxy
    with pytest.raises(ProxyError, match=r"127\.0\.0\.1:1 "):
        secure.client("https://service.invalid/v1").create_client_secret()
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert secure.client(service, proxy=False).create_client_secret().value


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_is_asked_with_its_credentials(house: House, scheme: str) -> None:
    socks = Socks()
    peer = house.peer(socks)
    service = house.serve(secret())
    client = house.client(service, proxy=f"{scheme}://me:mine@127.0.0.1:{peer.port}")
    assert client.create_client_secret().value
    assert [(version, credentials) for version, _, credentials in socks.asked] == [(5, "me:mine")]


def test_without_its_package_a_socks_proxy_says_what_to_install(plain: House) -> None:
    proxy = plain.peer(hold)
    code = """
import sys
sys.modules["python_socks"] = None
from realtime_sync import OpenAIClient, ProxyError
client = OpenAIClient("k", endpoint="http://127.0.0.1:9/v1", proxy="socks5h://me:SECRET@127.0.0.1:" + sys.argv[1])
try:
    client.get_realtime_conversation_client("m").create_client_secret()
except ProxyError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, str(proxy.port)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40)
    assert "pip install 'realtime-sync[socks]'" in told.stdout
    assert "SECRET" not in told.stdout + told.stderr


@pytest.mark.parametrize("scheme", ["http", "socks5h"])
def test_a_proxy_that_cannot_be_reached_is_a_proxy_error(house: House, scheme: str) -> None:
    with pytest.raises(ProxyError, match="refused") as caught:
        house.client(house.serve(), proxy=f"{scheme}://me:{KEY}@127.0.0.1:1").create_client_secret()
    assert_hidden(caught.value)


def test_a_proxy_that_wants_credentials_says_so(house: House) -> None:
    def refuse(link: Link) -> None:
        link.read_head()
        link.send(answer(407, 'Proxy-Authenticate: Basic realm="x"'))

    peer = house.peer(refuse)
    with pytest.raises(ProxyError, match="407"):
        house.client(house.serve(), proxy=f"http://127.0.0.1:{peer.port}").create_client_secret()


# Retries -------------------------------------------------------------------------------------------------------------


def test_a_busy_service_is_asked_again_when_it_says(plain: House) -> None:
    keys = iter(["sk-first", "sk-second", "sk-third"])
    busy = (answer(429, "Retry-After: 0"), answer(503, "retry-after-ms: 1"))
    service = plain.serve(*busy, secret())
    client = plain.client(service, credential=lambda: next(keys), retries=ConnectRetries(base_delay=1000))
    assert client.create_client_secret().value
    told = [asked.headers["authorization"] for asked in service.asked]
    assert told == ["Bearer sk-first", "Bearer sk-second", "Bearer sk-third"]  # asked anew each time


def test_the_service_may_ask_for_more_patience_than_there_is(plain: House) -> None:
    service = plain.serve(answer(429, "Retry-After: 3600", "x-request-id: req_7", body={"error": {"code": "slow"}}))
    with pytest.raises(RateLimitedError) as caught:
        plain.client(service).create_client_secret()
    assert (caught.value.retry_after, caught.value.request_id, caught.value.code) == (3600, "req_7", "slow")
    assert len(service.asked) == 1


def test_it_is_asked_no_more_often_than_allowed(plain: House) -> None:
    service = plain.serve(*[answer(503)] * 2)
    with pytest.raises(ServiceUnavailableError):
        plain.client(service, retries=ConnectRetries(attempts=2, base_delay=0)).create_client_secret()
    assert len(service.asked) == 2


def test_what_may_have_been_done_already_is_not_done_again(plain: House) -> None:
    service = plain.serve(answer(500), answer(500), secret(), answer(503), answer(200))
    client = plain.client(service)
    with pytest.raises(ServiceUnavailableError):
        client.calls.accept("rtc_1")
    client.create_client_secret()  # one secret more does no harm
    client.calls.hangup("rtc_1")  # 503: it was not even looked at
    paths = [asked.path.rpartition("/")[2] for asked in service.asked]
    assert paths == ["accept", "client_secrets", "client_secrets", "hangup", "hangup"]


def test_closing_the_client_ends_a_pause(plain: House) -> None:
    service = plain.serve(answer(503, "Retry-After: 25"))
    client = plain.client(service)
    asking = Running(client.create_client_secret)
    until(lambda: service.asked, 20)
    client.close()
    assert isinstance(asking.join(20), ConnectCancelledError)


def test_a_client_that_is_closed_does_not_pause(plain: House) -> None:
    client = plain.client(plain.serve(answer(503, "Retry-After: 25")))
    client.close()
    with pytest.raises(ConnectCancelledError):
        Running(client.create_client_secret).result(20)


def test_a_retry_is_logged_without_secrets(plain: House, caplog: pytest.LogCaptureFixture) -> None:
    service = plain.serve(answer(503, "x-request-id: req_9"), secret())
    with caplog.at_level(logging.DEBUG, "realtime_sync"):
        plain.client(service, query={"token": KEY}).create_client_secret()
    (record,) = [record for record in caplog.records if record.name.startswith("realtime_sync")]
    assert "/v1/realtime/client_secrets?token=... answered 503 (request req_9)" in record.getMessage()
    assert KEY not in record.getMessage()


# Failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, HandshakeError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (429, RateLimitedError),
        (500, ServiceUnavailableError),
        (302, HandshakeError),
    ],
)
def test_a_refusal_is_the_same_error_as_a_sessions(plain: House, status: int, kind: type[HandshakeError]) -> None:
    body = {"error": {"message": f"You gave {KEY}.", "code": "some_code"}}
    said = answer(status, "x-request-id: req_1", "Location: http://127.0.0.1:9/", "Set-Cookie: a=b", body=body)
    client = plain.client(plain.serve(said), retries=ConnectRetries(attempts=1))
    with pytest.raises(kind) as caught:
        client.create_client_secret()
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, "some_code", "req_1")
    assert "set-cookie" not in error.headers
    assert "POST /v1/realtime/client_secrets" in str(error)
    assert "You gave ***" in str(error)
    assert KEY not in error.body
    assert_hidden(error)


def test_no_secret_header_that_is_repeated_in_a_refusal_is_shown(plain: House) -> None:
    service = plain.serve(answer(400, body=f"The gateway does not know {KEY}."))
    with pytest.raises(HandshakeError, match=r"know \*\*\*") as caught:
        plain.client(service, credential=None, headers={"X-Gateway-Key": KEY}).create_client_secret()
    assert_hidden(caught.value)


def test_a_header_without_a_value_hides_nothing_of_a_refusal(plain: House) -> None:
    service = plain.serve(answer(400, body="The gateway wants a key."))
    with pytest.raises(HandshakeError, match=r"\(The gateway wants a key\)"):
        plain.client(service, headers={"api-key": ""}).create_client_secret()


def test_a_redirect_is_not_followed(plain: House) -> None:
    elsewhere = plain.serve()
    service = plain.serve(answer(307, f"Location: {elsewhere.endpoint}"))
    with pytest.raises(HandshakeError, match="not followed"):
        plain.client(service).create_client_secret()
    assert elsewhere.asked == []


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{", '"text"', "{}", '{"value": 5}', "[" * 100_000])
def test_an_answer_that_makes_no_sense_is_told_of(plain: House, body: str) -> None:
    with pytest.raises(HandshakeError, match="HTTP 200, but") as caught:
        plain.client(plain.serve(answer(200, body=body))).create_client_secret()
    assert caught.value.status == 200


@pytest.mark.parametrize("end", ["1e400", "NaN", "null", '"soon"', "true", "-1e400"])
def test_a_secrets_end_that_makes_no_sense_is_as_if_it_were_not_told(plain: House, end: str) -> None:
    service = plain.serve(answer(200, body=f'{{"value": "ek_abc123", "expires_at": {end}}}'))
    secret = plain.client(service).create_client_secret()
    assert (secret.value, secret.expires_at) == ("ek_abc123", 0)


def test_a_secrets_end_may_be_told_with_a_point(plain: House) -> None:
    service = plain.serve(answer(200, body='{"value": "ek_abc123", "expires_at": 1893456000.5}'))
    assert plain.client(service).create_client_secret().expires_at == 1893456000


def test_an_answer_that_makes_no_sense_is_not_shown_since_it_may_hold_a_secret(plain: House) -> None:
    with pytest.raises(HandshakeError) as caught:
        plain.client(plain.serve(answer(200, body='{"value": "ek_SECRET", '))).create_client_secret()
    assert "ek_SECRET" not in f"{caught.value!r} {caught.value} {vars(caught.value)}"


def test_a_port_where_nobody_listens_is_told_of(house: House) -> None:
    with pytest.raises(ConnectionFailedError, match="refused") as caught:
        house.client(f"{house.scheme}://127.0.0.1:9/v1", query={"token": KEY}).create_client_secret()
    assert type(caught.value) is ConnectionFailedError
    assert isinstance(caught.value.__cause__, OSError)
    assert_hidden(caught.value)


def test_a_name_that_is_not_found_is_told_of(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(*_: Any, **__: Any) -> Any:  # no test may ask the network
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", find_nothing)
    with pytest.raises(ConnectionFailedError, match="Name or service not known") as caught:
        plain.client("http://service.invalid/v1").create_client_secret()
    assert isinstance(caught.value.__cause__, socket.gaierror)


def test_a_name_that_nothing_can_have_is_told_of(plain: House) -> None:
    with pytest.raises(ConfigurationError, match="host name"):
        plain.client("http://service..invalid/v1").create_client_secret()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 5000 + b"\r\n{\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "cut", "bad chunk", "negative chunk", "huge chunk", "long extension", "interim only"],
)
def test_an_answer_that_breaks_off_is_a_failed_connection(house: House, said: bytes) -> None:
    client = house.client(house.serve(said), query={"token": KEY})
    with pytest.raises(ConnectionFailedError, match="answer") as caught:
        client.create_client_secret()
    assert_hidden(caught.value)


@pytest.mark.parametrize(
    "framing",
    [
        f"Content-Length: {len(json.dumps(SECRET))}",
        "Content-Length: " + "5" * 5000,  # more digits than Python makes a number of
        "Content-Length: -5",
        "X: y",
    ],
)
def test_a_length_that_makes_no_sense_is_as_if_none_was_told(house: House, framing: str) -> None:
    said = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{json.dumps(SECRET)}".encode()
    assert house.client(house.serve(said)).create_client_secret().value == SECRET["value"]


def test_an_answer_in_chunks_is_read(house: House) -> None:
    text = json.dumps(SECRET).encode()
    chunks = b"".join(b"%x;name=value\r\n%s\r\n" % (len(part), part) for part in (text[:7], text[7:]))
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: 1\r\n\r\n"
    assert house.client(house.serve(said)).create_client_secret().value == SECRET["value"]


def test_interim_answers_are_passed_over(house: House) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert house.client(house.serve(interim + secret())).create_client_secret().value


@pytest.mark.parametrize("data", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS.keys())
def test_an_answer_whose_head_does_not_end_is_given_up(plain: House, data: bytes) -> None:
    peer = plain.peer(flood(data.replace(b" 101 ", b" 200 ")))
    with within(2), pytest.raises(HandshakeError, match="in HTTP"):
        plain.client(f"http://127.0.0.1:{peer.port}/v1").create_client_secret()


def test_an_answer_without_end_is_given_up(plain: House) -> None:
    def endless(link: Link) -> None:
        link.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        try:
            while True:
                link.send(b"x" * 65536)
        except OSError:
            pass

    with pytest.raises(ConnectionFailedError):
        plain.client(plain.serve(endless)).create_client_secret()


def hold(link: Link) -> None:
    """Say nothing until the client is gone."""
    link.read_to_end()


def go_on(link: Link, begin: bytes, drop: bytes) -> None:
    """Say something, now and then, and never finish."""
    link.send(begin)
    try:
        while True:
            link.send(drop)
            time.sleep(0.05)
    except OSError:
        pass


def drip(link: Link) -> None:
    go_on(link, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" ")


def drip_its_head(link: Link) -> None:
    """Begin to answer, and never come to the body."""
    go_on(link, b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")


def drip_chunks(link: Link) -> None:
    go_on(link, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")


def interim(link: Link) -> None:
    try:
        while True:
            link.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize("script", [hold, drip, drip_its_head, drip_chunks, interim])
def test_a_silent_service_is_given_up_after_its_time(house: House, script: Any) -> None:
    client = house.client(house.serve(script), timeouts=Timeouts(rest=0.5), query={"token": KEY})
    with pytest.raises(ConnectTimeoutError, match=r"0\.5 s \(Timeouts\.rest\)") as caught:
        Running(client.create_client_secret).result(5)
    assert_hidden(caught.value)


@pytest.mark.parametrize(("connect", "rest", "told"), [(0.3, 20, "connect"), (20, 0.3, "rest")])
def test_a_name_that_is_looked_up_without_end_is_given_up(
    plain: House, monkeypatch: pytest.MonkeyPatch, connect: float, rest: float, told: str
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: release.wait(10) and [])
    client = plain.client("http://slow.example/v1", timeouts=Timeouts(connect=connect, rest=rest))
    with pytest.raises(ConnectTimeoutError, match=rf"0\.3 s \(Timeouts\.{told}\)"):
        Running(client.create_client_secret).result(5)
    release.set()


@pytest.mark.parametrize("script", [hold, drip, interim])
def test_closing_the_client_ends_a_request_that_is_under_way(house: House, script: Any) -> None:
    service = house.serve(script)
    client = house.client(service)
    asking = Running(client.create_client_secret)
    until(lambda: service.asked, 20)
    client.close()
    assert isinstance(asking.join(5), ConnectCancelledError)


def test_a_handshake_that_does_not_end_is_given_up_after_its_time(secure: House) -> None:
    silent = secure.peer(hold)
    client = secure.client(f"https://127.0.0.1:{silent.port}/v1", timeouts=Timeouts(connect=0.5, rest=100))
    with pytest.raises(ConnectTimeoutError, match=r"0\.5 s \(Timeouts\.connect\)"):
        Running(client.create_client_secret).result(20)


def test_a_credential_that_fails_is_told_of_and_nothing_is_sent(plain: House) -> None:
    def fail() -> str:
        raise OSError(KEY)

    service = plain.serve()
    with pytest.raises(AuthenticationError, match="Nothing was sent") as caught:
        plain.client(service, credential=fail).create_client_secret()
    assert KEY not in str(caught.value)
    assert service.asked == []


def test_a_client_without_a_model_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="No model is named"):
        OpenAIClient(KEY, endpoint="http://127.0.0.1:9").get_realtime_conversation_client().create_client_secret()


def assert_hidden(error: RealtimeSyncError) -> None:
    """Neither the error nor anything that hangs on it holds a secret."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None:
            assert KEY not in f"{each} {each!r} {each.args} {vars(each)}"
            assert KEY not in "".join(traceback.format_exception(each))
            waiting += [each.__cause__, each.__context__]
