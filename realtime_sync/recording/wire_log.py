"""How messages are shown in logs: without secrets, audio as a length."""

from __future__ import annotations

import functools
import json
import logging
import re
from typing import Any, Callable, Union

from realtime_sync.protocol.hiding import SECRET_FIELDS, url_repr
from realtime_sync.secret import HIDDEN

wire_logger = logging.getLogger("realtime_sync.wire")

_LONG = 256
# Keys as OpenAI makes them (also ephemeral ones), bearer tokens, JSON web tokens: a server may repeat one anywhere, in
# an error's message for example. No base64 holds "-", "_", " " or ".", so audio is never taken for one.
# A word may begin right after an escape, too ("\nsk-...", where the text is JSON as it came).
TOKEN = re.compile(
    r"(?:\b|(?<=\\[bfnrt]))(?:(?:sk|ek|rk)[-_][\w*-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?<=Bearer )[\w.~+/=-]{8,}",
    re.ASCII,
)


is_logged: Callable[[], bool] = functools.partial(wire_logger.isEnabledFor, logging.DEBUG)
"""True if frames are to be logged. Ask before ``log_frame``: it is asked for each frame."""


def log_frame(name: str, direction: str, text: Union[str, bytes]) -> None:
    """Log a frame at DEBUG."""
    wire_logger.debug("%s %s %s", name, direction, shown(text))


def shown(text: Union[str, bytes]) -> str:
    """A frame's text as it may stand in a log."""
    try:
        told = json.dumps(_redacted(json.loads(text)), ensure_ascii=False)
        return told.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair can be written nowhere
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
    return TOKEN.sub(HIDDEN, value) if isinstance(value, str) else value


def _redacted_field(key: str, value: Any, of_audio: bool) -> Any:
    if key.lower() in SECRET_FIELDS and value:
        return HIDDEN
    if key == "server_url":  # of an MCP server: some take a token in it
        return url_repr(value)
    if isinstance(value, str):
        audio = key == "audio" or (key == "delta" and of_audio)
        if audio or (len(value) > _LONG and " " not in value):  # base64 has no blanks
            return f"<{len(value)} characters>"
    return _redacted(value)
