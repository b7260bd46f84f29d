"""What was sent to a player elsewhere, what of it was heard there, and what is not to be heard any more.

The player plays in the order in which it is sent sound. So what it says of one place tells that all before it was
heard, but for what a ``clear`` took away between them. Kept is only what may still be heard, in
stretches of one part each.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Optional

import attrs

from realtime_sync.audio.playback import PlaybackPosition

# Parts whose rest may still come, and items whose rest is not to be heard.
_MOST_REMEMBERED = 64

Part = tuple[str, int]


@attrs.define(eq=False)
class _Stretch:
    """Samples of one part, counted from its beginning: from ``heard`` to ``end`` they are still to be heard."""

    part: Part
    heard: int
    end: int
    clears: int  # so many were sent before it


class SentSound:
    """See the module. Its owner holds a lock around each call.

    Attributes:
        clears: The number of the last ``clear``.
    """

    def __init__(self, position: PlaybackPosition) -> None:
        self.clears = 0
        self._position = position
        self._stretches: deque[_Stretch] = deque()
        self._sent: OrderedDict[Part, int] = OrderedDict()  # samples
        self._last_sent: Optional[Part] = None
        self._last_heard: Optional[Part] = None
        self._dropped: OrderedDict[str, None] = OrderedDict()

    @property
    def playing(self) -> bool:
        """True while something is left to be heard that was not cleared."""
        return bool(self._stretches) and self._stretches[-1].clears == self.clears

    def add(self, item_id: str, content_index: int, samples: int) -> bool:
        """These are sent now; False if they must not be, because their item was dropped, or because they are none."""
        if item_id in self._dropped or samples <= 0:
            return False
        part = item_id, content_index
        begin = self._sent.get(part, 0)
        self._sent[part] = begin + samples
        self._last_sent = part
        self._sent.move_to_end(part)
        if len(self._sent) > _MOST_REMEMBERED:
            self._sent.popitem(last=False)
        last = self._stretches[-1] if self._stretches else None
        if last is not None and (last.part, last.clears) == (part, self.clears):
            last.end += samples
        else:
            self._stretches.append(_Stretch(part, begin, begin + samples, self.clears))
        return True

    def clear(self) -> int:
        """A ``clear`` is sent now: its number. The items that are being played, or were last, are dropped."""
        self.clears += 1
        latest = (part for part in (self._last_heard, self._last_sent) if part is not None)
        for item_id, _ in (*latest, *(stretch.part for stretch in self._stretches)):
            self._dropped[item_id] = None
        while len(self._dropped) > _MOST_REMEMBERED:
            self._dropped.popitem(last=False)
        return self.clears

    def settled(self, number: int) -> bool:
        """Whether it is known what was heard of all that was sent before this clear."""
        return not self._stretches or self._stretches[0].clears >= number

    def settle(self, number: int) -> None:
        """No more was heard of what was sent before this clear."""
        while not self.settled(number):
            self._stretches.popleft()

    def report(self, item_id: object, content_index: object, samples: object) -> None:
        """So many samples of a part were heard in all, it is said. What cannot be, or is not new, changes nothing."""
        stretch = self._stretch_of((item_id, content_index), samples) if isinstance(samples, int) else None
        if stretch is None:
            return
        assert isinstance(samples, int)
        self.settle(stretch.clears)
        while self._stretches[0] is not stretch:
            self._hear(self._stretches[0], self._stretches[0].end)
        self._hear(stretch, min(samples, stretch.end))

    def _stretch_of(self, part: tuple[object, object], samples: int) -> Optional[_Stretch]:
        """The stretch in which this place is; the part's last, if it is said that more was heard than was sent."""
        later = reversed(self._stretches)
        return next((each for each in later if each.part == part and each.heard < samples), None)

    def _hear(self, stretch: _Stretch, upto: int) -> None:
        self._position.played(stretch.part[0], upto - stretch.heard, stretch.part[1])
        stretch.heard = upto
        self._last_heard = stretch.part
        if stretch.heard == stretch.end:
            self._stretches.popleft()
