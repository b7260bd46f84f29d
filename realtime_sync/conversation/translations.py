"""What a translation session says, piece by piece."""

from __future__ import annotations

from typing import Optional

import attrs

from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    SessionInputTranscriptDeltaUpdate,
    SessionOutputAudioDeltaUpdate,
    SessionOutputTranscriptDeltaUpdate,
)


@attrs.frozen(kw_only=True)
class TranslatedPiece:
    """A piece of a translation: one of ``text``, ``source`` and ``audio``; the others are empty.

    Attributes:
        text: of the translation; a fragment, to be joined to the next one without a space.
        source: of what was said, if its transcription was asked for; a fragment as well.
        audio: of the translation, PCM16 at 24,000 Hz.
        elapsed: seconds of what was said until here; None if the service does not report it.
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


class TranslationCollector:
    """Makes ``TranslatedPiece`` of a translation session's updates. Pure."""

    def apply(self, update: ConversationUpdate) -> list[TranslatedPiece]:
        """The piece that an update brings, if it brings one."""
        piece = TranslatedPiece.of(update)
        return [] if piece is None else [piece]

    def rest(self) -> list[TranslatedPiece]:
        """Nothing: pieces are complete as they come."""
        return []


def _seconds(ms: Optional[int]) -> Optional[float]:
    return None if ms is None else ms / 1000
