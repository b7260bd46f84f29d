"""The model's voice on its way to a speaker: a short queue that does not grow.

A live session's output is one track in real time, with its silence. So whatever waits here is delay, and stays delay.
Rules:

1. Silence is not given to the speaker once it has lasted for 300 ms: the speaker sounds silence by itself
   then, and is not ``playing``, which ``HalfDuplex`` asks for. What is soft is no silence: it is played.
2. What comes after such silence waits until ``PREBUFFER_SECONDS`` are there, or have passed. So words keep their
   distances, though their pieces come late, or three at once.
3. The speaker gets no more than ``PREBUFFER_SECONDS`` ahead, and with what waits here, there are at most
   ``MOST_SECONDS``. Beyond that silent frames are dropped first, then the oldest. Nothing is dropped when the user
   interrupts: the model falls silent by itself.

An underrun is counted when the speaker has sounded all it had in the middle of the model's speech; then rule 2 holds.

Locks: ``_lock`` guards all fields; nothing is taken under it, and no device is asked under it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable, Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Change

# What is kept and dropped, is so in frames of this length; and so often the speaker is asked while it plays.
FRAME_SECONDS = 0.02
PREBUFFER_SECONDS = 0.24
MOST_SECONDS = 0.6
# Peaks of 16-bit samples: the service's idle track has up to 20, its softest syllables 44 (2026-10).
_SILENT_PEAK = 32
_HANGOVER_FRAMES = 15


@attrs.frozen(eq=False)
class _Frame:
    samples: bytes
    silent: bool


class PlayOut:
    """See the module. ``put`` is called by the reader thread, ``take`` by the one that writes to the speaker.

    ``unheard()``: seconds that the speaker has and has not sounded. ``now()``: seconds of a clock.

    Attributes:
        underruns: How often the speaker ran dry while the model spoke.
        dropped_silence: Seconds of silence that were dropped to keep the queue short.
        dropped_speech: Likewise of other sound.
    """

    def __init__(
        self, format: SampleFormat, unheard: Callable[[], float], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._format = format
        self._frame_bytes = format.bytes_for(FRAME_SECONDS)
        self._unheard = unheard
        self._now = now
        self._lock = threading.Lock()
        self._changed = Change()
        self._frames: deque[_Frame] = deque()
        self._rest = b""  # the beginning of a frame
        self._silent = _HANGOVER_FRAMES  # so many frames in a row were silent
        self._flowing = False  # frames go to the speaker; else they wait, the first one since:
        self._since = 0.0
        self.underruns = 0
        self.dropped_silence = self.dropped_speech = 0.0

    @property
    def seconds(self) -> float:
        """How much waits here."""
        return len(self._frames) * FRAME_SECONDS

    @property
    def quiet(self) -> bool:
        """True if the model is silent, and nothing of it waits here."""
        return not self._frames and self._silent >= _HANGOVER_FRAMES

    def put(self, samples: bytes) -> None:
        """Take over a piece of the track. Never waits."""
        room = MOST_SECONDS - self._unheard()
        with self._lock:
            self._put(samples)
            self._keep_short(max(0, int(room / FRAME_SECONDS)))
        self._changed.tell()

    def take(self, timeout: float) -> bytes:
        """What the speaker is to have now; nothing if that is nothing until ``timeout`` seconds have passed."""
        return self._changed.wait_for(self._taken, Deadline(timeout), self._again)

    def _put(self, samples: bytes) -> None:
        data = self._rest + samples
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = data[whole:]
        for start in range(0, whole, self._frame_bytes):
            self._add(data[start : start + self._frame_bytes])

    def _add(self, samples: bytes) -> None:
        silent = _peak(samples, self._format) < _SILENT_PEAK
        self._silent = self._silent + 1 if silent else 0
        if self._silent >= _HANGOVER_FRAMES:
            return
        if not self._frames and not self._flowing:
            self._since = self._now()
        self._frames.append(_Frame(samples, silent))

    def _keep_short(self, most: int) -> None:
        """Drop frames until there are no more than ``most``, silent ones first."""
        too_many = len(self._frames) - most
        if too_many <= 0:
            return
        silent = [place for place, frame in enumerate(self._frames) if frame.silent][:too_many]
        dropped = set(silent)
        self._frames = deque(frame for place, frame in enumerate(self._frames) if place not in dropped)
        self.dropped_silence += len(silent) * FRAME_SECONDS
        for _ in range(len(self._frames) - most):
            self._frames.popleft()
            self.dropped_speech += FRAME_SECONDS

    def _taken(self) -> bytes:
        """What the speaker is to have now."""
        unheard = self._unheard()
        with self._lock:
            if not self._flowing:
                waits = len(self._frames) * FRAME_SECONDS
                self._flowing = bool(waits) and max(waits, self._now() - self._since) >= PREBUFFER_SECONDS - 1e-9
            elif not self._frames and unheard <= 0:
                self.underruns += self._silent < _HANGOVER_FRAMES
                self._flowing = False
            return b"".join(self._given(PREBUFFER_SECONDS - unheard)) if self._flowing else b""

    def _given(self, seconds: float) -> list[bytes]:
        """Frames of so many seconds, as far as they are there."""
        given: list[bytes] = []
        while self._frames and (len(given) + 1) * FRAME_SECONDS <= seconds + 1e-9:
            given.append(self._frames.popleft().samples)
        return given

    def _again(self) -> Optional[float]:
        """When to look again, though nothing has come."""
        return FRAME_SECONDS / 2 if self._frames or self._flowing else None


def _peak(samples: bytes, format: SampleFormat) -> int:
    """The largest sample of a frame, as 16-bit PCM has it."""
    values = g711.samples_of(g711.decode(samples, format.wire_type))
    return max(max(values), -min(values))
