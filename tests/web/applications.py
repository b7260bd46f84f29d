"""The example applications as processes of their own, behind a real server, and what a browser asks of them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from realtime_sync.server import RealtimeServer
from tests.core.harness import KEY, until
from tests.web.events import events

EXAMPLES = Path(__file__).parents[2] / "examples"
FLASK = "flask_app.app:create_app()"
DJANGO = "django_app.app:application"
# Generous: five workers may share two cores, and a worker imports Django or gevent first.
START_SECONDS = 40


def environment(server: Optional[RealtimeServer], **more: str) -> dict[str, str]:
    """Of a process that talks to this server; None: that has no key."""
    told = {} if server is None else {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
    path = os.pathsep.join([str(EXAMPLES), str(Path(__file__).parents[2])])
    return {**os.environ, **told, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **more}


class Application:
    """An application behind gunicorn, on a free port; a context manager."""

    def __init__(
        self, name: str, server: Optional[RealtimeServer], folder: Path, *options: str, **environ: str
    ) -> None:
        self._log = folder / "gunicorn.log"
        config = ("-c", str(EXAMPLES / "gunicorn_conf.py")) if "-c" not in options else ()
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            *config,
            *options,
            "--bind",
            "127.0.0.1:0",
            "--access-logfile",
            "-",
        ]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, name], cwd=EXAMPLES, env=environment(server, **environ), stdout=log, stderr=log
            )
        self.port = 0

    def __enter__(self) -> Application:
        try:
            self.port = int(self.logged(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
            self.logged(r"Booting worker with pid")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

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

    def reload(self) -> None:
        """A new worker, and the end of the old one."""
        self.process.send_signal(signal.SIGHUP)

    def request(self, method: str, path: str, body: Any = None, timeout: float = 50, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection)

    def ask(self, question: str, **headers: str) -> Answer:
        return self.request("POST", "/ask", {"question": question}, **headers)


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
