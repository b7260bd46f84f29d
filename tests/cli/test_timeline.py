"""``realtime-sync timeline``: how its table fits where it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_sync import cells, timeline
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.cli.serving import run
from tests.recording.made import spoken_conversation


@pytest.mark.parametrize(("columns", "as_table"), [(160, True), (60, False)])
def test_on_a_terminal_no_line_is_broken(tmp_path: Path, columns: int, as_table: bool) -> None:
    spoken_conversation(tmp_path / "r.jsonl", 2)
    with PseudoTerminal("timeline", str(tmp_path / "r.jsonl"), columns=columns, COLUMNS="") as terminal:
        assert terminal.end() == 0
    lines = terminal.text.splitlines()[1:]  # without the title
    assert max(map(cells.width_of, lines)) <= columns
    assert any("said -> answered" in line for line in lines) is as_table


def test_into_a_pipe_nothing_is_cut(tmp_path: Path) -> None:
    recording = spoken_conversation(tmp_path / "r.jsonl", 2)
    assert run("timeline", str(tmp_path / "r.jsonl"), COLUMNS="60").stdout == timeline.text(recording) + "\n"
