"""The reference has every public name, and each method of a session."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import pytest

from realtime_sync import LiveSession, RealtimeConversationSession
from tests.docs.pages import ROOT

ROOMS = (
    "realtime_sync",
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


def _names() -> Iterator[str]:
    """What the pages of the reference describe, with its module."""
    for page in (ROOT / "docs/reference").glob("*.rst"):
        module = last = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.fullmatch(r"\.\. ([\w:]+):: (\S+)|   :members: (.+)", line)
            if found is None:
                continue
            directive, name, members = found.groups()
            if directive == "currentmodule":
                module = name
            elif members:
                yield from (f"{last}.{member}" for member in members.split(", "))
            elif directive.startswith(("auto", "py:")):
                last = name if name.startswith("realtime_sync.") else f"{module}.{name}"
                yield last


def _thing(name: str) -> object:
    """What has this name; an error if there is none."""
    room, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(room), last)
    except ModuleNotFoundError:  # a member of a class
        return getattr(_thing(room), last)
    except AttributeError:  # a module
        return importlib.import_module(name)


NAMES = set(_names())


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_stands_in_the_reference(room: str) -> None:
    described = [_thing(name) for name in NAMES]  # under this name or another one, as .NET's
    module = importlib.import_module(room)
    public = {name: getattr(module, name) for name in module.__all__ if not name.startswith("__")}
    assert [name for name, thing in public.items() if not any(thing is each for each in described)] == []


@pytest.mark.parametrize("session", [RealtimeConversationSession, LiveSession])
def test_every_method_of_a_session_stands_in_the_reference(session: type) -> None:
    methods = {name for name in dir(session) if not name.startswith("_")}
    path = f"realtime_sync.{session.__name__}."
    assert sorted(methods - {name.removeprefix(path) for name in NAMES}) == []
