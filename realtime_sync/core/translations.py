"""What a translation session says, as it says it."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.core.derived_streams import next_update
from realtime_sync.core.streams import UpdateStream
from realtime_sync.deadline import Deadline
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    SessionClosedUpdate,
    SessionInputTranscriptDeltaUpdate,
    SessionOutputAudioDeltaUpdate,
    SessionOutputTranscriptDeltaUpdate,
)


@attrs.frozen(kw_only=True)
class TranslatedPiece:
    """A piece of a translation: one of ``text``, ``source`` and ``audio``; the others are empty.

    ``text``: of the translation. ``source``: of what was said, where its transcription was asked for. Both are
    fragments to be joined as they are, without spaces. ``audio``: of the translation, PCM16 at 24,000 Hz.
    ``elapsed``: seconds of what was said until here; None where the service does not tell.
    """

    text: str = ""
    source: str = ""
    audio: bytes = attrs.field(default=b"", repr=lambda audio: f"<{len(audio)} bytes>")
    elapsed: Optional[float] = None

    @classmethod
    def of(cls, update: ConversationUpdate) -> Optional[TranslatedPiece]:
        """The piece that an update brings, or None."""
        if isinstance(update, SessionOutputTranscriptDeltaUpdate):
            return cls(text=update.delta, elapsed=_seconds(update.elapsed_ms))
        if isinstance(update, SessionInputTranscriptDeltaUpdate):
            return cls(source=update.delta, elapsed=_seconds(update.elapsed_ms))
        if isinstance(update, SessionOutputAudioDeltaUpdate):
            return cls(audio=update.audio_bytes or b"", elapsed=_seconds(update.elapsed_ms))
        return None


class TranslationStream:
    """An iterator over a translation from now on: ``for piece in TranslationStream(session.subscribe()): ...``.

    Ends once the service has translated all that it heard, after ``session.end_translation()``; otherwise as the
    updates do. ``timeout``: seconds to wait for each piece, then ``WaitTimeoutError`` is raised and iteration may go
    on; None waits as long as the session lives. For one thread; close it when done with it.
    """

    def __init__(self, updates: UpdateStream, timeout: Optional[float] = None) -> None:
        Deadline(timeout)  # refuses what is no time-out, now
        self._updates = updates
        self._timeout = timeout

    def __iter__(self) -> TranslationStream:
        return self

    def __next__(self) -> TranslatedPiece:
        deadline = Deadline(self._timeout)
        while True:
            update = next_update(self._updates, deadline)
            if isinstance(update, SessionClosedUpdate):
                self.close()
                raise StopIteration
            piece = TranslatedPiece.of(update)
            if piece is not None:
                return piece

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._updates.close()

    def __enter__(self) -> TranslationStream:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _seconds(ms: Optional[int]) -> Optional[float]:
    return None if ms is None else ms / 1000
