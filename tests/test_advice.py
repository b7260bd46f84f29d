"""Wrong names of settings and arguments are answered by those that are meant."""

from __future__ import annotations

import inspect
import re
from typing import Any, Callable

import attrs
import pytest

import realtime_sync
from realtime_sync import (
    AzureOpenAIClient,
    AzureVoiceLiveClient,
    ConnectRetries,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationTool,
    Endpoint,
    InvalidInputError,
    LiveSession,
    MessageItem,
    OpenAIClient,
    QueueLimits,
    RealtimeConversationClient,
    RealtimeConversationSession,
    Reconnect,
    ResponsesBackend,
    Timeouts,
    TranslationSessionOptions,
    TurnDetectionOptions,
    UnknownNameError,
)
from realtime_sync.protocol.dialects import RESPONSE_PLACES, SESSION_PLACES

MADE: Any = ConversationSessionOptions  # with names that a checker would refuse


@pytest.mark.parametrize(
    ("cls", "wrong", "meant"),
    [
        (ConversationSessionOptions, "modalities", "content_modalities=..."),
        (ConversationSessionOptions, "output_modalities", "content_modalities=..."),
        (ConversationSessionOptions, "turn_detection", "turn_detection_options=..."),
        (ConversationSessionOptions, "input_audio_transcription", "input_transcription_options=..."),
        (ConversationSessionOptions, "speed", "output_speed=..."),
        (ConversationSessionOptions, "max_response_output_tokens", "max_output_tokens=..."),
        (ConversationSessionOptions, "input_audio_noise_reduction", "input_noise_reduction_options=..."),
        (ConversationSessionOptions, "temprature", "temperature=..."),
        (ConversationSessionOptions, "system_prompt", "instructions=..."),
        (
            ConversationSessionOptions,
            "silence_duration_ms",
            "turn_detection_options=TurnDetectionOptions(silence_duration_ms=...)",
        ),
        (ConversationSessionOptions, "effort", "reasoning=ReasoningOptions(effort=...)"),
        (ConversationResponseOptions, "modalities", "content_modalities=..."),
        (ConversationResponseOptions, "input", "input_items=..."),
        (TranslationSessionOptions, "language", "target_language=..."),
        (TurnDetectionOptions, "treshold", "threshold=..."),
        (MessageItem, "rol", "role=..."),
        (Timeouts, "conect", "connect=..."),
        (ConnectRetries, "attempt", "attempts=..."),
        (QueueLimits, "queue", "queued=..."),
        (Reconnect, "hold", "hold_audio=..."),
    ],
)
def test_a_wrong_name_of_a_setting_is_answered_by_the_one_that_is_meant(cls: Any, wrong: str, meant: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        cls(**{wrong: 1})
    assert str(raised.value) == f"{cls.__name__} has no setting {wrong!r}; write {meant}"
    assert isinstance(raised.value, TypeError)
    assert isinstance(raised.value, InvalidInputError)


@pytest.mark.parametrize("place", [*SESSION_PLACES, *RESPONSE_PLACES], ids=lambda place: place.name)
def test_every_name_of_the_wire_is_understood(place: Any) -> None:
    for spelling in filter(None, [place.preview, place.flat, *(place.ga or ())[-1:]]):
        kinds: list[Any] = [ConversationSessionOptions, ConversationResponseOptions, TranslationSessionOptions]
        answers = [cls.place_of(spelling) for cls in kinds]
        assert any(answer is not None and answer.startswith(place.name) for answer in answers) or spelling == "format"


def test_what_is_like_nothing_is_answered_by_all_that_there_is() -> None:
    with pytest.raises(UnknownNameError, match="no setting 'xyz'; it has model, instructions, content_modalities"):
        MADE(xyz=1)


def test_a_setting_without_its_name_is_told_the_names() -> None:
    with pytest.raises(UnknownNameError, match=r"takes its settings by name: model=\.\.\., instructions=\.\.\."):
        MADE("Be brief.")


def test_a_changed_copy_is_answered_likewise() -> None:
    options: Any = ConversationSessionOptions(voice="marin")
    with pytest.raises(UnknownNameError, match="write content_modalities="):
        attrs.evolve(options, modalities=["text"])


CLIENT: Any = OpenAIClient("any-key", endpoint="http://127.0.0.1:1/v1").get_realtime_conversation_client("gpt-realtime")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda made: made(api_key="any-key"), "OpenAIClient() has no argument 'api_key'; write credential=..."),
        (lambda made: made(base_url="http://x"), "OpenAIClient() has no argument 'base_url'; write endpoint=..."),
        (
            lambda made: CLIENT.start_conversation_session(voice="marin"),
            "RealtimeConversationClient.start_conversation_session() has no argument 'voice'; "
            "write options=ConversationSessionOptions(voice=...)",
        ),
        (
            lambda made: CLIENT.start_conversation_session(modalities=["text"]),
            "RealtimeConversationClient.start_conversation_session() has no argument 'modalities'; "
            "write options=ConversationSessionOptions(content_modalities=...)",
        ),
        (
            lambda made: CLIENT.start_conversation_session(budge=1),
            "RealtimeConversationClient.start_conversation_session() has no argument 'budge'; write budget=...",
        ),
        (
            lambda made: CLIENT.start_live_session(voice="marin"),
            "RealtimeConversationClient.start_live_session() has no argument 'voice'; "
            "write options=LiveSessionOptions(voice=...)",
        ),
        (
            lambda made: CLIENT.start_live_session(tools=[print]),
            "RealtimeConversationClient.start_live_session() has no argument 'tools': tools belong to the backend, "
            "start_live_session(options, delegate=ResponsesBackend(tools=...))",
        ),
        (
            lambda made: ResponsesBackend("gpt-5.6-luna", tool=[print]),  # type: ignore[call-arg]
            "ResponsesBackend() has no argument 'tool'; write tools=...",
        ),
    ],
)
def test_a_wrong_name_of_an_argument_is_answered_by_the_one_that_is_meant(
    call: Callable[[Any], object], told: str
) -> None:
    with pytest.raises(UnknownNameError) as raised:
        call(OpenAIClient)
    assert str(raised.value) == told
    assert "any-key" not in repr(raised.value)


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(public(RealtimeConversationSession) - public(LiveSession)))
def test_what_only_a_conversation_session_has_is_answered_by_what_a_live_one_has(name: str) -> None:
    session = object.__new__(LiveSession)
    with pytest.raises(AttributeError, match=f"^'LiveSession' object has no attribute '{name}': "):
        getattr(session, name)
    with pytest.raises(AttributeError, match=r"^'LiveSession' object has no attribute 'turnz'$"):
        session.turnz  # type: ignore[attr-defined]


