"""What every example here begins with: a client as the environment tells, else one for the embedded server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from realtime_sync import ConfigurationError, OpenAIClient, RealtimeConversationClient


@contextmanager
def demo_client() -> Iterator[RealtimeConversationClient]:
    """``from_env()``, or without a key the embedded server in this process, which is closed in the end."""
    try:
        client = RealtimeConversationClient.from_env()
    except ConfigurationError:
        from realtime_sync.server import RealtimeServer

        print("(No key in the environment, so the embedded server answers; it has no ears and little wit.")
        print(" Set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and friends, to talk to a model.)\n")
        with RealtimeServer() as server:
            yield OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime")
    else:
        with client:
            yield client
