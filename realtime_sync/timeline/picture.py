"""A recording as a picture: both sides over time, what happened, and how long each turn had to wait.

matplotlib's objects are used without ``pyplot``, so that no global state of a program that draws, too, is touched.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO, Union

import attrs

from realtime_sync.checks import check_number, check_path
from realtime_sync.conversation.turn_words import user_words
from realtime_sync.conversation.turns import Turn
from realtime_sync.errors import InvalidInputError
from realtime_sync.extras import require
from realtime_sync.recording import Recording
from realtime_sync.recording.layout import FilePath
from realtime_sync.timeline.annotations import AnnotationKind, annotations_of
from realtime_sync.timeline.rows import Rows, rows_of, ticks, turn_spans
from realtime_sync.timeline.table import latency, model_words, shown_length, shown_seconds
from realtime_sync.timeline.tracks import RATE, Piece, Span, Tracks
from realtime_sync.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_Times = tuple[float, float]
Bar = tuple[float, float, str, str]
"""When it begins and how long it is, in seconds; what it is called, and its colour."""
_FORMATS = (".png", ".svg", ".pdf")
_DPI = 110
# Inches: the whole by default, a row with the room below it for its ticks, the title, the margins; the legend's columns
# and its lines. What can happen fills so many places in it.
_WIDTH, _ROW, _TICKS, _TITLE, _LEFT, _RIGHT = 14.0, 2.1, 0.4, 0.45, 0.75, 0.25
_COLUMN, _LINE, _PLACES = 2.1, 0.175, 20
# Heights within a row, from its foot at 0 to its head at 10.
_SAID, _USER, _ANNOTATIONS, _MODEL, _ANSWERED, _HALF = 9.55, 8.0, (6.6, 6.12, 5.64, 4.3), 4.3, 2.75, 1.05
LANES = (1.95, 1.2, 0.45)
_USER_COLOUR, _MODEL_COLOUR, _CUT_COLOUR = "#2b6cb0", "#dd6b20", "#a0aec0"
_SMALL = 7.5  # points
# By lane: the first of these that a turn has.
_LATENCIES: tuple[tuple[tuple[str, str, str], ...], ...] = (
    (
        ("speech_stopped_to_first_audio", "speech_stopped", "#2f855a"),
        ("committed_to_first_audio", "committed", "#38a169"),
        ("committed_to_first_text", "committed", "#68d391"),
    ),
    (("response_created_to_first_audio", "response_created", "#6b46c1"),),
    (("response_created_to_done", "response_created", "#718096"),),
)


def save_picture(recording: Recording, path: FilePath, *, width: float = _WIDTH) -> None:
    """Draw both sides, the events and the latencies over time.

    Args:
        recording: The recording.
        path: The file to write. Its suffix chooses the format: ``.png``, ``.svg`` or ``.pdf``.
        width: Of the picture, in inches of 110 pixels, from 6 to 100: less is more legible in a narrow column of text,
            and has less room for what was said.

    Raises:
        ConfigurationError: The extra ``plot`` is not installed.
        InvalidInputError: The suffix is another one, it is no path, or the width is none.
        OSError: The file cannot be written.
    """
    check_path("the target", path)
    check_number("width", width, "inches", at_least=6, at_most=100)
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in _FORMATS:
        raise InvalidInputError(
            f"the picture's suffix chooses its format: use one of {', '.join(_FORMATS)}, not {suffix!r}"
        )
    _save(recording, path, suffix[1:], width)


def png(recording: Recording) -> bytes:
    """The picture as ``save_picture`` writes it; raises ConfigurationError without the extra ``plot``."""
    file = io.BytesIO()
    _save(recording, file, "png")
    return file.getvalue()


def _save(recording: Recording, target: Union[FilePath, BinaryIO], format: str, width: float = _WIDTH) -> None:
    figure: Figure = require("matplotlib.figure", "plot", "The picture of a timeline").Figure()
    import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)  # measures texts, whatever the format
    _kind_of_picture(recording)(recording, figure, width).draw()
    figure.savefig(target, dpi=_DPI, format=format, facecolor="white")


def _kind_of_picture(recording: Recording) -> type[Picture]:
    if recording.protocol == "live":
        from realtime_sync.timeline.live_picture import LivePicture

        return LivePicture
    return Picture


@attrs.frozen
class Row:
    """One row of the figure: ``axes`` to draw on, from ``start`` to ``end`` in seconds, ``scale`` inches a second."""

    axes: Axes
    start: float
    end: float
    scale: float


class Picture:
    """One figure in the making."""

    model_audio = "model audio, as it was played"

    def __init__(self, recording: Recording, figure: Figure, width: float) -> None:
        self.recording = recording
        self.figure = figure
        self.width = width
        self.columns = int(width / _COLUMN)
        self.tracks = Tracks.of(recording)
        self.turns: list[Turn] = []
        self.spans = self._read()
        self.rows: Rows = rows_of(self.spans, max(recording.duration, self.tracks.samples / RATE))
        self.annotations = sorted(self._annotated(), key=lambda event: event[0])
        self.loudest = max(_loudest(self.tracks.user), _loudest(self.tracks.model), 1)
        self.texts = _Texts(figure)
        self.legend: dict[str, Any] = {}

    def _read(self) -> list[Span]:
        """Read the turns; from when to when each goes."""
        self.turns = self.recording.turns()
        return turn_spans(self.turns, self.tracks)

    def _annotated(self) -> Iterable[tuple[float, AnnotationKind]]:
        """What is drawn as symbols."""
        return annotations_of(self.recording)

    def draw(self) -> None:
        """Draw all of it on the figure."""
        head = _TITLE + _LINE * math.ceil(_PLACES / self.columns)
        height = head + len(self.rows.spans) * (_ROW + _TICKS)
        self.figure.set_size_inches(self.width, height)
        for row, span in enumerate(self.rows.spans):
            width = (self.width - _LEFT - _RIGHT) * min(1.0, (span.end - span.start) / self.rows.seconds)
            foot = height - head - row * (_ROW + _TICKS) - _ROW
            axes = self.figure.add_axes((_LEFT / self.width, foot / height, width / self.width, _ROW / height))
            self._row(Row(axes, span.start, span.end, width / (span.end - span.start)))
        self._head(height)

    def _row(self, row: Row) -> None:
        self._frame(row)
        self._user(row)
        self._model(row)
        self._lanes(row)
        self._annotations(row)
        self._words(row)

    def _frame(self, row: Row) -> None:
        axes = row.axes
        axes.set_xlim(row.start, row.end)
        axes.set_ylim(0, 10)
        axes.set_yticks([_USER, _MODEL], ["user", "model"], fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        moments = ticks(Span(row.start, row.end), 0.9 / row.scale)
        axes.set_xticks(moments, [_moment(each) for each in moments], fontsize=_SMALL, color="#4a5568")
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color("#a0aec0")
        for turn in self.spans:
            if row.start <= turn.start < row.end:
                axes.axvline(turn.start, color="#cbd5e0", linewidth=0.8, zorder=0)
        for height in (_USER, _MODEL):
            axes.axhline(height, color="#cbd5e0", linewidth=0.6, zorder=0)

    # The tracks -----------------------------------------------------------------------------------------------------

    def _user(self, row: Row) -> None:
        self._band(row, _joined(self.tracks.user), _USER, _USER_COLOUR, 0.13, "audio sent")
        self._band(row, _times(self.tracks.speech), _USER, _USER_COLOUR, 0.22, "user speech, as the service heard it")
        self._wave(row, self.tracks.user, _USER, _USER_COLOUR)

    def _model(self, row: Row) -> None:
        self._band(row, _joined(self.tracks.model), _MODEL, _MODEL_COLOUR, 0.18, self.model_audio)
        self._band(row, _times(self.tracks.said), _MODEL, _MODEL_COLOUR, 0.22, "model speech, as the service told it")
        self._band(row, self._written(), _MODEL, "#d69e2e", 0.35, "model writes")
        hatched = {"hatch": "////", "edgecolor": "#4a5568"}
        self._band(row, _joined(self.tracks.cut), _MODEL, _CUT_COLOUR, 0.35, "not heard", **hatched)
        self._wave(row, self.tracks.model, _MODEL, _MODEL_COLOUR)

    def _written(self) -> list[_Times]:
        """When the model wrote in place of speaking."""
        return [
            (turn.started + turn.timeline.first_text, turn.started + turn.timeline.done)
            for turn in self.turns
            if turn.timeline.first_audio is None and turn.timeline.first_text and turn.timeline.done
        ]

    def _band(
        self, row: Row, spans: Sequence[_Times], height: float, colour: str, alpha: float, words: str, **look: Any
    ) -> None:
        shown = [(start, end - start) for start, end in spans if start < row.end and end > row.start]
        if shown:
            look |= {"facecolor": colour, "alpha": alpha, "linewidth": 0, "zorder": 1}
            self.legend.setdefault(words, row.axes.broken_barh(shown, (height - _HALF, 2 * _HALF), **look))

    def _wave(self, row: Row, pieces: Sequence[Piece], height: float, colour: str) -> None:
        """The loudest sample of each column, up and down."""
        import numpy as np

        from realtime_sync.timeline.stereo import channel

        start, end = round(row.start * RATE), round(row.end * RATE)
        column = max(1, int(RATE / (row.scale * _DPI)))
        samples = np.abs(np.array(channel(pieces, start, end), np.int32))
        columns = len(samples) // column
        peaks = samples[: columns * column].reshape(columns, column).max(axis=1, initial=0) / self.loudest * _HALF
        if not peaks.any():
            return
        times = row.start + (np.arange(columns) + 0.5) * column / RATE
        heard = peaks > 0
        row.axes.fill_between(times, height - peaks, height + peaks, where=heard, color=colour, linewidth=0.2, zorder=2)

    # What happened --------------------------------------------------------------------------------------------------

    def _annotations(self, row: Row) -> None:
        by_kind: dict[AnnotationKind, list[float]] = {}
        for at, kind in self.annotations:
            if row.start <= at < row.end:
                by_kind.setdefault(kind, []).append(at)
        for kind, times in by_kind.items():
            heights = [_ANNOTATIONS[kind.height]] * len(times)
            stroke = {"linewidths": 1.4} if kind.symbol in "|x" else {"linewidths": 0}
            drawn = row.axes.scatter(times, heights, s=26, marker=kind.symbol, color=kind.colour, zorder=4, **stroke)
            self.legend.setdefault(kind.words, drawn)

    def _lanes(self, row: Row) -> None:
        """How long each turn had to wait."""
        for height, latencies in zip(LANES, _LATENCIES, strict=True):
            bars = []
            for turn in self.turns:
                for name, begin, colour in latencies:
                    seconds, since = latency(turn, name), getattr(turn.timeline, begin)
                    if seconds is not None and seconds >= 0 and since is not None:
                        bars.append((turn.started + since, seconds, name, colour))
                        break
            self._bars(row, height, bars)

    def _bars(self, row: Row, height: float, bars: Sequence[Bar]) -> None:
        """One lane, with the seconds of each bar beside it if there is room."""
        starts = [start for start, *_ in bars]
        for index, (start, seconds, name, colour) in enumerate(bars):
            if not (start < row.end and start + seconds >= row.start):
                continue
            bar = row.axes.broken_barh([(start, seconds)], (height - 0.24, 0.48), color=colour, linewidth=0.8, zorder=3)
            self.legend.setdefault(name.replace("_", " "), bar)
            room = (self._room(starts, index, row) - seconds) * row.scale - 0.1
            words = shown_seconds(seconds)
            if start >= row.start and self.texts.width(words, _SMALL) <= room:
                place = (start + seconds + 0.05 / row.scale, height)
                row.axes.text(*place, words, fontsize=_SMALL, va="center", color=colour, zorder=4)

    def _words(self, row: Row) -> None:
        """Each turn's number and what was said, as far as there is room before the next turn's."""
        starts = [span.start for span in self.spans]
        answers = [self._answered_at(turn) for turn in self.turns]
        for index, turn in enumerate(self.turns):
            self._asked(row, starts, index, str(index + 1), user_words(turn))
            self._answered(row, answers, index, model_words(turn))

    def _asked(self, row: Row, starts: Sequence[float], index: int, head: str, words: str) -> None:
        """What the user said, above the user's track, behind the turn's number; ``starts``: of all that are so told."""
        if row.start <= starts[index] < row.end:
            beside = self.texts.width(head, 9) + 0.1
            room = self._room(starts, index, row) * row.scale - beside - 0.08
            x = starts[index] + 0.04 / row.scale
            if room >= 0:
                row.axes.text(x, _SAID, head, fontsize=9, va="center", weight="bold", color="#1a202c")
                self._text(row.axes, x + beside / row.scale, _SAID, words, room, "#1a4f86")

    def _answered(self, row: Row, starts: Sequence[float], index: int, words: str) -> None:
        """What the model said, below its track."""
        if row.start <= starts[index] < row.end:
            room = self._room(starts, index, row) * row.scale - 0.12
            self._text(row.axes, starts[index], _ANSWERED, words, room, "#9c4221")

    def _room(self, starts: Sequence[float], index: int, row: Row) -> float:
        """Seconds from one start to the next one in this row, or to the end of the sheet."""
        end = max(row.end, row.start + self.rows.seconds)
        after = starts[index + 1] if index + 1 < len(starts) else end
        return (after if after < row.end else end) - starts[index]

    def _answered_at(self, turn: Turn) -> float:
        """When the model's first sound or word came."""
        timeline = turn.timeline
        known = [timeline.first_audio, timeline.first_text, timeline.response_created]
        return turn.started + next((time for time in known if time is not None), 0.0)

    def _text(self, axes: Axes, x: float, y: float, words: str, room: float, colour: str) -> None:
        shown = self.texts.fitted(words, room, _SMALL)
        axes.text(x, y, shown, fontsize=_SMALL, va="center", color=colour, parse_math=False)

    def _head(self, height: float) -> None:
        counts = f"{shown_length(self.recording.duration)}, {counted(len(self.spans), 'turn')}"
        name = os.path.basename(self.recording.path)
        title = self.texts.fitted(f"{name}: {counts}, {self.recording.started[:19]}Z", self.width - 1, 11)
        place = (0.15 / self.width, 1 - 0.2 / height)
        self.figure.text(*place, title, fontsize=11, weight="bold", va="center", parse_math=False)
        if self.legend:
            self.figure.legend(
                self.legend.values(),
                self.legend.keys(),
                loc="upper left",
                bbox_to_anchor=(0.05 / self.width, 1 - 0.32 / height),
                ncols=self.columns,
                fontsize=8,
                frameon=False,
                columnspacing=1.4,
                handlelength=1.6,
            )


