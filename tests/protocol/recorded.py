"""The lines that other servers have sent: our own small fixtures, and the recordings beside a checkout if any."""

from __future__ import annotations

import json
from pathlib import Path

_FIXTURES = Path(__file__).parent / "fixtures"
RECORDED = Path(__file__).parents[3] / "shared" / "recorded"


def fixture_lines() -> list[str]:
    return _lines_below(_FIXTURES)


def recorded_lines() -> list[str]:
    """What the servers said in the recorded sessions, and the events gathered from elsewhere; empty where absent."""
    frames = [json.loads(line) for line in _lines_below(RECORDED / "sessions")]
    said = [frame["raw"] for frame in frames if frame["dir"] == "s2c"]
    return said + _lines_below(RECORDED / "events")


def all_lines() -> list[str]:
    return fixture_lines() + recorded_lines()


def _lines_below(folder: Path) -> list[str]:
    # Not splitlines(): a JSON text may hold other line separators, such as U+2028.
    texts = [path.read_text("utf-8") for path in sorted(folder.glob("*.jsonl"))]
    return [line for text in texts for line in text.split("\n") if line.strip()]
