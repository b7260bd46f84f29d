"""Where to connect: URLs, queries, headers, credentials, proxies, TLS settings."""

from __future__ import annotations

import inspect
import os
import platform
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync import (
    AzureOpenAIClient,
    AzureVoiceLiveClient,
    ConnectionSettings,
    OpenAIClient,
    RealtimeConversationClient,
    Timeouts,
)
from realtime_sync.endpoint.credentials import AZURE_SCOPE
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.environment import from_environment
from realtime_sync.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectCancelledError,
    UnsupportedByDialectError,
)
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.transport.urls import redactor, show_url
from realtime_sync.version import __version__

RESOURCE = "https://res.openai.azure.com"
PREVIEW = "2025-04-01-preview"
SECRET = "sk-0123456789-very-secret"


@attrs.frozen
class _Token:
    token: str
    expires_on: int = 0


class _Entra:
    """As azure-identity's credentials are: keyword arguments besides the scopes, a token with an expiry."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, claims: str | None = None, **kwargs: Any) -> _Token:
        self.asked.append(scopes)
        return _Token(f"entra-{len(self.asked)}")


def _headers(endpoint: Endpoint) -> Mapping[str, str]:
    return endpoint.target(model="m").headers


# --- OpenAI's URLs


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://api.openai.com/v1/", "wss://api.openai.com/v1/realtime?model=m"),
        (" https://api.openai.com/v1\n", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime", "wss://api.openai.com/v1/realtime?model=m"),
        ("wss://api.openai.com/v1/realtime/", "wss://api.openai.com/v1/realtime?model=m"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/realtime?model=m"),
        ("ws://[::1]:8000/a b/v1", "ws://[::1]:8000/a%20b/v1/realtime?model=m"),
        ("HTTPS://Example.com/a%2Fb", "wss://Example.com/a%2Fb/realtime?model=m"),
        ("https://gateway.example/v1?tenant=t+1&flag=", "wss://gateway.example/v1/realtime?tenant=t%201&flag=&model=m"),
        ("https://gateway.example/v1?model=old&x=1&x=2", "wss://gateway.example/v1/realtime?x=1&x=2&model=m"),
        ("https://bücher.example/v1", "wss://xn--bcher-kva.example/v1/realtime?model=m"),
        ("http://bücher:8443/v1", "ws://xn--bcher-kva:8443/v1/realtime?model=m"),
        ("http://my_service.Internal.:80", "ws://my_service.Internal.:80/realtime?model=m"),
    ],
)
def test_an_openai_base_url_of_any_spelling_leads_to_its_realtime_path(base: str, url: str) -> None:
    assert Endpoint.openai(SECRET, endpoint=base).target(model="m").url == url


def test_call_intent_and_translations_have_their_own_addresses() -> None:
    endpoint = Endpoint.openai(SECRET)
    assert endpoint.target(call_id="rtc_1").url == "wss://api.openai.com/v1/realtime?call_id=rtc_1"
    assert endpoint.target(intent="transcription").url == "wss://api.openai.com/v1/realtime?intent=transcription"
    url = "wss://api.openai.com/v1/realtime/translations?model=m"
    assert endpoint.target(model="m", path_suffix="translations").url == url
    kept = Endpoint.openai(SECRET, endpoint="https://api.openai.com/v1/realtime/translations")
    assert kept.target(model="m", path_suffix="/translations").url == url


def test_a_call_replaces_the_model_that_the_base_url_names() -> None:
    endpoint = Endpoint.openai(SECRET, endpoint="https://h/v1?model=old&a=1")
    assert endpoint.target(call_id="c").url == "wss://h/v1/realtime?a=1&call_id=c"
    assert endpoint.target().url == "wss://h/v1/realtime?model=old&a=1"


@pytest.mark.parametrize(
    "chosen",
    [{}, {"model": ""}, {"model": " "}, {"model": "m", "call_id": "c"}, {"model": "m", "intent": "transcription"}],
)
def test_a_session_needs_exactly_one_of_model_call_and_intent(chosen: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="model"):
        Endpoint.openai(SECRET).target(**chosen)


def test_the_users_query_wins_over_ours_and_none_removes() -> None:
    endpoint = Endpoint.openai(SECRET, endpoint="https://h/v1?a=1&b=2", query={"a": "3", "b": None, "model": "other"})
    assert endpoint.target(model="m").url == "wss://h/v1/realtime?a=3&model=other"
    assert endpoint.target(model="m", extra_query={"a": None, "c": "ü&="}).url == (
        "wss://h/v1/realtime?model=other&c=%C3%BC%26%3D"
    )
    assert Endpoint.openai(SECRET, endpoint="https://h/v1", query={"model": None}).target().url == "wss://h/v1/realtime"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1))
def test_any_printable_model_arrives_as_it_was_given(model: str) -> None:
    if not model.strip():
        return
    url = Endpoint.openai(SECRET, proxy=False).target(model=model).url
    assert re.fullmatch(r"[!-~]+", url)
    assert parse_qsl(urlsplit(url).query) == [("model", model)]


@pytest.mark.parametrize("model", ["a\r\nHost: evil", "a\0b", "a\x7f", "a\x85b"])
def test_control_characters_are_refused_wherever_they_stand(model: str) -> None:
    endpoint = Endpoint.openai(SECRET)
    targets: list[dict[str, Any]] = [
        {"model": model},
        {"call_id": model},
        {"model": "m", "path_suffix": model},
        {"model": "m", "extra_query": {"a": model}},
        {"model": "m", "extra_headers": {"X-A": model}},
    ]
    for target in targets:
        with pytest.raises(ConfigurationError, match="control character"):
            endpoint.target(**target)
    everything: list[dict[str, Any]] = [
        {"organization": model},
        {"project": model},
        {"user_agent": model},
        {"headers": {"X-A": model}},
        {"query": {"a": model}},
        {"query": {model: "a"}},
    ]
    for settings in everything:
        with pytest.raises(ConfigurationError, match="control character"):
            Endpoint.openai(SECRET, **settings)


@pytest.mark.parametrize(
    ("base", "told"),
    [
        ("api.openai.com/v1", "https://"),
        ("ftp://h/v1", "https://"),
        (SECRET, "https://"),
        ("", "https://"),
        ("https://", "host"),
        ("https:///v1", "host"),
        ("https://h:port/v1", "port"),
        ("https://h:99999/v1", "port"),
        ("https://[::1/v1", "host"),
        ("https://[::1] /v1", "host name"),
        (f"https://user:{SECRET}@h/v1", "credential"),
        ("https://h/v1#part", "fragment"),
        ("https://h/v1\r\nX: 1", "control character"),
        ("https://h:0/v1", "port"),
        ("https://" + "a" * 70 + "ü.example", "host name"),
        ("https://" + "a" * 64 + ".example", "host name"),
        ("https://a..b/v1", "host name"),
        ("https://my host/v1", "host name"),
        ("https://my%20host/v1", "host name"),
        ("https://<RESOURCE>.openai.azure.com", "host name"),
        (None, "NoneType"),
        (b"https://h", "bytes"),
    ],
)
def test_a_base_url_that_cannot_work_is_refused_at_once_with_the_reason(base: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Endpoint.openai("key", endpoint=base)
    assert SECRET not in str(caught.value)


# --- Azure's URLs


@pytest.mark.parametrize(
    "base",
    [
        RESOURCE,
        f"{RESOURCE}/",
        f"{RESOURCE}/openai",
        f"{RESOURCE}/openai/",
        f"{RESOURCE}/openai/v1",
        f"{RESOURCE}/openai/v1/",
        f"{RESOURCE}/openai/realtime",
        f"{RESOURCE}/openai/v1/realtime",
        "wss://res.openai.azure.com",
        # What the portal shows and people paste: other APIs of the same resource, or one request.
        f"{RESOURCE}/openai/deployments/my%20model",
        f"{RESOURCE}/openai/deployments/other/chat/completions",
        f"{RESOURCE}/openai/deployments/other/realtime",
        f"{RESOURCE}/openai/v1/chat/completions",
        f"{RESOURCE}/openai/v1/realtime/client_secrets",
        f"{RESOURCE}/models",
        f"{RESOURCE}/models/chat/completions",
        f"{RESOURCE}/api/projects/mine",
    ],
)
def test_azure_finds_the_path_of_each_protocol_from_any_form_of_the_resource(base: str) -> None:
    ga = Endpoint.azure(base, "key").target(model="my model")
    assert ga.url == "wss://res.openai.azure.com/openai/v1/realtime?model=my%20model"
    assert "openai-beta" not in ga.headers
    preview = Endpoint.azure(base, "key", api_version=PREVIEW).target(model="my model")
    assert preview.url == (f"wss://res.openai.azure.com/openai/realtime?deployment=my%20model&api-version={PREVIEW}")
    assert preview.headers["openai-beta"] == "realtime=v1"


@pytest.mark.parametrize(
    "tail", ["/chat/completions", "/responses", "/models", "/realtime", "/realtime/client_secrets", "/realtime/calls"]
)
def test_the_path_of_another_api_of_openai_is_left_out(tail: str) -> None:
    base = f"https://gateway.example/eu/v1{tail}"
    assert Endpoint.openai("key", endpoint=base).target(model="m").url == "wss://gateway.example/eu/v1/realtime?model=m"
    own = "https://gateway.example/models"
    assert Endpoint.openai("key", endpoint=own).target(model="m").url == "wss://gateway.example/models/realtime?model=m"


@pytest.mark.parametrize("version", ["v1", "2025-10-01", PREVIEW])
@pytest.mark.parametrize("query", ["", "?api-version=2025-10-01&model=gpt-realtime-2.1"])
def test_a_url_of_voice_live_is_refused_with_what_to_give_instead(query: str, version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"another API of Azure.*AzureVoiceLiveClient.*the resource alone"):
        Endpoint.azure(f"https://res.services.ai.azure.com/voice-live/realtime{query}", "key", api_version=version)


def test_a_version_of_another_api_is_not_advised() -> None:
    with pytest.raises(ConfigurationError, match="Leave the query out of the URL") as caught:
        Endpoint.azure(f"{RESOURCE}/openai/deployments/d/chat/completions?api-version=2024-10-21", "key")
    assert "pass api_version" not in str(caught.value)


def test_a_gateways_own_path_before_azures_is_kept() -> None:
    deployment = "https://apim.example/eu/openai/deployments/d"
    assert Endpoint.azure(deployment, "key").target(model="d").url == (
        "wss://apim.example/eu/openai/v1/realtime?model=d"
    )
    url = Endpoint.azure("https://apim.example/eu/openai/v1", "key").target(model="d").url
    assert url == "wss://apim.example/eu/openai/v1/realtime?model=d"
    assert Endpoint.azure("https://apim.example/my/realtime", "key").target(model="d").url == (
        "wss://apim.example/my/realtime?model=d"
    )


@pytest.mark.parametrize("version", ["2024-10-01-preview", "2025-04-01-preview"])
def test_a_preview_version_selects_the_preview_dialect_and_v1_the_ga_one(version: str) -> None:
    assert Endpoint.azure(RESOURCE, "key", api_version=version).dialect is Dialect.PREVIEW
    assert Endpoint.azure(RESOURCE, "key", api_version=version).flavour == "azure-preview"
    assert Endpoint.azure(RESOURCE, "key").dialect is Dialect.GA
    assert Endpoint.azure(RESOURCE, "key").flavour == "azure"


@pytest.mark.parametrize("version", ["preview", "2024-10-21", "v2", "", None, "2024-10-01-preview "])
def test_an_api_version_without_a_realtime_api_is_refused_with_those_that_have_one(version: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'v1'.*2025-04-01-preview"):
        Endpoint.azure(RESOURCE, "key", api_version=version)


def test_the_portals_target_uri_works_with_its_version_and_contradicts_another() -> None:
    portal = f"{RESOURCE}/openai/realtime?api-version={PREVIEW}&deployment=mine"
    endpoint = Endpoint.azure(portal, "key", api_version=PREVIEW)
    assert endpoint.target().url == f"wss://res.openai.azure.com/openai/realtime?deployment=mine&api-version={PREVIEW}"
    assert "deployment=other" in endpoint.target(model="other").url
    with pytest.raises(ConfigurationError, match=f"api_version='{PREVIEW}'"):
        Endpoint.azure(portal, "key")


def test_on_the_preview_path_a_deployment_replaces_the_model_that_the_base_url_names() -> None:
    base = "https://r.openai.azure.com/openai/realtime?model=old&a=1"
    endpoint = Endpoint.azure(base, SECRET, api_version="2025-04-01-preview")
    url = "wss://r.openai.azure.com/openai/realtime?a=1&deployment=m&api-version=2025-04-01-preview"
    assert endpoint.target(model="m").url == url


def test_the_ga_path_never_carries_an_api_version_unless_the_user_insists() -> None:
    assert "api-version" not in Endpoint.azure(f"{RESOURCE}?api-version=v1", "key").target(model="d").url
    insisting = Endpoint.azure(RESOURCE, "key", query={"api-version": "v1"})
    assert insisting.target(model="d").url.endswith("?model=d&api-version=v1")


def test_calls_and_transcriptions_have_their_own_addresses_on_azure() -> None:
    ga, preview = Endpoint.azure(RESOURCE, "key"), Endpoint.azure(RESOURCE, "key", api_version=PREVIEW)
    assert ga.target(call_id="c").url == "wss://res.openai.azure.com/openai/v1/realtime?call_id=c"
    assert ga.target(intent="transcription").url == "wss://res.openai.azure.com/openai/v1/realtime?intent=transcription"
    assert preview.target(intent="transcription").url == (
        f"wss://res.openai.azure.com/openai/realtime?intent=transcription&api-version={PREVIEW}"
    )


def test_the_preview_dialect_of_azure_has_no_calls_and_no_translations() -> None:
    endpoint = Endpoint.azure(RESOURCE, "key", api_version=PREVIEW)
    with pytest.raises(UnsupportedByDialectError, match="call_id"):
        endpoint.target(call_id="c")
    with pytest.raises(UnsupportedByDialectError, match="translations"):
        endpoint.target(model="d", path_suffix="translations")


def test_a_missing_deployment_is_called_so_on_azure() -> None:
    with pytest.raises(ConfigurationError, match="Which deployment"):
        Endpoint.azure(RESOURCE, "key").target()


# --- headers


def test_openai_gets_a_bearer_key_a_user_agent_the_organization_and_the_project() -> None:
    endpoint = Endpoint.openai(SECRET, organization="org-1", project="proj-1", user_agent="my-app/2.0")
    assert endpoint.target(model="m").headers == {
        "User-Agent": f"realtime-sync/{__version__} python/{platform.python_version()} my-app/2.0",
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj-1",
        "Authorization": f"Bearer {SECRET}",
    }


def test_a_server_that_speaks_the_preview_dialect_is_told_so_in_a_header() -> None:
    headers = _headers(Endpoint.openai(None, endpoint="http://localhost:1", dialect=Dialect.PREVIEW))
    assert headers["openai-beta"] == "realtime=v1"
    assert "openai-beta" not in _headers(Endpoint.openai(None, endpoint="http://localhost:1"))


def test_azure_gets_a_new_request_id_at_each_connect() -> None:
    endpoint = Endpoint.azure(RESOURCE, "key")
    ids = [endpoint.target(model="d").client_request_id for _ in range(3)]
    assert len({uuid.UUID(told) for told in ids}) == 3
    assert Endpoint.openai(SECRET).target(model="m").client_request_id is None
    own = endpoint.target(model="d", extra_headers={"X-MS-Client-Request-Id": "mine"})
    assert own.client_request_id == "mine"


def test_the_users_headers_win_whatever_their_case_and_none_removes() -> None:
    endpoint = Endpoint.openai(SECRET, headers={"user-agent": "mine", "AUTHORIZATION": "Basic abc", "X-A": "1"})
    assert _headers(endpoint) == {"user-agent": "mine", "AUTHORIZATION": "Basic abc", "X-A": "1"}
    headers = endpoint.target(model="m", extra_headers={"x-a": "2", "User-Agent": None}).headers
    assert headers == {"AUTHORIZATION": "Basic abc", "x-a": "2"}


@pytest.mark.parametrize("name", ["", "X A", "X:A", "X\r\nA", "Ü", 3])
def test_a_header_name_that_http_does_not_know_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name of a header"):
        Endpoint.openai(SECRET, headers={name: "1"})


def test_a_bad_header_value_is_named_and_never_shown() -> None:
    for value in (f"{SECRET}\r\nX: 1", f"{SECRET}ü"):
        with pytest.raises(ConfigurationError, match="'X-Key'") as caught:
            Endpoint.openai("key", headers={"X-Key": value})
        assert SECRET not in str(caught.value)


# --- credentials


def test_a_text_is_a_key_and_a_functions_or_objects_answer_is_a_token_on_azure() -> None:
    assert _headers(Endpoint.azure(RESOURCE, "k"))["api-key"] == "k"
    assert _headers(Endpoint.azure(RESOURCE, lambda: "t"))["Authorization"] == "Bearer t"
    assert _headers(Endpoint.azure(RESOURCE, _Entra()))["Authorization"] == "Bearer entra-1"
    for endpoint in (Endpoint.azure(RESOURCE, "k"), Endpoint.azure(RESOURCE, lambda: "t")):
        assert len({"api-key", "Authorization"} & set(_headers(endpoint))) == 1


def test_the_credential_kind_corrects_that_guess() -> None:
    assert _headers(Endpoint.azure(RESOURCE, lambda: "k", credential_kind="key"))["api-key"] == "k"
    assert _headers(Endpoint.azure(RESOURCE, "t", credential_kind="token"))["Authorization"] == "Bearer t"
    with pytest.raises(ConfigurationError, match="gives tokens"):
        Endpoint.azure(RESOURCE, _Entra(), credential_kind="key")
    with pytest.raises(ConfigurationError, match="credential_kind"):
        Endpoint.azure(RESOURCE, "k", credential_kind="bearer")  # type: ignore[arg-type]


def test_every_kind_of_credential_is_a_bearer_token_for_openai() -> None:
    for credential, sent in ((SECRET, SECRET), (lambda: "f", "f"), (_Entra(), "entra-1")):
        assert _headers(Endpoint.openai(credential))["Authorization"] == f"Bearer {sent}"


def test_no_credential_sends_no_credential() -> None:
    assert list(_headers(Endpoint.openai(None, endpoint="ws://localhost:1"))) == ["User-Agent"]
    assert not {"api-key", "Authorization"} & set(_headers(Endpoint.azure("http://localhost:1", None)))


def test_a_credential_is_asked_anew_at_each_connect() -> None:
    entra, keys = _Entra(), iter(["k1", "k2"])
    endpoint = Endpoint.azure(RESOURCE, entra, token_scope="https://ai.azure.com/.default")
    assert entra.asked == []
    assert [_headers(endpoint)["Authorization"] for _ in range(2)] == ["Bearer entra-1", "Bearer entra-2"]
    assert entra.asked == [("https://ai.azure.com/.default",)] * 2
    rotating = Endpoint.openai(lambda: next(keys))
    assert [_headers(rotating)["Authorization"] for _ in range(2)] == ["Bearer k1", "Bearer k2"]


def test_the_default_scope_is_that_of_cognitive_services() -> None:
    entra = _Entra()
    Endpoint.azure(RESOURCE, entra).target(model="d")
    assert entra.asked == [(AZURE_SCOPE,)] == [("https://cognitiveservices.azure.com/.default",)]


def test_white_space_around_a_key_is_dropped() -> None:
    assert _headers(Endpoint.openai(f" {SECRET}\r\n"))["Authorization"] == f"Bearer {SECRET}"
    assert _headers(Endpoint.openai(lambda: f"{SECRET}\n"))["Authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("", "empty"),
        (" \n", "empty"),
        (f"{SECRET}\r\nX-Injected: 1", "U\\+000D"),
        (f"{SECRET} two", "U\\+0020"),
        (f"{SECRET}\u201d", "U\\+201D"),
        (f"\ufeff{SECRET}", "U\\+FEFF"),
        (f"{SECRET}\0", "U\\+0000"),
        (f"Bearer {SECRET}", "Bearer"),
    ],
)
def test_an_unusable_key_is_refused_without_being_shown(key: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Endpoint.openai(key)
    assert SECRET not in str(caught.value)
    with pytest.raises(ConfigurationError, match=told) as caught:
        Endpoint.openai(lambda: key).target(model="m")
    assert SECRET not in str(caught.value)


def test_what_cannot_be_a_credential_is_refused_at_once() -> None:
    class AzureKeyCredential:
        key = SECRET

    for wrong in (3, b"bytes", ["k"], AzureKeyCredential()):
        with pytest.raises(ConfigurationError, match=type(wrong).__name__) as caught:
            Endpoint.openai(wrong)  # type: ignore[arg-type]
        assert SECRET not in str(caught.value)
    assert "Pass its .key" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("timeouts", 5),
        ("retries", 3),
        ("limits", 1024),
        ("max_message_bytes", "4 MiB"),
        ("max_message_bytes", 0),
        ("max_message_bytes", True),
        ("ssl_context", True),
        ("ssl_context", False),
    ],
)
def test_a_setting_of_a_wrong_kind_is_refused_at_once_and_named(setting: str, value: Any) -> None:
    told: dict[str, Any] = {setting: value}
    with pytest.raises(ConfigurationError, match=setting):
        OpenAIClient(SECRET, **told)
    with pytest.raises(ConfigurationError, match=setting):
        AzureOpenAIClient(RESOURCE, SECRET, **told)
    if setting != "ssl_context":
        with pytest.raises(ConfigurationError, match=setting):
            ConnectionSettings(**told)


def test_settings_of_a_wrong_kind_are_refused_before_a_session_is_started() -> None:
    with pytest.raises(ConfigurationError, match=r"settings must be a ConnectionSettings\(\.\.\.\)"):
        RealtimeConversationClient("m", SECRET, settings=Timeouts())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["headers", "query"])
@pytest.mark.parametrize("wrong", ["X-Trace: 1", [("a", "b")], 5])
def test_headers_and_query_that_are_no_mappings_are_refused_in_words(name: str, wrong: Any) -> None:
    client = OpenAIClient(SECRET, endpoint="ws://127.0.0.1:1").get_realtime_conversation_client("m")
    with pytest.raises(ConfigurationError, match="mappings of names to values"):
        OpenAIClient(SECRET, **{name: wrong})
    with pytest.raises(ConfigurationError, match="mappings of names to values"):
        client.start_conversation_session(**{name: wrong})


@pytest.mark.parametrize("key", ["sk-proj-abc123", "ek_68af296e8e408191a1120ab6383263c2"])
def test_a_key_in_the_models_place_is_refused_and_not_shown(key: str) -> None:
    for make in (RealtimeConversationClient, OpenAIClient("k").get_realtime_conversation_client):
        with pytest.raises(ConfigurationError, match="looks like a key") as caught:
            make(key)
        assert key not in str(caught.value)


def test_a_client_that_was_closed_says_so() -> None:
    client = OpenAIClient("k", endpoint="ws://127.0.0.1:1").get_realtime_conversation_client("m")
    client.close()
    with pytest.raises(ConnectCancelledError, match="make another one"):
        client.start_conversation_session()


def test_an_empty_call_id_is_called_so_and_not_taken_for_none() -> None:
    with pytest.raises(ConfigurationError, match="call_id must be a text that is not empty"):
        RealtimeConversationClient("m", SECRET).start_conversation_session(call_id="")


def _keywords(function: Any) -> dict[str, Any]:
    return {name: told.default for name, told in inspect.signature(function).parameters.items() if name != "self"}


@pytest.mark.parametrize(
    ("client", "endpoint"),
    [
        (OpenAIClient, Endpoint.openai),
        (AzureOpenAIClient, Endpoint.azure),
        (AzureVoiceLiveClient, Endpoint.voice_live),
    ],
)
def test_a_client_takes_all_that_its_endpoint_and_its_connections_take(client: Any, endpoint: Any) -> None:
    taken = {**_keywords(endpoint), **dict.fromkeys(("timeouts", "retries", "limits"))}
    taken["max_message_bytes"] = ConnectionSettings().max_message_bytes
    assert _keywords(client.__init__) == taken


@pytest.mark.parametrize("dialect", ["preview", "ga", None])
def test_a_dialect_that_is_only_a_word_is_refused_and_not_taken_for_the_ga_one(dialect: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Dialect\.PREVIEW"):
        Endpoint.openai(SECRET, dialect=dialect)


@pytest.mark.parametrize("credential", [_Entra, str])
def test_a_class_in_the_place_of_a_credential_is_refused_at_once(credential: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"{credential.__name__}\(\.\.\.\)"):
        Endpoint.azure(RESOURCE, credential)


def test_an_asynchronous_credential_is_refused_with_the_way_out_and_no_warning() -> None:
    class AsyncEntra:
        async def get_token(self, *scopes: str) -> _Token:
            return _Token("t")

    async def give() -> str:
        return "t"

    for credential in (AsyncEntra(), give):
        with pytest.raises(ConfigurationError, match="synchronous"):
            Endpoint.azure(RESOURCE, credential).target(model="d")  # type: ignore[arg-type]


def test_a_credential_that_gives_no_text_is_named() -> None:
    with pytest.raises(ConfigurationError, match="must be a str, not NoneType"):
        Endpoint.azure(RESOURCE, lambda: None).target(model="d")  # type: ignore[arg-type, return-value]


def test_a_credential_that_fails_is_an_authentication_error_with_its_cause_and_type() -> None:
    class Failing:
        def get_token(self, *scopes: str) -> _Token:
            raise OSError(f"POST with {SECRET} failed")

    with pytest.raises(AuthenticationError, match=r"Failing.*OSError") as caught:
        Endpoint.azure(RESOURCE, Failing()).target(model="d")
    assert isinstance(caught.value.__cause__, OSError)
    assert SECRET not in str(caught.value)
    assert caught.value.status is None


def test_an_error_of_ours_out_of_a_credential_passes_unchanged() -> None:
    def refuse() -> str:
        raise ConfigurationError("sign in first")

    with pytest.raises(ConfigurationError, match="sign in first"):
        Endpoint.openai(refuse).target(model="m")


# --- secrets


def test_no_repr_shows_a_secret() -> None:
    class Entra(_Entra):
        def __repr__(self) -> str:
            return SECRET

    for credential in (SECRET, Entra(), lambda: SECRET):
        endpoint = Endpoint.azure(
            f"{RESOURCE}?sig={SECRET}&model=visible",
            credential,
            headers={"X-Key": SECRET},
            query={"code": SECRET},
            proxy=f"http://user:{SECRET}@proxy:3128",
        )
        target = endpoint.target(model="visible")
        for text in (repr(endpoint), repr(target), str(target)):
            assert SECRET not in text
            assert "user" not in text.replace("user_agent", "")
        assert "X-Key" in repr(target)
        assert "model=visible" in repr(target)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    url = f"wss://u:{SECRET}@h:1/p?model=m&api-key={SECRET}#f"
    assert show_url(url) == "wss://h:1/p?model=m&api-key=..."
    assert show_url("http://[") == "..."


# --- proxies and TLS


def test_a_proxy_by_option_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://env:1")
    assert Endpoint.openai(SECRET).target(model="m").proxy == "http://env:1"
    assert Endpoint.openai(SECRET, proxy="socks5h://p:2").target(model="m").proxy == "socks5h://p:2"
    assert Endpoint.openai(SECRET, proxy="p:3").target(model="m").proxy == "http://p:3"
    assert Endpoint.openai(SECRET, proxy=False).target(model="m").proxy is None
    assert Endpoint.openai(SECRET, proxy="").target(model="m").proxy is None


@pytest.mark.parametrize(
    ("environment", "endpoint", "proxy"),
    [
        ({"https_proxy": "http://s:1", "http_proxy": "http://p:2"}, "https://api.example/v1", "http://s:1"),
        ({"https_proxy": "http://s:1", "http_proxy": "http://p:2"}, "ws://api.example/v1", "http://p:2"),
        ({"HTTPS_PROXY": "s:1"}, "wss://api.example/v1", "http://s:1"),
        ({"ALL_PROXY": "socks5://s:1"}, "wss://api.example/v1", "socks5://s:1"),
        ({"https_proxy": "http://s:1", "no_proxy": ".example"}, "https://api.example/v1", None),
        ({"https_proxy": "http://s:1", "no_proxy": "10.0.0.0/8"}, "https://10.1.2.3/v1", None),
        ({"https_proxy": "http://s:1", "no_proxy": "*"}, "https://api.example/v1", None),
        ({"http_proxy": "http://p:2"}, "https://api.example/v1", None),
        ({}, "https://api.example/v1", None),
    ],
)
def test_the_environments_proxy_is_the_one_that_requests_would_take(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], endpoint: str, proxy: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Endpoint.openai(SECRET, endpoint=endpoint).target(model="m").proxy == proxy


def test_requests_is_imported_only_where_the_environment_names_a_proxy() -> None:
    script = """if True:
        import sys
        from realtime_sync.endpoint.endpoint import Endpoint
        Endpoint.openai("key").target(model="m")
        print("requests" in sys.modules)
    """
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for environment, imported in ((plain, "False"), ({**plain, "https_proxy": "http://p:1"}, "True")):
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=30
        )
        assert run.stdout.strip() == imported, run.stderr


@pytest.mark.parametrize(
    "proxy",
    [
        "ftp://p:1",
        "http://",
        "http://p:port",
        "http://p:0",
        True,
        3,
        "http://p\r\n:1",
        "http://u:w@p..x:1",
        "my proxy:1",
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused_at_once(proxy: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"[Pp]roxy") as caught:
        Endpoint.openai(SECRET, proxy=proxy)
    assert "u:w" not in str(caught.value)


def test_a_secret_that_begins_as_another_value_is_redacted_to_its_end() -> None:
    secret = "sk-0123456789abcdefghijklmnopqrstuv"
    headers = {f"X-{size}": secret[:size] for size in range(8, len(secret) + 1)}
    redact = redactor(["wss://h/v1?model=m"], headers.items())
    assert redact.all(f"Your key {secret} is wrong.") == "Your key *** is wrong."


@pytest.mark.parametrize("proxy", ["http://[::1]:3128", "http://user:p%40ss@proxy_1:3128", "socks5h://10.0.0.1:1080"])
def test_a_proxys_url_is_taken_as_it_was_given(proxy: str) -> None:
    assert Endpoint.openai(SECRET, proxy=proxy).target(model="m").proxy == proxy


def test_a_ca_file_becomes_a_context_and_excludes_another_one(tmp_path: Any) -> None:
    import ssl

    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    context = Endpoint.openai(SECRET, ca_file=str(path)).target(model="m").ssl_context
    assert isinstance(context, ssl.SSLContext)
    assert len(context.get_ca_certs()) == 1
    own = ssl.create_default_context()
    assert Endpoint.openai(SECRET, ssl_context=own).target(model="m").ssl_context is own
    assert Endpoint.openai(SECRET).target(model="m").ssl_context is None
    with pytest.raises(ConfigurationError, match="not both"):
        Endpoint.openai(SECRET, ssl_context=own, ca_file=str(path))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("localhost:8765", "http://localhost:8765 in place of 'localhost:8765'"),
        ("localhost", "http://localhost in place of"),
        ("vllm:8000/v1", "http://vllm:8000/v1 in place of"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000 in place of"),
        ("api.openai.com/v1", "https://api.openai.com/v1 in place of"),
        ("http//host/v1", "it begins with 'http//', and http:// is meant"),
        ("ws:/host/v1", "it begins with 'ws:/', and ws:// is meant"),
        ("https:host", "it begins with 'https:', and https:// is meant"),
    ],
)
def test_a_slip_in_a_url_is_told_what_is_meant(given: str, told: str) -> None:
    for make in (
        lambda: Endpoint.openai("any-key", endpoint=given),
        lambda: from_environment({"OPENAI_BASE_URL": given}),
    ):
        with pytest.raises(ConfigurationError) as raised:
            make()
        assert told in str(raised.value)
    assert str(raised.value).startswith("OPENAI_BASE_URL is wrong. ")


@pytest.mark.parametrize(
    "key",
    ["sk-proj-abcdef123", "0123abcdef0123.AbCdEfGhIjKl", "eyJhbGciOi.eyJzdWIiOiIxMjM.SflKxwRJ", "ftp://x", "a-word"],
)
def test_what_may_be_a_key_in_place_of_a_url_is_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="It is not shown here") as raised:
        Endpoint.openai("any-key", endpoint=key)
    assert key not in str(raised.value)
