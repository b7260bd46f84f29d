"""A finished transcription: a value, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import attrs

from realtime_sync.conversation.pricing import UsageTotals
from realtime_sync.conversation.transcripts import TranscriptionSegment
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.resources import LogProb
from realtime_sync.transcribing import subtitles
from realtime_sync.transcribing.subtitles import joined
from realtime_sync.words import cut

_SHOWN = 200  # characters, in a REPL


@attrs.frozen(kw_only=True, repr=False)
class Transcription:
    """What a recording says.

    ``segments``: in order, their times in seconds of the recording; ``duration``: of the recording, in seconds.
    ``model``: as it was asked for. ``languages``: codes of those that the model heard, where it tells. ``usage``: what
    the model used, in ``transcription_...``.
    """

    segments: tuple[TranscriptionSegment, ...] = ()
    duration: float = 0.0
    model: Optional[str] = None
    languages: tuple[str, ...] = ()
    usage: UsageTotals = attrs.field(factory=UsageTotals)

    @property
    def text(self) -> str:
        """All of it."""
        return joined([segment.text for segment in self.segments])

    @property
    def speakers(self) -> tuple[str, ...]:
        """The labels of those who speak, in the order of their first words; empty if the model tells none."""
        return tuple(dict.fromkeys(segment.speaker for segment in self.segments if segment.speaker is not None))

    def to_srt(self) -> str:
        """As subtitles in SubRip's format (``.srt``), which all players know.

        A subtitle has two lines of 42 characters at most. A segment that needs several gives each of them time by its
        length. Speakers, where they are known, are named. If nothing was said, the text is empty.
        """
        return subtitles.srt(self.segments)

    def to_vtt(self) -> str:
        """As subtitles in the format of the web (WebVTT, ``.vtt``), for ``<track>``; otherwise as ``to_srt``."""
        return subtitles.vtt(self.segments)

    def __repr__(self) -> str:
        held = f"<{len(self.segments)} segments>, duration={self.duration:g}, model={self.model!r}"
        return f"Transcription({cut(self.text, _SHOWN)!r}, {held})"

    def _repr_html_(self) -> str:
        from realtime_sync.notebook import card, table

        facts = {
            "seconds": f"{self.duration:.1f}",
            "model": self.model,
            "languages": ", ".join(self.languages) or None,
            "speakers": ", ".join(self.speakers) or None,
        }
        heads = ["from", "to", "speaker", "sure", "text"]
        rows = [_row(segment) for segment in self.segments]
        known = [head for at, head in enumerate(heads) if any(row[at] for row in rows)]
        shown = [[cell for head, cell in zip(heads, row, strict=True) if head in known] for row in rows]
        return card("Transcription", facts, table(known, shown))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; what is not known is left out."""
        told: dict[str, Any] = {"text": self.text, "duration": round(self.duration, 3), "model": self.model}
        told["languages"] = list(self.languages)
        told["usage"] = {name: value for name, value in attrs.asdict(self.usage).items() if value}
        told["segments"] = [_segment_to_dict(segment) for segment in self.segments]
        return {name: value for name, value in told.items() if value or name in ("text", "duration", "segments")}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Transcription:
        """What ``to_dict`` gave. Raises InvalidInputError for what it cannot have given."""
        try:
            return cls(
                segments=tuple(_segment_from_dict(segment) for segment in told["segments"]),
                duration=float(told["duration"]),
                model=told.get("model"),
                languages=tuple(told.get("languages", ())),
                usage=UsageTotals(**told.get("usage", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(
                f"this is not a transcription as to_dict() gives it: {type(error).__name__}: {error}"
            ) from error


def _row(segment: TranscriptionSegment) -> list[str]:
    sure = "" if segment.confidence is None else f"{segment.confidence:.0%}"
    return [f"{segment.start:.2f}", f"{segment.end:.2f}", segment.speaker or "", sure, segment.text.strip()]


def _segment_to_dict(segment: TranscriptionSegment) -> dict[str, Any]:
    told: dict[str, Any] = {"start": round(segment.start, 3), "end": round(segment.end, 3), "text": segment.text}
    if segment.speaker is not None:
        told["speaker"] = segment.speaker
    if segment.logprobs:
        told["logprobs"] = [{"token": entry.token, "logprob": entry.logprob} for entry in segment.logprobs]
    return told


def _segment_from_dict(told: Mapping[str, Any]) -> TranscriptionSegment:
    logprobs = tuple(LogProb(token=entry["token"], logprob=entry["logprob"]) for entry in told.get("logprobs", ()))
    start, end, text = float(told["start"]), float(told["end"]), str(told["text"])
    return TranscriptionSegment(start=start, end=end, text=text, speaker=told.get("speaker"), logprobs=logprobs)
