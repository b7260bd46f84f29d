"""The names of the package: what ``dir()`` shows is what people may use."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import realtime_sync


def test_each_public_name_exists() -> None:
    assert [name for name in realtime_sync.__all__ if not hasattr(realtime_sync, name)] == []


def test_no_public_name_is_listed_twice() -> None:
    assert len(set(realtime_sync.__all__)) == len(realtime_sync.__all__)


def test_dir_shows_the_public_names_and_no_module() -> None:
    shown = [name for name in dir(realtime_sync) if not name.startswith("__")]
    assert set(shown) == {name for name in realtime_sync.__all__ if not name.startswith("__")}
    assert [name for name in shown if isinstance(getattr(realtime_sync, name), ModuleType)] == []


def test_a_module_can_be_imported_though_dir_does_not_show_it() -> None:
    assert importlib.import_module("realtime_sync.timeline").text is not None
    assert realtime_sync.errors.RealtimeSyncError is realtime_sync.RealtimeSyncError


def test_the_errors_import_nothing_of_the_package_not_even_for_types() -> None:
    path = Path(realtime_sync.errors.__file__ or "")
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    assert [node.module for node in nodes if str(node.module).startswith("realtime_sync")] == []
