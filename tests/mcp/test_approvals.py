"""Approving and rejecting calls of remote tools: by a callback, and by hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConversationItem,
    InvalidInputError,
    ServerError,
    UsageError,
)
from realtime_sync.mcp.approval import MCPApproval, MCPDecision
from realtime_sync.protocol.items import MCPApprovalRequestItem
from realtime_sync.server import MCPCall, Reply, Script, expect
from realtime_sync.tools.rounds import MOST_ROUNDS
from tests.core.harness import House, until
from tests.mcp.remote import DOCS, FETCH, FREE, SEARCH, calling, created, decisions, kept, options


def said(session: Any, times: int = 1) -> str:
    """The text of the model's next message."""
    text = ""
    for _ in range(times):
        text = session.wait_for("response.output_text.done", timeout=20).text
    return text


def go(session: Any) -> None:
    session.add_item("Go")
    session.start_response()


def deciding(session: Any, callback: Any, act: Callable[[], object]) -> None:
    """Have the callback decide while ``act`` runs."""
    with session.approve_mcp(callback):
        act()


# By a callback ----------------------------------------------------------------------------------------------------


def test_an_approved_call_is_made_and_the_model_goes_on_with_its_result(house: House) -> None:
    house.serve(responder=calling((SEARCH,)))
    session = house.open(start={"options": options()})
    seen: list[MCPApproval] = []
    with session.approve_mcp(lambda request: kept(seen, request)):
        go(session)
        assert said(session) == "one tree"
    (request,) = seen
    assert (request.server_label, request.name, request.arguments) == ("docs", "search", {"q": "trees"})
    assert request.arguments_text == '{"q": "trees"}'
    assert created(house.live) == 2
    assert decisions(house.live) == [(True, None)]


def test_a_rejected_call_is_not_made_and_the_model_is_told_why(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: MCPDecision(False, "too dear")):
        go(session)
        assert "too dear" in said(session)
    assert decisions(plain.live) == [(False, "too dear")]
    assert not [message for message in plain.live.sent if message["type"].startswith("response.mcp_call.")]


def test_the_model_goes_on_once_after_the_last_of_several_calls(plain: House) -> None:
    slow = attrs.evolve(SEARCH, delay=0.2)
    plain.serve(responder=calling((slow, FETCH)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: request.name == "search"):
        go(session)
        assert said(session).split(" | ")[0] == "one tree"
    assert created(plain.live) == 2
    assert sorted(decisions(plain.live)) == [(False, None), (True, None)]


def test_each_round_of_calls_is_approved_anew(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,), (FETCH,)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: True):
        go(session)
        assert said(session) == "one tree | a page"
    assert created(plain.live) == 3


def test_the_model_goes_on_after_calls_that_need_no_approval_too(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options(FREE)})
    with session.approve_mcp(lambda request: False):
        go(session)
        assert said(session) == "one tree"
    assert decisions(plain.live) == []


def test_a_call_that_fails_ends_the_wait_for_it(plain: House) -> None:
    plain.serve(responder=calling((MCPCall("docs", "search", error="no such page"),)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: True):
        go(session)
        assert said(session) == "no such page"


def test_what_the_callback_raises_rejects_and_is_raised_when_the_block_is_left(
    plain: House, caplog: pytest.LogCaptureFixture
) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})

    def broken(request: MCPApproval) -> bool:
        raise LookupError("no such user")

    told: list[str] = []
    go(session)
    warned = pytest.warns(RuntimeWarning, match="the approval callback raised LookupError: no such user; the call was")
    with warned, pytest.raises(LookupError, match="no such user"):
        deciding(session, broken, lambda: told.append(said(session)))
    assert "could not decide" in told[0]
    assert [record.levelno for record in caplog.records if "callback failed" in record.message] == [logging.ERROR]


@pytest.mark.parametrize("told", [None, 1, "yes"])
def test_a_callback_that_says_neither_yes_nor_no_rejects(plain: House, told: Any) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    go(session)
    with pytest.raises(InvalidInputError, match="True, False or an MCPDecision"):
        deciding(session, lambda _: told, lambda: said(session))
    assert [approve for approve, _ in decisions(plain.live)] == [False]


def test_a_request_that_was_answered_by_an_item_is_not_answered_again(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})

    def decide(request: MCPApproval) -> bool:
        answer = ConversationItem.create_mcp_approval_response(request.id, False, reason="by hand")
        session.add_item(answer).wait()
        return True

    with session.approve_mcp(decide):
        go(session)
        assert "by hand" in said(session)
    assert decisions(plain.live) == [(False, "by hand")]


