"""Voice activity by energy: where speech starts and stops in a stream, in milliseconds of audio, not of wall time."""

from __future__ import annotations

import array
import sys
from typing import Iterator, Optional, Union

import attrs

from realtime_sync.server import g711
from realtime_sync.server.items import BYTES_PER_MS

FRAME_MS = 20
# So many loud frames in a row are speech: a click is not.
_ONSET_FRAMES = 3
# The mean amplitude, of 32768, that the protocol's threshold of 1.0 stands for: 0.5 is then about -41 dBFS.
_FULL_LEVEL = 600
# What semantic VAD would wait for its decision; here it is a longer or shorter silence.
_EAGERNESS_MS = {"low": 1200, "medium": 600, "auto": 600, "high": 300}


@attrs.frozen
class SpeechStarted:
    """Speech began at this millisecond of the session's audio, padding not included."""

    at_ms: int


@attrs.frozen
class SpeechStopped:
    """Speech ended: this is the millisecond at which its audio is cut, the awaited silence included."""

    at_ms: int


class VoiceDetector:
    """Fed with audio in order; says where speech starts and stops.

    ``threshold`` 0 to 1 and ``silence_ms`` as the protocol has them; ``audio_type`` is the input format.
    """

    def __init__(self, threshold: float, silence_ms: int, audio_type: str = "audio/pcm", start_ms: int = 0) -> None:
        self._level = threshold * _FULL_LEVEL
        self._silence_ms = silence_ms
        self._audio_type = audio_type
        self._frame_bytes = FRAME_MS * BYTES_PER_MS[audio_type]
        self._rest = b""
        self._now_ms = start_ms
        self._loud = 0
        self._quiet = 0
        self.speaking = False

    @classmethod
    def from_options(cls, options: dict[str, object], audio_type: str, start_ms: int) -> VoiceDetector:
        """The detector for a session's ``turn_detection``, starting at this millisecond of its audio."""
        if options["type"] == "semantic_vad":
            return cls(0.5, _EAGERNESS_MS[str(options["eagerness"])], audio_type, start_ms)
        threshold, silence = options["threshold"], options["silence_duration_ms"]
        assert isinstance(threshold, (int, float))
        assert isinstance(silence, int)
        return cls(float(threshold), silence, audio_type, start_ms)

    def feed(self, audio: bytes) -> Iterator[Union[SpeechStarted, SpeechStopped]]:
        """Take audio, yield what it brings. Bytes short of a 20 ms frame wait for the next call."""
        data = self._rest + audio
        whole = len(data) // self._frame_bytes * self._frame_bytes
        self._rest = data[whole:]
        for start in range(0, whole, self._frame_bytes):
            loud = self._loudness(data[start : start + self._frame_bytes]) >= self._level
            self._now_ms += FRAME_MS
            found = self._step(loud)
            if found is not None:
                yield found

    def _step(self, loud: bool) -> Optional[Union[SpeechStarted, SpeechStopped]]:
        self._loud, self._quiet = (self._loud + 1, 0) if loud else (0, self._quiet + 1)
        if not self.speaking and self._loud >= _ONSET_FRAMES:
            self.speaking = True
            return SpeechStarted(self._now_ms - _ONSET_FRAMES * FRAME_MS)
        if self.speaking and self._quiet and self._quiet * FRAME_MS >= self._silence_ms:
            self.speaking = False
            return SpeechStopped(self._now_ms)
        return None

    def _loudness(self, frame: bytes) -> float:
        """The mean amplitude of a frame; every third sample of PCM is enough and costs a third."""
        if self._audio_type != "audio/pcm":
            samples = list(map(g711.decode_table(self._audio_type).__getitem__, frame))
            return sum(map(abs, samples)) / len(samples)
        pcm = array.array("h", frame)
        if sys.byteorder == "big":
            pcm.byteswap()
        third = pcm[::3]
        return sum(map(abs, third)) / len(third)
