"""How messages are shown in logs: without secrets, audio as a length."""

from __future__ import annotations

import json
import logging
from typing import Any, Union

from realtime_sync.protocol.registry import SECRET_FIELDS, url_repr

wire_logger = logging.getLogger("realtime_sync.wire")

_LONG = 256


def log_frame(name: str, direction: str, text: Union[str, bytes]) -> None:
    """Log a frame at DEBUG; costs nothing otherwise."""
    if wire_logger.isEnabledFor(logging.DEBUG):
        wire_logger.debug("%s %s %s", name, direction, shown(text))


def shown(text: Union[str, bytes]) -> str:
    """A frame's text as it may stand in a log."""
    try:
        return json.dumps(_redacted(json.loads(text)), ensure_ascii=False)
    except ValueError:
        return f"<{len(text)} characters that are not JSON>"
    except RecursionError:
        return f"<{len(text)} characters, nested too deeply to be shown>"


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        of_audio = str(value.get("type")).endswith("audio.delta")
        return {key: _redacted_field(key, inner, of_audio) for key, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return value


def _redacted_field(key: str, value: Any, of_audio: bool) -> Any:
    if key.lower() in SECRET_FIELDS and value:
        return "***"
    if key == "server_url":  # of an MCP server: some take a token in it
        return url_repr(value)
    if isinstance(value, str):
        audio = key == "audio" or (key == "delta" and of_audio)
        if audio or (len(value) > _LONG and " " not in value):  # base64 has no blanks
            return f"<{len(value)} characters>"
    return _redacted(value)
