"""What the command line says about itself."""

from __future__ import annotations

import platform
import re

import pytest

from realtime_sync.cli import main
from realtime_sync.version import __version__

Captured = pytest.CaptureFixture[str]


def helped(capsys: Captured, *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_without_a_command_it_is_the_help_that_is_shown(capsys: Captured) -> None:
    asked_for = helped(capsys)
    assert re.search(r"^    transcribe +Write down", asked_for, re.MULTILINE)  # on one line, as each command
    for arguments in ([], ["--debug"]):
        assert main(arguments) == 0
        assert capsys.readouterr() == (asked_for, "")


def test_an_option_without_a_command_is_refused(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--nosuch"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith("realtime-sync: error: unrecognized arguments: --nosuch\n")


def test_the_version_is_one_line(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"realtime_sync {__version__} (Python {platform.python_version()})\n"


def test_in_a_narrow_terminal_sentences_are_filled_and_commands_can_be_copied(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "62")
    told = helped(capsys, "talk")
    sentences, examples = told.partition("examples:")[::2]
    assert max(map(len, sentences.splitlines())) <= 62
    assert "\n  # ends after the answer\n  realtime-sync talk --input question.wav --output answer.wav\n" in examples
    monkeypatch.setenv("COLUMNS", "100")
    assert "--output answer.wav   # ends after the answer\n" in helped(capsys, "talk")


def test_an_option_that_is_spelled_wrong_is_told_with_the_nearest_of_its_command(capsys: Captured) -> None:
    for typed, told in (
        ("--modle=x", "unrecognized arguments: --modle=x (did you mean --model?)\n"),
        ("--zzz", "unrecognized arguments: --zzz\n"),
    ):
        with pytest.raises(SystemExit):
            main(["chat", typed, "Hello"])
        assert capsys.readouterr().err.endswith(told)
