"""The newest part of the model's track: what it says, and its silences, as it comes."""

from __future__ import annotations

from collections import deque

from realtime_sync.conversation.live.utterances import Utterance
from realtime_sync.protocol.items import decode_base64

# A word is told with its sound: from 0.14 s after it began until 0.4 s before that, in what was measured.
_BEFORE = 0.2
_AFTER = 0.5
# Of a silence this much is kept, for the words that are told after their sound has come.
_KEPT = 1.0


class Track:
    """Keeps the pieces that may belong to what is being said."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, str]] = deque()  # when it came, and the samples in base64
        self.size = 0
        """Bytes that are kept."""

    def add(self, encoded: str, at: float, speaking: list[Utterance]) -> None:
        """The next piece; ``speaking``: what the model has begun to say, whose sound is kept."""
        since = min((each.first.arrived_at for each in speaking), default=at + _BEFORE - _KEPT) - _BEFORE
        while self._pieces and self._pieces[0][0] < since:
            self.size -= len(self._pieces.popleft()[1])
        self._pieces.append((at, encoded))
        self.size += len(encoded)

    def sound_of(self, utterance: Utterance) -> bytes:
        """The samples of what was said, with a little silence on both sides; none if they are gone."""
        first, last = utterance.first, utterance.last
        begin = first.arrived_at - _BEFORE
        end = last.arrived_at + (last.end_ms - last.start_ms) / 1000 + _AFTER
        return b"".join(decode_base64(encoded) or b"" for at, encoded in self._pieces if begin <= at <= end)

    def clear(self) -> None:
        """Forget all of it."""
        self._pieces.clear()
        self.size = 0
