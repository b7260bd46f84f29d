"""What the service demands of the JSON schema of a function's parameters, in its words."""

from __future__ import annotations

from typing import Iterator

from realtime_sync.server.wire import Json, Refused

_OF_NAMED = ("properties", "patternProperties", "$defs", "definitions")  # what holds schemas by their names
_OF_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_OF_ONE = ("items", "additionalProperties", "not")


def check_parameters(tool: Json, path: str) -> None:
    """Raise ``Refused`` unless a function tool's parameters are an object's schema whose arrays say what they hold."""
    schema = tool.get("parameters")
    if not schema:  # the function takes none
        return
    told = f"Invalid schema for function '{tool['name']}': "
    if schema.get("type") != "object":
        told += f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
        raise Refused("invalid_function_parameters", told, f"{path}.parameters")
    for place, inner in _schemas(schema, ()):
        kind = inner.get("type")
        if "array" in (kind if isinstance(kind, list) else [kind]) and "items" not in inner:
            told += f"In context={place}, array schema missing items."
            raise Refused("invalid_function_parameters", told, f"{path}.parameters")


def _schemas(schema: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Json]]:
    """A schema and all that it holds, each with the way to it."""
    if not isinstance(schema, dict):  # True, False, or nonsense
        return
    yield place, schema
    for key, held in schema.items():
        inner: object = {"": held} if key in _OF_ONE else None
        if key in _OF_NAMED:
            inner = held
        elif key in _OF_LISTED and isinstance(held, list):
            inner = {str(index): entry for index, entry in enumerate(held)}
        for name, entry in inner.items() if isinstance(inner, dict) else ():
            yield from _schemas(entry, (*place, key, name) if name else (*place, key))
