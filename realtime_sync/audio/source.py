"""Audio from wherever it comes, checked, converted where it must be, and cut into chunks for the wire."""

from __future__ import annotations

import itertools
import logging
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import BinaryIO, Iterable, Mapping, Optional, TypeGuard, Union, cast

import attrs

from realtime_sync.audio.arrays import Samples
from realtime_sync.audio.byte_stream import ByteStream, whole_frames
from realtime_sync.audio.containers import bare_by_name, cannot_convert, container, mismatch, tells_nothing
from realtime_sync.audio.files import Decoded, decode_wav, decoded_file, sought
from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.wav import RIFFS, WavInfo, placed, read_wav_header
from realtime_sync.checks import check_path, check_whole
from realtime_sync.errors import AudioFormatError
from realtime_sync.extras import is_installed

logger = logging.getLogger(__name__)

# Of samples that are there, so much is sent by one write, for each write wakes the peer (and costs 11 µs on loopback,
# as much as two chunks of 100 ms); not more, for other commands are sent between two.
_BYTES_TOGETHER, _MOST_TOGETHER = 40_000, 16

AudioSource = Union[bytes, bytearray, memoryview, str, os.PathLike[str], BinaryIO, Iterable[bytes], Samples]
"""Bytes, a path, a binary file object (a pipe will do), an iterable of pieces of any length, or an array.

Bare samples come from any of these, but from a path only where it ends in ``.pcm`` or ``.raw`` (or, for G.711 at 8,000
Hz, in ``.ul``, ``.ulaw``, ``.al`` or ``.alaw``).
"""


class AudioChunks(Iterator[bytes]):
    """The chunks of a source. ``close()`` lets go of it early: of the file that was opened for it."""

    def __init__(self, chunks: Generator[bytes, None, None], wanted: _Wanted) -> None:
        self._chunks: Iterator[bytes] = chunks
        self._close = chunks.close
        self._wanted = wanted

    def begin(self) -> None:
        """Read the first chunk now, so that a file that is not there, or cannot be read, is an error of this call."""
        self._chunks = itertools.chain((next(self._chunks),), self._chunks)

    @property
    def total_bytes(self) -> Optional[int]:
        """How many bytes there will be, within a sample or two; None if it is not known, or before the first chunk."""
        return self._wanted.total_bytes

    def several(self) -> Iterator[list[bytes]]:
        """The chunks, a few at once if all of the source is there; one by one if it may be waited for."""
        together: list[bytes] = []
        try:
            for chunk in self._chunks:
                together.append(chunk)
                if len(together) >= self._wanted.together:
                    yield together
                    together = []
        except Exception:  # what is whole is given out first
            if together:
                yield together
            raise
        if together:
            yield together

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        """Give no further chunk. Idempotent."""
        self._close()
        self._chunks = iter(())


