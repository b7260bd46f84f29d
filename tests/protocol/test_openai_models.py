"""The second opinion on the vocabulary: every event and field of openai-python's models has a place here."""

from __future__ import annotations

from typing import Any

import pytest
from live_data import walk_of as walk_of_live
from openai.types import realtime as openai_models
from pydantic import TypeAdapter
from schema_walk import SchemaWalk, homeless_in_client_messages, homeless_in_server_messages

from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.registry import REALTIME
from tests.server.live.schemas import CLIENT_EVENTS as CLIENT_EVENTS_OF_LIVE
from tests.server.live.schemas import SERVER_EVENTS as SERVER_EVENTS_OF_LIVE

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


@pytest.mark.parametrize("union", [SERVER_EVENTS_OF_LIVE, *CLIENT_EVENTS_OF_LIVE])
def test_each_live_event_has_a_class(union: str) -> None:
    walk = walk_of_live(union)
    told = {schema["properties"]["type"]["const"] for _, schema in walk.alternatives(walk.schemas["root"], "root")}
    assert told - set(LIVE.updates if "Server" in union else LIVE.commands) == set()


def test_each_field_of_a_live_server_event_has_a_place() -> None:
    complaints = homeless_in_server_messages(walk_of_live(SERVER_EVENTS_OF_LIVE), "root", Dialect.GA, LIVE)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("union", CLIENT_EVENTS_OF_LIVE)
def test_each_field_of_a_live_client_event_has_a_place(union: str) -> None:
    complaints = homeless_in_client_messages(walk_of_live(union), "root", Dialect.GA, LIVE)
    assert not complaints, "\n".join(complaints)


def test_a_field_of_a_live_event_without_a_place_is_named() -> None:
    walk = walk_of_live(SERVER_EVENTS_OF_LIVE)
    usage = walk.schemas["SessionUsage"]
    walk.schemas["SessionUsage"] = {**usage, "properties": {**usage["properties"], "invented": {"type": "string"}}}
    complaints = homeless_in_server_messages(walk, "root", Dialect.GA, LIVE)
    assert complaints
    assert all(complaint.startswith("SessionUsage.invented ") for complaint in complaints)
