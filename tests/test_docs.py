"""What ``help()`` shows: a settings class names each of its fields, with its unit, its default and what None means."""

from __future__ import annotations

import enum
import inspect
import pydoc
import re
from typing import Any

import attrs
import pytest

import realtime_sync
from realtime_sync.protocol import options, resources
from realtime_sync.protocol.registry import UNSET, Options

SETTINGS = {
    "ConnectRetries",
    "ConnectionSettings",
    "Endpoint",
    "ModelInfo",
    "ModelPrices",
    "Prices",
    "QueueLimits",
    "Reconnect",
    "Timeouts",
}
UNITS = re.compile(r"seconds|milliseconds|bytes|tokens|attempts|\(Hz\)|USD|\d to \d|strength", re.IGNORECASE)
LARGE = {8 * 2**20: "8 MiB", 64 * 2**20: "64 MiB", 128 * 2**20: "128 MiB", 256 * 2**20: "256 MiB"}
NEAR_THE_TOP = 60  # lines


def described(cls: type[object]) -> str:
    """The docstrings of a class and of the classes that it inherits fields from."""
    return "\n".join(inspect.cleandoc(base.__doc__ or "") for base in cls.__mro__ if attrs.has(base))


def entries(cls: type[object]) -> dict[str, str]:
    """What is said of each field, on one line."""
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", described(cls), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in reversed(found)}


def given() -> list[type[object]]:
    """The classes that a caller makes."""
    of_the_wire = [cls for cls in of_module(options) if issubclass(cls, Options)]
    return [getattr(realtime_sync, name) for name in sorted(SETTINGS)] + of_the_wire


def of_module(module: Any) -> list[type[object]]:
    classes = [getattr(module, name) for name in module.__all__]
    return [cls for cls in classes if isinstance(cls, type) and attrs.has(cls)]


def fields(cls: type[object]) -> list[Any]:
    return [field for field in attrs.fields(cls) if not field.name.startswith("_")]  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [*given(), *of_module(resources)], ids=lambda cls: cls.__name__)
def test_the_docstring_of_a_settings_class_names_each_field(cls: type[object]) -> None:
    assert fields(cls)
    assert [field.name for field in fields(cls) if field.name not in entries(cls)] == []


@pytest.mark.parametrize("cls", given(), ids=lambda cls: cls.__name__)
def test_a_number_is_told_with_its_unit(cls: type[object]) -> None:
    numbers = [field.name for field in fields(cls) if re.search(r"\b(int|float|MaxOutputTokens)\b", str(field.type))]
    head = described(cls).partition("\nAttributes:")[0]
    of_all = "in USD for a million tokens" in head
    assert [name for name in numbers if not of_all and not UNITS.search(entries(cls)[name])] == []


@pytest.mark.parametrize("cls", given(), ids=lambda cls: cls.__name__)
def test_a_default_is_told(cls: type[object]) -> None:
    head = described(cls).partition("\nAttributes:")[0]
    untold = []
    for field in fields(cls):
        told = entries(cls)[field.name]
        if field.default is attrs.NOTHING or field.name in ("type", "extra"):
            continue
        if field.default is UNSET:
            known = "UNSET" in told or "UNSET by default" in head or "UNSET (the default)" in head
        elif field.default is None:
            known = "None" in told or "None (the default everywhere)" in head
        else:
            known = shown(field.default) in told
        if not known:
            untold.append((field.name, field.default))
    assert untold == []


@pytest.mark.parametrize("cls", given(), ids=lambda cls: cls.__name__)
def test_what_none_means_is_told_where_it_may_be_given(cls: type[object]) -> None:
    text = described(cls)
    may_be_none = [field for field in fields(cls) if "Optional" in str(field.type)]
    everywhere = "None (the default everywhere)" in text
    assert [field.name for field in may_be_none if not everywhere and "None" not in entries(cls)[field.name]] == []


def shown(default: Any) -> str:
    """A default as people write it."""
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return "by default" if default.factory is dict else f"{default.factory.__name__}()"
    if isinstance(default, str):
        return f'"{default}"'
    return LARGE.get(default, f"(default: {default})") if not isinstance(default, bool) else str(default)


@pytest.mark.parametrize("cls", given(), ids=lambda cls: cls.__name__)
def test_help_shows_the_fields_before_what_is_generated(cls: type[object]) -> None:
    lines = pydoc.plain(pydoc.render_doc(cls)).splitlines()
    own = [name for name in entries(cls) if re.search(rf"^ +{name}: \S", inspect.getdoc(cls) or "", re.MULTILINE)]
    places = [[at for at, line in enumerate(lines) if re.match(rf" \|  +{name}: \S", line)] for name in own]
    last = max(each[0] for each in places)
    assert last < NEAR_THE_TOP
    assert not any("__init__" in line or "Method resolution order" in line for line in lines[:last])


def test_no_field_is_described_where_help_does_not_show_it() -> None:
    for cls in [*given(), *of_module(resources)]:
        assert not re.search(r'^    \w+: .*\n    """', inspect.getsource(cls), re.MULTILINE), cls.__name__


@pytest.mark.parametrize(
    "thing",
    [
        realtime_sync,
        realtime_sync.RealtimeConversationClient.start_conversation_session,
        realtime_sync.RealtimeConversationSession.ask,
        realtime_sync.ConversationSessionOptions,
        realtime_sync.ConversationResponseOptions,
        realtime_sync.say,
    ],
    ids=lambda thing: getattr(thing, "__name__", "?"),
)
def test_help_tells_how_the_voice_is_chosen(thing: Any) -> None:
    assert re.search(r"voice(=|: )", inspect.getdoc(thing) or "")