@attrs.define
class _Wanted:
    """What a source is to become.

    ``total_bytes``: how many bytes that are, once it is known. ``together``: see ``AudioChunks.several``.
    """

    format: SampleFormat
    size: int  # bytes a chunk
    total_bytes: Optional[int] = None
    together: int = 1

    def all_is_there(self) -> None:
        """Nothing of the source has to be waited for."""
        self.together = max(1, min(_MOST_TOGETHER, _BYTES_TOGETHER // self.size))

    def cut(
        self, stream: ByteStream, promised: Optional[int] = None, *, wav: bool = False
    ) -> Generator[bytes, None, None]:
        """The chunks of samples in this format, as ``whole_frames`` gives them."""
        format = self.format
        return whole_frames(stream, format, format.sample_bytes, self.size, format.rate, promised, wav=wav)


def audio_chunks(source: AudioSource, format: SampleFormat, chunk_bytes: int) -> AudioChunks:
    """``source`` as chunks of ``chunk_bytes`` (rounded down to whole samples); only the last may be shorter.

    A WAV header is recognised in any kind of source and left out, as is what follows the samples. With the extra
    ``audio``, a WAV file in another format than ``format``, a compressed file, another container or ``Samples`` is
    decoded, mixed to mono and resampled as its chunks are taken. Anything else is taken for bare samples in ``format``;
    of a path only where its suffix says so (see ``AudioSource``). A file is read from where it stands; one that was
    opened here is closed at the end, also when the iterator is dropped. What cannot be sought and is no WAV file of
    samples (an MP3 file in a pipe) is copied to disk first.

    Raises, when called, InvalidInputError for what can be no source; while iterated, AudioFormatError: for what cannot
    be read, or not without the extra ``audio``, for a path that holds no known sound, for a source without a sample,
    and, after all that is whole has been handed out, for bare samples that end within one. A file that ends so, or
    earlier than its header promises, is logged as a warning. Errors of the source itself pass through (OSError, ...).
    """
    check_whole("chunk_bytes", chunk_bytes, "bytes", at_least=format.sample_bytes)
    wanted = _Wanted(format, chunk_bytes - chunk_bytes % format.sample_bytes)
    if isinstance(source, (bytearray, memoryview)):
        source = bytes(source)
    if isinstance(source, bytes):
        wanted.all_is_there()
    if isinstance(source, bytes) and is_bare(source, format):  # first, for it is what comes often
        wanted.total_bytes = len(source)
        chunks = slices(source, wanted.size)
    elif isinstance(source, Samples):
        chunks = _array_chunks(source, wanted)
    elif isinstance(source, (str, os.PathLike)):
        check_path("the audio", source)
        chunks = _file_chunks(source, wanted)
    else:
        chunks = _chunks(ByteStream(source), wanted)
    return AudioChunks(chunks, wanted)


def is_audio(value: object) -> TypeGuard[AudioSource]:
    """True for what may be a source; whether it holds audio is seen when it is read."""
    if isinstance(value, (str, os.PathLike, Samples)) or hasattr(value, "read"):
        return True
    return isinstance(value, Iterable) and not isinstance(value, Mapping)


def is_bare(data: bytes, format: SampleFormat) -> bool:
    """True for nothing but samples: a short way for who sends each piece by itself, as a microphone gives it."""
    if not data or len(data) % format.sample_bytes:  # to be told in the words of all other sources
        return False
    return tells_nothing(data) or not (data.startswith(RIFFS) or container(lambda size: data[:size], None))


def slices(data: bytes, size: int) -> Generator[bytes, None, None]:
    """The data in pieces of ``size`` bytes; the last may be shorter."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _array_chunks(samples: Samples, wanted: _Wanted) -> Generator[bytes, None, None]:
    block = max(1, round(samples.rate * wanted.format.seconds(wanted.size)))
    return _converted(Decoded(samples.blocks(block), samples.rate, len(samples.array)), wanted)


def _file_chunks(path: Union[str, os.PathLike[str]], wanted: _Wanted) -> Generator[bytes, None, None]:
    with open(path, "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # no pipe
            wanted.all_is_there()
        yield from _chunks(ByteStream(file, os.fspath(path)), wanted)


def _converted(decoded: Decoded, wanted: _Wanted) -> Generator[bytes, None, None]:
    wanted.total_bytes = decoded.converted_bytes(wanted.format)
    yield from wanted.cut(ByteStream(decoded.converted(wanted.format)))


def _chunks(stream: ByteStream, wanted: _Wanted) -> Generator[bytes, None, None]:
    format, left, header = wanted.format, stream.left(), _Header(stream)
    info, start = read_wav_header(header)
    if info is not None:
        info = placed(info, stream)
        if info.matches(format):
            wanted.total_bytes = info.data_bytes
            yield from wanted.cut(stream, info.data_bytes, wav=True)
            return
    stream.put_back(start)
    found = None if info is not None else container(stream.peek, stream.name)
    if info is None and found is None and start and stream.path is not None:
        info = bare_by_name(stream.path)
        info = info and attrs.evolve(info, data_bytes=left)
    if found is None and (info is None or info.matches(format)):
        wanted.total_bytes = left
        yield from wanted.cut(stream)
        return
    if not is_installed("numpy", "soundfile", "soxr"):
        told = cannot_convert(found, stream.name) if found else None
        raise AudioFormatError(told or mismatch(cast(WavInfo, info), format, stream.name))
    with ExitStack() as stack:
        decoded = _decoded(stream, header, info, found, format.seconds(wanted.size), stack)
        logger.info("%s is converted to %s on its way", stream.name or info or found, format)
        yield from _converted(decoded, wanted)


@attrs.define
class _Header:
    """The beginning of a stream, which is kept as it is read."""

    stream: ByteStream
    data: bytes = b""

    def read(self, size: int, /) -> bytes:
        piece = self.stream.read(size)
        self.data += piece
        return piece


def _decoded(
    stream: ByteStream,
    header: _Header,
    info: Optional[WavInfo],
    found: Optional[str],
    block_seconds: float,
    stack: ExitStack,
) -> Decoded:
    if info is not None:
        decoded = decode_wav(stream, info, block_seconds)
        if decoded is not None:
            return decoded
        found = f"a WAV file ({info})"
        if stream.file is None:
            stream.put_back(header.data)
    assert found is not None
    whole = stack.enter_context(sought(stream))
    return stack.enter_context(decoded_file(whole, found, stream.name, block_seconds))
