"""The timeline: as a table that names the latencies, and as a picture on which no text lies over another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import timeline
from realtime_sync.cells import width_of
from realtime_sync.errors import ConfigurationError, InvalidInputError
from realtime_sync.recording import Recording
from realtime_sync.timeline.rows import rows_of, ticks
from realtime_sync.timeline.tracks import Span
from tests.recording.made import SESSION, Made, spoken_conversation, tone

pytestmark = pytest.mark.medium

PNG = b"\x89PNG\r\n\x1a\n"


def written_conversation(path: Path, words: str = "Is it?") -> Recording:
    made = Made(path).told("session.created", session=SESSION).wait(0.1)
    item = {"id": "u", "type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    made.told("conversation.item.added", item=item, previous_item_id=None).wait(0.1)
    response = {"id": "r", "status": "completed", "conversation_id": "c", "output": []}
    made.told("response.created", response=response).wait(0.3)
    place = {"response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0}
    made.told("response.output_text.delta", delta=f"Yes: {words}", **place).wait(0.2)
    return made.told("response.done", response=response).done()


def test_the_table_has_a_line_a_turn_with_its_latencies_by_name(tmp_path: Path) -> None:
    lines = timeline.text(spoken_conversation(tmp_path / "r.jsonl", 3)).splitlines()
    assert "3 turns" in lines[0]
    assert "speech stopped" in lines[2]
    assert lines[3].split()[:4] == ["turn", "began", "speech", "seconds"]
    assert "to first audio" in lines[3]
    assert lines[4].split()[:4] == ["1", "0:00.30", "1.20", "s"]
    assert "320 ms" in lines[4]
    assert "What is the height" in lines[4]
    assert "interrupted" in lines[6]
    assert lines[7].startswith("median")
    assert len(lines) == 8


def test_the_table_of_a_written_conversation_has_only_what_there_is(tmp_path: Path) -> None:
    table = timeline.text(written_conversation(tmp_path / "r.jsonl"))
    assert "speech" not in table
    assert "400 ms" in table
    assert "Is it? -> Yes: Is it?" in table


def test_the_table_is_cut_to_a_width_and_else_whole(tmp_path: Path) -> None:
    recording = written_conversation(tmp_path / "r.jsonl", "高い木は" * 20)
    whole, cut = timeline.text(recording), timeline.text(recording, width=90)
    assert f"{'高い木は' * 20} -> Yes: {'高い木は' * 20}" in whole
    assert max(map(width_of, cut.splitlines()[1:])) in (89, 90)  # a letter that is two cells wide may not fit
    assert cut.splitlines()[-1].endswith("...")
    assert cut.count("\n") == whole.count("\n")


def test_where_a_table_has_no_room_each_turn_is_a_list(tmp_path: Path) -> None:
    recording = spoken_conversation(tmp_path / "r.jsonl", 3)
    told = timeline.text(recording, width=60).splitlines()
    assert max(map(len, told[1:])) <= 60
    assert told[2] == "turn 1: What is the height of the tallest tree number 1?..."
    cells = [" ".join(line.split()) for line in told]
    assert cells[3] == "began 0:00.30"
    assert "speech stopped to first audio 320 ms" in cells
    third = next(number for number, cell in enumerate(cells) if cell.startswith("turn 3: "))
    assert cells.index("status interrupted") > third
    assert told.count("median") == 1
    assert "median" not in timeline.text(spoken_conversation(tmp_path / "one.jsonl", 1), width=60)


def test_the_table_of_nothing_says_so(tmp_path: Path) -> None:
    assert "0 turns, 0 frames" in timeline.text(Made(tmp_path / "r.jsonl").done())


@pytest.mark.parametrize(("seconds", "told"), [(4.34, "4.3 s"), (59.94, "59.9 s"), (62.31, "1:02.31 min")])
def test_a_length_under_a_minute_is_told_in_seconds(tmp_path: Path, seconds: float, told: str) -> None:
    recording = Made(tmp_path / "r.jsonl").wait(seconds).told("session.created", session=SESSION).done()
    assert f"Z: {told}, 0 turns, 1 frame" in timeline.text(recording)


def drawn(recording: Recording, width: float = 14) -> Any:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from realtime_sync.timeline import picture

    figure = Figure()
    FigureCanvasAgg(figure)
    picture._kind_of_picture(recording)(recording, figure, width).draw()
    figure.canvas.draw()
    return figure


def hasty_conversation(path: Path) -> Recording:
    """Turns that take a hundredth of a second, and whose audio plays for long: a test against an embedded server."""
    made = Made(path).told("session.created", session=SESSION)
    for number in range(8):
        item = {"id": f"u{number}", "type": "message", "role": "user"}
        made.told("conversation.item.added", item={**item, "content": [{"type": "input_text", "text": "Is it?"}]})
        response = {"id": f"r{number}", "status": "completed", "conversation_id": "c", "output": []}
        made.told("response.created", response=response).wait(0.005).answers(tone(2), f"a{number}", f"r{number}")
        made.wait(0.005).told("response.done", response=response)
    return made.done()


def test_each_turn_has_its_number_and_its_latencies_and_the_legend_names_them(tmp_path: Path) -> None:
    figure = drawn(spoken_conversation(tmp_path / "r.jsonl", 5))
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"1", "2", "3", "4", "5"} <= set(shown)
    assert shown.count("320 ms") == 5
    assert "What is the height of the tallest tree number 5?" in shown
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"speech stopped to first audio", "response created to done", "not heard", "function call"} <= set(named)


@pytest.mark.parametrize(
    ("turns", "width"), [(0, 14), (1, 14), (1, 6), (5, 14), (5, 8.5), pytest.param(40, 14, marks=pytest.mark.slow)]
)
def test_no_text_of_the_picture_lies_over_another_or_outside(tmp_path: Path, turns: int, width: float) -> None:
    """0 stands for a hasty conversation."""
    path = tmp_path / "r.jsonl"
    figure = drawn(spoken_conversation(path, turns, audio="elide") if turns else hasty_conversation(path), width)
    assert overlapping_texts(figure) == []


def overlapping_texts(figure: Any) -> list[Any]:
    """Pairs of texts that lie over one another, and texts that lie outside of the sheet."""
    renderer = figure.canvas.get_renderer()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    labels = [label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    legend = figure.legends[0]
    boxes = [(each.get_text(), each.get_window_extent(renderer)) for each in [*texts, *labels, *figure.texts]]
    boxes.append(("legend", legend.get_window_extent(renderer)))
    overlapping = [
        (first, second)
        for index, (first, box) in enumerate(boxes)
        for second, other in boxes[index + 1 :]
        if box.overlaps(other)
    ]
    sheet = figure.bbox
    outside = [name for name, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > sheet.x1 or box.y1 > sheet.y1]
    return [*overlapping, *outside]


@pytest.mark.parametrize(("suffix", "begin"), [(".png", PNG), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_the_pictures_suffix_says_its_format(tmp_path: Path, suffix: str, begin: bytes) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    timeline.save_picture(spoken_conversation(tmp_path / "r.jsonl", 2), tmp_path / f"r{suffix}")
    assert (tmp_path / f"r{suffix}").read_bytes().startswith(begin)


@pytest.mark.parametrize("width", [6, 8.5, 14])
def test_a_picture_is_as_wide_as_it_is_asked_for(tmp_path: Path, width: float) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    timeline.save_picture(spoken_conversation(tmp_path / "r.jsonl", 2), tmp_path / "r.png", width=width)
    assert int.from_bytes((tmp_path / "r.png").read_bytes()[16:20], "big") == width * 110


@pytest.mark.parametrize("width", [5, 101, "8", None])
def test_a_width_that_is_none_is_refused(tmp_path: Path, width: Any) -> None:
    with pytest.raises(InvalidInputError, match="width must be a number of inches"):
        timeline.save_picture(Made(tmp_path / "r.jsonl").done(), tmp_path / "r.png", width=width)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"\.png, \.svg, \.pdf"):
        timeline.save_picture(Made(tmp_path / "r.jsonl").done(), tmp_path / "r.docx")


@pytest.mark.parametrize("words", ["$x$ \\frac{", "世界 ≠ \N{GRINNING FACE}", "a\nb\tc", "&<>"])
def test_whatever_was_said_can_be_drawn(tmp_path: Path, words: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    timeline.save_picture(written_conversation(tmp_path / "r.jsonl", words), tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size > 5000


def test_a_recording_of_nothing_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    timeline.save_picture(Made(tmp_path / "r.jsonl").done(), tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(PNG)


def test_drawing_leaves_the_programs_own_plots_alone(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    spoken_conversation(tmp_path / "r.jsonl", 1)
    code = """
