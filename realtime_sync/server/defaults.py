"""The responder and the transcriber of a server that is given none: they say the same each time, with no model."""

from __future__ import annotations

import re

from realtime_sync.server.responder import Piece, Turn
from realtime_sync.server.tool_calls import calls_for, mcp_calls_for

# Items about remote tools alone; a remote call stands before the request to approve it.
ABOUT_REMOTE_TOOLS = ("mcp_list_tools", "mcp_approval_request", "mcp_approval_response")
GREETING = re.compile(r"\W*(hello|hi|hey|good (morning|day|afternoon|evening))\b", re.IGNORECASE)


def default_transcriber(pcm: bytes, rate: int) -> str:
    """Cannot understand speech: says the length, which is the same for the same audio."""
    return f"[{len(pcm) / 2 / rate:.1f} seconds of audio]"


def default_responder(turn: Turn) -> Piece:
    """Repeats text, says how long audio was, calls a function that the user's text names, says a call's result."""
    last = next((item for item in reversed(turn.items) if item["type"] not in ABOUT_REMOTE_TOOLS), None)
    if last is None:
        return "Hello! I am the embedded server of realtime_sync. I have no model: I repeat what I am told."
    if last["type"] == "function_call_output":
        return f"The function returned: {last['output']}"
    if last["type"] == "mcp_call":
        return f"{last['server_label']} says: {last['output'] or (last['error'] or {}).get('message')}"
    text = turn.text_of(last)
    calls = calls_for(turn, text) or mcp_calls_for(turn, last, text)
    if calls:
        return calls[0]
    heard_ms = turn.audio_ms.get(str(last["id"]), 0)
    if last.get("role") != "user" or not (text or heard_ms):
        return "I have nothing to answer."
    if heard_ms:
        return f"I heard {heard_ms / 1000:.1f} seconds of audio."
    return f"Hello! You said: {text}" if GREETING.match(text) else f"You said: {text}"
