"""Azure Voice Live: where it is, and as whom it is spoken to (as azure-ai-voicelive 1.3.1 does it)."""

from __future__ import annotations

import pytest

from realtime_sync import AzureVoiceLiveClient, ConfigurationError, UnsupportedByDialectError
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.protocol.dialects import Dialect

RESOURCE = "https://res.services.ai.azure.com"
URL = "wss://res.services.ai.azure.com/voice-live/realtime"


class Credential:
    """As those of azure-identity are; it remembers what it was asked for."""

    def __init__(self) -> None:
        self.scopes: tuple[str, ...] = ()
        self.token = "a-token"

    def get_token(self, *scopes: str) -> Credential:
        self.scopes = scopes
        return self


@pytest.mark.parametrize(
    "base", [RESOURCE, f"{RESOURCE}/", f"{RESOURCE}/voice-live", f"{URL}", f"{RESOURCE}/api/projects/mine"]
)
def test_its_path_and_version_follow_from_any_form_of_the_resource(base: str) -> None:
    target = Endpoint.voice_live(base, "key").target(model="gpt-realtime")
    assert target.url == f"{URL}?model=gpt-realtime&api-version=2026-07-15"
    assert target.headers["api-key"] == "key"
    assert "openai-beta" not in target.headers
    assert Endpoint.voice_live(base, "key").dialect is Dialect.PREVIEW


def test_a_credential_is_asked_for_its_scope_and_sent_as_a_token() -> None:
    credential = Credential()
    target = Endpoint.voice_live(RESOURCE, credential).target(model="m")
    assert credential.scopes == ("https://ai.azure.com/.default",)
    assert target.headers["Authorization"] == "Bearer a-token"


def test_an_agent_may_stand_in_for_a_model() -> None:
    agent = {"agent-name": "support", "agent-project-name": "shop"}
    endpoint = Endpoint.voice_live(RESOURCE, "key", api_version="2026-01-01-preview", query=agent)
    assert endpoint.target().url == f"{URL}?api-version=2026-01-01-preview&agent-name=support&agent-project-name=shop"
    with pytest.raises(ConfigurationError, match="Which model"):
        Endpoint.voice_live(RESOURCE, "key").target()


@pytest.mark.parametrize("version", ["v1", "", "2026", None, "2026-07-15-beta"])
def test_a_version_that_is_no_date_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match="api_version must be a date, such as '2026-07-15'"):
        Endpoint.voice_live(RESOURCE, "key", api_version=version)


def test_a_version_in_the_url_that_is_not_the_one_asked_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Leave the query out of the URL"):
        Endpoint.voice_live(f"{URL}?api-version=2025-10-01", "key")


def test_what_it_does_not_have_is_refused_before_anything_is_sent() -> None:
    client = AzureVoiceLiveClient(RESOURCE, "key").get_realtime_conversation_client("m")
    with pytest.raises(UnsupportedByDialectError, match="no transcription sessions"):
        client.start_transcription_session()
    with pytest.raises(UnsupportedByDialectError, match="no translations sessions"):
        client.start_translation_session("es")
    with pytest.raises(UnsupportedByDialectError, match="no call_id sessions"):
        client.attach("rtc_1")
    with pytest.raises(UnsupportedByDialectError, match="has no client secrets"):
        client.create_client_secret()
