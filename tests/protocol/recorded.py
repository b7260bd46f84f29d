"""The lines that servers have sent: our own small fixtures, recorded sessions, and events gathered from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

from tests.harness import DATA

SESSIONS = DATA / "sessions"


def fixture_lines() -> list[str]:
    return [line for path in sorted((DATA / "made").glob("*.jsonl")) for line in _lines(path)]


def recorded_lines() -> list[str]:
    """What the servers said in the recorded sessions, and the events gathered from elsewhere."""
    frames = [json.loads(line) for path in sorted(SESSIONS.glob("*.jsonl")) for line in _lines(path)]
    said = [frame["raw"] for frame in frames if frame["dir"] == "s2c"]
    return said + _lines(DATA / "events.jsonl")


def all_lines() -> list[str]:
    return fixture_lines() + recorded_lines()


def _lines(path: Path) -> list[str]:
    # Not splitlines(): a JSON text may hold other line separators, such as U+2028.
    return [line for line in path.read_text("utf-8").split("\n") if line.strip()]
