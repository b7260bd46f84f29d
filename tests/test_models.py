"""The table of models: its dates agree, and nothing that the library chooses by itself ends soon."""

from __future__ import annotations

import datetime
import re
import time
from pathlib import Path

import pytest

from realtime_sync.models import DATE, MODELS, ModelInfo, days_until, find_model

ROOT = Path(__file__).parents[1]
each_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def ends_soon(model: ModelInfo) -> bool:
    """Whether it ends within 90 days of the table's date, or had ended by then."""
    if model.ends is None:
        return False
    return datetime.date.fromisoformat(model.ends) - datetime.date.fromisoformat(DATE) <= datetime.timedelta(days=90)


@each_model
def test_a_model_that_ends_has_a_successor_that_stays(model: ModelInfo) -> None:
    assert (model.ends is None) == (model.successor is None)
    if model.ends is not None:
        datetime.date.fromisoformat(model.ends)
        successor = find_model(model.successor)
        assert successor is not None
        assert not ends_soon(successor)
        assert successor.kind == ("conversation" if model.kind == "preview" else model.kind)


@each_model
def test_every_model_of_the_table_has_a_price(model: ModelInfo) -> None:
    assert model.prices is not None


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("gpt-realtime-2.1", "gpt-realtime-2.1"),
        ("gpt-realtime-2025-08-28", "gpt-realtime"),
        ("gpt-realtime-mini-2025-10-06", "gpt-realtime-mini-2025-10-06"),
        ("gpt-realtime-mini-2025-12-15", "gpt-realtime-mini"),
        ("gpt-realtime-2.1-mini-2026-07-01", "gpt-realtime-2.1-mini"),
        ("gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-mini-transcribe"),
        ("gpt-live-1.1-2026-11-20", "gpt-live-1.1"),
        ("gpt-live-1", "gpt-live-1"),
        ("gpt-live-2", None),
        ("gpt-realtime-3", None),
        ("gpt-realtime-global-standard", None),
        ("", None),
        (None, None),
    ],
)
def test_a_dated_version_is_its_model_and_another_name_is_none(model: str, known: str) -> None:
    found = find_model(model)
    assert (found.name if found is not None else None) == known


def test_days_are_counted_on_the_calendar(monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.date.today()
    for days in (-400, -1, 0, 1, 89, 400):
        assert days_until((today + datetime.timedelta(days=days)).isoformat()) == days
    monkeypatch.setenv("TZ", "Europe/Berlin")  # clocks change between the two dates
    time.tzset()
    try:
        today = datetime.date.today()
        assert [days_until((today + datetime.timedelta(days=days)).isoformat()) for days in range(366)] == [*range(366)]
    finally:
        monkeypatch.undo()
        time.tzset()


# What is chosen for a caller, and what a reader copies: the package, the examples, README and the like.
PLACES = [
    *sorted((ROOT / "realtime_sync").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.js")),
    *sorted((ROOT / "examples").rglob("*.html")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
# But not where a name that ends is the subject:
SUBJECT = {
    "realtime_sync/models.py": "the table",
    "CHANGELOG.md": "what was, and what it became",
    "docs/guides/transcribe.md": "the one model that tells speakers apart, and when it ends",
    "realtime_sync/server/auth.py": "the preview dialect's own model, which that dialect's clients expect to be told",
}
NAMES = re.compile(
    r"(?<![\w.-])(?:gpt-[a-z0-9.-]*(?:realtime|live|transcribe|whisper)(?:[a-z0-9.-]*[a-z0-9])?|whisper-1)(?![\w-])"
)


@pytest.mark.parametrize(
    "place", [place for path in PLACES if (place := path.relative_to(ROOT).as_posix()) not in SUBJECT]
)
def test_no_default_and_no_example_names_a_model_that_ends_within_90_days_of_the_tables_date(place: str) -> None:
    lines = (ROOT / place).read_text(encoding="utf-8").splitlines()
    named = [(number, name) for number, line in enumerate(lines, 1) for name in NAMES.findall(line)]
    assert [(number, name) for number, name in named if (model := find_model(name)) and ends_soon(model)] == []


def test_the_scan_sees_names_in_code_in_urls_and_in_prose() -> None:
    text = 'client("gpt-realtime"), ?model=gpt-realtime-mini&x, `whisper-1`, gpt-4o-transcribe. gpt-realtime-2.1-mini'
    named = ["gpt-realtime", "gpt-realtime-mini", "whisper-1", "gpt-4o-transcribe", "gpt-realtime-2.1-mini"]
    assert NAMES.findall(text) == named
