"""Fragments put together: what one side says without a longer silence is one utterance.

Only the times on the timeline decide, so the order in which fragments come does not: each goes to the utterance of its
speaker that it is near to, may join two of them, and stands in its place among the others.
"""

from __future__ import annotations

import bisect
import copy
import itertools
import math
import re
from collections import deque
from collections.abc import Sequence
from operator import attrgetter

from realtime_sync.conversation.live.fragments import LiveFragment, Speaker
from realtime_sync.protocol.characters import joined

GAP_MS = 1200.0
"""A silence of so many milliseconds ends an utterance: longer than any hesitation that was seen within one (1,000), and
shorter than what was seen between two (2,000)."""

# A silence after which a piece is no part of the word before it.
_SEGMENT_MS = 400.0
_WORD_ENDS = re.compile(r"[A-Za-z0-9.,;:!?)\"'%]\Z")
_WORD_BEGINS = re.compile(r"[A-Za-z0-9(\[$]")
_SENTENCE_ENDS = re.compile(r"[.!?]\Z")
_SENTENCE_BEGINS = re.compile(r"[A-Z]")
# Of the other side's utterances that are gone: where so many began.
_MOST_STARTS = 64

_OTHER: dict[Speaker, Speaker] = {"user": "assistant", "assistant": "user"}
_FRAGMENT_BYTES = 300  # without its text

_start = attrgetter("start_ms")


def size_of(fragment: LiveFragment) -> int:
    """How many bytes a fragment takes, about."""
    return _FRAGMENT_BYTES + len(fragment.text)


class Utterance:
    """What one side says in one go, so far."""

    def __init__(self, fragment: LiveFragment) -> None:
        self.speaker = fragment.speaker
        self.fragments = [fragment]  # by their start
        self.start_ms, self.end_ms = fragment.start_ms, fragment.end_ms
        self.first = fragment  # to arrive
        self.last = fragment  # to arrive
        self.heard_ms = 0.0  # where the timeline stood when that came
        self.size = size_of(fragment)

    def add(self, fragment: LiveFragment) -> None:
        """Put a fragment into its place."""
        bisect.insort(self.fragments, fragment, key=_start)
        self.start_ms, self.end_ms = min(self.start_ms, fragment.start_ms), max(self.end_ms, fragment.end_ms)
        self.last = fragment
        self.size += size_of(fragment)

    def join(self, other: Utterance) -> None:
        """Take over another one, which a fragment between the two has shown to be the same."""
        self.fragments = sorted([*self.fragments, *other.fragments], key=_start)
        self.start_ms, self.end_ms = min(self.start_ms, other.start_ms), max(self.end_ms, other.end_ms)
        self.first = min(self.first, other.first, key=attrgetter("arrived_at"))
        self.last = max(self.last, other.last, key=attrgetter("arrived_at"))
        self.heard_ms = max(self.heard_ms, other.heard_ms)
        self.size += other.size

    def copy(self) -> Utterance:
        """An independent copy; the fragments are shared."""
        copied = copy.copy(self)
        copied.fragments = self.fragments.copy()
        return copied


class SpokenTimeline:
    """The utterances of both sides on one timeline, each side's in order and at least ``gap_ms`` apart."""

    def __init__(self, gap_ms: float) -> None:
        self.gap_ms = gap_ms
        self.utterances: dict[Speaker, list[Utterance]] = {"user": [], "assistant": []}
        self._gone: dict[Speaker, deque[float]] = {side: deque(maxlen=_MOST_STARTS) for side in self.utterances}

    def add(self, fragment: LiveFragment) -> Utterance:
        """Take over a fragment; the utterance that it belongs to."""
        those = self.utterances[fragment.speaker]
        after = len(those)  # the first utterance that begins clearly later
        while after and those[after - 1].start_ms - fragment.end_ms >= self.gap_ms:
            after -= 1
        if not after or fragment.start_ms - those[after - 1].end_ms >= self.gap_ms:
            those.insert(after, Utterance(fragment))
            return those[after]
        found = those[after - 1]
        found.add(fragment)
        while after > 1 and found.start_ms - those[after - 2].end_ms < self.gap_ms:
            after -= 1
            those[after - 1].join(found)
            del those[after]
            found = those[after - 1]
        return found

    def remove(self, utterance: Utterance) -> None:
        """Forget an utterance."""
        self.utterances[utterance.speaker].remove(utterance)
        self._gone[utterance.speaker].append(utterance.start_ms)

    @property
    def end_ms(self) -> float:
        """Where the newest words end, of whatever side."""
        return max(those[-1].end_ms for those in self.utterances.values() if those)

    def in_order(self) -> list[Utterance]:
        """All of them, by their start."""
        return sorted([*self.utterances["user"], *self.utterances["assistant"]], key=_start)

    def text_of(self, utterance: Utterance, begin_ms: float = -math.inf, end_ms: float = math.inf) -> str:
        """What was said: the pieces one after another, and a space that a segment's first piece lacks.

        ``begin_ms``, ``end_ms``: only of the pieces that begin within.
        """
        other = _OTHER[utterance.speaker]
        those = self.utterances[other]
        first = bisect.bisect_left(those, utterance.start_ms, key=_start)
        last = bisect.bisect_right(those, utterance.end_ms, key=_start)
        starts = [*self._gone[other], *map(_start, those[first:last])]
        fragments = [each for each in utterance.fragments if begin_ms <= each.start_ms < end_ms]
        pieces = [fragment.text for fragment in fragments[:1]]
        for before, piece in itertools.pairwise(fragments):
            if _lacks_space(before.text, piece.text) and _begins_segment(before, piece, starts):
                pieces.append(" ")
            pieces.append(piece.text)
        return joined("".join(pieces)).strip()

    def copy(self) -> SpokenTimeline:
        """An independent copy."""
        copied = SpokenTimeline(self.gap_ms)
        copied.utterances = {side: [each.copy() for each in those] for side, those in self.utterances.items()}
        copied._gone = {side: starts.copy() for side, starts in self._gone.items()}
        return copied


def _lacks_space(before: str, piece: str) -> bool:
    """Two words that would run into one another, in a script that has spaces between them."""
    return bool(_WORD_ENDS.search(before) and _WORD_BEGINS.match(piece))


def _begins_segment(before: LiveFragment, piece: LiveFragment, other_starts: Sequence[float]) -> bool:
    """The service writes what is said in segments: it begins one after a pause, and as the other side begins."""
    if piece.start_ms - before.end_ms >= _SEGMENT_MS:
        return True
    if _SENTENCE_ENDS.search(before.text) and _SENTENCE_BEGINS.match(piece.text):
        return True
    return any(before.start_ms < start <= piece.start_ms for start in other_starts)
