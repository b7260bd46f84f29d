"""``realtime-sync completion``, in the shells themselves: what the tabulator key makes of a line."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Union

import pytest

from realtime_sync.cli import main
from tests.cli.pseudo_terminal import PseudoTerminal

Captured = pytest.CaptureFixture[str]

# How each begins without the user's settings, and reads the completions as the help says.
_SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(cat completions)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(cat completions)"'),
    "fish": (["fish", "--no-config", "-i"], "cat completions | source"),
}
_COMPLETED: list[tuple[str, Union[str, re.Pattern[str]]]] = [
    ("tim\t", "<timeline>"),
    ("timeline rec\t", "<timeline recording one.jsonl>"),
    ("timeline --pic\tx.png rec\t", "<timeline --picture x.png recording one.jsonl>"),
    ("chat --resume rec\t", "<chat --resume recording one.jsonl>"),
    ("transcribe --format sr\t", "<transcribe --format srt>"),
    ("transcribe -o te\t", re.compile("<transcribe -o texts/?>")),  # zsh takes the slash away again
    ("completion z\t", "<completion zsh>"),
]


@pytest.mark.parametrize("shell", _SHELLS)
def test_a_shell_completes_commands_options_values_and_files(
    shell: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("shtab", reason="needs the extra completion")
    program, read = _SHELLS[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    monkeypatch.chdir(tmp_path)
    assert main(["completion", shell]) == 0
    Path("completions").write_text(capsys.readouterr().out)
    Path("recording one.jsonl").touch()
    Path("texts").mkdir()
    Path("bin").mkdir()
    Path("bin/realtime-sync").write_text('#!/bin/sh\necho "<$*>"\n')  # shows what it is called with
    Path("bin/realtime-sync").chmod(0o755)
    environment = {"PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path), "PS1": "$ "}
    with PseudoTerminal(program=program, **environment) as terminal:
        terminal.type(f"{read}; echo re''ady\n")
        terminal.expect("ready")
        for typed, completed in _COMPLETED:
            terminal.type(f"realtime-sync {typed}\n")
            terminal.expect(completed)


def test_without_the_package_it_says_what_to_install(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    told = "Completion needs the package shtab: pip install 'realtime-sync[completion]'"
    assert capsys.readouterr().err == f"realtime-sync: error: {told}\n"
