"""Audio that waits to be played: filled by the caller's thread, emptied by the device's, counted in samples."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import Optional, TypeVar, Union

import attrs

from realtime_sync.audio.formats import SampleFormat
from realtime_sync.audio.playback import PlaybackPosition, Played
from realtime_sync.deadline import Deadline
from realtime_sync.devices.interfaces import Speaker
from realtime_sync.interrupts import Change
from realtime_sync.threads import aside_if_nested

_S = TypeVar("_S", bound=Speaker)
SAMPLE_BYTES = 2
# Items whose audio may still come after they were dropped.
_MOST_DROPPED = 64


@attrs.define
class _Piece:
    item_id: str
    content_index: int
    left: memoryview


class PlayQueue:
    """16-bit samples of items, in order. All methods may be called from any thread, an audio callback too."""

    def __init__(self, position: PlaybackPosition) -> None:
        self.position = position
        self._lock = threading.Lock()  # guards all below
        self._changed = Change()  # told of each change
        self._pieces: deque[_Piece] = deque()
        self._last: Optional[str] = None  # the item that is being played, or was
        self._dropped: OrderedDict[str, None] = OrderedDict()  # items whose rest is not to be heard
        self.taken = 0
        """Samples taken so far, silence not counted."""

    @property
    def empty(self) -> bool:
        """True if nothing is left to be played."""
        return not self._pieces

    def put(self, item_id: str, content_index: int, pcm: bytes) -> None:
        """Play this behind the rest; nothing of an item that was dropped."""
        whole = memoryview(pcm)[: len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES]
        with self._lock:
            if whole and item_id not in self._dropped:
                self._pieces.append(_Piece(item_id, content_index, whole))
                self._changed.tell()

    def take(self, samples: int) -> bytes:
        """So many samples to be played now, silence where there are none; tells the position."""
        with self._lock:
            parts = self._take(samples * SAMPLE_BYTES)
            self._changed.tell()
        return b"".join(parts)

    def _take(self, missing: int) -> list[Union[memoryview, bytes]]:
        parts: list[Union[memoryview, bytes]] = []
        while missing and self._pieces:
            piece = self._pieces[0]
            part, piece.left = piece.left[:missing], piece.left[missing:]
            parts.append(part)
            missing -= len(part)
            self._last = piece.item_id
            self.taken += len(part) // SAMPLE_BYTES
            # Under the lock, so that no sample is counted after drop() has returned.
            self.position.played(piece.item_id, len(part) // SAMPLE_BYTES, piece.content_index)
            if not piece.left:
                self._pieces.popleft()
        return [*parts, bytes(missing)]

    def drop(self) -> Optional[Played]:
        """Forget what was not taken, and what comes of these items; the position as it is then."""
        with self._lock:
            self._drop()
            self._changed.tell()
        return self.position.current

    def _drop(self) -> None:
        for item_id in (self._last, *(piece.item_id for piece in self._pieces)):
            if item_id is not None:
                self._dropped[item_id] = None
        while len(self._dropped) > _MOST_DROPPED:
            self._dropped.popitem(last=False)
        self._pieces.clear()

    def wait(self, deadline: Deadline) -> bool:
        """Wait until it is empty; False if time is up before."""
        return self._changed.wait_for(lambda: not self._pieces, deadline)

    def wait_for_more(self, taken: int, seconds: float) -> bool:
        """Wait until more than ``taken`` samples were taken, or it is empty; False if neither came in time."""
        return self._changed.wait_for(lambda: self.taken > taken or not self._pieces, Deadline(seconds))


class QueuedSpeaker:
    """What the speakers of this package have in common: a queue, whose position they share, and the ``with`` block.

    ``rate``: samples a second that are taken from the queue (Hz).
    """

    def __init__(self, format: SampleFormat, rate: int) -> None:
        self.format = format
        self.position = PlaybackPosition(rate=rate)
        self._queue = PlayQueue(self.position)

    @property
    def playing(self) -> bool:
        """True while something is left to be played."""
        return not self._queue.empty

    def stop(self) -> Optional[Played]:
        """See ``Speaker.stop``."""
        self._drop()
        return self.position.current

    @aside_if_nested
    def _drop(self) -> None:
        self._queue.drop()

    def __enter__(self: _S) -> _S:
        self.start()
        return self

    def __exit__(self: Speaker, *exc_info: object) -> None:
        self.close()
