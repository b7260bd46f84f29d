"""Bad input is a clear error at the call, before anything is connected or sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from realtime_sync import (
    AudioFormatError,
    AzureOpenAIClient,
    ConfigurationError,
    InvalidInputError,
    OpenAIClient,
    Reconnect,
    WaitTimeoutError,
    say,
    transcribe,
)
from realtime_sync.server import Faults, Refusal, faults
from tests.core.harness import House, until


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"options": {"voice": "alloy"}}, "options must be a ConversationSessionOptions"),
        ({"recording": 5}, "recording must be a path or a RecordingWriter, not 5"),
        ({"reconnect": "yes"}, "reconnect"),
    ],
)
def test_what_a_session_cannot_be_started_with_is_refused_before_it_connects(
    plain: House, start: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        plain.open(start=start)
    assert plain.server.sessions == []


@pytest.mark.parametrize("service", [OpenAIClient("key"), AzureOpenAIClient("https://example.com", "key")])
def test_a_service_in_place_of_a_models_client_is_told_how_one_is_made(service: Any) -> None:
    for call in (
        lambda: service.start_conversation_session(),
        lambda: transcribe("examples/audio/hello.wav", service),
        lambda: say("Hello", service),
    ):
        with pytest.raises(AttributeError, match=r"get_realtime_conversation_client\(model\)"):
            call()
    with pytest.raises(AttributeError, match=r"has no attribute 'no_such_name'$"):
        service.no_such_name


@pytest.mark.parametrize("question", [5, 1.5, {"text": "Hello"}, object(), print, ["Hello", 3], [{"text": "Hello"}]])
def test_what_is_no_question_is_told_what_one_is(plain: House, question: Any) -> None:
    session = plain.open()
    with pytest.raises(InvalidInputError, match="a question is a text, an item, a list of them, or audio"):
        session.ask(question)
    assert not plain.live.received


def test_a_dict_is_told_how_an_item_is_made_and_json_sent(plain: House) -> None:
    session = plain.open()
    wrong: Any = {"type": "message", "role": "user"}
    for call in (session.add_item, session.ask):
        with pytest.raises(InvalidInputError, match=r"create_user_message\(.*send_message"):
            call(wrong)
    assert not plain.live.received


def test_a_path_is_no_item_and_is_told_how_a_recording_is_asked(plain: House) -> None:
    wrong: Any = Path("question.wav")
    with pytest.raises(InvalidInputError, match=r"call ask\(Path"):
        plain.open().add_item(wrong)


@pytest.mark.parametrize("name", ["on_delta", "on_call", "approve"])
def test_a_callback_that_cannot_be_called_is_refused_before_it_is_needed(plain: House, name: str) -> None:
    session = plain.open()
    wrong: dict[str, Any] = {name: 5}
    with pytest.raises(InvalidInputError, match=f"{name} must be a function or None, not 5"):
        session.ask("Hello", **wrong)
    assert not plain.live.received


def test_a_text_that_is_sent_as_a_message_is_told_how_to_say_it(plain: House) -> None:
    session = plain.open()
    with pytest.warns(UserWarning, match=r"To say something to the model, use ask\(") as told:
        session.send_message("Hello, how are you?")
    assert told[0].filename == __file__
    assert "Hello" not in str(told[0].message)  # it may hold a secret
    session.send_message('{"type": "vendor.new"}')  # a warning would be an error here


def test_bytes_that_are_no_audio_are_told_how_a_text_is_given(plain: House) -> None:
    session = plain.open()
    with pytest.raises(AudioFormatError, match="a text is given as a str"):
        session.ask(b"abc")
    assert not plain.live.received


def test_a_text_in_place_of_tools_is_told_as_a_whole(plain: House) -> None:
    session = plain.open()
    with pytest.raises(ConfigurationError, match=r"tools are functions, given as a list: .* not 'lookup'"):
        session.ask("Hi", tools="lookup")
    assert not plain.live.received


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [("eror", "error"), ("sesion.created", "session.created"), ("response.audio.deltas", "response.audio.delta")],
)
def test_a_mistyped_update_is_warned_of_since_it_would_be_waited_for_in_silence(
    plain: House, mistyped: str, meant: str
) -> None:
    session = plain.open()
    with pytest.warns(UserWarning, match=f"is '{meant}' meant") as warned:
        session.on(mistyped, print)
    with pytest.warns(UserWarning, match=f"is '{meant}' meant") as waited, pytest.raises(WaitTimeoutError):
        session.wait_for(mistyped, timeout=0)
    assert (warned[0].filename, waited[0].filename) == (__file__, __file__)


@pytest.mark.parametrize(
    "kind", ["error", "response.audio.delta", "conversation.item.created", "vendor.new", "unknown"]
)
def test_an_update_that_a_service_may_send_is_not_warned_of(plain: House, kind: str) -> None:
    plain.open().on(kind, print)  # a warning would be an error here


def test_what_a_prompt_shows_of_a_session_and_its_streams_tells_their_state(plain: House) -> None:
    session = plain.open(start={"reconnect": Reconnect(base_delay=60, give_up_after=100)})
    assert " open; " in repr(session)
    plain.server.faults = Faults(refuse=Refusal(503))
    plain.live.inject(faults.drop())
    until(lambda: session._engine.reconnecting)
    assert " reconnecting; " in repr(session)
    session.close()
    assert "closed here (1000)" in repr(session)
