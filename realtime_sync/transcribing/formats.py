"""Transcriptions as text, subtitles and JSON. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Callable

import attrs

from realtime_sync.conversation.transcripts import TranscriptionSegment
from realtime_sync.errors import InvalidInputError
from realtime_sync.transcribing.transcription import Transcription, joined

# What a viewer reads at a glance: two lines of this many characters at a time.
_LINE = 42
_LINES = 2


def format_transcription(transcription: Transcription, format: str) -> str:
    """``txt``: a line for each segment. ``srt``, ``vtt``: subtitles. ``json``: all of ``to_dict()``.

    A subtitle has two lines of 42 characters at most; a segment that needs several gives each of them time by its
    length. Speakers, where they are known, are named. Raises InvalidInputError for another format.
    """
    return _FORMATS[check_format(format)](transcription)


def check_format(format: object) -> str:
    """``format``; raises InvalidInputError unless it is one of ``FORMATS``."""
    if not isinstance(format, str) or format not in _FORMATS:
        raise InvalidInputError(f"format must be one of {', '.join(FORMATS)}, not {format!r:.40}")
    return format


@attrs.frozen
class _Cue:
    start_ms: int
    end_ms: int
    lines: list[str]


def _txt(transcription: Transcription) -> str:
    return "".join(f"{_named(segment)}\n" for segment in transcription.segments if segment.text.strip())


def _named(segment: TranscriptionSegment) -> str:
    text = joined(segment.text.splitlines())
    return text if segment.speaker is None else f"{segment.speaker}: {text}"


def _srt(transcription: Transcription) -> str:
    cues = (cue for segment in transcription.segments for cue in _cues(segment, _named(segment)))
    blocks = (
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n" + "".join(f"{x}\n" for x in cue.lines)
        for number, cue in enumerate(cues, 1)
    )
    return "\n".join(blocks)


def _vtt(transcription: Transcription) -> str:
    blocks = ["WEBVTT\n"]
    for segment in transcription.segments:
        voice = "" if segment.speaker is None else f"<v {_escaped(segment.speaker)}>"
        for cue in _cues(segment, joined(segment.text.splitlines())):
            text = "\n".join(map(_escaped, cue.lines))
            blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def _json(transcription: Transcription) -> str:
    return json.dumps(transcription.to_dict(), ensure_ascii=False, indent=2) + "\n"


_FORMATS: dict[str, Callable[[Transcription], str]] = {"txt": _txt, "srt": _srt, "vtt": _vtt, "json": _json}
FORMATS = tuple(_FORMATS)
"""What ``format_transcription`` writes; also the endings of the files."""


def _cues(segment: TranscriptionSegment, text: str) -> Iterator[_Cue]:
    lines = textwrap.wrap(text, _LINE)
    groups = [lines[at : at + _LINES] for at in range(0, len(lines), _LINES)]
    letters = [sum(map(len, group)) for group in groups]
    start, length = segment.start, max(0.0, segment.end - segment.start)
    before = 0
    for group, count in zip(groups, letters, strict=True):
        begins, ends = start + length * before / sum(letters), start + length * (before + count) / sum(letters)
        before += count
        # No player shows what ends where it begins.
        yield _Cue(round(begins * 1000), max(round(ends * 1000), round(begins * 1000) + 1), group)


def _clock(ms: int, point: str) -> str:
    seconds, ms = divmod(max(0, ms), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    # A line that holds "-->" would end the cue.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
