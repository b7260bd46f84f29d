"""A recording's turns with their latencies, as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Optional

from realtime_sync.cells import beginning, width_of
from realtime_sync.conversation.turns import Turn
from realtime_sync.recording import Recording

LATENCIES = (
    "speech_seconds",
    "speech_stopped_to_first_audio",
    "committed_to_first_text",
    "committed_to_first_audio",
    "response_created_to_first_audio",
    "response_created_to_done",
)
"""The latencies that are shown, by their names in ``Timeline``."""

_FEWEST_WORDS = 24  # cells of what was said; if there is no room for so many, a turn takes several lines


def latency(turn: Turn, name: str) -> Optional[float]:
    """One of a turn's latencies in seconds; None if it is not known."""
    value: Optional[float] = getattr(turn.timeline, name)
    return value


def shown_seconds(seconds: Optional[float]) -> str:
    """``620 ms``, ``2.31 s``; nothing for None."""
    if seconds is None:
        return ""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds} ms" if abs(milliseconds) < 1000 else f"{seconds:.2f} s"


def clock(seconds: float) -> str:
    """Minutes and seconds: ``1:02.31``."""
    minutes, rest = divmod(round(seconds, 2), 60)
    return f"{int(minutes)}:{rest:05.2f}"


def shown_length(seconds: float) -> str:
    """``4.3 s``, ``1:02.31 min``."""
    return f"{seconds:.1f} s" if round(seconds, 1) < 60 else f"{clock(seconds)} min"


def shortened(text: str, width: Optional[int]) -> str:
    """On one line, at most so many cells wide; None: however wide."""
    text = " ".join(text.split())
    return text if width is None or width_of(text) <= width else f"{beginning(text, width - 3).rstrip()}..."


def user_words(turn: Turn) -> str:
    """What the user wrote or said."""
    return " ".join(filter(None, (turn.user_text, turn.user_transcript)))


def model_words(turn: Turn) -> str:
    """What the model wrote, said and called."""
    calls = " ".join(f"{call.name}(...)" for call in turn.function_calls)
    return " ".join(filter(None, (calls, turn.text or turn.transcript)))


def text(recording: Recording, *, width: Optional[int] = None) -> str:
    """The turns with their latencies as a table, to be printed.

    Args:
        recording: The recording.
        width: How wide a line may be, in characters: what was said is cut to fit, and if there is no room for it,
            each turn is a list of lines. None: nothing is cut.
    """
    turns = recording.turns()
    told = [name for name in LATENCIES if any(latency(turn, name) is not None for turn in turns)]
    lines = [_title(recording, turns), *(f"  {fault}" for fault in recording.faults)]
    if turns:
        lines += ["", *(_table_of(turns, told, width) or _lists_of(turns, told, width or 0))]
    return "\n".join(lines)


def _title(recording: Recording, turns: Sequence[Turn]) -> str:
    ends = [f"{len(recording.connections)} connections"] if len(recording.connections) > 1 else []
    ends += [str(each.info) for each in recording.connections if each.info is not None]
    counts = [_counted(len(turns), "turn"), _counted(len(recording.entries), "frame")]
    return ", ".join([f"{recording.started[:19]}Z: {shown_length(recording.duration)}", *counts, *ends])


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _status(turn: Turn) -> str:
    return "interrupted" if turn.interrupted else turn.status or "unanswered"


def _medians(turns: Sequence[Turn], told: Sequence[str]) -> list[str]:
    """Empty if there is but one turn to take them of."""
    if len(turns) < 2:
        return []
    known = [[value for turn in turns if (value := latency(turn, name)) is not None] for name in told]
    return [shown_seconds(statistics.median(values)) for values in known]


# As a table -----------------------------------------------------------------------------------------------------------


def _table_of(turns: Sequence[Turn], told: Sequence[str], width: Optional[int]) -> list[str]:
    """A line for each turn; empty if a line is not wide enough."""
    heads = [name.replace("_to_", "\nto_").replace("_", " ") for name in told]
    heads = ["turn", "began", *heads, "status", "said -> answered"]
    rows = [
        [str(number), clock(turn.started), *(shown_seconds(latency(turn, name)) for name in told), _status(turn)]
        for number, turn in enumerate(turns, 1)
    ]
    medians = _medians(turns, told)
    rows += [["median", "", *medians, ""]] if medians else []
    columns = _columns(heads, rows)
    room = None if width is None else width - len(columns[0])
    if room is not None and room < _FEWEST_WORDS:
        return []
    words = ["", heads[-1], *(shortened(_exchange(turn), room) for turn in turns), *([""] if medians else [])]
    return [(column + word).rstrip() for column, word in zip(columns, words, strict=True)]


def _exchange(turn: Turn) -> str:
    return f"{user_words(turn) or '...'} -> {model_words(turn) or '...'}"


def _columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """All but the last column, each as wide as it need be: numbers end where their column does, the status is words."""
    two = [head.rpartition("\n") for head in heads[:-1]]
    lines = [[first for first, _, _ in two], [second for _, _, second in two], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(two))]
    return [
        "".join(f"{cell.rjust(width)}  " for cell, width in zip(line[:-1], widths, strict=False))
        + f"{line[-1].ljust(widths[-1])}  "
        for line in lines
    ]


# As lists -------------------------------------------------------------------------------------------------------------


def _lists_of(turns: Sequence[Turn], told: Sequence[str], width: int) -> list[str]:
    """Several lines for each turn."""
    lines: list[str] = []
    for number, turn in enumerate(turns, 1):
        lines += [f"turn {number}, {clock(turn.started)}, {_status(turn)}"]
        words = (("said", user_words(turn)), ("answered", model_words(turn)))
        lines += [f"  {name:<9} {shortened(text or '...', width - 12)}" for name, text in words]
        lines += _list(told, [shown_seconds(latency(turn, name)) for name in told])
        lines += [""]
    medians = _medians(turns, told)
    return [*lines, "median", *_list(told, medians)] if medians else lines[:-1]


def _list(told: Sequence[str], values: Sequence[str]) -> list[str]:
    names = [name.replace("_", " ") for name in told]
    widest = max(map(len, names), default=0)
    return [f"  {name:<{widest}}  {value:>7}" for name, value in zip(names, values, strict=True) if value]
