"""A delegate and its session by the clocks of the wall: silence is sent by the keeper of the session's clock."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from realtime_sync import DelegationRequest, OpenAIClient
from realtime_sync.protocol.live.updates import LiveSessionOutputTranscriptDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.server import LiveFaults, LiveRules, RealtimeServer
from tests.core.harness import KEY


def said(word: str) -> Callable[[ConversationUpdate], bool]:
    def wanted(update: ConversationUpdate) -> bool:
        return isinstance(update, LiveSessionOutputTranscriptDeltaUpdate) and word in update.delta

    return wanted


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(3, marks=pytest.mark.slow),
        pytest.param(45, marks=[pytest.mark.slow, pytest.mark.timeout(150)]),
        pytest.param(90, marks=[pytest.mark.slow, pytest.mark.timeout(200)]),
    ],
)
def test_a_delegate_that_takes_its_time_is_spoken(seconds: int) -> None:
    def slow(request: DelegationRequest) -> str:
        assert not request.cancelled.wait(seconds)
        return "It is sunny."

    with RealtimeServer(live=LiveRules()) as server:
        client = OpenAIClient(KEY, endpoint=server.url).get_realtime_conversation_client("m")
        with client.start_live_session(delegate=slow) as session:
            twin = server.wait_for_live_session()
            twin.hear("How is the weather?")
            twin.delegate()
            begun = time.monotonic()
            session.wait_for(said("sunny"), seconds + 15)
            assert seconds < time.monotonic() - begun < seconds + 10


@pytest.mark.slow
def test_a_delegation_2_2_seconds_after_another_is_answered_after_it() -> None:
    texts: list[str] = []

    def slow(request: DelegationRequest) -> str:
        texts.append(request.text)
        request.cancelled.wait(3)
        return f"answer {len(texts)}"

    with RealtimeServer(live=LiveRules(faults=LiveFaults(delegates_again_ms=2200))) as server:
        client = OpenAIClient(KEY, endpoint=server.url).get_realtime_conversation_client("m")
        with client.start_live_session(delegate=slow):
            twin = server.wait_for_live_session()
            twin.hear("Run the tests")
            twin.delegate()
            twin.wait_for_sent("session.delegation.created")
            twin.hear("and the benchmarks.")
            twin.wait_for_message("session.commentary.append", timeout=30, count=2)
            told = [message for message in twin.received if message["type"] == "session.commentary.append"]
    created = [event["delegation"]["id"] for event in twin.sent if event["type"] == "session.delegation.created"]
    assert [(each["delegation_id"], each["content"]) for each in told] == [
        (created[0], "answer 1"),
        (created[1], "answer 2"),
    ]
    assert texts == ["Run the tests", "and the benchmarks."]
