"""The pytest plugin: fixtures over the embedded server, which is loaded when one of them is used.

- ``realtime_server``: a ``RealtimeServer``, closed after the test.
- ``realtime_client``: an ``OpenAIClient`` on that server.
- ``realtime_session``: an open session of that client with the model ``gpt-realtime-2.1``, closed after the test.

A fixture of your own by the name ``realtime_server`` takes the first one's place, for the other two as well::

    @pytest.fixture
    def realtime_server():
        with RealtimeServer(responder=lambda turn: "It is a coast redwood.") as server:
            yield server
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

import pytest

if TYPE_CHECKING:
    from realtime_sync.server import RealtimeServer
    from realtime_sync.services import OpenAIClient
    from realtime_sync.session import RealtimeConversationSession

# Imported in the fixtures: every pytest run loads this plugin, and most need neither the server nor the client.


@pytest.fixture
def realtime_server() -> Iterator[RealtimeServer]:
    """An embedded server with its defaults; ``realtime_server.url`` is what a client's ``endpoint`` takes."""
    from realtime_sync.server import RealtimeServer

    with RealtimeServer() as server:
        yield server


@pytest.fixture
def realtime_client(realtime_server: RealtimeServer) -> OpenAIClient:
    """An ``OpenAIClient`` on ``realtime_server``, which lets in any key."""
    from realtime_sync.services import OpenAIClient

    # No proxy: the server is in this process.
    return OpenAIClient("any-key", endpoint=realtime_server.url, proxy=False)


@pytest.fixture
def realtime_session(realtime_client: OpenAIClient) -> Iterator[RealtimeConversationSession]:
    """An open session on ``realtime_server`` with the model ``gpt-realtime-2.1``; closed after the test."""
    client = realtime_client.get_realtime_conversation_client("gpt-realtime-2.1")
    with client, client.start_conversation_session() as session:
        yield session
