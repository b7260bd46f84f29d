"""Refused handshakes: typed by status, with body, request id and wait, however the answer is framed."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from realtime_sync.errors import (
    AuthenticationError,
    HandshakeError,
    NotFoundError,
    RateLimitedError,
    ServiceUnavailableError,
)
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import handshake, handshake_error
from tests.core.harness import within
from tests.transport.conftest import FAST, Bench
from tests.transport.peer import Link

BODY = json.dumps({"error": {"message": "Bad key.", "type": "x", "code": "invalid_api_key"}}).encode()


def _chunked(data: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:10], data[10:])) + b"0\r\n\r\n"


STYLE = "<style>body { color: red }</style>" * 1000
FRAMINGS = {
    "content-length": b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + _chunked(BODY),
    "close-delimited": b"Connection: close\r\n\r\n" + BODY,
    "not delimited": b"\r\n" + BODY,
    "a length of 5000 digits": b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + BODY,
    "a negative length": b"Content-Length: -1\r\n\r\n" + BODY,
    "behind interim answers": b"",
}


def _refuse(
    bench: Bench, answer: bytes, timeouts: Timeouts = FAST, keep_open: bool = False, query: str = ""
) -> HandshakeError:
    def script(link: Link) -> None:
        link.read_head()
        with contextlib.suppress(OSError):  # a client that has heard enough hangs up
            link.send(answer)
        if keep_open:
            link.read_to_end()

    with pytest.raises(HandshakeError) as caught:
        bench.connect(bench.serve(script).url + query, timeouts, headers={"Authorization": "Bearer sk-SECRET-1"})
    return caught.value


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (429, RateLimitedError),
        (500, ServiceUnavailableError),
        (503, ServiceUnavailableError),
        (400, HandshakeError),
        (200, HandshakeError),
    ],
)
def test_a_refusal_is_typed_by_status_and_keeps_its_body_in_every_framing(
    bench: Bench, status: int, kind: type[HandshakeError], framing: str
) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" if framing.startswith("behind") else b""
    framed = FRAMINGS[framing] or FRAMINGS["chunked"]
    error = _refuse(bench, interim + b"HTTP/1.1 %d No\r\nX-Request-Id: req_7\r\n" % status + framed)
    assert type(error) is kind
    assert (error.status, error.code, error.request_id) == (status, "invalid_api_key", "req_7")
    assert error.body == BODY.decode()
    assert f"HTTP {status} (Bad key), request id req_7. " in str(error)


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5000\r\n\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s" % (len(BODY), BODY),
        b"Transfer-Encoding: chunked\r\n\r\nfff\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\n%x;%s\r\n%s\r\n%s\r\n" % (len(BODY), b"e" * 900, BODY, b"f" * 5000),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n-1\r\nx" % (len(BODY), BODY),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n1;%s" % (len(BODY), BODY, b"e" * 70000),
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nnonsense" % (len(BODY), BODY),
    ],
)
def test_a_body_that_is_cut_off_does_not_cost_the_status(bench: Bench, framing: bytes) -> None:
    error = _refuse(bench, b"HTTP/1.1 401 No\r\n" + framing)
    assert type(error) is AuthenticationError
    assert error.body == BODY.decode()


@pytest.mark.parametrize("framing", [b"Content-Length: 5000\r\n\r\nsome", b"\r\nsome"])
@pytest.mark.parametrize(("connect", "body"), [(0.3, 2.0), (9.0, 0.3)])
def test_a_body_that_never_ends_does_not_cost_the_status_nor_much_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, framing: bytes, connect: float, body: float
) -> None:
    monkeypatch.setattr(handshake, "_BODY_SECONDS", body)
    answer = b"HTTP/1.1 429 No\r\nRetry-After: 3\r\n" + framing
    with within(1.5):
        error = _refuse(bench, answer, Timeouts(connect=connect), keep_open=True)
    assert type(error) is RateLimitedError
    assert (error.body, error.retry_after) == ("some", 3.0)


def test_a_body_is_cut_at_64_kib_and_decoded_leniently(plain: Bench) -> None:
    error = _refuse(plain, b"HTTP/1.1 500 No\r\n\r\n\xff" + b"x" * 100_000)
    assert error.body.startswith("\N{REPLACEMENT CHARACTER}xxx")
    assert len(error.body) == 65536
    assert len(str(error)) < 600


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays_here(bench: Bench, status: int) -> None:
    heads: list[bytes] = []
    target = bench.serve(lambda link: heads.append(link.read_head()))
    location = f"{target.url.replace('127.0.0.1', 'localhost')}&token=SECRET"
    error = _refuse(bench, f"HTTP/1.1 {status} Go\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
    assert type(error) is HandshakeError
    assert f"redirects to ws{'s' * bench.secure}://localhost:{target.port}/realtime?model=m&token=...;" in str(error)
    assert "SECRET" not in str(error)
    bench.stack.close()
    assert (heads, target.accepted) == ([], 0)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/v2/realtime?key=SECRET", "redirects to /v2/realtime?key=... on the same host"),
        ("https://me:SECRET@login.example/sign-in", "redirects to https://login.example/sign-in;"),
        ("https://[SECRET", "a place that it does not name"),
        ("", "a place that it does not name"),
    ],
)
def test_a_redirect_says_where_it_leads(location: str, told: str) -> None:
    error = handshake_error(302, {"Location": location})
    assert told in str(error)
    assert "SECRET" not in str(error)


def test_what_a_server_echoes_of_our_key_is_not_shown(plain: Bench) -> None:
    error = _refuse(plain, b"HTTP/1.1 401 No\r\n\r\nGot Authorization: Bearer sk-SECRET-1 (sk-SECRET-1)")
    assert "SECRET" not in str(error) + error.body + repr(vars(error))


@pytest.mark.parametrize(
    "answer",
    [
        b"\r\nCannot GET /?model=gpt-realtime-2.1&key=q%2FSECRET-2",
        b"\r\nthe model gpt-realtime-2.1 is not for q/SECRET-2",
        b"Location: /?key=q%2FSECRET-2\r\n\r\ngpt-realtime-2.1",
        b"X-Request-Id: sk-SECRET-1\r\n\r\ngpt-realtime-2.1",
    ],
)
def test_what_a_server_echoes_of_our_query_or_in_its_headers_is_not_shown(plain: Bench, answer: bytes) -> None:
    error = _refuse(plain, b"HTTP/1.1 404 No\r\n" + answer, query="&model=gpt-realtime-2.1&key=q%2FSECRET-2")
    assert "SECRET" not in str(error) + error.body + repr(vars(error))
    assert "gpt-realtime-2.1" in error.body


def test_cookies_are_not_in_the_errors_headers() -> None:
    error = handshake_error(403, {"Set-Cookie": "__cf_bm=SECRET", "X-Request-ID": "r"}, "")
    assert error.headers == {"x-request-id": "r"}
    assert "SECRET" not in repr(vars(error))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"retry-after-ms": "x", "retry-after": "2"}, 2.0),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_from_each_of_its_spellings(headers: dict[str, str], seconds: float | None) -> None:
    assert handshake_error(429, headers).retry_after == seconds


@pytest.mark.parametrize("form", ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_retry_after_as_a_date_counts_from_now_wherever_we_are(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        now = time.time()
        error = handshake_error(503, {"Retry-After": time.strftime(form, time.gmtime(now + 30))})
        assert error.retry_after is not None
        assert 29 - (time.time() - now) <= error.retry_after <= 30
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("name", ["x-request-id", "apim-request-id", "X-MS-Request-Id"])
def test_each_services_request_id_is_found(name: str) -> None:
    assert handshake_error(500, {name: "r1"}).request_id == "r1"


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (
            '{"error": {"code": "DeploymentNotFound", "message": "No such deployment."}}',
            "DeploymentNotFound",
            "No such",
        ),
        ('{"error": {"code": 404, "message": "x"}}', "404", "(x)"),
        ('{"statusCode": 401, "message": "Unauthorized"}', None, "(Unauthorized)"),
        ('{"detail": "gone"}', None, "(gone)"),
        ('{"error": "plain words"}', None, "(plain words)"),
        ('{"error": null}', None, "null"),
        ("[1, 2]", None, "([1, 2])"),
        ("<html>\n  <b>no</b>\x00</html>", None, "(an HTML page: no)"),
        (
            f"<!DOCTYPE html>\n<html lang=en><head><title>\n502 Bad &amp; Gateway.</title>{STYLE}",
            None,
            ": 502 Bad & Gateway)",
        ),
        ("\ufeff <HTML></HTML>", None, "(an HTML page)"),
        ('{"error": {"message": "<html><title>no</title>"}}', None, "(an HTML page: no)"),
        ("<error>no</error>", None, "(<error>no</error>)"),
        ("", None, "HTTP 404. "),
        ("[" * 100_000, None, "..."),
    ],
)
def test_the_services_words_and_code_are_found_in_each_shape_of_body(body: str, code: str | None, told: str) -> None:
    error = handshake_error(404, {}, body)
    assert error.code == code
    assert told in str(error)
