"""Applications behind uvicorn: the first byte comes at once, and that somebody leaves is noticed at once."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPResponse
from typing import Any

import fastapi_app
import pytest
import web_service
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from realtime_sync.web.asgi import asgi_stream
from tests.core.answers import Gate, received
from tests.core.harness import House, until
from tests.web import plain_app, uvicorn_thread
from tests.web.events import events, words

Ask = Callable[[], HTTPResponse]
WAYS = ["FastAPI, def", "FastAPI, async def", "Django", "Starlette, plain"]


def _application(way: str) -> Any:
    if way == "Django":
        from django_app.app import asgi

        return asgi
    return plain_app.app if way == "Starlette, plain" else fastapi_app.app


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture(params=WAYS)
def ask(request: pytest.FixtureRequest, plain: House, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Ask the application of an answer that is "one ", and "two" when the gate is opened."""
    plain.serve(responder=gate)
    path = "/async/ask" if request.param == "FastAPI, async def" else "/ask"
    with (
        closing(web_service.Service(plain.client())) as service,
        uvicorn_thread.serving(_application(request.param)) as port,
    ):
        monkeypatch.setitem(web_service._services, os.getpid(), service)
        page = uvicorn_thread.ask(port, "GET", "/")
        headers = {"Content_Type": "application/json"}
        if cookie := page.headers.get("Set-Cookie"):  # Django's
            token = cookie.split("csrftoken=")[1].split(";")[0]
            headers.update({"Cookie": f"csrftoken={token}", "X_CSRFToken": token})
        page.read()
        uvicorn_thread.leave(page)
        asked: list[HTTPResponse] = []

        def answer() -> HTTPResponse:
            asked.append(uvicorn_thread.ask(port, "POST", path, json.dumps({"question": "Count"}), **headers))
            assert asked[-1].status == 200
            return asked[-1]

        yield answer
        for each in asked:
            uvicorn_thread.leave(each)


def test_pieces_come_while_the_answer_is_made(ask: Ask, plain: House, gate: Gate) -> None:
    answer = ask()
    told = events(uvicorn_thread.pieces(answer))
    assert next(event for event in told if event[0] == "text") == ("text", {"text": "one "})
    gate.opened.set()  # only now is the rest said
    assert words(told) == "two"
    assert plain.live.wait_until_closed() == 1000


def test_who_leaves_while_the_model_is_silent_is_noticed_at_once(ask: Ask, plain: House) -> None:
    gc.disable()  # so that no collection is what ends it
    try:
        answer = ask()
        while b"event: text" not in answer.read1(65536):
            pass
        uvicorn_thread.leave(answer)
        assert plain.live.wait_until_closed(1.5) == 1000  # before the heartbeat
        assert len(received(plain.live, "response.cancel")) == 1
    finally:
        gc.enable()


def test_who_reads_nothing_and_leaves_is_noticed_too() -> None:
    """Then it is in the middle of sending that the server's task is cancelled."""
    over, pieces = threading.Event(), []

    def endless() -> Iterator[bytes]:
        try:
            while True:
                pieces.append(1)
                yield bytes(65536)
        finally:
            over.set()

    async def view(request: Request) -> Response:
        return StreamingResponse(asgi_stream(endless()))

    gc.disable()
    try:
        with uvicorn_thread.serving(Starlette(routes=[Route("/", view)])) as port:
            answer = uvicorn_thread.ask(port, "GET", "/")
            told = [0]

            def stands_still() -> bool:
                told.append(len(pieces))
                return told[-40:] == [told[-1]] * 40

            until(stands_still, 20)
            uvicorn_thread.leave(answer)
            assert over.wait(2)
    finally:
        gc.enable()


@pytest.mark.parametrize("way", ["FastAPI, def", "FastAPI, async def"])
def test_who_leaves_before_the_question_is_read_is_no_error(
    plain: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    path = "/async/ask" if way == "FastAPI, async def" else "/ask"
    with closing(web_service.Service(plain.client())) as service:
        monkeypatch.setitem(web_service._services, os.getpid(), service)
        with uvicorn_thread.serving(fastapi_app.app) as port:
            with socket.create_connection(("127.0.0.1", port), 20) as visitor:
                visitor.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "Content-Length: 100\r\n\r\n{".encode()
                )
            uvicorn_thread.leave(uvicorn_thread.ask(port, "GET", "/"))  # so it has seen the other, too
        assert plain.server.sessions == []
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
