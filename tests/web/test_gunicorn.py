"""The applications behind gunicorn: twenty streams at once, restarts in the middle, forks, gevent, and no key told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from realtime_sync.server import RealtimeServer, Refusal, Reply, ServerSession, Turn, faults
from realtime_sync.server.voice import speak
from tests.core.answers import Gate
from tests.core.harness import KEY, Running, until
from tests.web.applications import DJANGO, FLASK, Application
from tests.web.events import words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
STREAMS = 20
WORKERS = pytest.mark.parametrize("options", [(), ("-k", "gevent")], ids=["threads", "gevent"])


def counting(turn: Turn) -> Iterator[str]:
    """Says what it was asked, number by number, so that a stream that was mixed with another shows it."""
    question = turn.text_of(turn.last or {})
    for number in range(20):
        if turn.cancelled.wait(0.02):
            return
        yield f"{question} {number}, "


def counted(question: str) -> str:
    return "".join(f"{question} {number}, " for number in range(20))


@pytest.fixture(params=[FLASK, DJANGO], ids=["flask", "django"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def csrf(name: str) -> Any:
    """The headers that the page would send."""

    def headers(application: Application) -> dict[str, str]:
        if name == FLASK:
            return {}
        answer = application.request("GET", "/")
        token = answer.headers["Set-Cookie"].split("csrftoken=")[1].split(";")[0]
        answer.body()
        return {"Cookie": f"csrftoken={token}", "X_CSRFToken": token}

    return headers


def closes(server: RealtimeServer) -> list[int | None]:
    return [live.close_code for live in server.sessions]


@WORKERS
def test_twenty_streams_at_once_from_one_process_all_end_right(
    name: str, csrf: Any, options: tuple[str, ...], tmp_path: Path
) -> None:
    with RealtimeServer(responder=counting) as server, Application(name, server, tmp_path, *options) as application:
        headers = csrf(application)

        def stream(question: str) -> tuple[int, str, str]:
            answer = application.ask(question, **headers)
            told = list(answer.events())
            return answer.status, words(told), told[-1][0]

        running = [Running(lambda number=number: stream(f"Q{number}")) for number in range(STREAMS)]  # type: ignore[misc]
        told = [each.result(120) for each in running]
        until(lambda: None not in closes(server), 20)
        assert f"Using worker: {options[1] if options else 'gthread'}" in application.log
        assert told == [(200, counted(f"Q{number}"), "done") for number in range(STREAMS)]
        assert closes(server) == [1000] * STREAMS


def test_pieces_are_not_gathered_on_their_way(name: str, csrf: Any, tmp_path: Path) -> None:
    gate = Gate("one ", "two")
    with RealtimeServer(responder=gate) as server, Application(name, server, tmp_path) as application:
        told = application.ask("Count", **csrf(application)).events()
        assert next(event for event in told if event[0] == "text") == ("text", {"text": "one "})
        gate.opened.set()  # only now is the rest said
        assert words(told) == "two"


def test_a_browser_that_goes_away_cancels_its_answer(name: str, csrf: Any, tmp_path: Path) -> None:
    with RealtimeServer(responder=Gate()) as server, Application(name, server, tmp_path) as application:
        answer = application.ask("Count", **csrf(application))
        next(event for event in answer.events() if event[0] == "text")
        answer.close()
        live = server.wait_for_session()
        live.wait_for_message("response.cancel", 40)  # noticed at a heartbeat or two
        assert live.wait_until_closed(10) == 1000


@WORKERS
@pytest.mark.parametrize("how", ["reload", "stop"])
def test_a_restart_lets_texts_be_finished_and_closes_their_sessions(
    name: str, csrf: Any, how: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    gate = Gate("one ", "two")
    with RealtimeServer(responder=gate) as server, Application(name, server, tmp_path, *options) as application:
        told = application.ask("Count", **csrf(application)).events()
        next(event for event in told if event[0] == "text")
        if how == "reload":
            application.reload()
            application.logged(r"Booting worker with pid", 2)
        else:
            application.process.terminate()
        gate.opened.set()
        rest = list(told)
        assert (words(rest), rest[-1][0]) == ("two", "done"), (rest, application.log)
        assert server.wait_for_session().wait_until_closed(20) == 1000
        if how == "stop":
            assert application.process.wait(40) == 0
        else:
            assert list(application.ask("Again", **csrf(application)).events())[-1][0] == "done"


def test_a_restart_does_not_wait_for_ever_for_a_text(tmp_path: Path) -> None:
    with RealtimeServer(responder=Gate()) as server, Application(FLASK, server, tmp_path) as application:
        told = application.ask("Count").events()
        next(event for event in told if event[0] == "text")
        application.process.terminate()
        name, failed = list(told)[-1]
        assert name == "failed"
        assert failed["type"] in ("ConnectionClosedError", "SessionNotOpenError")
        assert server.wait_for_session().wait_until_closed(20) == 1000
        assert application.process.wait(40) == 0


def test_a_session_from_before_the_fork_fails_at_once_with_its_reason(tmp_path: Path) -> None:
    with (
        RealtimeServer() as server,
        Application("tests.web.prefork_app:app", server, tmp_path, "--preload") as application,
    ):
        answer = application.ask("Hello", timeout=20)
        assert answer.status == 500
        assert answer.json()["error"]["type"] == "ForkedSessionError"
        assert "fork" in application.log
        assert server.sessions[0].close_code is None  # the parent's session goes on
        with Application(FLASK, server, tmp_path) as other:  # while one that is opened in the worker works
            assert list(other.ask("Hello").events())[-1][0] == "done"


def test_a_preloaded_application_opens_its_sessions_in_the_workers(tmp_path: Path) -> None:
    with RealtimeServer() as server, Application(FLASK, server, tmp_path, "--preload", "-w", "2") as application:
        for _ in range(4):
            assert list(application.ask("Hello").events())[-1][0] == "done"


def test_nothing_secret_is_logged_or_told(name: str, csrf: Any, tmp_path: Path) -> None:
    server = RealtimeServer(api_keys=["sk-another"], responder=counting)
    with server, Application(name, server, tmp_path, "--log-level", "debug") as application:
        headers = csrf(application)
        bodies = []
        for body in ({"question": "So?"}, {"question": ""}, "{"):
            answer = application.request("POST", "/ask", body, Content_Type="application/json", **headers)
            assert answer.status in (400, 502)
            bodies.append(answer.body())
        server.faults = faults.Faults(refuse=Refusal(500, body=f"the key {KEY} is broken"))
        for path, kind in (("/session", "application/json"), ("/ask", "text/plain"), ("/nothing", "text/plain")):
            answer = application.request("POST", path, "{}", Content_Type=kind, **headers)
            assert answer.status in (404, 415, 502, 503)
            bodies.append(answer.body())
        for path in ("/", "/call", "/static/page.js"):
            bodies.append(application.request("GET", path).body())
        log = application.log
    assert "AuthenticationError" in log  # so what should be logged is
    for secret in (KEY, "sk-another", "OPENAI_API_KEY", server.url):
        assert secret not in log
        assert not [body for body in bodies if secret.encode() in body]


def test_without_a_key_an_embedded_server_answers_in_the_same_process_and_says_so(
    name: str, csrf: Any, tmp_path: Path
) -> None:
    with Application(name, None, tmp_path) as application:
        told = list(application.ask("Is it so?", **csrf(application)).events())
        assert told[-1][0] == "done"
        assert "Is it so?" in words(told)
        application.logged("No key in the environment, so an embedded server answers")


# --- the microphone by WebSocket


class Page:
    """The page's side of the WebSocket: it plays at once what it is sent, but of each item ``most`` samples at most."""

    def __init__(
        self, application: Application, *, most: int = 10**9, may: tuple[str, ...] = (), **options: Any
    ) -> None:
        self.may = may  # be told to it besides what is asked for
        url = f"ws://127.0.0.1:{application.port}/talk"
        self.socket = websocket.create_connection(url, timeout=60, **options)
        self.most = most
        self.heard: dict[str, int] = {}
        self.part: dict[str, Any] = {}

    def until(self, kind: str) -> dict[str, Any]:
        """The next message of this kind."""
        while True:
            data = self.socket.recv()
            if isinstance(data, bytes):
                self.heard[self.part["item_id"]] = self.heard.get(self.part["item_id"], 0) + len(data) // 2
                self.tell("played")
                continue
            assert data, "the connection has ended"
            message: dict[str, Any] = json.loads(data)
            if message["type"] == "audio":
                self.part = message
            elif message["type"] == "stop":
                self.tell("stopped", message["number"])
            if message["type"] == kind:
                return message
            assert message["type"] not in ("failed", "problem") or message["type"] in self.may, message

    def tell(self, kind: str, number: int | None = None) -> None:
        item_id = self.part.get("item_id")
        told = {"type": kind, "item_id": item_id, "content_index": 0, "samples": self.played(item_id)}
        self.socket.send(json.dumps({**told, "number": number}))

    def played(self, item_id: str | None) -> int:
        return min(self.most, self.heard.get(item_id or "", 0))

    def say(self, samples: bytes) -> None:
        for start in range(0, len(samples), 1920):
            self.socket.send_binary(samples[start : start + 1920])


