"""The HTTP side of the server: the listening socket, requests, the upgrade, refusals."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import socket
import socketserver
import ssl
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Mapping, Optional, Union
from urllib.parse import parse_qsl, urlsplit

import attrs
from wsproto.utilities import RemoteProtocolError

from realtime_sync.errors import ConfigurationError
from realtime_sync.server.auth import Flavour, LiveDoor, SocketRefusal, admit, is_live
from realtime_sync.server.certificates import wrap
from realtime_sync.server.connection import Handler, ServerConnection, accept
from realtime_sync.server.faults import Refusal
from realtime_sync.server.rest import RestRequest
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Download, HttpAnswer, Refused, new_id

if TYPE_CHECKING:
    from realtime_sync.server.server import RealtimeServer

_log = logging.getLogger("realtime_sync.server")
_MAX_BODY = 1024 * 1024  # of a REST request
_HANDSHAKE_TIMEOUT = 30.0  # seconds that a client may take for TLS, for its request, and for the answer
_OUT_OF_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@attrs.define(slots=False)
class _RefusingHandler(Handler):
    """Accepts, tells one error, closes."""

    _refusal: SocketRefusal

    def on_open(self) -> None:
        assert self.connection is not None
        event = {"event_id": new_id("event"), **self._refusal.event}
        self.connection.send(json.dumps(event, separators=(",", ":")))
        self.connection.close(self._refusal.code, self._refusal.reason)


class _RequestReader(io.RawIOBase):
    """Reads a request, which must have come as a whole in time; the socket's own timeout begins anew with each byte."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._by = time.monotonic() + _HANDSHAKE_TIMEOUT

    def readable(self) -> bool:
        """See ``io.IOBase``."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See ``io.RawIOBase``. Raises ``TimeoutError``."""
        self._sock.settimeout(max(0.001, self._by - time.monotonic()))
        try:
            return self._sock.recv_into(buffer)
        finally:
            self._sock.settimeout(_HANDSHAKE_TIMEOUT)  # for the answer


