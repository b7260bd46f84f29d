"""``ask`` with remote tools: one call, one finished answer, whoever approves."""

from __future__ import annotations

import threading
from typing import Any

import attrs
import pytest

from realtime_sync import (
    ConnectionClosedError,
    ConversationItem,
    ConversationResponseOptions,
    ConversationToolChoice,
    Reconnect,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.core.acknowledgements import METADATA_KEY
from realtime_sync.mcp.approval import MCPApproval
from realtime_sync.server import FunctionCall, MCPCall, Reply, Turn, faults
from tests.core.harness import House, Running, until
from tests.mcp.remote import DOCS, FETCH, FREE, SEARCH, calling, created, decisions, kept, options, outcomes


def owners(house: House) -> list[str]:
    """What the requests say of their calls."""
    asked = [message for message in house.live.received if message["type"] == "response.create"]
    return [message["response"]["metadata"][METADATA_KEY].partition(" ")[2] for message in asked]


def test_ask_approves_by_its_callback_and_returns_the_final_answer(house: House) -> None:
    house.serve(responder=calling((SEARCH,), (FETCH, SEARCH)))
    session = house.open(start={"options": options()})
    asked: list[MCPApproval] = []
    answer = session.ask("Go", approve=lambda request: kept(asked, request))
    assert answer.text == "one tree | a page | one tree"
    assert [request.name for request in asked] == ["search", "fetch", "search"]
    assert answer.approvals == []
    assert created(house.live) == 3
    assert session._engine.responses.idle


def test_ask_waits_for_calls_that_need_no_approval(plain: House) -> None:
    plain.serve(responder=calling((attrs.evolve(SEARCH, delay=0.1),)))
    session = plain.open(start={"options": options(FREE)})
    assert session.ask("Go").text == "one tree"


def test_ask_leaves_the_decision_to_the_sessions_callback_and_goes_on_by_itself(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,), (FETCH,)))
    session = plain.open(start={"options": options()})
    with session.approve_mcp(lambda request: request.name == "search"):
        answer = session.ask("Go")
        assert answer.text.startswith("one tree | The call was not approved")
    assert decisions(plain.live) == [(True, None), (False, None)]
    assert created(plain.live) == 3
    assert owners(plain) == ["remote_calls"] * 3


def test_the_callback_of_an_ask_is_preferred_to_the_sessions(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})

    def never(request: MCPApproval) -> bool:
        raise AssertionError("the ask decides for itself")

    with session.approve_mcp(never):
        assert session.ask("Go", approve=lambda request: True).text == "one tree"
    assert created(plain.live) == 2


def test_an_answer_that_nobody_can_approve_tells_what_is_asked_for(plain: House) -> None:
    plain.serve(responder=calling((SEARCH, FETCH)))
    session = plain.open(start={"options": options()})
    answer = session.ask("Go")
    assert [(item.name, item.arguments) for item in answer.approvals] == [
        ("search", '{"q": "trees"}'),
        ("fetch", '{"page": 7}'),
    ]
    assert answer.text == ""
    with session.subscribe() as updates:
        for request in answer.approvals:
            session.add_item(ConversationItem.create_mcp_approval_response(request.id, True)).wait()
        for _ in answer.approvals:
            updates.wait_for("response.mcp_call.completed", timeout=10)
    assert session.ask().text == "one tree | a page"


def test_such_an_answer_can_be_gone_on_with_in_a_block(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})
    assert session.ask("Go").approvals
    with session.approve_mcp(lambda request: True):
        assert session.wait_for("response.output_text.done", timeout=20).text == "one tree"


