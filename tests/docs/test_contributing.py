"""The test that CONTRIBUTING shows passes as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT, blocks


def test_the_test_that_contributing_shows_passes_as_it_stands(tmp_path: Path) -> None:
    (block,) = (block for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python")
    (tmp_path / "test_block.py").write_text(block.code, encoding="utf-8")
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