SPEECH = speak("hello there") + bytes(48 * 900)


def truncated(live: ServerSession) -> dict[str, Any]:
    return live.wait_for_message("conversation.item.truncate", 30)


@WORKERS
def test_a_spoken_question_is_answered_to_the_last_sample(options: tuple[str, ...], tmp_path: Path) -> None:
    server = RealtimeServer(responder=lambda turn: Reply("Good morning."))
    with server, Application(FLASK, server, tmp_path, *options) as application:
        page = Page(application)
        page.until("ready")
        page.say(SPEECH)
        assert page.until("user_done")["text"]
        text = page.until("answer_text")["text"]
        item = page.until("answer_done")["item_id"]
        assert text.startswith("Good")
        assert page.heard[item] == len(speak("Good morning.")) // 2
        page.socket.close()
        assert server.wait_for_session().wait_until_closed(20) == 1000


def test_speaking_into_an_answer_shortens_it_to_what_the_page_played(tmp_path: Path) -> None:
    def talkative(turn: Turn) -> Iterator[Reply]:
        yield Reply("Well. " * 20, audio=b"\x00\x20" * 24_000 * 5)
        turn.cancelled.wait(60)

    with RealtimeServer(responder=talkative) as server, Application(FLASK, server, tmp_path) as application:
        page = Page(application, most=24_000)
        page.until("ready")
        page.say(SPEECH)
        page.until("audio")
        page.say(SPEECH)
        told = page.until("interrupted")
        item = told["item_id"]
        shortened = truncated(server.wait_for_session())
        assert shortened["item_id"] == item
        assert shortened["audio_end_ms"] == told["heard_ms"]
        assert 0 < shortened["audio_end_ms"] <= 1000
        page.socket.close()


