"""Reading leniently, writing strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol import commands, options, updates
from realtime_sync.protocol.codec import append_frame, decode, decode_binary, decode_command, encode, to_text
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.items import ConversationItem, FunctionCallItem, MessageItem, UnknownItem
from realtime_sync.protocol.kinds import ConversationUpdateKind
from realtime_sync.protocol.plain import to_plain
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.update_base import ConversationUpdate, UnknownUpdate, UnreadableUpdate


def sent(session: options.SessionOptions, dialect: Dialect = Dialect.GA) -> dict[str, Any]:
    """The session that goes over the wire."""
    message = json.loads(encode(commands.SessionUpdateCommand(session=session), dialect))
    assert message.pop("type") in ("session.update", "transcription_session.update")
    session_sent: dict[str, Any] = message.pop("session")
    assert message == {}
    return session_sent


def realtime(**settings: Any) -> dict[str, Any]:
    session = sent(options.ConversationSessionOptions(**settings))
    assert session.pop("type") == "realtime"
    return session


def read(message: dict[str, Any], dialect: Dialect = Dialect.GA) -> Any:
    text = json.dumps(message)
    update = decode(text, dialect)
    assert update.raw_content == text
    assert update.json() == message
    return update


def nested(depth: int) -> str:
    """JSON text of an object in an object in an object, ..."""
    return '{"a":' * depth + "1" + "}" * depth


# Writing ----------------------------------------------------------------------------------------------------


def test_what_is_unset_is_not_sent() -> None:
    assert realtime() == {}
    assert realtime(instructions=UNSET, tools=UNSET) == {}


@pytest.mark.parametrize("name", ["instructions", "tools", "tool_choice", "tracing", "prompt", "max_output_tokens"])
def test_none_is_sent_as_null(name: str) -> None:
    assert realtime(**{name: None}) == {name: None}


def test_nested_settings_are_null_where_they_are_none() -> None:
    session = realtime(turn_detection_options=None, input_transcription_options=None, voice=None)
    assert session == {
        "audio": {"input": {"turn_detection": None, "transcription": None}, "output": {"voice": None}},
    }


def test_values_that_are_false_are_sent() -> None:
    session = realtime(instructions="", tools=[], max_output_tokens=0, parallel_tool_calls=False, output_speed=0.0)
    assert session == {
        "instructions": "",
        "tools": [],
        "max_output_tokens": 0,
        "parallel_tool_calls": False,
        "audio": {"output": {"speed": 0.0}},
    }
    assert sent(options.ConversationSessionOptions(temperature=0.0), Dialect.PREVIEW) == {"temperature": 0.0}


def test_turn_detection_that_is_disabled_is_null_in_ga_and_an_object_in_preview() -> None:
    for off in (None, options.TurnDetectionOptions.disabled()):
        session = options.ConversationSessionOptions(turn_detection_options=off)
        assert sent(session)["audio"]["input"] == {"turn_detection": None}
        assert sent(session, Dialect.PREVIEW) == {"turn_detection": {"type": "none"}}


def test_extra_reaches_nested_places_beside_what_is_there() -> None:
    extra = {"audio": {"output": {"foo": 1}}, "bar": [2]}
    session = realtime(voice="ash", instructions="Hi", extra=extra)
    assert session == {"instructions": "Hi", "audio": {"output": {"voice": "ash", "foo": 1}}, "bar": [2]}
    assert extra == {"audio": {"output": {"foo": 1}}, "bar": [2]}


@pytest.mark.parametrize("extra", [{"audio": {"output": {"voice": "sage"}}}, {"voice": "sage"}])
def test_extra_wins_over_the_field(extra: dict[str, Any]) -> None:
    assert realtime(voice="ash", extra=extra) == {"audio": {"output": {"voice": "sage"}}}


def test_extra_of_an_inner_class_is_sent_in_its_place() -> None:
    detection = options.TurnDetectionOptions.server_vad(threshold=0.0)
    detection.extra["auto_truncate"] = True
    assert realtime(turn_detection_options=detection)["audio"]["input"] == {
        "turn_detection": {"type": "server_vad", "threshold": 0.0, "auto_truncate": True}
    }


def test_extra_of_parts_items_and_commands_is_sent() -> None:
    item = ConversationItem.create_user_message("Hi")
    item.extra["color"] = "red"
    item.content[0].extra["shade"] = 5
    command = commands.ConversationItemCreateCommand(item=item, extra={"urgent": True})
    assert json.loads(encode(command)) == {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "color": "red",
            "content": [{"type": "input_text", "text": "Hi", "shade": 5}],
        },
        "urgent": True,
    }


@pytest.mark.parametrize(
    "bad",
    [math.nan, math.inf, -math.inf, "\ud800", b"bytes", {1, 2}, object(), {(1, 2): 3}],
    ids=["nan", "inf", "minus inf", "lone surrogate", "bytes", "a set", "an object", "a key that is no string"],
)
def test_what_json_cannot_say_is_refused(bad: Any) -> None:
    session = options.ConversationSessionOptions(extra={"x": [bad]})
    with pytest.raises(InvalidInputError, match="cannot be sent as JSON"):
        encode(commands.SessionUpdateCommand(session=session))


def test_a_ring_is_refused() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(InvalidInputError):
        to_text({"x": ring})
    tool = options.ConversationTool.create_function_tool("f", parameters={"x": ring})
    for dialect in Dialect:
        with pytest.raises(InvalidInputError, match="holds itself"):
            encode(commands.SessionUpdateCommand(session=options.ConversationSessionOptions(tools=[tool])), dialect)


def test_a_session_as_the_server_told_it_is_no_settings() -> None:
    update = read({"type": "session.updated", "session": {"id": "s", "voice": "ash"}})
    with pytest.raises(InvalidInputError, match="as the server described it"):
        commands.SessionUpdateCommand(session=update.session)


def test_text_is_sent_as_it_is() -> None:
    text = encode(commands.ConversationItemCreateCommand(item=ConversationItem.create_user_message('ö "\n\u2028 😀')))
    assert "ö" in text
    assert "😀" in text
    assert json.loads(text)["item"]["content"][0]["text"] == 'ö "\n\u2028 😀'


@pytest.mark.parametrize("audio", [b"", b"\0", bytes(range(256)) * 9, bytearray(b"abc"), memoryview(b"abcd")])
def test_the_short_way_of_audio_says_what_the_long_way_says(audio: Any) -> None:
    short = json.loads(append_frame(audio))
    assert decode_command(append_frame(audio).decode()) == decode_command(json.dumps(short))
    assert json.loads(encode(commands.InputAudioBufferAppendCommand(audio=short["audio"]))) == short
    assert json.loads(encode(commands.InputAudioBufferAppendCommand(audio=short["audio"]), Dialect.PREVIEW)) == short


def test_a_session_that_translates_has_no_type() -> None:
    session = sent(options.TranslationSessionOptions(target_language="es"))
    assert session == {"audio": {"output": {"language": "es"}}}


def test_a_session_that_transcribes_says_so() -> None:
    session = options.TranscriptionSessionOptions(input_audio_format="audio/pcmu")
    assert sent(session) == {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    assert sent(session, Dialect.PREVIEW) == {"input_audio_format": "g711_ulaw"}


# Reading commands, for servers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hello", "not JSON"),
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "an array"),
        ("5", "a number"),
        ("null", "null"),
        ("{}", "unknown client message None"),
        ('{"type": 5}', "unknown client message 5"),
        ('{"type": ["session.update"]}', "unknown client message"),
        ('{"type": "no.such.thing"}', "unknown client message 'no.such.thing'"),
        ('{"type": "session.update"}', "missing"),
        ('{"type": "session.update", "session": 5}', "session"),
        ('{"type": "response.create", "response": []}', "response"),
        ('{"type": "input_audio_buffer.append", "audio": 5}', "audio"),
        ('{"type": "response.create", "response": ' + nested(5_000) + "}", "nested|JSON"),
    ],
)
def test_what_is_no_command_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        decode_command(text)


def test_a_command_keeps_what_it_has_no_field_for() -> None:
    command = decode_command('{"type": "response.cancel", "event_id": "e", "why": 1}')
    assert command == commands.ResponseCancelCommand(event_id="e", extra={"why": 1})


def test_a_session_does_not_repeat_its_type_in_extra() -> None:
    command = decode_command('{"type": "session.update", "session": {"type": "realtime", "x": 1}}')
    assert isinstance(command, commands.SessionUpdateCommand)
    assert command.session == options.ConversationSessionOptions(extra={"x": 1})


@pytest.mark.parametrize("choice", ["auto", "none", "required", "a_new_mode"])
def test_a_tool_choice_of_one_word_stays_a_word(choice: str) -> None:
    for dialect in Dialect:
        text = json.dumps({"type": "response.create", "response": {"tool_choice": choice}})
        assert json.loads(encode(decode_command(text, dialect), dialect)) == json.loads(text)


# Reading updates ----------------------------------------------------------------------------------------------


def test_an_unknown_type_is_kept_whole() -> None:
    message = {"type": "response.hologram.delta", "event_id": "e1", "extra": 1, "raw_content": 2, "faults": {"a": [3]}}
    update = read(message)
    assert type(update) is UnknownUpdate
    assert update.kind is ConversationUpdateKind.UNKNOWN
    assert (update.type, update.event_id) == ("response.hologram.delta", "e1")
    assert update.extra == {"extra": 1, "raw_content": 2, "faults": {"a": [3]}}
    assert update.faults == ()
    assert update.oddities == ("unknown type 'response.hologram.delta' at $",)


def test_an_unknown_items_fields_are_kept() -> None:
    item = {"type": "dance", "id": "i", "steps": [1]}
    update = read({"type": "response.output_item.done", "response_id": "r", "output_index": 0, "item": item})
    assert update.item == UnknownItem(type="dance", id="i", extra={"steps": [1]})
    assert update.oddities == ("unknown type 'dance' at $.item",)


def test_an_unknown_part_and_an_unknown_field_are_kept() -> None:
    item = {"type": "message", "role": "assistant", "content": [{"type": "smell", "odour": "rose"}], "mood": "good"}
    update = read({"type": "conversation.item.done", "item": item, "extra": "mine", "previous_item_id": None})
    assert update.extra == {"extra": "mine"}
    assert update.item.extra == {"mood": "good"}
    assert update.item.content[0].type == "smell"
    assert update.item.content[0].extra == {"odour": "rose"}
    assert update.oddities == (
        "unknown field $.extra",
        "unknown field $.item.mood",
        "unknown field $.item.content[0].odour",
        "unknown value 'smell' at $.item.content[0].type",
    )


def test_an_unknown_tool_is_kept() -> None:
    update = read({"type": "session.updated", "session": {"tools": [{"type": "search", "depth": 3}]}})
    assert update.session.tools == [options.UnknownTool(type="search", extra={"depth": 3})]
    assert update.oddities == ("unknown type 'search' at $.session.tools[0]",)


def test_values_that_the_service_may_add_are_read_as_they_are_and_told() -> None:
    session = {
        "model": "a-deployment",
        "voice": "newvoice",
        "tool_choice": "maybe",
        "output_modalities": ["video"],
        "audio": {"input": {"format": {"type": "audio/opus"}, "turn_detection": {"type": "psychic_vad"}}},
        "truncation": "sometimes",
        "max_output_tokens": "many",
    }
    update = read({"type": "session.created", "session": session})
    assert update.faults == ()
    assert sorted(update.oddities) == [
        "unknown value 'audio/opus' at $.session.input_audio_format.type",
        "unknown value 'many' at $.session.max_output_tokens",
        "unknown value 'maybe' at $.session.tool_choice.type",
        "unknown value 'newvoice' at $.session.voice",
        "unknown value 'psychic_vad' at $.session.turn_detection_options.type",
        "unknown value 'sometimes' at $.session.truncation",
    ]
    assert update.session.voice == "newvoice"
    assert update.session.tool_choice == options.ConversationToolChoice(type="maybe")
    assert update.session.content_modalities == ["video"]
    assert update.session.input_audio_format == options.AudioFormat(type="audio/opus")
    assert update.session.turn_detection_options.type == "psychic_vad"
    assert (update.session.truncation, update.session.max_output_tokens) == ("sometimes", "many")


def test_what_is_off_is_none_and_what_was_not_told_is_unset() -> None:
    for off in (None, {"type": "none"}, {"type": None}):
        session = read({"type": "session.created", "session": {"turn_detection": off}}).session
        assert session.turn_detection_options is None
        assert session.input_transcription_options is UNSET


@pytest.mark.parametrize(
    ("message", "faults", "holds"),
    [
        (
            {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": "12"},
            ("wrong type at $.audio_start_ms: a string",),
            {"item_id": "i", "audio_start_ms": 0},
        ),
        (
            {"type": "input_audio_buffer.speech_started", "audio_start_ms": True},
            ("wrong type at $.audio_start_ms: a boolean", "missing $.item_id"),
            {"item_id": "", "audio_start_ms": 0},
        ),
        (
            {"type": "input_audio_buffer.committed", "item_id": None, "event_id": 7},
            ("wrong type at $.item_id: null", "wrong type at $.event_id: a number"),
            {"item_id": "", "event_id": None},
        ),
        ({"type": "rate_limits.updated"}, ("missing $.rate_limits",), {"rate_limits": [], "tokens": None}),
        ({"type": "error"}, ("missing $.error",), {"message": None, "failed_event_id": None}),
        (
            {"type": "error", "error": {"message": "no", "code": 5}},
            ("wrong type at $.error.code: a number",),
            {"message": "no", "code": None},
        ),
        (
            {"type": "response.done", "response": {"id": "r", "status_details": "broken", "output": {}}},
            ("wrong type at $.response.status_details: a string", "wrong type at $.response.output: an object"),
            {"response_id": "r"},
        ),
        ({"type": "response.created", "response": "r"}, ("wrong type at $.response: a string",), {"response_id": None}),
    ],
)
def test_wrong_and_missing_fields_are_mended_and_told(
    message: dict[str, Any], faults: tuple[str, ...], holds: dict[str, Any]
) -> None:
    update = read(message)
    assert sorted(update.faults) == sorted(faults)
    assert update.oddities == update.faults
    assert update.kind.value == update.type == message["type"]
    assert {name: getattr(update, name) for name in holds} == holds


def test_only_the_wrong_elements_of_a_list_are_left_out() -> None:
    output: list[Any] = [None, {"type": "function_call", "name": "f"}, 5, {"type": "message", "content": ["x", {}]}]
    update = read({"type": "response.done", "response": {"output": output}})
    call, message = update.response.output
    assert isinstance(call, FunctionCallItem)
    assert isinstance(message, MessageItem)
    assert len(message.content) == 1
    assert len(update.faults) == 3
    assert all(fault.startswith("left out $.response.output[") for fault in update.faults)


def test_a_whole_number_may_have_a_point_and_a_number_may_have_none() -> None:
    limit = {"name": "tokens", "limit": 1000.0, "remaining": 1.5, "reset_seconds": 3}
    update = read({"type": "rate_limits.updated", "rate_limits": [limit]})
    assert (update.tokens.limit, update.tokens.remaining, update.tokens.reset_seconds) == (1000, None, 3.0)
    assert update.faults == ("wrong type at $.rate_limits[0].remaining: a number",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not JSON: "),
        ("hello", "not JSON: "),
        ('{"type": "error"', "not JSON: "),
        ('{"type": "error"} {"type": "error"}', "not JSON: "),
        ('["session.created"]', "expected a JSON object, got an array"),
        ("42", "expected a JSON object, got a number"),
        ("null", "expected a JSON object, got null"),
        ("true", "expected a JSON object, got a boolean"),
        ('"session.created"', "expected a JSON object, got a string"),
        ("{}", "the message has no type"),
        ('{"type": null}', "the message has no type"),
        ('{"type": {"a": 1}}', "the message has no type"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("9" * 10_000, ""),
    ],
)
def test_a_frame_that_is_no_message_is_an_update_that_says_so(text: str, fault: str) -> None:
    update = decode(text)
    assert isinstance(update, UnreadableUpdate)
    assert update.kind is ConversationUpdateKind.UNKNOWN
    assert update.raw_content == text
    assert update.raw_bytes is None
    (told,) = update.oddities
    assert told.startswith(fault)
    assert len(repr(update)) < 1000
    if fault != "the message has no type" and not text.startswith(("[" * 9, '{"a":' * 9)):
        with pytest.raises(InvalidInputError):
            update.json()


def test_a_binary_frame_is_kept_as_bytes() -> None:
    update = decode_binary(b"\0\xff\x01")
    assert isinstance(update, UnreadableUpdate)
    assert (update.raw_bytes, update.raw_content) == (b"\0\xff\x01", "")
    assert update.faults[0].startswith("a binary frame of 3 bytes, which")
    assert "audio.output.transport" in update.faults[0]
    assert "\\xff" not in repr(update)


@pytest.mark.parametrize("depth", [50, 300, 600, 900, 990, 2000])
@pytest.mark.parametrize("wire_type", ["session.created", "response.done", "never.heard.of", "error"])
def test_deep_json_raises_nothing_in_reading_in_repr_and_in_oddities(wire_type: str, depth: int) -> None:
    text = f'{{"type": "{wire_type}", "session": {nested(depth)}}}'
    update = decode(text)
    assert update.raw_content == text
    assert repr(update)
    assert isinstance(update.oddities, tuple)


@pytest.mark.parametrize("depth", [300, 900, 960, 990])
def test_what_is_nested_deeply_in_a_field_raises_nothing_in_repr(depth: int) -> None:
    assert repr(decode(f'{{"type": "response.done", "response": {{"metadata": {nested(depth)}}}}}'))


def test_json_of_an_update_that_is_nested_too_deeply_says_so() -> None:
    with pytest.raises(InvalidInputError):
        decode('{"a":' * 5000).json()


@pytest.mark.parametrize(
    ("session", "cls"),
    [
        ({"voice": "sage"}, options.ConversationSessionOptions),
        ({"audio": {"output": {"language": "es"}}}, options.TranslationSessionOptions),
        ({"type": "transcription"}, options.TranscriptionSessionOptions),
        ({}, options.TranslationSessionOptions),
    ],
)
def test_a_session_of_no_type_is_known_by_its_settings(session: dict[str, Any], cls: type[Any]) -> None:
    command = decode_command(json.dumps({"type": "session.update", "session": session}))
    assert isinstance(command, commands.SessionUpdateCommand)
    assert type(command.session) is cls


def test_huge_json_is_read() -> None:
    delta = "A" * 20_000_000
    update = read({"type": "response.output_audio.delta", "delta": delta, "x": list(range(100_000))})
    assert len(update.delta) == len(delta)
    assert len(update.audio_bytes) == 15_000_000
    wrong = read({"type": "rate_limits.updated", "rate_limits": [5] * 2_000})
    assert wrong.rate_limits == []
    assert len(wrong.faults) == 2_000


def test_numbers_beyond_all_bounds_are_read() -> None:
    text = '{"type": "rate_limits.updated", "rate_limits": [{"limit": 1e999, "reset_seconds": 1' + "0" * 400 + "}]}"
    update = decode(text)
    assert isinstance(update, updates.RateLimitsUpdatedUpdate)
    assert len(update.faults) == 2
    assert decode('{"type": "error", "error": {}, "x": NaN}').oddities == ("unknown field $.x",)


def test_the_last_of_two_equal_keys_holds_as_in_any_json() -> None:
    assert decode('{"type": "x", "type": "error", "error": {"message": "m"}}').kind is ConversationUpdateKind.ERROR


def test_a_lone_surrogate_is_read_as_it_is() -> None:
    update = decode('{"type": "response.output_text.delta", "delta": "\\ud83d"}')
    assert isinstance(update, updates.ResponseOutputTextDeltaUpdate)
    assert update.text == "\ud83d"


def test_an_empty_list_of_rate_limits_is_no_oddity() -> None:
    update = read({"type": "rate_limits.updated", "rate_limits": []})
    assert (update.oddities, update.requests) == ((), None)


def test_a_blank_before_the_type_is_survived() -> None:
    update = read({"type": " error", "error": {"message": "m"}})
    assert isinstance(update, updates.ErrorUpdate)
    assert update.type == " error"


def test_audio_that_is_no_base64_has_no_bytes() -> None:
    update = read({"type": "response.output_audio.delta", "delta": "<cut>"})
    assert update.audio_bytes is None
    assert update.delta == "<cut>"


DELTAS: list[tuple[str, str, Any]] = [
    ("response.output_text.delta", "text", "QUJD"),
    ("response.output_audio.delta", "audio_bytes", b"ABC"),
    ("response.output_audio_transcript.delta", "audio_transcript", "QUJD"),
    ("response.function_call_arguments.delta", "function_arguments", "QUJD"),
    ("response.mcp_call_arguments.delta", "function_arguments", "QUJD"),
    ("session.output_audio.delta", "audio_bytes", b"ABC"),
    ("session.output_transcript.delta", "audio_transcript", "QUJD"),
    ("session.input_transcript.delta", "", None),
]


@pytest.mark.parametrize(("wire_type", "name", "value"), DELTAS)
def test_of_a_deltas_four_properties_one_is_set(wire_type: str, name: str, value: Any) -> None:
    update = read({"type": wire_type, "delta": "QUJD"})
    names = ("text", "audio_bytes", "audio_transcript", "function_arguments")
    told = {each: getattr(update, each) for each in names if getattr(update, each) is not None}
    assert told == ({name: value} if name else {})


def test_from_json_reads_as_a_session_does() -> None:
    text = '{"type": "error", "error": {"message": "m"}}'
    assert ConversationUpdate.from_json(text) == decode(text)
    assert isinstance(ConversationUpdate.from_json("no"), UnreadableUpdate)


def test_an_update_cannot_be_changed() -> None:
    update: Any = decode('{"type": "error", "error": {"message": "m"}}')
    with pytest.raises(AttributeError):
        update.raw_content = "other"


# What is shown ------------------------------------------------------------------------------------------------


def an_mcp_tool() -> options.ConversationMCPTool:
    return options.ConversationTool.create_mcp_tool(
        "label", "https://example.com", authorization="hush-token", headers={"X-Key": "hush-header"}
    )


@pytest.mark.parametrize(
    "shown",
    [
        an_mcp_tool,
        lambda: options.ConversationSessionOptions(tools=[an_mcp_tool()]),
        lambda: commands.SessionUpdateCommand(session=options.ConversationSessionOptions(tools=[an_mcp_tool()])),
        lambda: decode(
            '{"type": "session.created", "session": {"client_secret": {"value": "hush-1", "expires_at": 1}, "tools":'
            '[{"type": "mcp", "server_label": "x", "authorization": "hush-2", "headers": {"X-Key": "hush-3"}}]}}'
        ),
        lambda: decode('{"type": "session.renewed", "session": {"client_secret": {"value": "hush"}}}'),
        lambda: decode('{"type": "session.created", "session": {"mcp": [{"x": {"authorization": "hush"}}]}}'),
        lambda: options.ConversationSessionOptions(
            tools=[{"type": "mcp", "server_label": "x", "authorization": "hush"}]
        ),
    ],
)
def test_secrets_are_not_shown(shown: Callable[[], Any]) -> None:
    assert "hush" not in repr(shown())


def test_the_names_of_headers_are_shown() -> None:
    assert "X-Key" in repr(an_mcp_tool())


@pytest.mark.parametrize(
    "thing",
    [
        commands.InputAudioBufferAppendCommand(audio="QUJD" * 999),
        commands.SessionInputAudioBufferAppendCommand(audio="QUJD" * 999),
        decode(json.dumps({"type": "response.output_audio.delta", "delta": "QUJD" * 999})),
        decode(json.dumps({"type": "session.output_audio.delta", "delta": "QUJD" * 999})),
        decode(json.dumps({"type": "response.video.delta", "delta": "QUJD" * 999})),
        decode(json.dumps({"type": "error", "error": {}, "new": "QUJD" * 999})),
        decode(json.dumps({"type": "conversation.item.done", "item": {"content": [{"audio": "QUJD" * 999}]}})),
    ],
)
def test_audio_is_not_shown(thing: Any) -> None:
    assert "QUJDQUJDQUJD" * 20 not in repr(thing)
    assert len(repr(thing)) < 1000


# Absent, null and a value ---------------------------------------------------------------------------------------------


def created(**response: Any) -> updates.ResponseCreatedUpdate:
    update = read({"type": "response.created", "response": response})
    assert isinstance(update, updates.ResponseCreatedUpdate)
    return update


def test_absent_null_and_a_value_are_three_things() -> None:
    told = [{}, {"conversation_id": None, "metadata": None}, {"conversation_id": "c", "metadata": {"a": "b"}}]
    responses = [created(**fields) for fields in told]
    assert [one.response.conversation_id for one in responses] == [UNSET, None, "c"]
    assert [one.response.metadata for one in responses] == [UNSET, None, {"a": "b"}]
    assert [one.out_of_band for one in responses] == [False, True, False]
    assert [to_plain(one.response) for one in responses] == [{"output": [], **fields} for fields in told]
    item = {"type": "message", "role": "user"}
    places: list[dict[str, Any]] = [{}, {"previous_item_id": None}, {"previous_item_id": "i"}]
    added = [read({"type": "conversation.item.added", "item": item, **place}) for place in places]
    assert [getattr(one, "previous_item_id", "?") for one in added] == [UNSET, None, "i"]


def test_what_a_caller_names_in_the_metadata_does_not_put_a_response_out_of_band() -> None:
    assert not created(id="r", metadata={"conversation_id": "mine"}).out_of_band
