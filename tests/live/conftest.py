"""The house of GPT-Live's tests, with and without TLS; no thread of a session may outlive its test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.live.harness import LiveHouse, client_threads, until


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads())


@pytest.fixture(autouse=True)
def _quick_goodbyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin says goodbye at once, and not 0.7 s later as the service does: each test waits for that."""
    monkeypatch.setattr("realtime_sync.server.live.session._UNTIL_INCOMPLETE", 0.02)
    monkeypatch.setattr("realtime_sync.server.live.session._UNTIL_CLOSED", 0.03)


@pytest.fixture(params=["ws", "wss"])
def house(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[LiveHouse]:
    with ExitStack() as stack:
        yield LiveHouse(request.param, ca, stack)


@pytest.fixture(params=["ws", pytest.param("wss", marks=pytest.mark.slow)])
def patient(request: pytest.FixtureRequest, ca: trustme.CA) -> Iterator[LiveHouse]:
    """``house``, for what takes seconds: with TLS it is a slow test."""
    with ExitStack() as stack:
        yield LiveHouse(request.param, ca, stack)


@pytest.fixture
def plain(ca: trustme.CA) -> Iterator[LiveHouse]:
    """For what does not depend on TLS."""
    with ExitStack() as stack:
        yield LiveHouse("ws", ca, stack)
