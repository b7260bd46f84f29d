"""What the model of a live session says: its words on the timeline, and their sound in its track."""

from __future__ import annotations

import collections
import functools
import logging
from typing import TYPE_CHECKING, Callable, Iterable, Optional

import attrs

from realtime_sync.server.clock import Cancel
from realtime_sync.server.live.words import TimedWords, fragments, grid_after
from realtime_sync.server.speech.protocols import Spoken
from realtime_sync.server.speech.recorded import RecordedSynthesizer
from realtime_sync.server.speech.without_models import LetterSynthesizer
from realtime_sync.server.voice import SAMPLE_RATE

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")
# These need no time, so that what is said begins when it should, also by a manual clock.
_AT_ONCE = (LetterSynthesizer, RecordedSynthesizer)


@attrs.frozen
class _Speech:
    """What is said, and how it sounds (PCM16 at 24,000 Hz)."""

    text: str
    pcm: bytes

    @property
    def length_ms(self) -> float:
        """How long it takes."""
        return len(self.pcm) / 2 / SAMPLE_RATE * 1000


@attrs.frozen
class _Line:
    """What waits to be said, not before this place of the timeline. ``retold``: in the model's own words."""

    text: str
    at_ms: Optional[float]
    retold: bool


class Mouth:
    """The speaking of one session. What takes time is done without its lock, by one thread: so it stays in order."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self._lines: collections.deque[_Line] = collections.deque()
        self._has_thread = False  # for the lines
        self._hushes = 0
        self._until_ms = 0.0  # where what is to be said ends
        self._plans: list[tuple[float, Cancel]] = []  # where on the timeline what happens
        self.told = 0
        """How many pieces of words have been told."""

    def say(self, text: str, at_ms: Optional[float] = None, *, retold: bool = False) -> None:
        """Say this, behind all that is to be said already; not before this place of the timeline if one is told.

        ``retold``: in the model's own words. It begins a little later if these or the voice take their time.
        """
        line, session = _Line(text, at_ms, retold), self._session
        with session.lock:
            if session.has_ended:
                return
            takes_time = not isinstance(session.settings.speech.synthesizer, _AT_ONCE)
            if not self._has_thread:
                if not takes_time and not (retold and session.has_own_words):
                    self._plan(self._spoken(line), at_ms)
                    return
                session.start_thread(self._say_lines, "voice")  # it waits for the lock
                self._has_thread = True
            self._lines.append(line)

    def _say_lines(self) -> None:
        session, lock = self._session, self._session.lock
        while True:
            with lock:
                if not self._lines:
                    self._has_thread = False
                    return
                line, hushes = self._lines.popleft(), self._hushes
            try:
                speech = self._spoken(line)
            except Exception:  # user code; the service's model would say nothing
                _log.exception("the voice of a live session failed")
                continue
            with lock:
                if hushes == self._hushes and not session.has_ended:
                    self._plan(speech, line.at_ms)

    def _spoken(self, line: _Line) -> _Speech:
        text = self._session.in_own_words(line.text) if line.retold else line.text
        parts: Iterable[Spoken] = self._session.settings.speech.synthesizer.speak(
            [text], voice=self._session.voice, speed=1.0, rate=SAMPLE_RATE
        )
        return _Speech(text, b"".join(part.audio for part in parts))

    def _plan(self, speech: _Speech, at_ms: Optional[float]) -> None:
        session = self._session
        place = grid_after(max(session.model_ms, self._until_ms))
        start = place if at_ms is None else max(place, grid_after(at_ms - 1))
        self._until_ms = start + speech.length_ms
        # Of what has happened nothing is kept: it holds the sound.
        self._plans = [(due, cancel) for due, cancel in self._plans if due > session.model_ms]
        self._plan_at(start, lambda: session.track.play(speech.pcm))
        for piece in fragments(speech.text, start, speech.length_ms):
            self._plan_at(piece.start_ms - session.rules.words_ahead_ms, functools.partial(self._tell, piece))
        session.pump()

    def _plan_at(self, due: float, act: Callable[[], None]) -> None:
        self._plans.append((due, self._session.schedule.add(due, act)))

    def _tell(self, piece: TimedWords) -> None:
        self._session.tell_words("session.output_transcript.delta", piece)
        self.told += 1
        if self.told == self._session.rules.faults.drop_after_words:
            self._session.drop()

    def hush(self) -> None:
        """Go silent: what has not been said is not said any more. Called under the lock."""
        self._hushes += 1
        self._lines.clear()
        for _, cancel in self._plans:
            cancel()
        self._plans.clear()
        self._session.track.hush()
        self._until_ms = min(self._until_ms, self._session.model_ms)
