"""The parts that need no package: the transcriber's words, and the voice that sounds of syllables."""

from __future__ import annotations

from typing import Iterable, Iterator

import attrs

from realtime_sync.server.responder import Transcriber
from realtime_sync.server.speech.protocols import Hints, Recognition, Spoken
from realtime_sync.server.speech.speech import Speech
from realtime_sync.server.vad import EnergyDetector
from realtime_sync.server.voice import SAMPLE_RATE, narrow, speak


@attrs.frozen
class TranscriberRecognizer:
    """A ``Transcriber`` as a ``Recognizer``."""

    transcriber: Transcriber

    def load(self) -> None:
        """Nothing is needed."""

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        """What the transcriber says that it says."""
        return Recognition(self.transcriber(pcm, rate))


class LetterSynthesizer:
    """See ``voice.speak``; each text is a piece. It has one speed."""

    def load(self) -> None:
        """Nothing is needed."""

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        """See ``Synthesizer.speak``."""
        for text in texts:
            pcm = speak(text, voice)
            yield Spoken([text], pcm if rate == SAMPLE_RATE else narrow(pcm))


def speech_without_models(transcriber: Transcriber) -> Speech:
    """How a server hears and speaks that has not been given real speech."""
    return Speech(
        detector=EnergyDetector(),
        recognizer=TranscriberRecognizer(transcriber),
        synthesizer=LetterSynthesizer(),
        understands=False,
    )
