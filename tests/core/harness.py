"""Servers, clients and sessions for the tests of the live session, and calls on threads of their own."""

from __future__ import annotations

import os
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional

import attrs
import trustme

from realtime_sync import OpenAIClient, RealtimeConversationClient, RealtimeConversationSession, Timeouts
from realtime_sync.server import LiveSession, RealtimeServer
from tests.transport.peer import Link, Peer

# Short, so that every test ends soon; long enough for a machine whose two cores are busy.
QUICK = Timeouts(connect=5, greeting=3, send=0.7, acknowledge=5, close=1, ping_interval=0.3, ping=0.4)
CALM = Timeouts(connect=5, greeting=3, send=5, acknowledge=5, close=2)
KEY = "sk-a-key-that-nobody-may-see"


class House:
    """One scheme (ws or wss), and what a test opens on it; all is closed at the end."""

    def __init__(self, scheme: str, ca: trustme.CA, stack: ExitStack) -> None:
        self.scheme, self.ca, self.stack = scheme, ca, stack
        self._server: Optional[RealtimeServer] = None

    @property
    def client_tls(self) -> Optional[ssl.SSLContext]:
        if self.scheme == "ws":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without this machine's authorities: they take 20 ms to read
        self.ca.configure_trust(context)
        return context

    def server_tls(self) -> Optional[ssl.SSLContext]:
        if self.scheme == "ws":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        return context

    def serve(self, **options: Any) -> RealtimeServer:
        self._server = self.stack.enter_context(RealtimeServer(ssl_context=self.server_tls(), **options))
        return self._server

    @property
    def server(self) -> RealtimeServer:
        """The latest server, or one with the defaults."""
        return self._server or self.serve()

    @property
    def live(self) -> LiveSession:
        """The server's side of the latest session."""
        return self.server.sessions[-1]

    def client(self, url: Optional[str] = None, **options: Any) -> RealtimeConversationClient:
        options = {"timeouts": CALM, "ssl_context": self.client_tls, **options}
        client = OpenAIClient(KEY, endpoint=url or self.server.url, **options).get_realtime_conversation_client("m")
        return self.stack.enter_context(client)

    def open(self, url: Optional[str] = None, start: Optional[dict[str, Any]] = None, **options: Any) -> Any:
        """A session with the latest server (or at ``url``); typed loosely so that tests may try wrong types."""
        session: RealtimeConversationSession = self.client(url, **options).start_conversation_session(**start or {})
        return self.stack.enter_context(session)

    def raw(self, script: Callable[[Link], object], **options: Any) -> Any:
        """A session with a raw peer that upgrades, greets and then runs ``script``."""

        def run(link: Link) -> None:
            link.upgrade()
            script(link)

        options.setdefault("timeouts", attrs.evolve(CALM, close=0.2))  # it answers no close
        small = options.pop("small_buffers", False)
        peer = self.stack.enter_context(Peer(run, self.server_tls(), small_buffers=small))
        return self.open(peer.url, **options)


class Running:
    """A call on a thread of its own; ``result`` waits for it, with a deadline."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: Optional[BaseException] = None
        self._call = call
        self._thread = threading.Thread(target=self._run, name="test-running", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.value = self._call()
        except BaseException as exc:
            self.error = exc

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def result(self, seconds: float = 10) -> Any:
        self.join(seconds)
        if self.error is not None:
            raise self.error
        return self.value

    def join(self, seconds: float = 10) -> Optional[BaseException]:
        """Wait for the end; the error that it ended with, or None."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "it hangs"
        return self.error


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block takes longer; the time does not count in which the machine let nobody run."""
    over, stalled = threading.Event(), 0.0

    def sleep_lightly() -> None:
        nonlocal stalled
        before = time.monotonic()
        while not over.wait(0.01):
            now = time.monotonic()
            stalled += max(0.0, now - before - 0.02)
            before = now

    sleeper = threading.Thread(target=sleep_lightly, daemon=True)
    sleeper.start()
    started = time.monotonic()
    try:
        yield
        took = time.monotonic() - started
    finally:
        over.set()
        sleeper.join()
    assert took - stalled <= seconds, f"it took {took:.2f} s, {stalled:.2f} s of them the machine's"


def until(condition: Callable[[], Any], seconds: float = 5) -> Any:
    """Wait for what has no event to wait for: a thread's or a descriptor's end, bytes in a queue."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        pause.wait(0.005)
    return found


def waits_for_updates(session: Any, count: int = 1) -> None:
    """Return once so many threads wait for the session's next update: nothing in public tells that."""
    until(lambda: len(threads_waiting_in(session._engine.updates)) >= count)


def threads_waiting_in(stream: Any) -> list[int]:
    """The threads that wait for an update of this stream, at its queue or for the thread that is there."""
    waiting = []
    for ident, top in sys._current_frames().items():
        frames = []
        frame: Any = top
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        takes = (one for one in frames if one.f_code.co_name == "take")
        if frames[0].f_code.co_name == "wait" and any(one.f_locals["self"] is stream for one in takes):
            waiting.append(ident)
    return waiting


def client_threads() -> list[str]:
    """The threads of sessions that are alive; a server's are not among them."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("realtime-sync")]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def delta(number: int, size: int = 0) -> dict[str, Any]:
    """An update that is one of a series."""
    return {
        "type": "response.output_text.delta",
        "event_id": f"event_{number}",
        "response_id": "resp_1",
        "item_id": "item_1",
        "output_index": 0,
        "content_index": 0,
        "delta": f"{number} " + "x" * size,
    }


def numbers(updates: list[Any]) -> list[int]:
    return [int(update.delta.split()[0]) for update in updates]
