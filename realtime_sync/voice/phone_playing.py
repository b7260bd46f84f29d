"""What of the sound that was sent to a telephone was played there, told from the marks that come back. Pure.

The provider plays what it is sent in order and in real time. Behind each piece of sound goes a mark, and the provider
sends it back when that place was played, or when a ``clear`` has dropped it. It is one and the same message, it comes
late, and ten of them may come at once. Still the model must be told what the caller heard before the interruption.

**What is known**

1. A mark that came before the ``clear`` was sent: the caller has heard all up to it. No later mark says so by itself.
2. Nothing is played before it was sent. So from the times of sending follows when each piece ends at the earliest
   (``_SentPiece.finish``), pauses included, in which the phone had nothing to play.
3. The provider's messages come in its order, and its sound, every 20 ms, carries its own time. So what it said has a
   moment in *the phone's time*, however late the network brings it: that of the sound that came before it.
4. When the last mark of what was cleared is back, the phone has stopped, at that moment of its time.

**The rule.** Each mark from before the clear tells how much later, in the phone's time, its piece ended than rule 2
says. That delay is nearly the same for all: it is the way there, the phone's own buffer, and what a stall has cost. So
the phone had stopped at the place that rule 2 gives for the moment of the stop (4) less the delay of the last marks; a
step in it (a stall) begins anew. Where single marks are off, because the phone's own program stood still for a moment,
the middle of many is taken. Marks that came behind the clear are of both kinds: those that the clear drove out have the
stop's own moment, and the others an earlier one. So the place is in the first piece that was driven out, or some
milliseconds behind it; if the delay says quite another one, because it has just changed, the middle of that is taken.

**If the marks have no delay in common even in the phone's time**, or that is not known, the place is that of rule 2 for
the moment at which the clear was sent.

Whatever comes out, it is no less than 1 says, no more than 2 allows by the time the last mark was back, and no more
than was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import median
from typing import Optional

import attrs

Part = tuple[str, int]

LOST_SECONDS = 10.0
"""A mark that is so late is lost, or the provider sends none."""
# How often the phone tells its time; what differs by more is not the same delay, or not the same moment.
_GRAIN_SECONDS = 0.02
_STEADY_SECONDS = 0.03
# A mark that was sent so long before the stop was not driven out by the clear.
_BEFORE_SECONDS = 0.05
# Marks whose delays are looked at: those behind the last step, if there are few steps; else the middle of all, if so
# many are near it.
_MOST_DELAYS = 32
_MEAN_OF = 8
_STEPS_SHARE = 0.25
_LEAST_NEAR = 12


@attrs.frozen
class Heard:
    """What is known now. ``samples`` of ``part`` were played in all; a part of None: nothing new is known of any.

    ``cleared``: the number of the clear that is settled by it; 0: of none.
    """

    part: Optional[Part]
    samples: int = 0
    cleared: int = 0


@attrs.frozen(eq=False)
class _SentPiece:
    """Sound that was sent, and its mark. ``end``: seconds of all sound up to its end; ``finish``: when that was played
    at the earliest; ``part_end``: samples of its part up to its end; ``padding``: seconds of silence at its end.
    """

    mark: int
    part: Part
    part_end: int
    end: float
    seconds: float
    padding: float
    finish: float

    @property
    def begin(self) -> float:
        """As ``end``, of its beginning."""
        return self.end - self.seconds


@attrs.define(eq=False)
class _Clear:
    """``pieces``: those that were not known to be played when it was sent; ``delays``: of the marks known by then."""

    number: int
    at: float
    pieces: Sequence[_SentPiece]
    delays: list[float]
    back: list[tuple[_SentPiece, float]] = attrs.field(factory=list)  # marks since then, with the phone's time


class PhonePlaying:
    """See the module. Its owner holds a lock around each call.

    ``rate``: samples a second. ``now`` is our time and ``phone`` the phone's, in seconds since a moment of their own;
    ``phone`` is None where it is not known.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: deque[_SentPiece] = deque()  # those whose marks are not back
        self._clears: deque[_Clear] = deque()  # those that are not settled
        self._delays: deque[float] = deque(maxlen=_MOST_DELAYS)
        self._end = 0.0  # seconds that were sent
        self._finish = 0.0  # when they are played, at the earliest

    def sent(self, mark: int, part: Part, part_end: int, samples: int, padding: int, now: float) -> None:
        """A piece is sent, and its mark: ``samples`` of the part, whose ``part_end`` this is, and silence behind."""
        seconds = (samples + padding) / self._rate
        self._end += seconds
        self._finish = max(self._finish, now) + seconds
        piece = _SentPiece(mark, part, part_end, self._end, seconds, padding / self._rate, self._finish)
        self._pieces.append(piece)

    def ahead(self, now: float) -> float:
        """How many seconds of sound the phone has that it has not played, if the way there takes no time."""
        return max(0.0, self._finish - now)

    def cleared(self, number: int, now: float) -> Optional[Heard]:
        """A clear is sent; what is known of it at once, because nothing is left to be played."""
        if not self._pieces:
            return Heard(None, cleared=number)
        self._clears.append(_Clear(number, now, list(self._pieces), list(self._delays)))
        self._pieces.clear()
        self._finish = now
        return None

    def returned(self, mark: int, now: float, phone: Optional[float]) -> Optional[Heard]:
        """A mark is back; None if that tells nothing yet."""
        for clear in self._clears:
            if mark <= clear.pieces[-1].mark:
                return self._driven_out(clear, mark, now, phone)
        piece = None
        while self._pieces and self._pieces[0].mark <= mark:
            piece = self._pieces.popleft()
        if piece is None:
            return None
        if phone is not None:
            self._delays.append(phone - piece.finish)
        return Heard(piece.part, piece.part_end)

    def overdue(self, now: float, seconds: float) -> Optional[Heard]:
        """What is to be taken for known because marks were not back in time: those of a clear within so many seconds,
        others within ``LOST_SECONDS`` after their sound must have been played.
        """
        if self._clears and now - self._clears[0].at > seconds:
            return self._settled(self._clears.popleft(), now, None)
        if self._pieces and now - self._pieces[0].finish > LOST_SECONDS:
            piece = self._pieces.popleft()
            return Heard(piece.part, piece.part_end)
        return None

    def reckoned(self, now: float) -> Optional[tuple[Part, int]]:
        """What is being played just now, if the way there takes no time; None: nothing, or nobody knows.

        It may be some more than is played. So it is for those who want to know how much waits, and not what was heard.
        """
        if not self._pieces:
            return None
        piece, samples = self._at(_place(self._pieces, now), self._pieces)
        return piece.part, samples

    def _driven_out(self, clear: _Clear, mark: int, now: float, phone: Optional[float]) -> Optional[Heard]:
        if phone is not None:
            clear.back.extend((piece, phone) for piece in clear.pieces if piece.mark == mark)
        if mark != clear.pieces[-1].mark:
            return None
        while self._clears.popleft() is not clear:  # those before it are settled by it; their marks were lost
            pass
        return self._settled(clear, now, phone)

    def _settled(self, clear: _Clear, now: float, stopped: Optional[float]) -> Heard:
        pieces = clear.pieces
        place = min(self._stop(clear, stopped), _place(pieces, now))
        if place <= pieces[0].begin:
            return Heard(None, cleared=clear.number)
        piece, samples = self._at(place, pieces)
        return Heard(piece.part, samples, clear.number)

    def _stop(self, clear: _Clear, stopped: Optional[float]) -> float:
        """The place at which the phone has stopped; ``stopped``: when that was, in its time."""
        reckoned = _place(clear.pieces, clear.at)
        if stopped is None:
            return reckoned
        before = [phone - piece.finish for piece, phone in clear.back if phone <= stopped - _BEFORE_SECONDS]
        delays = [*clear.delays, *before][-_MOST_DELAYS:]
        usual = _usual(delays) if delays else stopped - clear.at
        if usual is None:
            return reckoned
        place = _place(clear.pieces, stopped - usual)
        first = next(piece for piece, phone in clear.back if phone > stopped - _STEADY_SECONDS)
        beside = max(first.begin - place, place - first.end)
        return place if beside <= 2 * _GRAIN_SECONDS else (first.begin + first.end + _GRAIN_SECONDS) / 2

    def _at(self, place: float, pieces: Iterable[_SentPiece]) -> tuple[_SentPiece, int]:
        """The piece in which a place is, and how many samples of its part that makes."""
        for piece in pieces:
            if place <= piece.end:
                break
        left = max(0.0, piece.end - piece.padding - place)
        return piece, piece.part_end - round(left * self._rate)


def _place(pieces: Iterable[_SentPiece], moment: float) -> float:
    """How far these are played by then at the most, in seconds of all sound."""
    for piece in pieces:
        if moment < piece.finish:
            return piece.end - min(piece.seconds, piece.finish - moment)
    return piece.end


def _usual(delays: Sequence[float]) -> Optional[float]:
    """The delay of the last marks; None if they have none in common."""
    steps = [place for place, (before, after) in enumerate(pairwise(delays)) if abs(after - before) > _STEADY_SECONDS]
    if len(steps) <= _STEPS_SHARE * (len(delays) - 1):
        last = delays[steps[-1] + 1 if steps else 0 :][-_MEAN_OF:]
        return sum(last) / len(last)
    usual = median(delays)
    near = sum(abs(each - usual) <= _STEADY_SECONDS for each in delays)
    return usual if near >= max(_LEAST_NEAR, len(delays) / 2) else None
