"""Audio of the wire in another format or at another rate: streamed, or whole into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Optional, Union

from realtime_sync.audio import g711
from realtime_sync.audio.arrays import from_bytes, require_numpy, to_bytes
from realtime_sync.audio.formats import PCM, SampleFormat, pcm_at
from realtime_sync.audio.resampling import resampled
from realtime_sync.audio.sound_files import Write, sound_file
from realtime_sync.audio.wav import WavWriter
from realtime_sync.checks import check_path


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
    """Write audio of the wire into a file: as it is, or, with ``rate``, as 16-bit PCM at that many Hz.

    A path's suffix says which kind of file it becomes (``sound_file``); a file object is given WAV.
    """
    wanted = format if rate is None else pcm_at(rate)
    pieces = list(converted_chunks([audio], format, wanted))  # before the file is opened: this may raise
    with _written(target, wanted) as write:
        for piece in pieces:
            write(piece)


@contextmanager
def _written(target: Union[str, os.PathLike[str], BinaryIO], format: SampleFormat) -> Iterator[Write]:
    if hasattr(target, "write"):
        with WavWriter(target, format) as wav:
            yield wav.write
    else:
        check_path("the target", target)
        with sound_file(Path(target), format) as write:
            yield write


def _recoded(audio: bytes, format: SampleFormat, wanted: SampleFormat) -> bytes:
    if format.wire_type == wanted.wire_type:
        return audio
    pcm = g711.decode(audio, format.wire_type)
    return pcm if wanted.wire_type == PCM.wire_type else g711.encode(pcm, wanted.wire_type)
