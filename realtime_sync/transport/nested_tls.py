"""TLS inside of TLS: a wss:// server behind an https:// proxy, which ssl.SSLSocket cannot do."""

from __future__ import annotations

import ssl
from typing import Protocol, Union

CHUNK = 65536


class Stream(Protocol):
    """What the transport needs of a non-blocking socket, plain or TLS; it raises what ssl.SSLSocket raises."""

    def recv(self, count: int, /) -> bytes:
        """Up to ``count`` bytes; none at the end."""

    def send(self, data: Union[bytes, memoryview], /) -> int:
        """How many bytes were taken."""

    def fileno(self) -> int:
        """What a selector watches; -1 after ``close``."""

    def close(self) -> None:
        """Release the descriptor, with no farewell."""


class NestedTLS:
    """A TLS connection over ``outer``, in memory; calls must not overlap, as with any OpenSSL object."""

    def __init__(self, outer: Stream, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._unsent = memoryview(b"")
        self._taken = 0

    def do_handshake(self) -> None:
        """One step; raises SSLWantReadError or SSLWantWriteError until it is done."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
        self._flush()

    def recv(self, count: int, /) -> bytes:
        """Up to ``count`` bytes; none at the end."""
        while True:
            try:
                return self._tls.read(count)
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            try:
                self._flush()  # what TLS itself has to say
            except ssl.SSLWantWriteError:  # a writer will go on with it; reading must not wait for that
                pass
            self._feed()

    def send(self, data: Union[bytes, memoryview], /) -> int:
        """How much was taken. After SSLWantWriteError the same data must be given again, as OpenSSL wants it."""
        if not self._taken:
            self._taken = self._tls.write(data)
        self._flush()
        taken, self._taken = self._taken, 0
        return taken

    def _flush(self) -> None:
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read(CHUNK))
            self._unsent = self._unsent[self._outer.send(self._unsent) :]

    def _feed(self) -> None:
        data = self._outer.recv(CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def fileno(self) -> int:
        """The descriptor of the socket at the bottom."""
        return self._outer.fileno()

    def close(self) -> None:
        """Close the socket at the bottom, with no word of either TLS."""
        self._outer.close()
