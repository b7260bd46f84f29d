"""A live model at ``/v1/realtime``, and another one in a live session, are refused at the call, with what to do."""

from __future__ import annotations

import pytest

from realtime_sync import ConfigurationError, OpenAIClient
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.model_kinds import check_is_live, check_is_not_live

OPENAI, AZURE = Endpoint.openai("k"), Endpoint.azure("https://res.openai.azure.com", "k")


@pytest.mark.parametrize("model", ["gpt-live-1", "gpt-live-1.1", "gpt-live-1.1-2026-11-20"])
def test_a_live_model_is_no_model_of_a_conversation(model: str) -> None:
    check_is_live(OPENAI, model)
    with pytest.raises(ConfigurationError, match=r"start_live_session\(model='gpt-live-1"):
        check_is_not_live(OPENAI, model)


@pytest.mark.parametrize("model", ["gpt-realtime-2.1", "gpt-4o-realtime-preview", "gpt-live-transcribe", "whisper-1"])
def test_another_model_is_no_live_model(model: str) -> None:
    check_is_not_live(OPENAI, model)
    with pytest.raises(ConfigurationError, match=r"'gpt-live-1\.1' does"):
        check_is_live(OPENAI, model)


@pytest.mark.parametrize("check", [check_is_live, check_is_not_live])
def test_unknown_models_and_deployments_are_left_to_the_service(check: object) -> None:
    assert callable(check)
    for model in ("my-own", "gpt-live-2", "", None):
        check(OPENAI, model)
    for deployment in ("gpt-live-1.1", "gpt-realtime-2.1"):
        check(AZURE, deployment)


def test_no_conversation_no_client_secret_and_no_call_is_asked_for_with_a_live_model() -> None:
    client = OpenAIClient("k", endpoint="http://127.0.0.1:1/v1").get_realtime_conversation_client("gpt-live-1.1")
    asks = (client.start_conversation_session, client.create_client_secret, lambda: client.calls.accept("rtc_1"))
    for ask in asks:
        with pytest.raises(ConfigurationError, match="start_live_session"):
            ask()
