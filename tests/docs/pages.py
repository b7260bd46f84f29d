"""The README and the pages of docs/: their blocks of code, found and run as they stand.

Each page's blocks run in one process (``blocks.py``) beside an embedded server, each in a namespace and, together, in
an empty folder with ``examples/``. A comment before a fence, with nothing between, says what a block wants:

    <!-- continues -->               it goes on where the block before ended, with its names
    <!-- needs: meeting.mp3 -->      a file or a setting of ``NEEDS``; ``voice`` and ``time`` make it a slow test

A block ``output`` behind it is what it prints; ``...`` in it stands for anything.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable

import attrs

from realtime_sync.server import RealtimeServer
from realtime_sync.server.speech import recorded_speech

ROOT = Path(__file__).parents[2]
PATIENCE = 100.0  # seconds; that of pytest is shorter, but for pages that are slow
_QUESTION = ROOT / "examples/audio/what_is_the_tallest_tree.wav"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\S*)[^\n]*\n(?P<code>.*?)^(?P=indent)(?P=fence)\s*$", re.M | re.S
)
_COMMENT = re.compile(r"<!-- (?:(continues)|needs: (.+?)) -->\n\Z")


@attrs.frozen
class Block:
    """A block of code: the line of the page at which it begins, and what the page says about it."""

    page: Path
    line: int
    indented: bool
    language: str
    code: str
    continues: bool = False
    needs: tuple[str, ...] = ()
    output: str | None = None

    @property
    def slow(self) -> bool:
        """Loading the models of the extra voice takes seconds, and so does what lasts as long as people speak."""
        return not {"voice", "time"}.isdisjoint(self.needs)

    @property
    def is_test(self) -> bool:
        """It is to be run by pytest."""
        return self.language == "python" and "\ndef test_" in f"\n{self.code}"


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text, found = page.read_text(encoding="utf-8"), []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        if match["language"] == "output" and found:
            found[-1] = attrs.evolve(found[-1], output=match["code"])
            continue
        comment = _COMMENT.search(before)
        found.append(
            Block(
                page=page,
                line=before.count("\n") + 2,
                indented=bool(match["indent"]),
                language=match["language"],
                code=match["code"],
                continues=bool(comment and comment[1]),
                needs=tuple((comment[2] or "").split(", ")) if comment and comment[2] else (),
            )
        )
    return found


def python_blocks(page: Path, *, slow: bool) -> list[Block]:
    """The quick blocks of Python, or the slow ones."""
    return [block for block in blocks(page) if block.language == "python" and block.slow == slow]


# What blocks need ----------------------------------------------------------------------------------------------------


def _meeting(folder: Path) -> None:
    import soundfile

    samples, rate = soundfile.read(_QUESTION)
    soundfile.write(folder / "meeting.mp3", samples, rate)


def _picture(folder: Path) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    (folder / "picture.png").write_bytes(base64.b64decode(pixel))


def _session(folder: Path) -> None:
    from realtime_sync import OpenAIClient

    with RealtimeServer(speech=recorded_speech()) as server:
        client = OpenAIClient("any-key", endpoint=server.url).get_realtime_conversation_client("gpt-realtime-2.1")
        with client.start_conversation_session(recording=folder / "session.jsonl") as session:
            session.ask(_QUESTION)


FILES: Mapping[str, Callable[[Path], None]] = {
    "meeting.mp3": _meeting,
    "picture.png": _picture,
    "session.jsonl": _session,
}


def environment(need: str, server: RealtimeServer) -> dict[str, str]:
    """The variables that a block needs beside ``OPENAI_BASE_URL``."""
    if need != "azure":
        return {}
    return {
        "AZURE_OPENAI_ENDPOINT": server.azure_endpoint,
        "AZURE_OPENAI_API_KEY": "any-key",
        "AZURE_OPENAI_DEPLOYMENT": "gpt-realtime-2.1",
    }


NEEDS = {*FILES, "azure", "time", "voice"}


# Running them --------------------------------------------------------------------------------------------------------


def run(chosen: list[Block], folder: Path) -> Iterator[str]:
    """Run blocks of one page in this folder, and tell what is wrong with them."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for name in {need for block in chosen for need in block.needs} & FILES.keys():
        FILES[name](folder)
    with RealtimeServer(speech=recorded_speech()) as server:  # as `realtime-sync serve`
        tests = [block for block in chosen if block.is_test]
        plain = [block for block in chosen if not block.is_test]
        if plain:
            yield from _in_one_process(plain, server, folder)
        if tests:
            yield from _by_pytest(tests, server, folder)


def _in_one_process(chosen: list[Block], server: RealtimeServer, folder: Path) -> Iterator[str]:
    plan = [
        {
            "page": str(block.page),
            "line": block.line,
            "code": block.code,
            "continues": block.continues,
            "environment": {name: value for need in block.needs for name, value in environment(need, server).items()},
        }
        for block in chosen
    ]
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    finished = _python([str(Path(__file__).with_name("blocks.py")), "plan.json", "told.json"], server, folder)
    told = folder / "told.json"
    if finished.returncode or not told.exists():
        yield f"the process of the page ended with {finished.returncode}\n{finished.stdout}{finished.stderr}"
        return
    for block, (printed, error) in zip(chosen, json.loads(told.read_text(encoding="utf-8")), strict=True):
        if error:
            yield f"{_place(block)}\n{printed}{error}"
        elif block.output is not None and not _alike(block.output, printed):
            yield f"{_place(block)} prints\n{printed}instead of\n{block.output}"
    if finished.stderr:
        yield f"on the standard error:\n{finished.stderr}"


def _by_pytest(chosen: list[Block], server: RealtimeServer, folder: Path) -> Iterator[str]:
    """All in one process; each block is a file, named by its line."""
    files = [folder / f"test_line_{block.line}.py" for block in chosen]
    for file, block in zip(files, chosen, strict=True):
        file.write_text(block.code, encoding="utf-8")
    plugins = ["-p", "realtime_sync.testing.plugin", "-p", "no:cacheprovider"]
    finished = _python(["-m", "pytest", *plugins, *(file.name for file in files)], server, folder)
    if finished.returncode:
        yield f"{chosen[0].page.relative_to(ROOT)}\n{finished.stdout}{finished.stderr}"


def _python(arguments: list[str], server: RealtimeServer, folder: Path) -> subprocess.CompletedProcess[str]:
    settings = {
        "OPENAI_BASE_URL": server.url,
        "OPENAI_API_KEY": "any-key",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _place(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}, line {block.line}"


def _alike(expected: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.rstrip().split("..."))
    return re.fullmatch(pattern, printed.rstrip(), re.DOTALL) is not None
