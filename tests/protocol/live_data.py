"""The schemas and examples of GPT-Live, and what was recorded of it."""

from __future__ import annotations

import json
from typing import Any

from schema_walk import SchemaWalk

import realtime_sync.protocol.live.codec  # noqa: F401  it fills the registry
from tests.harness import DATA
from tests.server.live.schemas import examples, schemas, validator

Json = dict[str, Any]


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
        for path in sorted((DATA / "live").glob("*.jsonl"))
        for line in path.read_text("utf-8").split("\n")
        if line
    ]
    return [line["raw"] for line in lines if line["dir"] in directions]


def complaints(message: Json, section: str) -> list[str]:
    """What the closed schemas of the message's type have against it; a fork's start has a schema of its own."""
    names = [entry["schema"] for what, entry in examples(section).items() if what.partition(" ")[0] == message["type"]]
    found = [[str(error.message)[:300] for error in validator(name).iter_errors(message)] for name in names]
    return min(found, key=len)
