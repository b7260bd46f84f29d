"""The guides' tables name everything that they are about."""

from __future__ import annotations

import re
from pathlib import Path

from realtime_sync import dotnet, errors
from tests.docs.pages import ROOT

GUIDES = ROOT / "docs" / "guides"


def first_cells(page: Path) -> list[str]:
    """The names in code of the first column of each table of a page."""
    rows = re.findall(r"^\| (`.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_each_error_has_a_line_that_says_what_to_do() -> None:
    told = [name for name in first_cells(GUIDES / "errors.md") if name.endswith("Error")]
    known = {name for name in errors.__all__ if issubclass(getattr(errors, name), errors.RealtimeSyncError)}
    assert sorted(told) == sorted(known - {"RealtimeSyncError"})
