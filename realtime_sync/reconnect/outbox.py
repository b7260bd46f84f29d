"""Keeps the frames that may have to be sent again over a new connection, in the order of sending.

Rules:

1. A command stays until the service acknowledges or refuses it. One that nothing acknowledges stays until a later one
   is acknowledged, because the service works in order. They stay within ``limit_bytes``: beyond that the oldest is
   given up, and reported as lost if it is not acknowledged until its connection ends.
2. Audio stays until the service has made a message of it, within ``limit_seconds``: beyond that the oldest is dropped.
   With voice activity detection the service reports where in the audio a message begins and ends, by a count of samples
   on this connection; without, a commit makes a message of all audio before it.
3. When a connection ends, ``cut`` decides on each command, by ``resend_policy``: it is sent again, the settings replace
   it, it is dropped, or it is reported as lost. One that was sent on three connections (``_MOST_TIMES``) is reported as
   lost, too. ``promised`` are those that are sent again, one by one or with the settings; no others are said to be.
   Audio is sent again unless the service is done with it.
4. Between two connections audio is held, behind what is to be sent again; commands wait in the engine.

States: open on connection n (``_open``); cut off (``cut``) until ``open`` names the next connection. ``keep_...``
refuses frames of any other connection, so that none is kept here and then lost.

Order of a frame: ``_sent`` while its connection lives; ``_unsent`` from ``cut`` on; then, one by one, at its turn on
the new wire, back to ``_sent`` (``keep_again``). Held audio starts in ``_unsent``.

Locks: ``_lock`` guards all fields below it; nothing is taken under it. ``_heard_at`` is the reader thread's.
``speaking`` and ``has_audio`` are read without the lock: they may be late by a moment.
"""

from __future__ import annotations

import enum
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Callable, Optional, Union

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.core.acknowledgements import METADATA_KEY, is_acknowledged
from realtime_sync.core.commands import CommandHandle
from realtime_sync.errors import AudioNotHeldError, ConnectionReplacedError, UnsupportedByDialectError
from realtime_sync.protocol import updates
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.protocol.items import decode_base64
from realtime_sync.protocol.update_base import ConversationUpdate


class Resend(enum.Enum):
    """How a new connection treats a command that the old one did not acknowledge."""

    AGAIN = "it is sent again"
    SETTINGS = "the new connection is given the settings as a whole"
    DROP = "the new connection has no use for it"
    LOST = "it is lost, because it is not known whether it was carried out"


_COMMIT, _CLEAR = "input_audio_buffer.commit", "input_audio_buffer.clear"
_POLICIES: dict[str, Resend] = {
    # Sending these twice does no harm: they were not carried out, or their ids say that they are the same.
    "conversation.item.create": Resend.AGAIN,
    "conversation.item.delete": Resend.AGAIN,
    "conversation.item.retrieve": Resend.AGAIN,
    "response.create": Resend.AGAIN,
    _COMMIT: Resend.AGAIN,
    "session.update": Resend.SETTINGS,
    "transcription_session.update": Resend.SETTINGS,
    # The new connection has neither a response in progress nor unwanted audio.
    "response.cancel": Resend.DROP,
    "output_audio_buffer.clear": Resend.DROP,
    _CLEAR: Resend.DROP,
}
# A command that so many connections ended with may be the reason for their ends.
_MOST_TIMES = 3
# What a command takes besides its frame (bytes).
_UPKEEP_BYTES = 500
# Commands that were given up and are remembered until their connection ends; older ones are not awaited any more.
_MOST_GIVEN_UP = 1024
# Audio sent more than this before the server's last message has already been judged by VAD (seconds).
_JUDGED_SECONDS = 2.0
# The newest audio, which a translation may not have heard yet (seconds).
_CONTINUED_SECONDS = 1.0


def resend_policy(wire_type: str, message: Mapping[str, Any]) -> Resend:
    """How to treat a command whose connection ended before the command was acknowledged."""
    if wire_type == "response.create":
        parameters = message.get("response")
        metadata = parameters.get("metadata") if isinstance(parameters, Mapping) else None
        if isinstance(metadata, Mapping) and METADATA_KEY in metadata:
            return Resend.DROP  # ask() and respond() ask again themselves, or raise
    return _POLICIES.get(wire_type, Resend.LOST)


