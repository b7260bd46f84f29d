"""When each side was to be heard: pieces of audio placed in time, in samples at 24,000 Hz since the recording began.

The user: a piece begins when it was sent, or where the one before it ends, if that is later: a file that is sent faster
than it is spoken is contiguous. A microphone's pieces come with a jitter, so a small gap is none.

The model: a piece begins when it came, or where the one before it ends: the position of a player that plays all that
comes. A truncation, by the client's command or told by the server, cuts its item's audio for good.

In a live session (GPT-Live) the model's track is continuous, and comes ``BEHIND`` seconds after the user's audio that
it belongs to: its pieces are placed so much before they came.
"""

from __future__ import annotations

import array
import bisect
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation.live.turns import LiveTurn
from realtime_sync.protocol import updates
from realtime_sync.protocol.commands import (
    ConversationItemTruncateCommand,
    InputAudioBufferAppendCommand,
    SessionInputAudioBufferAppendCommand,
)
from realtime_sync.protocol.dialects import ProtocolName
from realtime_sync.protocol.items import decode_base64
from realtime_sync.protocol.live.commands import LiveSessionInputAudioAppendCommand
from realtime_sync.protocol.live.updates import LiveSessionInputAudioAppendUpdate, LiveSessionOutputAudioDeltaUpdate
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.recording.layout import FormatTracker
from realtime_sync.recording.recording import Recording

RATE = PCM.rate
"""Samples a second of a track (Hz)."""
BEHIND = 0.8
"""Seconds by which a live session's model is behind the user's audio. The words of both come as late as its sound."""
_JITTER = RATE // 10  # a pause that is shorter is a microphone's or a network's


@attrs.define
class Piece:
    """Audio that was one message's. ``start`` and ``length`` in samples of the track; ``data`` is as it came.

    ``item_id`` and ``content_index``: whose, of the model's. ``came``: when the message came, in seconds.
    """

    start: int
    length: int
    data: bytes = attrs.field(repr=False)
    format: SampleFormat = attrs.field(repr=False)
    item_id: str = ""
    content_index: int = 0
    came: float = 0.0

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + self.length

    def pcm(self) -> bytes:
        """Its samples as 16-bit little endian PCM at 24,000 Hz, as many as it is long."""
        samples = g711.decode(self.data, self.format.wire_type)
        return resampled(samples, self.format.rate)[: 2 * self.length]


@attrs.define
class Span:
    """From when to when, in seconds since the recording began."""

    start: float
    end: float


@attrs.define
class Tracks:
    """Both sides of a recording.

    ``user``, ``model``: the pieces in order, none over another. ``cut``: of the model's audio what nobody heard, where
    it would have been. ``speech``: where the service heard the user speak. ``said``: in a live session, where the model
    spoke.
    """

    user: list[Piece] = attrs.field(factory=list)
    model: list[Piece] = attrs.field(factory=list)
    cut: list[Piece] = attrs.field(factory=list)
    speech: list[Span] = attrs.field(factory=list)
    said: list[Span] = attrs.field(factory=list)

    @classmethod
    def of(cls, recording: Recording) -> Tracks:
        """Place all audio of a recording."""
        tracks = cls()
        (_LivePlacing if recording.protocol == "live" else _Placing)(tracks, recording.protocol).run(recording)
        return tracks

    @property
    def samples(self) -> int:
        """How long they are together."""
        return max((piece.end for piece in (*self.user, *self.model)), default=0)


