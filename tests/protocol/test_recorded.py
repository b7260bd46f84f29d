"""What real services and other people's servers sent is read, whatever it is, and whatever becomes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from live_data import frames, server_messages
from recorded import all_lines, fixture_lines, recorded_lines

from realtime_sync.protocol.codec import decode
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.live.kinds import LIVE
from realtime_sync.protocol.registry import REALTIME, Registry
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate, UnreadableUpdate

LINES = all_lines()
LIVE_LINES = [*frames("s2c"), *map(json.dumps, server_messages())]
# Messages of other services' own making, which we have no class for.
FOREIGN_TYPES = {
    "conversation.interrupted",
    "conversation.item.input_audio_transcription.text",
    "conversation.item.speaker",
    "heartbeat",
    "response.animation.delta",
    "response.animation_blendshapes.delta",
    "response.animation_blendshapes.done",
    "response.animation_viseme.delta",
    "response.animation_viseme.done",
    "response.audio_timestamp.delta",
    "response.audio_timestamp.done",
    "response.cancelled",
    "response.listen",
    "response.video.done",
    "session.avatar.connecting",
    "warning",
}


def check(text: str, dialect: Dialect, registry: Registry = REALTIME) -> ConversationUpdate:
    """Read it, look at all of it, and see that the text is kept."""
    update = decode(text, dialect, registry)
    assert update.raw_content == text
    assert repr(update)
    assert all(isinstance(oddity, str) for oddity in update.oddities)
    for name in dir(type(update)):
        if isinstance(getattr(type(update), name), property):
            getattr(update, name)
    return update


def test_the_recordings_are_all_there() -> None:
    assert len(recorded_lines()) > 900


@pytest.mark.parametrize("dialect", Dialect)
def test_each_line_is_read_into_its_class(dialect: Dialect) -> None:
    assert len(LINES) >= len(fixture_lines()) > 40
    for line in LINES:
        update = check(line, dialect)
        message = json.loads(line)
        wire_type = message.get("type")
        if not isinstance(wire_type, str):
            assert isinstance(update, UnreadableUpdate)
        elif wire_type in FOREIGN_TYPES:
            assert isinstance(update, UnknownUpdate)
            assert {key: value for key, value in message.items() if key not in ("type", "event_id")} == update.extra
        else:
            meant = wire_type
            if dialect is Dialect.PREVIEW and wire_type == "conversation.item.created":
                meant = "conversation.item.added"
            elif wire_type.endswith("transcription.completed") and message.get("status") == "in_progress":  # xAI
                meant = wire_type.replace(".completed", ".updated")
            assert type(update) is REALTIME.updates[meant]
            assert update.kind == type(update).kind
        assert update.type == (wire_type if isinstance(wire_type, str) else "")
        assert update.json() == message


def test_the_fixtures_are_understood_as_they_are_meant() -> None:
    oddities = {oddity for line in fixture_lines() for oddity in decode(line).oddities}
    assert "wrong type at $.response.status_details: a string" in oddities
    assert "unknown type 'heartbeat' at $" in oddities
    assert "missing $.part" in oddities


# Fuzzing ------------------------------------------------------------------------------------------------------

OTHER_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["message", "function_call", "realtime", "transcription", "mcp", "none", "server_vad"]),
    st.lists(
        st.one_of(st.none(), st.integers(), st.builds(lambda: {"type": "message", "content": [None]})), max_size=3
    ),
    st.dictionaries(st.sampled_from(["type", "id", "content", "audio", "extra", "x"]), st.integers(), max_size=3),
)
CHANGES = ("drop", "null", "retype", "wrap in a list", "wrap in an object", "double", "move", "rename")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each (container, key) in a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *places(value[key]))]


def change(message: Any, draw: Any) -> None:
    """One change to the message, in place."""
    found = places(message)
    if not found:
        return
    container, key = draw(st.sampled_from(range(len(found))).map(found.__getitem__))
    value, kind = container[key], draw(st.sampled_from(CHANGES))
    if kind == "drop":
        del container[key]
    elif kind in ("null", "retype"):
        container[key] = None if kind == "null" else draw(OTHER_VALUES)
    elif kind == "wrap in a list":
        container[key] = [value]
    elif kind == "wrap in an object":
        container[key] = {draw(st.sampled_from(["type", "session", "item", "audio", "x"])): value}
    elif kind == "double":
        container[key] = [value, value]
    elif isinstance(container, dict):
        name = draw(
            st.sampled_from(["type", "session", "response", "item", "audio", "voice", "tools", "extra", "faults"])
        )
        (message if kind == "move" and isinstance(message, dict) else container)[name] = container.pop(key)


@st.composite
def changed_lines(draw: Any, lines: list[str] = LINES) -> str:
    line = draw(st.sampled_from(lines))
    message = json.loads(line)
    for _ in range(draw(st.integers(1, 5))):
        change(message, draw)
    return json.dumps(message)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(text=changed_lines(), dialect=st.sampled_from(Dialect))
def test_whatever_becomes_of_a_line_it_is_read_and_kept(text: str, dialect: Dialect) -> None:
    check(text, dialect)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(text=changed_lines(LIVE_LINES))
def test_whatever_becomes_of_a_live_frame_it_is_read_and_kept(text: str) -> None:
    check(text, Dialect.GA, LIVE)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(text=changed_lines(LIVE_LINES))
def test_whatever_becomes_of_a_live_frame_it_is_read_and_kept_at_length(text: str) -> None:
    check(text, Dialect.GA, LIVE)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(text=changed_lines(), dialect=st.sampled_from(Dialect))
def test_whatever_becomes_of_a_line_it_is_read_and_kept_at_length(text: str, dialect: Dialect) -> None:
    check(text, dialect)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(line=st.sampled_from(LINES), cut=st.floats(0, 1), garbage=st.text(max_size=3))
@example(line=LINES[0], cut=0.0, garbage="")
def test_a_cut_line_is_read_and_kept(line: str, cut: float, garbage: str) -> None:
    at = int(len(line) * cut)
    check(line[:at] + garbage, Dialect.GA)
    check(line[:at] + garbage + line[at:], Dialect.GA)
