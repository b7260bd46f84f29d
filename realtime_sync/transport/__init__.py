"""The transport: a WebSocket connection for one reading thread and many sending ones, with and without TLS.

The only importer of ``websocket``, ``ssl`` and ``socket`` in the client; none of their exceptions leaves it.

    waiting      deadlines, cancellation, wake-ups, waiters
    tls          trusted authorities; what a TLS failure means
    nested_tls   TLS inside of TLS, for https:// proxies
    dialing      names to addresses, addresses to TCP sockets
    channel      a socket under the connect deadline
    proxies      CONNECT and SOCKS
    answer       HTTP answers
    refusal      a refused handshake as a typed error
    handshake    the opening handshake
    frames       a client's frames as bytes
    duplex       frames on a non-blocking socket, keepalive, endings
    connection   messages, the close handshake: the public class
    opening      connect()
    requesting   request()
"""

from typing import TYPE_CHECKING

from realtime_sync.lazy import lazily

if TYPE_CHECKING:
    from realtime_sync.transport.connection import Connection
    from realtime_sync.transport.frames import text_frame
    from realtime_sync.transport.opening import MAX_MESSAGE_BYTES, connect
    from realtime_sync.transport.refusal import handshake_error
    from realtime_sync.transport.requesting import request
    from realtime_sync.transport.tls import default_ssl_context
    from realtime_sync.transport.waiting import Cancellation
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "connection": "Connection",
            "frames": "text_frame",
            "opening": "MAX_MESSAGE_BYTES connect",
            "requesting": "request",
            "refusal": "handshake_error",
            "tls": "default_ssl_context",
            "waiting": "Cancellation",
        },
    )

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Cancellation",
    "Connection",
    "connect",
    "default_ssl_context",
    "handshake_error",
    "request",
    "text_frame",
]
