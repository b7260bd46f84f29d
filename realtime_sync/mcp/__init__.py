"""Remote MCP tools: approving their calls, following them, going on after them."""
