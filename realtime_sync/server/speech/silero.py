"""Voice activity by Silero (v6, MIT), as the package faster-whisper carries it: 2.7 ms of CPU a second of audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Optional, Union

from realtime_sync.server.speech.native import native_code
from realtime_sync.server.speech.packages import Shared, check, folder_of, need, path_of, require

_RATE = 16_000
_FRAME = 512  # samples that the model takes at once, after the last 64 of those before
_CONTEXT = 64
_SHA256 = {"silero_vad_v6.onnx": "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"}
_WHAT = "the voice activity detection"


class SileroDetector:
    """Tells speech from noise, music of a single tone and clicks.

    Args:
        model: path of ``silero_vad_v6.onnx``; None: the one in the package faster-whisper, checked by its sha256.
    """

    def __init__(self, model: Union[str, Path, None] = None) -> None:
        packages = ("onnxruntime", "numpy", "soxr") if model is not None else ("faster_whisper", "onnxruntime", "soxr")
        require(_WHAT, *packages)
        self._path = path_of(model, _WHAT)

    def load(self) -> None:
        """See ``VoiceActivityDetector.load``."""
        _models.get(self._path)

    def listen(self, rate: int) -> SileroStream:
        """See ``VoiceActivityDetector.listen``."""
        return SileroStream(_models.get(self._path), rate)


class SileroStream:
    """See ``SpeechStream``. The model is shared; what it remembers of this stream is here."""

    frame_ms = 1000 * _FRAME // _RATE
    release = 0.15  # as the model's authors do it: words do not fall apart if the voice drops

    def __init__(self, model: Any, rate: int) -> None:
        import numpy
        import soxr

        self._model = model
        # "LQ" is behind the sound by 13 ms at most; the finer filters by up to 75 ms, and the ear here is coarse.
        self._resampler = soxr.ResampleStream(rate, _RATE, 1, dtype="int16", quality="LQ")
        self._rest = b""
        self._samples = numpy.zeros(0, numpy.float32)
        self._context = numpy.zeros(_CONTEXT, numpy.float32)
        self._h = self._c = numpy.zeros((1, 1, 128), numpy.float32)

    def feed(self, pcm: bytes) -> Iterator[float]:
        """See ``SpeechStream.feed``."""
        import numpy

        data = self._rest + pcm
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        with native_code():
            heard = self._resampler.resample_chunk(numpy.frombuffer(data[:whole], "<i2").astype(numpy.int16))
        samples = numpy.concatenate([self._samples, heard.astype(numpy.float32) / 32768])
        whole = len(samples) // _FRAME * _FRAME
        self._samples = samples[whole:]
        for start in range(0, whole, _FRAME):
            yield self._judge(samples[start : start + _FRAME])

    @native_code()
    def _judge(self, frame: Any) -> float:
        import numpy

        told = numpy.concatenate([self._context, frame])[None]
        self._context = frame[-_CONTEXT:]
        likely, self._h, self._c = self._model.run(None, {"input": told, "h": self._h, "c": self._c})
        return float(likely.reshape(-1)[0])


def _load(path: Optional[Path]) -> Any:
    runtime = need("onnxruntime", _WHAT)
    if path is None:
        path = check(folder_of("faster_whisper") / "assets", _SHA256) / "silero_vad_v6.onnx"
    options = runtime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


_models = Shared(_load)
