"""Keeps a live session's clock: silence wherever nobody sends audio.

The service's timeline goes on only while audio comes (``clock.py``). A microphone that stops, a file that is read
slowly, a generator that hangs, a session to which nobody speaks: from 300 ms after the last sample on, this sends
silence in pieces of 100 ms, at real time, until somebody sends again.

One thread for each session, which ends with it. It never raises out. While the session reconnects it sends nothing.
What was missed because the computer slept or the process stood still is not caught up, because the timeline would jump.
"""

from __future__ import annotations

import logging
import time
from typing import Callable

from realtime_sync.core.streams import End
from realtime_sync.errors import RealtimeSyncError
from realtime_sync.interrupts import Flag
from realtime_sync.live.clock import RUNS_ON_SECONDS
from realtime_sync.live.state import LiveEngine
from realtime_sync.live.track import PIECE_SECONDS, AudioTrack
from realtime_sync.protocol.update_base import ConversationUpdate

logger = logging.getLogger(__name__)


class ClockKeeper:
    """See the module. ``wall``: seconds of a clock that goes on while the computer sleeps."""

    def __init__(self, engine: LiveEngine, track: AudioTrack, wall: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._track = track
        self._wall = wall
        self._over = Flag()

    def start(self) -> None:
        """Begin. Raises ``NoMoreThreadsError``."""
        self._engine.clock.kept = True
        try:
            self._engine.start_thread(self._run, "keeper")
        except BaseException:
            self._engine.clock.kept = False
            raise

    def deliver(self, update: ConversationUpdate) -> None:
        """See ``Listener``: nothing that the service says stops the clock."""

    def end(self, end: End) -> None:
        """See ``Listener``."""
        self._over.set()

    def _run(self) -> None:
        try:
            with self._engine.listening(self):
                self._keep()
        except BaseException:  # a defect of this library: the session goes on, and waits say that the clock stands
            logger.exception("%s: the keeper of the clock failed; send audio all the time", self._engine.name)
        finally:
            self._engine.clock.kept = False

    def _keep(self) -> None:
        while not self._over.is_set():
            seconds = self._step()
            before, wall = time.monotonic(), self._wall()
            self._over.wait(seconds)
            self._tell_of_sleep(max(time.monotonic() - before, self._wall() - wall) - seconds)

    def _step(self) -> float:
        """Send silence if it is due; returns in how many seconds to look again."""
        seconds = self._track.until_gap()
        if seconds > 0:
            return seconds
        if self._engine.reconnecting or self._engine.closing:
            return PIECE_SECONDS
        try:
            self._track.fill()
        except RealtimeSyncError:  # the connection has ended; the session goes on over another one, or ends this
            return PIECE_SECONDS
        return max(0.0, self._track.until_gap())

    def _tell_of_sleep(self, seconds: float) -> None:
        if seconds > RUNS_ON_SECONDS and not self._over.is_set():
            logger.warning(
                "%s: nothing ran here for %.1f s (a computer that slept?): the session's clock stood, and goes on now",
                self._engine.name,
                seconds,
            )
