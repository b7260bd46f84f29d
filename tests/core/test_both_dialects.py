"""The same code, by the environment's variables, against OpenAI's and Azure's routes and the preview dialect."""

from __future__ import annotations

import re
from typing import Any

import pytest

from realtime_sync import (
    AzureOpenAIClient,
    ConversationItem,
    ConversationResponseOptions,
    ConversationSessionOptions,
    ConversationSessionStartedUpdate,
    RealtimeConversationClient,
    RealtimeConversationSession,
    TurnDetectionOptions,
    write_wav,
)
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.server import RealtimeServer
from tests.core.harness import House

ROUTES: dict[str, Any] = {
    "openai": lambda server: {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any-key"},
    "azure": lambda server: {
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
        "AZURE_OPENAI_API_KEY": "any-key",
        "AZURE_OPENAI_DEPLOYMENT": "my-deployment",
    },
    "preview": lambda server: {
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
        "AZURE_OPENAI_API_KEY": "any-key",
        "AZURE_OPENAI_DEPLOYMENT": "my-deployment",
        "AZURE_OPENAI_API_VERSION": "2025-04-01-preview",
    },
}
PATHS = {"openai": "/v1/realtime", "azure": "/openai/v1/realtime", "preview": "/openai/realtime"}


def set_environment(monkeypatch: pytest.MonkeyPatch, server: RealtimeServer, route: str) -> None:
    for name, value in ROUTES[route](server).items():
        monkeypatch.setenv(name, value)


def converse(session: RealtimeConversationSession, path: Any) -> list[tuple[str, str]]:
    """A conversation by text and by audio; classes and kinds of all that came, runs of deltas as one."""
    session.configure_session(
        ConversationSessionOptions(instructions="x", turn_detection_options=TurnDetectionOptions.disabled())
    ).wait()
    session.add_item(ConversationItem.create_user_message("Hello")).wait()
    session.start_response(ConversationResponseOptions(content_modalities=["text"])).wait()
    session.wait_for(lambda update: update.type == "rate_limits.updated", timeout=5)
    write_wav(path, bytes(48_000))
    session.send_audio(path)
    session.commit_pending_audio().wait()
    session.start_response().wait()
    seen: list[tuple[str, str]] = []
    for update in session.updates():
        # Azure's GA content part events hold the part twice, as ``part`` and as ``content`` (2026).
        assert set(update.oddities) <= {"unknown field $.content"}
        if not seen or seen[-1][0] != type(update).__name__:
            seen.append((type(update).__name__, str(update.kind)))
        if update.type == "rate_limits.updated":
            return seen
    raise AssertionError("it ended")


@pytest.mark.parametrize("route", ROUTES)
def test_a_conversation_runs_by_the_environments_variables(
    plain: House, route: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, plain.server, route)
    client = plain.stack.enter_context(RealtimeConversationClient.from_env())
    assert client.endpoint.dialect is (Dialect.PREVIEW if route == "preview" else Dialect.GA)
    with client.start_conversation_session() as session:
        seen = converse(session, tmp_path / "a.wav")
        assert session.id
    assert plain.live.path == PATHS[route]
    assert seen[0] == (ConversationSessionStartedUpdate.__name__, "session.created")
    names = [name for name, _ in seen]
    assert "ResponseOutputTextDeltaUpdate" in names
    assert "ResponseOutputAudioDeltaUpdate" in names
    assert "ResponseOutputAudioTranscriptDeltaUpdate" in names
    assert names.count("ResponseDoneUpdate") == 2


def test_the_same_code_sees_the_same_classes_in_both_dialects(
    plain: House, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    for route in ROUTES:
        with monkeypatch.context() as patch:
            set_environment(patch, plain.server, route)
            with RealtimeConversationClient.from_env().start_conversation_session() as session:
                seen[route] = {name for name, _ in converse(session, tmp_path / "a.wav")}
    assert seen["openai"] == seen["azure"]
    # The preview dialect tells of an item once (created), GA twice (added and done).
    difference = seen["openai"] ^ seen["preview"]
    assert all(re.fullmatch(r"ConversationItem(Added|Created|Done)Update", name) for name in difference), difference


def test_a_message_can_be_awaited_by_the_type_that_the_server_spells(plain: House) -> None:
    azure = AzureOpenAIClient(plain.server.azure_endpoint, "any-key", api_version="2025-04-01-preview")
    with azure.get_realtime_conversation_client("d").start_conversation_session() as session:
        session.add_item("Hi")
        assert session.wait_for("conversation.item.created", timeout=5).kind == "conversation.item.added"
        told = {name.lower(): value for name, value in plain.live.headers.items()}
        assert session.client_request_id == told["x-ms-client-request-id"]
