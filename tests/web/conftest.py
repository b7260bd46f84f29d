"""The house of the session's tests, without TLS, and the web examples importable."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.core.conftest import _no_thread_is_left, plain

__all__ = ["_no_thread_is_left", "plain"]

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """An ``Opened``, of which all ends with the test."""
    from tests.web.opened import Opened, needs_chromium

    needs_chromium()
    with ExitStack() as stack:
        yield Opened(stack, tmp_path)
