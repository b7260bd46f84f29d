"""What a backend's remote tools are called with is shown nowhere."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from realtime_sync import (
    LiveResponseItemCreateCommand,
    LiveResponsesDelegation,
    LiveResponsesSettings,
    LiveSessionOptions,
    LiveSessionStartCommand,
    RealtimeSyncError,
)
from realtime_sync.protocol.live.codec import live_decode, live_decode_command, live_encode
from realtime_sync.recording.redaction import without_secrets
from tests import canaries

SECRET = "canary-0123456789-abcdefgh"
TOOL = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": f"https://user:{SECRET}@example.com/mcp?key={SECRET}",
    "authorization": SECRET,
    "headers": {"X-Key": SECRET},
}


def start() -> LiveSessionStartCommand:
    delegation = LiveResponsesDelegation(responses=LiveResponsesSettings(model="m", tools=[TOOL]))
    return LiveSessionStartCommand(session=LiveSessionOptions().wire_session(delegation))


def test_the_command_is_sent_with_the_secrets_and_shows_none() -> None:
    text = live_encode(start())
    assert text.count(SECRET) == 4
    assert json.loads(text)["session"]["delegation"]["responses"]["tools"] == [TOOL]
    shown = [*canaries.of_object(start()), *canaries.of_object(live_decode_command(text)), without_secrets(text)]
    assert canaries.leaks([SECRET], shown) == []


def test_neither_does_what_the_server_tells_back() -> None:
    session = json.loads(live_encode(start()))["session"]
    event = {"type": "response.created", "response": {"id": "r", "tools": [TOOL]}}
    unknown = {"delegation": {"type": "agents", "agents": {"tools": [TOOL]}}}
    for message in (
        {"type": "session.started", "session": session},
        {"type": "session.started", "session": unknown},
        {"type": "response.event", "event": event},
    ):
        text = json.dumps(message)
        assert canaries.leaks([SECRET], [repr(live_decode(text)), without_secrets(text)]) == []


def test_an_item_of_a_backend_keeps_them_as_such() -> None:
    command = LiveResponseItemCreateCommand(item={"type": "additional_tools", "tools": [TOOL]})
    assert live_encode(command).count(SECRET) == 4
    assert canaries.leaks([SECRET], canaries.of_object(command)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: LiveResponsesSettings(tools=[{**TOOL, "server_label": 5}]),
        lambda: LiveResponsesSettings(tools=[TOOL], reasonin=5),
        lambda: LiveSessionOptions(extra={"tools": [TOOL]}, store=5),
        lambda: LiveResponseItemCreateCommand(item=[TOOL]),  # type: ignore[arg-type]
    ],
)
def test_what_is_refused_tells_none(wrong: Callable[[], Any]) -> None:
    with pytest.raises(RealtimeSyncError) as raised:
        wrong()
    assert canaries.leaks([SECRET], canaries.of_error(raised.value)) == []
