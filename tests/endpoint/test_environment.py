"""Where to connect, as the environment's variables tell it."""

from __future__ import annotations

import logging
import re
import sys

import pytest

from realtime_sync.client import RealtimeConversationClient
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import from_environment, live_model
from realtime_sync.errors import ConfigurationError
from realtime_sync.protocol.dialects import Dialect

RESOURCE = "https://res.openai.azure.com"
PREVIEW = "2025-04-01-preview"
OPENAI = {"OPENAI_API_KEY": "ok"}
AZURE = {"AZURE_OPENAI_ENDPOINT": RESOURCE, "AZURE_OPENAI_API_KEY": "ak", "AZURE_OPENAI_DEPLOYMENT": "d"}


def test_openais_key_alone_is_enough() -> None:
    endpoint, model = from_environment(OPENAI)
    target = endpoint.target(model=model)
    assert target.url == "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1"
    assert target.headers["Authorization"] == "Bearer ok"


def test_openais_other_variables_are_read() -> None:
    endpoint, model = from_environment(
        {
            **OPENAI,
            "OPENAI_BASE_URL": "http://localhost:1/v1",
            "OPENAI_REALTIME_MODEL": "gpt-realtime-2.1-mini",
            "OPENAI_ORG_ID": "org",
            "OPENAI_PROJECT_ID": "proj",
        }
    )
    target = endpoint.target(model=model)
    assert target.url == "ws://localhost:1/v1/realtime?model=gpt-realtime-2.1-mini"
    assert (target.headers["OpenAI-Organization"], target.headers["OpenAI-Project"]) == ("org", "proj")


def test_a_base_url_without_a_key_is_ones_own_server_unless_it_is_openai() -> None:
    endpoint, _ = from_environment({"OPENAI_BASE_URL": "http://localhost:1/v1"})
    assert endpoint.credential is None
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        from_environment({"OPENAI_BASE_URL": "https://api.openai.com/v1"})


@pytest.mark.parametrize("key", [{}, OPENAI])
@pytest.mark.parametrize("url", ["http://[::1", "localhost:8765/v1", "http://localhost:port"])
def test_a_base_url_that_is_none_is_a_configuration_error_with_and_without_a_key(url: str, key: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="The endpoint"):
        from_environment({**key, "OPENAI_BASE_URL": url})


def test_azure_with_a_key_comes_before_openai() -> None:
    endpoint, deployment = from_environment({**OPENAI, **AZURE})
    assert (endpoint.flavour, deployment) == ("azure", "d")
    assert endpoint.target(model=deployment).headers["api-key"] == "ak"


def test_a_live_model_is_never_that_of_the_conversation() -> None:
    openai = Endpoint.openai("ok")
    assert live_model(openai, {**OPENAI, "OPENAI_REALTIME_MODEL": "gpt-realtime-2.1"}) == "gpt-live-1.1"
    assert live_model(openai, {"OPENAI_LIVE_MODEL": " gpt-live-1 "}) == "gpt-live-1"


def test_azures_live_deployment_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    azure = Endpoint.azure(RESOURCE, "ak")
    assert live_model(azure, {"AZURE_OPENAI_LIVE_DEPLOYMENT": "mine"}) == "mine"
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_LIVE_DEPLOYMENT"):
        live_model(azure, {**AZURE, "OPENAI_LIVE_MODEL": "gpt-live-1.1"})
    monkeypatch.setenv("AZURE_OPENAI_LIVE_DEPLOYMENT", "of the environment")
    assert live_model(azure) == "of the environment"


def test_azures_live_deployment_is_enough_for_a_client_of_live_sessions() -> None:
    only_live = {**AZURE, "AZURE_OPENAI_DEPLOYMENT": "", "AZURE_OPENAI_LIVE_DEPLOYMENT": "mine"}
    assert from_environment(only_live)[1] == "mine"
    assert from_environment({**only_live, "AZURE_OPENAI_DEPLOYMENT": "d"})[1] == "d"


