"""Remote MCP tools, which the service calls: how a call is approved, how far each is, and how the model goes on.

approval  the request, the decision, and sending it
calls     which calls have not ended, and how far each is
approvals who decides about the calls of one session
loop      following the calls: an ask follows those of its own answer, approve_mcp all others
"""
