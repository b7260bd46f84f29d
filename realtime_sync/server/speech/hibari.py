"""Speech synthesis by hibari-tts (Apache-2.0): English, one real voice, a sentence in 10 to 50 ms of CPU."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional, Union

from realtime_sync.server.speech.native import native_code
from realtime_sync.server.speech.packages import Shared, Turns, check, folder_of, need, path_of, require
from realtime_sync.server.speech.protocols import Spoken
from realtime_sync.server.speech.sentences import sentences

_RATE = 24_000
_SHA256 = {"hibari.onnx": "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"}
_WHAT = "the speech synthesis"
# The API's voices, imitated by pitch: the one real voice is a woman's. Between 0.85 and 1.18 it stays as intelligible.
_PITCHES = {
    "alloy": 1.0,
    "ash": 0.88,
    "ballad": 0.94,
    "cedar": 0.86,
    "coral": 1.06,
    "echo": 0.9,
    "marin": 1.03,
    "sage": 1.09,
    "shimmer": 1.13,
    "verse": 0.92,
}
_WORDS = re.compile(r"\s*\S+|\s+$")
_SEED = 2026  # the same text sounds the same each time


class HibariSynthesizer:
    """Speaks English, each sentence as soon as its text is there.

    Args:
        model: path of another ONNX file of hibari's. None: the voice "heart" of the package, checked by its sha256
            (its pronunciation lexicons, of the same package, are not: they steer no native code).
        timeout: seconds that a sentence may wait for those of other sessions; then its response fails.
    """

    def __init__(self, model: Union[str, Path, None] = None, *, timeout: float = 60.0) -> None:
        require(_WHAT, "hibari", "onnxruntime", "numpy", "soxr")
        self._path = path_of(model, _WHAT)
        self._timeout = timeout

    def load(self) -> None:
        """See ``VoiceActivityDetector.load``."""
        _models.get(self._path)

    def speak(self, texts: Iterable[str], *, voice: str, speed: float, rate: int) -> Iterator[Spoken]:
        """See ``Synthesizer.speak``. Below a speed of about 0.5 it does not get slower."""
        model = _models.get(self._path)
        pitch = pitch_of(voice)
        for sentence in sentences(texts):
            samples = model.samples(sentence, min(2.0, max(0.5, speed / pitch)), self._timeout)
            yield Spoken(_WORDS.findall(sentence), _pcm(samples, pitch, rate))


class _HibariModel:
    """The loaded model. ``_turns`` lets one sentence be made at a time: nobody says that the lexicon bears two."""

    def __init__(self, path: Optional[Path]) -> None:
        hibari = need("hibari", _WHAT)
        if path is None:
            check(folder_of("hibari") / "assets", _SHA256)
        # Only "heart" is in the package; naming another voice would download it.
        self._hibari = hibari.Hibari("heart", model=None if path is None else str(path))
        self._turns = Turns()
        self.samples("Hello.", 1.0, 60.0)  # reads the lexicons

    def samples(self, sentence: str, speed: float, timeout: float) -> Any:
        with self._turns.wait(timeout, f"A text waited {timeout} s to be spoken"), native_code():
            return self._hibari(sentence, speed=speed, seed=_SEED)


def pitch_of(voice: str) -> float:
    """How much higher than the real voice a named one is; the same for the same name, known or not."""
    known = _PITCHES.get(voice)
    return known if known is not None else 0.86 + zlib.crc32(voice.encode()) % 28 / 100


@native_code()
def _pcm(samples: Any, pitch: float, rate: int) -> bytes:
    """Played ``pitch`` times as fast, at ``rate`` Hz, as PCM16: one resampling does both."""
    import numpy
    import soxr

    if len(samples) == 0:
        return b""
    if pitch != 1.0 or rate != _RATE:
        samples = soxr.resample(samples, _RATE * pitch, rate)
    return bytes((numpy.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())


_models = Shared(_HibariModel)
