"""Real speech, made here, against the server with real ears."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_sync import TranscriptionSegment, transcribe, transcribe_files
from realtime_sync.server import RealtimeServer
from tests.server.sounds import silence
from tests.server.speech.conftest import tongue  # noqa: F401  a fixture
from tests.server.speech.spoken import SENTENCES, Tongue, word_error_rate
from tests.transcribing.serving import client_of, write_recording

pytestmark = pytest.mark.slow

MOST_ERRORS = 0.1


def test_a_long_recording_is_understood_and_its_segments_are_where_they_were_said(tongue: Tongue) -> None:  # noqa: F811
    said = [tongue.say(sentence) for sentence in SENTENCES]
    recording = b"".join(silence(900) + speech for speech in said)
    with RealtimeServer(speech=tongue.speech) as server:
        told = transcribe(recording, client_of(server), logprobs=True)
    assert word_error_rate([(" ".join(SENTENCES), told.text)]) <= MOST_ERRORS
    assert all(one.confidence is not None and 0.3 < one.confidence <= 1 for one in told.segments)
    starts, at = [], 0.0
    for speech in said:
        starts.append(at + 0.9)
        at += 0.9 + len(speech) / 48_000
    # Each segment begins with a sentence and ends with one; a short sentence is in one with the next.
    for segment in told.segments:
        assert min(abs(segment.start - start) for start in starts) < 0.5, segment
    assert_in_order(told.segments)


def test_many_recordings_at_once_are_understood(tongue: Tongue, tmp_path: Path) -> None:  # noqa: F811
    paths = [
        write_recording(tmp_path / f"{number}.wav", silence(300) + tongue.say(sentence) + silence(300))
        for number, sentence in enumerate(SENTENCES)
    ]
    with RealtimeServer(speech=tongue.speech) as server:
        results = transcribe_files(paths, client_of(server), jobs=4)
    pairs = [
        (sentence, result.transcription.text if result.transcription else "")
        for sentence, result in zip(SENTENCES, results, strict=True)
    ]
    assert word_error_rate(pairs) <= MOST_ERRORS


def assert_in_order(segments: tuple[TranscriptionSegment, ...]) -> None:
    times = [time for segment in segments for time in (segment.start, segment.end)]
    assert times == sorted(times)