def test_the_session_goes_on_while_a_callback_thinks(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    answered = threading.Event()
    with session.approve_mcp(lambda request: answered.wait(20)):
        go(session)
        session.wait_for("response.done", timeout=10)
        session.add_item("meanwhile").wait()
        answered.set()
        assert said(session) == "one tree"


def test_requests_that_were_open_before_are_decided_too(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    go(session)
    session.wait_for("response.done", timeout=10)
    with session.approve_mcp(lambda request: True):
        assert said(session) == "one tree"
    assert created(plain.live) == 2


def test_there_is_one_place_to_decide_at_a_time(plain: House) -> None:
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: True), pytest.raises(UsageError, match="another approve_mcp"):
        deciding(session, lambda request: True, lambda: None)
    deciding(session, lambda request: True, lambda: None)


def test_the_block_ends_with_the_session(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: True):
        session.close()
    with pytest.raises(UsageError), session.approve_mcp(lambda request: True):
        pass


def test_what_cannot_decide_is_refused_at_once(plain: House) -> None:
    session = plain.open(start={"options": options()})
    wrong: Any = True
    with pytest.raises(InvalidInputError, match="approve_mcp takes a function"):
        session.approve_mcp(wrong)
    with pytest.raises(InvalidInputError, match="timeout"):
        session.approve_mcp(lambda request: True, timeout=-1)


def test_a_refused_go_on_is_raised_when_the_block_is_left(plain: House) -> None:
    """The service refuses the response that the model is to go on with."""
    request = {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "d", "name": "n", "arguments": "{}"}
    call = {**request, "id": "call_1", "type": "mcp_call", "approval_request_id": "mcpr_1"}
    held: list[Any] = []

    def refusal(live: Any) -> dict[str, Any]:
        event_id = next(m["event_id"] for m in live.received if m["type"] == "response.create")
        return {"type": "error", "error": {"type": "x", "code": "no", "message": "not now", "event_id": event_id}}

    plain.serve(
        responder=Script(
            [
                {"type": "conversation.item.done", "previous_item_id": None, "item": request},
                expect("conversation.item.create"),
                {"type": "conversation.item.done", "previous_item_id": None, "item": {**call, "output": "done"}},
                expect("response.create"),
                refusal,
                {"type": "rate_limits.updated", "rate_limits": []},
            ]
        )
    )
    session = plain.open()

    def until_refused() -> None:
        session.wait_for("rate_limits.updated", timeout=10)
        until(lambda: session._mcp.approver.error, 10)

    with pytest.raises(ServerError, match="not now"):
        deciding(session, lambda told: kept(held, told), until_refused)
    assert len(held) == 1


def test_a_model_that_calls_remote_tools_for_ever_is_stopped(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(mcp_calls=[MCPCall("docs", "search")]))
    session = plain.open(start={"options": options(FREE)})

    def until_stopped() -> None:
        go(session)
        until(lambda: session._mcp.approver.error, 30)

    with pytest.raises(UsageError, match="without answering"):
        deciding(session, lambda request: True, until_stopped)
    assert created(plain.live) == MOST_ROUNDS + 1


def test_a_decision_after_the_end_is_dropped(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    asked = threading.Event()

    def decide(request: MCPApproval) -> bool:
        plain.live.close(1011, "gone")
        until(lambda: session.closed)
        asked.set()
        return True

    with session.approve_mcp(decide):
        go(session)
        assert asked.wait(20)
    assert decisions(plain.live) == []


def test_what_a_second_callback_raises_does_not_keep_it_from_deciding(plain: House) -> None:
    plain.serve(responder=calling((SEARCH, FETCH)))
    session = plain.open(start={"options": options()})

    def broken(request: MCPApproval) -> bool:
        raise LookupError(request.name)

    go(session)
    with pytest.raises(LookupError, match="search"):
        deciding(session, broken, lambda: said(session))
    assert [approve for approve, _ in decisions(plain.live)] == [False, False]


# By hand ----------------------------------------------------------------------------------------------------------


def test_requests_can_be_decided_by_hand_as_they_come(house: House) -> None:
    house.serve(responder=calling((SEARCH, FETCH)))
    session = house.open(start={"options": options()})
    requests: list[MCPApprovalRequestItem] = []
    with session.subscribe() as updates:
        go(session)
        while len(requests) < 2:
            told: Any = updates.wait_for("conversation.item.done", timeout=20)
            if isinstance(told.item, MCPApprovalRequestItem):
                requests.append(told.item)
        for request in requests:
            session.add_item(ConversationItem.create_mcp_approval_response(request.id, request.name == "search"))
        updates.wait_for("response.mcp_call.completed", timeout=20)
        session.start_response()
        assert said(session).startswith("one tree | ")
    assert decisions(house.live) == [(True, None), (False, None)]


def test_a_reason_is_a_text() -> None:
    wrong: Any = 7
    with pytest.raises(InvalidInputError, match="reason"):
        MCPDecision(False, wrong)


@pytest.mark.parametrize(("text", "parsed"), [("", {}), ('{"a": 1}', {"a": 1}), ("[1]", None), ("{", None), (None, {})])
def test_arguments_are_parsed_if_they_are_an_object(text: Any, parsed: Any) -> None:
    request = MCPApproval.of(MCPApprovalRequestItem(id="r", arguments=text))
    assert request.arguments == parsed
    assert request.arguments_text == (text or "")


def test_a_request_shows_what_is_asked() -> None:
    item = MCPApprovalRequestItem(id="r", server_label="docs", name="search", arguments="x" * 500)
    shown = repr(MCPApproval.of(item))
    assert shown.startswith("MCPApproval(id='r', server_label='docs', name='search', arguments_text='xxx")
    assert len(shown) < 180


def test_the_tool_of_these_tests_needs_approval_unless_it_says_otherwise() -> None:
    assert (DOCS.require_approval, FREE.require_approval) == ("always", "never")
