"""Servers for the commands to talk to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Callable, Union

import pytest

from realtime_sync.server import RealtimeServer, Reply, Turn

LONG = " ".join(f"word{number}" for number in range(2000))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealtimeServer]:
    """A server that the environment tells of; it says what it is asked, slowly where it is asked to."""
    with RealtimeServer(responder=_answer, api_keys=["a-good-key"]) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-good-key")
        yield running


def _answer(turn: Turn) -> Reply:
    text = turn.text_of(turn.last) if turn.last is not None else ""
    if text.startswith("slowly"):
        return Reply(LONG, delta_delay=0.05)
    return Reply(f"You said: {text}")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Turn], Union[str, Reply]]], None]]:
    """Starts a server with this responder, for the environment to tell of."""
    opened: list[RealtimeServer] = []

    def serve(responder: Callable[[Turn], Union[str, Reply]]) -> None:
        opened.append(RealtimeServer(responder=responder))
        monkeypatch.setenv("OPENAI_BASE_URL", opened[-1].url)

    yield serve
    for running in opened:
        running.close()


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """The commands take SIGTERM for themselves, which a process of its own would."""
    import signal

    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
