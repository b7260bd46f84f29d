"""The way of a live session's audio to the service: one track, at real time, speech and the silence in its gaps.

Two threads write to it: the one that sends speech (it has the claim, see ``sending.py``), and the keeper of the clock
(``keeper.py``). They never mix: a piece is planned before it is waited for and sent, so the keeper sees no gap in which
a sender waits for its turn, and a sender's piece begins where the keeper's ended, and waits until that is sent.

Lock: ``AudioTrack._lock`` guards the plan; it is held for a few instructions, and nothing is taken under it.
"""

from __future__ import annotations

import threading
import time

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.core.recovery import Outgoing
from realtime_sync.interrupts import Flag
from realtime_sync.live.pace import Pace
from realtime_sync.live.state import LiveEngine
from realtime_sync.protocol import codec

PIECE_SECONDS = 0.1
APPEND_TYPE = "session.input_audio.append"
# While the session reconnects, its state is looked at so often.
_LOOK_SECONDS = 0.05
# In a longer wait it is looked so often whether the session lives.
_ALIVE_SECONDS = 0.5


class AudioTrack:
    """See the module."""

    def __init__(self, engine: LiveEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._pace = Pace(time.monotonic())
        self._filled = Flag()  # the last piece of silence is sent
        self._filled.set()

    @property
    def format(self) -> SampleFormat:
        """The session's, of both directions."""
        return self._engine.audio_format

    def wait_for_turn(self, size: int, wake: Flag) -> None:
        """Plan a piece of so many bytes, and wait until it is due, or ``wake`` is set."""
        self._engine.given += 1
        seconds = self.format.seconds(size)
        with self._lock:
            due, filled = self._pace.speech(time.monotonic(), seconds), self._filled
        self._wait_until(due, wake)
        filled.wait(self._engine.timeouts.send)  # by which it is sent, or the connection has ended

    def wait_until_heard(self, wake: Flag) -> None:
        """Wait until the service has heard all that was planned, as if it stood in the room."""
        self._wait_until(self._pace.planned, wake)

    def wait_until_connected(self, wake: Flag) -> None:
        """Wait while the session reconnects: what can wait is not lost then."""
        while self._engine.reconnecting and not wake.wait(_LOOK_SECONDS):
            pass

    def until_gap(self) -> float:
        """In so many seconds a gap is to be filled, if nobody sends meanwhile; 0 or less: now."""
        with self._lock:
            return self._pace.until_gap(time.monotonic())

    def fill(self) -> None:
        """Send a piece of silence at once, because there is a gap."""
        silence = self.format.silence(PIECE_SECONDS)
        filled = Flag()
        with self._lock:
            self._pace.silence(time.monotonic(), PIECE_SECONDS)
            self._filled = filled
        try:
            self.send(silence)
        finally:
            filled.set()

    def send(self, samples: bytes) -> None:
        """Send a piece whose turn it is."""
        self._engine.send_audio((Outgoing(codec.append_frame(samples, APPEND_TYPE), audio_bytes=len(samples)),))
        self._engine.clock.sent(self.format.seconds(len(samples)))

    def sent_by_hand(self, size: int) -> None:
        """So many bytes were sent without waiting for their turn."""
        seconds = self.format.seconds(size)
        with self._lock:
            self._pace.speech(time.monotonic(), seconds)
        self._engine.clock.sent(seconds)

    def _wait_until(self, due: float, wake: Flag) -> None:
        """Also ends with the session: behind audio that was sent by hand it may be a long wait."""
        engine = self._engine
        while (seconds := due - time.monotonic()) > 0 and not engine.closing and engine.end is None:
            if wake.wait(min(seconds, _ALIVE_SECONDS)):
                return
