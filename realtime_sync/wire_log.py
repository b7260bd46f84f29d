"""How messages are shown in logs: without secrets, audio as a length."""

from __future__ import annotations

import json
from typing import Any, Union

# Fields of the wire that hold what lets one act as somebody else.
_SECRET = frozenset({"authorization", "api_key", "api-key", "client_secret", "headers"})
_LONG = 256


def shown(text: Union[str, bytes]) -> str:
    """A frame's text as it may stand in a log."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return f"<{len(text)} characters that are not JSON>"
    return json.dumps(_redacted(message), ensure_ascii=False)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        of_audio = str(value.get("type")).endswith("audio.delta")
        return {key: _redacted_field(key, inner, of_audio) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return value


def _redacted_field(key: str, value: Any, of_audio: bool) -> Any:
    if key.lower() in _SECRET and value:
        return "***"
    if isinstance(value, str):
        audio = key == "audio" or (key == "delta" and of_audio)
        if audio or (len(value) > _LONG and " " not in value):  # base64 has no blanks
            return f"<{len(value)} characters>"
    return _redacted(value)
