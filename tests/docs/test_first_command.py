"""README's first command prints what README shows, with the extra voice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

EXAMPLE = ROOT / "examples" / "console_from_file.py"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")
VARYING = (r"load now: [\d.]+ s", r"sess_\w+", r"Hear it .*")
"""How long the models take to load, the session's name, what plays sound on this machine."""


def alike(text: str) -> str:
    for varying in VARYING:
        text, count = re.subn(varying, "~", text)
        assert count == 1, varying
    return text


@pytest.mark.slow
def test_the_first_command_prints_what_the_readme_shows(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="needs the extra voice")
    shown = re.search(r"console_from_file.py\n```\n\n```text\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert shown is not None
    finished = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in VARIABLES},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert alike(finished.stdout) == alike(shown[1])
    assert (tmp_path / "answer.wav").stat().st_size > 240_000  # five seconds