@pytest.mark.parametrize("yes", ["1", "true", "True", " YES ", "on"])
def test_azure_with_entra_comes_before_azures_key(yes: str) -> None:
    endpoint, _ = from_environment({**OPENAI, **AZURE, "AZURE_OPENAI_USE_ENTRA": yes})
    assert type(endpoint.credential).__name__ == "DefaultAzureCredential"


@pytest.mark.parametrize("no", ["", "0", "false", "No", "off"])
def test_entra_that_is_not_wanted_is_not_used(no: str) -> None:
    endpoint, _ = from_environment({**AZURE, "AZURE_OPENAI_USE_ENTRA": no})
    assert endpoint.credential == "ak"


def test_an_entra_setting_that_is_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_USE_ENTRA must be true or false"):
        from_environment({**AZURE, "AZURE_OPENAI_USE_ENTRA": "maybe"})


def test_entra_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'realtime-sync[azure]'")):
        from_environment({**AZURE, "AZURE_OPENAI_USE_ENTRA": "1"})


def test_azures_preview_version_is_read() -> None:
    endpoint, _ = from_environment({**AZURE, "AZURE_OPENAI_API_VERSION": PREVIEW})
    assert endpoint.dialect is Dialect.PREVIEW


def test_azure_without_a_deployment_says_so() -> None:
    with pytest.raises(ConfigurationError, match="export AZURE_OPENAI_DEPLOYMENT="):
        from_environment({**AZURE, "AZURE_OPENAI_DEPLOYMENT": " "})


def test_an_azure_endpoint_without_a_credential_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no credential for it") as caught:
        from_environment({"AZURE_OPENAI_ENDPOINT": RESOURCE})
    assert "does not say where" not in str(caught.value)
    assert " All that can be set:\n\n  # OpenAI\n" in str(caught.value)


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_USE_ENTRA"])
def test_an_azure_credential_without_an_endpoint_says_so(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} is set, but not AZURE_OPENAI_ENDPOINT.") as caught:
        from_environment({name: "1"})
    assert "does not say where" not in str(caught.value)
    assert "All that can be set:" in str(caught.value)


@pytest.mark.parametrize("wrong", ["sk-or-a-model", 1, ["gpt-realtime-2.1"]])
def test_what_is_no_environment_is_told_without_showing_what_may_be_a_key(wrong: object) -> None:
    with pytest.raises(ConfigurationError, match=f"not {type(wrong).__name__}.*OPENAI_REALTIME_MODEL") as caught:
        RealtimeConversationClient.from_env(wrong)  # type: ignore[arg-type]
    assert "sk-or" not in str(caught.value)


def test_two_api_versions_that_differ_are_told_with_the_name_of_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_API_VERSION"):
        from_environment({**AZURE, "AZURE_OPENAI_ENDPOINT": f"{RESOURCE}?api-version={PREVIEW}"})


def test_openai_is_taken_after_an_incomplete_azure_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        endpoint, _ = from_environment({**OPENAI, "AZURE_OPENAI_ENDPOINT": RESOURCE})
    assert endpoint.flavour == "openai"
    assert "AZURE_OPENAI_ENDPOINT" in caplog.text


def test_an_empty_environment_is_told_all_that_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*OPENAI, *AZURE, "AZURE_OPENAI_USE_ENTRA", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError) as caught:
        from_environment()
    for name in (*OPENAI, *AZURE, "AZURE_OPENAI_USE_ENTRA", "OPENAI_BASE_URL", "AZURE_OPENAI_API_VERSION"):
        assert f"export {name}=" in str(caught.value)


def test_a_client_shows_where_it_goes_and_no_secret() -> None:
    client = RealtimeConversationClient(
        "gpt-realtime-2.1", Endpoint.openai("sk-hidden", endpoint="https://me.example/v1")
    )
    assert repr(client) == "<RealtimeConversationClient gpt-realtime-2.1 at https://me.example/v1 (openai)>"
