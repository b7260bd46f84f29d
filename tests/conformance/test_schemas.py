"""Everything that the server sends is what the spec's schemas say, and everything that they name is sent."""

from __future__ import annotations

import functools
from typing import Any, Iterator

import pytest

from tests.conformance import conversations
from tests.conformance.closed_schemas import surplus
from tests.server.conftest import Peer
from tests.server.wire_schemas import server_event_schemas

Json = dict[str, Any]
DIALECTS = {
    "ga": conversations.GA,
    "preview": conversations.PREVIEW_DIALECT,
    "translation": conversations.TRANSLATION,
}
# What is never sent: older servers' spellings of other events, and what only a model that tells speakers apart has.
UNSENT = {
    "ga": {
        "conversation.created",
        "conversation.item.created",
        "conversation.item.input_audio_transcription.segment",
        "transcription_session.updated",
    },
    "preview": {"conversation.created", "transcription_session.updated"},
    "translation": set(),
}
# What live services send beside what the schemas name (recorded 2025-12 to 2026-07).
SURPLUS = {
    "ga": {"obfuscation", "parallel_tool_calls", "status_details.error.message"},
    "preview": {
        "obfuscation",
        "status_details.error.message",
        "name",  # of a function, with its arguments
        "usage",  # of a transcription
        "image_tokens",
        "cached_tokens_details",
        "object",
        "expires_at",
    },
    "translation": set(),
}


@pytest.fixture(scope="module", params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def events(dialect: str) -> Iterator[list[Json]]:
    """All that comes in the conversations of a dialect; peers check each event against its schema as they read it."""
    peers: list[Peer] = []

    def open_peer(*arguments: Any, **options: Any) -> Peer:
        peers.append(Peer(*arguments, **options))
        return peers[-1]

    try:
        for conversation in DIALECTS[dialect]:
            conversation(open_peer)
        yield [event for peer in peers for event in peer.seen]
    finally:
        for peer in peers:
            peer.ws.shutdown()


def test_whole_conversations_hold_every_event_of_the_dialect(dialect: str, events: list[Json]) -> None:
    unsent = set(server_event_schemas(dialect)) - {event["type"] for event in events}
    assert unsent == UNSENT[dialect]


def test_no_event_holds_a_field_that_the_schemas_do_not_know(dialect: str, events: list[Json]) -> None:
    surplus_of = functools.partial(surplus, dialect=dialect, allowed=SURPLUS[dialect])
    assert [told for event in events for told in surplus_of(event)] == []


def test_the_check_for_unknown_fields_finds_one(dialect: str, events: list[Json]) -> None:
    created = next(event for event in events if event["type"] == "session.created" or dialect == "ga")
    assert surplus({**created, "bogus": 1}, dialect=dialect, allowed=SURPLUS[dialect])
