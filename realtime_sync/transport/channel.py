"""A socket while a connection is being set up: every wait obeys one deadline and one cancellation."""

from __future__ import annotations

import functools
import socket
import ssl
from typing import Callable, Optional, TypeVar, Union

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionFailedError
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.dialing import cancelled, dial, timed_out
from realtime_sync.transport.nested_tls import NestedTLS, Stream
from realtime_sync.transport.tls import tls_error, wrap
from realtime_sync.transport.waiting import READ, WRITE, Cancellation, Waiter, WakeUp, new_waiter

CHUNK = 65536
T = TypeVar("T")


class Channel:
    """Blocking calls on a non-blocking socket, each within the connect deadline and ended by the cancellation.

    Proxies, the handshake and REST requests talk over it. It looks enough like a socket (``sendall``, ``recv``) for
    python-socks. ``deadline`` is the one over all steps; ``doing`` is what a time-out's message says.
    """

    def __init__(self, timeouts: Timeouts, deadline: Deadline, cancellation: Cancellation) -> None:
        self._timeouts = timeouts
        self.deadline = deadline
        self.cancellation = cancellation
        self._wake_up: Optional[WakeUp] = WakeUp()
        self._wake = self._wake_up.set  # one object, so that unwatch finds it
        self._sock: Union[socket.socket, ssl.SSLSocket, NestedTLS, None] = None
        self._waiter: Optional[Waiter] = None
        self.received = b""  # has arrived and was not taken yet
        self.doing = "connecting"
        cancellation.watch(self._wake)

    def dial(self, host: str, port: int) -> None:
        """Resolve and connect by TCP."""
        assert self._wake_up is not None
        self._sock, self._waiter = dial(host, port, self._timeouts, self.deadline, self.cancellation, self._wake_up)

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Speak TLS from here on; ``host`` is the name to verify, and is sent to the server (SNI). Raises TLSError."""
        self.doing = f"in the TLS handshake with {host}"
        wrapped: Union[ssl.SSLSocket, NestedTLS]
        try:
            if isinstance(self._sock, ssl.SSLSocket):  # to the proxy
                wrapped = NestedTLS(self._sock, context, host)
            else:
                assert isinstance(self._sock, socket.socket)
                # It takes the descriptor over (same number, so the waiter stays right), or closes it.
                wrapped = wrap(context, self._sock, host)
        except (OSError, ValueError) as exc:  # ValueError: a host that is no name
            raise tls_error(exc, host) from exc
        self._sock = wrapped
        self._until_done(wrapped.do_handshake, READ, self.deadline, lambda exc: tls_error(exc, host))

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        assert self._sock is not None
        view, send = memoryview(data), self._sock.send
        while view:
            view = view[self._until_done(functools.partial(send, view), WRITE, self.deadline, self._broken) :]

    def recv(self, count: int, deadline: Optional[Deadline] = None) -> bytes:
        """At least one and at most ``count`` bytes, from what is here already if anything is; empty at the end."""
        if not self.received:
            assert self._sock is not None
            receive = functools.partial(self._sock.recv, CHUNK)
            self.received = self._until_done(receive, READ, deadline or self.deadline, self._broken)
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def _until_done(
        self, call: Callable[[], T], events: int, deadline: Deadline, error: Callable[[OSError], ConnectionFailedError]
    ) -> T:
        """What a non-blocking ``call`` on the socket returns; waits for what TLS wants, for ``events`` on a plain one.

        Raises ``error(exc)`` if the call fails with an OSError.
        """
        while True:
            # Before each call and not only before a wait: a peer that never pauses leaves nothing to wait for.
            if self.cancellation.cancelled:
                raise cancelled(self.doing)
            if not deadline.remaining:
                raise timed_out(self.deadline, self.doing)
            try:
                return call()
            except ssl.SSLWantReadError:
                wanted = READ
            except ssl.SSLWantWriteError:
                wanted = WRITE
            except BlockingIOError:
                wanted = events
            except OSError as exc:
                raise error(exc) from exc
            assert self._waiter is not None
            self._waiter.wait(wanted, deadline.remaining)

    def _broken(self, exc: OSError) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"The connection broke while {self.doing}: {exc.strerror or type(exc).__name__}. Try again, "
            "or check the server and what is between."
        )

    def release(self) -> tuple[Stream, Waiter, Waiter, WakeUp, bytes]:
        """Hand the parts over to a connection, a waiter to read and one to write; the channel is empty then.

        Raises ConnectCancelledError.
        """
        self.cancellation.unwatch(self._wake)
        if self.cancellation.cancelled:
            raise cancelled(self.doing)
        assert self._sock is not None
        assert self._waiter is not None
        assert self._wake_up is not None
        writing = new_waiter(self._sock.fileno(), self._wake_up)
        parts = (self._sock, self._waiter, writing, self._wake_up, self.received)
        self._sock = self._waiter = self._wake_up = None
        return parts

    def close(self) -> None:
        """Give up: release every descriptor. Idempotent."""
        self.cancellation.unwatch(self._wake)
        if self._waiter is not None:
            self._waiter.close()
        if self._sock is not None:
            self._sock.close()
        if self._wake_up is not None:
            self._wake_up.close()
