"""What stands in the place of a conversation session's methods: GPT-Live has no words for what they do."""

from __future__ import annotations

from typing import Optional

_TURNS = "the model speaks when it will, and no answer has an end: send_audio(...), then the next of turns()"
_NO_STOP = "the model hears the user, and falls silent by itself"
_NO_BUFFER = "there are no buffers of audio: time goes on"
_FIXED = "what was said stays said; what is said at the start is LiveSessionOptions(history=...)"
_TOOLS = "the model delegates: start_live_session(delegate=ResponsesBackend(tools=...)), or a function"

_INSTEAD = {
    **dict.fromkeys(("ask", "respond", "cancel_response"), _TURNS),
    **dict.fromkeys(("interrupt", "interrupt_on_speech", "truncate_item"), _NO_STOP),
    **dict.fromkeys(("commit_pending_audio", "clear_input_audio", "clear_output_audio"), _NO_BUFFER),
    **dict.fromkeys(("add_history", "delete_item", "retrieve_item"), _FIXED),
    **dict.fromkeys(("approve_mcp", "run_tools"), _TOOLS),
    "configure_session": "options are fixed at the start; update_backend(...) changes a backend's",
    **dict.fromkeys(("end_translation", "translation"), "it does not translate: start_translation_session(...)"),
}


def instead_of(name: str) -> Optional[str]:
    """What a live session has in the place of a conversation session's ``name``; None if there is no such name."""
    return _INSTEAD.get(name)
