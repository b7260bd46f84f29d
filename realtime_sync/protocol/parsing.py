"""A frame's text as JSON, as fast as Python's own reader can be made to go: it is most of what a message costs."""

from __future__ import annotations

import json
import re
from typing import Any, Optional, Union

from realtime_sync.protocol.characters import all_joined

_raw_decode = json.JSONDecoder().raw_decode
_AUDIO_TYPE = 'audio.delta"'  # with the prefixes of the dialects and of translations
_KEY, _SPACED_KEY = '"delta":"', '"delta": "'
_MARK = r"\u0000"  # stands where the audio was, and tells that this was the message's own
_HALF_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
# Shorter texts cost as much to search as to read.
_LONG = 1024


def parse(text: str) -> Any:
    """``json.loads``: the same values, the same errors; but a control character in audio is let pass.

    No text has half of a character (``characters.py``); but the message's own ``delta``, which may go on in the next.
    """
    message = _parse_around_audio(text) if len(text) > _LONG and _AUDIO_TYPE in text else None
    return _parse(text) if message is None else message


def _parse(text: str) -> Any:
    # json.loads looks for white space before and behind, which takes as long as to read a delta of text.
    try:
        value, end = _raw_decode(text)
    except ValueError:
        end = -1
    value = value if end == len(text) else json.loads(text)
    # Only an escape can be half of a character, for the text itself was UTF-8.
    return _whole(value) if "\\" in text and _HALF_ESCAPE.search(text) else value


def _whole(value: Any) -> Any:
    whole = all_joined(value)
    if isinstance(value, dict) and isinstance(value.get("delta"), str):
        whole["delta"] = value["delta"]
    return whole


def _parse_around_audio(text: str) -> Optional[dict[str, Any]]:
    """A message without having the JSON reader look for escapes in its audio, which has none; None: it is otherwise."""
    key = _KEY if _KEY in text else _SPACED_KEY
    at = text.find(key)
    begin = at + len(key)
    end = text.find('"', begin)
    audio = text[begin:end]
    if at < 0 or "\\" in audio:
        return None
    try:
        message = _parse(f"{text[:begin]}{_MARK}{text[end:]}")
    except ValueError:
        return None  # the error shall tell its place in the whole text
    if not isinstance(message, dict) or message.get("delta") != "\0":
        return None
    message["delta"] = audio
    return message


def json_object(text: Union[str, bytes]) -> Optional[dict[str, Any]]:
    """The JSON object that a text holds; None if it holds something else, or cannot be read."""
    try:
        value = all_joined(json.loads(text))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