def test_the_button_interrupts_at_what_the_page_played(tmp_path: Path) -> None:
    def talkative(turn: Turn) -> Iterator[Reply]:
        yield Reply("Well. " * 20, audio=b"\x00\x20" * 24_000 * 5)
        turn.cancelled.wait(60)

    with RealtimeServer(responder=talkative) as server, Application(FLASK, server, tmp_path) as application:
        page = Page(application, most=1200)
        page.until("ready")
        page.say(SPEECH)
        item = page.until("audio")["item_id"]
        page.socket.send(json.dumps({"type": "interrupt", "item_id": item, "content_index": 0, "samples": 1200}))
        assert page.until("interrupted")["heard_ms"] == 50
        assert truncated(server.wait_for_session())["audio_end_ms"] == 50
        page.socket.close()


@pytest.mark.parametrize(
    "message",
    ["{", "[]", "null", '{"type": 5}', '{"type": "stopped", "number": "x"}', '{"type": "played", "samples": -1}'],
)
def test_what_a_page_may_not_say_harms_nobody(message: str, tmp_path: Path) -> None:
    server = RealtimeServer(responder=lambda turn: Reply("Yes."))
    with server, Application(FLASK, server, tmp_path) as application:
        page = Page(application, may=("problem",))
        page.until("ready")
        page.socket.send(message)
        page.socket.send(json.dumps({"type": "played", "item_id": "item_other", "samples": 10**12}))
        page.socket.send_binary(b"\x01")  # half a sample
        page.socket.send_binary(b"\x01")
        page.say(SPEECH)
        page.until("answer_done")
        page.socket.close()


def test_a_restart_hangs_up_and_tells_the_page(tmp_path: Path) -> None:
    with RealtimeServer() as server, Application(FLASK, server, tmp_path) as application:
        page = Page(application)
        page.until("ready")
        application.reload()
        assert "ended" in page.until("failed")["message"]
        assert server.wait_for_session().wait_until_closed(20) == 1000
        page.socket.close()


def test_other_sites_and_refusals_are_told(tmp_path: Path) -> None:
    server = RealtimeServer(api_keys=["sk-another"])
    with server, Application(FLASK, server, tmp_path) as application:
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            Page(application, origin="https://evil.example")
        page = Page(application)
        told = json.loads(page.socket.recv())
        page.socket.close()
        assert told["type"] == "failed"
        assert told["message"].startswith("The model service cannot be reached")
        assert KEY not in application.log
