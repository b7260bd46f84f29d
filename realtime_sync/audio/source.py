"""Audio from wherever it comes, checked and cut into chunks for the wire."""

from __future__ import annotations

import io
import logging
import os
import shlex
from typing import BinaryIO, Callable, Iterable, Iterator, Optional, Union

from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
from realtime_sync.audio.wav import WavInfo, read_wav_header
from realtime_sync.errors import AudioFormatError, InvalidInputError

logger = logging.getLogger(__name__)

AudioSource = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", BinaryIO, Iterable[bytes]]
"""Samples in memory, a path, a binary file object (a pipe will do), or an iterable of pieces of any length."""

# (where, what stands there, what it is): compressed audio and other containers, sent as samples, are loud noise.
_MAGICS = (
    (0, b"ID3", "an MP3 file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file (Vorbis or Opus)"),
    (4, b"ftyp", "an MP4, M4A or MOV file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"caff", "a CAF file"),
    (0, b".snd", "a Sun AU file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file"),
)
# MP3 and AAC may start with two bytes that samples may start with as well, so for these the name tells.
_COMPRESSED_NAMES = (".mp3", ".mp2", ".aac", ".m4a", ".mp4", ".flac", ".ogg", ".oga", ".opus", ".webm", ".wma", ".amr")


def audio_chunks(source: AudioSource, format: SampleFormat, chunk_bytes: int) -> Iterator[bytes]:
    """``source`` as chunks of ``chunk_bytes`` (rounded down to whole samples); only the last may be shorter.

    A WAV header is recognised in any kind of source, checked against ``format`` and left out, as is what follows the
    samples. Anything else is taken for bare samples in ``format``. A file is read as its chunks are taken, from where
    it stands; one that was opened here is closed at the end, also when the iterator is dropped.

    Raises, when called, InvalidInputError for what can be no source; while iterated, AudioFormatError: for a WAV file
    in another format, for a compressed file or another container, for a source without a sample, and, after all that
    is whole has been handed out, for an end within a sample. Errors of the source itself pass through (OSError, ...).
    """
    if isinstance(chunk_bytes, bool) or not isinstance(chunk_bytes, int) or chunk_bytes < format.sample_bytes:
        raise InvalidInputError(f"chunk_bytes must be at least one sample ({format.sample_bytes}), not {chunk_bytes!r}")
    size = chunk_bytes - chunk_bytes % format.sample_bytes
    if isinstance(source, (str, os.PathLike)):
        return _file_chunks(source, format, size)
    return _chunks(_Reader(_read_function(source)), format, size, _name_of(source))


def _file_chunks(path: Union[str, os.PathLike[str]], format: SampleFormat, size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from _chunks(_Reader(file.read), format, size, os.fspath(path))


def _read_function(source: object) -> Callable[[int], object]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(bytes(source)).read
    if isinstance(source, io.TextIOBase):
        raise InvalidInputError("The file is open in text mode. Open it with mode 'rb'.")
    read: object = getattr(source, "read", None)
    if callable(read):
        return read
    if isinstance(source, Iterable):
        pieces = (piece for piece in source if not _is_empty(piece))
        return lambda size: next(pieces, b"")
    raise InvalidInputError(
        f"Audio must be bytes, a path, a binary file object or an iterable of bytes, not {type(source).__name__}."
    )


def _is_empty(piece: object) -> bool:
    """True for a piece without bytes, which in an iterable is not yet the end."""
    return isinstance(piece, (bytes, bytearray, memoryview)) and len(piece) == 0


def _chunks(reader: _Reader, format: SampleFormat, size: int, name: Optional[str]) -> Iterator[bytes]:
    info, start = read_wav_header(reader)
    if info is None:
        _refuse_other_containers(start, name)
        reader.put_back(start)
    elif not info.matches(format):
        raise AudioFormatError(_mismatch(info, format, name))
    left = None if info is None else info.data_bytes
    given = 0
    while True:
        wanted = size if left is None else min(size, left - given)
        chunk = reader.read(wanted)
        odd = len(chunk) % format.sample_bytes
        if len(chunk) > odd:
            yield chunk[:-odd] if odd else chunk
        given += len(chunk) - odd
        if odd:
            raise AudioFormatError(
                f"The audio ends within a sample: {given + odd} bytes are no whole number of "
                f"{format.sample_bytes}-byte samples. Everything before was handed out. Is it {format}, or was the "
                "file cut off?"
            )
        if len(chunk) < size:
            break
    if not given:
        raise AudioFormatError("The source holds no audio" + (": a WAV header without samples." if info else "."))
    if left is not None and given < left:
        logger.info("the WAV file ended after %d of the %d bytes of samples that its header claims", given, left)


class _Reader:
    """Makes pieces of any length a stream: ``read(size)`` gives fewer bytes only at the end; bytes can be put back."""

    def __init__(self, read: Callable[[int], object]) -> None:
        self._source = read
        self._held = memoryview(b"")  # a slice of it costs no copy, however long a piece was

    def put_back(self, data: bytes) -> None:
        self._held = memoryview(data + self._held)

    def read(self, size: int, /) -> bytes:
        first = self._next(size)
        if len(first) == size:
            return bytes(first)  # nearly always, and then no copy
        parts = [first]
        missing = size - len(first)
        while missing and parts[-1]:
            parts.append(self._next(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def _next(self, size: int) -> Union[bytes, memoryview]:
        """At most ``size`` bytes, none only at the end."""
        piece: Union[bytes, memoryview] = self._held
        if not piece and size:
            piece = _checked(self._source(size))
        self._held = memoryview(piece)[size:]
        return piece[:size]


def _checked(piece: object) -> bytes:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)  # of a buffer that its owner may fill again, this is a copy
    if isinstance(piece, str):
        raise AudioFormatError("The source gave text instead of bytes. Open a file with mode 'rb'.")
    if piece is None:
        raise AudioFormatError("The file is non-blocking and had nothing to read. Give a blocking one.")
    raise AudioFormatError(
        f"The source gave {type(piece).__name__} instead of bytes. (An array of 16-bit samples has .tobytes().)"
    )


def _name_of(source: object) -> Optional[str]:
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None  # it is a number for a pipe


def _refuse_other_containers(start: bytes, name: Optional[str]) -> None:
    found = next((what for offset, magic, what in _MAGICS if start.startswith(magic, offset)), None)
    if found is None and name is not None and name.lower().endswith(_COMPRESSED_NAMES):
        found = f"a {os.path.splitext(name)[1][1:].upper()} file, by its name"
    if found is not None:
        raise AudioFormatError(
            f"This is {found}. Only WAV files and bare samples can be sent as they are; convert it first, for example: "
            f"{_ffmpeg(PCM, name)}"
        )


def _mismatch(info: WavInfo, format: SampleFormat, name: Optional[str]) -> str:
    message = (
        f"The WAV file is {info}, but the session's input format is {format} ({format.wire_type}); the service would "
        f"hear noise. Convert the file: {_ffmpeg(format, name)}, or: {_sox(format, name)}"
    )
    other = next((known for known in (PCM, MULAW, ALAW) if info.matches(known)), None)
    return message if other is None else f"{message}. Or set input_audio_format={other.wire_type!r} in the session."


def _ffmpeg(format: SampleFormat, name: Optional[str]) -> str:
    codec = {MULAW.wire_type: "pcm_mulaw", ALAW.wire_type: "pcm_alaw"}.get(format.wire_type, "pcm_s16le")
    return f"ffmpeg -i {shlex.quote(name or 'in.wav')} -ac 1 -ar {format.rate} -c:a {codec} converted.wav"


def _sox(format: SampleFormat, name: Optional[str]) -> str:
    encoding = {MULAW.wire_type: "u-law", ALAW.wire_type: "a-law"}.get(format.wire_type, "signed-integer")
    bits = 8 * format.sample_bytes
    return f"sox {shlex.quote(name or 'in.wav')} -c 1 -r {format.rate} -e {encoding} -b {bits} converted.wav"
