"""The cluster example, as a user runs it: two worker processes, a scheduler, all on this machine."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "transcribe_cluster.py"


def run(cwd: Path, *arguments: str) -> str:
    told = subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments], cwd=cwd, capture_output=True, text=True, timeout=50
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.mark.slow
def test_a_local_cluster_transcribes_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    if importlib.util.find_spec("distributed") is None:
        pytest.skip("needs the extra dev: dask[distributed] missing")
    first = run(tmp_path, "-o", "texts")
    written = sorted((tmp_path / "texts").glob("*.txt"))
    assert len(written) == first.count("done   ") == 6
    assert (tmp_path / "texts" / "hello.txt").read_text() == "Hello, can you hear me?\n"
    written[0].unlink()
    before = [path.stat().st_mtime_ns for path in written[1:]]
    run(tmp_path, "-o", "texts")
    assert written[0].is_file()
    assert [path.stat().st_mtime_ns for path in written[1:]] == before
