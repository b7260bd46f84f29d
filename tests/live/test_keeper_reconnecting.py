"""Sound and the clock of a live session whose connection is lost, and which goes on over a new one."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from realtime_sync import ConnectionReplacedError, Reconnect, SessionReconnectedUpdate
from realtime_sync.audio import PCM
from realtime_sync.server import Faults, Refusal
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.live.harness import LiveHouse, Running, until, within
from tests.live.test_clips import CLIP
from tests.live.test_sending import AHEAD_SECONDS, LATE_SECONDS, heard

pytestmark = pytest.mark.medium

AWAY_SECONDS = 1.0
QUICKLY = Reconnect(base_delay=0.05, max_delay=0.1)


@contextmanager
def lost(house: LiveHouse) -> Iterator[None]:
    """The connection is lost; while the block runs, and for so long, there is no other one."""
    house.server.faults = Faults(refuse=Refusal(503))
    over = threading.Timer(AWAY_SECONDS, lambda: setattr(house.server, "faults", Faults()))
    over.start()
    house.twin.drop(1011)
    try:
        yield
    finally:
        over.join()


def numbered(count: int) -> Iterator[bytes]:
    """Pieces of 100 ms that tell their number."""
    for number in range(count):
        yield (1000 + number).to_bytes(2, "little") * 2400


def numbers(house: LiveHouse) -> list[int]:
    """Of the pieces that arrived, over all connections."""
    sound = b"".join(map(heard, house.server.live_sessions))
    samples = np.frombuffer(sound, "<i2")
    return sorted({int(each) - 1000 for each in samples[samples != 0]})


def test_the_clock_is_kept_on_the_new_connection_too_and_nothing_bursts(plain: LiveHouse) -> None:
    session = plain.start(reconnect=QUICKLY)
    until(lambda: plain.twin.timeline_ms > 500)
    with lost(plain):
        pass
    until(lambda: len(plain.server.live_sessions) == 2, 10)
    assert plain.twin.wait_for_message("session.start", timeout=5)
    until(lambda: plain.twin.timeline_ms > 0)
    began = time.monotonic()
    session.append_commentary("Still there?").wait()
    assert PCM.seconds(len(heard(plain.twin))) <= time.monotonic() - began + AHEAD_SECONDS + 0.1
    assert plain.twin.received[0]["type"] == "session.start"


def test_a_recording_waits_for_the_new_connection_and_loses_no_more_than_what_was_on_its_way(plain: LiveHouse) -> None:
    session = plain.start(reconnect=QUICKLY)
    sending = session.start_sending_audio(numbered(15))
    until(lambda: len(numbers(plain)) >= 5)
    began = time.monotonic()
    with lost(plain):
        sending.wait(20)
    assert time.monotonic() - began >= AWAY_SECONDS + 0.5
    until(lambda: 14 in numbers(plain))
    assert len(numbers(plain)) >= 13


def test_who_pushes_pieces_is_not_held_up_while_there_is_no_connection(plain: LiveHouse) -> None:
    session = plain.start(reconnect=QUICKLY)
    pieces = numbered(30)
    with session.audio_writer() as writer:
        for piece in itertools.islice(pieces, 5):
            writer.write(piece)
        with lost(plain):
            began = time.monotonic()
            with within(2.5 + LATE_SECONDS):
                for piece in pieces:
                    writer.write(piece)
            assert time.monotonic() - began >= 2.5 - AHEAD_SECONDS
    until(lambda: 29 in numbers(plain))
    missing = sorted(set(range(30)) - set(numbers(plain)))
    assert 5 <= len(missing) <= 20
    assert missing == list(range(missing[0], missing[-1] + 1))


def test_a_clip_that_was_played_went_down_with_its_connection(plain: LiveHouse) -> None:
    session = plain.start(reconnect=True)
    clip = session.play_clip(CLIP * 20)
    clip.wait()
    waiting = Running(clip.wait_until_played)
    plain.twin.drop(1011)
    assert isinstance(waiting.join(), ConnectionReplacedError)
    session.append_commentary("Where was I?").wait()
    session.play_clip(CLIP).wait_until_played()


def test_a_conversation_goes_on_over_the_new_connection(plain: LiveHouse) -> None:
    session = plain.start(reconnect=True)
    updates: list[object] = []
    microphone = FileMicrophone(b"".join(numbered(35)), endless=False, pause_ms=0)
    talking = Running(lambda: session.talk(microphone, FileSpeaker(), on_update=updates.append, linger=0.5))
    until(lambda: len(numbers(plain)) >= 5)
    plain.twin.drop(1011)
    talking.result(20)
    assert any(isinstance(each, SessionReconnectedUpdate) for each in updates)
    assert numbers(plain)[-1] == 34


@pytest.mark.parametrize("keep_clock", [True, False])
def test_a_session_that_is_closed_while_it_reconnects_ends_its_threads(plain: LiveHouse, keep_clock: bool) -> None:
    session = plain.start(reconnect=QUICKLY, keep_clock=keep_clock)
    sending = session.start_sending_audio(numbered(600))
    until(lambda: len(numbers(plain)) >= 2)
    with lost(plain):
        until(lambda: session._engine.reconnecting)
        session.close()
        sending.wait(5)
    assert sending.cancelled
