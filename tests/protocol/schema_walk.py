"""Walks a JSON schema and makes, for each property that it can reach, the smallest message that holds it.

A message that holds just one property of interest says by its reading whether that property has a place, in the
very class that the codec uses there and through the very translation that the dialect needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.codec import decode, decode_command, encode
from realtime_sync.protocol.dialects import RESPONSE_PLACES, SESSION_PLACES, Dialect
from realtime_sync.protocol.registry import REALTIME, Registry, WireObject
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate

Schema = dict[str, Any]

# Told in every message here: what the schemas leave optional and we do not (a function has a name, a message has
# content, if only an empty list), and what tells an object's kind.
_ALWAYS_TOLD = ("type", "name", "content")


@attrs.frozen
class Probe:
    """A message that holds one property of interest: the last of ``path``, a list of ``Schema.property``.

    ``kind`` is the Python type of the property's value here: a property may be of several JSON types.
    """

    path: tuple[str, ...]
    kind: type
    message: Any

    def inside(self, wrap: Callable[[Any], Any]) -> Probe:
        """The same, with the message a part of a larger one."""
        return attrs.evolve(self, message=wrap(self.message))

    @property
    def key(self) -> str:
        """The property's name."""
        return self.path[-1].rpartition(".")[2]


class SchemaWalk:
    """The messages that a set of named schemas allows. ``prefix`` is what a ``$ref`` has before the name."""

    def __init__(self, schemas: dict[str, Schema], prefix: str) -> None:
        self.schemas = schemas
        self.prefix = prefix

    def probes(self, name: str) -> Iterator[Probe]:
        """For each property that schema ``name`` reaches, in each place, a message with it."""
        yield from self._probes(self.schemas[name], name, ())

    def alternatives(self, schema: Schema, name: str) -> Iterator[tuple[str, Schema]]:
        """The schemas without references and choices that this one may mean, each with its name."""
        if "$ref" in schema:
            target = schema["$ref"].removeprefix(self.prefix)
            yield from self.alternatives(self.schemas[target], target)
        elif "allOf" in schema:
            merged = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                for part_name, concrete in self.alternatives(part, name):
                    name = part_name if "$ref" in part else name
                    properties = {**merged.get("properties", {}), **concrete.get("properties", {})}
                    merged = {**concrete, **merged, **({"properties": properties} if properties else {})}
            yield name, merged
        else:
            choices = [choice for key in ("anyOf", "oneOf") for choice in schema.get(key, ())]
            for choice in choices:
                yield from self.alternatives(choice, name)
            if not choices or "properties" in schema:
                yield name, schema

    def _probes(self, schema: Schema, name: str, path: tuple[str, ...]) -> Iterator[Probe]:
        for owner, concrete in self.alternatives(schema, name):
            for key, inner in concrete.get("properties", {}).items():
                here = (*path, f"{owner}.{key}")
                if here[-1] in path:
                    continue  # a schema within itself
                found = [Probe(here, type(value), value) for value in self._values(inner, here[-1])]
                assert found, f"the walk can make no value for {here[-1]}"
                found += self._probes(inner, here[-1], here)
                for base in self._bases(concrete, key):
                    yield from (probe.inside(lambda value: {**base, key: value}) for probe in found)  # noqa: B023
            if isinstance(concrete.get("items"), dict):
                yield from (
                    probe.inside(lambda value: [value]) for probe in self._probes(concrete["items"], owner, path)
                )
            if isinstance(concrete.get("additionalProperties"), dict):
                values = self._probes(concrete["additionalProperties"], owner, path)
                yield from (probe.inside(lambda value: {"a key": value}) for probe in values)

    def _bases(self, concrete: Schema, key: str) -> Iterator[Schema]:
        """The least object of this schema; one for each value of its discriminator, where that leaves a choice."""
        least = self._least_object(concrete, "")
        kinds = concrete.get("properties", {}).get("type", {}).get("enum", [])
        yield from ({**least, "type": kind} for kind in kinds) if kinds and key != "type" else [least]

    def _values(self, schema: Schema, name: str) -> Iterator[Any]:
        """One value for each JSON type that the schema allows, null aside."""
        for _, concrete in self.alternatives(schema, name):
            value = self._value(concrete, name)
            if value is not None:
                yield value

    def _value(self, concrete: Schema, name: str) -> Any:
        if "const" in concrete or concrete.get("enum"):
            return concrete.get("const", concrete.get("enum", [None])[0])
        if concrete.get("type") == "array" or "items" in concrete:
            return [next(self._values(concrete["items"], name))] if concrete.get("items") else []
        if concrete.get("type", "object") == "object":
            return self._least_object(concrete, name)
        simple = {"string": "a text", "integer": 1, "number": 0.5, "boolean": True, "null": None}
        return simple[concrete["type"]]  # a KeyError is a kind of schema that the walk must learn

    def _least_object(self, concrete: Schema, name: str) -> Schema:
        properties: Schema = concrete.get("properties", {})
        needed = {*concrete.get("required", ()), *_ALWAYS_TOLD} & set(properties) or set(list(properties)[:1])
        return {
            key: value for key in properties if key in needed for value in [*self._values(properties[key], name)][:1]
        }


