"""Every message and every property that the public OpenAPI documents name has a place here."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from schema_walk import SchemaWalk, homeless_in_client_messages, homeless_in_server_messages

from realtime_sync.protocol.codec import decode, decode_command, encode
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.registry import REALTIME
from realtime_sync.protocol.update_base import UnknownUpdate, UnreadableUpdate
from tests.harness import DATA

SPEC = DATA / "protocol"

# What the documents' own examples hold beyond their own schemas.
NOT_IN_THE_SCHEMAS = {
    "conversation.item.retrieved": ["unknown field $.item.content[0].format"],
    "transcription_session.updated": ['unknown field $.session.turn_detection_options.// "interrupt_response"'],
}


def dialect_of(section: str) -> Dialect:
    return Dialect.PREVIEW if section.startswith("preview") else Dialect.GA


def examples(side: str) -> list[Any]:
    sections = json.loads((SPEC / "examples.json").read_text("utf-8")).items()
    return [
        pytest.param(dialect_of(section), entry["example"], id=f"{section}-{wire_type}")
        for section, entries in sections
        if section.endswith(side)
        for wire_type, entry in entries.items()
    ]


def walk_of(dialect: Dialect) -> SchemaWalk:
    schemas = json.loads((SPEC / f"{dialect.value}-schemas.json").read_text("utf-8"))
    return SchemaWalk(schemas, "#/components/schemas/")


@pytest.mark.parametrize(("dialect", "example"), examples("server"))
def test_each_example_of_a_server_message_is_read_into_its_class_without_oddities(
    dialect: Dialect, example: dict[str, Any]
) -> None:
    text = json.dumps(example)
    update = decode(text, dialect)
    assert not isinstance(update, (UnknownUpdate, UnreadableUpdate))
    wire_type = example["type"].strip()
    in_preview_too = dialect is Dialect.PREVIEW and wire_type == "conversation.item.created"
    assert type(update) is REALTIME.updates["conversation.item.added" if in_preview_too else wire_type]
    assert update.kind == type(update).kind
    assert update.type == example["type"]
    assert update.raw_content == text
    assert list(update.oddities) == NOT_IN_THE_SCHEMAS.get(wire_type, [])


@pytest.mark.parametrize(("dialect", "example"), examples("client"))
def test_each_example_of_a_client_message_is_read_and_written_back_as_it_was(
    dialect: Dialect, example: dict[str, Any]
) -> None:
    command = decode_command(json.dumps(example), dialect)
    assert type(command) is REALTIME.commands[example["type"]] or dialect is Dialect.PREVIEW
    expected = copy.deepcopy(example)
    if expected.get("previous_item_id", "") is None:
        del expected["previous_item_id"]  # absent and null both mean "at the end"
    if dialect is Dialect.PREVIEW and example["type"] == "response.create":
        # The example says max_output_tokens; its own schema has max_response_output_tokens, which we send.
        expected["response"]["max_response_output_tokens"] = expected["response"].pop("max_output_tokens")
    assert json.loads(encode(command, dialect)) == expected


@pytest.mark.parametrize(
    ("dialect", "root"),
    [
        (Dialect.GA, "RealtimeServerEvent"),
        (Dialect.GA, "RealtimeTranslationServerEvent"),
        (Dialect.GA, "RealtimeServerEventTranscriptionSessionUpdated"),  # the union does not name it
        (Dialect.PREVIEW, "RealtimeServerEvent"),
    ],
)
def test_each_property_that_a_server_message_can_have_has_a_field(dialect: Dialect, root: str) -> None:
    complaints = homeless_in_server_messages(walk_of(dialect), root, dialect)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("dialect", "root"),
    [
        (Dialect.GA, "RealtimeClientEvent"),
        (Dialect.GA, "RealtimeTranslationClientEvent"),
        (Dialect.GA, "RealtimeClientEventTranscriptionSessionUpdate"),  # the union does not name it
        (Dialect.PREVIEW, "RealtimeClientEvent"),
    ],
)
def test_each_property_that_a_client_message_can_have_has_a_field(dialect: Dialect, root: str) -> None:
    complaints = homeless_in_client_messages(walk_of(dialect), root, dialect)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("dialect", Dialect)
def test_each_voice_that_the_schemas_name_is_no_oddity(dialect: Dialect) -> None:
    voices = walk_of(dialect).schemas["VoiceIdsShared"]["anyOf"][1]["enum"]
    for voice in voices:
        assert decode(json.dumps({"type": "session.created", "session": {"voice": voice}}), dialect).oddities == ()


@pytest.mark.parametrize(
    ("dialect", "schema"),
    [
        (Dialect.GA, "RealtimeResponse"),
        (Dialect.GA, "RealtimeConversationItemMessageUser"),
        (Dialect.GA, "RealtimeMCPProtocolError"),
        (Dialect.GA, "RealtimeServerEventSessionCreated"),
        (Dialect.PREVIEW, "RealtimeConversationItem"),
    ],
)
def test_a_property_without_a_field_is_named(dialect: Dialect, schema: str) -> None:
    walk = walk_of(dialect)
    walk.schemas[schema]["properties"]["invented"] = {"type": "string"}
    complaints = homeless_in_server_messages(walk, "RealtimeServerEvent", dialect)
    assert complaints
    assert all(complaint.startswith(f"{schema}.invented ") for complaint in complaints)


def test_a_nested_property_without_a_field_is_named_in_client_messages() -> None:
    walk = walk_of(Dialect.GA)
    session = walk.schemas["RealtimeSessionCreateRequestGA"]["properties"]
    session["audio"]["properties"]["input"]["properties"]["invented"] = {"type": "integer"}
    (complaint,) = homeless_in_client_messages(walk, "RealtimeClientEvent", Dialect.GA)
    assert complaint.startswith("RealtimeSessionCreateRequestGA.audio.input.invented ")


def test_a_message_without_a_class_is_named() -> None:
    walk = walk_of(Dialect.GA)
    walk.schemas["Invented"] = {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": ["invented.event"]}, "event_id": {"type": "string"}},
    }
    assert "no class for 'invented.event'" in homeless_in_server_messages(walk, "Invented", Dialect.GA)[0]
