"""Where recordings are cut: at pauses, within a bound, losing nothing that is heard."""

from __future__ import annotations

import array
import random

import pytest

from realtime_sync.audio.formats import pcm_at
from realtime_sync.errors import InvalidInputError
from realtime_sync.transcribing.pieces import SpeechPiece, pieces
from tests.server.sounds import silence, tone


def cut(audio: bytes, size: int = 4801, longest: float = 15.0, shortest: float = 3.0) -> list[SpeechPiece]:
    """In chunks of an odd size, as a resampler may give them."""
    chunks = (audio[start : start + size] for start in range(0, len(audio), size))
    return list(pieces(chunks, longest=longest, shortest=shortest))


def spans(found: list[SpeechPiece]) -> list[tuple[float, float]]:
    return [(round(piece.start, 2), round(piece.end, 2)) for piece in found]


def noise(ms: int, amplitude: int) -> bytes:
    source = random.Random(ms)
    return array.array("h", (source.randint(-amplitude, amplitude) for _ in range(24 * ms))).tobytes()


def test_a_pause_ends_a_piece_and_the_times_are_those_of_the_speech() -> None:
    audio = silence(1000) + tone(4000) + silence(1000) + tone(3500) + silence(2000)
    assert spans(cut(audio)) == [(1.0, 5.0), (6.0, 9.5)]


def test_a_pause_within_a_few_words_ends_nothing() -> None:
    audio = tone(1000) + silence(700) + tone(1000) + silence(700) + tone(1500)
    assert spans(cut(audio)) == [(0.0, 4.9)]


def test_a_long_pause_ends_a_piece_of_a_few_words_for_their_times_would_be_far_apart() -> None:
    audio = tone(1000) + silence(8000) + tone(1000) + silence(1000)
    assert spans(cut(audio)) == [(0.0, 1.0), (9.0, 10.0)]
    assert spans(cut(audio, longest=300, shortest=60)) == [(0.0, 10.0)]  # where the model itself tells times


def test_silence_is_not_sent_but_for_a_margin() -> None:
    audio = silence(60_000) + tone(500) + silence(60_000)
    (piece,) = cut(audio)
    assert spans([piece]) == [(60.0, 60.5)]
    assert len(piece.audio) == len(tone(500)) + 2 * len(silence(200))
    assert piece.audio_start == pytest.approx(59.8)


def test_nothing_but_silence_is_no_piece_at_all() -> None:
    assert cut(silence(90_000)) == []
    assert cut(b"") == []


def test_speech_without_a_pause_is_cut_within_the_bound() -> None:
    found = cut(tone(40_000), longest=10)
    assert all(len(piece.audio) <= len(tone(10_000)) for piece in found)
    assert b"".join(piece.audio for piece in found) == tone(40_000)


def test_the_cut_is_made_where_it_is_quietest() -> None:
    hum = tone(200, amplitude=1500)  # too loud for a pause
    found = cut(tone(7000) + hum + tone(7000), longest=10)
    assert len(found) == 2
    assert 7.0 < found[1].start < 7.2


@pytest.mark.parametrize("size", [2, 960, 48_000, 10**9])
def test_how_the_audio_comes_does_not_matter(size: int) -> None:
    audio = tone(3200) + silence(800) + tone(200) + silence(300) + tone(4000)
    assert cut(audio, size) == cut(audio)


def test_in_noise_no_sample_is_lost() -> None:
    audio = noise(5000, 200) + noise(4000, 9000) + noise(1500, 200) + noise(4000, 9000) + noise(7000, 200)
    found = cut(audio)
    assert b"".join(piece.audio for piece in found) == audio
    assert len(found) > 1


def test_a_soft_voice_behind_a_loud_one_is_kept() -> None:
    audio = tone(4000, amplitude=20_000) + silence(1000) + tone(4000, amplitude=300)
    found = cut(audio)
    assert sum(piece.end - piece.start for piece in found) == pytest.approx(8.0, abs=0.1)


def test_a_click_is_long_enough_to_be_committed() -> None:
    (piece,) = cut(tone(30))
    assert len(piece.audio) == len(silence(200))
    assert piece.audio.startswith(tone(30))


def test_at_another_rate_a_click_is_as_long() -> None:
    (piece,) = pieces([array.array("h", [20_000] * 16).tobytes()], format=pcm_at(16_000))
    assert len(piece.audio) == 16_000 * 2 // 5


@pytest.mark.parametrize(("longest", "shortest"), [(0.5, 0), (601, 3), (3, 3), (10, -1)])
def test_bounds_without_sense_are_refused(longest: float, shortest: float) -> None:
    with pytest.raises(InvalidInputError, match="1 to 600 seconds"):
        cut(tone(10), longest=longest, shortest=shortest)
