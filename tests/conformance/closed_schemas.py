"""The spec's schemas, closed: a field that they do not name is an error."""

from __future__ import annotations

import functools
from typing import Any, Collection

import jsonschema

from tests.server import wire_schemas

Json = dict[str, Any]


def surplus(event: Json, *, dialect: str, allowed: Collection[str]) -> list[str]:
    """What the event's schema, closed, has against it, the allowed fields left out; nothing where all is named."""
    name = (
        "RealtimeServerEventError"
        if event["type"] == "error"
        else wire_schemas.server_event_schemas(dialect)[event["type"]]
    )
    validator = _validator("preview" if dialect == "preview" else "ga", name)
    return [f"{event['type']}: {error.message[:300]}" for error in validator.iter_errors(_without(event, allowed))]


@functools.cache
def _validator(dialect: str, name: str) -> Any:
    schemas = _closed(wire_schemas.schemas(dialect))
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}})


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: _closed(inner) for name, inner in value.items()} if key == "properties" else _closed(value)
        for key, value in schema.items()
    }
    if "properties" in closed and "additionalProperties" not in closed:
        closed["unevaluatedProperties"] = False
    return closed


def _without(value: Any, names: Collection[str], place: str = "") -> Any:
    """Without the fields of these names, which may tell of their places: ``error.message`` is one in an ``error``."""
    if isinstance(value, list):
        return [_without(entry, names, place) for entry in value]
    if not isinstance(value, dict):
        return value
    inner = {key: f"{place}.{key}" for key in value}
    left_out = tuple(f".{name}" for name in names)
    return {key: _without(value[key], names, path) for key, path in inner.items() if not path.endswith(left_out)}
