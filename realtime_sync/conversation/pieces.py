"""Text and audio that come in pieces: kept as lists, joined when somebody asks."""

from __future__ import annotations

from typing import Optional, Union

from realtime_sync.protocol.characters import joined
from realtime_sync.protocol.items import base64_size, decode_base64


class TextPieces:
    """A text that grows, until it is closed by its final value. None: nothing was told yet.

    ``text += delta`` would copy all that came before for each delta; this copies when it is read.
    """

    __slots__ = ("_pieces", "closed")

    def __init__(self, text: Optional[str] = None, *, closed: bool = False) -> None:
        self._pieces: list[str] = [] if text is None else [text]
        self.closed = closed

    def add(self, delta: str) -> None:
        """The next piece; one that is late, after the final value, is part of it already."""
        if not self.closed:
            self._pieces.append(delta)

    def begin(self, text: Optional[str]) -> None:
        """What is told before or beside the pieces: it holds until there are some."""
        if text is not None and not self._pieces:
            self._pieces.append(text)

    def replace(self, text: str) -> None:
        """All of it so far; after the final value it is late."""
        if not self.closed:
            self._pieces = [text]

    def close(self, text: str) -> None:
        """The final value."""
        self._pieces = [text]
        self.closed = True

    @property
    def value(self) -> Optional[str]:
        """All of it so far, without halves of characters; in between they are kept, for pieces may cut characters."""
        if not self._pieces:
            return None
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return joined(self._pieces[0])

    def copy(self) -> TextPieces:
        """An independent copy."""
        copied = TextPieces(closed=self.closed)
        copied._pieces = list(self._pieces)
        return copied


class AudioPieces:
    """Audio that grows: its length in bytes, and the samples themselves only where they are kept."""

    __slots__ = ("_pieces", "closed", "size")

    def __init__(self) -> None:
        self._pieces: Optional[list[Union[str, bytes]]] = None  # as they came, in base64, until they are joined
        self.size = 0
        self.closed = False
        """True if the audio was cut short: what comes late was not heard."""

    def add(self, encoded: str, *, keep: bool) -> None:
        """The next piece, as base64; it is not decoded here, for that would double the cost of each piece."""
        if self.closed:
            return
        self.size += base64_size(encoded)
        if keep:
            if self._pieces is None:
                self._pieces = []
            self._pieces.append(encoded)

    def replace(self, size: int, samples: Optional[bytes]) -> None:
        """All of it at once."""
        self.size = size
        self._pieces = None if samples is None else [samples]

    def cut(self, size: int) -> None:
        """Shorten it to ``size`` bytes (it is never made longer), for good."""
        if size < self.size:
            samples = self.samples
            self.replace(size, None if samples is None else samples[:size])
        self.closed = True

    @property
    def memory(self) -> int:
        """How many bytes are kept."""
        return sum(map(len, self._pieces or ()))

    @property
    def samples(self) -> Optional[bytes]:
        """All of it as bytes, without pieces that are no base64; None if it was not kept."""
        if self._pieces is None:
            return None
        if len(self._pieces) > 1 or not isinstance(self._pieces[0], bytes):
            # Another list, for several threads may read what a snapshot shares.
            self._pieces = [b"".join(map(_decoded, self._pieces))]
        return _decoded(self._pieces[0])

    def copy(self) -> AudioPieces:
        """An independent copy; the bytes themselves are shared."""
        copy = AudioPieces()
        copy.size, copy.closed = self.size, self.closed
        copy._pieces = None if self._pieces is None else list(self._pieces)
        return copy


def _decoded(piece: Union[str, bytes]) -> bytes:
    return piece if isinstance(piece, bytes) else decode_base64(piece) or b""
