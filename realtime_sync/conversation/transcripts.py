"""What was said in a live session, piece by piece and in order: in transcription sessions and in conversations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Optional, TypeVar, Union

import attrs

from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.resources import ErrorDetails, LogProb, TranscriptionUsage
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    ConversationItemDeletedUpdate,
    InputAudioBufferCommittedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
    TranscriptionDoneUpdate,
)
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionCompletedUpdate as _Completed
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionFailedUpdate as _Failed
from realtime_sync.protocol.updates import ConversationItemInputAudioTranscriptionSegmentUpdate as _Segment

K = TypeVar("K")
V = TypeVar("V")

_Piece = tuple[str, int]
"""An item's id, and the index of the part that was spoken."""

# Pieces that are waited for, and times and segments of those that are not committed (cleared, deleted); beyond so many
# the oldest is given up.
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

    ``item_id``: the item's that the audio has become; empty where there is none (vLLM's own realtime endpoint).
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

    The service transcribes several pieces at once and may finish a later one first; that one waits here. What is told
    again changes nothing.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._times: dict[str, tuple[Optional[float], Optional[float]]] = {}
        self._segments: dict[_Piece, dict[tuple[Optional[str], float], TranscriptionSegment]] = {}  # by id and start
        self._open: dict[_Piece, None] = {}  # committed and not yet given out, in order
        self._finished: dict[_Piece, Transcript] = {}
        self._over: dict[_Piece, bool] = {}  # not waited for any more; True: it was given out

    def apply(self, update: ConversationUpdate) -> list[Transcript]:
        """See an update; the transcripts that it makes ready, which are none for most."""
        if isinstance(update, (InputAudioBufferSpeechStartedUpdate, InputAudioBufferSpeechStoppedUpdate)):
            self._note_time(update)
        elif isinstance(update, InputAudioBufferCommittedUpdate):
            self._commit((update.item_id, 0))
        elif isinstance(update, _Segment):
            self._note_segment(update)
        elif isinstance(update, (_Completed, _Failed)):
            self._finish(update)
        elif isinstance(update, TranscriptionDoneUpdate):
            return [_of_vllm(update)]
        elif isinstance(update, ConversationItemDeletedUpdate):  # nobody will transcribe it, so nobody may wait for it
            self._give_up([(update.item_id, 0), *(piece for piece in self._open if piece[0] == update.item_id)])
        elif isinstance(update, SessionReconnectedUpdate):
            self._begin()  # what was being transcribed is lost (the update tells it), and time begins anew
        return list(self._ready())

    def rest(self) -> list[Transcript]:
        """What is finished behind a piece that never will be: for the session's end."""
        finished = [self._finished[piece] for piece in self._open if piece in self._finished]
        self._begin()
        return finished

    def _commit(self, piece: _Piece) -> None:
        if piece not in self._over:
            self._wait_for(piece)

    def _wait_for(self, piece: _Piece) -> None:
        self._open.setdefault(piece)
        if len(self._open) > _MOST_REMEMBERED:
            self._give_up([next(iter(self._open))])

    def _give_up(self, pieces: Iterable[_Piece]) -> None:
        """Wait for these no longer; what comes of them all the same is given out then."""
        for piece in pieces:
            self._open.pop(piece, None)
            _remember(self._over, piece, self._over.get(piece, False))

    def _note_time(self, update: ConversationUpdate) -> None:
        assert isinstance(update, (InputAudioBufferSpeechStartedUpdate, InputAudioBufferSpeechStoppedUpdate))
        if (update.item_id, 0) in self._over:
            return
        start, end = self._times.get(update.item_id, (None, None))
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            _remember(self._times, update.item_id, (update.audio_start_ms / 1000, end))
        else:
            _remember(self._times, update.item_id, (start, update.audio_end_ms / 1000))

    def _note_segment(self, update: _Segment) -> None:
        piece = update.item_id, update.content_index
        if self._over.get(piece):
            return
        if piece not in self._segments:
            _remember(self._segments, piece, {})
        self._segments[piece][update.id, update.start] = TranscriptionSegment(
            start=update.start, end=update.end, text=update.text, speaker=update.speaker
        )

    def _finish(self, update: Union[_Completed, _Failed]) -> None:
        item_id = update.item_id
        piece = item_id, update.content_index
        if self._over.get(piece) or piece in self._finished:
            return
        start, end = self._times.pop(item_id, (None, None))
        # The service counts a segment's time from its item's beginning (the protocol's own example, 2026-08).
        parts = [_later(part, start or 0.0) for part in self._segments.pop(piece, {}).values()]
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
        self._finished[piece] = transcript
        self._wait_for(piece)  # it is new if it is of an item with audio that was added by hand

    def _ready(self) -> Iterator[Transcript]:
        while self._open and (piece := next(iter(self._open))) in self._finished:
            del self._open[piece]
            _remember(self._over, piece, True)
            yield self._finished.pop(piece)


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Put it into the memory, as the newest, and forget the oldest if there are too many."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MOST_REMEMBERED:
        del memory[next(iter(memory))]


def _of_vllm(update: TranscriptionDoneUpdate) -> Transcript:
    """VLLM has one piece of audio at a time, and no name for it."""
    told = update.usage
    usage = None
    if told is not None:
        usage = TranscriptionUsage(
            type="tokens",
            total_tokens=told.total_tokens,
            input_tokens=told.prompt_tokens,
            output_tokens=told.completion_tokens,
        )
    return Transcript(item_id="", text=update.text, usage=usage)


def _later(segment: TranscriptionSegment, seconds: float) -> TranscriptionSegment:
    return attrs.evolve(segment, start=segment.start + seconds, end=segment.end + seconds)
