"""A telephone that calls an application over a real WebSocket, in real time, and is late on purpose."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, Callable, Optional

import websocket
from flask import Flask
from werkzeug.serving import make_server

from realtime_sync.audio import g711
from tests.voice.phone_line import FRAME_BYTES, FRAME_SECONDS, PhoneLine, silence

_TICK_SECONDS = 0.005

Lateness = Callable[[random.Random], float]


def punctual(rng: random.Random) -> float:
    return 0.0


def jittery(rng: random.Random) -> float:
    """A bad network: up to half a second late."""
    return rng.uniform(0.0, 0.5)


class Phone:
    """One call, from ``with`` on. ``late``: how many seconds late each of its messages comes, in their order.

    ``lag``: likewise of those to it.
    """

    def __init__(self, url: str, line: PhoneLine, late: Lateness = punctual, lag: Lateness = punctual) -> None:
        self.line = line
        self._late = late
        self._lag = lag
        self._rng = random.Random(1)
        self._socket = websocket.create_connection(url, timeout=20)
        self._lock = threading.Lock()  # guards the line, and all below
        self._says: list[bytes] = []
        self._numbers = itertools.count()
        self._out: list[tuple[float, int, str]] = []
        self._in: list[tuple[float, int, str]] = []
        self._out_last = self._in_last = 0.0
        self.problem: Optional[BaseException] = None
        self._over = threading.Event()
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._read, self._run)]

    def __enter__(self) -> Phone:
        with self._lock:
            self._put(self.line.connected())
            self._put(self.line.started())
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.hang_up()
        for thread in self._threads:
            thread.join(20)
        self._socket.shutdown()
        assert self.problem is None, self.problem

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    def say(self, ulaw: bytes) -> None:
        """Say this, behind what is being said."""
        with self._lock:
            self._says.append(ulaw)

    def press(self, digit: str) -> None:
        with self._lock:
            self._put(self.line.pressed(digit))

    @property
    def over(self) -> bool:
        """Whether either side has hung up."""
        return self._over.is_set()

    @property
    def heard(self) -> int:
        """Bytes that were played."""
        with self._lock:
            return len(self.line.heard)

    def hang_up(self, *, politely: bool = True) -> None:
        """``politely``: with a ``stop``; else the connection breaks."""
        if self._over.is_set():
            return
        self._over.set()
        with suppress(OSError, websocket.WebSocketException):
            if politely:
                self._socket.send(self.line.stopped())
            self._socket.sock.shutdown(2)  # wakes the reading thread, too

    def _put(self, message: str) -> None:
        self._out_last = max(self._out_last, self.now + self._late(self._rng))
        heapq.heappush(self._out, (self._out_last, next(self._numbers), message))

    def _read(self) -> None:
        with suppress(OSError, websocket.WebSocketException):
            while message := self._socket.recv():
                with self._lock:
                    self._in_last = max(self._in_last, self.now + self._lag(self._rng))
                    heapq.heappush(self._in, (self._in_last, next(self._numbers), str(message)))
        self._over.set()

    def _run(self) -> None:
        try:
            frames = 0
            while not self._over.wait(_TICK_SECONDS):
                with self._lock:
                    frames = self._tick(frames)
                    due = list(self._due(self._out))
                for message in due:
                    self._socket.send(message)
        except (OSError, websocket.WebSocketException):
            pass  # the application has hung up
        except BaseException as problem:
            self.problem = problem
        self._over.set()

    def _tick(self, frames: int) -> int:
        for message in self._due(self._in):
            for mark in self.line.obey(message, self.now):
                self._put(mark)
        for mark in self.line.play(self.now):
            self._put(mark)
        while frames * FRAME_SECONDS <= self.now:
            frames += 1
            self._put(self.line.media(self._next_frame()))
        return frames

    def _due(self, messages: list[tuple[float, int, str]]) -> Iterator[str]:
        while messages and messages[0][0] <= self.now:
            yield heapq.heappop(messages)[2]

    def _next_frame(self) -> bytes:
        if not self._says:
            return silence(FRAME_SECONDS)
        frame, self._says[0] = self._says[0][:FRAME_BYTES], self._says[0][FRAME_BYTES:]
        if not self._says[0]:
            self._says.pop(0)
        return frame.ljust(FRAME_BYTES, b"\xff")


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The application on a port; its address."""
    web = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    with closing(web.socket):
        try:
            yield f"127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join(20)


def ulaw(pcm_24k: bytes) -> bytes:
    """16-bit PCM at 24,000 Hz, as a telephone has it."""
    samples: Any = g711.samples_of(pcm_24k)
    return g711.encode(g711.pcm_of(samples[::3]), "audio/pcmu")
