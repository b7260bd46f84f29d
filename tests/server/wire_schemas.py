"""The spec's schemas as validators."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema

from tests.harness import DATA

PROTOCOL = DATA / "protocol"
RECORDED = DATA / "sessions"

Json = dict[str, Any]
# Where live services (recorded 2026-07) break the published schemas, and so does this server:
_NULL_IN_LIVE = {
    # Sent as null; the schemas say that they are absent, objects or strings.
    "transcript", "status_details", "usage", "metadata", "language", "prompt", "noise_reduction", "transcription",
    "include", "conversation_id", "input_audio_transcription", "input_audio_noise_reduction", "turn_detection",
    "previous_item_id",
}  # fmt: skip


def _nullable(schema: Any, name: str = "") -> Any:
    """The schema with OpenAPI's ``nullable`` turned into JSON Schema's, and live services' nulls allowed."""
    if isinstance(schema, list):
        return [_nullable(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {
        key: {inner: _nullable(value, inner) for inner, value in entry.items()}
        if key == "properties"
        else _nullable(entry)
        for key, entry in schema.items()
        if key != "nullable"
    }
    # oneOf of alternatives that overlap (function tools without a type, ...) is meant as anyOf.
    if "oneOf" in changed:
        changed.setdefault("anyOf", []).extend(changed.pop("oneOf"))
    changed.pop("discriminator", None)
    if schema.get("nullable") or name in _NULL_IN_LIVE:
        return {"anyOf": [changed, {"type": "null"}]}
    return changed


@functools.lru_cache
def schemas(dialect: str) -> Json:
    """The schemas of a dialect, by name."""
    path = PROTOCOL / f"{dialect}-schemas.json"
    named = {name: _nullable(schema) for name, schema in json.loads(path.read_text("utf-8")).items()}
    if dialect == "preview":
        # Recorded in 2024-10: what has begun is in_progress. A tool choice of a function is an object.
        for name in ("RealtimeResponse", "RealtimeConversationItem"):
            named[name]["properties"]["status"]["enum"].append("in_progress")
        parts = named["RealtimeConversationItem"]["properties"]["content"]["items"]["properties"]
        parts["type"]["enum"].append("audio")
        named["RealtimeSession"]["properties"]["tool_choice"] = {"type": ["string", "object"]}
    return named


@functools.cache
def validator(dialect: str, name: str) -> Any:
    components = {"schemas": schemas(dialect)}
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components})


@functools.lru_cache
def server_event_schemas(dialect: str) -> dict[str, str]:
    """Schema names by wire type."""
    examples = json.loads((PROTOCOL / "examples.json").read_text("utf-8"))
    section = {"ga": "ga-server", "preview": "preview-server", "translation": "translation-server"}[dialect]
    return {wire_type: entry["schema"] for wire_type, entry in examples[section].items()}


def check_server_event(event: Json, dialect: str = "ga") -> None:
    """Fail with a readable account if the event is not what its schema says."""
    # Errors are listed among GA's events alone, and translation sessions have them too.
    name = "RealtimeServerEventError" if event["type"] == "error" else server_event_schemas(dialect).get(event["type"])
    assert name is not None, f"{event['type']} is not an event of {dialect}"
    family = "preview" if dialect == "preview" else "ga"
    errors = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator(family, name).iter_errors(event)
    ]
    assert not errors, f"{event['type']}: {errors}\n{json.dumps(event)[:1500]}"
