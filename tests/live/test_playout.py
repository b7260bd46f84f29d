"""The queue between a live session's track and a speaker: short, whatever comes, and never with a gap of its own."""

from __future__ import annotations

from typing import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.audio import ALAW, MULAW, PCM, SampleFormat, g711
from realtime_sync.live.playout import FRAME_SECONDS, MOST_SECONDS, PREBUFFER_SECONDS, PlayOut

FRAME = PCM.bytes_for(FRAME_SECONDS)
SILENCE = bytes(FRAME)
DITHER = (20).to_bytes(2, "little") * (FRAME // 2)
SOFT = (44).to_bytes(2, "little") * (FRAME // 2)
SPEECH = (9000).to_bytes(2, "little", signed=True) * (FRAME // 2)


class Room:
    """A play-out and its speaker, in a time of their own; both are looked at each 10 ms."""

    def __init__(self, format: SampleFormat = PCM) -> None:
        self.format = format
        self.now = self.left = 0.0  # of the speaker: seconds that it has and has not sounded
        self.written = bytearray()
        self.gaps = 0.0  # seconds in which the speaker had nothing to sound
        self.most = 0.0  # seconds that ever waited, in both
        self.play_out = PlayOut(format, lambda: max(0.0, self.left), lambda: self.now)

    def put(self, *frames: bytes) -> None:
        self.play_out.put(b"".join(frames))
        self.look()

    def look(self) -> None:
        samples = self.play_out.take(0)
        self.written += samples
        self.left = max(0.0, self.left) + self.format.seconds(len(samples))
        self.most = max(self.most, self.left + self.play_out.seconds)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.now += 0.01
            self.left -= 0.01
            self.gaps += max(0.0, -self.left)
            self.left = max(0.0, self.left)
            self.look()

    def play(self, frames: list[bytes], every: float = 0.1) -> None:
        """A track that comes in pieces of five frames, each so much later than the one before."""
        for start in range(0, len(frames), 5):
            self.put(*frames[start : start + 5])
            self.pass_time(every)


def test_nothing_is_played_before_the_prebuffer_is_there_and_then_without_a_gap() -> None:
    room = Room()
    room.put(*[SPEECH] * 5)
    assert not room.written
    room.pass_time(0.1)
    room.put(*[SPEECH] * 5)
    assert not room.written
    room.pass_time(0.1)
    room.gaps = 0.0
    room.play([SPEECH] * 100)
    assert room.gaps == pytest.approx(0.0, abs=1e-9)
    assert room.play_out.underruns == 0


def test_a_short_sound_that_is_all_there_is_is_played_when_its_time_has_come() -> None:
    room = Room()
    room.put(*[SPEECH] * 2)
    room.pass_time(PREBUFFER_SECONDS - 0.02)
    assert not room.written
    room.pass_time(0.03)
    assert bytes(room.written) == SPEECH * 2


def test_pieces_that_come_late_and_three_at_once_make_no_gap() -> None:
    room = Room()
    room.play([SPEECH] * 30)
    room.gaps = 0.0
    for _ in range(5):
        room.pass_time(0.18)
        for _ in range(3):
            room.put(*[SPEECH] * 5)
        room.pass_time(0.12)
    assert room.gaps == pytest.approx(0.0, abs=1e-9)
    assert room.play_out.underruns == 0
    assert room.play_out.dropped_speech == 0


def test_a_stall_is_one_underrun_and_the_prebuffer_is_filled_again() -> None:
    room = Room()
    room.play([SPEECH] * 30)
    room.pass_time(1.0)
    assert room.play_out.underruns == 1
    before = len(room.written)
    room.put(*[SPEECH] * 5)
    assert len(room.written) == before
    room.pass_time(0.1)
    room.play([SPEECH] * 50)
    assert room.play_out.underruns == 1


def test_the_pause_between_two_sentences_is_no_underrun_and_keeps_its_length() -> None:
    room = Room()
    starts = []
    for _ in range(2):
        room.put(*[SPEECH] * 5)
        began = room.now
        while not room.left:
            room.pass_time(0.1)
            room.put(*[SPEECH] * 5)
        starts.append(room.now - began)
        room.play([SPEECH] * 20 + [SILENCE] * 50)
    assert room.play_out.underruns == 0
    assert starts == pytest.approx([starts[0]] * 2)


@pytest.mark.parametrize("idle", [SILENCE, DITHER], ids=["zeros", "dither"])
def test_lasting_silence_is_not_written_so_that_the_speaker_is_not_playing(idle: bytes) -> None:
    room = Room()
    room.play([idle] * 100)
    assert not room.written
    room.play([SPEECH] * 25 + [idle] * 100)
    assert room.left == 0
    assert bytes(room.written).startswith(SPEECH * 25)
    assert bytes(room.written[len(SPEECH) * 25 :]) == idle * 14
    assert room.play_out.quiet


def test_what_is_soft_is_played() -> None:
    room = Room()
    room.play([SOFT] * 100)
    assert bytes(room.written) == SOFT * (len(room.written) // FRAME)
    assert room.format.seconds(len(room.written)) > 1.5
    assert not room.play_out.quiet


def test_over_the_bound_silence_goes_first_and_speech_is_whole() -> None:
    room = Room()
    words = [SPEECH] * 5 + [SILENCE] * 5
    room.play(words * 10, every=0.06)
    assert room.play_out.dropped_silence > 0
    assert room.play_out.dropped_speech == 0
    room.pass_time(MOST_SECONDS)
    assert bytes(room.written).count(SPEECH) == 50
    assert room.most <= MOST_SECONDS + 1e-9


def test_over_the_bound_the_oldest_go_if_nothing_is_silent() -> None:
    room = Room()
    frames = [(1000 + n).to_bytes(2, "little") * (FRAME // 2) for n in range(100)]
    room.put(*frames)
    room.pass_time(MOST_SECONDS + 0.1)
    assert bytes(room.written) == b"".join(frames[-round(MOST_SECONDS / FRAME_SECONDS) :])
    assert room.play_out.dropped_speech == pytest.approx(100 * FRAME_SECONDS - MOST_SECONDS)


@given(
    st.lists(st.tuples(st.sampled_from([SPEECH, SILENCE, SOFT]), st.integers(1, 40), st.sampled_from([0, 0.02, 0.3]))),
)
def test_a_feeder_that_is_too_fast_never_makes_the_queue_grow_beyond_the_bound(
    track: list[tuple[bytes, int, float]],
) -> None:
    room = Room()
    for frame, count, pause in track:
        for _ in range(count):
            room.put(frame)
        room.pass_time(pause)
    assert room.most <= MOST_SECONDS + 1e-9


@pytest.mark.parametrize("format", [MULAW, ALAW], ids=["µ-law", "A-law"])
def test_telephone_silence_is_silence(format: SampleFormat) -> None:
    room = Room(format)
    speech = g711.encode(SPEECH[: 2 * format.bytes_for(FRAME_SECONDS)], format.wire_type)
    silence = format.silence(FRAME_SECONDS)
    room.play([silence] * 50)
    assert not room.written
    room.play([speech] * 25)
    assert bytes(room.written).startswith(speech)


def test_pieces_of_any_length_are_played_to_the_sample() -> None:
    room = Room()
    for size in (2, 958, 961, 1919):
        room.put((SPEECH * 22)[: 20 * FRAME + size])
        room.pass_time(1.0)
    assert len(room.written) == (80 * FRAME + 2 + 958 + 961 + 1919) // FRAME * FRAME


def test_waiting_for_what_is_to_be_played_ends_when_it_is_there() -> None:
    room = Room()
    waiting: list[Callable[[], object]] = [lambda: room.play_out.take(5.0)]
    room.now = 10.0
    room.play_out.put(SPEECH * 12)
    assert waiting[0]() == SPEECH * 12
