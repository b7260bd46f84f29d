"""What editors offer for an option is what the schemas list for it, and any other text is accepted, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from openai.types.realtime import AudioTranscription, RealtimeSessionCreateRequest

from realtime_sync import (
    ConversationMCPTool,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationToolChoice,
    InputNoiseReductionOptions,
    InputTranscriptionOptions,
    LiveContentPart,
    LiveDecisionItem,
    LiveDelegationInfo,
    LiveHistoryItem,
    LiveMCPTool,
    LiveReasoningOptions,
    LiveResponsesSettings,
    LiveSessionClosedUpdate,
    LiveSessionOptions,
    LiveShellEnvironment,
    LiveTextOptions,
    LiveToolChoice,
    LiveTrigger,
    ReasoningOptions,
    TranscriptionSessionOptions,
    TruncationOptions,
    TurnDetectionOptions,
)
from realtime_sync.models import (
    MODELS,
    ConversationModelName,
    LiveModelName,
    TranscriptionModelName,
    TranslationModelName,
    match,
)
from tests.harness import DATA
from tests.server.live.schemas import SERVER_EVENTS, schemas_of

GA = json.loads((DATA / "protocol" / "ga-schemas.json").read_text("utf-8"))
PREVIEW = json.loads((DATA / "protocol" / "preview-schemas.json").read_text("utf-8"))
LIVE = schemas_of(SERVER_EVENTS)


def literals(hint: Any) -> set[str]:
    """All the texts that a type lists, however deep."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {text for part in get_args(hint) for text in literals(part)}


def takes_any_text(hint: Any) -> bool:
    return hint is str or any(takes_any_text(part) for part in get_args(hint))


