"""The code of the README and of docs/ runs as it stands, and its commands are understood."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import cli
from tests.docs.pages import NEEDS, PAGES, PATIENCE, ROOT, Block, blocks, python_blocks, run

pytestmark = pytest.mark.medium

LANGUAGES = {"python", "sh", "output", "text", "json", "ini", "html", "javascript", "nginx", "csharp", "yaml"}
"""A block of code that is none of Python's must not look like some."""

ALL = [block for page in PAGES for block in blocks(page)]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def place(block: Block) -> str:
    return f"{named(block.page)}:{block.line}"


def pages_with(*, slow: bool) -> list[Path]:
    return [page for page in PAGES if python_blocks(page, slow=slow)]


@pytest.mark.parametrize("page", pages_with(slow=False), ids=named)
def test_each_block_of_a_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    wrong = list(run(python_blocks(page, slow=False), tmp_path))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE + 20)
@pytest.mark.parametrize("page", pages_with(slow=True), ids=named)
def test_each_block_that_takes_its_time_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    if any("voice" in block.needs for block in python_blocks(page, slow=True)):
        pytest.importorskip("faster_whisper", reason="needs the extra voice")
    wrong = list(run(python_blocks(page, slow=True), tmp_path))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("block", ALL, ids=place)
def test_no_block_escapes_the_tests(block: Block) -> None:
    assert not block.indented, "a fence stands in the first column"
    assert block.language in LANGUAGES or block.language.startswith("{"), "the language of a block is one of LANGUAGES"
    assert not block.language.startswith("{code"), "a block of code is a plain fence"
    assert set(block.needs) <= NEEDS
    if block.continues or block.needs or block.output is not None:
        assert block.language == "python"


def commands() -> Iterator[Any]:
    """Each ``realtime-sync ...`` of the blocks of the shell."""
    for block in ALL:
        if block.language == "sh":
            for line in block.code.replace("\\\n", " ").splitlines():
                for words in _commands_of(line):
                    yield pytest.param(words, id=f"{named(block.page)}: {shlex.join(words)}")


def _commands_of(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("|&;<>"):
            command.append(word)
            continue
        names = [Path(part).name for part in command]
        if "realtime-sync" in names:
            yield command[names.index("realtime-sync") + 1 :]
        command = []


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_is_understood(words: list[str]) -> None:
    if "--help" in words:
        with pytest.raises(SystemExit, match=r"^0$"):
            cli.parser().parse_args(words)
    else:
        cli.parser().parse_args(words)
