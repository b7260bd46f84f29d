"""Remote MCP tools as the service has them; every event is checked against the spec's schemas (see ``Peer``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from realtime_sync.server import MCPCall, RealtimeServer, Reply, Turn
from realtime_sync.testing import ManualClock
from tests.server import wire_schemas
from tests.server.conftest import Peer

Json = dict[str, Any]
DOCS = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.test/mcp"}
SEARCH = MCPCall("docs", "search", {"q": "trees"}, output="one tree")


def calling(*calls: MCPCall) -> Callable[[Turn], Reply]:
    """A model that makes these calls once, then says what came of each."""

    def answer(turn: Turn) -> Reply:
        made = [item for item in turn.items if item["type"] == "mcp_call"]
        if not made:
            return Reply(mcp_calls=calls)
        return Reply(" | ".join(str(item["output"] or (item["error"] or {}).get("message")) for item in made))

    return answer


@pytest.fixture
def connect(open_peer: Callable[..., Peer]) -> Any:
    """A peer of a server that makes these calls, with this tool, greeted and in text."""
    servers: list[RealtimeServer] = []

    def connected(*calls: MCPCall, tool: Json = DOCS, **options: Any) -> Peer:
        server = RealtimeServer(responder=calling(*calls), **options)
        servers.append(server)
        peer = open_peer(server)
        peer.recv()
        peer.say("session.update", session={"type": "realtime", "output_modalities": ["text"], "tools": [tool]})
        peer.until(lambda event: event["type"] in ("mcp_list_tools.completed", "mcp_list_tools.failed"))
        return peer

    yield connected
    for server in servers:
        server.close()


def answer(peer: Peer, request_id: str, approve: bool, **fields: Any) -> None:
    item = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve, **fields}
    peer.say("conversation.item.create", item=item)


def asked(peer: Peer) -> Json:
    """Ask, and wait for the request to approve a call."""
    peer.user_says("Go")
    peer.say("response.create")
    request: Json = peer.until(
        lambda event: event["type"] == "conversation.item.done" and event["item"]["type"] == "mcp_approval_request"
    )["item"]
    return request


def items(peer: Peer, kind: str) -> list[Json]:
    done = [event["item"] for event in peer.seen if event["type"] == "conversation.item.done"]
    return [item for item in done if item["type"] == kind]


def is_done(kind: str) -> Callable[[Json], bool]:
    return lambda event: event["type"] == "conversation.item.done" and event["item"]["type"] == kind


def test_the_tools_of_a_server_are_listed_once_told(connect: Any) -> None:
    described = {"name": "search", "description": "Finds.", "input_schema": {"type": "object"}}
    peer = connect(mcp_servers={"docs": [described, "fetch"]})
    (listed,) = items(peer, "mcp_list_tools")
    assert [tool["name"] for tool in listed["tools"]] == ["search", "fetch"]
    assert listed["tools"][0] == described
    kinds = peer.types()
    assert kinds.index("session.updated") < kinds.index("mcp_list_tools.in_progress")
    assert peer.seen[-1]["item_id"] == listed["id"]
    peer.update(tools=[DOCS])
    peer.user_says("the same again")
    peer.until("conversation.item.done")
    assert len(items(peer, "mcp_list_tools")) == 1


def test_only_allowed_tools_are_listed(connect: Any) -> None:
    peer = connect(tool={**DOCS, "allowed_tools": {"tool_names": ["b"]}}, mcp_servers={"docs": ["a", "b"]})
    assert [tool["name"] for tool in items(peer, "mcp_list_tools")[0]["tools"]] == ["b"]


def test_an_unknown_server_cannot_be_listed(connect: Any) -> None:
    peer = connect(mcp_servers={"others": ["a"]})
    assert peer.seen[-1]["type"] == "mcp_list_tools.failed"


def test_a_tool_of_one_response_is_listed_before_it(open_peer: Any) -> None:
    with RealtimeServer(responder=calling(SEARCH)) as server:
        peer = open_peer(server)
        peer.user_says("Go")
        peer.say("response.create", response={"tools": [{**DOCS, "require_approval": "never"}]})
        peer.until("response.mcp_call.completed")
        kinds = peer.types()
        assert kinds.index("mcp_list_tools.completed") < kinds.index("response.created")


def test_a_call_that_needs_no_approval_is_made_behind_its_response(connect: Any) -> None:
    peer = connect(SEARCH, tool={**DOCS, "require_approval": "never"})
    before = len(peer.types(merged=False))
    peer.user_says("Go")
    peer.say("response.create")
    call = peer.until(is_done("mcp_call"))["item"]
    assert (call["name"], call["arguments"], call["output"], call["error"]) == (
        "search", '{"q": "trees"}', "one tree", None,
    )  # fmt: skip
    kinds = [kind for kind in peer.types()[before:] if "rate_limits" not in kind]
    assert kinds[-10:] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.output_item.done",
        "response.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "conversation.item.done",
    ]
    output = next(event for event in peer.seen if event["type"] == "response.done")["response"]["output"]
    assert [(item["id"], item["output"]) for item in output] == [(call["id"], None)]
    peer.say("response.create")
    assert peer.until("response.output_text.done")["text"] == "one tree"


def test_each_call_takes_its_own_time_by_the_clock(connect: Any) -> None:
    clock = ManualClock()
    quick, slow = (MCPCall("docs", "search", output=f"after {delay} s", delay=delay) for delay in (10, 100))
    peer = connect(quick, slow, tool={**DOCS, "require_approval": "never"}, clock=clock, ping_interval=None)
    peer.user_says("Go")
    peer.say("response.create")
    assert clock.wait_for_timers(3)  # the session's end, and both calls
    clock.advance(10)
    assert peer.until(is_done("mcp_call"))["item"]["output"] == "after 10 s"
    clock.advance(89)
    peer.update()
    assert len(items(peer, "mcp_call")) == 1
    clock.advance(1)
    assert peer.until(is_done("mcp_call"))["item"]["output"] == "after 100 s"


def test_a_call_waits_for_its_approval(connect: Any) -> None:
    peer = connect(SEARCH)
    request = asked(peer)
    assert (request["server_label"], request["name"], request["arguments"]) == ("docs", "search", '{"q": "trees"}')
    peer.until("response.done")
    assert "response.mcp_call.in_progress" not in peer.types()
    answer(peer, request["id"], True, reason="it only reads")
    call = peer.until(is_done("mcp_call"))["item"]
    assert call["approval_request_id"] == request["id"]
    assert call["output"] == "one tree"
    assert peer.types().count("response.mcp_call.completed") == 1


def test_a_call_that_is_refused_is_never_made(connect: Any) -> None:
    peer = connect(SEARCH)
    answer(peer, asked(peer)["id"], False, reason="too dear")
    call = peer.until(is_done("mcp_call"))["item"]
    assert call["output"] is None
    assert "too dear" in call["error"]["message"]
    assert not [kind for kind in peer.types() if kind.startswith("response.mcp_call.")]


@pytest.mark.parametrize("error", ["no such page", {"type": "http_error", "code": 404, "message": "no such page"}])
def test_a_call_may_fail(connect: Any, error: Any) -> None:
    peer = connect(MCPCall("docs", "fetch", error=error), tool={**DOCS, "require_approval": "never"})
    peer.user_says("Go")
    peer.say("response.create")
    peer.until("response.mcp_call.failed")
    call = peer.until(is_done("mcp_call"))["item"]
    assert call["error"]["message"] == "no such page"


def test_a_request_is_answered_once_and_by_its_own_id(connect: Any) -> None:
    peer = connect(SEARCH)
    request = asked(peer)
    answer(peer, "nobody", True)
    assert "does not exist" in peer.error()["message"]
    answer(peer, request["id"], True)
    answer(peer, request["id"], False)
    assert "answered already" in peer.error()["message"]


def test_of_several_calls_each_is_approved_by_itself(connect: Any) -> None:
    peer = connect(SEARCH, MCPCall("docs", "fetch", output="a page"))
    peer.user_says("Go")
    peer.say("response.create")
    peer.until("response.done")
    search, fetch = items(peer, "mcp_approval_request")
    answer(peer, fetch["id"], True)
    assert peer.until(is_done("mcp_call"))["item"]["output"] == "a page"
    answer(peer, search["id"], True)
    assert peer.until(is_done("mcp_call"))["item"]["output"] == "one tree"


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        (None, True),
        ("always", True),
        ("never", False),
        ({"never": {"tool_names": ["search"]}}, False),
        ({"never": {"tool_names": ["fetch"]}}, True),
        ({"always": {"tool_names": ["search"]}}, True),
        ({"always": {"tool_names": ["fetch"]}}, False),
    ],
)
def test_the_policy_says_what_needs_approval(connect: Any, policy: Any, asks: bool) -> None:
    peer = connect(SEARCH, tool={**DOCS, "require_approval": policy})
    peer.user_says("Go")
    peer.say("response.create")
    peer.until("response.done")
    assert bool(items(peer, "mcp_approval_request")) == asks


def test_a_call_that_was_cut_short_is_never_made(open_peer: Any) -> None:
    slow = Reply(mcp_calls=[SEARCH], delta_delay=60)
    with RealtimeServer(responder=lambda turn: slow) as server:
        peer = open_peer(server)
        peer.update(tools=[{**DOCS, "require_approval": "never"}])
        peer.say("response.create")
        peer.until("response.output_item.added")
        peer.say("response.cancel")
        assert peer.until("response.done")["response"]["status"] == "cancelled"
        peer.user_says("Are you there?")
        peer.until(is_done("message"))
        assert [item["output"] for item in items(peer, "mcp_call")] == [None]
        assert not [kind for kind in peer.types() if kind.startswith("response.mcp_call.")]


@pytest.mark.parametrize(
    "tool",
    [{"type": "mcp", "server_label": "docs"}, {**DOCS, "require_approval": "maybe"}, {**DOCS, "colour": "red"}],
)
def test_a_tool_that_cannot_be_is_refused(peer: Peer, tool: Json) -> None:
    peer.say("session.update", session={"type": "realtime", "tools": [tool]})
    assert peer.error()["param"].startswith("session.tools[0]")


def test_a_call_of_a_server_that_the_session_does_not_have_is_the_responders_mistake(open_peer: Any) -> None:
    with RealtimeServer(responder=calling(SEARCH)) as server:
        peer = open_peer(server)
        peer.say("response.create")
        assert peer.until("response.done")["response"]["status"] == "failed"


def test_clearing_the_output_buffer_is_refused_on_a_websocket_as_the_live_service_does(peer: Peer) -> None:
    peer.say("output_audio_buffer.clear", event_id="mine")
    error = peer.error()
    assert error["event_id"] == "mine"
    assert "output_audio_buffer.clear" in error["message"]


@pytest.mark.parametrize("event", ["response.mcp_call.completed", "mcp_list_tools.failed", "response.done"])
def test_the_schemas_of_what_is_checked_here_are_at_hand(event: str) -> None:
    assert event in wire_schemas.server_event_schemas("ga")
