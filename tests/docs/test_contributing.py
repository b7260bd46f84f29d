"""The code of the README runs as it stands, block by block, and so does the test that CONTRIBUTING shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.server import RealtimeServer

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_readme_has_code() -> None:
    assert len(BLOCKS) >= 5


def _slow_where_it_hears(number: int) -> Any:
    """Loading the models of the extra voice takes seconds."""
    return pytest.param(number, marks=pytest.mark.slow) if "server.speech" in BLOCKS[number] else number


def _how(block: str, folder: Path) -> list[str]:
    """The arguments of Python; a test is one for pytest, with the fixtures of the package."""
    if "def test_" not in block:
        return ["-c", block]
    (folder / "test_block.py").write_text(block, encoding="utf-8")
    return ["-m", "pytest", "-p", "realtime_sync.testing.plugin", "-p", "no:cacheprovider", "test_block.py"]


@pytest.mark.parametrize("block", [_slow_where_it_hears(number) for number in range(len(BLOCKS))])
def test_a_block_of_the_readme_runs_as_it_stands(block: int, tmp_path: Path) -> None:
    if "server.speech" in BLOCKS[block]:
        pytest.importorskip("faster_whisper", reason="needs the extra voice")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with RealtimeServer() as server:
        finished = subprocess.run(
            [sys.executable, "-W", "error", *_how(BLOCKS[block], tmp_path)],
            cwd=tmp_path,
            env={**os.environ, "OPENAI_BASE_URL": server.url, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""


def test_the_test_that_contributing_shows_passes_as_it_stands(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_block.py").write_text(block, encoding="utf-8")
    plugins = ["-p", "tests.conftest", "-p", "tests.core.conftest", "-p", "no:cacheprovider"]
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *plugins, "test_block.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "2 passed" in finished.stdout  # with TLS and without
