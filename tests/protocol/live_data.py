"""The schemas and examples of GPT-Live, and what was recorded of it."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema
from schema_walk import Schema, SchemaWalk

import realtime_sync.protocol.live.codec  # noqa: F401  it fills the registry
from tests.harness import DATA

Json = dict[str, Any]
LIVE_DATA = DATA / "live"


@functools.cache
def schemas() -> dict[str, Schema]:
    """By name."""
    found: dict[str, Schema] = json.loads((LIVE_DATA / "schemas.json").read_text("utf-8"))
    return found


@functools.cache
def examples(section: str) -> dict[str, Json]:
    """Of ``live-client``, ``live-server``, ``live-rest`` or ``live-webhook``: by what they are examples of."""
    found: dict[str, Json] = json.loads((LIVE_DATA / "examples.json").read_text("utf-8"))[section]
    return found


def each_example(section: str) -> list[Json]:
    """The least and the whole example of each thing."""
    return [entry[size] for entry in examples(section).values() for size in ("minimal", "example")]


def walk_of(section: str) -> SchemaWalk:
    """The schemas, with one more, ``root``, that is any of the section's."""
    names = [entry["schema"] for entry in examples(section).values()]
    root = {"anyOf": [{"$ref": f"#/schemas/{name}"} for name in names]}
    return SchemaWalk({**schemas(), "root": root}, "#/schemas/")


def frames(*directions: str) -> list[str]:
    """What was said in the recorded sessions: by the server (``"s2c"``), by the client (``"c2s"``), or both."""
    lines = [
        json.loads(line)
        for path in sorted((LIVE_DATA / "sessions").glob("*.jsonl"))
        for line in path.read_text("utf-8").split("\n")
        if line
    ]
    return [line["raw"] for line in lines if line["dir"] in directions]


@functools.cache
def validator(name: str) -> Any:
    """Of a schema, closed: a field that it does not name is an error."""
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


def complaints(message: Json, section: str) -> list[str]:
    """What the closed schemas of the message's type have against it; a fork's start has a schema of its own."""
    names = [entry["schema"] for what, entry in examples(section).items() if what.partition(" ")[0] == message["type"]]
    found = [[str(error.message)[:300] for error in validator(name).iter_errors(message)] for name in names]
    return min(found, key=len)
