"""Voice activity: where speech starts and stops in a stream, in milliseconds of audio, not of wall time."""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping, Optional, Union

import attrs

from realtime_sync.audio.g711 import samples_of
from realtime_sync.server.audio_formats import RATES, to_pcm
from realtime_sync.server.speech.protocols import SpeechStream, VoiceActivityDetector

FRAME_MS = 20
# So much speech without a gap begins a turn: a click does not.
_ONSET_MS = 60
# The mean amplitude, of 32768, that the protocol's threshold of 1.0 stands for: 0.5 is then about -41 dBFS.
_FULL_LEVEL = 600
# What semantic VAD would wait for its decision; here it is a longer or shorter silence.
_EAGERNESS_MS = {"low": 1200, "medium": 600, "auto": 600, "high": 300}
_WANT_MORE = "a an and as at because but by for from if in my of or so than that the to uh um when with"


@attrs.frozen
class SpeechStarted:
    """Speech began at this millisecond of the session's audio, padding not included."""

    at_ms: int


@attrs.frozen
class SpeechPaused:
    """Nobody has spoken for a while, which may be the end of the turn, depending on what was said so far."""

    at_ms: int


@attrs.frozen
class SpeechStopped:
    """Speech ended: this is the millisecond at which its audio is cut, the awaited silence included."""

    at_ms: int


class EnergyDetector:
    """The detector that needs no package: whatever is loud enough is speech."""

    def load(self) -> None:
        """Nothing is needed."""

    def listen(self, rate: int) -> EnergyStream:
        """See ``VoiceActivityDetector.listen``."""
        return EnergyStream(rate)


class EnergyStream:
    """See ``SpeechStream``."""

    frame_ms = FRAME_MS
    release = 0.0

    def __init__(self, rate: int) -> None:
        self._frame_bytes = 2 * rate * FRAME_MS // 1000
        self._step = rate // 8000  # every third sample of 24 kHz is enough, and costs a third
        self._rest = b""

    def feed(self, pcm: bytes) -> Iterator[float]:
        """See ``SpeechStream.feed``."""
        data = self._rest + pcm
        whole = len(data) // self._frame_bytes * self._frame_bytes
        self._rest = data[whole:]
        for start in range(0, whole, self._frame_bytes):
            yield min(1.0, self._loudness(data[start : start + self._frame_bytes]) / _FULL_LEVEL)

    def _loudness(self, frame: bytes) -> float:
        """The mean amplitude of a frame."""
        some = samples_of(frame)[:: self._step]
        return sum(map(abs, some)) / len(some)


def timing(options: Mapping[str, Any], *, pauses: bool) -> tuple[float, int, Optional[int]]:
    """The threshold, the silence and the pause that a session's ``turn_detection`` asks a detector for.

    ``pauses``: whether semantic VAD shall tell of pauses, and wait twice as long for the end by itself.
    """
    if options["type"] != "semantic_vad":
        return float(options["threshold"]), options["silence_duration_ms"], None
    patience = _EAGERNESS_MS[options["eagerness"]]
    return (0.5, 2 * patience, patience) if pauses else (0.5, patience, None)


@attrs.define(eq=False)
class VoiceDetector:
    """Fed with audio in order; says where speech starts and stops.

    ``threshold`` 0 to 1 and ``silence_ms`` as the protocol has them; ``audio_type`` is the input format. ``now_ms``:
    where in the session's audio it begins. ``pause_ms``: the silence that is told as a pause, once in each silence;
    None tells of none. ``detector``: None is energy.
    """

    _threshold: float
    _silence_ms: int
    _audio_type: str = "audio/pcm"
    _now_ms: int = 0
    _pause_ms: Optional[int] = None
    _detector: Optional[VoiceActivityDetector] = attrs.field(default=None, kw_only=True)
    _stream: SpeechStream = attrs.field(init=False)
    _loud: int = attrs.field(default=0, init=False)  # frames
    _quiet_ms: int = attrs.field(default=0, init=False)
    _paused: bool = attrs.field(default=False, init=False)
    speaking: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._stream = (self._detector or EnergyDetector()).listen(RATES[self._audio_type])

    @property
    def in_pause(self) -> bool:
        """True from a pause that was told until speech goes on or stops."""
        return self.speaking and self._paused

    def feed(self, audio: bytes) -> Iterator[Union[SpeechStarted, SpeechPaused, SpeechStopped]]:
        """Take audio, yield what it brings. What is short of a frame waits for the next call."""
        for likely in self._stream.feed(to_pcm(audio, self._audio_type)):
            release = self._stream.release if self.speaking else 0.0
            self._now_ms += self._stream.frame_ms
            found = self._step(likely >= max(0.01, self._threshold - release))
            if found is not None:
                yield found

    def stop(self) -> SpeechStopped:
        """End the speech that goes on, here."""
        self.speaking = self._paused = False
        return SpeechStopped(self._now_ms)

    def _step(self, loud: bool) -> Optional[Union[SpeechStarted, SpeechPaused, SpeechStopped]]:
        if loud:
            self._loud, self._quiet_ms, self._paused = self._loud + 1, 0, False
        else:
            self._loud, self._quiet_ms = 0, self._quiet_ms + self._stream.frame_ms
        onset_frames = -(-_ONSET_MS // self._stream.frame_ms)
        if not self.speaking and self._loud >= onset_frames:
            self.speaking = True
            return SpeechStarted(self._now_ms - onset_frames * self._stream.frame_ms)
        if self.speaking and self._quiet_ms and self._quiet_ms >= self._silence_ms:
            return self.stop()
        if self.speaking and self._pause_ms is not None and not self._paused and self._quiet_ms >= self._pause_ms:
            self._paused = True
            return SpeechPaused(self._now_ms)
        return None


def sounds_finished(text: str) -> bool:
    """Whether this is the end of a turn: semantic VAD, as a heuristic with no model behind it.

    A sentence that the recogniser ended with a full stop, a question or an exclamation mark, and that does not end
    with a word that wants another, ends the turn at the first pause (of 300, 600 or 1200 ms, for high, medium and low
    eagerness); anything else is given twice that time.
    """
    words = re.findall(r"[a-z']+|\d+", text.lower())
    ended = text.rstrip().endswith((".", "?", "!")) and not text.rstrip().endswith("...")
    return ended and bool(words) and words[-1] not in _WANT_MORE.split()
