"""What is known of remote calls, from what the service tells, in whatever order it tells it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from realtime_sync import CloseInfo, ConnectionClosedError, ConversationUpdate
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.core.response_router import Owner, ResponseRouter, request_mark
from realtime_sync.core.streams import End
from realtime_sync.deadline import Deadline
from realtime_sync.mcp import calls as calls_room
from realtime_sync.mcp.calls import RemoteCall, RemoteCalls
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from tests.core.harness import Running, until

SLOW = 20.0


def event(kind: str, **fields: Any) -> ConversationUpdate:
    return ConversationUpdate.from_json(json.dumps({"type": kind, "event_id": "e", **fields}))


def response(kind: str, name: Any = "r1", output: Any = (), **fields: Any) -> ConversationUpdate:
    status = "in_progress" if kind == "created" else "completed"
    told = {"id": name, "object": "realtime.response", "status": status, "conversation_id": "c", "output": list(output)}
    return event(f"response.{kind}", response={**told, **fields})


def request(name: str = "q1", tool: str = "search", arguments: str = "{}") -> dict[str, Any]:
    told = {"server_label": "docs", "name": tool, "arguments": arguments}
    return {"id": name, "type": "mcp_approval_request", **told}


def call(name: str = "i1", tool: str = "search", arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"id": name, "type": "mcp_call", "server_label": "docs", "name": tool, "arguments": arguments, **fields}


def item(told: dict[str, Any]) -> ConversationUpdate:
    return event("conversation.item.done", previous_item_id=None, item=told)


def output(told: dict[str, Any], response_id: str = "r1") -> ConversationUpdate:
    return event("response.output_item.done", response_id=response_id, output_index=0, item=told)


def sign(state: str, name: str = "i1") -> ConversationUpdate:
    return event(f"response.mcp_call.{state}", output_index=0, item_id=name)


def answer(name: str = "q1", approve: bool = True) -> ConversationUpdate:
    told = {"id": "a1", "type": "mcp_approval_response", "approval_request_id": name, "approve": approve}
    return event("conversation.item.added", previous_item_id=None, item=told)


class Tracker(RemoteCalls):
    """Fed as the reader does: the registry of responses first."""

    def __init__(self) -> None:
        self.responses = ResponseRouter()
        super().__init__(lambda: self.responses)

    def deliver(self, update: ConversationUpdate) -> None:
        self.responses.route(update, None)
        super().deliver(update)


def tracker(*updates: ConversationUpdate) -> RemoteCalls:
    calls = Tracker()
    for update in updates:
        calls.deliver(update)
    return calls


def one_asked(calls: RemoteCalls) -> RemoteCall:
    step = calls.next_step(SLOW)
    assert isinstance(step, RemoteCall)
    return step


def over(calls: RemoteCalls) -> list[str | None]:
    step = calls.next_step(SLOW)
    assert isinstance(step, list)
    return [each.name for each in step]


LIVE = [response("created"), output(call()), response("done", output=[call()])]


def test_the_order_of_the_live_service() -> None:
    calls = tracker(*LIVE, item(request()))
    asked = one_asked(calls)
    assert (asked.server_label, asked.item_id, asked.request and asked.request.id) == ("docs", "i1", "q1")
    for update in (answer(), sign("in_progress"), sign("completed"), item(call(output="x", approval_request_id="q1"))):
        calls.deliver(update)
    assert over(calls) == ["search"]


@pytest.mark.parametrize("told", [item(request()), output(request()), response("done", output=[request()])])
def test_a_request_is_known_wherever_it_is_told(told: ConversationUpdate) -> None:
    assert one_asked(tracker(told)).request


def test_a_request_is_shown_once_however_often_it_is_told() -> None:
    calls = tracker(item(request()), output(request()))
    one_asked(calls)
    calls.deliver(response("done", output=[request()]))
    calls.deliver(answer(approve=False))
    assert over(calls) == ["search"]


def test_the_call_may_be_told_behind_the_request() -> None:
    calls = tracker(item(request()))
    one_asked(calls)
    calls.deliver(answer())
    for update in (item(call(approval_request_id="q1")), sign("in_progress"), sign("failed")):
        calls.deliver(update)
    assert over(calls) == ["search"]


def test_calls_of_one_tool_are_told_apart() -> None:
    first, second = call("i1", arguments='{"a":1}'), call("i2", arguments='{"a":2}')
    calls = tracker(
        output(first),
        output(second),
        item(request("q2", arguments='{"a":2}')),
        item(request("q1", arguments='{"a":1}')),
    )
    pairs = {step.item_id: step.request and step.request.id for step in (one_asked(calls), one_asked(calls))}
    assert pairs == {"i1": "q1", "i2": "q2"}


def test_the_model_goes_on_when_all_calls_are_over_and_the_response_is_done() -> None:
    calls = tracker(response("created"), output(call("i1")), output(call("i2", "fetch")), sign("completed", "i1"))
    waiting = Running(lambda: over(calls))
    calls.deliver(sign("completed", "i2"))
    assert waiting.alive
    calls.deliver(response("done", output=[call("i1"), call("i2", "fetch")]))
    assert sorted(map(str, waiting.result())) == ["fetch", "search"]


def test_a_service_that_goes_on_by_itself_is_not_asked_to() -> None:
    calls = tracker(*LIVE, sign("completed"), response("created", "r2"), response("done", "r2"))
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.deliver(item(call(output="late")))
    calls.stop()
    assert waiting.result() is None


def test_what_is_told_of_a_call_that_is_over_is_no_news() -> None:
    calls = tracker(*LIVE, sign("completed"))
    assert over(calls) == ["search"]
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.deliver(item(call(output="x")))
    calls.stop()
    assert waiting.result() is None


def test_calls_of_an_ask_are_left_to_it() -> None:
    mine: dict[str, Any] = {"metadata": {METADATA_KEY: request_mark("e", Owner.REMOTE_CALLS)}}
    calls = tracker(response("created", **mine), output(call()), item(request()))
    one_asked(calls)  # about which the session's callback decides all the same
    calls.deliver(answer(approve=False))
    calls.deliver(response("done", output=[call()], **mine))
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.stop()
    assert waiting.result() is None


def test_an_ask_that_decides_is_left_alone() -> None:
    mark = request_mark("e", Owner.REMOTE_CALLS | Owner.APPROVALS)
    calls = tracker(response("created", metadata={METADATA_KEY: mark}), item(request()))
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.stop()
    assert waiting.result() is None


def test_out_of_band_answers_are_left_to_who_asked() -> None:
    aside: dict[str, Any] = {"conversation_id": None}
    calls = tracker(response("created", **aside), output(call()), output(request()), response("done", **aside))
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.stop()
    assert waiting.result() is None


def test_a_call_without_any_sign_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_room, "SIGN_SECONDS", 0.05)
    assert over(tracker(*LIVE)) == ["search"]


def test_a_call_that_takes_too_long_is_not_waited_for() -> None:
    calls = tracker(*LIVE, sign("in_progress"))
    step = calls.next_step(0.05)
    assert isinstance(step, list)


def test_another_connection_has_nothing_in_hand() -> None:
    lost = SessionReconnectedUpdate(reason=ConnectionClosedError("lost"))
    calls = tracker(*LIVE, item(request()), lost)
    waiting = Running(lambda: calls.next_step(SLOW))
    calls.stop()
    assert waiting.result() is None


def test_the_end_releases_who_waits() -> None:
    calls = tracker(*LIVE, item(request()))
    one_asked(calls)
    waiting = [Running(lambda: calls.next_step(SLOW)), Running(lambda: calls.next_step(SLOW, "r1"))]
    calls.end(End(ConnectionClosedError("over", close_info=CloseInfo(1000)), clean=True))
    assert [each.result() for each in waiting] == [None, None]


def test_who_follows_a_response_is_told_when_its_calls_are_over() -> None:
    calls = tracker(response("created"), output(call()))
    waiting = Running(lambda: calls.next_step(SLOW, "r1", Deadline(SLOW)))
    calls.deliver(sign("completed"))
    calls.deliver(response("done", output=[call()]))
    assert [each.name for each in waiting.result()] == ["search"]
    assert calls.next_step(SLOW, "r9", Deadline(0)) == []
    calls.deliver(item(request("q7", "other")))
    calls.deliver(output(call("i7", "other"), "r1"))
    assert isinstance(calls.next_step(SLOW, "r1", Deadline(0)), RemoteCall)
    assert calls.next_step(SLOW, "r1", Deadline(0)) is None


def test_many_threads_may_ask_and_feed() -> None:
    calls, taken, lock = tracker(), [], threading.Lock()

    def serve() -> None:
        while isinstance(step := calls.next_step(SLOW), RemoteCall):
            assert step.request
            with lock:
                taken.append(step.request.id)

    serving = [Running(serve) for _ in range(3)]
    for number in range(50):
        calls.deliver(item(request(f"q{number}", f"tool {number}")))
    until(lambda: len(taken) == 50, 20)
    calls.stop()
    for each in serving:
        each.result()
    assert sorted(map(str, taken)) == sorted(f"q{number}" for number in range(50))


def test_what_is_remembered_of_calls_that_are_over_has_a_bound() -> None:
    calls = tracker()
    made = response("created", "next")
    for number in range(5000):
        calls.deliver(item(call(f"i{number}", output="x")))
        calls.deliver(made)
    assert "i4999" in calls._dropped
    assert "i0" not in calls._dropped
