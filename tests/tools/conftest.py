"""The house of the session's tests, with and without TLS, and a gate that tools wait at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.conftest import _no_thread_is_left, house, plain
from tests.tools.calling import Gate, tool_threads, wait_until

__all__ = ["_no_thread_is_left", "gate", "house", "plain"]


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()
    wait_until(lambda: not tool_threads())
