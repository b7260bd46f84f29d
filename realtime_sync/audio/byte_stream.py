"""Pieces of any length from any source, as one stream of bytes."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Generator, Iterable
from typing import BinaryIO, Callable, Optional, Union, cast

from realtime_sync.errors import AudioFormatError, InvalidInputError

logger = logging.getLogger(__name__)

_BYTES = (bytes, bytearray, memoryview)


class ByteStream:
    """Makes pieces of any length a stream: ``read(size)`` gives fewer bytes only at the end; bytes can be put back.

    Args:
        source: Bytes, an object with ``read``, or an iterable of bytes.
        path: Where the source is the file of this path, opened for the stream; None for any other source.

    Attributes:
        path: As above.
        name: The file's name, for messages; None if it has none.
        file: The source, if it is a file that can be sought; else None.
        begins: Where that file stood in the beginning.

    Raises:
        InvalidInputError: The source is something else.
    """

    def __init__(self, source: object, path: Optional[str] = None) -> None:
        if isinstance(source, _BYTES):
            source = io.BytesIO(source)
        self._source = _read_function(source)
        self._held = memoryview(b"")  # a slice of it costs no copy, however long a piece was
        self.path = path
        name = getattr(source, "name", None)
        self.name = path or (name if isinstance(name, str) else None)  # it is a number for a pipe
        seekable = getattr(source, "seekable", None)
        self.file = cast(BinaryIO, source) if seekable is not None and seekable() else None
        self.begins = self.file.tell() if self.file is not None else 0

    def left(self) -> Optional[int]:
        """Bytes from here to the end of the file; None if that cannot be told."""
        if self.file is None:
            return None
        here = self.file.tell()
        end = self.file.seek(0, os.SEEK_END)
        self.file.seek(here)
        return max(0, end - here)

    def put_back(self, data: bytes) -> None:
        """What is read next."""
        self._held = memoryview(data + self._held)

    def peek(self, size: int) -> bytes:
        """As ``read``, and what it gives is read again."""
        if len(self._held) < size:
            self.put_back(self.read(size))
        return bytes(self._held[:size])

    def read(self, size: int, /) -> bytes:
        """So many bytes, fewer only at the end."""
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


def whole_frames(
    stream: ByteStream,
    what: object,
    frame_bytes: int,
    size: int,
    rate: int,
    promised: Optional[int] = None,
    *,
    wav: bool = False,
) -> Generator[bytes, None, None]:
    """The audio from here in pieces of ``size`` bytes, which are whole frames; only the last may be shorter.

    ``what``: the audio's format, for messages. ``frame_bytes``: of a sample of each channel; ``rate``: frames a second.
    ``promised``: how many bytes there should be; None: to the end. ``wav``: it is a WAV file.

    A file that was cut off gives what is whole of it, with a warning. Raises AudioFormatError if there is no whole
    frame; and, after all that is whole, if what is no file ends within one: then something was taken apart wrongly.
    """
    given = odd = 0
    while not odd:
        piece = stream.read(size if promised is None else min(size, promised - given))
        odd = len(piece) % frame_bytes
        if len(piece) > odd:
            yield piece[:-odd] if odd else piece
        given += len(piece) - odd
        if len(piece) < size:
            break
    if odd and not (given and (wav or stream.name)):
        raise AudioFormatError(
            f"The audio ends within a sample: {given + odd} bytes are no whole number of {frame_bytes}-byte samples. "
            f"Everything before was sent. Is it {what}, or was the file cut off?"
        )
    if not given:
        raise AudioFormatError("The source holds no audio" + (": a WAV header without samples." if wav else "."))
    name, second = stream.name or ("the WAV file" if wav else "the audio"), rate * frame_bytes
    if promised is not None and given + odd < promised:
        told = "%s is cut off: its header promises %.1f s, and it holds %.1f s"
        logger.warning(told, name, promised / second, given / second)
    elif odd:
        logger.warning("%s ends within a sample: its last %d bytes are left out", name, odd)


def _read_function(source: object) -> Callable[[int], object]:
    if isinstance(source, io.TextIOBase):
        raise InvalidInputError("The file is open in text mode. Open it with mode 'rb'.")
    read: object = getattr(source, "read", None)
    if callable(read):
        return read
    if isinstance(source, Iterable):
        # An empty piece is not yet the end.
        pieces = (piece for piece in source if not isinstance(piece, _BYTES) or len(piece))
        return lambda size: next(pieces, b"")
    raise InvalidInputError(
        "Audio must be bytes, a path, a binary file object, an iterable of bytes or Samples(array, rate), "
        f"not {type(source).__name__}."
    )


def _checked(piece: object) -> bytes:
    if isinstance(piece, _BYTES):
        return bytes(piece)  # of a buffer that its owner may fill again, this is a copy
    if isinstance(piece, str):
        raise AudioFormatError("The source gave text instead of bytes. Open a file with mode 'rb'.")
    if piece is None:
        raise AudioFormatError("The file is non-blocking and had nothing to read. Give a blocking one.")
    raise AudioFormatError(
        f"The source gave {type(piece).__name__} instead of bytes. (An array of 16-bit samples has .tobytes(); with "
        "its rate, Samples(array, rate) takes any array.)"
    )
