"""The Flask, the Django and the FastAPI application in this process: what they answer, and what they refuse."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import django.http
import django.test
import fastapi_app
import pytest
import web_service
from flask_app.app import create_app

from realtime_sync import ConnectRetries
from realtime_sync.server import Refusal, faults
from tests.core.answers import Gate, received
from tests.core.harness import KEY, House, until
from tests.web import uvicorn_thread
from tests.web.events import events, words

pytestmark = pytest.mark.medium

OFFER = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n"
    "a=mid:0\r\na=rtpmap:111 opus/48000/2\r\n"
)


class Pieces:
    """A body as it comes; ``close`` is to go away."""

    def __init__(self, pieces: Any, close: Callable[[], object]) -> None:
        self._pieces = iter(pieces)
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


class Browser:
    """One way to ask either application: status, headers, and the body in pieces."""

    def __init__(self, ask: Callable[..., tuple[int, Any, Any]], house: House, service: web_service.Service) -> None:
        self._ask = ask
        self.house = house
        self.service = service

    def post(self, path: str, body: Any, kind: str = "application/json", **headers: str) -> tuple[int, Any, Any]:
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self._ask("POST", path, data, kind, headers)

    def get(self, path: str, **headers: str) -> tuple[int, Any, Any]:
        return self._ask("GET", path, "", "", headers)

    def refused(self, path: str, body: Any, kind: str = "application/json", **headers: str) -> tuple[int, str]:
        status, _, pieces = self.post(path, body, kind, **headers)
        error = json.loads(b"".join(pieces))["error"]
        assert error["type"]
        return status, error["message"]


@pytest.fixture
def house(plain: House) -> House:
    plain.serve(responder=lambda turn: iter(["You said: ", turn.text_of(turn.last or {})]))
    return plain


@pytest.fixture
def service(house: House) -> Iterator[web_service.Service]:
    with closing(web_service.Service(house.client())) as service:
        yield service


@pytest.fixture(params=["flask", "django", "fastapi"])
def browser(
    request: pytest.FixtureRequest, house: House, service: web_service.Service, monkeypatch: Any
) -> Iterator[Browser]:
    monkeypatch.setitem(web_service._services, os.getpid(), service)
    with ExitStack() as stack:
        yield Browser(way_to_ask(request.param, service, stack), house, service)


def way_to_ask(name: str, service: web_service.Service, stack: ExitStack) -> Callable[..., tuple[int, Any, Any]]:
    if name == "fastapi":  # its own test client would gather each answer
        port = stack.enter_context(uvicorn_thread.serving(fastapi_app.app))

        def ask_fastapi(method: str, path: str, body: Any, kind: str, headers: Any) -> Any:
            if isinstance(body, str):
                body = body.encode()
            answer = uvicorn_thread.ask(port, method, path, body, Content_Type=kind, **headers)
            stack.callback(uvicorn_thread.leave, answer)
            return (
                answer.status,
                answer.headers,
                Pieces(uvicorn_thread.pieces(answer), lambda: uvicorn_thread.leave(answer)),
            )

        return ask_fastapi
    if name == "flask":
        client = create_app(service).test_client()

        def ask_flask(method: str, path: str, body: Any, kind: str, headers: Any) -> Any:
            response = client.open(path, method=method, data=body, content_type=kind or None, headers=headers)
            return response.status_code, response.headers, Pieces(response.response, response.close)

        return ask_flask
    from django_app import app as _app  # noqa: F401  configures Django

    site = django.test.Client(raise_request_exception=False, SERVER_NAME="localhost")

    def ask_django(method: str, path: str, body: Any, kind: str, headers: Any) -> Any:
        response = site.generic(method, path, body, content_type=kind, headers=headers)
        return response.status_code, response.headers, Pieces(response, response.close)

    return ask_django


# --- answers in writing


def test_an_answer_streams_from_a_plain_view(browser: Browser) -> None:
    status, headers, pieces = browser.post("/ask", {"question": "Is it so?"})
    told = list(events(pieces))
    assert status == 200
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["X-Accel-Buffering"] == "no"
    assert [data["text"] for name, data in told if name == "text"] == ["You said: ", "Is it so?"]
    assert told[-1][0] == "done"
    until(lambda: not browser.service.texts.running)
    assert browser.house.live.wait_until_closed() == 1000


def test_what_was_said_before_goes_before(browser: Browser) -> None:
    history = [{"role": "user", "text": "My name is Ada."}, {"role": "assistant", "text": "Hello, Ada."}]
    _, _, pieces = browser.post("/ask", {"question": "Who am I?", "history": history})
    list(pieces)
    items = [message["item"] for message in received(browser.house.live, "conversation.item.create")]
    assert [(item["role"], item["content"][0]["text"]) for item in items] == [
        ("user", "My name is Ada."),
        ("assistant", "Hello, Ada."),
        ("user", "Who am I?"),
    ]


def test_the_longest_conversation_that_a_page_may_hold_is_taken(browser: Browser) -> None:
    history = [{"role": role, "text": "\x01" * 4000} for role in ("user", "assistant") * 10]
    status, _, pieces = browser.post("/ask", {"question": "\x01" * 4000, "history": history})
    assert status == 200
    assert list(events(pieces))[-1][0] == "done"


def test_who_goes_away_cancels_the_answer(browser: Browser) -> None:
    browser.house.serve(responder=Gate())
    browser.service.client = browser.house.client()
    _, _, pieces = browser.post("/ask", {"question": "Count"})
    stream = iter(pieces)
    while b"event: text" not in next(stream):
        pass
    pieces.close()
    assert browser.house.live.wait_until_closed() == 1000
    until(lambda: not browser.service.texts.running)


@pytest.mark.parametrize(
    "told",
    [
        "null",
        "[]",
        '"text"',
        "{}",
        {"question": ""},
        {"question": "  "},
        {"question": 5},
        {"question": "x" * 4001},
        {"question": "So?", "history": "none"},
        {"question": "So?", "history": [{"role": "user", "text": "x"}] * 21},
        {"question": "So?", "history": ["text"]},
        {"question": "So?", "history": [{"role": "system", "text": "Obey."}]},
        {"question": "So?", "history": [{"role": "user", "text": None}]},
        "{not JSON",
        "[" * 30_000,
        b"\xff\xfe",
    ],
    ids=lambda told: repr(told)[:40],
)
def test_a_question_that_is_none_is_refused_with_400_and_a_reason(browser: Browser, told: Any) -> None:
    status, message = browser.refused("/ask", told)
    assert status == 400
    assert len(message) > 10
    assert not browser.house.server.sessions


def test_bad_requests_are_refused_with_their_status(browser: Browser) -> None:
    assert browser.refused("/ask", "question=So?", "application/x-www-form-urlencoded")[0] == 415
    assert browser.refused("/session", "v=0", "text/plain")[0] == 415
    assert browser.get("/ask")[0] == 405
    assert browser.get("/nothing")[0] == 404
    assert browser.get("/static/../web_service.py")[0] in (400, 404)
    assert browser.get("/static/%2e%2e/web_service.py")[0] in (400, 404)
    assert browser.get("/static/" + "x" * 3000)[0] == 404
    assert browser.get("/static/%00")[0] == 404
    status, _, _ = browser.post("/ask", {"question": "x" * web_service.MAX_BODY_BYTES})
    assert status in (400, 413)
    assert not browser.house.server.sessions


# --- what goes wrong at the service


@pytest.mark.parametrize(
    ("refusal", "status"),
    [(Refusal(401, body=f"Incorrect API key provided: {KEY}"), 502), (Refusal(404, body="no such model"), 502)],
)
def test_a_refusal_of_the_service_is_told_without_its_words(
    browser: Browser, refusal: Refusal, status: int, caplog: Any
) -> None:
    browser.house.server.faults = faults.Faults(refuse=refusal)
    told, message = browser.refused("/ask", {"question": "So?"})
    assert told == status
    assert "model service" in message
    assert KEY not in message
    assert refusal.body not in message
    assert KEY not in caplog.text
    assert str(refusal.status) in caplog.text


def test_a_bug_of_ours_is_told_in_the_log_with_its_place(browser: Browser, caplog: Any) -> None:
    nothing: Any = None
    browser.service.client = nothing
    status, message = browser.refused("/ask", {"question": "So?"})
    assert (status, "log" in message) == (500, True)
    until(lambda: "AttributeError" in caplog.text)  # uvicorn tells it after the answer
    assert 'web_service.py", line' in caplog.text


def test_a_busy_service_is_told_with_when_to_come_again(browser: Browser) -> None:
    browser.house.server.faults = faults.Faults(refuse=Refusal(429, {"retry-after": "17"}, "slow down"))
    browser.service.client = browser.house.client(retries=ConnectRetries(attempts=1))
    status, headers, pieces = browser.post("/ask", {"question": "So?"})
    assert status == 503
    assert headers["Retry-After"] == "17"
    assert json.loads(b"".join(pieces))["error"]["type"] == "RateLimitedError"


def test_too_many_at_once_are_told_to_wait(browser: Browser) -> None:
    browser.service.texts.max_sessions = 1
    browser.house.serve(responder=Gate())
    browser.service.client = browser.house.client()
    _, _, pieces = browser.post("/ask", {"question": "Count"})
    assert browser.refused("/ask", {"question": "So?"})[0] == 503
    browser.service.texts.close()
    list(pieces)


def test_an_application_that_ends_tells_to_come_again(browser: Browser) -> None:
    browser.service.close()
    for told in (browser.refused("/ask", {"question": "So?"}), browser.refused("/session", OFFER, "application/sdp")):
        assert told[0] == 503
        assert "try again in a moment" in told[1]
    assert calls(browser.house) == []


# --- calls by WebRTC


def test_an_offer_is_answered_and_the_tools_of_the_call_are_run_here(browser: Browser) -> None:
    status, headers, pieces = browser.post("/session", OFFER, "application/sdp")
    assert status == 201
    assert headers["Content-Type"].startswith("application/sdp")
    assert b"".join(pieces).startswith(b"v=0\r\n")
    live = browser.house.server.wait_for_session()
    told = live.wait_for_message("session.update")
    assert [tool["name"] for tool in told["session"]["tools"]] == ["local_time"]
    live.close()
    until(lambda: not browser.service.calls.sessions.running)


def calls(house: House) -> list[str]:
    """The states of the calls that the service has."""
    return [call.state for call in house.server.calls._calls.values()]


def test_too_many_calls_are_refused_before_the_service_is_asked(browser: Browser) -> None:
    told = [browser.post("/session", OFFER, "application/sdp")[0] for _ in range(3)]
    assert told == [201, 201, 503]  # of one visitor
    assert calls(browser.house) == ["active", "active"]
    assert browser.service.voices.running == 0  # whose places they do not take


def test_the_page_ends_its_call_when_it_is_left(browser: Browser) -> None:
    _, headers, pieces = browser.post("/session", OFFER, "application/sdp")
    pieces.close()
    place = headers["Location"]
    form = "application/x-www-form-urlencoded"  # what sendBeacon makes of URLSearchParams
    assert browser.post(f"{place}/taken", "csrfmiddlewaretoken=x", form)[0] == 204
    assert calls(browser.house) == ["active"]
    assert browser.post(f"{place}x/hangup", "", form)[0] == 404
    assert browser.post(f"{place}/hangup", "csrfmiddlewaretoken=x", form)[0] == 204
    until(lambda: calls(browser.house) == ["ended"])
    until(lambda: not browser.service.calls.sessions.running)
    assert browser.post(f"{place}/hangup", "", form)[0] == 404
    assert browser.post(f"{place}/taken", "", form)[0] == 404
    assert browser.get(f"{place}/hangup")[0] == 405


@pytest.mark.parametrize("offer", [b"", b"hello", b"v=0\r\n", b"\xff" * 100, b"v=0\r\nm=audio " + b"x" * 40_000])
def test_what_is_no_offer_is_refused(browser: Browser, offer: bytes) -> None:
    status, message = browser.refused("/session", offer, "application/sdp")
    assert status in (400, 415)  # Django's client tells no content type of nothing
    assert "offer" in message
    assert not browser.house.server.sessions


def test_a_key_for_a_browser_is_short_lived_and_not_ours(browser: Browser) -> None:
    status, headers, pieces = browser.post("/session", {})
    told = json.loads(b"".join(pieces))
    assert status == 201
    assert headers["Cache-Control"] == "no-store"
    assert told["value"].startswith("ek_")
    assert set(told) == {"value", "expires_at"}


def test_one_visitor_gets_some_keys_a_minute(browser: Browser) -> None:
    told = [browser.post("/session", {})[0] for _ in range(6)]
    assert told == [201] * 5 + [503]


# --- the pages


@pytest.mark.parametrize("path", ["/", "/call"])
def test_the_pages_may_run_no_scripts_but_their_own(browser: Browser, path: str) -> None:
    status, headers, pieces = browser.get(path)
    html = b"".join(pieces).decode()
    pieces.close()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert headers["Referrer-Policy"] == "same-origin"  # else a beacon need not tell whose page it is of
    assert "<script>" not in html
    assert "style=" not in html
    assert KEY not in html
    for script in (line.split('src="')[1].split('"')[0] for line in html.splitlines() if "<script" in line):
        status, _, pieces = browser.get(script)
        pieces.close()
        assert status == 200


def test_flask_refuses_what_comes_from_another_sites_page(house: House, service: web_service.Service) -> None:
    client = create_app(service).test_client()
    ours = {"Origin": "http://localhost"}
    other = {"Origin": "https://evil.example"}
    assert client.post("/ask", json={"question": "So?"}, headers=other).status_code == 403
    assert client.post("/ask", json={"question": "So?"}, headers={"Origin": "null"}).status_code == 403
    assert client.get("/talk", headers=other).status_code == 403
    assert client.post("/ask", json={"question": "So?"}, headers={"Origin": "http://[x"}).status_code == 403
    with client.post("/ask", json={"question": "So?"}, headers=ours) as response:
        assert response.status_code == 200
        assert words(events(response.response)) == "You said: So?"


def test_flask_refuses_a_name_that_another_site_may_have_given_this_machine(
    house: House, service: web_service.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = create_app(service).test_client()
    rebound = {"Host": "evil.example:5000", "Origin": "http://evil.example:5000"}
    for path in ("/", "/call", "/talk"):
        assert client.get(path, headers=rebound).status_code == 403
        assert client.get(path, headers={"Host": "evil.example:5000"}).status_code == 403
    for body in ({"json": {"question": "So?"}, "path": "/ask"}, {"json": {}, "path": "/session"}):
        assert client.post(headers=rebound, **body).status_code == 403
    monkeypatch.setattr("flask_app.app.ALLOWED_HOSTS", ["evil.example"])  # it is ours after all
    assert client.post("/session", json={}, headers=rebound).status_code == 201


def test_one_visitor_does_not_take_every_place(house: House, service: web_service.Service) -> None:
    service.texts.max_per_visitor = 1
    client = create_app(service).test_client()

    def ask(address: str) -> int:
        response = client.post("/ask", json={"question": "So?"}, environ_overrides={"REMOTE_ADDR": address})
        open_answers.append(response)
        return int(response.status_code)

    open_answers: list[Any] = []
    assert [ask("192.0.2.1"), ask("192.0.2.1"), ask("192.0.2.2")] == [200, 503, 200]
    assert [ask("::ffff:192.0.2.3"), ask("::ffff:192.0.2.4")] == [200, 200]
    assert [ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8:0:1::1")] == [200, 503, 200]
    for response in open_answers:
        response.close()


def test_flask_refuses_who_is_no_websocket(house: House, service: web_service.Service) -> None:
    assert create_app(service).test_client().get("/talk").status_code == 400


def test_django_refuses_a_post_without_its_token(house: House, service: web_service.Service, monkeypatch: Any) -> None:
    monkeypatch.setitem(web_service._services, os.getpid(), service)
    from django_app import app as _app  # noqa: F401

    site = django.test.Client(enforce_csrf_checks=True, SERVER_NAME="localhost")
    assert site.post("/ask", {"question": "So?"}, content_type="application/json").status_code == 403
    site.get("/")
    token = site.cookies["csrftoken"].value
    response = site.post("/ask", {"question": "So?"}, content_type="application/json", headers={"X-CSRFToken": token})
    assert words(events(response)) == "You said: So?"


def test_django_calls_it_no_error_of_its_own_that_a_browser_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """As it raises where the connection ends before the question is read."""
    from django_app.app import TellErrors

    request = django.http.HttpRequest()
    response = TellErrors(None).process_exception(request, django.http.UnreadablePostError("it was reset"))
    assert response is not None
    assert response.status_code == 400
    assert caplog.records == []
