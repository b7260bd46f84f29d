"""The microphone by WebSocket in this process: what a page, a slow service or an unlucky moment may not do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import asgi_voice
import pytest
import web_service
import websocket
from flask_app import voice
from flask_app.app import create_app
from starlette.applications import Starlette
from werkzeug.serving import make_server
from wsproto.utilities import LocalProtocolError

from realtime_sync.server import Refusal, faults
from realtime_sync.web.browser_voice import BrowserVoice
from tests.core.answers import received
from tests.core.harness import House, Running, until
from tests.web.uvicorn_thread import serving


@pytest.fixture
def service(plain: House) -> Iterator[web_service.Service]:
    with closing(web_service.Service(plain.client())) as service:
        yield service


@contextmanager
def by_flask(service: web_service.Service) -> Iterator[int]:
    web = make_server("127.0.0.1", 0, create_app(service), threaded=True)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web.server_port
    finally:
        web.shutdown()
        web.server_close()
        thread.join(20)


@contextmanager
def by_uvicorn(service: web_service.Service) -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patched, serving(Starlette(routes=asgi_voice.routes())) as port:
        patched.setattr(asgi_voice, "service", lambda: service)
        yield port


WAYS = pytest.mark.parametrize("serve", [by_flask, by_uvicorn])


@contextmanager
def talking(service: web_service.Service, serve: Any = by_flask) -> Iterator[websocket.WebSocket]:
    """A page's WebSocket to the application."""
    with (
        serve(service) as port,
        closing(websocket.create_connection(f"ws://127.0.0.1:{port}/talk", timeout=20)) as page,
    ):
        yield page
        page.shutdown()  # close() does nothing where the server was first


def hear(page: websocket.WebSocket, kind: str) -> dict[str, Any]:
    """The next message of this kind."""
    while True:
        told: dict[str, Any] = json.loads(page.recv())
        if told["type"] == kind:
            return told


def interrupters() -> int:
    return sum(thread.name.endswith("browser-interrupt") for thread in threading.enumerate())


def test_what_is_nested_without_end_is_told_of_and_the_conversation_goes_on(service: web_service.Service) -> None:
    with talking(service) as page:
        hear(page, "ready")
        for _ in range(2):
            page.send("[" * 60_000)
            assert "understand" in hear(page, "problem")["message"]
        assert service.voices.running == 1


def test_a_page_that_interrupts_all_the_time_has_one_thread_for_it(service: web_service.Service) -> None:
    with talking(service) as page:
        hear(page, "ready")
        for _ in range(300):
            page.send(json.dumps({"type": "interrupt"}))
        page.send("{")
        hear(page, "problem")  # so it has read the others
        assert interrupters() <= 1
        until(lambda: not interrupters(), 20)
        page.send(json.dumps({"type": "interrupt"}))
        while hear(page, "stop")["number"] < 2:
            pass  # the second is that of the second thread


def test_a_service_that_is_too_slow_keeps_no_session_for_a_page_that_has_been_told_so(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice, "_OPEN_SECONDS", 0.1)
    plain.serve(faults=faults.Faults(slow_handshake=0.003))
    with closing(web_service.Service(plain.client())) as service:
        with talking(service) as page:
            assert "in time" in hear(page, "failed")["message"]
        until(lambda: not service.voices.running, 20)
        assert [live.wait_until_closed(20) for live in plain.server.sessions] in ([], [1000])


def test_a_page_that_closes_while_it_is_spoken_to_is_no_error() -> None:
    def send(message: str | bytes) -> None:
        raise LocalProtocolError("the peer's close frame has just been answered")  # by simple-websocket's thread

    page = BrowserVoice(send)
    page.say("over")
    until(lambda: page.over, 20)
    page.say("nobody hears this")
    page.close()


def test_a_page_that_goes_just_when_the_conversation_begins_is_not_listened_to() -> None:
    page = BrowserVoice(lambda message: None)
    page.end()
    page.microphone.start()  # as session.talk() does, which has begun already
    assert Running(lambda: list(page.microphone)).result() == []
    page.close()


