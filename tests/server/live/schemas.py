"""The schemas of live sessions as validators, closed: a field that they do not name is an error."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema

from tests.harness import DATA

Json = dict[str, Any]
# Where the wire differs from the types: null was seen, and so were times of output deltas, which the types have.
_NULL_ON_THE_WIRE = {"param"}
# In Responses events as captures show them, and not in the types.
_BESIDE = {"obfuscation"}


def check_live_event(event: Json) -> None:
    """Fail with a readable account if a server event is not what its schema says."""
    told = examples("live-server").get(event["type"])
    assert told is not None, f"{event['type']} is no event of a live session"
    event = {**event, "event": {}} if event["type"] == "response.event" else event
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator(told["schema"]).iter_errors(_without_nulls(event))
    ]
    assert not errors, f"{event['type']}: {errors}\n{json.dumps(event)[:1500]}"


def server_event_types() -> set[str]:
    return set(examples("live-server"))


@functools.cache
def examples(section: str) -> dict[str, Json]:
    """Of ``live-client``, ``live-server``, ``live-rest`` or ``live-webhook``, by type: the schema's name, examples."""
    read: dict[str, Json] = json.loads((DATA / "protocol" / "live-examples.json").read_text(encoding="utf-8"))[section]
    return read


@functools.cache
def schemas() -> dict[str, Json]:
    """By name."""
    read: dict[str, Json] = json.loads((DATA / "protocol" / "live-schemas.json").read_text(encoding="utf-8"))
    return read


@functools.cache
def validator(name: str) -> Any:
    """Of a schema, closed."""
    closed = {each: _closed(schema) for each, schema in schemas().items()}
    return jsonschema.Draft202012Validator({"$ref": f"#/schemas/{name}", "schemas": closed})


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
