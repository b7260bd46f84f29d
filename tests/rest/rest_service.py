"""A service of raw bytes for REST requests: answers one after the other, and keeps what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from typing import Any, Callable, Optional, Union

import attrs

from tests.transport.peer import Link, Peer

Script = Callable[[Link], object]
SECRET = {"value": "ek_abc123", "expires_at": 1893456000, "session": {"type": "realtime", "id": "sess_1"}}


@attrs.frozen
class Asked:
    """One request."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split()[1]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(status: int, *headers: str, body: Union[str, dict[str, Any]] = "") -> bytes:
    """An HTTP answer."""
    text = json.dumps(body) if isinstance(body, dict) else body
    lines = [f"HTTP/1.1 {status} Said", *headers, f"Content-Length: {len(text)}", "Connection: close", "", text]
    return "\r\n".join(lines).encode()


def secret() -> bytes:
    """The answer to a request for a client secret."""
    return answer(200, body=SECRET)


class Service(Peer):
    """Says ``answers`` one after the other, a connection each; one that is a function gets the connection instead."""

    def __init__(self, *answers: Union[bytes, Script], tls: Optional[ssl.SSLContext] = None) -> None:
        super().__init__(self._serve_request, tls)
        self.asked: list[Asked] = []
        self._answers = list(answers)
        self._lock = threading.Lock()  # guards asked and _answers
        self._scheme = "https" if tls else "http"

    def __enter__(self) -> Service:
        super().__enter__()
        return self

    @property
    def endpoint(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}/v1"

    def _serve_request(self, link: Link) -> None:
        line, *lines = link.read_head().decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = link.read(int(headers.get("content-length", 0)))
        with self._lock:
            self.asked.append(Asked(line, headers, body))
            said = self._answers.pop(0)
        if callable(said):
            said(link)
        else:
            link.send(said)
