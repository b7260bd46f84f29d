"""What was sent and may have to be sent again over a new connection, in the order of sending.

Commands stay here until they are acknowledged or refused. Audio stays until the service has made a message of it (a
commit, or the end of speech), within a bound: beyond it the oldest goes.
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

import attrs

from realtime_sync.acknowledgement import METADATA_KEY, CommandHandle
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.errors import AudioNotHeldError, ConnectionReplacedError
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.protocol.updates import (
    InputAudioBufferClearedUpdate,
    InputAudioBufferCommittedUpdate,
    InputAudioBufferSpeechStartedUpdate,
    InputAudioBufferSpeechStoppedUpdate,
)

_COMMIT, _CLEAR = "input_audio_buffer.commit", "input_audio_buffer.clear"
# Sending these twice does no harm, for they were not carried out, or it is by an id that makes them one.
_SENT_AGAIN = frozenset(
    {"conversation.item.create", "conversation.item.delete", "conversation.item.retrieve", "response.create", _COMMIT}
)
# The new connection gets the settings as a whole, and has neither a response nor unwanted audio.
_NEEDLESS = frozenset(
    {"session.update", "transcription_session.update", "response.cancel", "output_audio_buffer.clear", _CLEAR}
)
# What voice activity detection may not have noticed yet of speech that has just begun.
_PREFIX_SECONDS = 1.0
_TIDY_EVERY = 256


def is_sent_again(wire_type: str, message: Mapping[str, Any]) -> bool:
    """True where a new connection gets this command again by itself, be it as a part of the settings."""
    if wire_type == "response.create":  # who asked by ask() or respond() asks again, or is told
        parameters = message.get("response")
        metadata = parameters.get("metadata") if isinstance(parameters, Mapping) else None
        return METADATA_KEY not in (metadata or {})
    return wire_type in _SENT_AGAIN or wire_type in ("session.update", "transcription_session.update")


@attrs.define(eq=False)
class Sent:
    """A frame, and the number of the connection that it was sent on last; 0: none yet."""

    frame: Union[str, bytes]
    connection: int
    handle: Optional[CommandHandle] = None  # None for audio
    message: Mapping[str, Any] = attrs.field(factory=dict)
    audio_bytes: int = 0
    audio_end: int = 0  # bytes of audio that this connection was sent until its end


class Outbox:
    """See the module. ``limit_seconds``: of audio, 0 keeps none. ``said``: is told of each user message's audio."""

    def __init__(self, limit_seconds: float, said: Optional[Callable[[str, bytes], None]] = None) -> None:
        self._limit_seconds = limit_seconds
        self._said = said
        self._lock = threading.Lock()  # guards all below
        self._connection = 1
        self._open = True  # False between two connections
        self._sent: deque[Sent] = deque()
        self._noted = 0  # commands, ever
        self._audio_kept = 0  # bytes
        self._audio_dropped = 0  # bytes that are too old to be kept, since the last commit
        self._audio_sent = 0  # bytes on this connection, by which the service tells where speech begins and ends
        self._started_at: Optional[int] = None  # where the last speech began, in bytes
        self._stopped_at: Optional[int] = None  # ... and ended
        self._speaking = False

    # While there is a connection ------------------------------------------------------------------------------------

    def note_command(
        self, connection: int, frame: Union[str, bytes], handle: CommandHandle, told: Mapping[str, Any]
    ) -> None:
        """A command has its turn on the wire of this connection; raises where that is not the one any more."""
        with self._lock:
            self._check(connection)
            if handle.type == _CLEAR:
                self._drop_audio(len(self._sent))
            self._sent.append(Sent(frame, connection, handle, told))
            self._noted += 1
            if self._noted % _TIDY_EVERY == 0:
                self._tidy()

    def note_audio(self, connection: int, frame: Union[str, bytes], size: int, format: SampleFormat) -> None:
        """``size`` bytes of samples have their turn on the wire; raises as ``note_command`` does."""
        with self._lock:
            self._check(connection)
            self._audio_sent += size
            self._keep(Sent(frame, connection, audio_bytes=size, audio_end=self._audio_sent))
            limit = format.bytes_for(self._limit_seconds)
            while self._audio_kept > limit:
                self._audio_dropped += self._drop_oldest_audio()

    def see(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle], format: SampleFormat) -> None:
        """Learn from an update what the service has made a message of."""
        if isinstance(update, InputAudioBufferSpeechStartedUpdate):
            self._speaking = True
            self._started_at = format.bytes_for(update.audio_start_ms / 1000)
        elif isinstance(update, InputAudioBufferSpeechStoppedUpdate):
            self._speaking = False
            self._stopped_at = format.bytes_for(update.audio_end_ms / 1000)
        elif isinstance(update, InputAudioBufferClearedUpdate):
            self._speaking = False
        elif isinstance(update, InputAudioBufferCommittedUpdate):
            self._speaking = False
            with self._lock:
                count = self._committed(acknowledged)
                samples = self._samples(count, acknowledged is None) if self._said is not None else None
                self._drop_audio(count)
            if self._said is not None and samples is not None:
                self._said(update.item_id, samples)

    # Between two connections ----------------------------------------------------------------------------------------

    def cut(self, vad: bool, format: SampleFormat) -> list[str]:
        """The connection has ended; what is lost with it, one line for each thing.

        ``vad``: voice activity detection is on, so silence that was sent is of no use to anybody.
        """
        with self._lock:
            losses = []
            if vad and not self._speaking:
                self._audio_dropped = 0
                while self._audio_kept > format.bytes_for(_PREFIX_SECONDS):
                    self._drop_oldest_audio()
            if self._audio_dropped:
                seconds = format.seconds(self._audio_dropped)
                losses.append(f"audio: {seconds:.1f} s that were not committed and are too old to be sent again")
            self._tidy()
            for sent in self._sent:
                if sent.handle is not None and not _goes_again(sent) and not _is_needless(sent):
                    losses.append(f"{sent.handle.type}: it was not acknowledged, and is not sent again")
            self._sent = deque(sent for sent in self._sent if sent.handle is None or _goes_again(sent))
            self._connection += 1
            self._open = False
            self._audio_dropped = self._audio_sent = 0
            self._started_at, self._stopped_at, self._speaking = None, None, False
            return losses

    def hold(self, frame: Union[str, bytes], size: int, format: SampleFormat) -> None:
        """Keep audio for the next connection. Raises ``AudioNotHeldError`` where there is no room."""
        with self._lock:
            if self._audio_kept + size > format.bytes_for(self._limit_seconds):
                raise AudioNotHeldError(
                    "the session is reconnecting, and so much audio waits to be sent already "
                    f"({format.seconds(self._audio_kept):.1f} s; Reconnect.hold_audio is {self._limit_seconds} s). "
                    "This piece was not taken: send it again later, or leave it out"
                )
            self._keep(Sent(frame, 0, audio_bytes=size))

    @property
    def speaking(self) -> bool:
        """True while the user speaks, as voice activity detection tells it."""
        return self._speaking

    @property
    def connection(self) -> int:
        """The number of the connection in use, or of the next one."""
        with self._lock:
            return self._connection

    def reopen(self) -> None:
        """The new connection may be sent on."""
        with self._lock:
            self._open = True

    def next_unsent(self) -> Optional[Sent]:
        """The first thing that this connection was not sent yet; None where there is none. One caller at a time."""
        with self._lock:
            return next((sent for sent in self._sent if sent.connection != self._connection), None)

    def note_again(self, connection: int, sent: Sent, handle: Optional[CommandHandle]) -> None:
        """What was kept has its turn on the wire; ``handle`` takes the place of the old one."""
        with self._lock:
            self._check(connection)
            sent.connection, sent.handle = connection, handle
            self._audio_sent += sent.audio_bytes
            sent.audio_end = self._audio_sent

    # Inside; the lock is held -----------------------------------------------------------------------------------------

    def _check(self, connection: int) -> None:
        if connection != self._connection or not self._open:
            raise ConnectionReplacedError("the connection has just ended; nothing was sent on it")

    def _keep(self, sent: Sent) -> None:
        self._sent.append(sent)
        self._audio_kept += sent.audio_bytes

    def _committed(self, acknowledged: Optional[CommandHandle]) -> int:
        """How many of the first entries came before what a message was made of ended."""
        for index, sent in enumerate(self._sent):
            if sent.connection != self._connection or (acknowledged is not None and sent.handle is acknowledged):
                return index
            if acknowledged is None and self._stopped_at is not None and sent.audio_end > self._stopped_at:
                return index
        return len(self._sent)

    def _samples(self, count: int, vad: bool) -> Optional[bytes]:
        """The audio that a message was made of; None where not all of it was kept."""
        audio = [sent for sent in itertools.islice(self._sent, count + 1) if sent.audio_bytes]
        if not vad:
            audio = [sent for sent in itertools.islice(self._sent, count) if sent.audio_bytes]
        if not audio:
            return None
        first = audio[0].audio_end - audio[0].audio_bytes
        start, stop = (self._started_at, self._stopped_at) if vad else (first, audio[-1].audio_end)
        if start is None or stop is None or start < first or (self._audio_dropped and not vad):
            return None
        samples = b"".join(base64.b64decode(json.loads(sent.frame)["audio"]) for sent in audio)
        return samples[start - first : stop - first]

    def _drop_audio(self, until: int) -> None:
        """Forget the audio among the first entries."""
        first = [self._sent.popleft() for _ in range(until)]
        self._sent.extendleft(sent for sent in reversed(first) if sent.handle is not None)
        self._audio_kept -= sum(sent.audio_bytes for sent in first)
        self._audio_dropped = 0
        self._tidy()

    def _drop_oldest_audio(self) -> int:
        index = next(index for index, sent in enumerate(self._sent) if sent.audio_bytes)
        size = self._sent[index].audio_bytes
        del self._sent[index]
        self._audio_kept -= size
        return size

    def _tidy(self) -> None:
        """Forget the commands that were answered; those that wait for a new connection have done with the old one."""
        self._sent = deque(
            sent
            for sent in self._sent
            if sent.handle is None or sent.connection != self._connection or not sent.handle.done
        )


def _goes_again(sent: Sent) -> bool:
    assert sent.handle is not None
    return is_sent_again(sent.handle.type, sent.message) and sent.handle.type not in _NEEDLESS


def _is_needless(sent: Sent) -> bool:
    """True where nobody misses it; who asked by ``ask`` or ``respond`` asks again, or is told."""
    assert sent.handle is not None
    return sent.handle.type in _NEEDLESS or sent.handle.type == "response.create"
