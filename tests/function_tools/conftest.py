from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.function_tools.calling import Gate, tool_threads, wait_until


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()
    wait_until(lambda: not tool_threads())
