"""Ctrl-C at each place at which Python may raise it leaves nothing half done. ``tests/ctrl_c.py`` finds the places."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable

import pytest

from realtime_sync import AudioSend
from realtime_sync.deadline import Deadline
from realtime_sync.interrupts import Change, Flag, start
from tests.core.harness import House, Running, until
from tests.ctrl_c import Interrupt

ROOT = Path(__file__).parents[2]
AUDIO = bytes(48 * 1000)


def at_every_place(call: Callable[[], object], check: Callable[[], object]) -> int:
    """Call again and again, with an interrupt one place later each time, until it comes to its end; how often."""
    number = 0
    while True:
        interrupt = Interrupt(number)
        try:
            with interrupt:
                call()
        except KeyboardInterrupt:
            pass
        check()
        if interrupt.place is None:
            return number
        number += 1


def test_an_interrupted_wait_leaves_nothing_and_takes_nothing_from_others() -> None:
    flag = Flag()
    other = Running(lambda: flag.wait(10))
    until(lambda: len(flag._waiting) == 1)
    assert at_every_place(lambda: flag.wait(0.001), lambda: until(lambda: len(flag._waiting) == 1)) > 5
    flag.set()
    assert other.result(1)
    assert not flag._waiting


def test_an_interrupted_telling_tells_all_or_can_be_told_again() -> None:
    told = Change()
    seen = 0

    def waits() -> None:
        told.wait_for(lambda: seen == 100, Deadline(10))

    waiting = [Running(waits) for _ in range(3)]
    until(lambda: len(told._waiting) == 3)
    assert at_every_place(told.tell, lambda: until(lambda: len(told._waiting) == 3)) > 1
    seen = 100
    told.tell()
    for each in waiting:
        each.result(1)


def test_a_wait_ends_though_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 5.0)  # as freezegun does to a whole process
    waiting = Running(lambda: Flag().wait(0.05))
    assert waiting.result(2) is False


def test_a_thread_whose_start_is_interrupted_runs_or_does_not_and_never_hangs() -> None:
    ran: list[threading.Thread] = []
    threads: list[threading.Thread] = []

    def begin() -> None:
        threads.append(threading.Thread(target=lambda: ran.append(threading.current_thread()), daemon=True))
        start(threads[-1])

    others = set(threading.enumerate())  # some may be about to end
    assert at_every_place(begin, lambda: until(lambda: others >= set(threading.enumerate()), 2, "a thread hangs")) > 5
    assert threads[-1] in ran


def test_what_a_thread_cannot_be_started_for_is_raised() -> None:
    thread = threading.Thread(target=lambda: None)
    start(thread)
    with pytest.raises(RuntimeError, match="once"):
        start(thread)


def test_a_sending_whose_start_is_interrupted_lets_the_next_one_begin(plain: House) -> None:
    session = plain.open()
    begun: list[AudioSend] = []

    def send_another() -> None:
        for each in begun:
            each.cancel()
        begun.clear()
        until(lambda: not session._audio._claim, 2, "the audio is claimed")
        session.send_audio(bytes(480))

    assert at_every_place(lambda: begun.append(session.start_sending_audio(AUDIO, pace=1.0)), send_another) > 50


def test_a_writer_whose_block_is_not_entered_has_no_claim(plain: House) -> None:
    session = plain.open()
    writer = session.audio_writer()

    def check() -> None:
        if writer._entered:
            writer.__exit__()
        session.send_audio(bytes(480))

    assert at_every_place(writer.__enter__, check) > 1


def test_a_command_that_is_interrupted_is_sent_or_forgotten(plain: House) -> None:
    session = plain.open()
    pending = session._engine.connection.commands._pending
    assert at_every_place(lambda: session.add_item("Hi"), lambda: until(lambda: not pending, 2, "it is awaited")) > 50
    assert session.ask("Hi").transcript


@pytest.mark.slow
@pytest.mark.timeout(320)
@pytest.mark.parametrize(
    ("how", "seconds"), [("everywhere", 100), ("random", 240), ("reconnecting", 240), ("live", 100)]
)
def test_ctrl_c_in_every_public_call_leaves_nothing_hanging(how: str, seconds: int) -> None:
    command = [sys.executable, "-m", "tests.ctrl_c", how, str(seconds)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert told.returncode == 0, told.stdout[-5000:] + told.stderr[-5000:]
