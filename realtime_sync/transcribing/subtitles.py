"""Segments of speech as subtitles: SubRip and WebVTT. Pure."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

import attrs

from realtime_sync.conversation.transcripts import TranscriptionSegment

# What a viewer reads at a glance: two lines of this many characters at a time.
_LINE = 42
_LINES = 2


@attrs.frozen
class _Cue:
    start_ms: int
    end_ms: int
    lines: list[str]


def srt(segments: Sequence[TranscriptionSegment]) -> str:
    """See ``Transcription.to_srt``. The format has no way to escape: an arrow in a text would be a time's."""
    cues = (cue for segment in segments for cue in _cues(segment, named(segment).replace("-->", "→")))
    blocks = (
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n" + "".join(f"{x}\n" for x in cue.lines)
        for number, cue in enumerate(cues, 1)
    )
    return "\n".join(blocks)


def vtt(segments: Sequence[TranscriptionSegment]) -> str:
    """See ``Transcription.to_vtt``."""
    blocks = ["WEBVTT\n"]
    for segment in segments:
        voice = "" if segment.speaker is None else f"<v {_escaped(joined(segment.speaker.split()))}>"
        for cue in _cues(segment, joined(segment.text.splitlines())):
            text = "\n".join(map(_escaped, cue.lines))
            blocks.append(f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n")
    return "\n".join(blocks)


def named(segment: TranscriptionSegment) -> str:
    """Who says what, on one line."""
    text = joined(segment.text.splitlines())
    return text if segment.speaker is None else f"{joined(segment.speaker.split())}: {text}"


def joined(texts: Sequence[str]) -> str:
    """Texts one after the other, with spaces between them where the script has spaces."""
    whole: list[str] = []
    for text in filter(None, map(str.strip, texts)):
        if whole and not (_is_wide(whole[-1][-1]) or _is_wide(text[0])):
            whole.append(" ")
        whole.append(text)
    return "".join(whole)


def _is_wide(character: str) -> bool:
    """True in the scripts that put no spaces between words (Chinese, Japanese)."""
    return unicodedata.east_asian_width(character) in "WF" and not "\uac00" <= character <= "\ud7a3"  # but Korean does


def _cues(segment: TranscriptionSegment, text: str) -> Iterator[_Cue]:
    lines = textwrap.wrap(text, _LINE) if segment.text.strip() else []
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
