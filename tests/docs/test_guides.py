"""The guides' tables name everything that they are about, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

import realtime_sync
from realtime_sync import dotnet, errors
from tests.docs.pages import ROOT

GUIDES = ROOT / "docs" / "guides"
FROM_DOTNET = GUIDES / "from-dotnet.md"


def first_cells(page: Path) -> list[str]:
    """The names in code of the first column of each table of a page."""
    rows = re.findall(r"^\| (`.*?) \|", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_each_error_has_a_line_that_says_what_to_do() -> None:
    told = [name for name in first_cells(GUIDES / "errors.md") if name.endswith("Error")]
    known = {name for name in errors.__all__ if issubclass(getattr(errors, name), errors.RealtimeSyncError)}
    assert sorted(told) == sorted(known - {"RealtimeSyncError"})


def test_each_name_of_the_dotnet_library_that_we_carry_has_its_line() -> None:
    told = first_cells(FROM_DOTNET)
    assert [name for name in dotnet.__all__ if told.count(name) != 1] == []


def test_what_stands_beside_a_name_of_the_dotnet_library_is_there() -> None:
    members = {
        "session": dir(realtime_sync.RealtimeConversationSession),
        "client": dir(realtime_sync.RealtimeConversationClient),
        "update": attrs.fields_dict(realtime_sync.ConversationUpdate),
    }
    tables = FROM_DOTNET.read_text(encoding="utf-8").partition("## Find a member: client")[2]
    cells = re.findall(r"^\| `.*? \| (.*) \|$", tables, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(\w+)(?:\.(\w+))?", cell)]
    assert len(names) > 80
    for holder, member in names:
        if member:
            assert member in members.get(holder, dir(getattr(realtime_sync, holder, None))), (holder, member)
        elif holder[0].isupper():
            assert hasattr(realtime_sync, holder), holder


def test_the_dotnet_names_stand_for_what_the_page_says() -> None:
    told = re.findall(r"`(\w+)` \| `(\w+)` \|$", FROM_DOTNET.read_text(encoding="utf-8"), re.MULTILINE)
    ours = {name: cls for name, cls in told if name in dotnet.__all__}
    assert ours == {name: getattr(dotnet, name).__name__ for name in ours}
    assert len(ours) > 35


def test_each_example_has_its_line() -> None:
    folder = ROOT / "examples"
    told = re.findall(r"`(\w+(?:\.py|\.ini|/))`", (folder / "README.md").read_text(encoding="utf-8"))
    here = [f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir() if path.name[0] not in "_."]
    assert sorted(told) == sorted(set(here) - {"README.md"})
