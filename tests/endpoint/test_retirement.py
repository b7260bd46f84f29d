"""The warning about models and prompts that the service ends."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationSessionOptions,
    InputTranscriptionOptions,
    NotFoundError,
    OpenAIClient,
    PromptReference,
    RealtimeConversationClient,
    ServiceEndsWarning,
    transcribe,
    transcribe_files,
)
from realtime_sync.endpoint import retirement
from realtime_sync.models import MODELS
from realtime_sync.server import RealtimeServer
from tests.server.sounds import tone

HELLO = Path(__file__).parents[2] / "examples" / "audio" / "hello.wav"


@pytest.fixture(autouse=True)
def _nothing_was_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retirement, "_told", set())


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer() as running:
        yield running


def client_of(server: RealtimeServer, model: Optional[str] = "gpt-realtime-2.1") -> RealtimeConversationClient:
    return OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client(model)


def told(start: Any, *arguments: Any, **named: Any) -> list[str]:
    """What is warned of while a session is started and closed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start(*arguments, **named).close()
    assert {warning.category for warning in caught} <= {ServiceEndsWarning}
    return [str(warning.message) for warning in caught]


def transcribed_by(model: str) -> ConversationSessionOptions:
    return ConversationSessionOptions(input_transcription_options=InputTranscriptionOptions(model=model))


def test_a_model_that_ends_is_told_with_its_date_and_successor_once_a_process(server: RealtimeServer) -> None:
    client = client_of(server, "gpt-realtime-2025-08-28")
    (message,) = told(client.start_conversation_session)
    assert "the model 'gpt-realtime-2025-08-28' on 2027-01-20" in message
    assert "use 'gpt-realtime-2.1'" in message
    assert told(client.start_conversation_session) == []
    assert len(told(client_of(server, "gpt-realtime-mini").start_conversation_session)) == 1


def test_a_model_that_has_ended_is_told_so(server: RealtimeServer) -> None:
    (message,) = told(client_of(server, "gpt-4o-realtime-preview").start_conversation_session)
    assert message.startswith("OpenAI ended the model 'gpt-4o-realtime-preview' on 2026-05-07")


@pytest.mark.parametrize(
    "model", [name for name, model in MODELS.items() if model.ends is None and model.kind != "live"]
)
def test_a_model_that_stays_is_not_told_of(server: RealtimeServer, model: str) -> None:
    assert told(client_of(server, model).start_conversation_session) == []
    assert told(client_of(server).start_conversation_session, transcribed_by(model)) == []


def test_the_end_of_a_model_counts_from_90_days_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = OpenAIClient("any-key").endpoint
    for days, expected in ((91, False), (90, True), (0, True), (-1, True)):
        monkeypatch.setattr(retirement, "days_until", lambda ends, days=days: days)
        monkeypatch.setattr(retirement, "_told", set())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            retirement.warn_of_ends(endpoint, "gpt-realtime", None)
        assert bool(caught) is expected, days


def test_the_models_of_transcriptions_of_client_secrets_and_of_calls_count(server: RealtimeServer) -> None:
    client = client_of(server)
    (message,) = told(client.start_conversation_session, transcribed_by("whisper-1"))
    assert "'whisper-1' on 2027-02-26" in message
    (message,) = told(client.start_transcription_session, model="gpt-4o-mini-transcribe")
    assert "use 'gpt-transcribe'" in message
    with pytest.warns(ServiceEndsWarning, match="'gpt-realtime-mini'"):
        client_of(server, "gpt-realtime-mini").create_client_secret()
    with pytest.warns(ServiceEndsWarning, match="'gpt-realtime'"), pytest.raises(NotFoundError):
        client_of(server, "gpt-realtime").calls.accept("rtc_none")


def test_prompts_that_are_kept_at_the_service_are_told_of(server: RealtimeServer) -> None:
    options = ConversationSessionOptions(prompt=PromptReference(id="pmpt_1"))
    (message,) = told(client_of(server).start_conversation_session, options)
    assert "(prompt=) on 2026-11-30" in message
    assert "instructions=" in message


def test_a_deployment_of_azure_has_a_date_of_its_own(server: RealtimeServer) -> None:
    azure = AzureOpenAIClient(server.azure_endpoint, "any-key").get_realtime_conversation_client("gpt-realtime")
    assert told(azure.start_conversation_session) == []


def test_a_server_of_another_maker_may_keep_the_model(server: RealtimeServer) -> None:
    (message,) = told(client_of(server, "gpt-realtime").start_conversation_session)
    assert "another maker may keep it" in message
    with pytest.warns(ServiceEndsWarning) as caught:
        retirement.warn_of_ends(OpenAIClient("any-key").endpoint, "gpt-realtime-mini", None)
    assert "another maker" not in str(caught[0].message)


def test_it_points_at_the_callers_own_line(server: RealtimeServer) -> None:
    client = client_of(server, "gpt-realtime")
    with pytest.warns(ServiceEndsWarning) as caught:
        client.start_conversation_session().close()
    assert "client.start_conversation_session()" in linecache.getline(caught[0].filename, caught[0].lineno)
    with pytest.warns(ServiceEndsWarning) as caught:
        transcribe(tone(500), client, model="whisper-1")
    assert "transcribe(tone(500), client" in linecache.getline(caught[0].filename, caught[0].lineno)


def test_it_points_at_the_callers_line_though_threads_of_ours_do_the_work(server: RealtimeServer) -> None:
    with pytest.warns(ServiceEndsWarning) as caught:
        transcribe_files([HELLO, HELLO], client_of(server), model="whisper-1")
    (warning,) = caught
    assert "transcribe_files([HELLO, HELLO], client_of" in linecache.getline(warning.filename, warning.lineno)
    with warnings.catch_warnings():  # as another server's model it is none of OpenAI's
        warnings.simplefilter("error")
        transcribe_files([], client_of(server), model="gpt-4o-transcribe", server="vllm")


def test_it_can_be_silenced_and_made_an_error_before_anything_is_connected(server: RealtimeServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(ServiceEndsWarning):
                client_of(server, "gpt-realtime").start_conversation_session()
        assert not server.sessions
        warnings.filterwarnings("ignore", category=ServiceEndsWarning)
        client_of(server, "gpt-realtime").start_conversation_session().close()
