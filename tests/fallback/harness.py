"""Services, each an embedded server with a key of its own: OpenAI, Azure, its preview, and one of people's own."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import trustme

from realtime_sync import (
    AzureOpenAIClient,
    ConnectRetries,
    ConversationSessionOptions,
    FallbackSettings,
    OpenAIClient,
    RealtimeConversationClient,
    Reconnect,
)
from realtime_sync.server import Faults, RealtimeServer, Refusal
from tests.core.harness import CALM, House

QUICKLY = Reconnect(base_delay=0.02, max_delay=0.1, give_up_after=10, renew_before=None)
TEXT = ConversationSessionOptions(instructions="be kind", content_modalities=["text"])
DOWN = Faults(refuse=Refusal(503))
KEYS = {
    "openai": "sk-openai-key-0123456789",
    "azure": "azure-key-9876543210abc",
    "preview": "preview-key-5555555555xyz",
    "own": "own-key-777777777777",
}
MODELS = {"openai": "gpt-realtime-2.1", "azure": "my-deployment", "preview": "old-deployment", "own": "my-model"}


class Clock:
    """Time that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Town(House):
    """Servers of one scheme by the name of the service, and clients of them; all is closed at the end."""

    def __init__(self, scheme: str, ca: trustme.CA, stack: ExitStack) -> None:
        super().__init__(scheme, ca, stack)
        self.servers: dict[str, RealtimeServer] = {}

    def service(self, name: str, **options: Any) -> RealtimeServer:
        """The server of a service, which lets in its own key alone."""
        self.servers[name] = self.serve(api_keys=[KEYS[name]], **options)
        return self.servers[name]

    def client_of(self, name: str, **options: Any) -> RealtimeConversationClient:
        """A client of one service, whose server is made unless it is there."""
        server = self.servers.get(name) or self.service(name)
        retries = ConnectRetries(base_delay=0.01)
        options = {"timeouts": CALM, "retries": retries, "ssl_context": self.client_tls, **options}
        service: Any
        if name in ("openai", "own"):
            service = OpenAIClient(KEYS[name], endpoint=server.url, **options)
        else:
            version = "v1" if name == "azure" else "2025-04-01-preview"
            service = AzureOpenAIClient(server.azure_endpoint, KEYS[name], api_version=version, **options)
        client: RealtimeConversationClient = service.get_realtime_conversation_client(MODELS[name])
        return self.stack.enter_context(client)

    def combined(self, *names: str, clock: Clock | None = None, **settings: Any) -> RealtimeConversationClient:
        """The client of the first of these services, with fallbacks to the others."""
        first, *others = map(self.client_of, names)
        client = first.with_fallbacks(others, settings=FallbackSettings(**settings) if settings else None)
        assert client._chain is not None
        for service in client._chain.services if clock is not None else ():
            service.circuit._clock = clock  # type: ignore[assignment]
        return self.stack.enter_context(client)

    def session(self, client: RealtimeConversationClient, options: Any = TEXT, **start: Any) -> Any:
        """A session of a client; typed loosely so that tests may try wrong types."""
        return self.stack.enter_context(client.start_conversation_session(options, **start))


def states(client: RealtimeConversationClient) -> list[str]:
    return [each.state for each in client.health]


def texts(live: Any) -> list[str]:
    """What the server's conversation holds, in order."""
    return [
        part.get("text") or part.get("transcript") or ""
        for item in live.conversation
        for part in item.wire.get("content", [])
    ]


def causes(error: BaseException) -> list[BaseException]:
    """What has caused an error, and so on."""
    found: list[BaseException] = []
    cause = error.__cause__
    while cause is not None:
        found.append(cause)
        cause = cause.__cause__
    return found
