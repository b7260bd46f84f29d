"""The input audio buffer: what was appended and not yet committed, counted in milliseconds of the session's audio."""

from __future__ import annotations

from realtime_sync.server.audio_formats import BYTES_PER_MS
from realtime_sync.server.wire import Refused

_MAX_APPEND = 15 * 1024 * 1024
_MIN_COMMIT_MS = 100


class AudioBuffer:
    """Bytes in the session's input format. Not locked: its session's lock guards it."""

    def __init__(self, audio_type: str = "audio/pcm") -> None:
        self._data = bytearray()
        self.audio_type = audio_type
        self._received_before = 0.0  # milliseconds that were received in an earlier format
        self._received = 0  # bytes of this format, committed and dropped ones included

    @property
    def received_ms(self) -> float:
        """Milliseconds appended since the session began."""
        return self._received_before + self._received / BYTES_PER_MS[self.audio_type]

    @property
    def length_ms(self) -> float:
        """Milliseconds that are in the buffer now."""
        return len(self._data) / BYTES_PER_MS[self.audio_type]

    def set_format(self, audio_type: str) -> None:
        """Change the format of what comes; what is there in the old one is dropped, which could only be noise."""
        if audio_type != self.audio_type:
            self._received_before, self._received = self.received_ms, 0
            self.audio_type = audio_type
            self._data.clear()

    def append(self, audio: bytes) -> None:
        """Add audio; ``Refused`` above 15 MiB at once."""
        if len(audio) > _MAX_APPEND:
            message = f"Invalid 'audio': too long. Expected at most {_MAX_APPEND} bytes, but got {len(audio)} instead."
            raise Refused("string_above_max_length", message, "audio")
        self._data += audio
        self._received += len(audio)

    def take_until(self, ms: float) -> bytes:
        """Take out what was received up to this millisecond of the session; the rest stays."""
        taken = self.peek_until(ms)
        del self._data[: len(taken)]
        return taken

    def peek_until(self, ms: float) -> bytes:
        """What was received up to this millisecond of the session; all of it stays."""
        first_ms = self.received_ms - self.length_ms
        size = int(max(0.0, ms - first_ms) * BYTES_PER_MS[self.audio_type]) // 2 * 2  # between samples
        return bytes(self._data[:size])

    def commit(self) -> bytes:
        """Take everything out; ``Refused`` if it is less than 100 ms."""
        if self.length_ms < _MIN_COMMIT_MS:
            raise Refused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_MIN_COMMIT_MS}ms of audio, but buffer only has {self.length_ms:.2f}ms of audio.",
            )
        return self.clear()

    def clear(self) -> bytes:
        """Empty the buffer; returns what was in it."""
        taken = bytes(self._data)
        self._data.clear()
        return taken
