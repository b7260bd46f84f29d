"""What was said in a live session, piece by piece and in order: in transcription sessions and in conversations."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import Optional

import attrs

from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.resources import ErrorDetails, LogProb, TranscriptionUsage
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ConversationItemDeletedUpdate,
    InputAudioBufferCommittedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
)
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionCompletedUpdate as _Completed
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionFailedUpdate as _Failed
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionSegmentUpdate as _Segment

# Times of speech whose commit does not come (cleared, deleted) are forgotten beyond so many.
_MOST_REMEMBERED = 256


@attrs.frozen(kw_only=True)
class TranscriptionSegment:
    """A stretch of speech as text; ``start`` and ``end`` are in seconds.

    ``speaker``: the model's label for who speaks; None where the model tells none. ``logprobs``: how sure the model was
    of each token; empty where it was not asked, or does not tell.
    """

    start: float
    end: float
    text: str
    speaker: Optional[str] = None
    logprobs: tuple[LogProb, ...] = ()

    @property
    def confidence(self) -> Optional[float]:
        """The geometric mean of the tokens' likelihoods, 0 to 1; None without logprobs."""
        told = [entry.logprob for entry in self.logprobs if entry.logprob is not None]
        return math.exp(min(0.0, sum(told) / len(told))) if told else None


@attrs.frozen(kw_only=True)
class Transcript:
    """What one committed piece of audio (a turn, where voice activity is detected) says.

    ``start``, ``end``: seconds of the session's audio; None where the caller commits. ``segments``: its parts with
    their speakers, where the model tells them, on the same time line, or from the piece's beginning where ``start`` is
    None. ``error``: why there is no text; None where there is. ``languages``: codes of those that the model heard.
    """

    item_id: str
    text: str = ""
    start: Optional[float] = None
    end: Optional[float] = None
    segments: tuple[TranscriptionSegment, ...] = ()
    logprobs: tuple[LogProb, ...] = ()
    languages: tuple[str, ...] = ()
    usage: Optional[TranscriptionUsage] = None
    error: Optional[ErrorDetails] = None


class TranscriptCollector:
    """Makes ``Transcript`` of a session's updates, in the order in which the audio was said. Pure; for one thread.

    The service transcribes several pieces at once and may finish a later one first; that one waits here.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._times: dict[str, tuple[Optional[float], Optional[float]]] = {}
        self._segments: dict[str, list[TranscriptionSegment]] = {}
        self._open: deque[str] = deque()  # committed and not yet given out, in order
        self._finished: dict[str, Transcript] = {}

    def apply(self, update: ConversationUpdate) -> list[Transcript]:
        """See an update; the transcripts that it makes ready, which are none for most."""
        if isinstance(update, (InputAudioBufferSpeechStartedUpdate, InputAudioBufferSpeechStoppedUpdate)):
            self._note_time(update)
        elif isinstance(update, InputAudioBufferCommittedUpdate):
            self._open.append(update.item_id)
        elif isinstance(update, _Segment):
            segment = TranscriptionSegment(start=update.start, end=update.end, text=update.text, speaker=update.speaker)
            self._segments.setdefault(update.item_id, []).append(segment)
        elif isinstance(update, (_Completed, _Failed)):
            self._finish(update)
        elif isinstance(update, ConversationItemDeletedUpdate) and update.item_id in self._open:
            self._open.remove(update.item_id)  # nobody will transcribe it, so nobody may wait for it
        elif isinstance(update, SessionReconnectedUpdate):
            self._begin()  # what was being transcribed is lost (the update tells it), and time begins anew
        return list(self._ready())

    def rest(self) -> list[Transcript]:
        """What is finished behind a piece that never will be: for the session's end."""
        order = [item_id for item_id in self._open if item_id in self._finished]
        self._open.clear()
        return [self._finished.pop(item_id) for item_id in order]

    def _note_time(self, update: ConversationUpdate) -> None:
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._times[update.item_id] = (update.audio_start_ms / 1000, None)
            if len(self._times) > _MOST_REMEMBERED:
                self._times.pop(next(iter(self._times)))
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            start, _ = self._times.get(update.item_id, (None, None))
            self._times[update.item_id] = (start, update.audio_end_ms / 1000)

    def _finish(self, update: ConversationUpdate) -> None:
        assert isinstance(update, (_Completed, _Failed))
        item_id = update.item_id
        start, end = self._times.pop(item_id, (None, None))
        # The service counts a segment's time from its item's beginning (the protocol's own example, 2026-08).
        parts = [_later(part, start or 0.0) for part in self._segments.pop(item_id, ())]
        if isinstance(update, _Failed):
            transcript = Transcript(item_id=item_id, start=start, end=end, error=update.error)
        else:
            transcript = Transcript(
                item_id=item_id,
                text=update.transcript,
                start=start,
                end=end,
                segments=tuple(parts),
                logprobs=tuple(update.logprobs or ()),
                languages=tuple(told.code for told in update.languages or () if told.code),
                usage=update.usage,
            )
        if item_id not in self._open:
            self._open.append(item_id)  # an item with audio that was added by hand
        self._finished[item_id] = transcript

    def _ready(self) -> Iterator[Transcript]:
        while self._open and self._open[0] in self._finished:
            yield self._finished.pop(self._open.popleft())


def _later(segment: TranscriptionSegment, seconds: float) -> TranscriptionSegment:
    return attrs.evolve(segment, start=segment.start + seconds, end=segment.end + seconds)
