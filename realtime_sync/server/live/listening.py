"""How a live session understands its user: a voice detector, and a recogniser for what lies between two silences."""

from __future__ import annotations

import array
import logging
from typing import TYPE_CHECKING

from realtime_sync.audio.g711 import pcm_of, samples_of
from realtime_sync.server.audio_formats import BYTES_PER_MS, RATES, to_pcm
from realtime_sync.server.live.settings import format_of
from realtime_sync.server.live.track import silence_of
from realtime_sync.server.speech.protocols import Hints, Recognition
from realtime_sync.server.vad import SpeechPaused, SpeechStarted, VoiceDetector

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")
_THRESHOLD = 0.5
_PAUSE_MS, _END_MS = 300, 600  # of silence
_BEFORE_MS = 300  # that goes along with speech, from before it was noticed
_MOST_MS = 60_000  # of one stretch of speech


class TwinListener:
    """The listening of one session. Every method is called under its lock, the recogniser without it.

    Nothing is told before a pause: the recogniser wants whole phrases. So the words of a phrase come later than the
    service tells them, with the times at which they were said.
    """

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        told = format_of(session.session)
        self._widen = told["rate"] == 16_000
        self._silence = silence_of(told)
        self._type = str(told["type"])
        self._detector = VoiceDetector(
            _THRESHOLD, _END_MS, self._type, pause_ms=_PAUSE_MS, detector=session.settings.speech.detector
        )
        self._buffer = bytearray()
        self._buffer_ms = 0.0  # where in what was fed the buffer begins
        self._fed_ms = 0.0
        self._offset_ms = 0.0  # from what was fed to the timeline
        self._start_ms: float = 0.0  # of the speech that goes on
        self._number = 0  # of that speech
        self._told = ""  # of it

    def feed(self, audio: bytes, at_ms: float, *, muted: bool) -> None:
        """Take audio, in the session's format, which begins there on the timeline; while muted as silence."""
        heard = self._silence * len(audio) if muted else audio
        heard = _three_halves(heard) if self._widen else heard
        self._offset_ms = at_ms - self._fed_ms
        self._buffer += heard
        self._fed_ms += len(heard) / BYTES_PER_MS[self._type]
        for found in self._detector.feed(heard):
            if isinstance(found, SpeechStarted):
                self._begin(found.at_ms)
            else:
                self._recognize(found.at_ms, ended=not isinstance(found, SpeechPaused))
        if not self._detector.speaking or self._fed_ms - self._start_ms > _MOST_MS:
            self._forget(self._fed_ms - 2 * _BEFORE_MS)

    def _begin(self, at_ms: float) -> None:
        self._start_ms = max(at_ms - _BEFORE_MS, self._buffer_ms)
        self._number += 1
        self._told = ""
        self._session.talk.user_speaks(at_ms + self._offset_ms)

    def _recognize(self, until_ms: float, *, ended: bool) -> None:
        size = BYTES_PER_MS[self._type]
        first, last = (int(ms - self._buffer_ms) * size for ms in (self._start_ms, until_ms))
        audio, number, rate = bytes(self._buffer[max(0, first) : last]), self._number, RATES[self._type]
        span = (
            self._start_ms + self._offset_ms + _BEFORE_MS,
            until_ms + self._offset_ms - (_END_MS if ended else _PAUSE_MS),
        )

        def work() -> None:
            try:
                recognition = self._session.settings.speech.recognizer.recognize(
                    to_pcm(audio, self._type), rate, Hints()
                )
            except Exception:  # user code; the service would tell of no words
                _log.warning("speech could not be recognised", exc_info=True)
                return
            with self._session.lock:
                self._tell(recognition, number, span, ended=ended)

        self._session.start_thread(work, "recognize")

    def _tell(self, recognition: Recognition, number: int, span: tuple[float, float], *, ended: bool) -> None:
        session = self._session
        text = recognition.text.strip() if recognition.understood else ""
        told = self._told if number == self._number else ""
        words, known = text.split(), len(told.split())
        if len(words) > known:
            start = span[0] if not known else max(span[0], session.ears.last.end_ms if session.ears.last else 0)
            rest = " ".join(words[known:])
            session.ears.hear_words(f" {rest}" if known else rest, start, max(0.0, span[1] - start))
            if number == self._number:
                self._told = text
        if ended:
            session.talk.user_has_ended(session.model_ms)
            session.pump()

    def _forget(self, until_ms: float) -> None:
        """Let go of what is older."""
        whole = int(until_ms - self._buffer_ms)
        if whole > 0:
            del self._buffer[: whole * BYTES_PER_MS[self._type]]
            self._buffer_ms += whole


def _three_halves(pcm: bytes) -> bytes:
    """16 kHz PCM16 at 24 kHz: of two samples three, those between them in proportion."""
    samples = samples_of(pcm[: len(pcm) // 4 * 4])
    first, second = samples[0::2], samples[1::2]
    made = array.array("h", bytes(len(first) * 6))
    made[0::3] = first
    made[1::3] = array.array("h", ((a + 2 * b) // 3 for a, b in zip(first, second, strict=True)))
    made[2::3] = array.array("h", ((2 * b + c) // 3 for b, c in zip(second, [*first[1:], *second[-1:]], strict=True)))
    return pcm_of(made)
