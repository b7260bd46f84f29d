"""A ready clip that is played to the user of a live session in place of the model's voice."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.wire import Json, Refused

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_BYTES_PER_SECOND = 48_000  # PCM16 at 24,000 Hz, whatever the session's format
_MOST_SECONDS = 30


class TwinFixture:
    """The clip of one session. Every method is called under its lock."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self.is_playing = False

    def play(self, message: Json) -> None:
        """Play a clip: the model goes silent, and hears nothing meanwhile. Raises ``Refused``."""
        if self.is_playing:
            raise Refused("invalid_event", "A fixture is playing already.")
        clip = decoded(message["audio"], 2)
        seconds = len(clip) / _BYTES_PER_SECOND
        if seconds > _MOST_SECONDS:
            raise Refused("invalid_audio", f"A fixture may have at most {_MOST_SECONDS} seconds of audio.", "audio")
        session, event_id = self._session, message.get("event_id")
        self.is_playing = True
        session.mouth.hush()
        session.emit({"type": "session.output_audio.fixture.playing"}, event_id)
        session.track.play(clip)
        session.schedule.add(session.model_ms + 1000 * seconds, lambda: self._played(event_id))

    def _played(self, event_id: Optional[str]) -> None:
        self.is_playing = False
        self._session.emit({"type": "session.output_audio.fixture.played"}, event_id)


def decoded(text: str, sample_bytes: int) -> bytes:
    """The audio of a base64 text, in whole samples. Raises ``Refused``."""
    try:
        audio = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid_audio", "'audio' is not base64.", "audio") from None
    if not audio or len(audio) % sample_bytes:
        told = f"'audio' has {len(audio)} bytes, but must have whole samples of {sample_bytes} bytes, at least one."
        raise Refused("invalid_audio", told, "audio")
    return audio
