"""The second opinion on the vocabulary: every event and field of openai-python's models has a place here."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types import live as live_models
from openai.types import realtime as openai_models
from pydantic import TypeAdapter
from schema_walk import SchemaWalk, homeless_in_client_messages, homeless_in_server_messages

from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.live import commands, updates  # noqa: F401  they fill the registry
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.registry import REALTIME

SERVER_EVENTS = ["RealtimeServerEvent", "RealtimeTranslationServerEvent"]
CLIENT_EVENTS = ["RealtimeClientEvent", "RealtimeTranslationClientEvent"]


def walk_of(union: str) -> SchemaWalk:
    schema: dict[str, Any] = TypeAdapter(getattr(openai_models, union)).json_schema()
    return SchemaWalk({**schema.pop("$defs"), union: schema}, "#/$defs/")


def wire_types(union: str) -> set[str]:
    walk = walk_of(union)
    models = walk.alternatives(walk.schemas[union], union)
    return {schema["properties"]["type"]["const"] for _, schema in models}


@pytest.mark.parametrize("union", SERVER_EVENTS)
def test_each_server_event_has_a_class(union: str) -> None:
    assert wire_types(union) - set(REALTIME.updates) == set()


@pytest.mark.parametrize("union", CLIENT_EVENTS)
def test_each_client_event_has_a_class(union: str) -> None:
    assert wire_types(union) - set(REALTIME.commands) == set()


@pytest.mark.parametrize("union", SERVER_EVENTS)
def test_each_field_of_a_server_event_has_a_place(union: str) -> None:
    complaints = homeless_in_server_messages(walk_of(union), union, Dialect.GA)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("union", CLIENT_EVENTS)
def test_each_field_of_a_client_event_has_a_place(union: str) -> None:
    complaints = homeless_in_client_messages(walk_of(union), union, Dialect.GA)
    assert not complaints, "\n".join(complaints)


# GPT-Live -----------------------------------------------------------------------------------------------------

LIVE_SERVER_EVENTS = ["ServerEvent", "ForkServerEvent", "ConnectServerEvent"]
# As a client writes them: of these alone the types say that an append must name its delegation, if only by null.
LIVE_CLIENT_EVENTS = ["ClientEventParam", "ForkClientEventParam", "ConnectClientEventParam"]


def live_walk_of(union: str) -> SchemaWalk:
    """Without what is the Responses API's: its events and its items are plain objects here."""
    schema: dict[str, Any] = TypeAdapter(getattr(live_models, union)).json_schema()
    walk = SchemaWalk({**schema.pop("$defs"), union: schema}, "#/$defs/")
    for name, key in (("ResponseEvent", "event"), ("ResponseItemCreateEventParam", "item")):
        if name in walk.schemas:
            walk.schemas[name]["properties"][key] = {"type": "object"}
    return walk


@pytest.mark.parametrize("union", [*LIVE_SERVER_EVENTS, *LIVE_CLIENT_EVENTS])
def test_each_live_event_has_a_class(union: str) -> None:
    walk = live_walk_of(union)
    told = {schema["properties"]["type"]["const"] for _, schema in walk.alternatives(walk.schemas[union], union)}
    assert told - set(LIVE.updates if "Server" in union else LIVE.commands) == set()


@pytest.mark.parametrize("union", LIVE_SERVER_EVENTS)
def test_each_field_of_a_live_server_event_has_a_place(union: str) -> None:
    complaints = homeless_in_server_messages(live_walk_of(union), union, Dialect.GA, LIVE)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("union", LIVE_CLIENT_EVENTS)
def test_each_field_of_a_live_client_event_has_a_place(union: str) -> None:
    complaints = homeless_in_client_messages(live_walk_of(union), union, Dialect.GA, LIVE)
    assert not complaints, "\n".join(complaints)