def test_each_client_of_a_service_answers_likewise() -> None:
    for made in (AzureOpenAIClient, AzureVoiceLiveClient, Endpoint.openai, Endpoint.azure, Endpoint.voice_live):
        wrong: Any = made
        with pytest.raises(UnknownNameError, match=r"has no argument 'api_key'; write credential=\.\.\."):
            wrong("https://r.openai.azure.com", api_key="any-key")


def test_a_question_with_settings_of_the_response_is_told_where_they_go() -> None:
    ask: Any = RealtimeConversationSession.ask
    with pytest.raises(UnknownNameError, match=r"write options=ConversationResponseOptions\(instructions=...\)"):
        ask(None, "Hello", instructions="Be brief.")
    configure: Any = RealtimeConversationSession.configure_session
    with pytest.raises(UnknownNameError, match=r"write options=ConversationSessionOptions\(voice=...\)"):
        configure(None, voice="marin")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: TurnDetectionOptions.server_vad(silence_ms=5), "write silence_duration_ms=..."),  # type: ignore[call-arg]
        (lambda: ConversationItem.create_user_message(text="Hi"), "write content=..."),  # type: ignore[call-arg]
        (lambda: ConversationTool.create_mcp_tool("x", server_uri="y"), "write server_url=..."),
    ],
)
def test_what_makes_settings_and_items_answers_likewise(call: Callable[[], object], told: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(told)):
        call()


def test_a_type_error_of_something_else_stays_as_it_is() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        RealtimeConversationSession.ask()  # type: ignore[call-arg]
    made: Any = RealtimeConversationClient
    with pytest.raises(TypeError, match="takes from"):
        made("m", "k", None, None)


@pytest.mark.parametrize("cls", [ConversationSessionOptions, Timeouts, MessageItem, realtime_sync.ConnectionSettings])
def test_help_and_editors_see_the_names_of_the_settings(cls: type) -> None:
    names = [field.name for field in attrs.fields(cls)]
    assert sorted(inspect.signature(cls).parameters) == sorted(names)
