"""Messages of GPT-Live: those that openai-python's types allow, and those that live services send."""

from __future__ import annotations

import functools
import json
from typing import Any

from schema_walk import SchemaWalk

import realtime_sync.protocol.live.codec  # noqa: F401  it fills the registry
from tests.harness import DATA
from tests.server.live.schemas import CLIENT_EVENTS, SERVER_EVENTS, schemas_of
from tests.server.live.schemas import complaints as complaints_of

Json = dict[str, Any]


def walk_of(union: str) -> SchemaWalk:
    """The schemas of a union of events, whose own is ``root``."""
    return SchemaWalk(dict(schemas_of(union)), "#/$defs/")


@functools.cache
def server_messages() -> list[Json]:
    """For each property that a server's message may have, in each place, the least message with it."""
    return [probe.message for probe in walk_of(SERVER_EVENTS).probes("root")]


def frames(direction: str) -> list[str]:
    """Frames as they go in live sessions: the server's (``"s2c"``) or the client's (``"c2s"``)."""
    lines = (DATA / "live" / "frames.jsonl").read_text("utf-8").split("\n")
    told = [json.loads(line) for line in lines if line]
    return [line["raw"] for line in told if line["dir"] == direction]


def complaints(message: Json) -> list[str]:
    """What the closed schemas of the client's messages have against one; a fork's start has a schema of its own."""
    found = [told for union in CLIENT_EVENTS if (told := complaints_of(message, union)) is not None]
    return min(found, key=len)
