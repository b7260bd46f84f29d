"""Servers, clients and sessions for the tests of the live session; it hands on what ``tests/harness.py`` has."""

from __future__ import annotations

import ssl
import sys
from contextlib import ExitStack
from typing import Any, Callable, Optional

import attrs
import trustme

from realtime_sync import OpenAIClient, RealtimeConversationClient, RealtimeConversationSession, Timeouts
from realtime_sync.server import RealtimeServer, ServerSession
from tests.harness import Running, Scheme, client_threads, descriptors, until, within
from tests.transport.peer import Link, Peer

__all__ = [
    "CALM",
    "KEY",
    "QUICK",
    "House",
    "Running",
    "client_threads",
    "delta",
    "descriptors",
    "numbers",
    "until",
    "waits_for_updates",
    "within",
]

# Short, so that every test ends soon; long enough for a machine whose two cores are busy.
QUICK = Timeouts(connect=5, greeting=3, send=0.7, acknowledge=5, close=1, ping_interval=0.3, ping=0.4)
CALM = Timeouts(connect=5, greeting=3, send=5, acknowledge=5, close=2)
KEY = "sk-a-key-that-nobody-may-see"


class House(Scheme):
    """One scheme (ws or wss), and what a test opens on it; all is closed at the end."""

    def __init__(self, scheme: str, ca: trustme.CA, stack: ExitStack) -> None:
        super().__init__(scheme, ca, stack)
        self._server: Optional[RealtimeServer] = None

    @property
    def client_tls(self) -> Optional[ssl.SSLContext]:
        return self.trusting() if self.secure else None

    def serve(self, **options: Any) -> RealtimeServer:
        self._server = self.stack.enter_context(RealtimeServer(ssl_context=self.server_tls(), **options))
        return self._server

    @property
    def server(self) -> RealtimeServer:
        """The latest server, or one with the defaults."""
        return self._server or self.serve()

    @property
    def live(self) -> ServerSession:
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
        waits = frames[0].f_code.co_filename.endswith("deadline.py")
        if waits and any(one.f_locals["self"] is stream for one in takes):
            waiting.append(ident)
    return waiting


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
