"""A live model is refused where a conversation is asked for, with what to do instead."""

from __future__ import annotations

from typing import Optional

import pytest

from realtime_sync import ConfigurationError, OpenAIClient
from realtime_sync.endpoint.endpoint import Endpoint
from realtime_sync.endpoint.model_kinds import check_is_not_live

OPENAI, AZURE = Endpoint.openai("k"), Endpoint.azure("https://res.openai.azure.com", "k")


@pytest.mark.parametrize("model", ["gpt-live-1", "gpt-live-1.1", "gpt-live-1.1-2026-11-20"])
def test_a_live_model_is_no_model_of_a_conversation(model: str) -> None:
    with pytest.raises(ConfigurationError, match=r"start_live_session\(model='gpt-live-1"):
        check_is_not_live(OPENAI, model)


@pytest.mark.parametrize("model", ["gpt-realtime-2.1", "gpt-live-transcribe", "gpt-live-2", "my-own", "", None])
def test_other_models_and_unknown_ones_are_left_to_the_service(model: Optional[str]) -> None:
    check_is_not_live(OPENAI, model)


def test_a_deployment_may_have_any_name() -> None:
    check_is_not_live(AZURE, "gpt-live-1.1")


def test_no_conversation_no_client_secret_and_no_call_is_asked_for_with_a_live_model() -> None:
    client = OpenAIClient("k", endpoint="http://127.0.0.1:1/v1").get_realtime_conversation_client("gpt-live-1.1")
    asks = (client.start_conversation_session, client.create_client_secret, lambda: client.calls.accept("rtc_1"))
    for ask in asks:
        with pytest.raises(ConfigurationError, match="start_live_session"):
            ask()
