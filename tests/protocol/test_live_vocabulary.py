"""GPT-Live: what services send is read by the second registry, and what is sent is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from live_data import Json, complaints, frames

from realtime_sync.protocol.live import updates
from realtime_sync.protocol.live.codec import live_decode, live_decode_command, live_encode
from realtime_sync.protocol.live.kinds import LIVE, LiveUpdateKind
from realtime_sync.protocol.live.update_base import LiveUpdate
from realtime_sync.protocol.registry import REALTIME
from realtime_sync.protocol.update_base import UnknownUpdate


def test_each_kind_has_a_class_of_its_name_and_each_message_is_sent_somewhere() -> None:
    assert {str(kind) for kind in LiveUpdateKind} - {"unknown"} == set(LIVE.updates)
    assert len(set(LIVE.updates.values())) == len(LIVE.updates) == 30
    assert {json.loads(text)["type"] for text in frames("s2c")} == set(LIVE.updates)
    assert {json.loads(text)["type"] for text in frames("c2s")} == set(LIVE.commands)


def test_the_same_name_means_another_thing_in_each_protocol() -> None:
    shared = set(LIVE.updates) & set(REALTIME.updates)
    assert {"session.updated", "session.closed", "session.output_audio.delta", "error"} <= shared
    assert [name for name in shared if LIVE.updates[name] is REALTIME.updates[name]] == []
    assert set(LIVE.commands.values()).isdisjoint(REALTIME.commands.values())


# As services send it --------------------------------------------------------------------------------------------


def test_each_frame_is_read_into_its_class_without_faults() -> None:
    oddities = set()
    for text in frames("s2c"):
        for update in (live_decode(text), live_decode(text)):  # the second one may be read in another way
            assert type(update) is LIVE.updates[json.loads(text)["type"]]
            assert isinstance(update, LiveUpdate)
            assert update.kind is LiveUpdateKind(update.type)
            assert update.faults == ()
            assert (update.raw_content, update.json()) == (text, json.loads(text))
            oddities |= set(update.oddities)
    assert oddities == {"unknown field $.session.context_management"}  # of 2026-09, gone since


def test_each_command_is_read_and_written_as_it_was() -> None:
    for text in frames("c2s"):
        command = live_decode_command(text)
        assert type(command) is LIVE.commands[json.loads(text)["type"]]
        assert json.loads(live_encode(command)) == json.loads(text)
        assert complaints(json.loads(text)) == []


# What a message is not ----------------------------------------------------------------------------------------


def test_a_message_of_the_other_protocol_is_unknown_here() -> None:
    update = live_decode('{"type": "response.output_text.delta", "event_id": "e", "delta": "a"}')
    assert type(update) is UnknownUpdate
    assert (update.type, update.event_id, update.extra) == ("response.output_text.delta", "e", {"delta": "a"})


def test_a_binary_frame_is_told_as_such() -> None:
    assert "a binary frame of 3 bytes" in live_decode(b"abc").faults[0]


@pytest.mark.parametrize("error", ["no more credits", {"message": "no more credits"}])
def test_an_error_that_is_a_bare_text_is_read_as_its_message(error: Any) -> None:
    update = live_decode(json.dumps({"type": "error", "event_id": "e", "error": error}))
    assert isinstance(update, updates.LiveErrorUpdate)
    assert (update.message, update.code, update.param, update.failed_event_id) == ("no more credits", None, None, None)
    assert update.oddities == ()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"error": {"client_event_id": "a"}, "client_event_id": "b"}, "a"),
        ({"error": {"client_event_id": None}, "client_event_id": "b"}, "b"),
        ({"error": {"event_id": "c"}}, "c"),
        ({"error": {}}, None),
    ],
)
def test_an_error_names_the_command_that_was_refused(told: Json, name: Any) -> None:
    update = live_decode(json.dumps({"type": "error", **told}))
    assert isinstance(update, updates.LiveErrorUpdate)
    assert update.failed_event_id == name


def test_a_delegation_an_answer_and_a_tool_of_an_unknown_type_are_kept() -> None:
    delegation = {"type": "agents", "agents": {"model": "m"}}
    update = live_decode(json.dumps({"type": "session.started", "session": {"id": "live_1", "delegation": delegation}}))
    assert isinstance(update, updates.LiveSessionStartedUpdate)
    assert update.session.delegation is not None
    assert (update.session.delegation_type, update.session.delegation.extra) == ("agents", {"agents": {"model": "m"}})
    assert update.oddities == ("unknown type 'agents' at $.session.delegation",)
    answers = [{"type": "essay", "name": "q", "text": "long"}]
    event = {"type": "decision.completed", "decision": {"answers": answers, "model": "m"}}
    decided = live_decode(json.dumps({"type": "decision.event", "event": event}))
    assert isinstance(decided, updates.LiveDecisionEventUpdate)
    assert decided.event.decision is not None
    (answer,) = decided.event.decision.answers
    assert (answer.type, answer.name, answer.extra) == ("essay", "q", {"text": "long"})
    assert decided.faults == ()


def test_times_may_be_fractions_and_are_told_as_numbers() -> None:
    told = {"type": "session.input_transcript.delta", "event_id": "e", "delta": " a", "start_ms": 600, "end_ms": 800.5}
    update = live_decode(json.dumps(told))
    assert isinstance(update, updates.LiveSessionInputTranscriptDeltaUpdate)
    assert (update.start_ms, update.end_ms, update.oddities) == (600.0, 800.5, ())
    created = {"type": "session.delegation.created", "offset_ms": 0.25, "delegation": {"id": "i", "target": "client"}}
    delegated = live_decode(json.dumps(created))
    assert isinstance(delegated, updates.LiveSessionDelegationCreatedUpdate)
    assert (delegated.offset_ms, delegated.delegation_id) == (0.25, "i")


def test_a_closed_session_without_its_parts_says_what_is_missing_and_invents_no_seconds() -> None:
    update = live_decode('{"type": "session.closed", "event_id": "e"}')
    assert isinstance(update, updates.LiveSessionClosedUpdate)
    assert (update.reason, update.usage.seconds, update.session_id) == ("", None, None)
    assert set(update.faults) == {"missing $.reason", "missing $.usage", "missing $.session"}


def test_a_reason_that_is_new_is_kept_and_told() -> None:
    update = live_decode('{"type": "session.closed", "reason": "eclipse", "usage": {"seconds": 14}, "session": {}}')
    assert isinstance(update, updates.LiveSessionClosedUpdate)
    assert (update.reason, update.usage.seconds) == ("eclipse", 14.0)
    assert update.oddities == ("unknown value 'eclipse' at $.reason",)


def test_the_audio_of_both_sides_is_decoded() -> None:
    audio = "AAABAAIAAwACAAEAAAD//w=="
    said = live_decode(json.dumps({"type": "session.output_audio.delta", "delta": audio}))
    heard = live_decode(json.dumps({"type": "session.input_audio.append", "audio": audio}))
    assert isinstance(said, updates.LiveSessionOutputAudioDeltaUpdate)
    assert isinstance(heard, updates.LiveSessionInputAudioAppendUpdate)
    assert said.audio_bytes == heard.audio_bytes == bytes([0, 0, 1, 0, 2, 0, 3, 0, 2, 0, 1, 0, 0, 0, 255, 255])
    assert (said.start_ms, said.event_id) == (None, None)
