"""Settings as one makes them."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_sync.errors import InvalidInputError, UnknownNameError
from realtime_sync.protocol.options import (
    AudioFormat,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
    ConversationToolChoice,
    InputNoiseReductionOptions,
    InputTranscriptionOptions,
    TranscriptionSessionOptions,
    TranslationSessionOptions,
    TurnDetectionOptions,
)
from realtime_sync.protocol.registry import UNSET, UnsetType


def test_unset_is_false_and_is_no_value() -> None:
    assert not UNSET
    assert UNSET is UnsetType.UNSET
    assert repr(UNSET) == "UNSET"
    options = ConversationSessionOptions(turn_detection_options=None, temperature=0.0)
    assert repr(options) == "ConversationSessionOptions(turn_detection_options=None, temperature=0.0)"
    assert UNSET is not None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pcm16", AudioFormat(type="audio/pcm", rate=24000)),
        ("audio/pcm", AudioFormat(type="audio/pcm", rate=24000)),
        ("g711_ulaw", AudioFormat(type="audio/pcmu")),
        ("g711_alaw", AudioFormat(type="audio/pcma")),
        ("audio/pcma", AudioFormat(type="audio/pcma")),
        ("audio/opus", AudioFormat(type="audio/opus")),
        (AudioFormat(rate=16000), AudioFormat(type="audio/pcm", rate=16000)),
        (None, None),
        (UNSET, UNSET),
    ],
)
def test_a_format_is_known_by_its_name(name: Any, expected: Any) -> None:
    assert ConversationSessionOptions(input_audio_format=name).input_audio_format == expected
    assert ConversationSessionOptions(output_audio_format=name).output_audio_format == expected
    assert TranscriptionSessionOptions(input_audio_format=name).input_audio_format == expected
    assert ConversationResponseOptions(output_audio_format=name).output_audio_format == expected


def test_a_format_may_be_given_later_by_name_too() -> None:
    options = ConversationSessionOptions()
    options.input_audio_format = "g711_ulaw"  # type: ignore[assignment]
    assert options.input_audio_format == AudioFormat(type="audio/pcmu")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("text", ["text"]),
        (["text", "audio"], ["text", "audio"]),
        (("audio",), ["audio"]),
        ([], []),
        (None, None),
        (UNSET, UNSET),
    ],
)
def test_modalities_are_one_or_several(given: Any, expected: Any) -> None:
    assert ConversationSessionOptions(content_modalities=given).content_modalities == expected
    assert ConversationResponseOptions(content_modalities=given).content_modalities == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", ConversationToolChoice.auto()),
        ("none", ConversationToolChoice.none()),
        ("required", ConversationToolChoice.required()),
        (ConversationToolChoice.function("f"), ConversationToolChoice(type="function", name="f")),
        (ConversationToolChoice.mcp("s"), ConversationToolChoice(type="mcp", server_label="s")),
        (ConversationToolChoice.mcp("s", "t"), ConversationToolChoice(type="mcp", server_label="s", name="t")),
        (None, None),
    ],
)
def test_a_tool_choice_is_a_word_or_an_object(given: Any, expected: Any) -> None:
    assert ConversationSessionOptions(tool_choice=given).tool_choice == expected


@pytest.mark.parametrize("cls", [ConversationSessionOptions, TranscriptionSessionOptions, TranslationSessionOptions])
def test_settings_of_the_input_may_be_a_word_or_the_wires_json(cls: Any) -> None:
    heard = InputTranscriptionOptions(model="gpt-transcribe")
    assert cls(input_transcription_options="gpt-transcribe").input_transcription_options == heard
    assert cls(input_transcription_options={"model": "gpt-transcribe"}).input_transcription_options == heard
    quiet = InputNoiseReductionOptions(type="far_field")
    assert cls(input_noise_reduction_options="far_field").input_noise_reduction_options == quiet
    assert cls(input_noise_reduction_options={"type": "far_field"}).input_noise_reduction_options == quiet
    if cls is not TranslationSessionOptions:
        assert cls(turn_detection_options="none").turn_detection_options == TurnDetectionOptions.disabled()
        detected = cls(turn_detection_options={"type": "server_vad", "threshold": 0.7}).turn_detection_options
        assert detected == TurnDetectionOptions.server_vad(threshold=0.7)
    for value in (None, UNSET, heard):
        assert cls(input_transcription_options=value).input_transcription_options is value
    with pytest.raises(UnknownNameError, match=r"InputTranscriptionOptions has no setting 'lang'; write language="):
        cls(input_transcription_options={"lang": "en"})


def test_tools_may_come_as_any_sequence_and_are_copied() -> None:
    tools = (ConversationTool.create_function_tool("f"),)
    assert ConversationSessionOptions(tools=tools).tools == list(tools)
    mine = list(tools)
    options = ConversationSessionOptions(tools=mine)
    mine.clear()
    assert options.tools == list(tools)


@pytest.mark.parametrize("given", ["f", b"f", {"type": "function", "name": "f"}, 5, ConversationTool(type="x")])
def test_what_is_no_list_is_not_taken_for_one(given: Any) -> None:
    with pytest.raises(InvalidInputError, match="tools must be a list, not"):
        ConversationSessionOptions(tools=given)
    with pytest.raises(InvalidInputError, match="input_items must be a list, not"):
        ConversationResponseOptions(input_items=given)


@pytest.mark.parametrize("given", [None, UNSET])
def test_lists_may_be_none_or_unset(given: Any) -> None:
    options = ConversationResponseOptions(tools=given, input_items=given)
    assert (options.tools, options.input_items) == (given, given)


def test_a_function_tool_has_what_it_was_given() -> None:
    tool = ConversationTool.create_function_tool("f", parameters={})
    assert (tool.type, tool.name, tool.description, tool.parameters) == ("function", "f", UNSET, {})
    assert ConversationTool.create_function_tool("f", "", None).description == ""
    assert ConversationTool.create_function_tool("f", None, None).parameters is None


def test_an_mcp_tool_takes_its_other_settings_by_name() -> None:
    tool = ConversationTool.create_mcp_tool("s", "https://example.com", require_approval="never", allowed_tools=["a"])
    assert (tool.require_approval, tool.allowed_tools) == ("never", ["a"])
    with pytest.raises(TypeError):
        ConversationTool.create_mcp_tool("s", no_such_setting=1)


def test_turn_detection_says_its_kind() -> None:
    assert TurnDetectionOptions.server_vad(threshold=0.0).threshold == 0.0
    assert TurnDetectionOptions.semantic_vad(eagerness="low").type == "semantic_vad"
    assert TurnDetectionOptions.disabled().type == "none"


def test_a_misspelt_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="instrutions"):
        ConversationSessionOptions(instrutions="x")  # type: ignore[call-arg]
