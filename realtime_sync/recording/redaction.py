"""A frame without its secrets, as it may be written down.

A log shows a frame to be read (``wire_log.shown``); a recording keeps it to be replayed. So a secret is replaced where
it stands, the message keeps its shape, and a frame without any stays what it was, to the letter.
"""

from __future__ import annotations

import contextlib
import functools
import json
from typing import Any, Optional

from realtime_sync.protocol.hiding import DOMAIN_SECRETS, SECRET_FIELDS, hide_fields, is_schema
from realtime_sync.recording.wire_log import TOKEN
from realtime_sync.secret import HIDDEN, Redactor
from realtime_sync.transport.urls import redactor, show_url

_LONG = 1024

# A field's name may be spelled with escapes ("api\u005fkey"); JSON's reader knows, a search would not.
_SUSPECT = (*SECRET_FIELDS, "server_url", "\\u00")
_NO_SECRETS = Redactor()
_TOKEN_MARKS = ("sk-", "sk_", "ek_", "ek-", "rk_", "rk-", "Bearer ", "eyJ")


def without_secrets(text: str) -> str:
    """The frame's text, verbatim where it holds no secret that can be known for one."""
    looked_at = _without_base64(text)
    folded = looked_at.lower()
    if _is_suspect(folded):
        text = looked_at = _cleaned_message(text)
    if any(mark in looked_at for mark in _TOKEN_MARKS):
        text = TOKEN.sub(HIDDEN, text)
    return text


def secrets_in(text: str) -> Redactor:
    """Replaces the secrets of a message that is sent, such as those of remote tools: their servers may tell them."""
    if not _is_suspect(text):
        return _NO_SECRETS
    urls: list[str] = []
    pairs: list[tuple[str, str]] = []
    with contextlib.suppress(ValueError, RecursionError):  # it is no message then
        _collect(json.loads(text), urls, pairs)
    return redactor(urls, pairs)


def _is_suspect(text: str) -> bool:
    return any(mark in text for mark in _SUSPECT)


def _collect(value: Any, urls: list[str], pairs: list[tuple[str, str]], field: Optional[str] = None) -> None:
    """``field``: the secret one that ``value`` stands in."""
    if isinstance(value, str) and field is not None:
        pairs.append((field, value))
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, urls, pairs, field)
    elif isinstance(value, dict) and (field is not None or not is_schema(value)):
        for name, inner in value.items():
            if name == "server_url" and isinstance(inner, str):
                urls.append(inner)
            if field == DOMAIN_SECRETS:  # its domain and its name are words that may stand elsewhere
                if name == "value":
                    _collect(inner, urls, pairs, field)
                continue
            _collect(inner, urls, pairs, name if field is not None or name.lower() in SECRET_FIELDS else None)


def _without_base64(text: str) -> str:
    """The text without its long strings that hold none of the characters of a secret: searching audio takes long."""
    return '"'.join(piece for piece in text.split('"') if len(piece) < _LONG or any(mark in piece for mark in " _-.\\"))


def _cleaned_message(text: str) -> str:
    try:
        message = json.loads(text)
        cleaned = hide_fields(message, text=functools.partial(TOKEN.sub, HIDDEN), url=show_url)
        return text if cleaned == message else json.dumps(cleaned, ensure_ascii=False)
    except ValueError:
        return text  # it is no message, so it has no fields
    except RecursionError:
        return json.dumps({"type": "", "left_out": f"{len(text)} characters, nested too deeply to be looked through"})
