"""Both sides as audio: every sample where and when it was to be heard."""

from __future__ import annotations

import array
import json
import wave
from pathlib import Path

import pytest

from realtime_sync import timeline
from realtime_sync.audio import g711
from realtime_sync.recording import Recording
from realtime_sync.timeline.tracks import RATE, Span, Tracks, resampled
from tests.recording.made import SESSION, Made, tone


def stereo(recording: Recording, path: Path) -> tuple[array.array[int], array.array[int]]:
    timeline.save_stereo(recording, path)
    with wave.open(str(path), "rb") as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (2, 2, 24000)
        samples = array.array("h", wav.readframes(wav.getnframes()))
    return samples[0::2], samples[1::2]


def samples(pcm: bytes) -> array.array[int]:
    return array.array("h", pcm)


def silence(seconds: float) -> array.array[int]:
    return samples(bytes(2 * round(seconds * RATE)))


def test_the_user_is_left_and_the_model_right_each_when_it_was_to_be_heard(tmp_path: Path) -> None:
    said, answered = tone(0.5, 200), tone(0.3, 300)
    made = Made(tmp_path / "r.jsonl").wait(1).says(said).wait(1).answers(answered).wait(0.5)
    left, right = stereo(made.done(), tmp_path / "r.wav")
    assert left == silence(1) + samples(said) + silence(1)
    assert right == silence(2) + samples(answered) + silence(0.2)


def test_audio_that_is_sent_faster_than_it_is_spoken_is_contiguous(tmp_path: Path) -> None:
    pieces = [tone(0.5, frequency) for frequency in (200, 300, 400)]
    made = Made(tmp_path / "r.jsonl")
    for piece in pieces:
        made.says(piece).wait(0.01)
    left, _ = stereo(made.done(), tmp_path / "r.wav")
    assert left == samples(b"".join(pieces))


def test_a_microphones_jitter_makes_no_gaps_and_a_pause_does(tmp_path: Path) -> None:
    pieces = [tone(0.1, frequency) for frequency in (200, 300, 400)]
    made = Made(tmp_path / "r.jsonl").says(pieces[0]).wait(0.15).says(pieces[1]).wait(0.85).says(pieces[2])
    left, _ = stereo(made.done(), tmp_path / "r.wav")
    assert left == samples(pieces[0] + pieces[1]) + silence(0.8) + samples(pieces[2])


def test_the_models_audio_is_played_from_its_coming_one_piece_after_the_other(tmp_path: Path) -> None:
    pieces = [tone(0.4, frequency) for frequency in (200, 300, 400)]
    made = Made(tmp_path / "r.jsonl").wait(1).answers(pieces[0]).wait(0.1).answers(pieces[1]).wait(1).answers(pieces[2])
    _, right = stereo(made.done(), tmp_path / "r.wav")
    assert right == silence(1) + samples(pieces[0] + pieces[1]) + silence(0.3) + samples(pieces[2])


@pytest.mark.parametrize("told_by", ["client", "server"])
def test_what_a_truncation_cut_off_is_not_heard(tmp_path: Path, told_by: str) -> None:
    answer, after = tone(2.0, 200), tone(0.5, 300)
    made = Made(tmp_path / "r.jsonl").answers(answer[: RATE * 2]).answers(answer[RATE * 2 :]).wait(1.4)
    place = {"item_id": "a", "content_index": 0}
    if told_by == "client":
        made.sent("conversation.item.truncate", **place, audio_end_ms=1250).wait(0.01)
    made.told("conversation.item.truncated", **place, audio_end_ms=1250)
    made.answers(tone(1)).wait(0.6 if told_by == "server" else 0.59)  # what was still on its way
    recording = made.answers(after, "b").wait(1).done()
    _, right = stereo(recording, tmp_path / "r.wav")
    assert right == samples(answer[: RATE * 2 * 5 // 4]) + silence(0.75) + samples(after) + silence(0.5)
    assert round(sum(piece.length for piece in Tracks.of(recording).cut) / RATE, 3) == 1.75


def test_an_answer_of_which_nothing_was_heard_is_silent(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").answers(tone(1)).wait(0.1)
    made.sent("conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=0).wait(1)
    _, right = stereo(made.done(), tmp_path / "r.wav")
    assert not any(right)


def test_what_the_service_stopped_playing_itself_is_not_heard(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").answers(tone(1)).wait(0.25).told("output_audio_buffer.cleared", response_id="r")
    _, right = stereo(made.wait(1).done(), tmp_path / "r.wav")
    assert right == samples(tone(1)[:12000]) + silence(1)


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_telephone_audio_is_decoded_and_as_long_as_it_was(tmp_path: Path, kind: str) -> None:
    formats = {"audio": {"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}}}
    codes = g711.encode(tone(0.5, 200, rate=8000), kind)
    made = Made(tmp_path / "r.jsonl").told("session.created", session={**SESSION, **formats})
    left, right = stereo(made.says(codes).answers(codes).done(), tmp_path / "r.wav")
    assert left == right
    assert left[0::3] == samples(g711.decode(codes, kind))
    assert len(left) == RATE // 2


def test_a_line_drawn_between_samples_is_straight() -> None:
    pcm = array.array("h", [0, 300, -300, 30000]).tobytes()
    assert list(samples(resampled(pcm, 8000))) == [0, 100, 200, 300, 100, -100, -300, 9800, 19900, 30000, 30000, 30000]
    assert resampled(pcm, RATE) == pcm
    assert len(resampled(bytes(200), 48000)) == 100


def test_speech_is_where_it_is_in_the_audio_not_when_it_was_told(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").wait(1)
    for _ in range(20):
        made.says(tone(0.1)).wait(0.1)
    made.told("input_audio_buffer.speech_started", item_id="u", audio_start_ms=500).wait(1)
    made.told("input_audio_buffer.speech_stopped", item_id="u", audio_end_ms=1500)
    assert Tracks.of(made.done()).speech == [Span(1.5, 2.5)]


def test_speech_of_which_no_end_was_told_goes_on_to_the_end(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").wait(1).told("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
    assert Tracks.of(made.wait(2).done()).speech == [Span(1.0, 3.0)]


def test_half_a_sample_and_what_is_no_audio_do_not_harm(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").says(b"\1").says(tone(0.1) + b"\1").sent("input_audio_buffer.append", audio="?")
    made.sent("input_audio_buffer.append").told("response.output_audio.delta", delta="?")
    left, right = stereo(made.done(), tmp_path / "r.wav")
    assert left == samples(tone(0.1))
    assert not any(right)


def test_a_recording_without_audio_is_a_file_of_silence_as_long_as_it_took(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).wait(0.5)
    left, right = stereo(made.done(), tmp_path / "r.wav")
    assert left == right == silence(0.5)
    assert json.loads((tmp_path / "r.jsonl").read_text("utf-8").splitlines()[0])["audio"] == "keep"
