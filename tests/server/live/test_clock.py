"""The timeline: in step with the time of day while audio comes, 2.8 s beyond it, then it stands."""

from __future__ import annotations

import itertools
from typing import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.server.live.clock import KEPT_RUNNING_MS, LAG_MS, TwinTimeline

Step = tuple[float, float]  # seconds to wait, then milliseconds of audio (0: only look)
steps = st.lists(st.tuples(st.floats(0, 10), st.one_of(st.just(0.0), st.floats(1, 5000))), max_size=40)


def run(taken: Sequence[Step], start: float = 100.0) -> list[tuple[float, float, float, float]]:
    """Moment, timeline, model and where it stands, after each step."""
    timeline, moment, seen = TwinTimeline(), start, []
    for wait, audio_ms in taken:
        moment += wait
        seen.append((moment, timeline.now_ms(moment), timeline.model_ms(moment), timeline.stands_at_ms))
        if audio_ms:
            timeline.take(audio_ms, moment)
        seen.append((moment, timeline.now_ms(moment), timeline.model_ms(moment), timeline.stands_at_ms))
    return seen


@given(steps)
def test_it_never_runs_backwards_nor_faster_than_time_and_audio_together(taken: list[Step]) -> None:
    seen = run(taken)
    audio = 0.0
    for index, ((then, before, model_before, _), (now, after, model_after, stands)) in enumerate(
        itertools.pairwise(seen), 1
    ):
        audio += taken[index // 2][1] if index % 2 else 0
        assert before <= after
        assert model_before <= model_after <= after <= stands + 0.001
        if index % 2 == 0:  # only time has passed
            assert after - before <= (now - then) * 1000 + 0.01
    if seen:
        assert seen[-1][1] <= (seen[-1][0] - 100) * 1000 + audio + 0.01


@given(steps, st.floats(1, 5000), st.floats(10, 1000))
def test_it_stands_two_point_eight_seconds_after_the_last_audio(
    taken: list[Step], last_ms: float, later: float
) -> None:
    timeline, moment = TwinTimeline(), 100.0
    for wait, audio_ms in taken:
        moment += wait
        if audio_ms:
            timeline.take(audio_ms, moment)
    moment += 0.1
    start = timeline.take(last_ms, moment)
    end = max(start + last_ms, timeline.now_ms(moment))
    assert timeline.stands_at_ms == pytest.approx(end + KEPT_RUNNING_MS, abs=0.01)
    over = moment + (timeline.stands_at_ms - timeline.now_ms(moment)) / 1000
    assert not timeline.stands(over - 0.01)
    assert timeline.stands(over + 0.01)
    at_once, much_later = timeline.now_ms(over + 1), timeline.now_ms(over + later)
    assert at_once == much_later == timeline.model_ms(over + later) == timeline.stands_at_ms


@given(st.lists(st.floats(20, 500), min_size=1, max_size=40))
def test_audio_faster_than_real_time_pushes_it_forward(pieces: list[float]) -> None:
    timeline = TwinTimeline()
    for piece in pieces:
        timeline.take(piece, 100.0)
    assert timeline.now_ms(100.0) == pytest.approx(sum(pieces[:-1]), abs=0.1)
    assert timeline.stands_at_ms == pytest.approx(sum(pieces) + KEPT_RUNNING_MS, abs=0.1)


@given(st.floats(20, 1000), st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=60))
def test_real_time_audio_that_jitters_keeps_it_in_step(piece_ms: float, jitters: list[float]) -> None:
    timeline, moment = TwinTimeline(), 100.0
    for index, jitter in enumerate(jitters):
        moment = max(moment, 100.3 + index * piece_ms / 1000 + jitter)
        timeline.take(piece_ms, moment)
        passed = (moment - 100.3 - jitters[0]) * 1000
        assert passed - 0.1 <= timeline.now_ms(moment) <= passed + 401


def test_samples_that_come_a_little_too_slowly_do_not_hold_it_up() -> None:
    timeline = TwinTimeline()
    for index in range(1800):  # as in the capture: 50 ms each 50.85 ms, for 91.5 s
        timeline.take(50.0, 100 + index * 0.05085)
    assert timeline.now_ms(100 + 1799 * 0.05085) == pytest.approx(1799 * 50.85)


def test_after_a_stop_it_goes_on_without_a_jump_and_the_model_behind_it() -> None:
    timeline = TwinTimeline()
    timeline.take(100.0, 100.0)
    assert timeline.now_ms(150.0) == timeline.model_ms(150.0) == 2900
    timeline.take(100.0, 150.0)
    assert timeline.now_ms(150.0) == 2900
    assert timeline.now_ms(150.5) == 3400
    assert timeline.model_ms(150.5) == 2900  # as the output resumed half a second later in the capture
    assert timeline.model_ms(151.0) == 3900 - LAG_MS


def test_nothing_passes_before_any_audio() -> None:
    timeline = TwinTimeline()
    assert not timeline.has_begun
    assert timeline.now_ms(1e6) == timeline.model_ms(1e6) == 0
