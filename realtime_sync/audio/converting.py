"""Audio of the wire in another format or at another rate: streamed, or whole into a WAV file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Optional, Union

from realtime_sync.audio import g711
from realtime_sync.audio.arrays import from_bytes, require_numpy, to_bytes
from realtime_sync.audio.formats import PCM, SampleFormat, pcm_at
from realtime_sync.audio.resampling import resampled
from realtime_sync.audio.wav import WavWriter


def converted_chunks(chunks: Iterable[bytes], format: SampleFormat, wanted: SampleFormat) -> Iterator[bytes]:
    """Chunks of whole samples in ``format`` as chunks in ``wanted``, without seams; of other lengths at another rate.

    Another rate needs the extra ``audio`` (ConfigurationError, when iterated, without it).
    """
    if format.rate == wanted.rate:
        yield from (_recoded(chunk, format, wanted) for chunk in chunks)
        return
    require_numpy()
    blocks = (from_bytes(chunk, format) for chunk in chunks)
    yield from (to_bytes(block, wanted) for block in resampled(blocks, format.rate, wanted.rate))


def write_audio(
    target: Union[str, os.PathLike[str], BinaryIO], audio: bytes, format: SampleFormat, rate: Optional[int] = None
) -> None:
    """Write audio of the wire into a WAV file: as it is, or, with ``rate``, as 16-bit PCM at that many Hz."""
    wanted = format if rate is None else pcm_at(rate)
    pieces = list(converted_chunks([audio], format, wanted))  # before the file is opened: this may raise
    with WavWriter(target, wanted) as wav:
        for piece in pieces:
            wav.write(piece)


def _recoded(audio: bytes, format: SampleFormat, wanted: SampleFormat) -> bytes:
    if format.wire_type == wanted.wire_type:
        return audio
    pcm = g711.decode(audio, format.wire_type)
    return pcm if wanted.wire_type == PCM.wire_type else g711.encode(pcm, wanted.wire_type)
