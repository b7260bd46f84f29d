"""A frame without its secrets, as it may be written down.

A log shows a frame to be read (``wire_log.shown``); a recording keeps it to be replayed. So a secret is replaced where
it stands, the message keeps its shape, and a frame without any stays what it was, to the letter.
"""

from __future__ import annotations

import json
from typing import Any

from realtime_sync.protocol.registry import SECRET_FIELDS
from realtime_sync.recording.wire_log import HIDDEN, TOKEN
from realtime_sync.transport.urls import show_url

_LONG = 1024

# A field's name may be spelled with escapes ("api\u005fkey"); JSON's reader knows, a search would not.
_SUSPECT = (*SECRET_FIELDS, "server_url", "\\u00")
_TOKEN_MARKS = ("sk-", "sk_", "ek_", "ek-", "rk_", "rk-", "Bearer ", "eyJ")


def without_secrets(text: str) -> str:
    """The frame's text, verbatim where it holds no secret that can be known for one."""
    looked_at = _without_base64(text)
    folded = looked_at.lower()
    if any(mark in folded for mark in _SUSPECT):
        text = looked_at = _cleaned_message(text)
    if any(mark in looked_at for mark in _TOKEN_MARKS):
        text = TOKEN.sub(HIDDEN, text)
    return text


def _without_base64(text: str) -> str:
    """The text without its long strings that hold none of the characters of a secret: searching audio takes long."""
    return '"'.join(piece for piece in text.split('"') if len(piece) < _LONG or any(mark in piece for mark in " _-.\\"))


def _cleaned_message(text: str) -> str:
    try:
        message = json.loads(text)
        cleaned = _cleaned(message, secret=False)
        return text if cleaned == message else json.dumps(cleaned, ensure_ascii=False)
    except ValueError:
        return text  # it is no message, so it has no fields
    except RecursionError:
        return json.dumps({"type": "", "left_out": f"{len(text)} characters, nested too deeply to be looked through"})


def _cleaned(value: Any, *, secret: bool) -> Any:
    """``secret``: every string within is one. Numbers (when a secret expires) and the shape stay."""
    if isinstance(value, dict):
        return {key: _cleaned_field(key, inner, secret) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner, secret=secret) for inner in value]
    if not isinstance(value, str) or not value:
        return value
    return HIDDEN if secret else TOKEN.sub(HIDDEN, value)


def _cleaned_field(key: str, value: Any, secret: bool) -> Any:
    if key.lower() == "server_url" and isinstance(value, str):  # of an MCP server: some take a token in it
        return show_url(value)
    return _cleaned(value, secret=secret or key.lower() in SECRET_FIELDS)
