"""GPT-Live sessions, their sidebands and the functions that work for them, as hooks and traces have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import trustme

pytest.importorskip("opentelemetry.sdk", reason="needs the extra dev (opentelemetry-sdk)")
from opentelemetry.trace import StatusCode

from realtime_sync import ConnectionFailedError, LiveSessionOptions, Reconnect, SessionReconnectedUpdate
from realtime_sync.hooks import CallEnded, ConnectEnded, SessionBegins, SessionEnded, set_hooks
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.otel import OpenTelemetryHook
from realtime_sync.server import Faults, FunctionCall, Refusal, faults
from tests.hooks.test_hooks import Kept
from tests.hooks.test_otel import Traces, parent
from tests.live.conftest import _quick_goodbyes
from tests.live.delegation.conftest import Talk, talk
from tests.live.delegation.test_responses_backend import calling, weather, with_tools
from tests.live.harness import LiveHouse
from tests.server.rest_peer import OFFER

__all__ = ["_quick_goodbyes", "talk"]
QUICKLY = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=10, renew_before=None)


@pytest.fixture
def live(ca: trustme.CA) -> Iterator[LiveHouse]:
    with ExitStack() as stack:
        yield LiveHouse("ws", ca, stack)


def test_a_delegation_is_a_call_below_the_session(talk: Callable[..., Talk]) -> None:
    traces, kept = Traces(), Kept()
    set_hooks([OpenTelemetryHook(traces.provider), kept])

    def look_up(request: DelegationRequest) -> str:
        with traces.tracer.start_as_current_span("look it up"):
            return "It leaves at nine."

    call = talk(delegate=look_up)
    call.asks("When does the train leave?")
    call.wait_for_appends(1)
    call.close()
    whole, connect, tool, inner = traces.spans
    names = [span.name for span in (whole, connect, tool, inner)]
    assert names == ["live_session gpt-live-1.1", "connect", "execute_tool look_up", "look it up"]
    assert [parent(connect), parent(tool), parent(inner)] == [
        *(whole.context.span_id, whole.context.span_id, tool.context.span_id),
    ]
    assert tool.attributes["realtime_sync.tool.kind"] == "delegate"
    assert "gen_ai.tool.call.result" not in tool.attributes
    ended, session = kept.only(SessionEnded), call.session
    assert (ended.session.id, ended.session.model) == (session.id, "gpt-live-1.1")
    assert ended.seconds == session.usage.seconds > 0
    assert ended.cost == session.usage.cost() == whole.attributes["realtime_sync.session.cost.usd"]
    assert ended.error is None
    assert kept.only(CallEnded).began is not None


def test_a_function_that_a_backend_calls_is_a_call_too(talk: Callable[..., Talk]) -> None:
    kept = Kept()
    set_hooks([kept])
    backend = calling(FunctionCall("weather", {"city": "Amsterdam"}, call_id="c"))
    call = with_tools(talk, backend, weather)
    call.asks("How is the weather in Amsterdam?")
    call.until(lambda: "Amsterdam: 14 degrees." in call.spoken())
    call.until(lambda: kept.of(CallEnded))  # the observer may come after the words
    ended = kept.only(CallEnded)
    assert (ended.kind, ended.name, ended.call_id, ended.error) == ("tool", "weather", "c", None)


def test_a_sideband_is_a_session_beside_another_one(live: LiveHouse) -> None:
    kept = Kept()
    live.serve()
    call = live.client().live_calls.create(OFFER, LiveSessionOptions(instructions="Be brief."))
    set_hooks([kept])
    live.client().attach_live(call.id).close()
    begun, ended = kept.only(SessionBegins), kept.only(SessionEnded)
    assert (begun.session.beside, begun.session.protocol, begun.session.asked_model) == (True, "live", None)
    assert (ended.error, ended.session.id) == (None, call.id)


def test_a_sideband_of_the_realtime_protocol_is_one_too(live: LiveHouse) -> None:
    kept = Kept()
    live.serve(responder=lambda turn: "Paris.")
    call = live.client().calls.create(OFFER)
    set_hooks([kept])
    with live.client().attach(call.id) as session:
        session.ask("Where?")
    assert kept.only(SessionBegins).session.beside
    assert kept.kinds[-2:] == ["ResponseEnded", "SessionEnded"]


def test_a_live_session_that_goes_on_over_another_connection_tells_of_both(live: LiveHouse) -> None:
    kept = Kept()
    set_hooks([kept])
    live.serve()
    session = live.start(reconnect=QUICKLY)
    stream = session.subscribe()
    live.twin.inject(faults.drop())
    update = stream.wait_for(SessionReconnectedUpdate, 10)
    session.close()
    kinds = ["SessionBegins", "ConnectEnded", "ConnectionLost", "ConnectEnded", "SessionEnded"]
    assert kept.kinds == kinds
    again: Any = kept.of(ConnectEnded)[1]
    assert (again.number, again.losses, again.reason) == (2, update.losses, update.reason)
    assert kept.only(SessionEnded).session.id == session.id == live.twin.id


@pytest.mark.parametrize(
    "server", [{"faults": Faults(refuse=Refusal(401))}, {"models": ["gpt-live-1.1"]}], ids=["handshake", "in words"]
)
def test_a_live_session_that_was_refused_is_an_error(live: LiveHouse, server: dict[str, Any]) -> None:
    traces = Traces()
    set_hooks([OpenTelemetryHook(traces.provider)])
    live.serve(**server)
    with pytest.raises(ConnectionFailedError) as caught:
        live.start(LiveSessionOptions(model="gpt-live-none"))
    whole = traces.only("live_session gpt-live-none")
    assert whole.status.status_code is StatusCode.ERROR
    assert whole.attributes["error.type"] == type(caught.value).__name__
