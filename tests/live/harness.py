"""Servers, clients and GPT-Live sessions for the tests of this folder."""

from __future__ import annotations

from typing import Any

from realtime_sync import LiveSession, RealtimeConversationClient
from realtime_sync.server import TwinSession
from tests.core.harness import CALM, KEY, House, Running, client_threads, until, within
from tests.transport.peer import Link, Peer

__all__ = ["CALM", "KEY", "LiveHouse", "Running", "client_threads", "until", "within"]


class LiveHouse(House):
    """One scheme (ws or wss), and what a test opens on it; all is closed at the end."""

    def start(self, *arguments: Any, client: dict[str, Any] | None = None, **options: Any) -> LiveSession:
        """A GPT-Live session with the latest server; ``client``: options of the client."""
        session = self.client(**client or {}).start_live_session(*arguments, **options)
        self.stack.enter_context(session)
        self.stack.callback(self._hang_up)
        return session

    def _hang_up(self) -> None:
        """End what a test has left open: a close would wait 0.7 s for the service's word, as tests of closing do."""
        for twin in self.server.live_sessions:
            twin.end("remote_hangup")

    def silent(self, **options: Any) -> RealtimeConversationClient:
        """A client of a peer that upgrades, and then says nothing."""

        def say_nothing(link: Link) -> None:
            link.upgrade()
            link.read_to_end()

        return self.client(self.stack.enter_context(Peer(say_nothing, self.server_tls())).url, **options)

    @property
    def twin(self) -> TwinSession:
        """The server's side of the latest session."""
        return self.server.live_sessions[-1]
