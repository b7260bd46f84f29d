"""Which service the options and the environment tell of."""

from __future__ import annotations

import argparse
from typing import Optional

import pytest

from realtime_sync import ConfigurationError
from realtime_sync.cli.options import add_client_options, client_from, endpoint_from

AZURE = "https://r.openai.azure.com"


def told(*arguments: str) -> tuple[str, str, object, Optional[str]]:
    parser = argparse.ArgumentParser()
    add_client_options(parser)
    endpoint, model = endpoint_from(parser.parse_args(arguments))
    return endpoint.flavour, model, endpoint.credential, endpoint.api_version


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    monkeypatch.setenv("MY_KEY", "my-key")


def test_without_options_it_is_the_environment_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told() == ("openai", "gpt-realtime-2.1", "key-of-openai", None)
    monkeypatch.setenv("OPENAI_REALTIME_MODEL", "another")
    assert told() == ("openai", "another", "key-of-openai", None)
    assert told("--model", "mine") == ("openai", "mine", "key-of-openai", None)


def test_an_azure_endpoint_is_known_by_its_name_or_said_to_be_one() -> None:
    assert told("--endpoint", AZURE, "--model", "d", "--key-env", "MY_KEY") == ("azure", "d", "my-key", "v1")
    hidden = ("--endpoint", "https://ai.example.com", "--azure", "--model", "d", "--key-env", "MY_KEY")
    assert told(*hidden) == ("azure", "d", "my-key", "v1")
    preview = told(*hidden, "--api-version", "2025-04-01-preview")
    assert preview == ("azure-preview", "d", "my-key", "2025-04-01-preview")


def test_another_endpoint_is_stronger_than_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", AZURE)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key-of-azure")
    monkeypatch.setenv("AZURE_OPENAI_DEPLOYMENT", "d")
    assert told() == ("azure", "d", "key-of-azure", "v1")
    assert told("--endpoint", "https://api.openai.com/v1") == ("openai", "gpt-realtime-2.1", "key-of-openai", None)


def test_the_key_of_openai_never_goes_to_azure() -> None:
    with pytest.raises(ConfigurationError, match="no credential"):
        told("--endpoint", AZURE, "--model", "d")


@pytest.mark.parametrize(
    "arguments", [("--azure",), ("--key-env", "NOT_SET"), ("--endpoint", "no-url"), ("--endpoint", "https://[::1")]
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        told(*arguments)


def test_local_needs_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    parser = argparse.ArgumentParser()
    add_client_options(parser)
    with client_from(parser.parse_args(["--local", "--model", "m"])) as client:
        assert client.model == "m"
        with client.start_conversation_session() as session:
            assert session.ask("Say: well done").transcript == "well done"
    assert capsys.readouterr().err.count("\n") == 1
