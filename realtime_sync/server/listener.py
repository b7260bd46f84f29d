"""The listening socket: accepts, and hands each connection to a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import ssl
import sys
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.http import RequestHandler

if TYPE_CHECKING:
    from realtime_sync.server.server import RealtimeServer

_log = logging.getLogger("realtime_sync.server")


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
        accepted, address = super().get_request()
        if self._tls is not None:
            accepted = self._tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
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