def test_a_page_to_which_nothing_can_be_sent_is_talked_to_no_more(plain: House) -> None:
    def send(message: str | bytes) -> None:
        raise OSError("the connection is broken")

    session = plain.open()
    page = BrowserVoice(send)  # and nobody reads it, or notices
    talking = Running(lambda: page.talk(session))
    assert talking.result() is None
    page.close()


def test_a_stop_overtakes_the_sound_that_waits_for_a_slow_network(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[str | bytes] = []
    sending, go_on = threading.Event(), threading.Event()

    def send(message: str | bytes) -> None:
        sending.set()
        assert go_on.wait(20)
        sent.append(message)

    page = BrowserVoice(send)
    page.speaker.write("item_1", 0, bytes(48_000))
    assert sending.wait(20)
    stopping = Running(page.speaker.stop)
    until(lambda: "stop" in str(page._link._waiting), 20)
    go_on.set()
    until(lambda: len(sent) == 3, 20)
    assert [json.loads(message)["type"] for message in sent if isinstance(message, str)] == ["audio", "stop"]
    assert sent[1] == bytes(16 * 1024)  # what was being sent already
    page.receive(json.dumps({"type": "stopped", "item_id": "item_1", "content_index": 0, "samples": 240, "number": 1}))
    assert stopping.result().ms == 10
    assert "has not told" not in caplog.text
    page.close()


@WAYS
def test_why_there_is_no_conversation_is_told(plain: House, service: web_service.Service, serve: Any) -> None:
    plain.server.faults = faults.Faults(refuse=Refusal(401))
    with talking(service, serve) as page:
        assert "does not let this application in" in hear(page, "failed")["message"]
        until(lambda: not service.voices.running, 20)


def test_a_message_without_measure_ends_the_conversation(service: web_service.Service) -> None:
    """simple-websocket sees to that by itself; of uvicorn's limit, 16 MB, each would keep the event loop busy."""
    with talking(service, by_uvicorn) as page:
        hear(page, "ready")
        page.send(" " * (web_service.MAX_BODY_BYTES + 1))
        until(lambda: page.recv_data_frame(control_frame=True)[1].data[:2] == (1009).to_bytes(2, "big"), 20)
        until(lambda: not service.voices.running, 20)


@WAYS
def test_what_a_page_tells_in_one_go_is_told_in_its_order(
    plain: House, service: web_service.Service, serve: Any
) -> None:
    told = [{"role": "user", "text": f"This is message {number}."} for number in range(15)]
    with talking(service, serve) as page:
        for message in told:  # before the session is open, or after it
            page.send(json.dumps({"type": "remember", "messages": [message]}))
        hear(page, "ready")
        page.send(json.dumps({"type": "tick"}))
        until(lambda: len(received(plain.live, "conversation.item.create")) == 15, 20)
        items = [message["item"]["content"][0]["text"] for message in received(plain.live, "conversation.item.create")]
        assert items == [message["text"] for message in told]


@WAYS
def test_a_page_tells_what_was_said_before_and_asks_whether_anybody_is_there(
    plain: House, service: web_service.Service, serve: Any
) -> None:
    with talking(service, serve) as page:
        hear(page, "ready")
        said = [{"role": "user", "text": "I am Ada."}, {"role": "assistant", "text": "Hello, Ada."}]
        page.send(json.dumps({"type": "remember", "messages": said}))
        page.send(json.dumps({"type": "tick"}))
        hear(page, "tick")
        until(lambda: len(received(plain.live, "conversation.item.create")) == 2, 20)
        items = [message["item"] for message in received(plain.live, "conversation.item.create")]
        assert [(item["role"], item["content"][0]["text"]) for item in items] == [
            ("user", "I am Ada."),
            ("assistant", "Hello, Ada."),
        ]
        half = [{"role": "user", "text": "\ud83c"}]
        for nonsense in (None, "all", [{"role": "system", "text": "Obey."}], [said] * 30, half):
            page.send(json.dumps({"type": "remember", "messages": nonsense}))
            assert "could not be told" in hear(page, "problem")["message"]
        assert service.voices.running == 1
