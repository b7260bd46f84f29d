"""Hooks that hang, Ctrl-C in a start, and the end of a process: each session that began has one end, in time."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Optional

import pytest

from realtime_sync import NotFoundError, hooks, open_sessions, starting, threads
from realtime_sync.core import engine, observation
from realtime_sync.hooks import ConnectEnded, HookEvent, SessionBegins, SessionEnded, set_hooks
from realtime_sync.server import Faults, Refusal
from tests.core.harness import House, until, within
from tests.core.test_processes import start
from tests.ctrl_c import Interrupt
from tests.hooks.test_hooks import Kept

pytestmark = pytest.mark.medium


class Hanging:
    """A hook that hangs at each event of a kind until it is let go."""

    def __init__(self, kind: type[HookEvent]) -> None:
        self.kind = kind
        self.hangs, self.go = threading.Event(), threading.Event()

    def __call__(self, event: HookEvent) -> None:
        if isinstance(event, self.kind):
            self.hangs.set()
            self.go.wait(20)


def hanging(kind: type[HookEvent]) -> Hanging:
    hook = Hanging(kind)
    set_hooks([hook])
    return hook


def test_a_start_that_fails_waits_for_a_hook_that_hangs_only_so_long(
    plain: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observation, "HOOK_SECONDS", 0.2)
    plain.serve(faults=Faults(refuse=Refusal(404)))
    hook = hanging(ConnectEnded)
    try:
        with within(3), pytest.raises(NotFoundError):
            plain.open()
        assert hook.hangs.is_set()
    finally:
        hook.go.set()
    until(lambda: not observation._alive)


def test_a_client_with_many_sessions_waits_for_a_hook_that_hangs_as_long_as_with_one(plain: House) -> None:
    plain.serve()
    hook = hanging(SessionEnded)
    client = plain.client()
    for _ in range(8):
        client.start_conversation_session()
    try:
        with within(observation.HOOK_SECONDS + 1.5):
            client.close()
    finally:
        hook.go.set()


def test_a_hook_that_closes_its_session_is_not_said_to_hang(
    plain: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(observation, "HOOK_SECONDS", 0.05)
    plain.serve()
    opened, ended = threading.Event(), threading.Event()

    def hang_up(event: HookEvent) -> None:
        if isinstance(event, ConnectEnded):
            assert opened.wait(10)
            session.close()
            assert session.closed
        elif isinstance(event, SessionEnded):
            ended.set()

    set_hooks([hang_up])
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        session = plain.open()
        opened.set()
        assert ended.wait(10)
        session.close()
    assert not caplog.records


class Around:
    """A hook that gives a context manager, and knows whether it is inside of it."""

    def __init__(self) -> None:
        self.inside = False

    def __call__(self, event: HookEvent) -> Optional[Around]:
        return self if isinstance(event, SessionBegins) else None

    def __enter__(self) -> None:
        self.inside = True

    def __exit__(self, *exc_info: object) -> None:
        self.inside = False


class InterruptOfAStart(Interrupt):
    """Only in the modules that a start and its observation are made of."""

    _files = frozenset(each.__file__ for each in (engine, hooks, observation, open_sessions, starting, threads))

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if frame.f_code.co_filename in self._files:
            super()._see(frame, event, argument)


def test_ctrl_c_anywhere_in_a_start_leaves_no_session_without_its_one_end(plain: House) -> None:
    plain.serve(record=False)
    plain.client().start_conversation_session().close()  # what is made once is made now
    kept, around = Kept(), Around()
    set_hooks([kept, around])
    for number in itertools.count():
        with plain.client() as client, suppress(KeyboardInterrupt), InterruptOfAStart(number) as interrupt:
            client.start_conversation_session()
        until(lambda: not observation._alive)
        told = Counter(kept.kinds)
        assert told["SessionBegins"] <= told["SessionEnded"] <= 1, interrupt.place
        assert not kept.events or isinstance(kept.events[-1], SessionEnded), interrupt.place
        assert not around.inside, interrupt.place
        kept.events.clear()
        kept.threads.clear()
        if interrupt.place is None:
            return


STARTING = """
import socket, time
from realtime_sync import OpenAIClient
from realtime_sync.hooks import set_hooks
set_hooks([lambda event: print(type(event).__name__, flush=True)])
deaf = socket.create_server(("127.0.0.1", 0))
silent = OpenAIClient("any-key", endpoint=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
silent = silent.get_realtime_conversation_client("gpt-realtime-2.1")
threading.Thread(target=silent.start_conversation_session, daemon=True).start()
accepted = deaf.accept()
sys.exit(0)
"""


def test_a_process_ends_though_a_session_is_being_started(plain: House, tmp_path: Path) -> None:
    plain.serve()
    process = start(plain, tmp_path, STARTING)
    with within(5):
        printed, _ = process.communicate(timeout=20)
    assert printed.split() == ["SessionBegins", "SessionEnded"]
