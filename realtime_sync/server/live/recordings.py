"""What is kept of the sound of stored live sessions: for each side of one a file, which has no name."""

from __future__ import annotations

import contextlib
import logging
import struct
import tempfile
import threading
from collections.abc import Iterator

from realtime_sync.audio.g711 import pcm_of, samples_of
from realtime_sync.server.live.sound import BYTES_PER_MS, at_24_khz
from realtime_sync.server.voice import SAMPLE_RATE
from realtime_sync.server.wire import Json

_log = logging.getLogger("realtime_sync.server")
_CHUNK = 1 << 16
_USER, _MODEL = 0, 1


class TwinRecording:
    """The two sides of a session, each piece at its place on the timeline. A ``Watcher``.

    ``is_lost``: whether it could not be written (a full disk), so that nothing of it is kept.
    """

    def __init__(self, audio_format: Json) -> None:
        self._format = audio_format
        self._lock = threading.Lock()  # guards the files and their lengths
        self._sides = (tempfile.TemporaryFile(), tempfile.TemporaryFile())  # noqa: SIM115  closed by close()
        self._lengths = [0, 0]
        self.is_lost = False

    def on_event(self, text: str, event: Json) -> None:
        """See ``Watcher``."""

    def on_input_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``."""
        self._put(_USER, audio, start_ms)

    def on_output_audio(self, audio: bytes, start_ms: float) -> None:
        """See ``Watcher``."""
        self._put(_MODEL, audio, start_ms)

    def _put(self, side: int, audio: bytes, start_ms: float) -> None:
        with self._lock:
            file = self._sides[side]
            if file.closed:
                return
            try:
                # What is between two pieces reads as zeros, which are silence.
                file.seek(max(self._lengths[side], round(start_ms) * BYTES_PER_MS))
                file.write(at_24_khz(audio, self._format))
                self._lengths[side] = file.tell()
            except OSError:  # the session, and the clock's thread, go on without it
                _log.exception("a live session cannot be recorded any more")
                self.is_lost = True
                self._forget()

    def wav(self) -> tuple[int, Iterator[bytes]]:
        """A WAV, left the user, right the model: how many bytes it has, and they, piece by piece."""
        with self._lock:
            length = max(self._lengths)
        head = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + 2 * length, b"WAVE", b"fmt ", 16, 1, 2, SAMPLE_RATE, 4 * SAMPLE_RATE, 4, 16),
            *(b"data", 2 * length),
        )
        return len(head) + 2 * length, self._pieces(head, length)

    def _pieces(self, head: bytes, length: int) -> Iterator[bytes]:
        yield head
        for at in range(0, length, _CHUNK):
            count = min(_CHUNK, length - at)
            both = samples_of(bytes(2 * count))
            for side in (_USER, _MODEL):
                both[side::2] = samples_of(self._read(side, at, count))
            yield pcm_of(both)

    def _read(self, side: int, at: int, count: int) -> bytes:
        with self._lock:
            if self._sides[side].closed:
                raise ConnectionAbortedError("the recording was forgotten while it was downloaded")
            self._sides[side].seek(at)
            return self._sides[side].read(count).ljust(count, b"\0")

    def close(self) -> None:
        """Forget it."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        for file in self._sides:
            with contextlib.suppress(OSError):  # of what it had not written yet
                file.close()
