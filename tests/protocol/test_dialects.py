"""GA and preview: the same in the canonical layout, each in its own words on the wire."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import all_lines

from realtime_sync.errors import UnsupportedByDialectError
from realtime_sync.protocol import commands, options
from realtime_sync.protocol.codec import decode, decode_command, encode
from realtime_sync.protocol.dialects import (
    RESPONSE_PLACES,
    SESSION_PLACES,
    Dialect,
    read,
    read_type,
    translate,
    write,
)
from realtime_sync.protocol.items import ConversationContentPart, ConversationItem, ItemReference, MCPCallItem

GA, PREVIEW = Dialect.GA, Dialect.PREVIEW
Json = dict[str, Any]

# A setting of a session, as GA and as preview write it.
SESSIONS: list[tuple[Json, Json, Json]] = [
    ({"instructions": "x"}, {"instructions": "x"}, {"instructions": "x"}),
    ({"content_modalities": ["text"]}, {"output_modalities": ["text"]}, {"modalities": ["text"]}),
    ({"voice": "ash"}, {"audio": {"output": {"voice": "ash"}}}, {"voice": "ash"}),
    ({"max_output_tokens": "inf"}, {"max_output_tokens": "inf"}, {"max_response_output_tokens": "inf"}),
    (
        {"input_audio_format": {"type": "audio/pcm", "rate": 24000}},
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}},
        {"input_audio_format": "pcm16"},
    ),
    (
        {"output_audio_format": {"type": "audio/pcmu"}},
        {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
        {"output_audio_format": "g711_ulaw"},
    ),
    (
        {"input_audio_format": {"type": "audio/pcma"}},
        {"audio": {"input": {"format": {"type": "audio/pcma"}}}},
        {"input_audio_format": "g711_alaw"},
    ),
    (
        {"input_audio_format": {"type": "opus"}},
        {"audio": {"input": {"format": {"type": "opus"}}}},
        {"input_audio_format": "opus"},
    ),
    (
        {"input_transcription_options": {"model": "whisper-1", "language": "en"}},
        {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}}},
        {"input_audio_transcription": {"model": "whisper-1", "language": "en"}},
    ),
    (
        {"input_transcription_options": None},
        {"audio": {"input": {"transcription": None}}},
        {"input_audio_transcription": None},
    ),
    (
        {"input_noise_reduction_options": {"type": "near_field"}},
        {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
        {"input_audio_noise_reduction": {"type": "near_field"}},
    ),
    (
        {"turn_detection_options": {"type": "semantic_vad", "eagerness": "low"}},
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
        {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
    ),
    (
        {"turn_detection_options": None},
        {"audio": {"input": {"turn_detection": None}}},
        {"turn_detection": {"type": "none"}},
    ),
    ({"tool_choice": "required"}, {"tool_choice": "required"}, {"tool_choice": "required"}),
    (
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    (
        {"tools": [{"type": "function", "name": "f"}]},
        {"tools": [{"type": "function", "name": "f"}]},
        {"tools": [{"type": "function", "name": "f"}]},
    ),
    (
        {"voice": "ash", "output_audio_format": {"type": "audio/pcmu"}, "turn_detection_options": None, "x": {"y": 1}},
        {
            "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}, "input": {"turn_detection": None}},
            "x": {"y": 1},
        },
        {"voice": "ash", "output_audio_format": "g711_ulaw", "turn_detection": {"type": "none"}, "x": {"y": 1}},
    ),
]


@pytest.mark.parametrize(("canonical", "ga", "preview"), SESSIONS)
def test_a_sessions_settings_are_read_and_written_in_both_dialects(canonical: Json, ga: Json, preview: Json) -> None:
    message = {"type": "session.updated", "session": canonical}
    on_ga = {"type": "session.updated", "session": ga}
    on_preview = {"type": "session.updated", "session": preview}
    assert write(message, GA) == on_ga
    assert write(message, PREVIEW) == on_preview
    assert translate(on_ga, GA, PREVIEW) == on_preview
    assert translate(on_preview, PREVIEW, GA) == on_ga
    for dialect in Dialect:  # either spelling, whatever the connection's dialect
        assert read(on_ga, dialect) == message
        assert read(on_preview, dialect) == message


# A message, as GA and as preview write it; canonical is GA's layout but for sessions and responses.
MESSAGES: list[tuple[Json, Json]] = [
    *(
        ({"type": f"response.output_{kind}.{end}"}, {"type": f"response.{kind}.{end}"})
        for kind in ("text", "audio", "audio_transcript")
        for end in ("delta", "done")
    ),
    (
        {
            "type": "response.content_part.added",
            "item_id": "i",
            "part": {"type": "output_audio", "transcript": ""},
        },
        {"type": "response.content_part.added", "item_id": "i", "part": {"type": "audio", "transcript": ""}},
    ),
    (
        {"type": "conversation.item.added", "item": {"type": "message", "content": [{"type": "output_text"}]}},
        {"type": "conversation.item.created", "item": {"type": "message", "content": [{"type": "text"}]}},
    ),
    (
        {"type": "conversation.item.create", "item": {"type": "message", "content": [{"type": "input_text"}]}},
        {"type": "conversation.item.create", "item": {"type": "message", "content": [{"type": "input_text"}]}},
    ),
    (
        {"type": "response.done", "response": {"id": "r", "max_output_tokens": 5, "output_modalities": ["audio"]}},
        {"type": "response.done", "response": {"id": "r", "max_output_tokens": 5, "modalities": ["audio"]}},
    ),
    (
        {
            "type": "response.create",
            "response": {
                "max_output_tokens": 5,
                "conversation": "none",
                "metadata": {"a": "b"},
                "audio": {"output": {"voice": "ash"}},
                "input": [{"type": "message", "role": "assistant", "content": [{"type": "output_text"}]}],
            },
        },
        {
            "type": "response.create",
            "response": {
                "max_response_output_tokens": 5,
                "conversation": "none",
                "metadata": {"a": "b"},
                "voice": "ash",
                "input": [{"type": "message", "role": "assistant", "content": [{"type": "text"}]}],
            },
        },
    ),
    (
        {"type": "response.done", "response": {"output": [{"type": "message", "content": [{"type": "output_audio"}]}]}},
        {"type": "response.done", "response": {"output": [{"type": "message", "content": [{"type": "audio"}]}]}},
    ),
    ({"type": "error", "error": {"message": "m"}}, {"type": "error", "error": {"message": "m"}}),
]


@pytest.mark.parametrize(("ga", "preview"), MESSAGES)
def test_a_message_is_translated_both_ways(ga: Json, preview: Json) -> None:
    assert translate(ga, GA, PREVIEW) == preview
    assert translate(preview, PREVIEW, GA) == ga
    assert translate(ga, GA, GA) == ga
    assert translate(preview, PREVIEW, PREVIEW) == preview


def test_a_created_item_is_another_name_of_an_added_one_on_preview_only() -> None:
    assert read_type("conversation.item.created", PREVIEW) == "conversation.item.added"
    assert read_type("conversation.item.created", GA) == "conversation.item.created"


def test_a_transcription_session_is_told_by_the_sessions_type_or_by_the_messages() -> None:
    ga = {"type": "session.update", "session": {"type": "transcription", "include": ["x"]}}
    preview = {"type": "transcription_session.update", "session": {"include": ["x"]}}
    assert translate(ga, GA, PREVIEW) == preview
    assert translate(preview, PREVIEW, GA) == ga
    created = {"type": "session.created", "session": {"type": "transcription", "id": "s"}}
    assert translate(created, GA, PREVIEW) == {"type": "transcription_session.created", "session": {"id": "s"}}


def test_gas_older_transcription_message_keeps_its_flat_shape() -> None:
    command = commands.TranscriptionSessionUpdateCommand(
        session=options.TranscriptionSessionOptions(input_audio_format="pcm16", turn_detection_options=None)
    )
    for dialect, off in ((GA, None), (PREVIEW, {"type": "none"})):
        message = json.loads(encode(command, dialect))
        assert message["type"] == "transcription_session.update"
        assert message["session"] == {"input_audio_format": "pcm16", "turn_detection": off}


def test_gas_older_transcription_message_can_say_what_preview_cannot() -> None:
    wanted = options.InputTranscriptionOptions(model="m", languages=["en"], keywords=["tree"], delay="low")
    detection = options.TurnDetectionOptions.server_vad(idle_timeout_ms=6000)
    command = commands.TranscriptionSessionUpdateCommand(
        session=options.TranscriptionSessionOptions(
            input_transcription_options=wanted, turn_detection_options=detection, include=["x"], extra={"y": 1}
        )
    )
    assert decode_command(encode(command, GA), GA) == command


def test_a_part_that_is_called_content_is_read() -> None:
    message = {"type": "response.content_part.done", "content": {"type": "text", "text": "x"}}
    assert read(message, PREVIEW)["part"] == {"type": "output_text", "text": "x"}
    both = {**message, "part": {"type": "audio"}}
    assert read(both, PREVIEW)["content"] == message["content"]


def test_the_better_spelling_holds_where_a_server_uses_both() -> None:
    session = {"voice": "flat", "audio": {"output": {"voice": "nested", "transport": "json"}}, "speed": 1.5}
    told = read({"type": "session.updated", "session": session})["session"]
    assert told == {"voice": "nested", "output_speed": 1.5, "audio": {"output": {"transport": "json"}}}


# What a dialect cannot say ------------------------------------------------------------------------------------

VALUES: Json = {
    "content_modalities": ["text"],
    "instructions": "x",
    "voice": "ash",
    "output_speed": 1.0,
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_transcription_options": options.InputTranscriptionOptions(model="m"),
    "input_noise_reduction_options": options.InputNoiseReductionOptions(type="near_field"),
    "turn_detection_options": options.TurnDetectionOptions.server_vad(threshold=0.0),
    "tools": [options.ConversationTool.create_function_tool("f")],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "max_output_tokens": 0,
    "temperature": 0.0,
    "reasoning": options.ReasoningOptions(effort="low"),
    "tracing": None,
    "truncation": "auto",
    "prompt": options.PromptReference(id="p"),
    "include": [],
    "model": "m",
    "conversation": "none",
    "metadata": {},
    "input_items": [],
}


def settings_of(cls: Any) -> list[str]:
    return [field.name for field in cls.__attrs_attrs__ if field.name != "extra"]


SETTINGS = [
    (cls, places, name)
    for cls, places in (
        (options.ConversationSessionOptions, SESSION_PLACES),
        (options.ConversationResponseOptions, RESPONSE_PLACES),
    )
    for name in settings_of(cls)
]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(("cls", "places", "name"), SETTINGS)
def test_each_setting_is_sent_and_read_back_or_refused_by_its_name(
    cls: Any, places: Any, name: str, dialect: Dialect
) -> None:
    chosen = cls(**{name: VALUES[name]})
    command: Any = commands.ResponseCreateCommand(response=chosen)
    if cls is options.ConversationSessionOptions:
        command = commands.SessionUpdateCommand(session=chosen)
    (place,) = [place for place in places if place.name == name]
    if (place.ga if dialect is GA else place.preview) is None:
        with pytest.raises(UnsupportedByDialectError, match=name):
            encode(command, dialect)
    else:
        assert decode_command(encode(command, dialect), dialect) == command


def test_the_settings_that_a_dialect_lacks_are_these() -> None:
    assert {place.name for place in SESSION_PLACES if place.ga is None} == {"temperature"}
    assert {place.name for place in SESSION_PLACES if place.preview is None} == {
        "parallel_tool_calls",
        "reasoning",
        "prompt",
        "output_speed",
        "target_language",
        "tracing",
        "truncation",
        "include",
    }


PREVIEW_LACKS: list[tuple[str, Json]] = [
    ("idle_timeout_ms", {"turn_detection_options": options.TurnDetectionOptions.server_vad(idle_timeout_ms=6000)}),
    ("languages", {"input_transcription_options": options.InputTranscriptionOptions(languages=["en"])}),
    ("keywords", {"input_transcription_options": options.InputTranscriptionOptions(keywords=[])}),
    ("delay", {"input_transcription_options": options.InputTranscriptionOptions(delay="low")}),
    ("strength", {"input_noise_reduction_options": options.InputNoiseReductionOptions(strength=0.0)}),
    ("MCP", {"tools": [options.ConversationTool.create_mcp_tool("label")]}),
    ("MCP", {"tool_choice": options.ConversationToolChoice.mcp("label")}),
    ("voice", {"voice": options.CustomVoice(id="v")}),
    ("rate", {"input_audio_format": options.AudioFormat(type="audio/pcm", rate=16000)}),
    ("rate", {"output_audio_format": options.AudioFormat(type="audio/pcmu", rate=24000)}),
    ("channels", {"input_audio_format": options.AudioFormat(extra={"channels": 2})}),
]


@pytest.mark.parametrize(("word", "setting"), PREVIEW_LACKS)
def test_what_preview_has_no_word_for_within_a_setting_is_refused(word: str, setting: Json) -> None:
    command = commands.SessionUpdateCommand(session=options.ConversationSessionOptions(**setting))
    assert encode(command, GA)
    with pytest.raises(UnsupportedByDialectError, match=word):
        encode(command, PREVIEW)


@pytest.mark.parametrize(
    "command",
    [
        commands.OutputAudioBufferClearCommand(),
        commands.SessionCloseCommand(),
        commands.SessionInputAudioBufferAppendCommand(audio=""),
        commands.SessionUpdateCommand(session=options.TranslationSessionOptions(target_language="es")),
        commands.ConversationItemCreateCommand(item=ConversationItem.create_mcp_approval_response("a", False)),
        commands.ConversationItemCreateCommand(item=MCPCallItem(name="f")),
        commands.ConversationItemCreateCommand(
            item=ConversationItem.create_user_message(ConversationContentPart.from_input_image("https://example.com/i"))
        ),
        commands.ConversationItemCreateCommand(
            item=ConversationItem.create_user_message(ConversationContentPart(type="input_file", file_id="f"))
        ),
        commands.ConversationItemCreateCommand(
            item=ConversationItem.create_assistant_message(ConversationContentPart.from_output_audio("Hi"))
        ),
    ],
)
def test_messages_and_items_that_preview_lacks_are_refused(command: Any) -> None:
    assert encode(command, GA)
    with pytest.raises(UnsupportedByDialectError):
        encode(command, PREVIEW)


@pytest.mark.parametrize("format", [{"rate": 16_000}, {"extra": {"channels": 2}}])
def test_gas_older_transcription_message_is_not_said_to_be_previews(format: Any) -> None:
    wanted = options.TranscriptionSessionOptions(input_audio_format=options.AudioFormat(type="audio/pcm", **format))
    with pytest.raises(UnsupportedByDialectError, match=r"transcription_session\.update.* no setting for .*_format\."):
        encode(commands.TranscriptionSessionUpdateCommand(session=wanted), GA)


@pytest.mark.parametrize("message", [commands.SessionUpdateCommand, commands.TranscriptionSessionUpdateCommand])
def test_gas_transcription_sessions_have_no_modalities(message: Any) -> None:
    command = message(session=options.TranscriptionSessionOptions(content_modalities=["text"]))
    assert json.loads(encode(command, PREVIEW))["session"] == {"modalities": ["text"]}
    with pytest.raises(UnsupportedByDialectError, match="content_modalities"):
        encode(command, GA)


def test_what_is_answered_aloud_is_told_as_each_dialect_takes_it() -> None:
    for command in (
        commands.SessionUpdateCommand(session=options.ConversationSessionOptions(content_modalities=["audio"])),
        commands.ResponseCreateCommand(response=options.ConversationResponseOptions(content_modalities=["audio"])),
    ):
        part = "session" if isinstance(command, commands.SessionUpdateCommand) else "response"
        assert json.loads(encode(command, GA))[part]["output_modalities"] == ["audio"]
        assert json.loads(encode(command, PREVIEW))[part]["modalities"] == ["audio", "text"]


def test_a_tool_choice_keeps_its_extra_in_both_dialects() -> None:
    choice = options.ConversationToolChoice(type="function", name="f", extra={"strict": True})
    command = commands.ResponseCreateCommand(response=options.ConversationResponseOptions(tool_choice=choice))
    for dialect in Dialect:
        assert decode_command(encode(command, dialect), dialect) == command


def test_a_server_leaves_out_what_the_other_dialect_cannot_say() -> None:
    ga = {
        "type": "session.updated",
        "session": {
            "type": "realtime",
            "tracing": "auto",
            "tools": [{"type": "mcp", "server_label": "x"}, {"type": "function", "name": "f"}],
            "tool_choice": {"type": "mcp", "server_label": "x"},
            "audio": {"output": {"speed": 1.5}, "input": {"turn_detection": {"type": "x", "idle_timeout_ms": 5}}},
        },
    }
    assert translate(ga, GA, PREVIEW) == {
        "type": "session.updated",
        "session": {
            "tools": [{"type": "function", "name": "f"}],
            "tool_choice": "auto",
            "turn_detection": {"type": "x"},
        },
    }
    preview = {"type": "session.updated", "session": {"temperature": 0.8}}
    assert translate(preview, PREVIEW, GA) == {"type": "session.updated", "session": {}}


@pytest.mark.parametrize(
    "wire_type",
    [
        "conversation.item.done",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        "mcp_list_tools.completed",
        "output_audio_buffer.started",
        "response.mcp_call.failed",
        "response.mcp_call_arguments.delta",
        "session.closed",
        "session.output_audio.delta",
    ],
)
def test_messages_that_preview_has_no_counterpart_for_are_left_out(wire_type: str) -> None:
    assert translate({"type": wire_type}, GA, PREVIEW) is None
    assert translate({"type": wire_type}, GA, GA) == {"type": wire_type}


# Whatever comes -----------------------------------------------------------------------------------------------

LINES = [json.loads(line) for line in all_lines()]


@pytest.mark.parametrize("dialect", Dialect)
def test_no_line_is_changed_by_reading_or_translating_it(dialect: Dialect) -> None:
    for message in LINES:
        before = copy.deepcopy(message)
        for target in Dialect:
            translate(message, dialect, target)
        assert message == before


def told_of_the_session(message: Json) -> Any:
    """The session as the classes have it, without what one of the dialects has no words for."""
    update: Any = decode(json.dumps(message))
    names = {place.name for place in SESSION_PLACES if place.ga and place.preview}
    session = {name: getattr(update.session, name) for name in names}
    for name, lacking in (
        ("turn_detection_options", "idle_timeout_ms"),
        ("input_transcription_options", "delay"),
        ("input_transcription_options", "languages"),
        ("input_transcription_options", "keywords"),
    ):
        if session[name]:
            setattr(session[name], lacking, None)
    return session, update.session.id


def test_each_recorded_session_survives_the_way_to_preview_and_back() -> None:
    sessions = [message for message in LINES if isinstance(message.get("session"), dict)]
    assert len(sessions) >= 4
    for message in sessions:
        there = translate(message, GA, PREVIEW)
        assert there is not None
        back = translate(there, PREVIEW, GA)
        assert back is not None
        assert told_of_the_session(back) == told_of_the_session(read_once(message))


def read_once(message: Json) -> Json:
    """Without what is said twice: only the better spelling is carried over."""
    once = write(read(message, GA), GA, strict=False)
    assert once is not None
    return once


COMMON_KEYS = ["type", "session", "response", "item", "part", "content", "audio", "input", "output", "format", "voice"]
RARE_KEYS = ["tools", "turn_detection", "tool_choice", "function", "input_audio_format", "modalities", "name", "x"]
KEYS = st.sampled_from([*COMMON_KEYS, *RARE_KEYS])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)
TYPES = st.sampled_from(sorted({"session.update", "response.done", "x", *(str(line.get("type")) for line in LINES)}))
MESSAGES_OF_ANY_KIND = st.builds(
    lambda message, wire_type: {**message, "type": wire_type}, st.dictionaries(KEYS, JSON, max_size=5), TYPES | JSON
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(message=MESSAGES_OF_ANY_KIND, source=st.sampled_from(Dialect), target=st.sampled_from(Dialect))
def test_reading_and_translating_raise_for_no_json_and_change_nothing(
    message: Json, source: Dialect, target: Dialect
) -> None:
    before = copy.deepcopy(message)
    read(message, source)
    translate(message, source, target)
    assert message == before


@settings(max_examples=100, deadline=None, derandomize=True)
@given(message=MESSAGES_OF_ANY_KIND, value=JSON)
def test_unknown_keys_survive_reading_and_writing(message: Json, value: Any) -> None:
    message["zz_unknown"] = value
    for key in ("session", "response"):
        if isinstance(message.get(key), dict):
            message[key]["zz_unknown"] = value
            if isinstance(message[key].get("audio"), dict):
                message[key]["audio"]["zz_unknown"] = value
    written = write(read(message), GA, strict=False)
    assert written is not None
    assert written["zz_unknown"] == value
    for key in ("session", "response"):
        if isinstance(message.get(key), dict):
            assert written[key]["zz_unknown"] == value
            if isinstance(message[key].get("audio"), dict):
                assert written[key]["audio"]["zz_unknown"] == value


def test_a_reference_has_its_id_in_both_dialects() -> None:
    command = commands.ResponseCreateCommand(
        response=options.ConversationResponseOptions(input_items=[ConversationItem.create_reference("i")])
    )
    for dialect in Dialect:
        message = json.loads(encode(command, dialect))
        assert message["response"]["input"] == [{"type": "item_reference", "id": "i"}]
        again: Any = decode_command(json.dumps(message), dialect)
        assert again.response.input_items == [ItemReference(id="i")]
