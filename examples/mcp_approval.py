"""Let the model call tools of a remote MCP server, and say of each call whether it may be made.

    .venv/bin/pip install -e ".[server]"
    .venv/bin/python examples/mcp_approval.py ["What does the documentation say about voices?"] [--yes]

--server-url names another MCP server; the embedded server imitates each that it is told of.
"""

from __future__ import annotations

import argparse

from demo_client import demo_client

from realtime_sync import ConversationSessionOptions, ConversationTool
from realtime_sync.mcp.approval import MCPApproval, MCPDecision

READING = {"search_openai_docs", "fetch_openai_doc", "search"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", nargs="?", default="Please search: what is the tallest tree?")
    parser.add_argument("--server-url", default="https://developers.openai.com/mcp")
    parser.add_argument("--yes", action="store_true", help="approve all calls, not only those that read")
    told = parser.parse_args()

    def decide(request: MCPApproval) -> MCPDecision:
        allowed = told.yes or request.name in READING
        print(f"  ({request.server_label}.{request.name}{request.arguments}: {'approved' if allowed else 'rejected'})")
        return MCPDecision(allowed, None if allowed else "this user allows reading only")

    tool = ConversationTool.create_mcp_tool("docs", told.server_url, require_approval="always")
    options = ConversationSessionOptions(content_modalities=["text"], tools=[tool])
    with demo_client() as client, client.start_conversation_session(options) as session:
        # The service reads the server's tools first; before that the model does not know them.
        session.wait_for("mcp_list_tools.completed", timeout=30)
        print(told.question)
        # For a voice session: "with session.approve_mcp(decide): ..." decides for as long as the block runs.
        print(session.ask(told.question, approve=decide))


if __name__ == "__main__":
    main()
