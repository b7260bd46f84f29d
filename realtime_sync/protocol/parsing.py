"""A frame's text as JSON, as fast as Python's own reader can be made to go: it is most of what a message costs."""

from __future__ import annotations

import json
import re
from typing import Any, Optional, Union

from realtime_sync.protocol.characters import all_joined

_raw_decode = json.JSONDecoder().raw_decode
_AUDIO_TYPE = 'audio.delta"'  # with the prefixes of the dialects and of translations
_KEY, _SPACED_KEY = '"delta":"', '"delta": "'
_HALF_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Shorter texts cost as much to search as to read.
_LONG = 1024


def parse(text: str) -> Any:
    """``json.loads``: the same values, the same errors; but a control character in audio is let pass.

    No text has half of a character (``characters.py``); but the message's own ``delta``, which may go on in the next.
    """
    if len(text) > _LONG and _AUDIO_TYPE in text:
        message = _parse_around_audio(text)
        if message is not None:
            return message
    # json.loads looks for white space before and behind, which takes as long as to read a delta of text.
    try:
        value, end = _raw_decode(text)
    except ValueError:
        end = -1
    if end != len(text):
        value = json.loads(text)
    # Only an escape can be half of a character, for the text itself was UTF-8.
    return _whole(value) if "\\" in text and _HALF_ESCAPE.search(text) else value


def _whole(value: Any) -> Any:
    whole = all_joined(value)
    if isinstance(value, dict) and isinstance(value.get("delta"), str):
        whole["delta"] = value["delta"]
    return whole


def _parse_around_audio(text: str) -> Optional[dict[str, Any]]:
    """A message without having the JSON reader look for escapes in its audio, which has none; None: it is otherwise."""
    key = _KEY
    at = text.find(key)
    if at < 0:
        key = _SPACED_KEY
        at = text.find(key)
    begin = at + len(key)
    end = text.find('"', begin)
    if at < 0 or "\\" in text:
        return None
    before, behind = text[:begin], text[end:]
    # What follows the only brace, and no escape, is the message's own; what nothing of the name follows, is the last.
    if before.count("{") != 1 or "delta" in behind:
        return None
    try:
        message, length = _raw_decode(before + behind)
    except ValueError:
        return None  # the error shall tell its place in the whole text
    if length != len(before) + len(behind) or not isinstance(message, dict):
        return None
    message["delta"] = text[begin:end]
    return message


def json_object(text: Union[str, bytes]) -> Optional[dict[str, Any]]:
    """The JSON object that a text holds; None if it holds something else, or cannot be read."""
    try:
        value = all_joined(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
