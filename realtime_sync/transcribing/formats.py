"""Transcriptions as text, subtitles and JSON. Pure."""

from __future__ import annotations

import json
from typing import Callable

from realtime_sync.errors import InvalidInputError
from realtime_sync.transcribing.subtitles import named
from realtime_sync.transcribing.transcription import Transcription


def format_transcription(transcription: Transcription, format: str) -> str:
    """``txt``: a line for each segment. ``srt``: ``to_srt()``. ``vtt``: ``to_vtt()``. ``json``: all of ``to_dict()``.

    Speakers, where they are known, are named. Raises InvalidInputError for another format.
    """
    return _FORMATS[check_format(format)](transcription)


def check_format(format: object) -> str:
    """``format``; raises InvalidInputError unless it is one of ``FORMATS``."""
    if not isinstance(format, str) or format not in _FORMATS:
        raise InvalidInputError(f"format must be one of {', '.join(FORMATS)}, not {format!r:.40}")
    return format


def _txt(transcription: Transcription) -> str:
    return "".join(f"{named(segment)}\n" for segment in transcription.segments if segment.text.strip())


def _json(transcription: Transcription) -> str:
    return json.dumps(transcription.to_dict(), ensure_ascii=False, indent=2) + "\n"


_FORMATS: dict[str, Callable[[Transcription], str]] = {
    "txt": _txt,
    "srt": Transcription.to_srt,
    "vtt": Transcription.to_vtt,
    "json": _json,
}
FORMATS = tuple(_FORMATS)
"""What ``format_transcription`` writes; also the endings of the files."""