class _Placing:
    """One pass over a recording."""

    def __init__(self, tracks: Tracks, protocol: ProtocolName) -> None:
        self.tracks = tracks
        self._formats = FormatTracker(protocol)
        self._cuts: dict[tuple[str, int], int] = {}  # milliseconds that were heard
        self._buffered: list[Piece] = []  # the user's, of this connection: the service counts their time
        self._speaking: Optional[float] = None
        self._connection = 0

    def run(self, recording: Recording) -> None:
        for entry in recording.entries:
            if entry.connection != self._connection:
                self._connection, self._buffered = entry.connection, []
            if entry.direction == "in":
                self._told(recording.decoded(entry), entry.t)
            else:
                self._sent(recording.command(entry), entry.t)
        if self._speaking is not None:
            self.tracks.speech.append(Span(self._speaking, max(self._speaking, recording.duration)))

    def _sent(self, command: Any, at: float) -> None:
        if isinstance(command, (InputAudioBufferAppendCommand, SessionInputAudioBufferAppendCommand)):
            piece = self._piece("out", decode_base64(command.audio), at)
            if piece is not None:
                _follow(self.tracks.user, piece)
                self._buffered.append(piece)
        elif isinstance(command, ConversationItemTruncateCommand):
            self._truncate(command.item_id, command.content_index, command.audio_end_ms)

    def _told(self, update: ConversationUpdate, at: float) -> None:
        self._formats.see(update)
        if isinstance(update, (updates.ResponseOutputAudioDeltaUpdate, updates.SessionOutputAudioDeltaUpdate)):
            self._play(update, at)
        elif isinstance(update, updates.ConversationItemTruncatedUpdate):
            self._truncate(update.item_id, update.content_index, update.audio_end_ms)
        elif isinstance(update, updates.OutputAudioBufferClearedUpdate):  # the service plays (WebRTC, SIP), and stopped
            self._stop(round(at * RATE))
        elif isinstance(update, updates.InputAudioBufferSpeechStartedUpdate):
            self._speaking = self._buffer_time(update.audio_start_ms, at)
        elif isinstance(update, updates.InputAudioBufferSpeechStoppedUpdate):
            end = self._buffer_time(update.audio_end_ms, at)
            start = end if self._speaking is None else self._speaking
            self.tracks.speech.append(Span(start, max(start, end)))
            self._speaking = None

    def _play(self, update: Any, at: float) -> None:
        piece = self._piece("in", update.audio_bytes, at)
        if piece is None:
            return
        piece.item_id, piece.content_index = getattr(update, "item_id", ""), getattr(update, "content_index", 0)
        piece.start = max(piece.start, self.tracks.model[-1].end if self.tracks.model else 0)
        # What was in flight when its item was truncated is not played.
        heard = (piece.item_id, piece.content_index) not in self._cuts
        (self.tracks.model if heard else self.tracks.cut).append(piece)

    def _piece(self, direction: str, data: Optional[bytes], at: float) -> Optional[Piece]:
        format = self._formats.formats[direction]
        if not data or format is None:
            return None
        length = len(data) // format.sample_bytes * RATE // format.rate
        return Piece(round(at * RATE), length, data, format, came=at) if length else None

    def _truncate(self, item_id: str, content_index: int, heard_ms: int) -> None:
        """The item was heard for so long, and no longer; of several times the first is what the client meant."""
        key = item_id, content_index
        if key in self._cuts:
            return
        self._cuts[key] = heard_ms
        left = max(0, heard_ms) * RATE // 1000
        kept: list[Piece] = []
        for piece in self.tracks.model:
            if (piece.item_id, piece.content_index) != key:
                kept.append(piece)
                continue
            kept += self._split(piece, left)
            left = max(0, left - piece.length)
        self.tracks.model = kept

    def _stop(self, position: int) -> None:
        """Nothing is heard after this sample of what has come so far."""
        self.tracks.model = [part for piece in self.tracks.model for part in self._split(piece, position - piece.start)]

    def _split(self, piece: Piece, samples: int) -> list[Piece]:
        """Keep so many samples of a piece; the rest goes to what was cut."""
        if samples >= piece.length:
            return [piece]
        samples = max(0, samples)
        rest = attrs.evolve(piece, start=piece.start + samples, length=piece.length - samples, data=b"")
        self.tracks.cut.append(rest)
        return [attrs.evolve(piece, length=samples)] if samples else []

    def _buffer_time(self, position_ms: int, at: float) -> float:
        """When that moment of the input buffer was, of all audio of this connection; else when it was told."""
        left = max(0, position_ms) * RATE // 1000
        for piece in self._buffered:
            if left < piece.length:
                return (piece.start + left) / RATE
            left -= piece.length
        return self._buffered[-1].end / RATE if self._buffered and left < RATE else at


class _LivePlacing(_Placing):
    """The same for a live session: nothing is cut, and what the model says has its silences."""

    def run(self, recording: Recording) -> None:
        super().run(recording)
        turns = recording.live_turns()
        self.tracks.speech = [turn_span(turn) for turn in turns if turn.speaker == "user"]
        self.tracks.said = [turn_span(turn) for turn in turns if turn.speaker == "assistant"]

    def _sent(self, command: Any, at: float) -> None:
        if isinstance(command, LiveSessionInputAudioAppendCommand):
            piece = self._piece("out", decode_base64(command.audio), at)
            if piece is not None:
                _follow(self.tracks.user, piece)

    def _told(self, update: ConversationUpdate, at: float) -> None:
        self._formats.see(update)
        if isinstance(update, LiveSessionOutputAudioDeltaUpdate):
            piece = self._piece("in", update.audio_bytes, max(0.0, at - BEHIND))
            if piece is not None:
                _follow(self.tracks.model, piece)
        elif isinstance(update, LiveSessionInputAudioAppendUpdate):  # to a sideband: both sides come so, as PCM
            self._formats.formats = {"out": PCM, "in": PCM}
            piece = self._piece("out", update.audio_bytes, at)
            if piece is not None:
                _follow(self.tracks.user, piece)


def turn_span(turn: LiveTurn) -> Span:
    """When a turn of a recorded live session was said, in seconds since the recording began."""
    start = max(0.0, turn.started - BEHIND)
    return Span(start, start + (turn.end_ms - turn.start_ms) / 1000)


def _follow(track: list[Piece], piece: Piece) -> None:
    """Add a piece in its place, or right behind the one before it if that ends later, or hardly earlier."""
    if track and piece.start - track[-1].end < _JITTER:
        piece.start = track[-1].end
    track.append(piece)


def resampled(pcm: bytes, rate: int) -> bytes:
    """16-bit samples of this rate at 24,000 Hz, by straight lines: enough to listen to what a telephone carried."""
    if rate == RATE:
        return pcm
    source = g711.samples_of(pcm)
    count, last = len(source) * RATE // rate, len(source) - 1
    places = (divmod(index * rate, RATE) for index in range(count))
    made = (source[at] + (source[min(at + 1, last)] - source[at]) * rest // RATE for at, rest in places)
    return g711.pcm_of(array.array("h", made))


def between(pieces: Sequence[Piece], start: int, end: int) -> Iterator[Piece]:
    """Those of a track's pieces that are heard within these samples."""
    first = bisect.bisect_right(pieces, start, key=lambda piece: piece.end)
    return itertools.takewhile(lambda piece: piece.start < end, itertools.islice(pieces, first, None))
