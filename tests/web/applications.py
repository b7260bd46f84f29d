"""The example applications as processes of their own, behind a real server, and what a browser asks of them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, TypeVar

from realtime_sync.server import RealtimeServer
from tests.core.harness import KEY, until
from tests.web.events import events

EXAMPLES = Path(__file__).parents[2] / "examples"
FLASK = "flask_app.app:create_app()"
DJANGO = "django_app.app:application"
P = TypeVar("P", bound="Process")
# Generous: five workers may share two cores, and a worker imports Django or gevent first.
START_SECONDS = 40


def environment(server: Optional[RealtimeServer], **more: str) -> dict[str, str]:
    """Of a process that talks to this server; None: that has no key."""
    told = {} if server is None else {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
    path = os.pathsep.join([str(Path(__file__).parent / "census"), str(EXAMPLES), str(Path(__file__).parents[2])])
    return {**os.environ, **told, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


class Process:
    """An application behind a server, as a process of its own; a context manager.

    ``listening``: how its log tells the port, if that is to be waited for.
    """

    def __init__(
        self, command: list[str], listening: str, server: Optional[RealtimeServer], folder: Path, **environ: str
    ) -> None:
        self._log = folder / "application.log"
        self._census = folder / "census.txt"
        self._listening = listening
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=EXAMPLES,
                env=environment(server, CENSUS=str(self._census), **environ),
                stdout=log,
                stderr=log,
            )
        self.port = 0

    def __enter__(self: P) -> P:
        try:
            self.port = int(self.logged(self._listening)[1])
            self.began()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def began(self) -> None:
        """Return once it answers."""

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    @property
    def worker(self) -> int:
        """The process that runs the views."""
        return self.process.pid

    def threads_of_ours(self) -> int:
        """How many threads of the worker are in this library (``census``); greenlets are not seen."""
        self._census.unlink(missing_ok=True)
        os.kill(self.worker, signal.SIGRTMIN)
        until(self._census.exists, 20)
        return int(self._census.read_text())

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def logged(self, pattern: str, count: int = 1) -> re.Match[str]:
        """The ``count``-th place of the log that matches; waits for it."""

        def found() -> Optional[re.Match[str]]:
            assert self.process.poll() is None, self.log
            places = list(re.finditer(pattern, self.log))
            return places[count - 1] if len(places) >= count else None

        try:
            return until(found, START_SECONDS)  # type: ignore[no-any-return]
        except AssertionError as error:
            raise AssertionError(f"{pattern!r} is not in the log:\n{self.log}") from error

    def request(self, method: str, path: str, body: Any = None, timeout: float = 50, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection)

    def ask(self, question: str, **headers: str) -> Answer:
        return self.request("POST", "/ask", {"question": question}, **headers)


class Application(Process):
    """An application behind gunicorn, on a free port; a context manager."""

    def __init__(
        self, name: str, server: Optional[RealtimeServer], folder: Path, *options: str, **environ: str
    ) -> None:
        config = ("-c", str(EXAMPLES / "gunicorn_conf.py")) if "-c" not in options else ()
        command = ["gunicorn", *config, *options, "--bind", "127.0.0.1:0", "--access-logfile", "-", name]
        super().__init__(command, r"Listening at: http://127\.0\.0\.1:(\d+)", server, folder, **environ)

    def began(self) -> None:
        self.logged(r"Booting worker with pid")

    @property
    def worker(self) -> int:
        return int(self.logged(r"Booting worker with pid: (\d+)")[1])

    def reload(self) -> None:
        """A new worker, and the end of the old one."""
        self.process.send_signal(signal.SIGHUP)


class Uvicorn(Process):
    """An application behind uvicorn, on a free port."""

    def __init__(self, name: str, server: Optional[RealtimeServer], folder: Path, *options: str) -> None:
        command = ["uvicorn", "--port", "0", "--timeout-graceful-shutdown", "5", *options, name]
        super().__init__(command, r"Uvicorn running on http://127\.0\.0\.1:(\d+)", server, folder)


class Runserver(Process):
    """Django's development server, on a port that was free a moment ago: it does not tell which it was given."""

    def __init__(self, server: Optional[RealtimeServer], folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = ["django_app.app", "runserver", "--noreload", f"127.0.0.1:{port}"]
        super().__init__(command, r"Starting development server at http://127\.0\.0\.1:(\d+)", server, folder)


class Answer:
    """An HTTP answer whose body is read as it comes."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._response = connection.getresponse()
        self.status = self._response.status
        self.headers = self._response.headers

    def chunks(self) -> Iterator[bytes]:
        while piece := self._response.read1(65536):
            yield piece
        self.close()

    def events(self) -> Iterator[tuple[str, Any]]:
        return events(self.chunks())

    def body(self) -> bytes:
        return b"".join(self.chunks())

    def json(self) -> Any:
        return json.loads(self.body())

    def close(self) -> None:
        """Go away."""
        self._response.close()
        self._connection.close()
