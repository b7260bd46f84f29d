from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Below what is measured on any machine (3 to 6), so that only a real regression falls short.
FLOOR = 2.5
# A client's row: events/s, x openai, x bare, CPU us, x openai, x bare.
ROW = re.compile(r"^  realtime_sync +([\d,]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", re.MULTILINE)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_one_command_shows_in_a_table_how_many_times_faster_than_openai_python_we_are() -> None:
    pytest.importorskip("openai")
    pytest.importorskip("websockets", reason="openai[realtime] is not installed")
    command = [sys.executable, str(BENCHMARKS / "compare.py"), "--quick"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", timeout=140, check=True)
    titles = ("receive text deltas", "receive audio deltas", "upload audio")
    for title in titles:
        row = ROW.search(done.stdout, done.stdout.index(f"\n{title}"))
        assert row is not None, done.stdout
        # The better one: other work on the machine spoils wall time more than CPU time, or the other way round.
        assert max(float(row[2]), float(row[5])) >= FLOOR, done.stdout
    for title in ("ask and be answered", "one message from text to object", "import, beside starting Python"):
        assert f"\n{title}" in done.stdout
