"""uvicorn on a thread of the test's process, and what it still holds: its connections are a browser's, real ones."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.core.harness import until


@contextmanager
def serving(app: Any, *, lifespan: str = "off") -> Iterator[int]:
    """Serve an ASGI application; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            app, log_level="warning", log_config=None, lifespan=lifespan, timeout_graceful_shutdown=5
        )  # type: ignore[arg-type]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            until(lambda: server.started, 20)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
    """The beginning of an answer; ``read1`` has the rest as it comes, ``leave`` ends it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.connection = connection  # type: ignore[attr-defined]
    return answer


def leave(answer: http.client.HTTPResponse) -> None:
    """Close the connection, whether the answer is complete or not."""
    answer.close()
    answer.connection.close()  # type: ignore[attr-defined]


def pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Its body as it comes."""
    while piece := answer.read1(65536):
        yield piece
    leave(answer)
