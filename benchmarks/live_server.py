"""The other side of many live sessions: one thread, so that it takes little of the machine that is measured.

A process of its own; it prints its port. The model in the URL is ``live-N``: of so many sessions, each has its own
place in the tenth of a second. From its first message on, a session gets 100 ms of audio each 100 ms. What it sends is
thrown away, pings and close frames, too: no session lives longer than some ten seconds.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time

from events import BEGUN, EVENTS, frame
from load_server import IDLE, shake_hands

PERIOD = 0.1  # seconds
DELTA = frame(EVENTS["audio"])


class LiveServer:
    """``due`` is a heap: when each session's next delta is, the session's number, and its socket."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.numbers = itertools.count()
        self.due: list[tuple[float, int, socket.socket]] = []

    def run(self) -> None:
        """Serve until nothing has happened for a while: who started this process is gone."""
        while True:
            wait = max(0.0, self.due[0][0] - time.monotonic()) if self.due else IDLE
            ready = self.selector.select(wait)
            if not ready and not self.due:
                return
            for key, _ in ready:
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.receive(key)
            while self.due and self.due[0][0] <= time.monotonic():
                due, number, sock = heapq.heappop(self.due)
                if self.sent(sock, DELTA):
                    heapq.heappush(self.due, (due + PERIOD, number, sock))

    def accept(self) -> None:
        """Greet one more session."""
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _, sessions = shake_hands(sock)
        sock.sendall(frame(EVENTS["created"]))
        number = next(self.numbers)
        self.selector.register(sock, selectors.EVENT_READ, (number, number % sessions / sessions * PERIOD))

    def receive(self, key: selectors.SelectorKey) -> None:
        """Throw away what a session sends; the first time, begin to send to it."""
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        try:
            received = sock.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            self.selector.unregister(sock)
            sock.close()
        elif key.data and self.sent(sock, frame(BEGUN)):
            number, offset = key.data
            self.selector.modify(sock, selectors.EVENT_READ)
            heapq.heappush(self.due, ((time.monotonic() // PERIOD + 1) * PERIOD + offset, number, sock))

    @staticmethod
    def sent(sock: socket.socket, data: bytes) -> bool:
        """Send it; false if the client has gone."""
        try:
            sock.sendall(data)
        except OSError:
            return False
        return True


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        print(listener.getsockname()[1], flush=True)
        LiveServer(listener).run()
