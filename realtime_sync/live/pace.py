"""Real time as a live session's service wants its audio: neither faster, nor with gaps.

The service's timeline goes by the audio that it is given. What comes faster than real time pushes it forward, so all
audio of a session, speech and the silence that fills gaps, is planned on one ``Pace``. Everything is reckoned from the
moment up to which audio was planned, and never from the length of a wait, so nothing drifts.

In any stretch of time no more audio is due than that time and the three allowances together.
"""

from __future__ import annotations

# Speech may follow the silence of a gap so much before that has been heard: it need not wait for it.
AHEAD_SECONDS = 0.1
# A pause that is shorter than a gap is made up for, by so much; the rest stays a delay.
BEHIND_SECONDS = 0.2
# A longer pause is a gap, which is filled by silence.
GAP_SECONDS = 0.3


class Pace:
    """Plans audio, piece by piece, and says when each is due. Not for several threads at once; pure.

    All moments are seconds of one clock that never runs backwards.
    """

    def __init__(self, now: float) -> None:
        self.planned = now
        """Up to this moment there is audio, if all that was planned is sent when it is due."""
        self._sounds_until = now  # so long the last piece lasts, which may have been sent later than it was due
        self._filling = False  # the last piece was silence in a gap

    def speech(self, now: float, seconds: float) -> float:
        """Plan a piece of so many seconds; returns when it is due, which may be a moment that has passed."""
        if self._filling:
            self.planned = max(min(self.planned, now), self.planned - AHEAD_SECONDS)
            self._filling = False
        elif self.until_gap(now) <= 0:  # which nobody has filled
            self.planned = now
        due = max(self.planned, now - BEHIND_SECONDS)
        self.planned = due + seconds
        self._sounds_until = max(due, now) + seconds
        return due

    def until_gap(self, now: float) -> float:
        """In so many seconds a gap is to be filled, if nothing is planned meanwhile; 0 or less: now."""
        return (self.planned if self._filling else self._sounds_until + GAP_SECONDS) - now

    def silence(self, now: float, seconds: float) -> None:
        """Plan so much silence, to be sent at once: ``until_gap`` has passed."""
        if not self._filling or now - self.planned > BEHIND_SECONDS:
            self.planned = now  # what was missed so far is not caught up: the timeline would jump
        self._filling = True
        self.planned += seconds
