"""Clips: ready sound that the service plays to the user in place of the model's voice, one at a time.

While one plays, the service drops what the user says and refuses appends. It tells when it begins (the command's
acknowledgement), and when it has left the service, if it was not cut short.

No lock: the engine knows the last clip (``LiveEngine.clip``) before the first byte of it is sent. If two threads begin
one at once, the service refuses the second.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from realtime_sync.audio.formats import PCM
from realtime_sync.core.streams import End
from realtime_sync.errors import ConnectionReplacedError, InvalidInputError, UsageError
from realtime_sync.live.handles import LiveClip
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.live.commands import LiveSessionOutputAudioFixturePlayCommand
from realtime_sync.protocol.live.updates import LiveSessionOutputAudioFixturePlayedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

if TYPE_CHECKING:
    from realtime_sync.audio.source import AudioSource

_MOST_SECONDS = 30.0


class Clips:
    """A session's clips; a listener."""

    def __init__(self, engine: LiveEngine) -> None:
        self._engine = engine
        engine.listen(self)

    def play(self, source: AudioSource) -> LiveClip:
        """See ``LiveSession.play_clip``."""
        self._engine.check_open()
        samples = _samples(source)
        self._check_none_plays("another cannot be played")
        audio = base64.b64encode(samples).decode()
        clip = self._engine.send(LiveSessionOutputAudioFixturePlayCommand(audio=audio))
        assert isinstance(clip, LiveClip), "the engine makes the handles"
        clip._is_sent(PCM.seconds(len(samples)))
        return clip

    def check_appends(self) -> None:
        """Raise ``UsageError`` if the service would refuse an append, because a clip plays."""
        self._check_none_plays("the service would refuse an append")

    def _check_none_plays(self, what: str) -> None:
        clip = self._engine.clip
        if clip is not None and clip.playing:
            raise UsageError(f"a clip is playing, so {what}: wait for its end first (clip.wait_until_played())")

    def deliver(self, update: ConversationUpdate) -> None:
        """See ``Listener``."""
        clip = self._engine.clip
        if clip is None:
            return
        if isinstance(update, LiveSessionOutputAudioFixturePlayedUpdate):
            if update.client_event_id in (None, clip.event_id):
                clip._end()
        elif isinstance(update, SessionReconnectedUpdate) and clip.done:  # else it has not been sent yet
            lost = "the connection was lost while the clip was played; the session goes on without the rest of it"
            clip._end(ConnectionReplacedError(lost, close_info=update.reason.close_info))

    def end(self, end: End) -> None:
        """See ``Listener``."""
        if self._engine.clip is not None:
            self._engine.clip._end(end.reason)


def _samples(source: AudioSource) -> bytes:
    """A source as a clip must be, whatever the session's format is."""
    from realtime_sync.audio.source import audio_chunks

    chunks, samples = audio_chunks(source, PCM, PCM.bytes_for(1)), bytearray()
    try:
        for chunk in chunks:
            samples += chunk
            if PCM.seconds(len(samples)) > _MOST_SECONDS:
                raise InvalidInputError(f"a clip lasts {_MOST_SECONDS:g} s at most, and this source is longer: cut it")
    finally:
        chunks.close()
    return bytes(samples)
