"""Samples as numpy arrays, to and from the bytes of the wire. Needs the extra ``audio``."""

from __future__ import annotations

import numbers
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional

import attrs

from realtime_sync.audio import g711
from realtime_sync.audio.formats import PCM, SampleFormat
from realtime_sync.audio.resampling import resampled
from realtime_sync.errors import AudioFormatError, InvalidInputError
from realtime_sync.extras import require
from realtime_sync.secret import reportable

if TYPE_CHECKING:
    import numpy.typing as npt

    from realtime_sync.audio.resampling import Floats

# More channels than any recording has: an array of this shape has its axes the other way round.
_MOST_CHANNELS = 64


def _as_array(array: npt.ArrayLike) -> npt.NDArray[Any]:
    require_numpy()
    import numpy as np

    return np.asarray(array)


@reportable
@attrs.frozen(eq=False)
class Samples:
    """Samples in memory, as a source of audio: ``session.send_audio(Samples(array, 48_000))``.

    ``array``: a numpy array, or what becomes one: ``(frames,)`` or ``(frames, channels)``, which are mixed to mono;
    floating point from -1 to 1 (a little beyond is clipped), or integers of up to 32 bits at their type's full scale.
    ``rate``: frames a second (Hz).

    Raises InvalidInputError for a rate that is none, AudioFormatError for an array that cannot be audio (complex, of
    64-bit integers, three axes, not finite, far beyond 1), ConfigurationError without numpy.
    """

    array: npt.NDArray[Any] = attrs.field(converter=_as_array, repr=lambda array: f"<{array.dtype} {array.shape}>")
    rate: int

    def __attrs_post_init__(self) -> None:
        array = self.array
        rate: object = self.rate  # perhaps one of numpy's numbers
        if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 < float(rate) < 10_000_000:
            raise InvalidInputError(f"rate must be a number of samples a second, not {rate!r}")
        if array.dtype.kind not in "iuf" or (array.dtype.kind == "u" and array.dtype.itemsize > 1):
            raise AudioFormatError(f"Samples must be floating point, signed integers or uint8, not {array.dtype}.")
        if array.dtype.kind == "i" and array.dtype.itemsize > 4:  # numpy's type for plain integers, of no sound card
            raise AudioFormatError(
                f"Samples of the type {array.dtype} would be read at its full scale, as silence. Are they 16-bit "
                "values? Then give array.astype('int16')."
            )
        if array.ndim not in (1, 2) or (array.ndim == 2 and not 1 <= array.shape[1] <= _MOST_CHANNELS):
            raise AudioFormatError(
                f"Samples must be an array of (frames,) or (frames, channels), not of shape {array.shape}"
                + (": give its transpose, array.T." if array.ndim == 2 and array.shape[0] <= _MOST_CHANNELS else ".")
            )
        if array.dtype.kind == "f" and array.size:
            most = float(abs(array).max())
            if not most < 2:
                raise AudioFormatError(
                    f"Floating-point samples must lie between -1 and 1, but the array holds {most:g}. Are they 16-bit "
                    "values? Then give array.astype('int16')."
                )

    @property
    def seconds(self) -> float:
        """How long they last."""
        return len(self.array) / self.rate

    def _repr_html_(self) -> str:
        from realtime_sync.audio.players import MOST_PLAYED_BYTES, player, too_long

        format = attrs.evolve(PCM, rate=round(self.rate))
        if format.bytes_for(self.seconds) > MOST_PLAYED_BYTES:
            return too_long(self.seconds)
        return player(to_bytes(mono(self.array), format), format)

    def blocks(self, frames: int) -> Iterator[Floats]:
        """As mono blocks of so many frames."""
        for start in range(0, len(self.array), frames):
            yield mono(self.array[start : start + frames])


def mono(array: npt.NDArray[Any]) -> Floats:
    """Samples of any type and any channels as mono floats from -1 to 1."""
    import numpy as np

    if array.dtype.kind == "u":
        array = (array.astype(np.float32) - 128) / 128
    elif array.dtype.kind == "i":
        array = array / -float(np.iinfo(array.dtype).min)
    if array.ndim == 2:
        array = array[:, 0] if array.shape[1] == 1 else array.mean(axis=1)
    if not np.isfinite(array).all():
        raise AudioFormatError("The audio holds samples that are not finite numbers (NaN or infinity). Replace them.")
    return np.ascontiguousarray(array, np.float32)


def to_bytes(floats: Floats, format: SampleFormat) -> bytes:
    """Mono floats at the format's rate as its bytes; what is beyond -1 to 1 is clipped."""
    import numpy as np

    pcm = np.clip(np.rint(floats * 32768), -32768, 32767).astype("<i2").tobytes()
    return pcm if format.wire_type == PCM.wire_type else g711.encode(pcm, format.wire_type)


def from_bytes(audio: bytes, format: SampleFormat, rate: Optional[float] = None) -> Floats:
    """Bytes of the wire as mono floats from -1 to 1, at ``rate`` (Hz; None: the format's own).

    Raises ConfigurationError without numpy, or, for another rate, without soxr.
    """
    require_numpy()
    import numpy as np

    pcm = g711.decode(audio, format.wire_type)
    floats: Floats = np.frombuffer(pcm, "<i2", count=len(pcm) // 2).astype(np.float32) / np.float32(32768)
    if rate is None or rate == format.rate:
        return floats
    return np.concatenate([np.empty(0, np.float32), *resampled([floats], format.rate, rate)])


def require_numpy() -> None:
    """Raise ConfigurationError if it is missing."""
    require("numpy", "audio", "Audio as arrays")
