"""How a live session is asked for: what is sent, and what is refused at the call."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_data import Json, complaints

from realtime_sync import (
    AudioFormat,
    ConversationContentPart,
    ConversationItem,
    ConversationTool,
    ConversationToolChoice,
    CustomVoice,
    InvalidInputError,
    LiveChoiceQuestion,
    LiveDecisionCreateCommand,
    LiveDecisionItemCreateCommand,
    LiveDecisionsDelegation,
    LiveDecisionsSettings,
    LiveFunctionTool,
    LiveHistoryItem,
    LivePredicateQuestion,
    LiveResponseItemCreateCommand,
    LiveResponsesDelegation,
    LiveResponsesSettings,
    LiveScoreQuestion,
    LiveServiceTool,
    LiveSessionChanges,
    LiveSessionCommentaryAppendCommand,
    LiveSessionInstructionsAppendCommand,
    LiveSessionOptions,
    LiveSessionStartCommand,
    LiveSessionThinkingAppendCommand,
    LiveSessionUpdateCommand,
    LiveTrigger,
    UnknownNameError,
    function_tool,
)
from realtime_sync.protocol.live.codec import live_decode_command, live_encode
from realtime_sync.protocol.live.settings import LiveDelegation
from realtime_sync.protocol.registry import Command


def sent(command: Command) -> Json:
    """What goes over the wire, which the closed schemas allow."""
    message: Json = json.loads(live_encode(command))
    assert complaints(message) == []
    return message


def started(options: LiveSessionOptions, delegation: LiveDelegation | None = None) -> Json:
    session: Json = sent(LiveSessionStartCommand(session=options.wire_session(delegation)))["session"]
    assert session.pop("model") == "gpt-live-1.1"
    return session


def options(**settings: Any) -> LiveSessionOptions:
    return LiveSessionOptions(model="gpt-live-1.1", **settings)


def refusal(**settings: Any) -> str:
    with pytest.raises(InvalidInputError) as raised:
        LiveSessionOptions(**settings)
    return str(raised.value)


# What is sent -------------------------------------------------------------------------------------------------


def test_what_is_not_said_is_not_sent() -> None:
    assert started(options()) == {}
    assert (
        json.loads(live_encode(LiveSessionStartCommand(session=LiveSessionOptions().wire_session())))["session"] == {}
    )


def test_all_settings_stand_at_their_places_on_the_wire() -> None:
    trigger = LiveTrigger(
        event_type="session.input_transcript.delta",
        decisions=LiveDecisionsSettings(questions=[LivePredicateQuestion(instructions="Angry?", name="angry")]),
    )
    session = started(
        options(
            instructions="Be brief.",
            voice="cedar",
            audio_format="g711_ulaw",
            history=[LiveHistoryItem.message("developer", "The caller is called Ada.")],
            store=True,
            safety_identifier="user_1",
            acknowledgement_delay_ms=0,
            triggers=[trigger],
            service_tier="flex",
        )
    )
    assert session == {
        "instructions": "Be brief.",
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "The caller is called Ada."}],
            }
        ],
        "audio": {"format": {"type": "audio/pcmu", "rate": 8000}, "output": {"voice": "cedar"}},
        "delegation": {"type": "client", "acknowledgement_delay_ms": 0},
        "store": True,
        "triggers": [
            {
                "type": "decisions",
                "event_type": "session.input_transcript.delta",
                "decisions": {"questions": [{"type": "predicate", "instructions": "Angry?", "name": "angry"}]},
            }
        ],
        "safety_identifier": "user_1",
    }


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        ("audio/pcm", {"type": "audio/pcm", "rate": 24000}),
        ("pcm16", {"type": "audio/pcm", "rate": 24000}),
        (AudioFormat(), {"type": "audio/pcm", "rate": 24000}),
        (AudioFormat(rate=16000), {"type": "audio/pcm", "rate": 16000}),
        ("audio/pcma", {"type": "audio/pcma", "rate": 8000}),
        (AudioFormat(type="audio/pcmu", rate=8000), {"type": "audio/pcmu", "rate": 8000}),
    ],
)
def test_a_format_is_sent_with_its_rate(given: Any, wire: Json) -> None:
    assert started(options(audio_format=given)) == {"audio": {"format": wire}}


def test_a_voice_of_ones_own_is_sent_by_its_id() -> None:
    assert started(options(voice=CustomVoice(id="voice_1"))) == {"audio": {"output": {"voice": {"id": "voice_1"}}}}


def test_the_delay_goes_into_the_delegation_that_is_given_unless_that_has_its_own() -> None:
    responses = LiveResponsesDelegation(responses=LiveResponsesSettings(model="m"))
    delegation = started(options(acknowledgement_delay_ms=250), responses)["delegation"]
    assert delegation == {"type": "responses", "responses": {"model": "m"}, "acknowledgement_delay_ms": 250}
    own = attrs.evolve(responses, acknowledgement_delay_ms=100)
    assert started(options(acknowledgement_delay_ms=250), own)["delegation"]["acknowledgement_delay_ms"] == 100
    assert responses == LiveResponsesDelegation(responses=LiveResponsesSettings(model="m"))


def test_what_has_no_field_is_laid_over_the_session() -> None:
    sent_session = json.loads(
        live_encode(
            LiveSessionStartCommand(session=options(extra={"context_management": {"type": "x"}}).wire_session())
        )
    )["session"]
    assert sent_session == {"model": "gpt-live-1.1", "context_management": {"type": "x"}}


def test_options_cannot_be_changed_and_are_equal_if_their_settings_are() -> None:
    made = options(voice="marin")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.voice = "cedar"  # type: ignore[misc]
    assert made == options(voice="marin") != options(voice="cedar")
    assert attrs.evolve(made, store=True) == options(voice="marin", store=True)
    assert repr(made) == "LiveSessionOptions(model='gpt-live-1.1', voice='marin')"


# History ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        LiveHistoryItem.message("assistant", "What is wrong?"),
        ConversationItem.create_assistant_message("What is wrong?"),
        {"role": "assistant", "content": "What is wrong?"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "What is wrong?"}]},
    ],
    ids=["ours", "a conversation's", "chat completions'", "the wire's"],
)
def test_a_message_may_be_said_in_several_ways(message: Any) -> None:
    (item,) = started(options(history=[message]))["input"]
    assert item["role"] == "assistant"
    assert item["content"] == [{"type": "output_text", "text": "What is wrong?"}]


def test_what_was_spoken_in_a_conversation_is_its_words_here() -> None:
    heard = ConversationItem.create_user_message(ConversationContentPart.from_input_audio(b"", "How late is it?"))
    (item,) = options(history=[heard]).history or ()
    assert (item.role, item.text) == ("user", "How late is it?")


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "developer"]), st.text()), max_size=128))
def test_any_history_within_the_limits_is_taken_sent_and_read_as_it_is(messages: list[tuple[str, str]]) -> None:
    history = [LiveHistoryItem.message(role, text) for role, text in messages]
    command = LiveSessionStartCommand(session=options(history=history).wire_session())
    read = live_decode_command(live_encode(command))
    assert isinstance(read, LiveSessionStartCommand)
    assert read.session.input == history
    assert [(item.role, item.text) for item in history] == messages


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ([{"role": "user", "content": "a"}] * 129, "129 messages, and a live session takes 128 at most"),
        ("Hello", "history must be a list of messages, not str"),
        (
            [{"role": "system", "content": "a"}],
            r"history[0]: a live session knows no role 'system': make it 'developer'",
        ),
        ([ConversationItem.create_system_message("a")], "knows no role 'system'"),
        ([{"role": "tool", "content": "a"}], "role must be 'user', 'assistant' or 'developer', not 'tool'"),
        ([{"role": "user", "content": []}], "exactly one text part, and this has 0"),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "a"}] * 2}],
            "exactly one text part, and this has 2",
        ),
        (
            [{"role": "user", "content": [{"type": "output_text", "text": "a"}]}],
            "the text of 'user' is a part 'input_text', and this is 'output_text'",
        ),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "its part has no text"),
        ([{"role": "user", "content": "a"}, 5], "history[1]: a live session's history has messages alone"),
        ([ConversationItem.create_function_call_output("c", "a")], "messages alone"),
    ],
)
def test_a_history_that_the_service_would_refuse_is_refused_at_the_call(history: Any, told: str) -> None:
    assert told in refusal(history=history)


def test_a_message_that_is_more_than_words_is_refused_and_not_cut() -> None:
    image = ConversationContentPart.from_input_image("https://example.com/a.png")
    seen = ConversationItem.create_user_message(["See", image])
    assert "this message holds 'input_image' without its words" in refusal(history=[seen])


# What is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": "gpt-realtime-2.1"}, "'gpt-realtime-2.1' is a conversation model, and no live one"),
        ({"model": "gpt-realtime-99"}, "client.start_conversation_session(...)"),
        ({"model": "gpt-4o-realtime-preview"}, "is a conversation model"),
        ({"model": "gpt-live-transcribe"}, "client.start_transcription_session(...)"),
        ({"model": "gpt-realtime-translate"}, "client.start_translation_session(...)"),
        ({"model": " "}, "model must be the name of a live model"),
        ({"audio_format": "audio/opus"}, "a live session has no audio format 'audio/opus'; it takes 'audio/pcm'"),
        ({"audio_format": AudioFormat(rate=48000)}, "has no audio format 'audio/pcm' at 48000 Hz"),
        ({"audio_format": AudioFormat(type="audio/pcmu", rate=16000)}, "'audio/pcmu' at 16000 Hz"),
        ({"audio_format": 24000}, "audio_format must be a text or an AudioFormat, not 24000"),
        ({"voice": ""}, "voice must be a name such as 'marin', or a CustomVoice, not ''"),
        ({"instructions": 5}, "instructions must be a text, not 5"),
        ({"store": "yes"}, "store must be True, False or None, not 'yes'"),
        ({"acknowledgement_delay_ms": -1}, "acknowledgement_delay_ms must be a whole number of milliseconds from 0"),
        ({"acknowledgement_delay_ms": True}, "not True"),
        ({"triggers": "all"}, "triggers must be a list, not str"),
        ({"triggers": ["all"]}, "triggers must be LiveTriggers, not 'all'"),
    ],
)
def test_what_the_service_would_refuse_is_refused_at_the_call(settings: Json, told: str) -> None:
    assert told in refusal(**settings)


def test_a_deployment_and_a_model_of_tomorrow_are_taken() -> None:
    assert LiveSessionOptions(model="my-deployment").model == "my-deployment"
    assert LiveSessionOptions(model="gpt-live-2").model == "gpt-live-2"


def test_two_triggers_of_one_kind_are_refused() -> None:
    trigger = {"event_type": "session.input_transcript.delta", "decisions": {"questions": []}}
    assert "'session.input_transcript.delta' has several" in refusal(triggers=[trigger, trigger])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tools", "tools belong to the backend, start_live_session(options, delegate=ResponsesBackend(tools=...))"),
        ("turn_detection_options", "the model itself decides who speaks"),
        ("input", "write history=..."),
        ("output_audio_format", "write audio_format=..."),
        ("instruction", "write instructions=..."),
        ("nonsense", "it has model, instructions, voice"),
    ],
)
def test_a_setting_that_goes_by_another_name_or_does_not_exist_is_answered(name: str, told: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        LiveSessionOptions(**{name: None})  # type: ignore[arg-type]
    assert told in str(raised.value)


# Backends -----------------------------------------------------------------------------------------------------


@function_tool
def get_weather(city: str) -> str:
    """Tells the weather."""
    return city


def test_tools_are_functions_definitions_or_json() -> None:
    definition = ConversationTool.create_function_tool("look_up", "Looks.", {"type": "object", "properties": {}})
    json_tool = {"type": "mcp", "server_label": "s", "server_url": "https://example.com"}
    strict = LiveFunctionTool(name="exact", strict=True)
    search = LiveServiceTool(type="web_search")
    settings = LiveResponsesSettings(
        model="m",
        tools=[get_weather, definition, json_tool, strict, search],
        tool_choice=ConversationToolChoice.function("exact"),
    )
    delegation = started(options(), LiveResponsesDelegation(responses=settings))["delegation"]["responses"]
    assert [tool.get("name", tool["type"]) for tool in delegation["tools"]] == [
        *("get_weather", "look_up", "mcp", "exact", "web_search")
    ]
    assert delegation["tools"][3] == {"type": "function", "name": "exact", "strict": True}
    assert delegation["tool_choice"] == {"type": "function", "name": "exact"}
    words = LiveResponsesSettings(tool_choice=ConversationToolChoice.none())
    assert words.tool_choice == "none"


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="this is no tool"):
        LiveResponsesSettings(tools=[{"name": "a"}])
    with pytest.raises(InvalidInputError, match="a tool is a function"):
        LiveResponsesSettings(tools=[5])  # type: ignore[list-item]


def test_questions_are_said_in_few_words() -> None:
    questions = [
        LiveChoiceQuestion(instructions="Which?", choices=["tea", True]),
        LiveScoreQuestion(instructions="How much?", levels=["little", "much"], name="amount"),
    ]
    decisions = LiveDecisionsSettings(model="m", questions=questions)
    delegation = started(options(), LiveDecisionsDelegation(decisions=decisions))["delegation"]
    assert delegation["decisions"]["questions"] == [
        {"type": "choice", "instructions": "Which?", "choices": [{"value": "tea"}, {"value": True}]},
        {
            "type": "score",
            "instructions": "How much?",
            "name": "amount",
            "levels": [{"label": "little"}, {"label": "much"}],
        },
    ]


# Commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        LiveSessionCommentaryAppendCommand,
        LiveSessionThinkingAppendCommand,
        LiveSessionInstructionsAppendCommand,
    ],
)
def test_no_delegation_is_sent_as_null_and_a_frame_without_the_key_is_refused(command: Any) -> None:
    message = sent(command(content="It left.", delegation_id=None))
    assert message == {"type": command.wire_type, "content": "It left.", "delegation_id": None}
    assert sent(command(content="It left.", delegation_id="item_1"))["delegation_id"] == "item_1"
    with pytest.raises(InvalidInputError, match="delegation_id"):
        live_decode_command(json.dumps({"type": command.wire_type, "content": "It left."}))


def test_an_update_says_only_what_changes() -> None:
    assert sent(LiveSessionUpdateCommand()) == {"type": "session.update", "session": {}}
    delegation = LiveResponsesDelegation(responses=LiveResponsesSettings(instructions=None))
    session = sent(LiveSessionUpdateCommand(session=LiveSessionChanges(delegation=delegation, triggers=[])))["session"]
    assert session == {"delegation": {"type": "responses", "responses": {"instructions": None}}, "triggers": []}


def test_an_item_for_a_backend_is_ours_or_json() -> None:
    output = ConversationItem.create_function_call_output("call_1", {"sky": "clear"})
    wire = {"type": "function_call_output", "call_id": "call_1", "output": '{"sky": "clear"}'}
    assert sent(LiveResponseItemCreateCommand(item=output))["item"] == wire
    assert sent(LiveResponseItemCreateCommand(item=wire))["item"] == wire
    assert sent(LiveDecisionItemCreateCommand(item=output))["item"] == wire
    assert sent(LiveDecisionItemCreateCommand(item={"role": "user", "content": "Cabin: 20 degrees."}))["item"] == {
        "role": "user",
        "content": "Cabin: 20 degrees.",
    }
    message = ConversationItem.create_user_message("My order is A0042.")
    assert sent(LiveDecisionItemCreateCommand(item=message))["item"] == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "My order is A0042."}],
    }
    with pytest.raises(InvalidInputError, match="an item is a ConversationItem, or its JSON as a dict, not str"):
        LiveResponseItemCreateCommand(item="hello")  # type: ignore[arg-type]


def test_a_decision_is_asked_for_by_its_name() -> None:
    assert sent(LiveDecisionCreateCommand(event_id="decide_1")) == {"type": "decision.create", "event_id": "decide_1"}
