"""``client.with_fallbacks``: what it takes, what it shows, and whose sessions are whose."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from realtime_sync import (
    ConfigurationError,
    EndpointHealth,
    OpenAIClient,
    RealtimeConversationClient,
    SessionNotOpenError,
)
from tests.fallback.harness import KEYS, Town


def client_at(url: str, model: Any = "m") -> RealtimeConversationClient:
    return OpenAIClient("sk-a-key-nobody-may-see", endpoint=url).get_realtime_conversation_client(model)


def closed() -> RealtimeConversationClient:
    client = client_at("http://b.invalid/v1")
    client.close()
    return client


WRONG: dict[str, tuple[Any, str]] = {
    "none": (lambda client: [], r"a list of other clients, and at least one, not \[\]"),
    "no list": (lambda client: client_at("http://b.invalid/v1"), "a list of other clients"),
    "a service": (
        lambda client: [OpenAIClient("sk-a-key-nobody-may-see")],
        r"fallback 1 must be a client of a model, not <OpenAIClient .*get_realtime_conversation_client\(model\)",
    ),
    "itself": (lambda client: [client], r"fallback 1 is there twice \(<RealtimeConversationClient m at http://a"),
    "twice": (lambda client: [client_at("http://b.invalid/v1")] * 2, "fallback 2 is there twice"),
    "a closed one": (lambda client: [closed()], r"fallback 1 was closed \(.*b.invalid.*make another one"),
    "one with fallbacks": (
        lambda client: [client_at("http://b.invalid").with_fallbacks([client_at("http://c.invalid")])],
        "fallback 1 has fallbacks already: give all clients in one list",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_can_be_no_fallback_is_told(wrong: str) -> None:
    make, told = WRONG[wrong]
    client = client_at("http://a.invalid/v1")
    with pytest.raises(ConfigurationError, match=told) as raised:
        client.with_fallbacks(make(client))
    assert "nobody-may-see" not in str(raised.value)


def test_a_client_that_is_closed_or_has_fallbacks_gets_no_more() -> None:
    other = client_at("http://c.invalid")
    with pytest.raises(ConfigurationError, match="the client itself was closed"):
        closed().with_fallbacks([other])
    with pytest.raises(ConfigurationError, match="the client itself has fallbacks already"):
        client_at("http://a.invalid").with_fallbacks([client_at("http://b.invalid")]).with_fallbacks([other])
    with pytest.raises(ConfigurationError, match=r"settings must be a FallbackSettings\(...\) or None, not 3"):
        client_at("http://a.invalid").with_fallbacks([other], settings=3)  # type: ignore[arg-type]


def test_two_keys_for_one_service_are_two_services() -> None:
    client = client_at("http://a.invalid").with_fallbacks([client_at("http://a.invalid")])
    assert len(client.health) == 2


def test_it_shows_its_services_and_how_they_are(plain: Town) -> None:
    client = plain.combined("openai", "azure", failures=1)
    openai, azure = plain.servers["openai"].url, plain.servers["azure"].azure_endpoint
    assert repr(client) == (
        f"<RealtimeConversationClient gpt-realtime-2.1 at {openai} (openai), then my-deployment at {azure} (azure)>"
    )
    plain.servers["openai"].close()
    plain.session(client)
    assert repr(client).startswith(f"<RealtimeConversationClient gpt-realtime-2.1 at {openai} (openai) [open], then ")
    first, second = client.health
    assert (first.model, first.endpoint, first.state) == ("gpt-realtime-2.1", openai, "open")
    assert str(first.why).startswith("ConnectionFailedError: ")
    assert second == EndpointHealth(model="my-deployment", endpoint=azure, state="closed", why=None)
    assert plain.client_of("openai").health == ()
    assert not any(key in f"{client!r} {client.health}" for key in KEYS.values())
    assert client.model == "gpt-realtime-2.1"
    with pytest.raises(ConfigurationError):
        copy.copy(client)


def test_each_client_ends_its_own_sessions(plain: Town) -> None:
    first, second = plain.client_of("openai"), plain.client_of("azure")
    client = first.with_fallbacks([second])
    own, combined = plain.session(first), plain.session(client)
    plain.servers["openai"].close()
    moved = plain.session(client)
    assert "my-deployment" in moved.endpoint
    second.close()
    first.close()
    assert own.closed
    assert moved.ask("Well?").completed  # it is the combined client's
    assert combined.closed  # by its server's end
    client.close()
    with pytest.raises(SessionNotOpenError):
        moved.ask("Well?")
