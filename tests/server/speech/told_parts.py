"""Parts of speech that a test decides about: what is heard, and when."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Callable, Optional

from realtime_sync.server.speech import Hints, Recognition, Speech, Spoken, Word
from realtime_sync.server.vad import EnergyDetector

MS_A_WORD = 200


class ToldRecognizer:
    """Hears what it is told to, turn after turn; waits for ``may_go_on`` before each."""

    def __init__(self, *texts: str, error: Optional[Exception] = None) -> None:
        self._texts = list(texts)
        self._error = error
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.asked: list[tuple[int, int, Hints]] = []

    def load(self) -> None:
        pass

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        assert self.may_go_on.wait(10)
        self.asked.append((len(pcm) * 1000 // 2 // rate, rate, hints))
        if self._error is not None:
            raise self._error
        text = self._texts.pop(0)
        return Recognition(text, [Word(" " + word, -0.5) for word in text.split()] if hints.logprobs else ())


class BeepSynthesizer:
    """A fifth of a second a word, loud; a sentence a piece."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, int]] = []

    def load(self) -> None:
        pass

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        self.asked.append((voice, speed, rate))
        for text in texts:
            for sentence in text.split(". "):
                words = [f"{word} " for word in sentence.split()]
                yield Spoken(words, b"\x00\x20" * (rate * MS_A_WORD // 1000 * len(words)))


def speech(*texts: str, recognizer: Optional[ToldRecognizer] = None, **parts: object) -> Speech:
    hears = recognizer or ToldRecognizer(*texts)
    make: Callable[..., Speech] = Speech
    return make(**{"detector": EnergyDetector(), "recognizer": hears, "synthesizer": BeepSynthesizer(), **parts})
