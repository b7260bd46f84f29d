"""Turns in a live session: what one side says without a longer silence. Both sides may have one at the same time.

The service tells words and where they are on its timeline, and never that somebody has finished. The rules:

1. A fragment belongs to the turn of its speaker that is less than ``gap_ms`` away from it on the timeline.
2. A turn is given out once the timeline has passed its end by ``gap_ms`` and by 0.8 s for words that are told late; or
   when the timeline stands still, because no audio is sent; or begins anew; or at the session's end.
3. What is given out is not changed. Words that come later, and would have belonged to it, are a turn that
   ``continues``.
4. No update raises, whatever it holds and whenever it comes; what is told again changes nothing.

Time passes without updates, too: ``next_due`` says when ``pass_time`` is to be called.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, BinaryIO, Literal, Optional, Union

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.boundary import public_call
from realtime_sync.conversation.accumulator import sample_format
from realtime_sync.conversation.live.clock import TimelineClock
from realtime_sync.conversation.live.fragments import FragmentReader, Speaker
from realtime_sync.conversation.live.track import Track
from realtime_sync.conversation.live.utterances import GAP_MS, SpokenTimeline, Utterance
from realtime_sync.errors import InvalidInputError
from realtime_sync.protocol.live.updates import (
    LiveSessionClosedUpdate,
    LiveSessionOutputAudioDeltaUpdate,
    LiveSessionStartedUpdate,
)
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.registry import UNSET
from realtime_sync.protocol.update_base import ConversationUpdate, shortened

if TYPE_CHECKING:
    from realtime_sync.conversation.live.conversation import LiveConversation

TurnEnd = Union[Literal["gap", "stood_still", "reset", "full", "closed", "open"], str]

# What is told later than this after it was said becomes a turn of its own; 0.65 s was the most that was seen.
_LAG_MS = 800.0
_ROUNDED_MS = 0.01  # a moment that is calculated from a position, and back, need not give the same


def _size(audio: Optional[bytes]) -> str:
    return "None" if audio is None else f"<{len(audio)} bytes>"


@attrs.frozen(kw_only=True)
class LiveTurn:
    """What one side said in a live session, from one longer silence to the next.

    Attributes:
        speaker: ``"user"`` or ``"assistant"``.
        text: The words.
        start_ms: Where the first word begins on the session's timeline, in milliseconds.
        end_ms: Where the last one ends.
        reason: Why it is over: ``"gap"``, silence followed; ``"stood_still"``, the timeline stood, because no audio was
            sent; ``"reset"``, the session went on over another connection; ``"full"``, it was longer than
            ``QueueLimits.answer`` allows, and goes on in the next; ``"closed"``, the session ended. Only in
            ``conversation.turns``: ``"open"``, it may go on.
        continues: True if it goes on with a turn that was over already: that one was full, or the timeline had stood
            still, or these words came late.
        timeline: The number of the timeline, from 1: one that was reset begins at 0 again.
        started: When its first word was received, in seconds by ``time.monotonic()``; in a recording since its
            beginning.
        audio: What the model said: samples in ``audio_format``, with a little silence around. None if it was not kept,
            and for the user, whose sound no update tells.
        audio_format: The format of ``audio``; None if it is not known.
    """

    speaker: Speaker
    text: str = attrs.field(repr=shortened)
    start_ms: float
    end_ms: float
    reason: TurnEnd
    continues: bool = False
    timeline: int = attrs.field(default=1, repr=False)
    started: float = attrs.field(default=0.0, repr=False)
    audio: Optional[bytes] = attrs.field(default=None, repr=_size)
    audio_format: Optional[SampleFormat] = attrs.field(default=None, repr=False)

    @public_call
    def save_audio(self, target: Union[str, os.PathLike[str], BinaryIO], rate: Optional[int] = None) -> None:
        """Write the audio into a file: ``turn.save_audio("turn.wav")``.

        Args:
            target: A path, whose suffix says what the file becomes: ``.wav``; with the extra ``audio`` ``.mp3``,
                ``.flac``, ``.ogg`` or ``.aiff``; ``.pcm`` or ``.raw`` for the bare samples. Or a binary file object,
                which is given WAV and stays open.
            rate: Samples per second of 16-bit PCM. None: the audio is written in the format in which it came.

        Raises:
            InvalidInputError: The turn has no audio; the message says why.
            ConfigurationError: The suffix is of no kind that can be written. Or the extra ``audio`` is missing, which
                writes this kind of file, or converts to that rate.
        """
        from realtime_sync.audio.converting import write_audio

        if not self.audio or self.audio_format is None:
            raise InvalidInputError(f"this turn has no audio: {self._why_silent()}")
        write_audio(target, self.audio, self.audio_format, rate)

    def _why_silent(self) -> str:
        if self.speaker == "user":
            return "the service sends that of the model alone. What was sent is in a recording (recording=...)"
        if self.audio is None:
            return "it was not kept. session.turns() keeps it, unless keep_audio=False; conversation.turns does not"
        return "the service sent none with these words" if not self.audio else "its format is not known"

    def __str__(self) -> str:
        return f"{self.speaker}: {self.text}"

    def _repr_html_(self) -> str:
        from realtime_sync.conversation.live.html import turn_page

        return turn_page(self)


class LiveTurnCollector:
    """Makes ``LiveTurn`` values of updates. Pure: no I/O, no clock, no lock; feed it from one thread at a time.

    Args:
        gap_ms: A silence of so many milliseconds on the timeline ends a turn.
        keep_audio: True gives the model's turns their sound.
        most_bytes: Of one turn, with its sound; one that becomes larger is given out, and goes on in another.
        audio_format: Of the sound, until the service tells it; None is the service's own, PCM at 24,000 Hz.
        before: What was said before the first update; None: nothing.
    """

    def __init__(
        self,
        gap_ms: float = GAP_MS,
        *,
        keep_audio: bool = False,
        most_bytes: float = math.inf,
        audio_format: Optional[AudioFormat] = None,
        before: Optional[LiveConversation] = None,
    ) -> None:
        self._gap_ms = gap_ms
        self._reader = FragmentReader() if before is None else before._reader.copy()
        self._track = Track() if keep_audio else None
        self._most_bytes = most_bytes
        self._format = sample_format(audio_format or UNSET)
        self._begin_timeline()
        if before is not None:
            self._given_ms.update(before._ends_ms())

    def apply(self, update: ConversationUpdate, at: Optional[float] = None) -> list[LiveTurn]:
        """Take over an update; the turns that are over.

        Args:
            update: the next update of the session.
            at: when it was received, in seconds by any monotonic clock; None: ``update.arrived_at``.
        """
        at = update.arrived_at if at is None else at
        turns = self.pass_time(at)
        fragment = self._reader.read(update, at)
        if self._reader.timeline != self._number:
            turns += self._give_all("reset")
            self._begin_timeline()
        if fragment is not None:
            self._clock.fragment_came(fragment.end_ms, at)
            utterance = self._timeline.add(fragment)
            utterance.heard_ms = self._clock.position_ms(at)
            turns += self._given_if_full(utterance) + self.pass_time(at)  # it may have set the clock forward
        elif isinstance(update, LiveSessionOutputAudioDeltaUpdate):
            self._clock.track_came(at)
            if self._track is not None:
                speaking = self._timeline.utterances["assistant"]
                self._track.add(update.delta, at, speaking)
                turns += [turn for each in speaking.copy() for turn in self._given_if_full(each)]
        elif isinstance(update, LiveSessionStartedUpdate):
            self._format = sample_format(update.session.audio_format or UNSET)
        elif isinstance(update, LiveSessionClosedUpdate):
            turns += self._give_all("closed")
        return turns

    @property
    def next_due(self) -> Optional[float]:
        """When ``pass_time`` is to be called, by the clock of the updates; None: what comes next is another update."""
        open_turns = self._timeline.in_order()
        return min((self._clock.reaches(self._due_ms(each)) for each in open_turns), default=None)

    def pass_time(self, at: float) -> list[LiveTurn]:
        """It is this moment, and no update has come since the last one; the turns that are over."""
        reached = self._clock.reached_ms(at) + _ROUNDED_MS
        turns = self._give([each for each in self._timeline.in_order() if reached >= self._due_ms(each)], "gap")
        return turns + self._give_all("stood_still") if self._clock.is_still(at) else turns

    def rest(self) -> list[LiveTurn]:
        """The session has ended: the turns that are open."""
        return self._give_all("closed")

    def _begin_timeline(self) -> None:
        self._number = self._reader.timeline
        self._timeline = SpokenTimeline(self._gap_ms)
        self._clock = TimelineClock()
        self._given_ms: dict[Speaker, float] = {}  # where the side's turns end that are over
        if self._track is not None:
            self._track.clear()

    def _due_ms(self, utterance: Utterance) -> float:
        """Where the timeline is once no word more of it is expected."""
        return max(utterance.end_ms + self._gap_ms, utterance.heard_ms) + _LAG_MS

    def _given_if_full(self, utterance: Utterance) -> list[LiveTurn]:
        has_sound = self._track is not None and utterance.speaker == "assistant"
        size = utterance.size + (self._track.size if self._track is not None and has_sound else 0)
        return self._give([utterance], "full") if size > self._most_bytes else []

    def _give_all(self, reason: TurnEnd) -> list[LiveTurn]:
        return self._give(self._timeline.in_order(), reason)

    def _give(self, utterances: list[Utterance], reason: TurnEnd) -> list[LiveTurn]:
        turns = [self._turn(each, reason) for each in utterances]
        for each in utterances:
            self._timeline.remove(each)
            self._given_ms[each.speaker] = max(each.end_ms, self._given_ms.get(each.speaker, -math.inf))
        return [turn for turn in turns if turn.text]

    def _turn(self, utterance: Utterance, reason: TurnEnd) -> LiveTurn:
        given_ms = self._given_ms.get(utterance.speaker, -math.inf)
        has_sound = self._track is not None and utterance.speaker == "assistant"
        return turn_of(
            self._timeline,
            utterance,
            reason,
            continues=utterance.start_ms - given_ms < self._gap_ms,
            audio=self._track.sound_of(utterance) if self._track is not None and has_sound else None,
            audio_format=self._format,
        )


def turn_of(
    timeline: SpokenTimeline,
    utterance: Utterance,
    reason: TurnEnd,
    *,
    continues: bool = False,
    audio: Optional[bytes] = None,
    audio_format: Optional[SampleFormat] = None,
) -> LiveTurn:
    """An utterance as it stands."""
    return LiveTurn(
        speaker=utterance.speaker,
        text=timeline.text_of(utterance),
        start_ms=utterance.start_ms,
        end_ms=utterance.end_ms,
        reason=reason,
        continues=continues,
        timeline=utterance.first.timeline,
        started=utterance.first.arrived_at,
        audio=audio,
        audio_format=audio_format,
    )
