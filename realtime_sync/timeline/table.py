"""A recording's turns with their latencies, as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Optional

from realtime_sync.cells import beginning, width_of
from realtime_sync.conversation.turn_words import state_of, user_words
from realtime_sync.conversation.turns import Turn
from realtime_sync.recording import Recording
from realtime_sync.words import counted

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
    title, heads, rows = told_of(recording)
    lines = [title, *(f"  {fault}" for fault in recording.faults)]
    if rows:
        lines += ["", *(_table(heads, rows, width) or _lists(heads, rows, width or 0))]
    return "\n".join(lines)


def told_of(recording: Recording) -> tuple[str, list[str], list[list[str]]]:
    """The title; the heads, of one line or two; the rows, whose last column is what was said, as a whole."""
    if recording.protocol == "live":
        from realtime_sync.timeline import live_table

        live_turns = recording.live_turns()
        title = _title(recording, len(live_turns), live_table.notes_of(recording))
        return title, live_table.HEADS, live_table.rows_of(recording, live_turns)
    turns = recording.turns()
    return _title(recording, len(turns)), *_table_of(turns)


def _title(recording: Recording, turns: int, notes: Sequence[str] = ()) -> str:
    """When it was, how long, and how much it holds."""
    ends = [f"{len(recording.connections)} connections"] if len(recording.connections) > 1 else []
    ends += [str(each.info) for each in recording.connections if each.info is not None]
    counts = [counted(turns, "turn"), counted(len(recording.entries), "frame")]
    return ", ".join([f"{recording.started[:19]}Z: {shown_length(recording.duration)}", *counts, *notes, *ends])


def _table_of(turns: Sequence[Turn]) -> tuple[list[str], list[list[str]]]:
    if not turns:
        return [], []
    told = [name for name in LATENCIES if any(latency(turn, name) is not None for turn in turns)]
    heads = [name.replace("_to_", "\nto_").replace("_", " ") for name in told]
    rows = [_row(number, turn, told) for number, turn in enumerate(turns, 1)]
    return ["turn", "began", *heads, "status", "said -> answered"], [*rows, *_median(turns, told)]


def _row(number: int, turn: Turn, told: Sequence[str]) -> list[str]:
    words = shortened(f"{user_words(turn) or '...'} -> {model_words(turn) or '...'}", None)
    times = [shown_seconds(latency(turn, name)) for name in told]
    return [str(number), clock(turn.started), *times, state_of(turn), words]


def _median(turns: Sequence[Turn], told: Sequence[str]) -> list[list[str]]:
    """A last row, where there is more than one turn to take it of."""
    if len(turns) < 2:
        return []
    known = [[value for turn in turns if (value := latency(turn, name)) is not None] for name in told]
    return [["median", "", *(shown_seconds(statistics.median(values)) for values in known), "", ""]]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], width: Optional[int]) -> list[str]:
    """Columns as wide as they need be; numbers end where their column does, the last two columns are words.

    Empty if there is no room for the last column.
    """
    two = [head.rpartition("\n") for head in heads]
    lines = [[first for first, _, _ in two], [second for _, _, second in two], *rows]
    numbers = len(heads) - 2
    widths = [max(len(line[column]) for line in lines) for column in range(numbers + 1)]
    room = None if width is None else width - sum(widths) - 2 * len(widths)
    if room is not None and room < _FEWEST_WORDS:
        return []
    made = []
    for line in lines:
        cells = [
            cell.rjust(width) if column < numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line[:-1], widths, strict=True))
        ]
        made.append("  ".join([*cells, shortened(line[-1], room)]).rstrip())
    return made


def _lists(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The table with a line for each cell."""
    names = [head.replace("\n", " ") for head in heads[1:-1]]
    widest = max(map(len, names))
    lines: list[str] = []
    for first, *cells, words in rows:
        lines += ["", shortened(f"{heads[0]} {first}: {words}" if words else first, width)]
        lines += [f"  {name:<{widest}}  {cell}" for name, cell in zip(names, cells, strict=True) if cell]
    return lines[1:]
