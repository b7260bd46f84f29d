"""How much of the model's speech was heard, as a player or its owner reports it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Any, Optional, Protocol

import attrs

from realtime_sync.checks import check_number, check_whole
from realtime_sync.errors import InvalidInputError
from realtime_sync.interrupts import Change
from realtime_sync.secret import reportable

# Items that are remembered: reports of an earlier one may come late, from an audio thread.
_MOST_ITEMS = 64


class Said(Protocol):
    """What is asked of an update: whose audio it is."""

    @property
    def response_id(self) -> str:
        """The response."""

    @property
    def item_id(self) -> str:
        """The item."""


@attrs.frozen
class Played:
    """What was played of one part: ``ms`` whole milliseconds; ``started``: when, by ``time.monotonic()``."""

    item_id: str
    content_index: int
    ms: int
    started: float


@reportable
class PlaybackPosition:
    """What was played of which item. All methods may be called from any thread, an audio callback too.

    A player that counts samples calls ``played``; whoever knows milliseconds calls ``report``. The position of an item
    only grows; another item begins anew. ``session.interrupt(position=...)`` reads it, and ends it for the items that
    it cut off: later reports of these change nothing, and ``playable`` tells what is not to be played any more.

    ``rate``: samples a second of what ``played`` counts, the device's (Hz).
    """

    def __init__(self, *, rate: int = 24_000) -> None:
        check_whole("rate", rate, "samples a second", at_least=1)
        self._rate = rate
        self._lock = threading.Lock()  # guards all below; held for a few instructions
        self._samples: OrderedDict[tuple[str, int], tuple[float, float]] = OrderedDict()  # (samples, when begun)
        self._current: Optional[tuple[str, int]] = None
        self._cut: OrderedDict[str, None] = OrderedDict()  # ids of items and responses that are not to be heard
        self._told: tuple[Change, ...] = ()  # of the beginning of each item, and of what is cut off

    def played(self, item_id: str, samples: int, content_index: int = 0) -> None:
        """So many samples more were played of this item. A stereo frame counts as one."""
        check_whole("samples", samples)
        self._advance((item_id, content_index), samples, more=True)

    def report(self, item_id: str, played_ms: float, content_index: int = 0) -> None:
        """This much of the item was played in all, in milliseconds; less than was reported before changes nothing."""
        check_number("played_ms", played_ms, "milliseconds")
        self._advance((item_id, content_index), played_ms * self._rate / 1000, more=False)

    @property
    def current(self) -> Optional[Played]:
        """What was reported last; None before anything was."""
        with self._lock:
            return None if self._current is None else self._at(self._current)

    @property
    def _exact(self) -> Optional[tuple[str, int, int]]:
        """As ``current``, in samples: the item, its part, and how many of this were played."""
        with self._lock:
            return None if self._current is None else (*self._current, round(self._samples[self._current][0]))

    def of_item(self, item_id: str, content_index: int = 0) -> Optional[Played]:
        """What was played of this item; None if nothing was, or many other items followed it."""
        with self._lock:
            return self._at((item_id, content_index)) if (item_id, content_index) in self._samples else None

    def playable(self, update: Said) -> bool:
        """False if this audio belongs to an answer that was interrupted: throw it away, do not play it."""
        with self._lock:
            return update.item_id not in self._cut and update.response_id not in self._cut

    def cut_off(self, *ids: Optional[str]) -> None:
        """These items and responses are not to be heard any more. ``session.interrupt`` calls it."""
        with self._lock:
            self._cut.update((each, None) for each in ids if each)
            _forget_oldest(self._cut)
        self._tell_all()

    def __repr__(self) -> str:
        current = self.current
        return f"<PlaybackPosition {f'{current.item_id} {current.ms} ms' if current else 'nothing played'}>"

    def _tell(self, change: Change) -> None:
        """Tell this when an item begins to be played, or is cut off."""
        with self._lock:
            self._told = (*self._told, change)

    def _do_not_tell(self, change: Change) -> None:
        with self._lock:
            self._told = tuple(other for other in self._told if other is not change)

    def _tell_all(self) -> None:
        for change in self._told:
            change.tell()

    def _advance(self, key: tuple[str, int], samples: float, *, more: bool) -> None:
        now = time.monotonic()
        with self._lock:
            if key[0] in self._cut:
                return
            is_new = key not in self._samples
            before, started = self._samples.get(key, (0, now))
            self._samples[key] = (before + samples if more else max(before, samples)), started
            self._current = key
            _forget_oldest(self._samples)
        if is_new:
            self._tell_all()

    def _at(self, key: tuple[str, int]) -> Played:
        assert self._lock.locked()
        samples, started = self._samples[key]
        # Against floating point: 250 ms that were reported are not to be read as 249.
        return Played(key[0], key[1], int(samples * 1000 / self._rate + 1e-6), started)


def _forget_oldest(items: OrderedDict[Any, Any]) -> None:
    while len(items) > _MOST_ITEMS:
        items.popitem(last=False)


def check_position(position: object) -> None:
    """Raise ``InvalidInputError`` unless this is a ``PlaybackPosition`` or None."""
    if position is not None and not isinstance(position, PlaybackPosition):
        raise InvalidInputError(f"position must be a PlaybackPosition that a player keeps, not {position!r:.60}")
