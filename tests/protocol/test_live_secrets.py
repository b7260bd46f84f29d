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
from realtime_sync.recording.redaction import secrets_in, without_secrets
from realtime_sync.recording.wire_log import shown as shown_in_log
from tests import canaries

SECRET = "canary-0123456789-abcdefgh"
TOOL = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": f"https://user:{SECRET}@example.com/mcp?key={SECRET}",
    "authorization": SECRET,
    "headers": {"X-Key": SECRET},
}

POLICY = {
    "type": "allowlist",
    "allowed_domains": ["api.example.com"],
    "domain_secrets": [{"domain": "api.example.com", "name": "API_TOKEN", "value": SECRET}],
}
ENVIRONMENT = {"type": "container_auto", "network_policy": POLICY}


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
    "tool",
    [
        {"type": "shell", "environment": ENVIRONMENT},
        {"type": "code_interpreter", "container": ENVIRONMENT},
        {"type": "of_tomorrow", "box": ENVIRONMENT},
    ],
)
def test_what_a_container_tells_other_servers_is_shown_nowhere(tool: dict[str, Any]) -> None:
    delegation = LiveResponsesDelegation(responses=LiveResponsesSettings(model="m", tools=[tool]))
    command = LiveSessionStartCommand(session=LiveSessionOptions().wire_session(delegation))
    text = live_encode(command)
    assert json.loads(text)["session"]["delegation"]["responses"]["tools"] == [tool]
    told = json.dumps({"type": "session.started", "session": json.loads(text)["session"]})
    of_objects = [*canaries.of_object(command), repr(live_decode_command(text)), repr(live_decode(told))]
    for shown in (*of_objects, without_secrets(text), without_secrets(told), shown_in_log(told)):
        assert canaries.leaks([SECRET], [shown]) == []
    known = secrets_in(text)
    assert known.anywhere(f"{SECRET} is wrong for api.example.com") == "*** is wrong for api.example.com"


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
