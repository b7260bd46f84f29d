"""What the model of a live session hears: the user's words on the timeline."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Optional

from realtime_sync.server.live.clock import LAG_MS
from realtime_sync.server.live.listening import TwinListener
from realtime_sync.server.live.words import TimedWords, fragments, grid_after, length_of

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")
# A word is told 0.55 s after its end: a little before the model, which is 0.6 s behind, gets there.
_TOLD_MS = 550.0 - LAG_MS
_KEPT = 8000  # characters


class Ears:
    """The hearing of one session. Every method is called under its lock."""

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        self._words = ""  # heard since the last delegation
        self._listener: Optional[TwinListener] = None
        self.text = ""
        """The latest of what was heard."""
        self.muted = False
        self.last: Optional[TimedWords] = None
        """The last piece of the user's words that was understood, told or about to be."""

    @property
    def told_at_ms(self) -> float:
        """Where the model is when the last piece is told, if nothing holds it up."""
        return 0.0 if self.last is None else self.last.end_ms + _TOLD_MS

    @property
    def ends_at_ms(self) -> float:
        """Where the model is when all that was heard has been told."""
        return self.told_at_ms + self._session.rules.faults.late_words_ms

    def begin(self) -> None:
        """The session starts: from now on it listens, if it understands anything."""
        if self._session.settings.speech.understands:
            self._listener = TwinListener(self._session)

    def end(self) -> None:
        """The session is over: nothing is listened to any more."""
        self._listener = None

    def hear_words(self, text: str, start_ms: Optional[float] = None, length_ms: Optional[float] = None) -> None:
        """The user says this: from there on, for so long; None: from now on, as long as it takes."""
        session = self._session
        earliest = 0 if self.last is None else self.last.end_ms
        start = grid_after(session.timeline_ms if start_ms is None else start_ms - 1)
        length = length_of(text) if length_ms is None else length_ms
        self._words = (self._words + text)[-_KEPT:]
        self.text = (self.text + " " + text)[-_KEPT:]
        for piece in fragments(text, max(start, earliest), length):
            self.last = piece
            session.schedule.add(
                self.ends_at_ms, functools.partial(session.tell_words, "session.input_transcript.delta", piece)
            )
        session.pump()

    def take_words(self) -> str:
        """What was heard since this was asked last."""
        words, self._words = self._words, ""
        return words.strip()

    def hear(self, audio: bytes, at_ms: float) -> None:
        """Audio of the user's, in the session's format, and where on the timeline it begins."""
        if self._listener is None:
            return
        try:
            self._listener.feed(audio, at_ms, muted=self.muted)
        except (
            Exception
        ):  # user code, or no thread can be started; the timeline goes on, on the clock's thread at times
            _log.exception("a live session can hear nothing any more")
            self._listener = None
