"""Each way of reading a message gives the same update as the careful one, which takes nothing for granted."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any, Optional

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from live_data import frames, server_messages
from recorded import all_lines

from realtime_sync.protocol import items, options, resources, updates
from realtime_sync.protocol.codec import decode
from realtime_sync.protocol.dialects import RESPONSE_PLACES, SESSION_PLACES, Dialect, read
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.live import parts, questions, settings, tools
from realtime_sync.protocol.live import resources as live_resources
from realtime_sync.protocol.live.codec import live_decode
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.readers import made_reader
from realtime_sync.protocol.registry import REALTIME, Registry, WireObject
from realtime_sync.protocol.update_base import ConversationUpdate, ItemUpdateBase

DELTA: dict[str, Any] = {
    "type": "response.output_text.delta",
    "event_id": "e",
    "response_id": "r",
    "item_id": "i",
    "delta": "a",
}
DELTA |= {"output_index": 0, "content_index": 0}


def names() -> list[str]:
    """All that a field, or a setting on the wire, is called."""
    modules = (items, options, resources, live_resources, parts, questions, settings, tools)
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type)]
    found = {field.name for cls in classes if issubclass(cls, WireObject) for field in attrs.fields(cls)}
    for place in (*SESSION_PLACES, *RESPONSE_PLACES):
        found |= {name for name in (*(place.ga or ()), place.preview, place.flat) if name}
    return sorted(found | {"raw_content", "faults", "arrived_at", "something new"})


words = st.sampled_from(
    ["", "a", "text", "audio", "message", "function", "function_call", "mcp", "none", "auto", "pcm16", "pcm", "inf"]
)
numbers = st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, -(10**400), 0.5, 1000.0, 1e300, math.inf, math.nan])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(names()), inner, max_size=4),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(names()), values, max_size=6)
of_type: dict[Any, st.SearchStrategy[Any]] = {
    str: words,
    Optional[str]: words | st.none(),
    int: st.integers(0, 9),
    Optional[int]: st.integers(0, 9) | st.none(),
    float: st.floats(0, 9) | st.integers(0, 9),
    Optional[float]: st.floats(0, 9) | st.integers(0, 9) | st.none(),
}


@st.composite
def messages(draw: st.DrawFn, registry: Registry = REALTIME) -> dict[str, Any]:
    """A message of any type, mostly as its class wants it."""
    wire_type = draw(st.sampled_from(sorted(registry.updates)))
    cls: Any = registry.updates[wire_type]
    attrs.resolve_types(cls)
    message: dict[str, Any] = draw(objects) if draw(st.integers(0, 9)) == 0 else {}
    for field in attrs.fields(cls)[:: draw(st.sampled_from([1, -1]))]:
        chance = draw(st.integers(0, 9))
        ours = field.name in ("extra", "raw_content", "faults", "arrived_at")
        if chance > (8 if ours else 0):
            message[field.name] = draw(values if chance == 9 else of_type.get(field.type, objects))
    return {**message, "type": wire_type}


def told(thing: Any) -> Any:
    """All that there is to a thing, the types too; NaN is equal to itself."""
    if attrs.has(type(thing)):
        return type(thing), [(field.name, told(getattr(thing, field.name))) for field in attrs.fields(type(thing))]
    if isinstance(thing, dict):
        return {key: told(value) for key, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing), [told(value) for value in thing]
    return type(thing), repr(thing)


def read_carefully(
    message: dict[str, Any], text: str, dialect: Dialect, registry: Registry = REALTIME
) -> ConversationUpdate:
    reader = made_reader(message["type"], dialect, registry)
    assert reader is not None
    if message.get("status") == "in_progress":  # of a transcript, it says whose class it is
        reader = getattr(reader, "_so_far", reader)
    return reader._read_carefully({**registry.read(message, dialect), "type": message["type"]}, text, 0.0)


@given(message=messages(), dialect=st.sampled_from(Dialect))
@example(message=DELTA, dialect=Dialect.GA)
@example(message={**DELTA, "output_index": 2**53 + 1}, dialect=Dialect.GA)
@example(message={**DELTA, "output_index": True}, dialect=Dialect.GA)
@example(message={**DELTA, "output_index": 1.0}, dialect=Dialect.GA)
@example(message={**DELTA, "extra": {}}, dialect=Dialect.GA)
@example(message={**DELTA, "raw_content": "mine"}, dialect=Dialect.GA)
@example(message={**DELTA, "arrived_at": 5.0, "faults": []}, dialect=Dialect.GA)
def test_each_way_gives_what_the_careful_one_gives(message: dict[str, Any], dialect: Dialect) -> None:
    text = json.dumps(message)
    careful = told(read_carefully(json.loads(text), text, dialect))
    assert told(decode(text, dialect)) == careful  # it may be the first of its kind
    assert told(decode(text, dialect)) == careful  # it is not


FRAGMENT: dict[str, Any] = {"type": "session.input_transcript.delta", "event_id": "e", "delta": " a"}
FRAGMENT |= {"start_ms": 600, "end_ms": 800}


@given(message=messages(LIVE))
@example(message=FRAGMENT)
@example(message={**FRAGMENT, "start_ms": 600.5, "client_event_id": None})
@example(message={**FRAGMENT, "start_ms": 2**53 + 1})
@example(message={"type": "error", "error": "a text"})
@example(message={"type": "error", "error": None, "message": "beside it"})
@example(message={"type": "session.closed", "reason": 1, "usage": {"seconds": True}, "session": []})
def test_each_way_gives_the_same_in_a_live_session(message: dict[str, Any]) -> None:
    text = json.dumps(message)
    careful = told(read_carefully(json.loads(text), text, Dialect.GA, LIVE))
    assert told(live_decode(text)) == told(live_decode(text)) == careful


def test_what_live_services_send_is_read_as_it_is_carefully() -> None:
    for line in [*frames("s2c"), *map(json.dumps, server_messages())]:
        careful = told(read_carefully(json.loads(line), line, Dialect.GA, LIVE))
        assert told(live_decode(line)) == told(live_decode(line)) == careful


@pytest.mark.parametrize("dialect", Dialect)
def test_what_was_recorded_is_read_as_it_is_carefully(dialect: Dialect) -> None:
    for line in all_lines():
        message = json.loads(line)
        if message.get("type") in REALTIME.updates:
            careful = told(read_carefully(message, line, dialect))
            assert told(decode(line, dialect)) == told(decode(line, dialect)) == careful


def test_an_update_that_is_made_at_once_is_an_update_as_any_other() -> None:
    text = json.dumps(DELTA)
    first, second = decode(text), decode(text)
    assert isinstance(second, updates.ResponseOutputTextDeltaUpdate)
    assert second == first == pickle.loads(pickle.dumps(second)) == copy.deepcopy(second) == copy.copy(second)
    assert second.extra is not first.extra
    assert list(vars(second)) == [field.name for field in attrs.fields(type(second))]
    assert attrs.evolve(second, response_id="other").response_id == "other"
    assert attrs.asdict(second) == attrs.asdict(updates.ResponseOutputTextDeltaUpdate(**DELTA, raw_content=text))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        second.delta = "b"  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        second.new = "b"  # type: ignore[attr-defined]


def test_no_update_class_asks_for_more_than_its_fields() -> None:
    for cls in (*REALTIME.updates.values(), *LIVE.updates.values()):
        assert not hasattr(cls, "__attrs_post_init__")
        assert not any(field.converter or field.validator for field in attrs.fields(cls))


def test_an_update_class_that_could_not_be_read_is_refused() -> None:
    registry = Registry(read, lambda message, _: message, frozenset())

    class Undecorated(ItemUpdateBase):
        forgotten: str

    @attrs.frozen(kw_only=True, repr=False, eq=False)
    class Slotted(ItemUpdateBase):
        held: str

    for cls in (Undecorated, Slotted):
        with pytest.raises(TypeError, match=f"{cls.__name__} has fields"):
            registry.register_update(ConversationUpdateKind.UNKNOWN, cls)


def test_types_do_not_pile_up_whatever_a_server_sends() -> None:
    reader = made_reader(DELTA["type"], Dialect.GA, REALTIME)
    assert reader is not None
    for number in range(200):
        decode(json.dumps({**DELTA, f"field {number}": number, "obfuscation": [None, "a", number][number % 3]}))
        decode(json.dumps({**DELTA, "obfuscation": [None, "a", number, 1.5, True, [], {}][number % 7]}))
    assert len(reader._seen) <= 4  # with and without `event_id` and `obfuscation`