def homeless_in_server_messages(
    walk: SchemaWalk, name: str, dialect: Dialect, registry: Registry = REALTIME
) -> list[str]:
    """The properties of the messages of schema ``name`` that no update's field holds, in words."""
    return _homeless(walk.probes(name), lambda probe: _update_complaint(probe, dialect, registry))


def homeless_in_client_messages(
    walk: SchemaWalk, name: str, dialect: Dialect, registry: Registry = REALTIME
) -> list[str]:
    """The properties of the messages of schema ``name`` that no command's field holds, in words."""
    return _homeless(walk.probes(name), lambda probe: _command_complaint(probe, dialect, registry))


def _homeless(probes: Iterator[Probe], complaint: Callable[[Probe], str]) -> list[str]:
    complaints: dict[tuple[tuple[str, ...], type], list[str]] = {}
    for probe in probes:
        complaints.setdefault((probe.path, probe.kind), []).append(complaint(probe))
    # Where a schema folds several kinds into one (preview's items), a property has a place if one kind has it.
    return [
        f"{path[-1]} as {kind.__name__} (at {' > '.join(path[:-1])}): {words[0]}"
        for (path, kind), words in complaints.items()
        if all(words)
    ]


def _update_complaint(probe: Probe, dialect: Dialect, registry: Registry) -> str:
    update = decode(json.dumps(probe.message), dialect, registry)
    if isinstance(update, UnknownUpdate):
        return f"no class for {update.type!r}"
    wrong = [fault for fault in update.faults if not fault.startswith("missing")]
    return "; ".join(wrong) or _place_complaint(update, probe.key)


def _command_complaint(probe: Probe, dialect: Dialect, registry: Registry) -> str:
    try:
        command = decode_command(json.dumps(probe.message), dialect, registry)
        written = json.loads(encode(command, dialect, registry))
    except InvalidInputError as error:
        return str(error)
    if written != probe.message:
        return f"sent as {written}, not {probe.message}"
    return _place_complaint(command, probe.key)


def _place_complaint(thing: Any, key: str) -> str:
    """Why property ``key`` has no field in ``thing``; empty where it has one."""
    if isinstance(thing, list):
        return next(filter(None, (_place_complaint(inner, key) for inner in thing)), "")
    if isinstance(thing, dict):
        if key in thing:
            return f"kept in a plain dict: {thing}"
        return _place_complaint(list(thing.values()), key)
    if not isinstance(thing, (ConversationUpdate, WireObject)):
        return ""
    if any(_mentions(thing.extra, name) for name in _canonical_names(key)):
        return f"no field in {type(thing).__name__}"
    names = [field.name for field in attrs.fields(type(thing)) if field.name != "extra"]
    return _place_complaint([getattr(thing, name) for name in names], key)


def _canonical_names(key: str) -> set[str]:
    """What a setting may be called after reading, where nothing has taken it."""
    places = [place for place in (*SESSION_PLACES, *RESPONSE_PLACES) if key in (place.preview, *(place.ga or ()))]
    return {key, *(place.name for place in places)}


def _mentions(value: Any, key: str) -> bool:
    if isinstance(value, dict):
        return key in value or any(_mentions(inner, key) for inner in value.values())
    return isinstance(value, list) and any(_mentions(inner, key) for inner in value)