class _Texts:
    """How wide texts are, and what fits."""

    def __init__(self, figure: Figure) -> None:
        from matplotlib.font_manager import FontProperties, findfont, get_font

        self._renderer: Any = figure.canvas.get_renderer()  # type: ignore[attr-defined]
        self._dpi = figure.dpi
        self._properties = FontProperties
        self._glyphs = get_font(findfont(FontProperties())).get_charmap()

    def width(self, text: str, points: float) -> float:
        """Inches."""
        properties = self._properties(size=points)
        wide: float = self._renderer.get_text_width_height_descent(text, properties, ismath=False)[0] if text else 0.0
        return wide / self._dpi

    def fitted(self, text: str, room: float, points: float) -> str:
        """As much of the text as fits into so many inches; nothing where hardly anything does."""
        text = "".join(each if ord(each) in self._glyphs else "□" for each in " ".join(text.split()))
        if self.width(text, points) <= room:
            return text
        short, long = 0, len(text)  # so many characters fit; so many do not
        while long - short > 1:
            middle = (short + long) // 2
            fits = self.width(f"{text[:middle].rstrip()}...", points) <= room
            short, long = (middle, long) if fits else (short, middle)
        return f"{text[:short].rstrip()}..." if short >= 3 else ""


def _joined(pieces: Sequence[Piece]) -> list[_Times]:
    """Pieces as spans in seconds, those that follow one another as one."""
    spans: list[_Times] = []
    for piece in sorted(pieces, key=lambda piece: piece.start):
        start, end = piece.start / RATE, piece.end / RATE
        if spans and start <= spans[-1][1] + 1 / RATE:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return spans


def _times(spans: Sequence[Span]) -> list[_Times]:
    return [(each.start, each.end) for each in spans]


def _loudest(pieces: Sequence[Piece]) -> int:
    import numpy as np

    peaks = (np.abs(np.frombuffer(piece.pcm(), "<i2").astype(np.int32)).max(initial=0) for piece in pieces)
    return int(max(peaks, default=0))


def _moment(seconds: float) -> str:
    """A tick's label: ``1:02``, with as many decimals as it needs."""
    minutes, rest = divmod(seconds, 60)
    whole = abs(rest - round(rest)) < 1e-6
    return f"{int(minutes)}:{round(rest):02d}" if whole else f"{int(minutes)}:{rest:06.3f}".rstrip("0")