import sys
from realtime_sync import timeline
from realtime_sync.cells import width_of
from realtime_sync.recording import Recording
timeline.save_picture(Recording.read(sys.argv[1]), sys.argv[2])
assert "matplotlib.pyplot" not in sys.modules
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "r.jsonl"), str(tmp_path / "r.png")]
    subprocess.run(arguments, check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_without_matplotlib_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'realtime-sync\[plot\]'"):
        timeline.save_picture(Made(tmp_path / "r.jsonl").done(), tmp_path / "r.png")


def test_rows_begin_with_a_turn_and_leave_no_time_out() -> None:
    turns = [Span(3.0 * number, 3.0 * number + 2.5) for number in range(20)]
    rows = rows_of(turns, 60.0)
    assert rows.spans[0].start == 0
    assert rows.spans[-1].end >= 60
    assert all(one.end == other.start for one, other in zip(rows.spans, rows.spans[1:], strict=False))
    assert all(row.end - row.start <= rows.seconds * 1.05 for row in rows.spans)
    assert not [turn for turn in turns for row in rows.spans if row.start < turn.start < row.end < turn.end]


@pytest.mark.parametrize(("turns", "duration"), [([], 0.0), ([], 7200.0), ([Span(0, 3600)], 3600.0)])
def test_rows_are_there_whatever_there_is(turns: list[Span], duration: float) -> None:
    rows = rows_of(turns, duration)
    assert 1 <= len(rows.spans) <= 70
    assert rows.spans[-1].end >= duration


def test_ticks_are_round_and_far_enough_apart() -> None:
    assert ticks(Span(0.3, 4.1), 0.9) == [1, 2, 3, 4]
    assert ticks(Span(0.0, 0.011), 0.004) == [0.0, 0.005, 0.01]
