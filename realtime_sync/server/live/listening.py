"""How a live session understands its user: a voice detector, and a recogniser for what lies between two silences."""

from __future__ import annotations

import array
import functools
import itertools
import logging
from typing import TYPE_CHECKING, Callable, Sequence

import attrs

from realtime_sync.audio.g711 import pcm_of, samples_of
from realtime_sync.server.audio_formats import BYTES_PER_MS, RATES, to_pcm
from realtime_sync.server.live.settings import format_of
from realtime_sync.server.live.track import silence_of
from realtime_sync.server.speech.protocols import Hints, Recognition
from realtime_sync.server.speech.recorded import RecordedRecognizer
from realtime_sync.server.vad import SpeechPaused, SpeechStarted, VoiceDetector

if TYPE_CHECKING:
    from realtime_sync.server.live.session import TwinSession

_log = logging.getLogger("realtime_sync.server")
_THRESHOLD = 0.5
_PAUSE_MS, _END_MS = 300, 600  # of silence
_BEFORE_MS = 300  # that goes along with speech, from before it was noticed
_MOST_MS = 60_000  # of one stretch of speech
_LISTENS_MS = 1000  # of more speech, until it is listened to anew while it goes on


@attrs.define(eq=False)
class _UserSpeech:
    """One stretch of the user's speech. ``start_ms``: in what was fed.

    ``told``: how many words have been told. ``guess``: those that were understood last, of speech that went on.
    """

    start_ms: float
    told: int = 0
    guess: Sequence[str] = ()


class TwinListener:
    """The listening of one session. Every method is called under its lock, the recogniser without it.

    While the user speaks, words are told once two recognitions agree on them; the rest at a pause. So they come up to
    two seconds later than the service tells them, with the times at which they were said.
    """

    def __init__(self, session: TwinSession) -> None:
        self._session = session
        told = format_of(session.session)
        self._widen = told["rate"] == 16_000
        self._silence = silence_of(told)
        self._type = str(told["type"])
        speech = session.settings.speech
        self._detector = VoiceDetector(_THRESHOLD, _END_MS, self._type, pause_ms=_PAUSE_MS, detector=speech.detector)
        # It knows whole recordings only.
        self._listens_on = not isinstance(speech.recognizer, RecordedRecognizer)
        self._is_busy = False  # with speech that goes on
        self._listened_ms = 0.0  # where in what was fed that was begun last
        self._buffer = bytearray()
        self._buffer_ms = 0.0  # where in what was fed the buffer begins
        self._fed_ms = 0.0
        self._offset_ms = 0.0  # from what was fed to the timeline
        self._speech = _UserSpeech(0.0)
        # Recognitions may take longer than those that were begun later: they are taken in turn all the same.
        self._turns = self._taken = 0
        self._late: dict[int, Callable[[], None]] = {}

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
            elif isinstance(found, SpeechPaused):
                self._recognize(found.at_ms, silence_ms=_PAUSE_MS)
            else:
                self._recognize(found.at_ms, silence_ms=_END_MS, ended=True)
        if not self._detector.speaking:
            self._forget(self._fed_ms - 2 * _BEFORE_MS)
        elif self._fed_ms - self._speech.start_ms > _MOST_MS:
            self._recognize(self._fed_ms)
            self._speech = _UserSpeech(self._fed_ms)
            self._forget(self._fed_ms)
        elif self._listens_on and not self._is_busy and self._fed_ms - self._listened_ms >= _LISTENS_MS:
            self._recognize(self._fed_ms, goes_on=True)

    def _begin(self, at_ms: float) -> None:
        self._speech = _UserSpeech(max(at_ms - _BEFORE_MS, self._buffer_ms))
        self._listened_ms = at_ms
        self._session.talk.user_speaks(at_ms + self._offset_ms)

    def _recognize(
        self, until_ms: float, *, silence_ms: float = 0.0, goes_on: bool = False, ended: bool = False
    ) -> None:
        size, speech, rate = BYTES_PER_MS[self._type], self._speech, RATES[self._type]
        first, last = (int(ms - self._buffer_ms) * size for ms in (speech.start_ms, until_ms))
        audio = bytes(self._buffer[max(0, first) : last])
        start = speech.start_ms + self._offset_ms + _BEFORE_MS
        span = start, max(start, until_ms + self._offset_ms - silence_ms)
        self._is_busy, self._listened_ms = self._is_busy or goes_on, until_ms
        turn = self._turns
        self._turns += not goes_on

        def work() -> None:
            recognition = Recognition("")
            try:
                recognizer = self._session.settings.speech.recognizer
                recognition = recognizer.recognize(to_pcm(audio, self._type), rate, Hints())
            except Exception:  # user code; the service would tell of no words
                _log.warning("speech could not be recognised", exc_info=True)
            with self._session.lock:
                if self._session.has_ended:
                    return
                words: Sequence[str] = recognition.text.split() if recognition.understood else ()
                if not goes_on:
                    self._late[turn] = functools.partial(self._take, speech, words, span, ended=ended)
                    self._take_in_turn()
                    return
                self._is_busy = False
                words, speech.guess = _agreed(words, speech.guess), words
                if turn == self._taken:  # else they come with the rest of this speech
                    self._take(speech, words, span)

        self._session.start_thread(work, "recognize")

    def _take_in_turn(self) -> None:
        """Take what was recognised, if all that was said before it has been."""
        while (take := self._late.pop(self._taken, None)) is not None:
            self._taken += 1
            take()

    def _take(
        self, speech: _UserSpeech, words: Sequence[str], span: tuple[float, float], *, ended: bool = False
    ) -> None:
        self._tell(speech, words, span)
        if ended:
            self._session.talk.user_has_ended(max(self._session.model_ms, self._session.ears.ends_at_ms))
        self._session.pump()

    def _tell(self, speech: _UserSpeech, words: Sequence[str], span: tuple[float, float]) -> None:
        """Tell the words that have not been told of a stretch of speech that was said within this span."""
        new = words[speech.told :]
        if not new:
            return
        before, all_letters = (sum(len(word) + 1 for word in some) for some in (words[: speech.told], words))
        ms_per_letter = (span[1] - span[0]) / all_letters
        start = span[0] + before * ms_per_letter
        text = " ".join(new) if not speech.told else " " + " ".join(new)
        self._session.ears.hear_words(text, start, max(0.0, span[1] - start))
        speech.told = len(words)

    def _forget(self, until_ms: float) -> None:
        """Let go of what is older."""
        whole = int(until_ms - self._buffer_ms)
        if whole > 0:
            del self._buffer[: whole * BYTES_PER_MS[self._type]]
            self._buffer_ms += whole


def _agreed(one: Sequence[str], other: Sequence[str]) -> Sequence[str]:
    """The words with which both begin."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return [word for word, _ in pairs]


def _three_halves(pcm: bytes) -> bytes:
    """16 kHz PCM16 at 24 kHz: of two samples three, those between them in proportion."""
    samples = samples_of(pcm[: len(pcm) // 4 * 4])
    first, second = samples[0::2], samples[1::2]
    made = array.array("h", bytes(len(first) * 6))
    made[0::3] = first
    made[1::3] = array.array("h", ((a + 2 * b) // 3 for a, b in zip(first, second, strict=True)))
    made[2::3] = array.array("h", ((2 * b + c) // 3 for b, c in zip(second, [*first[1:], *second[-1:]], strict=True)))
    return pcm_of(made)
