"""A call as a picture: both sides over time, their words, the tools, and how long the caller waited."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, Union

from realtime_sync.audio.g711 import samples_of
from realtime_sync.checks import check_path
from realtime_sync.extras import require
from realtime_sync.testing.calls.ear import CallUtterance
from realtime_sync.testing.calls.sound import TICK
from realtime_sync.words import cut

if TYPE_CHECKING:
    from realtime_sync.testing.calls.report import CallReport

_DPI = 110
# Inches: a second of the call, and the least and the most that the picture is wide; its height.
_SECOND, _NARROWEST, _WIDEST, _HEIGHT = 0.8, 7.0, 60.0, 3.4
_ROWS = {"caller": (3.0, "#2b6cb0"), "application": (1.0, "#dd6b20")}
_TOOL, _WAIT = "#6b46c1", "#2f855a"
_SMALL, _CHARACTERS = 7.5, 14  # points; characters that have room in a second


def save_picture(report: CallReport, path: Union[str, os.PathLike[str]]) -> None:
    """See ``CallReport.save_picture``."""
    check_path("the target", path)
    figure = require("matplotlib.figure", "plot", "The picture of a call").Figure()
    import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    figure.set_size_inches(min(_WIDEST, max(_NARROWEST, _SECOND * report.seconds)), _HEIGHT)
    axes = figure.add_subplot()
    _draw_sound(axes, report)
    for each in report.utterances:
        _draw_words(axes, each)
    for run in report.tools:
        axes.axvline(run.at, color=_TOOL, linewidth=0.8, linestyle=":")
        axes.text(run.at, 4.25, f" {run}", color=_TOOL, fontsize=_SMALL)
    axes.set(xlim=(0, max(report.seconds, 1.0)), ylim=(-0.2, 4.6), xlabel="seconds")
    axes.set_yticks([height for height, _ in _ROWS.values()], list(_ROWS))
    axes.set_title(str(report).partition("\n")[0], fontsize=9, loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=_DPI, facecolor="white")


def _draw_sound(axes: Any, report: CallReport) -> None:
    sounds = {"caller": report.caller_sound, "application": report.application_sound}
    step = round(TICK * report.rate)
    for who, (height, colour) in _ROWS.items():
        samples = samples_of(sounds[who])
        peaks = [max(map(abs, samples[start : start + step])) / 32768 * 0.9 for start in range(0, len(samples), step)]
        times = [number * TICK for number in range(len(peaks))]
        low, high = [height - peak for peak in peaks], [height + peak for peak in peaks]
        axes.fill_between(times, low, high, color=colour, linewidth=0.2)


def _draw_words(axes: Any, each: CallUtterance) -> None:
    height, colour = _ROWS[each.who]
    words = cut(each.words, max(8, int(_CHARACTERS * each.seconds)))
    axes.text(each.began, height + 0.95, words, color=colour, fontsize=_SMALL, clip_on=True)
    if each.after is not None:
        axes.hlines(height - 0.85, each.began - each.after, each.began, color=_WAIT, linewidth=3)
        axes.text(each.began, height - 0.95, f" {each.after:.2f} s", color=_WAIT, fontsize=_SMALL)
    if each.silent_after:
        axes.hlines(2.0, each.began, each.began + each.silent_after, color="#c53030", linewidth=3)
        axes.text(each.began, 2.1, f"silent after {each.silent_after:.2f} s", color="#c53030", fontsize=_SMALL)
