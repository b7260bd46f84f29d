"""A recording's time in rows, as lines of text: all at one scale, and no turn is cut in two if that can be avoided."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from realtime_sync.conversation.turns import Turn
from realtime_sync.timeline.tracks import RATE, Span, Tracks

_TURNS_A_ROW = 4
_MOST_ROWS = 60
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)


@attrs.frozen
class Rows:
    """``spans``: of each row, without a gap between them; ``seconds``: what a row of full width holds."""

    spans: Sequence[Span]
    seconds: float


def turn_spans(turns: Sequence[Turn], tracks: Tracks) -> list[Span]:
    """From when to when each turn goes, from the user's first sound to what was played of the answer.

    It goes at most to the beginning of the next one.
    """
    ends = {piece.item_id: piece.end / RATE for piece in tracks.model}
    starts = [_start(turn, tracks) for turn in turns]
    spans = []
    for turn, start, following in zip(turns, starts, [*starts, math.inf][1:], strict=True):
        times = [value for value in attrs.astuple(turn.timeline) if value is not None]
        end = max([turn.started + max(times, default=0.0), *(ends.get(item_id, 0.0) for item_id in turn.item_ids)])
        spans.append(Span(start, max(start, min(end, following))))
    return spans


def _start(turn: Turn, tracks: Tracks) -> float:
    """When the user began to speak, which is told a moment later."""
    spoken = (speech.start for speech in tracks.speech if speech.start <= turn.started <= speech.end)
    return min(spoken, default=turn.started)


def rows_of(turns: Sequence[Span], duration: float) -> Rows:
    """Rows that begin with a turn wherever the one before it leaves no room for it."""
    rows = max(1, math.ceil(len(turns) / _TURNS_A_ROW))
    longest = max((turn.end - turn.start for turn in turns), default=0.0)
    margin = 0.03 * duration / rows
    seconds = max(duration / rows, min(longest + 2 * margin, duration), duration / _MOST_ROWS) * 1.02 or 1.0
    spans = []
    start = 0.0
    while True:
        end = start + seconds
        # The first turn that would be cut begins the next row, unless it fills this one from its beginning.
        # A row that would be nearly empty is none.
        least = start + 0.3 * seconds
        cut = [turn.start - margin for turn in turns if least < turn.start - margin < end < turn.end]
        if duration - start <= 1.05 * seconds and not cut:
            spans.append(Span(start, max(duration, start + 0.25 * seconds)))
            return Rows(spans, seconds)
        end = min(cut, default=end)
        spans.append(Span(start, end))
        start = end


def ticks(span: Span, least: float) -> list[float]:
    """Round moments within, at least so many seconds apart."""
    step = next((step for step in _STEPS if step >= least), _STEPS[-1])
    first = math.ceil(span.start / step - 1e-9)
    return [index * step for index in range(first, math.floor(span.end / step + 1e-9) + 1)]
