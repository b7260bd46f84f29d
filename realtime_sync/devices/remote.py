"""A microphone and a speaker elsewhere: in a browser, a telephone, whatever the application has a socket to.

The application reads its socket, and gives the sound to ``RemoteMicrophone.hear``. What ``RemoteSpeaker`` wants played
or cleared it tells a ``RemotePlayer``, the application's way to the other side, which says in return how much was heard
(``RemoteSpeaker.heard``). That is all that counts as heard, and never more than was sent.

**Order.** The player is called in one order, by one thread at a time: nothing of an answer comes behind the ``clear``
that ends it. No lock is held meanwhile: a thread leaves its call with the one that is just calling, and goes on. So a
player that hangs does not keep ``stop()`` from returning.

**A clear** is answered by the other side with the number that it was given. What it says before that was said of sound
from before the clear, and counts. If no answer comes, what was known counts; what is said later does not, because the
conversation was shortened meanwhile.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections import deque
from collections.abc import Iterator
from typing import Callable, Optional, Protocol

from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.audio.playback import PlaybackPosition, Played, check_position
from realtime_sync.checks import check_number
from realtime_sync.deadline import Deadline
from realtime_sync.devices.sent_sound import SentSound
from realtime_sync.errors import AudioDeviceError, InvalidInputError, WaitTimeoutError
from realtime_sync.interrupts import Change
from realtime_sync.secret import reportable
from realtime_sync.threads import aside_if_nested

logger = logging.getLogger(__name__)

_CALLING = "calling"


class RemotePlayer(Protocol):
    """What plays elsewhere. Its methods are called one at a time, in order, from any thread; better they do not wait.

    What they raise means that the other side has gone.
    """

    def play(self, item_id: str, content_index: int, samples: bytes) -> object:
        """Play this behind the rest."""

    def clear(self, number: int) -> object:
        """Fall silent at once, and forget what waits; then have ``speaker.heard(..., cleared=number)`` called."""


@reportable
class RemoteMicrophone:
    """Hears what the application gets from elsewhere: a ``Microphone``.

    ``format``: of what ``hear`` is given. ``name``: what a person calls it. ``keep_seconds``: so much sound may wait to
    be taken, as it does until the session is open.
    """

    def __init__(self, format: SampleFormat = PCM, *, name: str = "remote", keep_seconds: float = 30.0) -> None:
        check_number("keep_seconds", keep_seconds, "seconds", above=0)
        self.format = format
        self.name = name
        self._keep_seconds = keep_seconds
        self._most = format.bytes_for(keep_seconds)
        self._lock = threading.Lock()  # guards all below
        self._pieces: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()  # None: the end
        self._waiting = 0  # bytes
        self._stopped = self._ended = False

    def hear(self, samples: bytes) -> None:
        """Samples have come, in pieces of any length; returns at once. Forgets them behind ``stop()`` and ``end()``.

        Raises:
            WaitTimeoutError: Nobody takes them: ``keep_seconds`` of sound wait already.
            InvalidInputError: These are no bytes.
        """
        if not isinstance(samples, (bytes, bytearray, memoryview)):
            raise InvalidInputError(f"samples must be bytes, not {type(samples).__name__}")
        piece = bytes(samples)
        with self._lock:
            if self._stopped or self._ended or not piece:
                return
            if self._waiting + len(piece) > self._most:
                raise WaitTimeoutError(
                    f"{self._keep_seconds:g} s of sound from {self.name!r} wait to be taken: the service does not "
                    "take what is said to it, or no conversation was begun"
                )
            self._waiting += len(piece)
            self._pieces.put(piece)

    @aside_if_nested
    def end(self) -> None:
        """The other side says no more: what waits is still taken, then the iteration ends. Idempotent."""
        with self._lock:
            self._ended = True
            self._pieces.put(None)

    def start(self) -> None:
        """See ``Microphone.start``; may be called again after ``stop()``. What has come before it is heard."""
        with self._lock:
            if self._stopped:
                self._stopped = False
                self._pieces, self._waiting = queue.SimpleQueue(), 0
                if self._ended:
                    self._pieces.put(None)

    @aside_if_nested
    def stop(self) -> None:
        """See ``Microphone.stop``; what waits is forgotten."""
        with self._lock:
            self._stopped = True
            self._pieces.put(None)

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._pieces
        while (piece := pieces.get()) is not None and self._taken(pieces, len(piece)):
            yield piece

    def _taken(self, pieces: object, size: int) -> bool:
        """Count a piece as taken; False if it is to be forgotten."""
        with self._lock:
            if self._stopped or self._pieces is not pieces:
                return False
            self._waiting -= size
            return True

    def __repr__(self) -> str:
        state = "ended" if self._ended else "stopped" if self._stopped else "open"
        return f"<RemoteMicrophone {self.name!r}: {state}>"


@reportable
class RemoteSpeaker:
    """Plays elsewhere, by ``player``, and is told what was heard: a ``Speaker``.

    ``format``: of what ``write`` takes, and the player is given. ``name``: what a person calls it. ``clear_seconds``:
    how long ``stop()`` waits for the answer to a ``clear``. ``position``: what it reports to; None: one of its own.
    """

    def __init__(
        self,
        player: RemotePlayer,
        format: SampleFormat = PCM,
        *,
        name: str = "remote",
        clear_seconds: float = 1.0,
        position: Optional[PlaybackPosition] = None,
    ) -> None:
        check_number("clear_seconds", clear_seconds, "seconds")
        check_position(position)
        self.format = format
        self.name = name
        self.position = position or PlaybackPosition(rate=format.rate)
        self._player = player
        self._clear_seconds = clear_seconds
        self._changed = Change()  # told of each change of what is below
        self._lock = threading.Lock()  # guards all below, but _calling
        self._sound = SentSound(self.position)
        self._calls: deque[Callable[[], object]] = deque()  # of the player, in order
        self._ended = False
        self._problem: Optional[BaseException] = None  # what the player raised
        self._calling: dict[str, object] = {}  # whose turn it is to call the player

    @property
    def playing(self) -> bool:
        """True while something is left to be played."""
        with self._lock:
            return self._sound.playing

    def start(self) -> None:
        """See ``Speaker.start``; the other side plays already."""
        self._check()

    def write(self, item_id: str, content_index: int, samples: bytes) -> None:
        """See ``Speaker.write``."""
        self._check()
        with self._lock:
            if self._sound.add(item_id, content_index, len(samples) // self.format.sample_bytes):
                self._calls.append(functools.partial(self._player.play, item_id, content_index, samples))
        self._call()
        self._check()

    def heard(self, item_id: object, content_index: object, samples_played: object, *, cleared: object = 0) -> None:
        """The other side says what it has played. Whatever it says, it has heard no more than it was sent.

        What is repeated, comes late, or is nonsense changes nothing, so a message may be handed on as it came.

        Args:
            item_id: The item, as ``play`` was told it.
            content_index: Its part.
            samples_played: How many samples of this part were played in all, since its beginning.
            cleared: The number of the ``clear`` that this answers; 0: it answers none.
        """
        with self._lock:
            self._sound.report(item_id, content_index, samples_played)
            if isinstance(cleared, int):
                self._sound.settle(min(cleared, self._sound.clears))
            self._changed.tell()

    def stop(self) -> Optional[Played]:
        """See ``Speaker.stop``: waits until the other side has told what was heard, ``clear_seconds`` at most."""
        self._clear(self._clear_seconds)
        return self.position.current

    def wait(self, timeout: Optional[float] = None) -> None:
        """See ``Speaker.wait``."""
        if not self._changed.wait_for(lambda: not self.playing, Deadline(timeout)):
            raise WaitTimeoutError(f"{self.name!r} has not told within {timeout} s that all was played")
        self._check()

    @aside_if_nested
    def close(self) -> None:
        """See ``Speaker.close``; does not wait for an answer. It may be used again, until ``end()``."""
        if self.playing:
            self._clear(0)

    @aside_if_nested
    def end(self) -> None:
        """The other side has gone: nothing is played any more, and nobody waits for it. Idempotent, from any thread.

        ``write`` raises AudioDeviceError from now on, which ends a conversation.
        """
        self._end(None)

    @aside_if_nested
    def _clear(self, seconds: float) -> None:
        with self._lock:
            if self._ended:
                return
            number = self._sound.clear()
            self._calls.append(functools.partial(self._player.clear, number))
            self._changed.tell()
        self._call()
        if seconds and not self._changed.wait_for(lambda: self._settled(number), Deadline(seconds)):
            logger.warning(
                "%r has not told within %g s what was heard; what it told before counts", self.name, self._clear_seconds
            )
            with self._lock:
                self._sound.settle(number)
                self._changed.tell()

    def _settled(self, number: int) -> bool:
        with self._lock:
            return self._sound.settled(number)

    def _call(self) -> None:
        """Have the player called for what waits: here, or by the thread that does so just now."""
        turn = object()
        while self._calls:
            try:
                if self._calling.setdefault(_CALLING, turn) is not turn:
                    return  # its holder looks again when it has given the turn back
                while (call := self._next_call()) is not None:
                    call()
            except Exception as problem:  # the application's: its socket has its own errors
                self._end(problem)
            finally:
                # No function is called in between, so Ctrl-C cannot come there.
                if _CALLING in self._calling and self._calling[_CALLING] is turn:
                    del self._calling[_CALLING]

    def _next_call(self) -> Optional[Callable[[], object]]:
        with self._lock:
            return self._calls.popleft() if self._calls else None

    def _end(self, problem: Optional[BaseException]) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended, self._problem = True, problem
            self._calls.clear()
            self._sound.settle(self._sound.clear())
            self._changed.tell()
        if problem is not None:
            logger.info("%r plays no more: %s: %s", self.name, type(problem).__name__, problem)

    def _check(self) -> None:
        if self._ended:
            why = f": {type(self._problem).__name__}: {self._problem}" if self._problem is not None else ""
            raise AudioDeviceError(f"{self.name!r} has gone, so nothing can be played there{why}") from self._problem

    def __repr__(self) -> str:
        state = "gone" if self._ended else "playing" if self.playing else "silent"
        return f"<RemoteSpeaker {self.name!r}: {state}, {self.position!r}>"
