"""Remote MCP tools, which the service calls: who approves a call, how far each is, and how the model goes on.

approval  the request, the decision, and sending it
calls     which calls are in hand, and how far each is
loop      who looks after them: an ask after its own, approve_mcp after all others
"""
