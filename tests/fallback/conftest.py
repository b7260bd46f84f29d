"""Towns with and without TLS; no thread of a session may outlive its test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.core.conftest import _no_thread_is_left
from tests.fallback.harness import Town

__all__ = ["_no_thread_is_left", "plain", "town"]


@pytest.fixture(params=["ws", "wss"])
def town(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(request.param, ca, stack)


@pytest.fixture
def plain(ca: trustme.CA) -> Iterator[Town]:
    """For what does not depend on TLS."""
    with ExitStack() as stack:
        yield Town("ws", ca, stack)
