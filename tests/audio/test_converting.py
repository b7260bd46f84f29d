"""What the model said, as a file or an array, at any rate."""

from __future__ import annotations

import io
import random
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import attrs
import numpy as np
import pytest
import soundfile

from realtime_sync import Answer, ConfigurationError, ConversationItem, InvalidInputError, Timings, WavWriter
from realtime_sync.audio import ALAW, MULAW, PCM, SampleFormat, converted_chunks, g711, write_audio
from realtime_sync.protocol.options import AudioFormat
from realtime_sync.protocol.resources import ConversationResponse
from tests.audio.tones import pcm, purity, tone

SPOKEN = (tone(1000, 24_000) * 32768).astype("<i2").tobytes()


def answer(
    audio: bytes = SPOKEN,
    wire_type: str = "audio/pcm",
    *,
    status: str = "completed",
    reason: Optional[str] = None,
    text: str = "",
    items: Sequence[ConversationItem] = (),
) -> Answer:
    return Answer(
        id="resp_1",
        status=status,
        reason=reason,
        text=text,
        transcript="",
        audio=audio,
        audio_format=AudioFormat(type=wire_type),
        items=items,
        usage=None,
        cost=None,
        timings=Timings(),
        response=ConversationResponse(),
    )


def test_an_answer_is_saved_as_it_came(tmp_path: Path) -> None:
    answer().save_audio(tmp_path / "answer.wav")
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert (file.getframerate(), file.readframes(10**6)) == (24_000, SPOKEN)
    telephone = answer(g711.encode(SPOKEN, "audio/pcmu"), "audio/pcmu")
    target = io.BytesIO()
    telephone.save_audio(target)
    assert not target.closed
    target.seek(0)
    assert soundfile.info(target).subtype == "ULAW"


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000, 44_100, 48_000])
def test_an_answer_is_saved_and_given_as_an_array_at_any_rate(tmp_path: Path, rate: int) -> None:
    answer().save_audio(tmp_path / "answer.wav", rate=rate)
    saved, told = soundfile.read(tmp_path / "answer.wav", dtype="float32")
    samples = answer().samples(rate)
    assert told == rate
    assert len(samples) == rate
    assert samples.dtype == np.float32
    assert np.abs(saved - samples).max() <= 1 / 32768
    level, below = purity(samples, 1000, rate)
    assert level == pytest.approx(0.5, rel=0.001)
    assert below > 80


def test_an_array_without_a_rate_is_what_came_exactly() -> None:
    assert (answer().samples() * 32768).astype("<i2").tobytes() == SPOKEN
    telephone = g711.encode(SPOKEN, "audio/pcma")
    assert (answer(telephone, "audio/pcma").samples() * 32768).astype("<i2").tobytes() == g711.decode(
        telephone, "audio/pcma"
    )
    assert len(answer(b"").samples(16_000)) == 0


@pytest.mark.usefixtures("no_audio_extra")
def test_without_the_extra_what_needs_no_resampling_works(tmp_path: Path) -> None:
    answer().save_audio(tmp_path / "answer.wav")
    answer().save_audio(tmp_path / "answer.wav", rate=24_000)
    answer(bytes(8000), "audio/pcmu").save_audio(tmp_path / "answer.wav", rate=8000)
    (tmp_path / "answer.wav").unlink()
    for call in (lambda: answer().save_audio(tmp_path / "answer.wav", rate=16_000), lambda: answer().samples()):
        with pytest.raises(ConfigurationError, match=r"pip install 'realtime-sync\[audio\]'"):
            call()
    assert not (tmp_path / "answer.wav").exists()


@pytest.mark.parametrize(("suffix", "kind"), [("mp3", "MP3"), ("flac", "FLAC"), ("ogg", "OGG"), ("MP3", "MP3")])
def test_an_answer_is_saved_as_what_the_suffix_says(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"answer.{suffix}"
    answer().save_audio(str(path))
    told = soundfile.info(path)
    assert (told.format, told.samplerate) == (kind, 24_000)
    assert told.duration == pytest.approx(1, abs=0.1)
    answer(g711.encode(SPOKEN, "audio/pcmu"), "audio/pcmu").save_audio(path, rate=16_000)
    assert soundfile.info(path).samplerate == 16_000


def test_bare_samples_are_saved_by_their_suffix(tmp_path: Path) -> None:
    answer().save_audio(tmp_path / "answer.pcm")
    assert (tmp_path / "answer.pcm").read_bytes() == SPOKEN


@pytest.mark.parametrize("name", ["answer.m4a", "answer.txt", "answer"])
def test_a_suffix_that_cannot_be_written_is_refused_with_those_that_can(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\.wav, \.wave, \.flac, \.mp3, \.ogg"):
        answer().save_audio(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_wav_writer_refuses_the_name_of_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"name it \.wav"):
        WavWriter(tmp_path / "answer.mp3")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("silent", "why"),
    [
        (answer(b"", text="Paris."), "the model wrote it"),
        (answer(b"", status="cancelled", reason="client_cancelled"), r"it is cancelled \(client_cancelled\)"),
        (answer(b"", items=[ConversationItem.create_function_call("f", "call_1", "{}")]), "the model called functions"),
        (answer(b""), "the service sent none"),
    ],
)
def test_an_answer_without_sound_is_not_saved_and_says_why(tmp_path: Path, silent: Answer, why: str) -> None:
    with pytest.raises(InvalidInputError, match=f"this answer has no audio: {why}"):
        silent.save_audio(tmp_path / "answer.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [0, -1, 100, True, 16_000.5, "16000"])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(InvalidInputError, match="rate"):
        answer().save_audio(io.BytesIO(), rate=rate)


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_a_converted_stream_is_the_converted_whole(rate: int) -> None:
    wanted, chance = attrs.evolve(PCM, rate=rate), random.Random(3)
    whole = pcm(b"".join(converted_chunks([SPOKEN], PCM, wanted)))
    pieces, start = [], 0
    while start < len(SPOKEN):
        size = 2 * chance.randint(1, 1500)
        pieces.append(SPOKEN[start : start + size])
        start += size
    streamed = pcm(b"".join(converted_chunks(pieces, PCM, wanted)))
    assert len(streamed) == len(whole)
    assert np.abs(streamed - whole).max() <= 1 / 32768


@pytest.mark.parametrize("wanted", [PCM, MULAW, ALAW])
@pytest.mark.parametrize("format", [PCM, MULAW, ALAW])
def test_every_format_becomes_every_other(format: SampleFormat, wanted: SampleFormat) -> None:
    audio = b"".join(converted_chunks([SPOKEN], PCM, format))
    samples = b"".join(converted_chunks([audio], format, wanted))
    assert wanted.seconds(len(samples)) == pytest.approx(1, abs=0.001)
    file = io.BytesIO()
    write_audio(file, samples, wanted, 24_000)
    level, below = purity(pcm(file.getvalue()[44:]), 1000, 24_000)
    assert level == pytest.approx(0.5, rel=0.03)
    assert below > (80 if format == wanted == PCM else 30)