def enums(schema: Any, schemas: dict[str, Any]) -> Iterator[str]:
    """All the texts that a schema lists for a value, or for the items of a list; not for the fields of an object."""
    if "$ref" in schema:
        yield from enums(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    yield from schema.get("enum", ())
    for part in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if "properties" not in part:
            yield from enums(part, schemas)
    if "items" in schema:
        yield from enums(schema["items"], schemas)


def listed(schemas: dict[str, Any], name: str, *path: str) -> set[str]:
    schema = schemas[name]
    for step in path:
        schema = schema["properties"][step]
    return set(enums(schema, schemas))


SESSION, RESPONSE = "RealtimeSessionCreateRequestGA", "RealtimeResponseCreateParams"
TRANSCRIPTION_SESSION = "RealtimeTranscriptionSessionCreateRequestGA"
VOICES = listed(GA, "VoiceIdsShared") | listed(PREVIEW, "VoiceIdsShared")
MODALITIES = {"text", "audio"}
BACKEND = "ResponsesDelegationConfig"


@pytest.mark.parametrize(
    ("cls", "field", "values"),
    [
        (InputTranscriptionOptions, "model", listed(GA, "AudioTranscription", "model")),
        (InputTranscriptionOptions, "delay", listed(GA, "AudioTranscription", "delay")),
        (InputNoiseReductionOptions, "type", listed(GA, "NoiseReductionType")),
        (ReasoningOptions, "effort", listed(GA, "RealtimeReasoningEffort")),
        (ConversationSessionOptions, "model", listed(GA, SESSION, "model")),
        (ConversationSessionOptions, "content_modalities", listed(GA, SESSION, "output_modalities")),
        (ConversationSessionOptions, "voice", VOICES),
        (ConversationSessionOptions, "include", listed(GA, SESSION, "include")),
        (ConversationSessionOptions, "tracing", listed(GA, SESSION, "tracing")),
        (ConversationSessionOptions, "truncation", listed(GA, "RealtimeTruncation")),
        (TranscriptionSessionOptions, "content_modalities", MODALITIES),
        (TranscriptionSessionOptions, "include", listed(GA, TRANSCRIPTION_SESSION, "include")),
        (ConversationResponseOptions, "content_modalities", listed(GA, RESPONSE, "output_modalities")),
        (ConversationResponseOptions, "voice", VOICES),
        (ConversationResponseOptions, "conversation", listed(GA, RESPONSE, "conversation")),
        (ConversationMCPTool, "connector_id", listed(GA, "MCPTool", "connector_id")),
        (ConversationMCPTool, "allowed_callers", listed(GA, "MCPTool", "allowed_callers")),
        (ConversationMCPTool, "require_approval", listed(GA, "MCPTool", "require_approval")),
        (ConversationToolChoice, "type", listed(GA, "ToolChoiceOptions") | {"function", "mcp"}),
        (TruncationOptions, "type", {"retention_ratio"}),
        (TurnDetectionOptions, "type", {"server_vad", "semantic_vad", "none"}),
        (TurnDetectionOptions, "eagerness", {"low", "medium", "high", "auto"}),
        (LiveSessionOptions, "model", listed(LIVE, "SessionResource", "model")),
        (LiveSessionOptions, "voice", listed(LIVE, "AudioOutput", "voice")),
        (LiveSessionOptions, "service_tier", listed(LIVE, BACKEND, "service_tier")),
        (LiveResponsesSettings, "tool_choice", listed(LIVE, BACKEND, "tool_choice")),
        (LiveReasoningOptions, "effort", listed(LIVE, "Reasoning", "effort")),
        (LiveReasoningOptions, "summary", listed(LIVE, "Reasoning", "summary")),
        (LiveTextOptions, "verbosity", listed(LIVE, "Text", "verbosity")),
        (LiveTrigger, "event_type", listed(LIVE, "DecisionTrigger", "event_type")),
        (LiveToolChoice, "mode", listed(LIVE, "ToolChoiceLiveAllowedToolsChoiceParam", "mode")),
        (LiveMCPTool, "allowed_callers", listed(LIVE, "ToolMcp", "allowed_callers")),
        (LiveMCPTool, "require_approval", listed(LIVE, "ToolMcp", "require_approval")),
        (LiveShellEnvironment, "memory_limit", listed(LIVE, "ToolShellEnvironmentContainerAuto", "memory_limit")),
        (LiveContentPart, "detail", listed(LIVE, "ContentPartInputImage", "detail")),
        (LiveHistoryItem, "status", listed(LIVE, "User", "status")),
        (LiveDelegationInfo, "target", listed(LIVE, "Delegation", "target")),
        (LiveDecisionItem, "phase", listed(LIVE, "DecisionStoredAssistantMessage", "phase")),
        # "client_request" was recorded in 2026-09.
        (LiveSessionClosedUpdate, "reason", listed(LIVE, "SessionClosedEvent", "reason") | {"client_request"}),
    ],
)
def test_an_option_lists_what_the_schema_lists_and_takes_any_other_text(
    cls: type[Any], field: str, values: set[str]
) -> None:
    hint = get_type_hints(cls)[field]
    assert values
    assert literals(hint) == values
    assert takes_any_text(hint)


def test_the_newest_package_of_openai_lists_the_same_models() -> None:
    for ours, theirs in (
        (ConversationModelName, RealtimeSessionCreateRequest),
        (TranscriptionModelName, AudioTranscription),
    ):
        assert literals(ours) == literals(theirs.model_fields["model"].annotation)


def test_the_table_knows_each_model_that_is_listed_and_lists_each_that_it_knows() -> None:
    audio = {name for name in literals(ConversationModelName) if name.startswith("gpt-audio")}  # not of this API
    kinds = {
        "conversation": literals(ConversationModelName) - audio,
        "live": literals(LiveModelName),
        "transcription": literals(TranscriptionModelName),
        "translation": literals(TranslationModelName),
    }
    for kind, names in kinds.items():
        known = {name for name, model in MODELS.items() if model.kind.replace("preview", "conversation") == kind}
        assert known <= names
        assert {match(name, MODELS) for name in names} == known
