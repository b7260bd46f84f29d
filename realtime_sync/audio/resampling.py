"""Another rate for a stream of samples, without seams between its blocks (soxr, quality HQ)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from realtime_sync.extras import require

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    """Mono samples from -1 to 1."""


class Resampler:
    """One stream of mono samples at ``rate``, turned to ``wanted`` (both Hz). What comes out lags some 30 ms behind.

    Raises ConfigurationError without soxr.
    """

    def __init__(self, rate: float, wanted: float) -> None:
        soxr = require("soxr", "audio", "Another rate of audio")
        self._stream = soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ")

    def feed(self, block: Floats) -> Floats:
        """What this block brings; its length varies, and may be 0."""
        out: Floats = self._stream.resample_chunk(block)
        return out

    def finish(self) -> Floats:
        """The rest, once; nothing may follow."""
        import numpy as np

        out: Floats = self._stream.resample_chunk(np.empty(0, np.float32), last=True)
        return out


def resampled(blocks: Iterable[Floats], rate: float, wanted: float) -> Iterator[Floats]:
    """Mono blocks at ``rate`` as blocks at ``wanted`` (both Hz), of other lengths; as they are where both are the same.

    Raises ConfigurationError without soxr.
    """
    if rate == wanted:
        yield from blocks
        return
    resampler = Resampler(rate, wanted)
    for block in blocks:
        yield resampler.feed(block)
    yield resampler.finish()