def test_what_the_callback_raises_is_raised_by_ask_and_rejects(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open(start={"options": options()})

    def broken(request: MCPApproval) -> bool:
        raise LookupError("no such user")

    with pytest.raises(LookupError, match="no such user"):
        session.ask("Go", approve=broken)
    until(lambda: decisions(plain.live))
    assert decisions(plain.live) == [(False, "the application could not decide")]


def test_calls_that_take_too_long_end_the_ask_in_time(plain: House) -> None:
    plain.serve(responder=calling((attrs.evolve(SEARCH, delay=60),)))
    session = plain.open(start={"options": options(FREE)})
    with pytest.raises(WaitTimeoutError):
        session.ask("Go", timeout=1.5)


def test_the_end_of_the_session_ends_an_ask_that_waits_for_a_call(plain: House) -> None:
    plain.serve(responder=calling((attrs.evolve(SEARCH, delay=60),)))
    session = plain.open(start={"options": options(FREE)})
    asking = Running(lambda: session.ask("Go"))
    until(lambda: [m for m in plain.live.sent if m["type"] == "response.mcp_call.in_progress"], 10)
    plain.live.close(1011, "gone")
    with pytest.raises(ConnectionClosedError):
        asking.result()


def test_a_model_that_calls_for_ever_is_stopped(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply(mcp_calls=[MCPCall("docs", "search")]))
    session = plain.open(start={"options": options(FREE)})
    with pytest.raises(UsageError, match="without answering"):
        session.ask("Go")


def test_functions_and_remote_tools_work_in_one_answer(plain: House) -> None:
    def answer(turn: Turn) -> Reply:
        returned = [item["output"] for item in turn.items if item["type"] == "function_call_output"]
        if not returned:
            return Reply(mcp_calls=[SEARCH], function_calls=[FunctionCall("double", {"number": 4})])
        return Reply(" | ".join(outcomes(turn) + returned))

    def double(number: int) -> int:
        return 2 * number

    plain.serve(responder=answer)
    session = plain.open(start={"options": options()})
    only = ConversationResponseOptions(tools=[DOCS, *_definitions(double)])
    assert session.ask("Go", only, tools=[double], approve=lambda request: True).text == "one tree | 8"
    assert created(plain.live) == 2


def _definitions(function: Any) -> Any:
    from realtime_sync import ToolRunner

    with ToolRunner([function]) as runner:
        return runner.definitions


def test_a_demand_to_call_a_tool_is_met_by_the_first_call(plain: House) -> None:
    seen: list[Any] = []

    def answer(turn: Turn) -> Reply:
        seen.append(turn.tool_choice)
        made = outcomes(turn)
        return Reply(made[0]) if made else Reply(mcp_calls=[SEARCH])

    plain.serve(responder=answer)
    session = plain.open(start={"options": options(FREE)})
    demand = ConversationResponseOptions(tool_choice=ConversationToolChoice.mcp("docs", "search"))
    assert session.ask("Go", demand).text == "one tree"
    assert seen == [{"type": "mcp", "server_label": "docs", "name": "search"}, "auto"]


def test_tools_of_one_response_are_followed(plain: House) -> None:
    plain.serve(responder=calling((SEARCH,)))
    session = plain.open()
    only = ConversationResponseOptions(content_modalities=["text"], tools=[FREE])
    assert session.ask("Go", only).text == "one tree"
    assert owners(plain) == ["tools remote_calls"] * 2


def test_an_ask_without_remote_tools_is_as_it_was(plain: House) -> None:
    session = plain.open()
    session.ask("Go", approve=lambda request: True)
    assert owners(plain) == [""]


def test_several_threads_ask_with_remote_tools(plain: House) -> None:
    def answer(turn: Turn) -> Reply:
        users = [item for item in turn.items if item.get("role") == "user"]
        last = users[-1]
        made = [i for i in turn.items[list(turn.items).index(last) :] if i["type"] == "mcp_call" and i["output"]]
        word = turn.text_of(last)
        return (
            Reply(f"{word}: {made[0]['output']}") if made else Reply(mcp_calls=[MCPCall("docs", "search", output=word)])
        )

    plain.serve(responder=answer)
    session = plain.open(start={"options": options()})
    turn = threading.Lock()  # each conversation of question and answer is one; the session sequences responses only

    def ask(word: str) -> str:
        with turn:
            return str(session.ask(word, approve=lambda request: True).text)

    asking = [Running(lambda word=word: ask(word)) for word in ("one", "two", "three")]  # type: ignore[misc]
    assert [each.result(30) for each in asking] == ["one: one", "two: two", "three: three"]


def test_a_session_that_survives_asks_again_for_what_went_down_with_the_connection(plain: House) -> None:
    quickly = Reconnect(base_delay=0.05, max_delay=0.1, give_up_after=10, renew_before=None)
    plain.serve(responder=calling((attrs.evolve(SEARCH, delay=1),)))
    session = plain.open(start={"options": options(), "reconnect": quickly})
    asked: list[str] = []
    updates = session.subscribe()

    def decide(request: MCPApproval) -> bool:
        asked.append(request.id)
        if len(asked) == 1:
            updates.wait_for("response.done", 10)  # or the answer would be lost in the middle, which is an error
            plain.live.inject(faults.drop())
        return True

    with session.approve_mcp(decide):
        assert session.ask("Go").text == "one tree"
    assert len(set(asked)) == 2
