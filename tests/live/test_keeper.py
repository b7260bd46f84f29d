"""The session's clock: kept by silence whatever stops, and told where nobody keeps it."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from realtime_sync import ClockStoppedError, LiveSession, WaitTimeoutError
from realtime_sync.audio import PCM
from realtime_sync.core.recovery import Outgoing
from realtime_sync.live.clock import RUNS_ON_SECONDS
from realtime_sync.live.keeper import ClockKeeper
from tests.live.harness import LiveHouse, Running, until, within
from tests.live.test_sending import AHEAD_SECONDS, LATE_SECONDS, TONE, heard

pytestmark = pytest.mark.medium

# Behind this the clock of a session stands to which nothing was sent after its first second.
LONG_MS = 1000 * RUNS_ON_SECONDS + 1200


def hangs(released: threading.Event) -> Iterator[bytes]:
    """A source that stops in the middle."""
    yield TONE * 400
    released.wait(30)


def stopped_microphone(session: LiveSession) -> None:
    with session.audio_writer() as writer:
        for _ in range(20):
            writer.write(TONE * 20)


SLOW = [pytest.param(what, marks=pytest.mark.slow) for what in ("nothing is sent", "the generator hangs")]


@pytest.mark.parametrize("what", ["the microphone stops", "it is muted", *SLOW])
def test_the_timeline_goes_on_and_no_append_is_lost_if(plain: LiveHouse, what: str) -> None:
    session, released = plain.start(), threading.Event()
    if what == "the microphone stops":
        stopped_microphone(session)
    elif what == "the generator hangs":
        session.start_sending_audio(hangs(released))
    elif what == "it is muted":
        session.mute_input().wait()
    until(lambda: plain.twin.timeline_ms > LONG_MS, 10)
    handle = session.append_commentary("Are you still there?")
    assert handle.wait(5).type == "session.commentary.appended"
    released.set()


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_file_with_a_gap_of_90_seconds_loses_no_append(plain: LiveHouse) -> None:
    def slow_file() -> Iterator[bytes]:
        yield TONE * 1000
        released.wait(90)
        yield TONE * 1000

    session, released = plain.start(), threading.Event()
    sending = session.start_sending_audio(slow_file())
    for second in (5, 45, 85):
        until(lambda: plain.twin.timeline_ms > 1000 * second, 50)  # noqa: B023
        session.append_commentary(f"It is second {second}.").wait(5)
    sending.wait(20)
    assert abs(plain.twin.timeline_ms - 92_000) < 2000
    assert plain.twin.seconds >= 90


def test_silence_goes_at_real_time_from_300_ms_after_the_last_sample_on(plain: LiveHouse) -> None:
    def source() -> Iterator[bytes]:
        nonlocal last
        yield TONE * 200
        last = time.monotonic()  # 100 ms are still to be sent
        yield TONE * 100

    session, last = plain.start(), 0.0
    session.send_audio(source())
    before = len(heard(plain.twin))
    assert before >= len(TONE) * 300
    with within(0.3 + LATE_SECONDS):
        until(lambda: len(heard(plain.twin)) > before)
    assert time.monotonic() - last >= 0.1 + 0.3
    began, first = time.monotonic(), len(heard(plain.twin))
    with within(2.5 - plain.twin.timeline_ms / 1000 + AHEAD_SECONDS):
        until(lambda: plain.twin.timeline_ms > 2500, 10)
    silent = PCM.seconds(len(heard(plain.twin)) - first)
    assert silent <= time.monotonic() - began + AHEAD_SECONDS


def test_a_pause_of_the_source_below_300_ms_is_not_filled_and_a_longer_one_is(plain: LiveHouse) -> None:
    def source() -> Iterator[bytes]:
        nonlocal began
        for pause in (0.2, 0.2, 0.2, 1.0):
            yield TONE * 100
            began = time.monotonic()
            never.wait(pause)
        yield TONE * 100

    session, never, began = plain.start(), threading.Event(), 0.0
    session.send_audio(source())
    passed = time.monotonic() - began  # the last pause and 100 ms, or longer on a busy machine
    first, *silences, last = heard(plain.twin).lstrip(b"\0").split(bytes(PCM.bytes_for(0.1)))
    assert first == TONE * 400
    assert last == TONE * 100
    assert not any(silences)
    assert 0.4 <= (len(silences) + 1) / 10 <= passed - 0.2


def test_while_somebody_sends_the_keeper_is_silent(plain: LiveHouse) -> None:
    session = plain.start()
    session.send_audio(TONE * 1500)
    told = heard(plain.twin)
    assert TONE * 1500 in told


def test_the_keeper_ends_with_its_session_and_starts_only_if_it_is_to(plain: LiveHouse) -> None:
    def keepers() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.endswith("-keeper")]

    with plain.start():
        assert len(keepers()) == 1
    until(lambda: not keepers())
    plain.start()
    plain.twin.drop()
    until(lambda: not keepers())
    plain.start(keep_clock=False)
    assert not keepers()


# --- nobody keeps the clock


def test_without_the_keeper_a_wait_raises_at_once_and_says_why(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    handle = session.append_commentary("Hello?")
    with within(0.5), pytest.raises(ClockStoppedError, match=r"no audio was sent yet.*keep_clock=True"):
        handle.wait()
    assert not handle.done
    session.send_audio(TONE * 1500)
    assert handle.wait().type == "session.commentary.appended"


def test_without_the_keeper_a_wait_under_way_ends_when_the_clock_stops(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    began = time.monotonic()
    session.send_audio(TONE * 200)
    with within(2.8 + LATE_SECONDS):
        until(lambda: plain.twin.timeline_ms > 2700, 10)
        handle = session.append_thinking("It rains.")
        with pytest.raises(ClockStoppedError, match=r"2\.8 s.*Send audio"):
            handle.wait()
    assert time.monotonic() - began >= 0.2 + 2.8
    session.send_audio(TONE * 1200)
    handle.wait()


def test_a_sender_that_has_just_begun_is_given_time(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    session.start_sending_audio(TONE * 1500)
    session.append_commentary("Hello?").wait()


def test_a_wait_without_time_looks_only(plain: LiveHouse) -> None:
    handle = plain.start(keep_clock=False).append_commentary("Hello?")
    with pytest.raises(WaitTimeoutError):
        handle.wait(0)


# --- a process that stands still


def test_a_computer_that_slept_is_told_in_the_log_and_not_caught_up(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture
) -> None:
    session, slept = plain.start(keep_clock=False), 0.0
    keeper = ClockKeeper(session._engine, session._audio._track, wall=lambda: time.time() + slept)
    keeper.start()
    until(lambda: plain.twin.timeline_ms > 500)
    before, began = len(heard(plain.twin)), time.monotonic()
    slept = 3600.0
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        until(lambda: "slept" in caplog.text)
    assert "3600" in caplog.text
    until(lambda: plain.twin.timeline_ms > 1500)
    assert PCM.seconds(len(heard(plain.twin)) - before) <= time.monotonic() - began + AHEAD_SECONDS


CLIENT = """
import logging, sys
logging.basicConfig(level=logging.WARNING)
from realtime_sync import OpenAIClient
client = OpenAIClient("a-key", endpoint=sys.argv[1]).get_realtime_conversation_client("m")
with client.start_live_session() as session:
    print("started", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.slow
def test_a_process_that_was_stopped_goes_on_at_real_time(plain: LiveHouse) -> None:
    url = plain.serve().url
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        until(lambda: plain.twin.timeline_ms > 1000)
        os.kill(process.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        until(lambda: time.monotonic() > stopped_at + 4, 10)
        assert plain.twin.stands
        stood, before = plain.twin.timeline_ms, len(heard(plain.twin))
        os.kill(process.pid, signal.SIGCONT)
        began = time.monotonic()
        until(lambda: plain.twin.timeline_ms > stood + 1500, 10)
        took = time.monotonic() - began
        assert PCM.seconds(len(heard(plain.twin)) - before) <= took + AHEAD_SECONDS
        assert took >= 1.5 - AHEAD_SECONDS
        _, log = process.communicate("\n", timeout=20)
    assert process.returncode == 0
    assert "nothing ran here for" in log


def test_a_keeper_that_fails_is_told_and_the_session_goes_on(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture
) -> None:
    session, calls = plain.start(keep_clock=False), itertools.count()

    def broken() -> float:
        if next(calls) > 4:
            raise OSError("no clock")
        return time.time()

    with caplog.at_level(logging.ERROR, "realtime_sync"):
        ClockKeeper(session._engine, session._audio._track, wall=broken).start()
        until(lambda: "the keeper of the clock failed" in caplog.text)
    handle = Running(lambda: session.append_commentary("Hello?").wait(5))
    session.send_audio(TONE * 1500)
    handle.result()
    assert not session._engine.clock.kept


def test_speech_does_not_overtake_the_silence_before_it(plain: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else that silence would stand in the middle of a word."""
    session = plain.start()
    engine, held, go_on = session._engine, threading.Event(), threading.Event()
    send = engine.send_audio

    def slowly(frames: Sequence[Outgoing]) -> None:
        if threading.current_thread().name.endswith("keeper") and not held.is_set():
            held.set()
            go_on.wait(5)
        send(frames)

    monkeypatch.setattr(engine, "send_audio", slowly)
    assert held.wait(5)
    sending = session.start_sending_audio(TONE * 200)
    with pytest.raises(AssertionError):
        until(lambda: sending.bytes_sent, 0.3)
    go_on.set()
    sending.wait(5)
    until(lambda: TONE * 200 in heard(plain.twin))
