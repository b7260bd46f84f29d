"""What every example here begins with: a client as the environment tells, else one for the embedded server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from realtime_sync import ConfigurationError, ConversationResponse, OpenAIClient, RealtimeConversationClient


@contextmanager
def demo_client() -> Iterator[RealtimeConversationClient]:
    """``from_env()``, or without a key the embedded server in this process, which is closed in the end."""
    if environment_tells_something():
        try:
            client = RealtimeConversationClient.from_env()
        except ConfigurationError as error:
            raise SystemExit(str(error)) from None
        with client:
            yield client
        return

    from realtime_sync.server import RealtimeServer

    print("(No key in the environment, so the embedded server answers; it has no ears and little wit.")
    print(" Set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and friends, to talk to a model.)\n")
    with RealtimeServer() as server:
        yield OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime")


def environment_tells_something() -> bool:
    """True where a key or an endpoint is set, be it half of what is needed: a mistake is to be told, not hidden."""
    names = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL")
    return any(os.environ.get(name, "").strip() for name in names)


def print_failure(response: ConversationResponse) -> None:
    """Say why a response is not complete (a quota that is used up, a filter, a limit); nothing where it is."""
    if response.status != "completed":
        print(f"[the response is {response.status}: {response.status_details}]")
