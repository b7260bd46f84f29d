"""The HTTP side of the server: requests, the upgrade, refusals."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

from wsproto.utilities import RemoteProtocolError

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.auth import HttpRefusal, SocketRefusal, admit
from realtime_sync.server.connection import Handler, ServerConnection, accept
from realtime_sync.server.faults import Refusal
from realtime_sync.server.rest import RestRequest
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json, new_id

if TYPE_CHECKING:
    from realtime_sync.server.server import RealtimeServer

_log = logging.getLogger("realtime_sync.server")
_MAX_BODY = 1024 * 1024  # of a REST request
_HANDSHAKE_TIMEOUT = 30.0  # seconds that a client may take for TLS and for its request


class _RefusingHandler(Handler):
    """Accepts, tells one error, closes."""

    def __init__(self, refusal: SocketRefusal) -> None:
        self._refusal = refusal

    def on_open(self) -> None:
        assert self.connection is not None
        error = self._refusal.error.event(None)
        event = {"type": "error", "event_id": new_id("event"), "error": error["error"]}
        self.connection.send_text(json.dumps(event, separators=(",", ":")))
        self.connection.close(self._refusal.code, self._refusal.reason)


class RequestHandler(BaseHTTPRequestHandler):
    """One connection: its request and, if that is an upgrade, its WebSocket until that ends."""

    protocol_version = "HTTP/1.1"
    server_version = "realtime_sync"
    sys_version = ""
    # Unbuffered: bytes that follow the request belong to the WebSocket and may not be swallowed here.
    rbufsize = 0
    request: socket.socket
    realtime: RealtimeServer
    _url: SplitResult

    def setup(self) -> None:
        """Do the TLS handshake here, on the connection's own thread, where it cannot hold up the others."""
        self.request.settimeout(_HANDSHAKE_TIMEOUT)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        super().setup()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: their lines may hold keys in the query."""

    def parse_request(self) -> bool:
        """Also take the target apart; one that is no URL is refused."""
        if not super().parse_request():
            return False
        self.close_connection = True
        try:
            self._url = urlsplit(self.path)
        except ValueError:
            self._answer(400, _error("The request's target is no URL.", None))
            return False
        return True

    def do_GET(self) -> None:
        """Serve a handshake, or say why not."""
        url = self._url
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        refusal = self.realtime.take_refusal()
        if refusal is not None:
            self._refuse(refusal)
            return
        decision = admit(url.path, query, headers, self.realtime.policy)
        if self.realtime.rest.knows(url.path):
            self._answer(405, _error("Only POST requests are accepted.", "method_not_supported"), {"allow": "POST"})
        elif isinstance(decision, HttpRefusal):
            self._answer(decision.status, decision.body)
        elif headers.get("upgrade", "").lower() != "websocket":
            self._answer(426, _error("This is a WebSocket endpoint: send an upgrade request.", "upgrade_required"))
        elif isinstance(decision, SocketRefusal):
            self._serve(_RefusingHandler(decision), headers)
        else:
            try:
                handler = self.realtime.new_handler(decision, Upgrade(url.path, query, headers))
            except Exception as error:  # a part of the user's, or one that lacks its model
                _log.exception("a session could not be begun")
                reason = f": {error}" if isinstance(error, ConfigurationError) else "; its log says why."
                self._answer(500, _error(f"The server could not begin a session{reason}", "server_error"))
                return
            if handler is None:  # live, 2026-07
                self._answer(404, _error("No session found for the provided call_id", "call_id_not_found"))
            else:
                self._serve(handler, headers)

    def do_POST(self) -> None:
        """Perform a REST operation, or say why not."""
        url = self._url
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        if body is None:
            return
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        answer = self.realtime.rest.answer(RestRequest(path=url.path, query=query, headers=headers, body=body))
        self._answer(answer.status, answer.body, answer.headers)

    def _body(self, headers: Mapping[str, str]) -> bytes | None:
        """The request's body; None if it cannot be had, which has then been answered."""
        told = headers.get("content-length", "0" if "transfer-encoding" not in headers else "")
        if not told.isdecimal():
            self._answer(411, _error("A Content-Length is required.", None))
            return None
        if int(told) > _MAX_BODY:
            self._answer(413, _error(f"The request is larger than {_MAX_BODY} bytes.", None))
            return None
        body = b""
        while len(body) < int(told):  # unbuffered: a read returns what has come so far
            more = self.rfile.read(int(told) - len(body))
            if not more:
                raise ConnectionAbortedError
            body += more
        return body

    def _serve(self, handler: Handler, headers: Mapping[str, str]) -> None:
        offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        try:
            websocket, answer = accept(encoded, self.path, "realtime" if "realtime" in offered else None)
        except RemoteProtocolError as error:
            self._answer(400, _error(f"Invalid WebSocket handshake: {error}", None))
            return
        self.rfile.close()  # it holds on to the socket, which could then not be closed under it
        faults = self.realtime.faults
        if faults.slow_handshake:
            self._drip(answer, faults.slow_handshake)
        else:
            self.request.sendall(answer[: faults.handshake_bytes])
        if faults.handshake_bytes is not None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        connection = ServerConnection(
            self.request, websocket, handler, pong_timeout=self.realtime.settings.pong_timeout
        )
        handler.connection = connection
        self.realtime.serve(handler, connection)

    # Answers ---------------------------------------------------------------------------------------------------

    def _answer(self, status: int, body: Json | str, headers: Mapping[str, str] | None = None) -> None:
        told = {} if isinstance(body, str) else {"content-type": "application/json"}
        text = body if isinstance(body, str) else json.dumps(body)
        self._refuse(Refusal(status, {**told, **(headers or {})}, text))

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body.encode()
        self.send_response(refusal.status)
        request_id = new_id("req")
        headers = {"x-request-id": request_id, "apim-request-id": request_id, "connection": "close"}
        for name, value in {**headers, **refusal.headers}.items():
            self.send_header(name, value)
        if refusal.framing == "chunked":
            self.send_header("transfer-encoding", "chunked")
            middle = len(body) // 2
            parts = [part for part in (body[:middle], body[middle:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif refusal.framing != "until-close":
            self.send_header("content-length", str(len(body)))
            body = body[: len(body) // 2] if refusal.framing == "truncated" else body
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, data: bytes, seconds: float) -> None:
        """Send byte by byte; the server's ``close()`` breaks it off."""
        for index in range(len(data)):
            if self.realtime.closing.wait(seconds):
                raise ConnectionAbortedError
            self.request.sendall(data[index : index + 1])


def _error(message: str, code: str | None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
