"""The formats of a session's audio, as its frames tell them."""

from __future__ import annotations

from typing import Optional

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.conversation.accumulator import sample_format
from realtime_sync.protocol import codec
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.update_base import ConversationUpdate, SessionUpdateBase


class FormatTracker:
    """The formats in force; feed it the server's frames, as texts or as updates.

    By direction: ``out`` is what the user says, ``in`` what the model says; None for one that this library does not
    know.
    """

    def __init__(self) -> None:
        self.formats: dict[str, Optional[SampleFormat]] = {"out": PCM, "in": PCM}

    def see_text(self, text: str, dialect: Dialect) -> None:
        """Learn from a frame; those that cannot tell of a session are not parsed."""
        if 'session.created"' in text or 'session.updated"' in text:
            self.see(codec.decode(text, dialect))

    def see(self, update: ConversationUpdate) -> None:
        """Learn from an update."""
        if isinstance(update, SessionUpdateBase):
            session = update.session
            told = {"out": session.input_audio_format, "in": session.output_audio_format}
            self.formats = {side: sample_format(format) for side, format in told.items()}
