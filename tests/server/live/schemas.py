"""The types of openai-python's live sessions as validators, closed: a field that they do not name is an error."""

from __future__ import annotations

import functools
import json
from typing import Any, Optional

import jsonschema
from openai.types import live as live_types
from pydantic import TypeAdapter

Json = dict[str, Any]
# Each holds all others of its side, but for what only a fork, or only a sideband, may send.
SERVER_EVENTS = "ConnectServerEvent"
CLIENT_EVENTS = ("ClientEventParam", "ForkClientEventParam", "ConnectClientEventParam")
# Where the wire differs from the types: null was seen, and so were times of output deltas, which the types have.
_NULL_ON_THE_WIRE = {"param"}
# In Responses events as they were recorded, and not in the types.
_BESIDE = {"obfuscation"}
# What belongs to the Responses API is any object here.
_ELSEWHERE = {"ResponseEvent": "event", "ResponseItemCreateEventParam": "item"}


@functools.cache
def schemas_of(union: str) -> dict[str, Json]:
    """The schemas of a union of events by name; the union's own is ``root``."""
    root: Json = TypeAdapter(getattr(live_types, union)).json_schema()
    named: dict[str, Json] = {**root.pop("$defs"), "root": root}
    for name, key in _ELSEWHERE.items():
        if name in named:
            named[name]["properties"][key] = {"type": "object"}
    return named


def check_live_event(event: Json) -> None:
    """Fail with a readable account if a server event is not what its schema says."""
    errors = complaints(_without_nulls(event), SERVER_EVENTS)
    assert errors is not None, f"{event['type']} is no event of a live session"
    assert not errors, f"{event['type']}: {errors}\n{json.dumps(event)[:1500]}"


def fits(told: Json, kind: Any) -> Json:
    """The body of a request, an answer or a webhook, once it is what this type of openai-python's says, closed."""
    found = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in jsonschema.Draft202012Validator(_closed(TypeAdapter(kind).json_schema())).iter_errors(told)
    ]
    assert not found, f"{found}\n{json.dumps(told)[:1500]}"
    return told


def server_event_types() -> set[str]:
    return set(_by_type(SERVER_EVENTS))


def complaints(message: Json, union: str) -> Optional[list[str]]:
    """What the schema of a message's type, closed, has against it; None if the union has no such type."""
    name = _by_type(union).get(message["type"])
    if name is None:
        return None
    found = _validator(union, name).iter_errors(message)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]


@functools.cache
def _by_type(union: str) -> dict[str, str]:
    """The names of the schemas of a union's events, by wire type."""
    named = schemas_of(union)
    events = [each["$ref"].removeprefix("#/$defs/") for each in named["root"]["anyOf"]]
    return {named[event]["properties"]["type"]["const"]: event for event in events}


@functools.cache
def _validator(union: str, name: str) -> Any:
    closed = {each: _closed(schema) for each, schema in schemas_of(union).items()}
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": closed})


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: _closed(inner) for name, inner in value.items()} if key == "properties" else _closed(value)
        for key, value in schema.items()
    }
    if "properties" in closed:
        closed["additionalProperties"] = False
    return closed


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_nulls(inner)
        for key, inner in value.items()
        if not (inner is None and key in _NULL_ON_THE_WIRE) and key not in _BESIDE
    }
