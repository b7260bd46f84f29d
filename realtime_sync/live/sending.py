"""A live session's audio on its way to the service: as in other sessions, but always at real time.

One stream at a time has the claim (``voice/sending.py``). Its pieces of 100 ms each wait for their turn on the track
(``track.py``), whether a file is read, a microphone is heard or pieces are pushed.

While the session reconnects, a source that can wait does: nothing of a file is lost. Who pushes pieces is not held up;
what is pushed meanwhile is lost, for the new connection would take it as faster than real time.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from realtime_sync.audio.outgoing import OutgoingChunks, outgoing_chunks
from realtime_sync.audio.source import slices
from realtime_sync.core.wire_session import Message
from realtime_sync.interrupts import Flag
from realtime_sync.live.keeper import ClockKeeper
from realtime_sync.live.state import LiveEngine
from realtime_sync.live.track import APPEND_TYPE, PIECE_SECONDS, AudioTrack
from realtime_sync.protocol.items import base64_size
from realtime_sync.protocol.registry import Command
from realtime_sync.voice.sending import AudioClaim, AudioSend, AudioWriter

if TYPE_CHECKING:
    from realtime_sync.audio.formats import SampleFormat
    from realtime_sync.audio.outgoing import Progress
    from realtime_sync.audio.source import AudioSource


class LiveAudioInput:
    """All of a live session's audio on its way to the service."""

    append_type = APPEND_TYPE

    def __init__(self, engine: LiveEngine) -> None:
        self._engine = engine
        self._track = AudioTrack(engine)
        self._claim = AudioClaim()

    @property
    def format(self) -> SampleFormat:
        """The session's, of both directions."""
        return self._track.format

    def keep_clock(self) -> None:
        """Send silence from now on, wherever nobody sends audio."""
        ClockKeeper(self._engine, self._track).start()

    def send(self, source: AudioSource, progress: Progress) -> None:
        """See ``LiveSession.send_audio``."""
        stream, wake = object(), Flag()
        chunks = self._chunks(source, progress, wake)
        try:
            try:
                self._take_claim(stream)
                for chunk in chunks:
                    self._track.send(chunk)
            finally:
                self._claim.pop(stream, None)
        finally:
            chunks.close()

    def start_sending(self, source: AudioSource, progress: Progress) -> AudioSend:
        """See ``LiveSession.start_sending_audio``."""
        wake = Flag()
        chunks = self._chunks(source, progress, wake)
        sending = AudioSend(chunks, self._track.send, self._claim, wake, self._engine.check_process)
        sending._start(self._engine, self._take_claim)
        return sending

    def writer(self) -> AudioWriter:
        """See ``LiveSession.audio_writer``."""
        self._engine.check_audio()
        return AudioWriter(self._write, self._claim, self.format.sample_bytes)

    def sent_by_hand(self, message: Message) -> None:
        """Audio was sent by ``send_message``."""
        self._track.sent_by_hand(base64_size(_audio_in(message)))

    def _take_claim(self, stream: object) -> None:
        self._claim.take(stream)
        self._engine.clock.expect()

    def _chunks(self, source: AudioSource, progress: Progress, wake: Flag) -> Generator[bytes, None, None]:
        """The pieces of a source, each when its turn has come. Raises when called what ``outgoing_chunks`` does."""
        self._engine.check_audio()
        chunks = outgoing_chunks(source, self.format, chunk_ms=PIECE_SECONDS * 1000, progress=progress)
        return self._in_turn(chunks, wake)

    def _in_turn(self, chunks: OutgoingChunks, wake: Flag) -> Generator[bytes, None, None]:
        try:
            for chunk in chunks:
                self._track.wait_until_connected(wake)
                self._track.wait_for_turn(len(chunk), wake)
                yield chunk
            self._track.wait_until_heard(wake)
        finally:
            chunks.close()

    def _write(self, samples: bytes) -> None:
        wake = Flag()
        for piece in slices(samples, self.format.bytes_for(PIECE_SECONDS)):
            self._engine.check_open()
            self._track.wait_for_turn(len(piece), wake)
            self._track.send(piece)


def _audio_in(message: Message) -> str:
    """The base64 of an append, whatever it is given as."""
    if isinstance(message, Command):
        return str(getattr(message, "audio", ""))
    content = message if isinstance(message, Mapping) else json.loads(message)
    return str(content.get("audio", ""))