@attrs.define(eq=False)
class Sent:
    """A frame that was sent, or is held.

    Attributes:
        frame: The frame's text, as str or as UTF-8.
        handle: The command's handle; None for audio.
        message: The fields by which the command's acknowledgement is recognised.
        times: How often the frame was sent; 0 for audio that is held.
        audio_bytes: Bytes of samples in it; 0 for a command.
        audio_end: Bytes of samples sent on this connection up to the end of this frame.
        at: When it was sent, by ``time.monotonic()``.
        dialect: See ``Outgoing``.
    """

    frame: Union[str, bytes]
    handle: Optional[CommandHandle] = None
    message: Mapping[str, Any] = attrs.field(factory=dict)
    times: int = 0
    audio_bytes: int = 0
    audio_end: int = 0
    at: float = 0.0
    dialect: Optional[Dialect] = None

    @property
    def command_bytes(self) -> int:
        """What a command counts for; 0 for audio."""
        return len(self.frame) + _UPKEEP_BYTES if self.handle is not None else 0


@attrs.frozen
class Committed:
    """A message that the service made of audio.

    Attributes:
        item_id: The item's id.
        samples: The audio of the message; None if not all of it was kept.
    """

    item_id: str
    samples: Optional[bytes]


class Outbox:
    """See the module.

    ``limit_seconds``: how much audio is kept; 0 keeps none. ``limit_bytes``: likewise for commands. ``continuous``: the
    service makes no messages of the audio (a translation).
    """

    def __init__(self, limit_seconds: float, limit_bytes: int = 64 * 2**20, *, continuous: bool = False) -> None:
        self._limit_seconds = limit_seconds
        self._limit_bytes = limit_bytes
        self._continuous = continuous
        self._heard_at = 0.0  # when the last update came; the reader's
        self._lock = threading.Lock()  # guards all below
        self._connection = 1
        self._open = True  # False between two connections
        self._sent: deque[Sent] = deque()  # on this connection
        self._unsent: deque[Sent] = deque()  # to be sent on it, or on the next one, before all other frames
        self._commands = 0  # bytes of commands in both
        self._given_up: deque[Sent] = deque(maxlen=_MOST_GIVEN_UP)  # commands without room, and without their frames
        self._settings: list[CommandHandle] = []  # commands that the settings of the next connection replace
        self._kept = 0  # bytes of audio that were sent and are kept
        self._held = 0  # bytes of audio that were not sent yet
        self._dropped = 0  # bytes of audio that are too old to be kept, since the last commit
        self._position = 0  # bytes of audio sent on this connection: the count by which the service locates speech
        self._started_at: Optional[int] = None  # the beginning of the speech in progress, by that count
        self._stopped_at: Optional[int] = None  # ... and its end, until a message is made of it

    # While there is a connection ------------------------------------------------------------------------------------

    def keep_command(
        self,
        connection: int,
        frame: Union[str, bytes],
        handle: CommandHandle,
        message: Mapping[str, Any],
        dialect: Optional[Dialect] = None,
    ) -> None:
        """Keep a command at its turn on the wire of this connection. ``dialect``: see ``Outgoing``.

        Raises ``ConnectionReplacedError`` if that connection is not the open one any more.
        """
        with self._lock:
            self._check(connection)
            if handle.type == _CLEAR:
                self._drop_audio(len(self._sent))
            self._put(Sent(frame, handle, message, dialect=dialect))
            self._give_up_beyond()

    def _give_up_beyond(self) -> None:
        while self._commands > self._limit_bytes:
            oldest = next(sent for sent in self._sent if sent.handle is not None)
            self._remove(oldest)
            self._given_up.append(attrs.evolve(oldest, frame=""))

    def keep_audio(self, connection: int, frame: Union[str, bytes], size: int, format: SampleFormat) -> None:
        """Keep ``size`` bytes of samples at their turn on the wire; raises as ``keep_command`` does."""
        with self._lock:
            self._check(connection)
            self._put(Sent(frame, audio_bytes=size))
            self._drop_beyond(format.bytes_for(self._limit_seconds))

    def take_back(self, frame: Union[str, bytes]) -> None:
        """Forget this very frame, if it was kept: still in its turn on the wire, it was interrupted and not sent."""
        with self._lock:
            if self._sent and self._sent[-1].frame is frame:
                sent = self._sent.pop()
                self._kept -= sent.audio_bytes
                self._commands -= sent.command_bytes
                self._position -= sent.audio_bytes

    def observe(
        self,
        update: ConversationUpdate,
        acknowledged: Optional[CommandHandle],
        format: Callable[[], SampleFormat],
    ) -> Optional[Committed]:
        """Learn what the service has worked on; returns a message that it made of audio. The reader thread's."""
        self._heard_at = time.monotonic()
        committed = None
        with self._lock:
            if isinstance(update, updates.InputAudioBufferSpeechStartedUpdate):
                self._started_at, self._stopped_at = format().bytes_for(update.audio_start_ms / 1000), None
            elif isinstance(update, updates.InputAudioBufferSpeechStoppedUpdate):
                self._stopped_at = format().bytes_for(update.audio_end_ms / 1000)
            elif isinstance(update, updates.InputAudioBufferClearedUpdate):
                self._started_at = self._stopped_at = None
            elif isinstance(update, updates.InputAudioBufferCommittedUpdate):
                committed = Committed(update.item_id, self._commit(acknowledged))
            if acknowledged is not None:
                self._forget(acknowledged)
        return committed

    def unacknowledged_items(self, asked: CommandHandle) -> list[Sent]:
        """Items with an id that were sent before this request for an answer and are not acknowledged."""
        with self._lock:
            before = itertools.takewhile(lambda sent: sent.handle is not asked, self._sent)
            return list(filter(_names_item, before))

    def forget(self, sent: Sent) -> None:
        """Forget a command that the service has, though it does not acknowledge it."""
        with self._lock:
            self._remove(sent)

    @property
    def speaking(self) -> bool:
        """True from the beginning of speech, as voice activity detection reports it, until a message is made of it."""
        return self._started_at is not None

    @property
    def has_audio(self) -> bool:
        """True if audio was sent of which no message was made."""
        return bool(self._kept or self._dropped)

    # Between two connections ----------------------------------------------------------------------------------------

    def cut(
        self,
        connection: int,
        vad: bool,
        format: SampleFormat,
        remembered: Callable[[CommandHandle], bool] = lambda handle: True,
    ) -> list[str]:
        """Close this connection's part; returns its losses, one line for each.

        ``vad``: the service detects turns. ``remembered``: True for a command whose settings the next connection gets.
        """
        with self._lock:
            if connection != self._connection:
                return []  # it was never in use
            self._open = False
            losses = self._trim(vad, format)
            self._unsent.extendleft(reversed(self._sent))
            self._sent.clear()
            losses += self._drop_commands(remembered)
            self._given_up.clear()
            self._dropped = 0
            self._started_at = self._stopped_at = None
            return losses

    def promised(self) -> frozenset[CommandHandle]:
        """The commands that the next connection gets, between two connections."""
        with self._lock:
            unsent = (sent.handle for sent in self._unsent if sent.handle is not None)
            return frozenset([*unsent, *self._settings])

    def pop_settings(self) -> list[CommandHandle]:
        """The commands that are replaced by the settings, which the new connection has been given now."""
        with self._lock:
            settings, self._settings = self._settings, []
            return settings

    def hold(self, frame: Union[str, bytes], size: int, format: SampleFormat) -> None:
        """Keep audio for the next connection. Raises ``AudioNotHeldError`` if there is no room."""
        with self._lock:
            if self._held + size > format.bytes_for(self._limit_seconds):
                raise AudioNotHeldError(
                    f"the session is reconnecting, and {format.seconds(self._held):.1f} s of audio wait to be sent "
                    f"already (Reconnect.hold_audio allows {self._limit_seconds} s). This piece was not accepted: send "
                    "it again later, or leave it out"
                )
            sent = Sent(frame, audio_bytes=size)
            self._held += size
            self._unsent.append(sent)

    def retell(self, dialect: Dialect, retold: Callable[[str, Dialect], str]) -> list[str]:
        """Have what is sent again be said in this dialect; returns the losses: what it has no words for."""
        with self._lock:
            return self._retell(dialect, retold)

    def open(self, connection: int) -> None:
        """A new connection may be sent on."""
        with self._lock:
            self._connection, self._open, self._position = connection, True, 0

    def waiting(self) -> list[str]:
        """The wire types of the commands that wait for the next connection."""
        with self._lock:
            kept = (*self._sent, *self._unsent)
            return [*(sent.handle.type for sent in kept if sent.handle is not None)]

    def next_unsent(self) -> Optional[Sent]:
        """The first frame that is to be sent on this connection; None if there is none. One caller at a time."""
        with self._lock:
            return self._unsent[0] if self._unsent else None

    def keep_again(self, connection: int, handle: Optional[CommandHandle]) -> None:
        """Keep the frame of ``next_unsent`` at its turn on the wire; ``handle`` replaces the old one."""
        with self._lock:
            self._check(connection)
            sent = self._unsent.popleft()
            if not sent.times:
                self._held -= sent.audio_bytes
            sent.handle = handle
            self._put(sent)

    def _drop_commands(self, remembered: Callable[[CommandHandle], bool]) -> list[str]:
        """Forget the commands that are not to be sent again; returns those that are losses. The lock is held."""
        losses = []
        kept = [sent for sent in self._unsent if sent.handle is not None]
        given_up = [sent for sent in self._given_up if sent.handle is not None and not sent.handle.done]
        for sent in (*given_up, *kept):
            assert sent.handle is not None
            policy = resend_policy(sent.handle.type, sent.message)
            if policy is Resend.SETTINGS and not remembered(sent.handle):
                policy = Resend.AGAIN  # a raw message that only the service understands
            if sent.frame and policy is Resend.AGAIN and sent.times < _MOST_TIMES:
                continue
            if sent.frame:
                self._remove(sent)
            if policy is Resend.SETTINGS:
                self._settings.append(sent.handle)
            elif policy is not Resend.DROP:
                losses.append(f"{sent.handle.type}: {_why_lost(sent, policy)}")
        return losses

    def _retell(self, dialect: Dialect, retold: Callable[[str, Dialect], str]) -> list[str]:
        losses = []
        for sent in [sent for sent in self._unsent if sent.dialect not in (None, dialect)]:
            assert sent.dialect is not None
            assert sent.handle is not None
            self._commands -= sent.command_bytes
            try:
                sent.frame, sent.dialect = retold(str(sent.frame), sent.dialect), dialect
                self._commands += sent.command_bytes
            except UnsupportedByDialectError as error:
                self._unsent.remove(sent)
                losses.append(
                    f"{sent.handle.type}: it cannot be said at the service that the session goes on at: {error}"
                )
        return losses

    # Inside; the lock is held -----------------------------------------------------------------------------------------

    def _check(self, connection: int) -> None:
        if connection != self._connection or not self._open:
            raise ConnectionReplacedError("the connection has just ended, so this was not sent on it")

    def _put(self, sent: Sent) -> None:
        """Keep a frame behind those that were sent on this connection."""
        size = sent.command_bytes
        sent.at = time.monotonic()
        # There is no call between these and the last, so no interrupt comes between them.
        if not sent.times:
            self._kept += sent.audio_bytes
            self._commands += size
        self._position += sent.audio_bytes
        sent.times, sent.audio_end = sent.times + 1, self._position
        self._sent.append(sent)

    def _remove(self, sent: Sent) -> None:
        """Forget a command."""
        (self._sent if sent in self._sent else self._unsent).remove(sent)
        self._commands -= sent.command_bytes

    def _commit(self, acknowledged: Optional[CommandHandle]) -> Optional[bytes]:
        """Forget the audio of a message; returns its samples if all of them were kept."""
        if acknowledged is not None:
            count = next((place for place, sent in enumerate(self._sent) if sent.handle is acknowledged), 0)
            audio = [sent for sent in list(self._sent)[:count] if sent.audio_bytes]
            samples = None if self._dropped else _samples(audio)
            self._drop_audio(count)
            return samples
        start, stop = self._started_at, self._stopped_at
        self._started_at = self._stopped_at = None
        if start is None or stop is None:
            return None
        audio = [sent for sent in self._sent if sent.audio_bytes and sent.audio_end - sent.audio_bytes < stop]
        inside = {id(sent) for sent in audio if sent.audio_end <= stop}
        whole = [place for place, sent in enumerate(self._sent) if id(sent) in inside]
        first = audio[0].audio_end - audio[0].audio_bytes if audio else stop
        samples = _samples(audio) if first <= start else None
        self._drop_audio(whole[-1] + 1 if whole else 0)
        return None if samples is None else samples[start - first : stop - first]

    def _trim(self, vad: bool, format: SampleFormat) -> list[str]:
        """Forget the audio that the service is done with; returns the loss of audio that was too old to be kept."""
        lost = self._dropped
        if self._continuous:
            lost = 0
            while self._kept > format.bytes_for(_CONTINUED_SECONDS):
                self._drop_oldest()
        elif vad:
            begins, judged = self._started_at, self._heard_at - _JUDGED_SECONDS
            sent = [each for each in self._sent if each.audio_bytes]
            lost = 0 if begins is None or not sent else max(0, sent[0].audio_end - sent[0].audio_bytes - begins)
            for each in sent:
                if each.audio_end <= begins if begins is not None else each.at < judged:
                    self._sent.remove(each)
                    self._kept -= each.audio_bytes
        seconds = format.seconds(lost)
        return [f"audio: {seconds:.1f} s that were not committed and are too old to be sent again"] if lost else []

    def _forget(self, acknowledged: CommandHandle) -> None:
        """Forget this command, and those before it that nothing acknowledges: the service works in order."""
        for sent in list(self._sent):
            if sent.handle is acknowledged:
                self._remove(sent)
                return
            if sent.handle is not None and not is_acknowledged(sent.handle.type):
                self._remove(sent)

    def _drop_audio(self, until: int) -> None:
        """Forget the audio among the first entries."""
        first = [self._sent.popleft() for _ in range(until)]
        self._sent.extendleft(sent for sent in reversed(first) if sent.handle is not None)
        self._kept -= sum(sent.audio_bytes for sent in first)
        self._dropped = 0

    def _drop_beyond(self, limit: int) -> None:
        while self._kept > limit:
            self._dropped += self._drop_oldest()

    def _drop_oldest(self) -> int:
        """Forget the oldest audio that was sent; returns its size."""
        for queue in (self._sent, self._unsent):
            place = next((place for place, sent in enumerate(queue) if sent.audio_bytes and sent.times), None)
            if place is not None:
                size = queue[place].audio_bytes
                self._kept -= size
                del queue[place]
                return size
        raise AssertionError("audio that is counted as kept is in one of the two queues")


def _why_lost(sent: Sent, policy: Resend) -> str:
    if not sent.frame:
        return "more was not acknowledged than Reconnect.hold_commands allows, so it is not sent again"
    if policy is Resend.AGAIN:
        return "the connection was lost each time that it was sent"
    return "it was not acknowledged, and is not sent again"


def _names_item(sent: Sent) -> bool:
    item = sent.message.get("item")
    created = sent.handle is not None and sent.handle.type == "conversation.item.create"
    return created and isinstance(item, Mapping) and isinstance(item.get("id"), str)


def _samples(audio: list[Sent]) -> Optional[bytes]:
    """The samples of these frames; None if there are no frames, or if one that was sent by hand holds no samples."""
    values = [json.loads(sent.frame).get("audio") for sent in audio]
    pieces = [decode_base64(piece) if isinstance(piece, str) else None for piece in values]
    return b"".join(piece for piece in pieces if piece is not None) if pieces and None not in pieces else None
