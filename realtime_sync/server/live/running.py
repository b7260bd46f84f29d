"""A live session's running: what is due on its timeline is done, and its sound is sent, when the model is there.

``clock.py`` says where the timeline is, ``schedule`` what is due where on it, and ``pump()`` does what is due and sends
the sound that is ready. It is called whenever something has changed, and by one timer, which is set only while the
timeline goes on.
"""

from __future__ import annotations

import base64
import collections
import functools
import json
import logging
import math
from typing import Callable, Optional, Protocol

from realtime_sync.server.clock import Timers
from realtime_sync.server.live.clock import TwinTimeline
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.settings import format_of
from realtime_sync.server.live.track import DELTA_MS, OutputTrack
from realtime_sync.server.served import ServedSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Json

_log = logging.getLogger("realtime_sync.server")
_HISTORY = 256  # events that one who attaches may be told again
_SHORTEST_WAIT = 0.0001  # seconds
_DELTA = "session.output_audio.delta"


class Watcher(Protocol):
    """Who is told of a session what its own socket is told, and what it hears. All called under its lock."""

    def on_event(self, text: str, event: Json) -> None:
        """An event was sent, other than of sound."""

    def on_input_audio(self, audio: bytes, start_ms: float) -> None:
        """The user's audio came, in the session's format, which begins there on the timeline."""

    def on_output_audio(self, audio: bytes, start_ms: float) -> None:
        """The model's audio was sent, in the session's format, which begins there on the timeline."""


class RunningSession(ServedSession):
    """A session with a timeline, a schedule on it, and a track of sound.

    ``history``: the last events but those of sound, with the milliseconds of the timeline at which they were sent.
    ``watchers``: who is told, too. ``ended_by``: the reason that ``session.closed`` has told, or None.
    """

    def __init__(self, rules: LiveRules, settings: SessionSettings, upgrade: Upgrade) -> None:
        super().__init__(settings, upgrade)
        self.rules = rules
        self.ended_by: Optional[str] = None
        self.history: collections.deque[tuple[float, Json]] = collections.deque(maxlen=_HISTORY)
        self.watchers: list[Watcher] = []
        self.timeline = TwinTimeline()
        self.schedule = Timers()  # in milliseconds of the timeline, done when the model is there
        self.track = OutputTrack(format_of(None))
        self._pumped_at: Optional[float] = None
        self._advanced_ms = 0.0
        self._stalled_until = 0.0
        self._stalled: list[tuple[bytes, float]] = []

    @property
    def has_ended(self) -> bool:
        """Whether its end has been told, or nobody is there to be told of it."""
        return self.is_over or self.ended_by is not None

    @property
    def timeline_ms(self) -> float:
        """Where the timeline is, in milliseconds."""
        with self.lock:
            return self.timeline.now_ms(self.clock.monotonic())

    @property
    def model_ms(self) -> float:
        """Where on the timeline the model is: a little behind."""
        with self.lock:
            return self.timeline.model_ms(self.clock.monotonic())

    @property
    def stands(self) -> bool:
        """Whether the timeline waits for audio."""
        with self.lock:
            return self.timeline.stands(self.clock.monotonic())

    @property
    def seconds(self) -> int:
        """What has been used: whole seconds of the timeline."""
        return int(self.timeline_ms // 1000)

    def stall(self, ms: float = 300.0) -> None:
        """Hold back what sounds for so long by the clock, then send it at once."""
        with self.lock:
            self._stalled_until = self.clock.monotonic() + ms / 1000
            self._timers["stall"] = self.clock.call_later(ms / 1000, self.pump)

    # Under the lock ----------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Do what is due on the timeline, and send the sound that is ready."""
        with self.lock:
            if self.has_ended or not self.timeline.has_begun:
                return
            now = self.clock.monotonic()
            model_ms = self.timeline.model_ms(now)
            self._advance(model_ms, now)
            self._send_sound(rest=model_ms >= self.timeline.stands_at_ms)
            while (due := self.schedule.take_due(model_ms)) is not None:
                self._do(due[1])
            self._set_timer(model_ms, now)

    def forget(self) -> None:
        """Keep no sound of a session that is over, and nothing that was to come."""
        self.schedule, self.track = Timers(), OutputTrack(format_of(None))
        self._stalled.clear()
        self.history.clear()

    def _do(self, act: Callable[[], None]) -> None:
        """Do what is due. The clock's thread, which is that of all sessions, survives what it raises."""
        try:
            act()
        except Exception:  # no thread can be started, or a defect of this server
            _log.exception("what was due in a live session could not be done")

    def _advance(self, model_ms: float, now: float) -> None:
        """The track goes on in real time: a jump of the timeline is none of it."""
        passed = (now - (now if self._pumped_at is None else self._pumped_at)) * 1000
        self.track.advance(min(model_ms - self._advanced_ms, passed) if passed else 0.0)
        self._pumped_at, self._advanced_ms = now, model_ms

    def _set_timer(self, model_ms: float, now: float) -> None:
        """Look again when the next thing is due, if the timeline gets there by itself."""
        targets = [model_ms + DELTA_MS - self.track.ready_ms, self.schedule.next_due() or math.inf]
        target = min(*targets, self.timeline.stands_at_ms)
        self._timers.pop("pump", lambda: None)()
        if target > model_ms:
            wait = self.timeline.seconds_until_model(target, now)
            self._timers["pump"] = self.clock.call_later(max(wait, _SHORTEST_WAIT), self.pump)

    def _send_sound(self, *, rest: bool) -> None:
        start = self._advanced_ms - self.track.ready_ms
        for delta in self.track.take(rest=rest):
            self._stalled.append((delta, start))
            start += len(delta) / self.track.bytes_per_ms
        if self.clock.monotonic() >= self._stalled_until:
            stalled, self._stalled = self._stalled, []
            for delta, start in stalled:
                self._send_delta(delta, start)

    def _send_delta(self, audio: bytes, start_ms: float) -> None:
        for watcher in list(self.watchers):
            watcher.on_output_audio(audio, start_ms)
        if self.rules.timed_deltas:
            end_ms = start_ms + len(audio) / self.track.bytes_per_ms
            times = {"start_ms": round(start_ms), "end_ms": round(end_ms)}
            self.send_as_it_is({"type": _DELTA, "delta": base64.b64encode(audio).decode(), **times})
        elif not self.is_over:
            self._send_text(*_delta(audio))

    def _send_text(self, text: str, message: Json) -> None:
        super()._send_text(text, message)
        if message.get("type") != _DELTA:
            self.history.append((self._advanced_ms, message))
            for watcher in list(self.watchers):
                watcher.on_event(text, message)


@functools.lru_cache(maxsize=64)  # most are silent, and the same
def _delta(audio: bytes) -> tuple[str, Json]:
    """The message of a delta without times, as text and as it is kept."""
    message = {"type": _DELTA, "delta": base64.b64encode(audio).decode()}
    return json.dumps(message, separators=(",", ":")), message
