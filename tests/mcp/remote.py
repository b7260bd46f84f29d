"""What the tests of remote tools have in common: the tool, and models that call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_sync import ConversationSessionOptions, ConversationTool
from realtime_sync.server import MCPCall, Reply, ServerSession, Turn

DOCS = ConversationTool.create_mcp_tool("docs", "https://docs.test/mcp", require_approval="always")
FREE = ConversationTool.create_mcp_tool("docs", "https://docs.test/mcp", require_approval="never")
SEARCH = MCPCall("docs", "search", {"q": "trees"}, output="one tree")
FETCH = MCPCall("docs", "fetch", {"page": 7}, output="a page")


def options(tool: Any = DOCS) -> ConversationSessionOptions:
    """A session's, in text, with this remote tool."""
    return ConversationSessionOptions(content_modalities=["text"], tools=[tool])


def outcomes(turn: Turn) -> list[str]:
    made = [item for item in turn.items if item["type"] == "mcp_call"]
    return [str(item["output"] or (item["error"] or {}).get("message")) for item in made]


def calling(*rounds: tuple[MCPCall, ...]) -> Callable[[Turn], Reply]:
    """A model that makes the calls of each round, one round a response, and then says what came of all."""

    def answer(turn: Turn) -> Reply:
        made = outcomes(turn)
        begun = 0
        for calls in rounds:
            if len(made) == begun:
                return Reply(mcp_calls=calls)
            begun += len(calls)
        return Reply(" | ".join(made))

    return answer


def created(live: ServerSession) -> int:
    """How many responses the server was asked for."""
    return sum(message["type"] == "response.create" for message in list(live.received))


def decisions(live: ServerSession) -> list[tuple[bool, Any]]:
    items = [message["item"] for message in list(live.received) if message["type"] == "conversation.item.create"]
    return [(item["approve"], item.get("reason")) for item in items if item["type"] == "mcp_approval_response"]


def kept(requests: list[Any], request: Any) -> bool:
    """Approve, and remember what was asked."""
    requests.append(request)
    return True
