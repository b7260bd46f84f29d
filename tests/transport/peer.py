"""A server of raw bytes, so that every nasty thing can be played: a thread a connection, each wait with a deadline."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import selectors
import socket
import ssl
import struct
import threading
import time
from typing import Callable, Optional, TypeVar, Union

from realtime_sync.server.certificates import wrap

PATIENCE = 10.0
T = TypeVar("T")
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: Union[bytes, str] = b"", fin: bool = True, rsv: int = 0) -> bytes:
    """An unmasked frame, as servers send them."""
    data = payload.encode() if isinstance(payload, str) else payload
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if len(data) < 126:
        head += bytes([len(data)])
    elif len(data) < 65536:
        head += struct.pack("!BH", 126, len(data))
    else:
        head += struct.pack("!BQ", 127, len(data))
    return head + data


def close_frame(code: int, reason: Union[bytes, str] = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + (reason.encode() if isinstance(reason, str) else reason))


class Link:
    """The server's end of one connection; one thread may read while another sends, with TLS, too."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.head = b""
        self._buffer = b""
        self._io = threading.Lock()  # guards each call on sock: OpenSSL takes one thread at a time
        sock.setblocking(False)

    def _patiently(self, call: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self._io:
                    return call()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError) as exc:
                writing = isinstance(exc, ssl.SSLWantWriteError) or call.__name__ == "write"
                with selectors.DefaultSelector() as selector:
                    selector.register(self.sock, selectors.EVENT_WRITE if writing else selectors.EVENT_READ)
                    if not selector.select(deadline - time.monotonic()):
                        raise TimeoutError("the client does nothing") from None

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:

            def write() -> int:
                return self.sock.send(view[:16384])  # noqa: B023

            view = view[self._patiently(write) :]

    def receive(self) -> bytes:
        """Some bytes; none at the end."""
        return self._patiently(lambda: self.sock.recv(65536))

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.receive()
            if not data:
                raise EOFError(f"the client is gone, {count - len(self._buffer)} bytes too early")
            self._buffer += data
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def read_head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            data = self.receive()
            if not data:
                raise EOFError("the client is gone within its request")
            self._buffer += data
        self.head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return self.head

    def header(self, name: str) -> Optional[str]:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    def upgrade(self, *lines: str, behind: bytes = b"") -> None:
        """Read the request and accept it; ``behind`` goes out in the same write."""
        if not self.head:
            self.read_head()
        key = (self.header("sec-websocket-key") or "").encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        answer += [f"Sec-WebSocket-Accept: {accept}", *lines, "", ""]
        self.send("\r\n".join(answer).encode("latin-1") + behind)

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the client's next frame, which must be masked and whole."""
        first, second = self.read(2)
        assert first & 0x80, "a fragment, and we send none"
        assert second & 0x80, "an unmasked frame"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read(8))
        mask = self.read(4)
        data = self.read(length)
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        return first & 0x0F, (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")

    def read_to_end(self) -> bytes:
        """All that the client still sends, until it closes or resets."""
        parts = [self._buffer]
        self._buffer = b""
        try:
            while True:
                parts.append(self.receive())
                if not parts[-1]:
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        return b"".join(parts)

    def reset(self) -> None:
        """Close by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Link], object]


def flood(data: bytes) -> Callable[[Link], None]:
    """Sends ``data`` after the request, again and again, as fast as it is taken."""

    def script(link: Link) -> None:
        link.read_head()
        with contextlib.suppress(OSError):
            while True:
                link.send(data)

    return script


ENDLESS_HEADS = {
    "interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
    "one that is large": b"HTTP/1.1 103 Early Hints\r\n" + b"Link: </x>\r\n" * 8000 + b"\r\n",
    "headers": b"HTTP/1.1 101 Switching Protocols\r\n" + b"a: b\r\n" * 10000,
    "one line": b"HTTP/1.1 101 " + b"x" * 70000,
    "no HTTP": b"x" * 70000,
}


class Peer:
    """Listens on loopback and runs ``script`` for every connection; what a script raises is raised at the end.

    ``tls`` wraps each connection before the script sees it. ``small_buffers`` makes the client's senders block soon.
    """

    def __init__(
        self,
        script: Script,
        tls: Optional[ssl.SSLContext] = None,
        host: str = "127.0.0.1",
        small_buffers: bool = False,
    ) -> None:
        self._script, self._tls = script, tls
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if small_buffers:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind((host, 0))
        self._listener.listen(16)
        self.host, self.port = host, self._listener.getsockname()[1]
        self.failures: list[BaseException] = []
        self.accepted = 0
        self._threads = [threading.Thread(target=self._accept, name="peer", daemon=True)]
        self._stop = threading.Event()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self._tls else 'ws'}://{host}:{self.port}/realtime?model=m"

    def __enter__(self) -> Peer:
        self._threads[0].start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        with socket.socket(self._listener.family) as wake:  # accept() up
            wake.settimeout(1)
            with contextlib.suppress(OSError):
                wake.connect((self.host, self.port))
        for thread in self._threads:
            thread.join(PATIENCE + 2)
            assert not thread.is_alive(), "a script of the peer hangs"
        self._listener.close()
        if self.failures and kind is None:
            raise self.failures[0]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stop.is_set():
                sock.close()
                return
            self.accepted += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # else TLS costs 40 ms for each connection
            self._threads.append(threading.Thread(target=self._serve, args=(sock,), name="peer link", daemon=True))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        try:
            if self._tls is not None:
                sock = wrap(self._tls, sock)
                sock.do_handshake()
        except OSError:  # the client did not like us, or the test is over
            sock.close()
            return
        try:
            self._script(Link(sock))
        except BaseException as exc:
            self.failures.append(exc)
        finally:
            sock.close()
