"""Services that go down and come back while sessions talk: whatever happens, both sides know the same."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from realtime_sync import ConnectionReplacedError, ErrorUpdate, Reconnect, SessionReconnectedUpdate
from realtime_sync.server import Faults, faults
from tests.core.harness import Running, until
from tests.fallback.harness import DOWN, TEXT, Town, texts

NAMES = ("openai", "azure", "preview")
PATIENT = Reconnect(base_delay=0.01, max_delay=0.1, give_up_after=60, renew_before=None)


def talk(session: Any, name: str, ends: float) -> int:
    """Ask until the time is up; returns how many answers were cut off."""
    number = cut_off = 0
    while time.monotonic() < ends or number < 5:
        number += 1
        try:
            answer = session.ask(f"{name} {number}", timeout=60)
        except ConnectionReplacedError:
            cut_off += 1
        else:
            assert answer.text == f"You said: {name} {number}"
    return cut_off


def wreck(town: Town, over: threading.Event, seed: int) -> None:
    """Take one service after the other down, and bring it back."""
    dice = random.Random(seed)
    while not over.wait(dice.uniform(0.01, 0.15)):
        server = town.servers[dice.choice(NAMES)]
        server.faults = dice.choice([DOWN, Faults(), Faults(acts=[faults.drop(after_received=dice.randint(1, 12))])])
        if dice.random() < 0.7:
            server.inject(faults.drop())
    for server in town.servers.values():
        server.faults = Faults()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_sessions_that_are_driven_from_service_to_service_know_what_the_services_know(town: Town) -> None:
    client = town.combined(*NAMES, failures=2, grace=0.2, max_grace=1.0)
    sessions = [town.session(client, TEXT, reconnect=PATIENT) for _ in range(4)]
    streams = [session.subscribe() for session in sessions]
    over = threading.Event()
    wrecking = Running(lambda: wreck(town, over, seed=1))
    ends = time.monotonic() + 8
    talks = [Running(lambda session=each, name=str(n): talk(session, name, ends)) for n, each in enumerate(sessions)]
    try:
        until(lambda: not any(each.alive for each in talks), 80)
    finally:
        over.set()
    wrecking.result()
    for each in talks:
        each.result()
    moves = 0
    for session, stream in zip(sessions, streams, strict=True):
        last = session.ask("the last", timeout=30)
        assert last.text == "You said: the last"
        ours = [part.text or "" for item in session.conversation.items for part in item.content]
        lives = [live for server in town.servers.values() for live in server.sessions if live.id == session.id]
        assert texts(lives[0]) == ours
        session.close()
        seen = list(stream)
        assert [update for update in seen if isinstance(update, ErrorUpdate)] == []
        moves += sum(update.moved for update in seen if isinstance(update, SessionReconnectedUpdate))
    assert moves > 10
