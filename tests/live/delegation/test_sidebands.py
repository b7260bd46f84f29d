"""Working for a session of a telephone's, from a sideband: what was told before it came is told again."""

from __future__ import annotations

from typing import Optional

import pytest

from realtime_sync import DelegationRequest, ResponsesBackend, function_tool
from realtime_sync.server import FunctionCall, LiveRules, Turn
from tests.live.harness import LiveHouse, until

pytestmark = pytest.mark.medium


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city}: 14 degrees."


def accepted(house: LiveHouse, rules: LiveRules, delegate: Optional[ResponsesBackend] = None) -> str:
    """The id of a telephone's session."""
    house.serve(live=rules)
    session_id = house.server.place_live_call()
    house.client().live_calls.accept(session_id, delegate=delegate)
    return session_id


def test_a_delegation_from_before_the_sideband_is_worked_on_once(plain: LiveHouse) -> None:
    requests: list[DelegationRequest] = []

    def look_up(request: DelegationRequest) -> str:
        requests.append(request)
        return "It is sunny."

    session_id = accepted(plain, LiveRules())
    plain.twin.hear("How is the weather?")
    delegation = plain.twin.delegate()
    plain.twin.wait_for_sent("session.delegation.created", timeout=10)
    with plain.client().attach_live(session_id, delegate=look_up) as session:
        until(lambda: requests, 10)
        plain.twin.emit(next(e for e in plain.twin.sent if e["type"] == "session.delegation.created"))
        session.wait_for(lambda update: "sunny" in getattr(update, "delta", ""), 10)
    assert [(request.id, request.text) for request in requests] == [(delegation, "How is the weather?")]


def test_functions_of_a_backend_are_run_from_a_sideband(plain: LiveHouse) -> None:
    def backend(turn: Turn) -> list[object]:
        outputs = [item["output"] for item in turn.items if item["type"] == "function_call_output"]
        return outputs or [FunctionCall("weather", {"city": "Rome"})]

    delegate = ResponsesBackend("m", tools=[weather])
    session_id = accepted(plain, LiveRules(backend=backend), delegate)  # type: ignore[arg-type]
    with plain.client().attach_live(session_id, delegate=delegate) as session:
        plain.twin.hear("How is the weather?")
        plain.twin.delegate()
        session.wait_for(lambda update: "14" in getattr(update, "delta", ""), 15)
