"""Of five hundred visitors, half leave in the middle: nothing of theirs is left in a server after five seconds."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.server import RealtimeServer, Turn
from tests.core.harness import until
from tests.web.applications import DJANGO, FLASK, Application, Process, Runserver, Uvicorn
from tests.web.events import events

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
VISITORS = 500
AT_ONCE = 24
GONE_SECONDS = 5.0
WAYS: dict[str, tuple[Callable[[RealtimeServer, Path], Process], str]] = {
    "gthread, Flask": (lambda server, folder: Application(FLASK, server, folder), "/ask"),
    "gevent, Flask": (lambda server, folder: Application(FLASK, server, folder, "-k", "gevent"), "/ask"),
    "gthread, Django": (lambda server, folder: Application(DJANGO, server, folder), "/ask"),
    "runserver, Django": (Runserver, "/ask"),
    "uvicorn, FastAPI, def": (lambda server, folder: Uvicorn("fastapi_app:app", server, folder), "/ask"),
    "uvicorn, FastAPI, async def": (lambda server, folder: Uvicorn("fastapi_app:app", server, folder), "/async/ask"),
    "uvicorn, Django": (lambda server, folder: Uvicorn("django_app.app:asgi", server, folder), "/ask"),
    "uvicorn, Starlette, plain": (lambda server, folder: Uvicorn("tests.web.plain_app:app", server, folder), "/ask"),
}


def answers(turn: Turn) -> Iterator[str]:
    """To those who stay, some words; to those who leave, words without an end, or none at all."""
    question = turn.text_of(turn.last or {})
    if question == "silence":
        turn.cancelled.wait(120)
        return
    for number in range(10 if question == "stay" else 10_000):
        yield f"{number} "
        if turn.cancelled.wait(0.02):
            return


class Visitors:
    """Visitors of one application, from addresses of their own."""

    def __init__(self, application: Process, path: str) -> None:
        self._application, self._path = application, path
        self._lock = threading.Lock()
        self.told: dict[str, int] = {"stayed": 0, "left": 0, "asked again": 0}
        self._headers = {"Content-Type": "application/json"}
        with self._connected("127.0.0.1", "GET", "/") as answer:  # Django's page has a token
            answer.read()
            if token := answer.headers.get("Set-Cookie"):
                token = token.split("csrftoken=")[1].split(";")[0]
                self._headers.update({"Cookie": f"csrftoken={token}", "X-CSRFToken": token})

    def _connected(self, address: str, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._application.port, 60, source_address=(address, 0))
        connection.request(method, path, body, {**self._headers, "Connection": "close"})
        return connection.getresponse()  # which has the connection's socket, since that is closed behind it

    def visit(self, number: int) -> None:
        question = ("stay", "leave", "stay", "silence")[number % 4]
        address = f"127.0.0.{1 + number % 100}"
        body = json.dumps({"question": question})
        answer = self._connected(address, "POST", self._path, body)
        while answer.status == 503:  # who have left are counted until it is noticed
            answer.close()
            self._count("asked again")
            time.sleep(0.1)
            answer = self._connected(address, "POST", self._path, body)
        assert answer.status == 200, answer.read()
        if question == "stay":
            assert [name for name, _ in events(iter(lambda: answer.read1(65536), b""))][-1] == "done"
        else:
            until_it_says = b"event: text" if question == "leave" else b": "
            while until_it_says not in answer.read1(65536):
                pass
        answer.close()
        self._count("stayed" if question == "stay" else "left")

    def _count(self, what: str) -> None:
        with self._lock:
            self.told[what] += 1

    def come(self, count: int) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.visit, range(count)))


def threads(application: Process) -> int:
    return len(os.listdir(f"/proc/{application.worker}/task"))


def descriptors(application: Process) -> int:
    return len(os.listdir(f"/proc/{application.worker}/fd"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_of_those_who_leave(way: str, tmp_path: Path, record_property: Any) -> None:
    start, path = WAYS[way]
    with RealtimeServer(responder=answers, record=False) as server, start(server, tmp_path) as application:
        visitors = Visitors(application, path)

        def open_sessions() -> int:
            return sum(live.close_code is None for live in server.sessions)

        visitors.come(2 * AT_ONCE)  # so that the server has what it keeps
        until(lambda: not open_sessions() and not application.threads_of_ours(), 20)
        before = {"descriptors": descriptors(application), "threads": threads(application)}
        began = time.monotonic()
        visitors.come(VISITORS)
        came = time.monotonic()
        at_once = {"sessions": open_sessions(), "of ours": application.threads_of_ours()}

        def left() -> dict[str, int]:
            more = descriptors(application) - before["descriptors"]
            return {"sessions": open_sessions(), "of ours": application.threads_of_ours(), "more descriptors": more}

        try:
            until(lambda: max(left().values()) <= 0, GONE_SECONDS)
        finally:
            record_property("visitors", f"{visitors.told} in {came - began:.1f} s")
            record_property("left at once", at_once)
            record_property("left", f"{left()} after {time.monotonic() - came:.1f} s")
            record_property("before and after", f"{before}, {threads(application)} threads")
    assert visitors.told["left"] >= VISITORS // 2
