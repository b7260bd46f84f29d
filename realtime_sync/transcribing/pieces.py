"""Audio cut at pauses into pieces of bounded length, each of which is committed and transcribed by itself.

Voice activity detection of the service would cut as well, but the models made for transcription have none
(``gpt-live-transcribe`` and ``gpt-realtime-whisper``, 2026), and with it nobody knows which transcript is the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.errors import InvalidInputError

_FRAME_SECONDS = 0.02
_PAUSE = round(0.5 / _FRAME_SECONDS)
_WINDOW = round(0.1 / _FRAME_SECONDS)  # a cut is made in the middle of the quietest tenth of a second
_MARGIN = round(0.2 / _FRAME_SECONDS)  # of the silence around speech, so much is kept
_SILENCE = 16  # mean amplitude, of 32,768: -66 dBFS; below is nothing that anybody said
_QUIET = 0.08  # of the loudest speech lately: -22 dB
_FORGETTING = 0.5 ** (_FRAME_SECONDS / 10)  # a frame; by half in 10 s, for a soft voice may follow a loud one
# The service refuses to commit less than 0.1 s.
_LEAST_SECONDS = 0.2


@attrs.frozen(kw_only=True)
class SpeechPiece:
    """Audio to be committed, PCM16; all times are seconds of the source.

    ``audio_start``: where the audio begins. ``start``, ``end``: where the speech in it does, about.
    """

    audio: bytes = attrs.field(repr=lambda audio: f"<{len(audio)} bytes>")
    audio_start: float
    start: float
    end: float


def pieces(
    chunks: Iterable[bytes], *, longest: float = 15.0, shortest: float = 3.0, format: SampleFormat = PCM
) -> Iterator[SpeechPiece]:
    """Cut PCM16 (``format``: at which rate), in chunks of any length, into pieces.

    ``longest``: seconds of a piece at most; where no pause comes within them, it is cut at its quietest place.
    ``shortest``: a piece that has less speech, which a model would understand worse, is ended by no pause but one that
    is at least as long. Silence at the ends of a piece, and pieces of nothing but silence, are left out.

    Raises InvalidInputError.
    """
    if not 0 <= shortest < longest or not 1 <= longest <= 600:
        raise InvalidInputError(
            f"a piece must be 1 to 600 seconds long, and shortest below longest, not {longest=}, {shortest=}"
        )
    cutter = _Cutter(round(longest / _FRAME_SECONDS), round(shortest / _FRAME_SECONDS), format)
    for chunk in chunks:
        yield from cutter.feed(chunk)
    yield from cutter.rest()


class _Cutter:
    """The audio that is not given out yet, and how loud each of its frames is."""

    def __init__(self, longest: int, shortest: int, format: SampleFormat) -> None:
        self._longest, self._shortest = longest, shortest
        self._frame, self._least = format.bytes_for(_FRAME_SECONDS), format.bytes_for(_LEAST_SECONDS)
        self._audio = bytearray()
        self._levels: list[float] = []
        self._begin = 0  # the frame of the source at which _audio begins
        self._peak = float(_SILENCE)
        self._speech: Optional[int] = None  # the first loud frame
        self._quiet = 0  # how many frames have been quiet, up to the last

    @property
    def _threshold(self) -> float:
        """What is louder is speech, as far as cutting goes; never a reason to leave audio out."""
        return max(_SILENCE, _QUIET * self._peak)

    def feed(self, chunk: bytes) -> Iterator[SpeechPiece]:
        self._audio += chunk
        while len(self._audio) >= (len(self._levels) + 1) * self._frame:
            start = len(self._levels) * self._frame
            self._hear(_level(bytes(self._audio[start : start + self._frame])))
            yield from self._cut_where_it_is_time()

    def rest(self) -> Iterator[SpeechPiece]:
        tail = bytes(self._audio[len(self._levels) * self._frame :])
        if len(tail) > 1:
            self._levels.append(_level(tail))
        yield from self._give(len(self._levels))

    def _hear(self, level: float) -> None:
        self._peak = max(self._peak * _FORGETTING, level, _SILENCE)
        self._levels.append(level)
        if level < self._threshold:
            self._quiet += 1
            return
        self._quiet = 0
        if self._speech is None:
            self._speech = len(self._levels) - 1

    def _cut_where_it_is_time(self) -> Iterator[SpeechPiece]:
        count = len(self._levels)
        spoken = 0 if self._speech is None else count - self._speech - self._quiet
        if self._speech is not None and self._quiet >= _PAUSE and max(spoken, self._quiet) >= self._shortest:
            yield from self._give(self._quietest(count - self._quiet, count))
        elif count >= self._longest:
            yield from self._give(self._quietest(count // 2, count))

    def _quietest(self, first: int, last: int) -> int:
        """The frame in the middle of the quietest window; of several, of the middle one."""
        sums = [sum(self._levels[at : at + _WINDOW]) for at in range(first, max(first, last - _WINDOW) + 1)]
        least = min(sums)
        places = [index for index, value in enumerate(sums) if value == least]
        return first + places[len(places) // 2] + _WINDOW // 2

    def _give(self, count: int) -> Iterator[SpeechPiece]:
        """The first so many frames as a piece, where there is sound in them."""
        levels = self._levels[:count]
        end = count * self._frame if count < len(self._levels) else len(self._audio)
        found = self._trimmed(bytes(self._audio[:end]), levels)
        del self._audio[:end], self._levels[:count]
        self._begin += count
        self._quiet = min(self._quiet, len(self._levels))
        self._speech = next((at for at, level in enumerate(self._levels) if level >= self._threshold), None)
        if found is not None:
            yield found

    def _trimmed(self, audio: bytes, levels: list[float]) -> Optional[SpeechPiece]:
        """Without the silence at its ends; None if there is nothing else."""
        sounding = [at for at, level in enumerate(levels) if level >= _SILENCE]
        if not sounding:
            return None
        first, last = max(0, sounding[0] - _MARGIN), sounding[-1] + 1 + _MARGIN
        audio = audio[first * self._frame : last * self._frame]
        audio = audio[: len(audio) // 2 * 2]
        threshold = _QUIET * max(levels)
        loud = [at for at, level in enumerate(levels) if level >= threshold]
        return SpeechPiece(
            audio=audio.ljust(self._least, b"\0"),
            audio_start=(self._begin + first) * _FRAME_SECONDS,
            start=(self._begin + loud[0]) * _FRAME_SECONDS,
            end=(self._begin + loud[-1] + 1) * _FRAME_SECONDS,
        )


def _level(frame: bytes) -> float:
    """The mean amplitude of every third sample: enough of 24,000 a second, for a third of the cost."""
    some = g711.samples_of(frame)[::3]
    return sum(map(abs, some)) / len(some)
