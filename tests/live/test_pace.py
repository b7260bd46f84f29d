"""The plan by which a live session's audio is sent: never faster than real time, and without drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.live.pace import AHEAD_SECONDS, BEHIND_SECONDS, GAP_SECONDS, Pace

pytestmark = pytest.mark.medium

PIECE = 0.1
# What may be due beyond the time that passes.
ALLOWANCE = AHEAD_SECONDS + BEHIND_SECONDS + PIECE
START = 1000.0


class Wire:
    """Sends as the session does, on a clock of its own: ``sent`` has the moment and the length of each piece."""

    def __init__(self) -> None:
        self.now = START
        self.pace = Pace(self.now)
        self.sent: list[tuple[float, float]] = []

    def speak(self, seconds: float = PIECE) -> None:
        self.now = max(self.now, self.pace.speech(self.now, seconds))
        self.sent.append((self.now, seconds))

    def rest(self, seconds: float, *, kept: bool) -> None:
        """Nobody speaks for so long. ``kept``: the keeper fills it, as exactly as it can."""
        end = self.now + seconds
        while kept and self.now + max(0.0, self.pace.until_gap(self.now)) < end:
            self.now += max(0.0, self.pace.until_gap(self.now))
            self.pace.silence(self.now, PIECE)
            self.sent.append((self.now, PIECE))
        self.now = end

    def check(self) -> None:
        """No stretch of time has more audio than it may."""
        for first, (begin, _) in enumerate(self.sent):
            audio = 0.0
            for moment, seconds in self.sent[first:]:
                audio += seconds
                assert audio <= moment - begin + ALLOWANCE + 1e-9


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(1, 12)), max_size=12))
def test_no_stretch_of_time_has_more_audio_than_it_lasts_and_the_allowance(
    steps: list[tuple[float, bool, int]],
) -> None:
    wire = Wire()
    for delay, kept, pieces in steps:
        wire.rest(delay, kept=kept)
        for _ in range(pieces):
            wire.speak()
    wire.check()


@given(st.lists(st.floats(0, BEHIND_SECONDS / 2), min_size=50, max_size=200))
def test_waits_that_take_too_long_do_not_add_up(lates: list[float]) -> None:
    wire = Wire()
    for late in lates:
        wire.speak()
        wire.now += late
    wire.speak()
    assert wire.now <= START + PIECE * len(lates) + BEHIND_SECONDS + PIECE


@given(st.floats(BEHIND_SECONDS, 1000), st.integers(1, 40))
def test_after_a_stall_the_rest_of_the_delay_stays(stall: float, pieces: int) -> None:
    wire = Wire()
    wire.speak()
    wire.now += stall
    back = wire.now
    for _ in range(pieces):
        wire.speak()
    at_once = sum(seconds for moment, seconds in wire.sent[1:] if moment == back)
    assert at_once <= ALLOWANCE + 1e-9
    assert wire.now >= back + PIECE * pieces - ALLOWANCE - 1e-9


@given(st.lists(st.floats(0, BEHIND_SECONDS / 2), min_size=20, max_size=100))
def test_silence_goes_on_at_real_time_though_its_thread_is_late(lates: list[float]) -> None:
    wire = Wire()
    wire.rest(GAP_SECONDS, kept=False)
    begin = wire.now
    for late in lates:
        wire.now += max(0.0, wire.pace.until_gap(wire.now)) + late
        wire.pace.silence(wire.now, PIECE)
        wire.sent.append((wire.now, PIECE))
    wire.check()
    assert abs(wire.now - begin - PIECE * len(lates)) <= BEHIND_SECONDS + PIECE


@given(st.floats(GAP_SECONDS, 10_000))
def test_a_gap_that_was_not_filled_in_time_is_not_caught_up(stall: float) -> None:
    wire = Wire()
    wire.speak()
    wire.now = wire.pace.planned + stall
    wire.pace.silence(wire.now, PIECE)
    assert 0 < wire.pace.until_gap(wire.now) <= PIECE + 1e-9


def test_a_gap_begins_300_ms_after_the_last_sample_and_silence_follows_without_a_gap() -> None:
    wire = Wire()
    wire.speak(0.5)
    assert wire.pace.until_gap(wire.now) == pytest.approx(0.5 + GAP_SECONDS)
    wire.rest(2.0, kept=True)
    moments = [moment - START for moment, _ in wire.sent[1:]]
    assert moments == pytest.approx([0.8 + PIECE * n for n in range(12)])


def test_after_a_gap_that_nobody_filled_nothing_is_caught_up() -> None:
    wire = Wire()
    wire.speak()
    wire.rest(GAP_SECONDS + PIECE + 0.01, kept=False)
    back = wire.now
    wire.speak()
    wire.speak()
    assert wire.now == pytest.approx(back + PIECE)


def test_speech_goes_out_at_once_behind_the_silence_of_a_gap() -> None:
    wire = Wire()
    wire.rest(1.0, kept=True)
    begin = wire.now
    wire.speak(0.02)
    assert wire.now == begin
