"""What a live session has to know of a connection, so that it can go on over another one.

1. What holds for the whole session is sent again on each new connection, in the order in which it was asked for: the
   instructions that were appended, the changes of the backend, and the microphone's muting. Beyond ``limit_bytes`` the
   oldest is forgotten, and told as a loss.
2. All other commands are sent once: whether one that was not acknowledged was carried out is not known. It is told.
3. Audio is never sent again. What is given while there is no connection is dropped, for it would be heard as if it were
   said now, and the session's clock would jump. How much of it was no silence is told.
4. Who has spoken less than ``_IN_THE_AIR`` before the end was speaking: what they said then may be cut off. It is told.

Lock: ``_lock`` guards all fields but the two sentences, which are written with the lock for delivery; nothing is taken
under it. ``keep`` is called in the turn on the wire, ``drop`` with ``SessionStates.lock`` held, ``observe`` and ``cut``
with the lock for delivery.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Optional

import attrs

from realtime_sync.core.commands import CommandHandle
from realtime_sync.core.recovery import Outgoing
from realtime_sync.errors import ConnectionReplacedError
from realtime_sync.live.acknowledgements import ACKNOWLEDGEMENTS
from realtime_sync.protocol.live.updates import (
    LiveErrorUpdate,
    LiveSessionInputTranscriptDeltaUpdate,
    LiveSessionOutputTranscriptDeltaUpdate,
)
from realtime_sync.protocol.update_base import ConversationUpdate
from realtime_sync.words import counted

_MUTE, _UNMUTE = "session.input_audio.mute", "session.input_audio.unmute"
_MUTING = frozenset({_MUTE, _UNMUTE})
_LASTING = frozenset({"session.instructions.append", "session.update"}) | _MUTING
_THINKING = "session.thinking.append"

# Silence on the timeline after which another utterance begins, and the time by which words come late (seconds).
_GAP, _LATE = 1.2, 0.8
_IN_THE_AIR = _GAP + _LATE
# Characters of its end that are told.
_MOST_TOLD = 80


@attrs.define(eq=False)
class Lasting:
    """A command that each connection of the session gets.

    Attributes:
        frame: As it was sent last.
        connection: The number of the connection that it was sent on last.
    """

    frame: Outgoing
    connection: int

    @property
    def handle(self) -> CommandHandle:
        """The newest one."""
        assert self.frame.handle is not None, "only audio has none"
        return self.frame.handle


@attrs.define(eq=False)
class _Sentence:
    """What one side has said since its last silence."""

    text: str = ""
    end_ms: float = 0.0
    at: float = 0.0

    def add(self, delta: str, start_ms: float, end_ms: float) -> None:
        if start_ms - self.end_ms > 1000 * _GAP or start_ms < self.end_ms - 1000 * _IN_THE_AIR:
            self.text = ""
        self.text, self.end_ms, self.at = (self.text + delta)[-2 * _MOST_TOLD :], end_ms, time.monotonic()

    def __str__(self) -> str:
        text = self.text.strip()
        return repr(text if len(text) <= _MOST_TOLD else f"...{text[-_MOST_TOLD:]}")

    @property
    def is_in_the_air(self) -> bool:
        return bool(self.text) and time.monotonic() - self.at < _IN_THE_AIR


class LiveKept:
    """See the module."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._open: Optional[int] = 1  # the number of the connection in use; None between two of them
        self._lasting: deque[Lasting] = deque()
        self._bytes = 0  # of their frames
        self._once: dict[CommandHandle, None] = {}  # commands that are sent once, and not acknowledged yet
        self._thoughts = 0  # what the service knows by them, a new session would not
        self._dropped = 0.0  # seconds of sound for which there was no connection
        self._losses: list[str] = []
        self._user, self._assistant = _Sentence(), _Sentence()

    # While there is a connection ------------------------------------------------------------------------------------

    def keep(self, connection: int, frame: Outgoing) -> None:
        """A frame is about to be written on this connection. Raises ``ConnectionReplacedError`` if that is over."""
        with self._lock:
            if connection != self._open:
                raise ConnectionReplacedError("the connection has just ended, so this was not sent on it")
            if frame.handle is None:
                return
            if frame.handle.type in _LASTING:
                self._put(Lasting(frame, connection))
            elif frame.handle.type in ACKNOWLEDGEMENTS:
                self._once[frame.handle] = None

    def take_back(self, frame: Outgoing) -> None:
        """The frame was not sent after all."""
        if frame.handle is not None:
            with self._lock:
                self._once.pop(frame.handle, None)
                self._forget(frame.handle)

    def observe(self, update: ConversationUpdate, acknowledged: Optional[CommandHandle]) -> None:
        """Learn from an update."""
        if isinstance(update, LiveSessionInputTranscriptDeltaUpdate):
            self._user.add(update.delta, update.start_ms, update.end_ms)
        elif isinstance(update, LiveSessionOutputTranscriptDeltaUpdate):
            self._assistant.add(update.delta, update.start_ms, update.end_ms)
        elif acknowledged is not None:
            refused = isinstance(update, LiveErrorUpdate)
            with self._lock:
                self._once.pop(acknowledged, None)
                if refused or acknowledged.type == _UNMUTE:  # a new session is not muted
                    self._forget(acknowledged)
                elif acknowledged.type == _THINKING:
                    self._thoughts += 1

    @property
    def is_idle(self) -> bool:
        """True if neither side speaks, and each command was answered that can be."""
        return not (self._once or self._user.is_in_the_air or self._assistant.is_in_the_air)

    # Between two connections ----------------------------------------------------------------------------------------

    def cut(self, connection: int, under_way: Sequence[str]) -> frozenset[CommandHandle]:
        """This connection has ended; returns the commands that are sent again on the next one.

        ``under_way``: what else is lost with it, one line for each.
        """
        with self._lock:
            if connection == self._open:
                self._open = None
                self._losses += map(_not_sent_again, self._once)
                self._losses += under_way
                self._once.clear()
                self._losses += self._cut_sentences()
            return frozenset(lasting.handle for lasting in self._lasting)

    def drop(self, seconds: float) -> None:
        """So much sound was given while there was no connection."""
        with self._lock:
            self._dropped += seconds

    def open(self, connection: int) -> None:
        """This connection may be sent on."""
        with self._lock:
            self._open = connection

    def next_unsent(self, connection: int) -> Optional[Lasting]:
        """The first command that this connection has not had yet; None if there is none."""
        with self._lock:
            return next((lasting for lasting in self._lasting if lasting.connection != connection), None)

    def unacknowledged(self) -> list[str]:
        """The wire types of the commands that are sent again and were not acknowledged."""
        with self._lock:
            return list(map(_type, filter(_is_open, self._lasting)))

    def pop_thoughts(self) -> list[str]:
        """The loss of what was only thought, by a session that begins anew."""
        with self._lock:
            thoughts, self._thoughts = self._thoughts, 0
        return [f"thinking: {counted(thoughts, 'text')} that the new session does not know"] if thoughts else []

    def pop_losses(self) -> list[str]:
        """The losses since the last call, one line for each."""
        with self._lock:
            losses, self._losses = self._losses, []
            dropped, self._dropped = self._dropped, 0.0
        if dropped:
            losses.append(f"audio: {dropped:.1f} s of sound that came while there was no connection")
        return losses

    # Inside; the lock is held -----------------------------------------------------------------------------------------

    def _put(self, lasting: Lasting) -> None:
        if lasting.handle.type in _MUTING:
            for other in [other for other in self._lasting if other.handle.type in _MUTING]:
                self._forget(other.handle)
        self._lasting.append(lasting)
        self._bytes += len(lasting.frame.text)
        while self._bytes > self._limit_bytes:
            oldest = self._lasting[0].handle
            self._losses.append(f"{oldest.type}: there were more than Reconnect.hold_commands allows to be sent again")
            self._forget(oldest)

    def _forget(self, handle: CommandHandle) -> None:
        for lasting in [lasting for lasting in self._lasting if lasting.handle is handle]:
            self._lasting.remove(lasting)
            self._bytes -= len(lasting.frame.text)

    def _cut_sentences(self) -> list[str]:
        losses = []
        if self._assistant.is_in_the_air:
            losses.append(f"the model was speaking: {self._assistant}")
        if self._user.is_in_the_air:
            losses.append(f"the user was speaking: {self._user}")
        self._user, self._assistant = _Sentence(), _Sentence()
        return losses


def _is_open(lasting: Lasting) -> bool:
    return not isinstance(lasting.handle.update, ConversationUpdate)


def _type(lasting: Lasting) -> str:
    return lasting.handle.type


def _not_sent_again(handle: CommandHandle) -> str:
    return f"{handle.type}: it was not acknowledged, and is not sent again"
