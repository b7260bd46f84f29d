"""``connect()``: name, TCP, proxy, TLS and handshake under one deadline, to an open ``Connection``."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from typing import Mapping, Optional, Sequence

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionFailedError
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.channel import Channel
from realtime_sync.transport.connection import Connection
from realtime_sync.transport.duplex import Duplex
from realtime_sync.transport.handshake import ServerAddress, UpgradeRequest, upgrade
from realtime_sync.transport.proxies import Proxy, open_tunnel
from realtime_sync.transport.tls import default_ssl_context
from realtime_sync.transport.waiting import Cancellation

MAX_MESSAGE_BYTES = 64 * 2**20


def connect(
    url: str,
    *,
    headers: Mapping[str, str],
    subprotocols: Sequence[str] = ("realtime",),
    timeouts: Timeouts,
    proxy: Optional[str] = None,
    ssl_context: Optional[ssl.SSLContext] = None,
    max_message_bytes: Optional[int] = MAX_MESSAGE_BYTES,
    cancellation: Optional[Cancellation] = None,
) -> Connection:
    """Open a WebSocket connection to ``url`` (ws:// or wss://), within ``timeouts.connect`` seconds in all.

    ``proxy``: URL of an HTTP or SOCKS proxy; None connects directly (the environment is not asked here).
    ``ssl_context``: None means ``default_ssl_context()``. ``max_message_bytes``: the largest message, in bytes of
    payload, that the peer may send; None is no limit. ``cancellation`` ends the attempt at once.

    Raises ConfigurationError before anything is sent, else a ConnectionFailedError: ConnectTimeoutError,
    ConnectCancelledError, TLSError, ProxyError, or a HandshakeError by status.
    """
    target = ServerAddress.parse(url)
    request = UpgradeRequest(target, dict(headers), tuple(subprotocols))
    deadline = Deadline(timeouts.connect, "Timeouts.connect")
    with open_channel(target, timeouts, deadline, proxy, ssl_context, cancellation) as channel:
        subprotocol, answered = upgrade(channel, request)
        return Connection(Duplex(*channel.release(), timeouts, max_message_bytes), subprotocol, answered)


@contextlib.contextmanager
def open_channel(
    target: ServerAddress,
    timeouts: Timeouts,
    deadline: Deadline,
    proxy: Optional[str],
    ssl_context: Optional[ssl.SSLContext],
    cancellation: Optional[Cancellation],
) -> Iterator[Channel]:
    """A channel to ``target``: name, TCP, proxy and TLS are behind it. What was not released is closed at the end.

    The arguments and errors are those of ``connect()``.
    """
    via = Proxy.parse(proxy) if proxy else None
    context = ssl_context
    if context is None and (target.secure or (via is not None and via.scheme == "https")):
        context = default_ssl_context()
    try:
        channel = Channel(timeouts, deadline, cancellation or Cancellation())
        try:
            if via is None:
                channel.dial(target.host, target.port)
            else:
                open_tunnel(channel, via, target.host, target.port, context)
            if target.secure:
                assert context is not None
                channel.start_tls(context, target.host)
            yield channel
        finally:  # after an interrupt, too
            channel.close()
    except ConnectionFailedError:
        raise
    except OSError as exc:  # no descriptor is left for a wake-up or a selector
        raise ConnectionFailedError(
            f"No connection could be set up: {exc.strerror}. Close what this process does not need any more, or allow "
            "it more open files (ulimit -n)."
        ) from exc