class RequestHandler(BaseHTTPRequestHandler):
    """One connection: its request and, if that is an upgrade, its WebSocket until that ends."""

    protocol_version = "HTTP/1.1"
    server_version = "realtime_sync"
    sys_version = ""
    # Unbuffered: bytes that follow the request belong to the WebSocket and may not be swallowed here.
    rbufsize = 0
    request: socket.socket
    realtime: RealtimeServer
    _asked: Upgrade

    def setup(self) -> None:
        """Do the TLS handshake here, on the connection's own thread, where it cannot hold up the others."""
        self.request.settimeout(_HANDSHAKE_TIMEOUT)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        super().setup()
        self.rfile.close()
        self.rfile = _RequestReader(self.request)  # type: ignore[assignment]

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: their lines may hold keys in the query."""

    def parse_request(self) -> bool:
        """Also take the target apart; one that is no URL is refused."""
        if not super().parse_request():
            return False
        self.close_connection = True
        try:
            url = urlsplit(self.path)
        except ValueError:
            self._refuse(Refused(None, "The request's target is no URL."))
            return False
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._asked = Upgrade(url.path, dict(parse_qsl(url.query, keep_blank_values=True)), headers)
        why_foreign = self.realtime.why_foreign(headers)
        if why_foreign is not None:
            self._refuse(Refused("foreign_origin", why_foreign, status=403))
        return why_foreign is None

    def do_GET(self) -> None:
        """Serve a handshake, or say why not."""
        refusal = self.realtime.take_refusal()
        if refusal is not None:
            self._send(refusal)
            return
        asked = self._asked
        if self.realtime.rest.reads(asked.path):
            self._answer(self.realtime.rest.answer(RestRequest(asked.path, asked.query, asked.headers, b""), "GET"))
            return
        decision = admit(asked, self.realtime.policy)
        upgrades = asked.headers.get("upgrade", "").lower() == "websocket"
        if not (upgrades and is_live(asked.path)) and self.realtime.rest.knows(asked.path):
            refused = Refused("method_not_supported", "Only POST requests are accepted.", status=405)
            self._answer(attrs.evolve(refused.answer(), headers={"allow": "POST"}))
        elif isinstance(decision, HttpAnswer):
            self._answer(decision)
        elif not upgrades:
            told = "This is a WebSocket endpoint: send an upgrade request."
            self._refuse(Refused("upgrade_required", told, status=426))
        elif isinstance(decision, SocketRefusal):
            self._serve(_RefusingHandler(decision))
        else:
            self._begin(decision)

    def _begin(self, door: Union[Flavour, LiveDoor]) -> None:
        """Serve a session, or attach to that of a call."""
        try:
            handler = self.realtime.new_handler(door, self._asked)
        except Refused as refused:
            self._refuse(refused)
        except Exception as error:  # a part of the user's, or one that lacks its model
            _log.exception("a session could not be begun")
            reason = f": {error}" if isinstance(error, ConfigurationError) else "; its log says why."
            self._refuse(Refused("server_error", f"The server could not begin a session{reason}", status=500))
        else:
            self._serve(handler)

    def do_POST(self) -> None:
        """Perform a REST operation, or say why not."""
        asked = self._asked
        try:
            request = RestRequest(asked.path, asked.query, asked.headers, self._body())
        except Refused as refused:
            self._refuse(refused)
        else:
            self._answer(self.realtime.rest.answer(request))

    def _body(self) -> bytes:
        """The request's body. Raises ``Refused`` if it cannot be had."""
        headers = self._asked.headers
        told = headers.get("content-length", "0" if "transfer-encoding" not in headers else "")
        if not told.isdecimal():
            raise Refused(None, "A Content-Length is required.", status=411)
        if len(told) > 20:  # Python reads no number of more than some thousand digits
            raise Refused(None, "The Content-Length is no number of bytes.")
        if int(told) > _MAX_BODY:
            raise Refused(None, f"The request is larger than {_MAX_BODY} bytes.", status=413)
        body = b""
        while len(body) < int(told):  # unbuffered: a read returns what has come so far
            more = self.rfile.read(int(told) - len(body))
            if not more:
                raise ConnectionAbortedError
            body += more
        return body

    def _serve(self, handler: Handler) -> None:
        offered = [name.strip() for name in self._asked.headers.get("sec-websocket-protocol", "").split(",")]
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        try:
            websocket, answer = accept(encoded, self.path, "realtime" if "realtime" in offered else None)
        except RemoteProtocolError as error:
            self._refuse(Refused(None, f"Invalid WebSocket handshake: {error}"))
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
        pong_timeout = self.realtime.settings.pong_timeout
        connection = ServerConnection(self.request, websocket, handler, pong_timeout=pong_timeout)
        handler.connection = connection
        self.realtime.serve(handler, connection)

    # Answers ---------------------------------------------------------------------------------------------------

    def _refuse(self, refused: Refused) -> None:
        self._answer(refused.answer())

    def _answer(self, answer: HttpAnswer) -> None:
        if isinstance(answer.body, Download):
            self._head(answer.status, {**answer.headers, "content-length": str(answer.body.length)})
            for piece in answer.body.pieces:
                self.wfile.write(piece)
            return
        kind = {} if isinstance(answer.body, str) else {"content-type": "application/json"}
        body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        self._send(Refusal(answer.status, {**kind, **answer.headers}, body))

    def _send(self, refusal: Refusal) -> None:
        body = refusal.body.encode()
        headers = dict(refusal.headers)
        if refusal.framing == "chunked":
            headers["transfer-encoding"] = "chunked"
            middle = len(body) // 2
            parts = [part for part in (body[:middle], body[middle:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif refusal.framing != "until-close":
            headers["content-length"] = str(len(body))
            body = body[: len(body) // 2] if refusal.framing == "truncated" else body
        self._head(refusal.status, headers)
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        request_id = new_id("req")
        usual = {"x-request-id": request_id, "apim-request-id": request_id, "connection": "close"}
        for name, value in {**usual, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, data: bytes, seconds: float) -> None:
        """Send byte by byte; the server's ``close()`` breaks it off."""
        for index in range(len(data)):
            if self.realtime.closing.wait(seconds):
                raise ConnectionAbortedError
            self.request.sendall(data[index : index + 1])


class HttpListener(ThreadingHTTPServer):
    """Accepts, and serves each connection on a named daemon thread that the server knows."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], realtime: RealtimeServer, tls: Optional[ssl.SSLContext]) -> None:
        self._realtime = realtime
        self._tls = tls
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        handler = type("BoundRequestHandler", (RequestHandler,), {"realtime": realtime})
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind and listen."""
        # Not http.server's own: it asks for this machine's name, for which some resolvers take seconds.
        socketserver.TCPServer.server_bind(self)

    def shutdown(self) -> None:
        """End ``serve_forever`` at once."""
        # Else it sees the end only at its next poll. If this is no way to wake it (not Linux), it polls as before.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        super().shutdown()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept; a TLS handshake is left to the connection's own thread."""
        try:
            accepted, address = super().get_request()
        except OSError as error:
            if error.errno in _OUT_OF_ROOM:  # the next one would be refused, too, over and over
                self._realtime.closing.wait(0.1)
            raise
        if self._tls is not None:
            accepted = wrap(self._tls, accepted)
        return accepted, address

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        """Start the connection's thread."""
        self._realtime.start_connection(lambda: self.process_request_thread(request, client_address), request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log it, and go on."""
        # A peer that goes away in its handshake is everyday; anything else is a defect, here or in a test's own act.
        expected = isinstance(sys.exc_info()[1], OSError)
        level = logging.DEBUG if expected else logging.ERROR
        _log.log(level, "a connection ended with an error", exc_info=True)
