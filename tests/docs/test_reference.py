"""The reference has every public name, and each method of a session."""

from __future__ import annotations

import importlib
import re

import pytest

import realtime_sync
from realtime_sync import RealtimeConversationSession
from tests.docs.pages import ROOT

ROOMS = (
    "realtime_sync.audio",
    "realtime_sync.conversation",
    "realtime_sync.recording",
    "realtime_sync.server",
    "realtime_sync.server.speech",
    "realtime_sync.testing",
    "realtime_sync.timeline",
    "realtime_sync.tools",
    "realtime_sync.transcribing",
    "realtime_sync.voice",
)


def _described() -> set[str]:
    """The names that the pages of the reference describe, with their modules."""
    names: set[str] = set()
    for page in (ROOT / "docs/reference").glob("*.rst"):
        module = ""
        for directive, name in re.findall(r"^\.\. ([\w:]+):: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            if directive == "currentmodule":
                module = name
            elif directive.startswith(("auto", "py:")):
                names.add(name if name.startswith("realtime_sync.") else f"{module}.{name}")
    return names


DESCRIBED = _described()


def test_every_public_name_stands_in_the_reference() -> None:
    another_name = {"ConversationSessionStartedUpdate"}  # .NET's, for SessionCreatedUpdate
    names = {name for name in realtime_sync.__all__ if not name.startswith("__")} - another_name
    assert sorted(names - {name.removeprefix("realtime_sync.") for name in DESCRIBED}) == []


def is_described(room: str, name: str) -> bool:
    """Under this name, in this room or in another one that has the very same thing."""
    thing = getattr(importlib.import_module(room), name)
    homes = [home for home in ("realtime_sync", *ROOMS) if f"{home}.{name}" in DESCRIBED]
    return any(getattr(importlib.import_module(home), name, None) is thing for home in homes)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_stands_in_the_reference(room: str) -> None:
    assert [name for name in importlib.import_module(room).__all__ if not is_described(room, name)] == []


def test_every_method_of_a_session_stands_in_the_reference() -> None:
    methods = {name for name in dir(RealtimeConversationSession) if not name.startswith("_")}
    path = "realtime_sync.RealtimeConversationSession."
    assert sorted(methods - {name.removeprefix(path) for name in DESCRIBED}) == []


def test_the_reference_describes_nothing_that_is_not_there() -> None:
    for name in DESCRIBED:
        room, _, last = name.rpartition(".")
        try:
            thing = importlib.import_module(room)
        except ModuleNotFoundError:  # a member of a class
            above, _, owner = room.rpartition(".")
            thing = getattr(importlib.import_module(above), owner)
        assert hasattr(thing, last) or name == "realtime_sync.testing.plugin", name
