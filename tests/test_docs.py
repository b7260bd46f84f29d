"""What ``help()`` shows: a settings class names each of its fields, because nothing else does."""

from __future__ import annotations

import inspect
import re

import attrs
import pytest

import realtime_sync
from realtime_sync.protocol import options, resources

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


def described(cls: type[object]) -> str:
    """The docstrings of a class and of the classes that it inherits fields from."""
    return "\n".join(inspect.cleandoc(base.__doc__ or "") for base in cls.__mro__ if attrs.has(base))


def settings() -> list[type[object]]:
    found = [getattr(realtime_sync, name) for name in sorted(SETTINGS)]
    of_the_wire = [getattr(module, name) for module in (options, resources) for name in module.__all__]
    return found + [cls for cls in of_the_wire if isinstance(cls, type) and attrs.has(cls)]


@pytest.mark.parametrize("cls", settings(), ids=lambda cls: cls.__name__)
def test_the_docstring_of_a_settings_class_names_each_field(cls: type[object]) -> None:
    names = [field.name for field in attrs.fields(cls) if not field.name.startswith("_")]
    text = described(cls)
    assert names
    assert [name for name in names if not re.search(rf"^ +{name}: \S", text, re.MULTILINE)] == []


def test_no_field_is_described_where_help_does_not_show_it() -> None:
    for cls in settings():
        assert not re.search(r'^    \w+: .*\n    """', inspect.getsource(cls), re.MULTILINE), cls.__name__
