"""Opening connections: fresh credentials, retries while the service is busy, cancellation in the pauses."""

from __future__ import annotations

import base64
import functools
import hashlib
import logging
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from realtime_sync.endpoint.connect import ConnectRetries, open_connection
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectCancelledError,
    ConnectionFailedError,
    HandshakeError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
)
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import Cancellation, Connection
from tests.core.harness import within

QUICK = ConnectRetries(base_delay=0.001)
ACCEPT = "accept"


def refusal(status: int, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} No", *headers, f"Content-Length: {len(body)}", "Connection: close", "", body]
    return "\r\n".join(lines).encode()


class ScriptedServer:
    """Answers one handshake after the other with what the script says, and keeps what it was asked."""

    def __init__(self, script: list[Any], certificate: trustme.LeafCert | None = None) -> None:
        self.requests: list[dict[str, str]] = []
        self.answered = threading.Semaphore(0)
        self._script = script
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self._address = self._listener.getsockname()
        self._stopped = False
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://localhost:{self._address[1]}/v1"
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._listener:
            for answer in self._script:
                try:
                    peer, _ = self._listener.accept()
                    if self._stopped:
                        peer.close()
                        return
                    peer.settimeout(10)
                    self._answer(peer, answer)
                except OSError:
                    return

    def _answer(self, peer: socket.socket, answer: Any) -> None:
        if self._context is not None:
            peer = self._context.wrap_socket(peer, server_side=True)
        with peer:
            received = b""
            while b"\r\n\r\n" not in received:
                received += peer.recv(65536)
            first, *lines = received.decode().split("\r\n\r\n")[0].split("\r\n")
            request = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            self.requests.append({**request, "": first})
            if answer is ACCEPT:
                key = request["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
                accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
                answer = (
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: realtime\r\n\r\n"
                ).encode() + b"\x81\x05hello"
            peer.sendall(answer)
            self.answered.release()
            peer.recv(1)  # until the client has gone

    def stop(self) -> None:
        self._stopped = True
        try:
            socket.create_connection(self._address, 10).close()  # closing a listener does not wake its accept()
        except OSError:
            pass  # the script has been played to its end
        self._thread.join(10)


@pytest.fixture(params=["ws", "wss"])
def serve(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Any]:
    """Start a server with a script; returns it and an endpoint of its own."""
    servers = []
    authority = trustme.CA() if request.param == "wss" else None
    certificate = authority.issue_cert("localhost") if authority else None
    ca_file = None
    if authority:
        ca_file = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(ca_file)

    def start(*script: Any, credential: Any = "key") -> tuple[ScriptedServer, Endpoint]:
        server = ScriptedServer(list(script), certificate)
        servers.append(server)
        return server, Endpoint.openai(credential, endpoint=server.url, proxy=False, ca_file=ca_file)

    yield start
    for server in servers:
        server.stop()


def open_and_end(endpoint: Endpoint, **options: Any) -> None:
    chosen = {name: options.pop(name) for name in ("extra_headers", "extra_query") if name in options}
    target = functools.partial(endpoint.target, **{"model": "m", **chosen})
    connection = open_connection(target, timeouts=Timeouts(connect=5), **{"retries": QUICK, **options})
    assert isinstance(connection, Connection)
    try:
        assert connection.receive() == "hello"
    finally:
        connection.dispose()


def test_a_connection_is_opened_with_what_the_endpoint_says(serve: Any) -> None:
    server, endpoint = serve(ACCEPT)
    open_and_end(endpoint, extra_headers={"X-Extra": "1"}, extra_query={"q": "2"})
    (request,) = server.requests
    assert request[""] == "GET /v1/realtime?model=m&q=2 HTTP/1.1"
    assert request["authorization"] == "Bearer key"
    assert request["user-agent"].startswith("realtime-sync/")
    assert request["x-extra"] == "1"
    assert request["sec-websocket-protocol"] == "realtime"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_a_busy_service_is_asked_again(serve: Any, status: int) -> None:
    server, endpoint = serve(refusal(status), refusal(status), ACCEPT)
    open_and_end(endpoint)
    assert len(server.requests) == 3


def test_each_attempt_asks_the_credential_anew(serve: Any) -> None:
    keys = iter(["one", "two"])
    server, endpoint = serve(refusal(503), ACCEPT, credential=lambda: next(keys))
    open_and_end(endpoint)
    assert [request["authorization"] for request in server.requests] == ["Bearer one", "Bearer two"]


def test_after_the_last_attempt_the_refusal_is_raised(serve: Any) -> None:
    server, endpoint = serve(refusal(503), refusal(503), refusal(429, body="slow down"), ACCEPT)
    with pytest.raises(RateLimitedError, match="slow down"):
        open_and_end(endpoint)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, HandshakeError), (401, AuthenticationError), (403, AuthenticationError), (404, NotFoundError)],
)
def test_other_refusals_are_raised_at_once(serve: Any, status: int, error: type[HandshakeError]) -> None:
    server, endpoint = serve(refusal(status), ACCEPT)
    with pytest.raises(error) as caught:
        open_and_end(endpoint)
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_an_exhausted_quota_is_not_asked_again(serve: Any) -> None:
    body = '{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
    server, endpoint = serve(refusal(429, "Content-Type: application/json", body=body), ACCEPT)
    with pytest.raises(RateLimitedError, match="quota"):
        open_and_end(endpoint)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["retry-after-ms: 300", "Retry-After: 0.3", "x-ms-retry-after-ms: 300"])
