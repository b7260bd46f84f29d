"""The model's sound: one track in real time, with its silences, cut into deltas."""

from __future__ import annotations

import array
import collections
from typing import Iterator, Mapping

from realtime_sync.audio.g711 import encode, pcm_of, samples_of
from realtime_sync.server.voice import SAMPLE_RATE, narrow
from realtime_sync.server.wire import Json

DELTA_MS = 100


class OutputTrack:
    """What sounds when, in the session's format. Time passes by ``advance``; what is ready comes out of ``take``."""

    def __init__(self, audio_format: Json) -> None:
        self._type, self._rate = str(audio_format["type"]), int(audio_format["rate"])
        self.bytes_per_ms = bytes_per_ms(audio_format)
        self._silent = silence_of(audio_format)
        self._waiting: collections.deque[bytes] = collections.deque()
        self._ready = bytearray()
        self._rest_ms = 0.0  # of a millisecond, not made into samples yet

    @property
    def is_silent(self) -> bool:
        """Whether nothing sounds, or is about to."""
        return not self._waiting

    @property
    def ready_ms(self) -> float:
        """Milliseconds that have passed and were not taken."""
        return len(self._ready) / self.bytes_per_ms

    def play(self, pcm: bytes) -> None:
        """Have this sound, PCM16 at 24,000 Hz, from now on, or once that is over which sounds."""
        if pcm:
            self._waiting.append(self._encoded(pcm))

    def hush(self) -> None:
        """Nothing more sounds of what was to."""
        self._waiting.clear()

    def advance(self, ms: float) -> None:
        """So much time passes."""
        self._rest_ms += ms
        samples = int(self._rest_ms * self._rate / 1000 + 1e-6)
        self._rest_ms -= samples * 1000 / self._rate
        missing = samples * self.bytes_per_ms * 1000 // self._rate
        while missing and self._waiting:
            sounding = self._waiting.popleft()
            self._ready += sounding[:missing]
            if len(sounding) > missing:
                self._waiting.appendleft(sounding[missing:])
            missing = max(0, missing - len(sounding))
        self._ready += self._silent * missing

    def take(self, *, rest: bool = False) -> Iterator[bytes]:
        """The deltas that are ready; with ``rest``, also what is short of one."""
        size = DELTA_MS * self.bytes_per_ms
        while len(self._ready) >= size or (rest and self._ready):
            delta = bytes(self._ready[:size])
            del self._ready[:size]
            yield delta

    def _encoded(self, pcm: bytes) -> bytes:
        if self._type != "audio/pcm":
            return encode(narrow(pcm), self._type)
        return pcm if self._rate == SAMPLE_RATE else _two_thirds(pcm)


_SILENCE: Mapping[str, bytes] = {"audio/pcm": b"\0", "audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}


def silence_of(audio_format: Json) -> bytes:
    """The byte of which silence is made."""
    return _SILENCE[str(audio_format["type"])]


def bytes_per_ms(audio_format: Json) -> int:
    """How large a millisecond is."""
    return int(audio_format["rate"]) // 1000 * (2 if audio_format["type"] == "audio/pcm" else 1)


def _two_thirds(pcm: bytes) -> bytes:
    """24 kHz PCM16 at 16 kHz: of three samples the first, and the mean of the two others."""
    samples = samples_of(pcm[: len(pcm) // 6 * 6])
    made = array.array("h", bytes(len(samples) // 3 * 4))
    made[0::2] = samples[0::3]
    made[1::2] = array.array("h", ((a + b) // 2 for a, b in zip(samples[1::3], samples[2::3], strict=True)))
    return pcm_of(made)
