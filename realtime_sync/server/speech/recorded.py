"""Speech without models: recordings that are known by heart, as questions and as answers.

The sample recordings of ``examples/audio`` are understood (``fingerprints.py``), and the answers to them are recorded
speech. ``examples/audio/make_speech.py`` makes all of it. Of any other speech no word is understood, and any other text
is spoken in tones (``voice.speak``).
"""

from __future__ import annotations

import functools
import json
import wave
from pathlib import Path
from typing import Iterable, Iterator, Mapping, Optional, Sequence

from realtime_sync.server.defaults import default_transcriber
from realtime_sync.server.speech.fingerprints import is_recording, loudness
from realtime_sync.server.speech.protocols import Hints, Recognition, Spoken
from realtime_sync.server.speech.sentences import sentences
from realtime_sync.server.speech.speech import Speech
from realtime_sync.server.speech.without_models import LetterSynthesizer
from realtime_sync.server.vad import EnergyDetector
from realtime_sync.server.voice import SAMPLE_RATE, narrow

FOLDER = Path(__file__).parent / "recordings"
QUESTIONS = "questions.json"  # the fingerprint of each, by its text
ANSWERS = "answers.json"  # the name of the recording of each sentence
LIMITS = (
    "Only the three sample recordings are known here, by heart. "
    "To hear and speak for real: pip install 'realtime-sync[voice]'"
)
_MOST_SECONDS = 60  # what is longer is no sample recording


class RecordedRecognizer:
    """A ``Recognizer`` that knows the sample recordings, and says of anything else only how long it is."""

    def load(self) -> None:
        """Nothing is needed."""

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        """See ``Recognizer.recognize``."""
        if len(pcm) <= 2 * rate * _MOST_SECONDS:
            heard = loudness(pcm, rate)
            for text, known in _questions().items():
                if is_recording(known, heard):
                    return Recognition(text)
        return Recognition(default_transcriber(pcm, rate), understood=False)


class RecordedSynthesizer:
    """A ``Synthesizer`` with recordings of some sentences; a text with any other one is spoken in tones.

    There is one voice, at one speed.
    """

    def __init__(self) -> None:
        self._tones = LetterSynthesizer()

    def load(self) -> None:
        """Nothing is needed."""

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        """See ``Synthesizer.speak``."""
        for text in texts:
            parts = [(part, recording_of(part)) for part in sentences([text])]
            spoken = [Spoken([part], pcm if rate == SAMPLE_RATE else narrow(pcm)) for part, pcm in parts if pcm]
            whole = len(spoken) == len(parts)
            yield from spoken if whole else self._tones.speak([text], voice=voice, speed=speed, rate=rate)


def recorded_speech(limits: str = LIMITS) -> Speech:
    """Ears and a voice that know the sample recordings by heart; they need no package and no time to load.

    Args:
        limits: See ``Speech.limits``.
    """
    hears, speaks = RecordedRecognizer(), RecordedSynthesizer()
    return Speech(detector=EnergyDetector(), recognizer=hears, synthesizer=speaks, limits=limits)


def recording_of(sentence: str) -> Optional[bytes]:
    """PCM16 at 24 kHz that says a sentence; None if there is none."""
    name = _answers().get(sentence.strip())
    return None if name is None else _samples(name)


@functools.cache
def _questions() -> Mapping[str, Sequence[int]]:
    read: Mapping[str, Sequence[int]] = json.loads((FOLDER / QUESTIONS).read_text(encoding="utf-8"))
    return read


@functools.cache
def _answers() -> Mapping[str, str]:
    read: Mapping[str, str] = json.loads((FOLDER / ANSWERS).read_text(encoding="utf-8"))
    return read


@functools.cache
def _samples(name: str) -> bytes:
    with wave.open(str(FOLDER / name)) as recording:
        return bytes(recording.readframes(recording.getnframes()))