def test_the_pause_is_the_one_that_the_service_asks_for(serve: Any, header: str) -> None:
    server, endpoint = serve(refusal(429, header), ACCEPT)
    started = time.monotonic()
    with within(4):
        open_and_end(endpoint, retries=ConnectRetries(base_delay=0))
    assert time.monotonic() - started >= 0.3
    assert len(server.requests) == 2


def test_a_pause_beyond_the_bound_raises_at_once(serve: Any) -> None:
    server, endpoint = serve(refusal(429, "Retry-After: 31"), ACCEPT)
    with within(4), pytest.raises(RateLimitedError) as caught:
        open_and_end(endpoint, retries=ConnectRetries())
    assert caught.value.retry_after == 31
    assert len(server.requests) == 1


def test_one_attempt_never_retries(serve: Any) -> None:
    server, endpoint = serve(refusal(503), ACCEPT)
    with pytest.raises(ServiceUnavailableError):
        open_and_end(endpoint, retries=ConnectRetries(attempts=1))
    assert len(server.requests) == 1


def test_cancelling_ends_the_pause_at_once(serve: Any) -> None:
    server, endpoint = serve(refusal(429, "Retry-After: 20"), ACCEPT)
    with Cancellation() as cancellation:

        def cancel() -> None:
            server.answered.acquire(timeout=10)
            cancellation.cancel()

        thread = threading.Thread(target=cancel, daemon=True)
        thread.start()
        with within(4), pytest.raises(ConnectCancelledError):
            open_and_end(endpoint, cancellation=cancellation)
        thread.join(10)


@pytest.fixture
def _ctrl_c_in_the_pause(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    announced, interrupted = threading.Event(), threading.Event()

    def notice(record: logging.LogRecord) -> bool:
        announced.set()
        return True

    def handle(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    def interrupt() -> None:
        announced.wait(20)
        # Python misses a signal that comes just before it enters a system call, until that returns.
        while not interrupted.wait(0.05):
            os.kill(os.getpid(), signal.SIGINT)

    logger = logging.getLogger("realtime_sync.endpoint.connect")
    logger.addFilter(notice)
    before = signal.signal(signal.SIGINT, handle)
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with caplog.at_level(logging.INFO, logger.name):
        yield
    interrupted.set()
    thread.join(30)
    signal.signal(signal.SIGINT, before)
    logger.removeFilter(notice)


@pytest.mark.usefixtures("_ctrl_c_in_the_pause")
@pytest.mark.parametrize("cancellable", [True, False])
def test_ctrl_c_ends_the_pause_at_once(serve: Any, cancellable: bool) -> None:
    server, endpoint = serve(refusal(429, "Retry-After: 20"), ACCEPT)
    with within(5), pytest.raises(KeyboardInterrupt):
        open_and_end(endpoint, cancellation=Cancellation() if cancellable else None)
    assert len(server.requests) == 1


def test_a_cancelled_connect_does_not_even_begin(serve: Any) -> None:
    server, endpoint = serve()
    with Cancellation() as cancellation:
        cancellation.cancel()
        with pytest.raises(ConnectCancelledError):
            open_and_end(endpoint, cancellation=cancellation)
    assert server.requests == []


def test_a_refused_connection_is_not_retried_and_names_no_secret() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    endpoint = Endpoint.openai("sk-secret", endpoint=f"http://127.0.0.1:{port}", proxy=False)
    with pytest.raises(ConnectionFailedError) as caught:
        open_and_end(endpoint)
    assert "sk-secret" not in str(caught.value)


def test_a_retry_is_logged_with_its_reason_and_without_secrets(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    _, endpoint = serve(refusal(503, "x-request-id: req-7"), ACCEPT, credential="sk-secret")
    with caplog.at_level(logging.INFO, "realtime_sync.endpoint.connect"):
        open_and_end(endpoint, extra_query={"token": "also-secret"})
    (record,) = [record for record in caplog.records if record.name == "realtime_sync.endpoint.connect"]
    assert record.levelno == logging.INFO
    for told in ("503", "req-7", "attempt 2 of 3", "/v1/realtime?model=m"):
        assert told in record.getMessage()
    assert "secret" not in record.getMessage()


# --- the pauses, as numbers


def test_without_a_wish_of_the_service_the_pause_doubles_within_its_variation() -> None:
    retries = ConnectRetries(attempts=9, max_wait=1000)
    for attempt in range(1, 6):
        middle = 0.5 * 2 ** (attempt - 1)
        pauses = {retries.pause(ServiceUnavailableError("busy"), attempt, 0.0) for _ in range(50)}
        assert len(pauses) > 1
        assert all(pause is not None and middle / 2 <= pause <= middle * 1.5 for pause in pauses)


def test_all_pauses_together_stay_within_the_bound() -> None:
    retries = ConnectRetries(attempts=9, max_wait=30)
    error = RateLimitedError("busy", retry_after=20)
    assert retries.pause(error, 1, 0.0) == 20
    assert retries.pause(error, 2, 10.0) == 20
    assert retries.pause(error, 2, 10.1) is None


def test_even_a_thousand_attempts_have_a_pause() -> None:
    retries = ConnectRetries(attempts=5000, base_delay=0.0)
    assert retries.pause(ServiceUnavailableError("busy"), 4999, 0.0) == 0.0
    assert ConnectRetries(attempts=5000).pause(ServiceUnavailableError("busy"), 4999, 0.0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": 1.5},
        {"attempts": True},
        {"max_wait": -1},
        {"base_delay": float("nan")},
        {"max_wait": "1"},
        {"max_wait": 1e12},
    ],
)
def test_retry_settings_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ConnectRetries(**wrong)
