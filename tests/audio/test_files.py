"""Files of every kind, and arrays: what goes in comes out at the right rate, pure, and the same however it is cut."""

from __future__ import annotations

import gc
import io
import logging
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.audio import ALAW, MULAW, PCM, SampleFormat, Samples, audio_chunks, g711
from realtime_sync.audio.arrays import from_bytes
from realtime_sync.errors import AudioFormatError, ConfigurationError, InvalidInputError
from tests.audio.audio_files import EXAMPLES, OneByteStream, chunk, fmt, riff
from tests.audio.tones import Array, level_db, pcm, purity, tone

pytestmark = pytest.mark.medium

# Kind, rate, channels, subtype, and how pure a tone of 1 kHz may be expected to come out (dB).
KINDS = {
    "wav 16-bit 16 kHz": ("WAV", 16_000, 1, "PCM_16", 80),
    "wav 24-bit 44.1 kHz stereo": ("WAV", 44_100, 2, "PCM_24", 80),
    "wav 32-bit": ("WAV", 32_000, 1, "PCM_32", 80),
    "wav 8-bit": ("WAV", 11_025, 1, "PCM_U8", 35),
    "wav 48 kHz stereo float": ("WAV", 48_000, 2, "FLOAT", 80),
    "wav double": ("WAV", 96_000, 1, "DOUBLE", 80),
    "wav A-law": ("WAV", 8_000, 1, "ALAW", 32),
    "wav µ-law": ("WAV", 8_000, 1, "ULAW", 32),
    "wav ADPCM": ("WAV", 24_000, 1, "IMA_ADPCM", 25),
    "wav extensible": ("WAVEX", 48_000, 2, "PCM_16", 80),
    "flac": ("FLAC", 44_100, 2, "PCM_16", 80),
    "ogg": ("OGG", 44_100, 1, "VORBIS", 25),
    "mp3": ("MP3", 44_100, 2, "MPEG_LAYER_III", 40),
    "aiff": ("AIFF", 22_050, 2, "PCM_16", 80),
    "caf": ("CAF", 48_000, 1, "PCM_16", 80),
    "w64": ("W64", 48_000, 2, "PCM_16", 80),
}


def made(kind: str, frequency: float = 1000, seconds: float = 1.0) -> bytes:
    """A file of this kind with a tone, the same on all channels."""
    container, rate, channels, subtype, _ = KINDS[kind]
    file = io.BytesIO()
    wave = np.stack([tone(frequency, rate, seconds)] * channels, axis=1)
    soundfile.write(file, wave, rate, format=container, subtype=subtype)
    return file.getvalue()


def sent(source: Any, format: SampleFormat = PCM, chunk_bytes: int = 4800) -> bytes:
    chunks = list(audio_chunks(source, format, chunk_bytes))
    assert {len(each) for each in chunks[:-1]} <= {chunk_bytes}
    return b"".join(chunks)


@pytest.fixture
def path_of(tmp_path: Path) -> Callable[[str], Path]:
    def write(kind: str) -> Path:
        path = tmp_path / f"question.{KINDS[kind][0].lower()}"
        path.write_bytes(made(kind))
        return path

    return write


# --- every kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_tone_in_any_kind_of_file_comes_out_pure_at_the_sessions_rate(
    kind: str, path_of: Callable[[str], Path]
) -> None:
    samples = pcm(sent(path_of(kind)))
    assert len(samples) == pytest.approx(24_000, abs=600)  # codecs work in blocks
    level, below = purity(samples, 1000, 24_000)
    assert level == pytest.approx(0.5, rel=0.03)
    assert below > KINDS[kind][4]


def test_a_wav_file_whose_codec_has_no_bits_a_sample_is_read_from_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    soundfile.write(path, tone(440, 8000), 8000, subtype="GSM610")
    data = path.read_bytes()
    assert struct.unpack_from("<HHIIHH", data, 20)[0::5] == (0x31, 0)
    heard = sent(path)
    assert sent(data) == sent(OneByteStream(data)) == heard
    level, below = purity(pcm(heard)[:24_000], 440, 24_000)
    assert level == pytest.approx(0.5, rel=0.1)
    assert below > 15


def test_a_big_endian_wav_file_is_read_as_any_other(tmp_path: Path) -> None:
    path, exact = tmp_path / "question.wav", random.Random(5).randbytes(2 * 24_000)
    samples = np.frombuffer(exact, "<i2")
    soundfile.write(path, samples, 24_000, subtype="PCM_16", endian="BIG")
    assert path.read_bytes().startswith(b"RIFX")
    assert sent(path) == sent(OneByteStream(path.read_bytes())) == exact
    assert len(sent(path, MULAW)) == pytest.approx(8000, abs=2)


@given(
    st.integers(9, 32).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(-(-bits // 8), 4))),
    st.integers(1, 3),
    st.sampled_from(["bottom", "bottom, without a sign", "top", "none"]),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_samples_of_any_width_lie_anywhere_in_any_room(
    width: tuple[int, int], channels: int, place: str, late: bool, seed: int
) -> None:
    """At the bottom of a room of so many bytes, at its top, or without the room that the header tells of."""
    bits, room = width
    packed, full = -(-bits // 8), 2 ** (bits - 1)
    size = packed if place == "none" else room
    at_bottom = size > packed and place != "top"
    noise = random.Random(seed)
    values = [-full, full - 1, *(noise.randrange(-full, full) for _ in range(50 * channels - 2))]
    mask = 2 ** (bits if at_bottom and place != "bottom" else 8 * size) - 1
    shift = 0 if at_bottom else 8 * size - bits
    silence = 24_000 * channels if late else 0  # which tells nothing
    samples = b"".join((value << shift & mask).to_bytes(size, "little") for value in values)
    header = fmt(bits=bits, channels=channels, align=room * channels)
    heard = pcm(sent(riff(header, chunk(b"data", bytes(size * silence) + samples))))[silence // channels :]
    told = np.array(values).reshape(-1, channels).mean(axis=1) / full
    assert len(heard) == len(told)
    assert abs(heard - told).max() < 2 / 32768


@pytest.mark.parametrize("format", [MULAW, ALAW])
@pytest.mark.parametrize("kind", ["wav 48 kHz stereo float", "flac", "mp3", "wav A-law"])
def test_a_tone_comes_out_in_the_telephones_formats(kind: str, format: SampleFormat) -> None:
    data = sent(made(kind), format, 800)
    samples = pcm(g711.decode(data, format.wire_type))
    assert len(samples) == pytest.approx(8000, abs=400)
    level, below = purity(samples, 1000, 8000)
    assert level == pytest.approx(0.5, rel=0.03)
    assert below > 32


def test_what_is_in_the_format_already_is_not_touched() -> None:
    for name, format in (("hello.wav", PCM), ("hello_ulaw.wav", MULAW), ("hello_alaw.wav", ALAW)):
        path = EXAMPLES / name
        whole = path.read_bytes()
        assert whole.endswith(sent(path, format))
        assert len(sent(path, format)) > len(whole) - 100


def test_another_container_at_the_same_rate_is_decoded_exactly() -> None:
    exact = random.Random(5).randbytes(2 * 24_000)
    file = io.BytesIO()
    soundfile.write(file, np.frombuffer(exact, "<i2"), 24_000, format="FLAC", subtype="PCM_16")
    assert sent(file.getvalue()) == exact
    assert sent(Samples(np.frombuffer(exact, "<i2"), 24_000)) == exact


def test_g711_is_decoded_exactly_and_encoded_exactly() -> None:
    ulaw = (EXAMPLES / "hello_ulaw.wav").read_bytes()
    assert sent(ulaw, ALAW) == g711.encode(g711.decode(sent(ulaw, MULAW), "audio/pcmu"), "audio/pcma")


@pytest.mark.parametrize(("suffix", "law"), [("ul", MULAW), ("ulaw", MULAW), ("al", ALAW), ("alaw", ALAW)])
def test_bare_g711_is_known_by_its_suffix_and_converted(tmp_path: Path, suffix: str, law: SampleFormat) -> None:
    wav = EXAMPLES / f"hello_{'ulaw' if law is MULAW else 'alaw'}.wav"
    bare = tmp_path / f"hello.{suffix}"
    bare.write_bytes(sent(wav, law))
    assert sent(bare) == sent(wav)
    chunks = audio_chunks(bare, PCM, 4800)
    assert len(b"".join(chunks)) == chunks.total_bytes


def test_stereo_is_mixed_to_its_mean() -> None:
    left, right = tone(500, 24_000, level=0.6), tone(2000, 24_000, level=0.2)
    mixed = pcm(sent(Samples(np.stack([left, right], axis=1), 24_000)))
    assert np.abs(mixed - (left + right) / 2).max() < 1 / 32768


# --- resampling


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("frequency", [300, 1000, 3000])
def test_a_tone_is_pure_at_the_other_rate(rate: int, frequency: int) -> None:
    samples = pcm(sent(Samples(tone(frequency, rate), rate)))
    assert len(samples) == 24_000
    level, below = purity(samples, frequency, 24_000)
    assert level == pytest.approx(0.5, rel=0.001)
    assert below > 80


def test_a_tone_above_half_the_new_rate_is_gone_and_no_other_tone_comes_of_it() -> None:
    for frequency in (13_500, 15_000, 20_000):
        assert level_db(pcm(sent(Samples(tone(frequency, 48_000), 48_000)))) < -80
    telephone = sent(Samples(tone(5000, 24_000), 24_000), MULAW)
    assert level_db(pcm(g711.decode(telephone, "audio/pcmu"))) < -60


def test_a_chunked_stream_is_the_whole_one_without_seams() -> None:
    chance = random.Random(7)
    for rate in (8000, 44_100, 48_000):
        noise = np.cumsum(np.random.default_rng(3).normal(0, 0.01, rate)) % 1 - 0.5
        whole = pcm(sent(Samples(noise, rate), chunk_bytes=2 * 10**6))
        header = riff(fmt(3, 1, rate, 32), chunk(b"data", noise.astype("<f4").tobytes()))
        for chunk_bytes in (2, 34, 960, 4800):
            pieces = cut(header, [chance.randint(0, 9000) for _ in range(9)])
            streamed = pcm(b"".join(audio_chunks(pieces, PCM, chunk_bytes)))
            assert len(streamed) == len(whole)
            assert np.abs(streamed - whole).max() <= 1 / 32768


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    while data:
        for size in (*sizes, 7):
            yield data[:size]
            data = data[size:]


# --- as a stream


def test_a_wav_file_of_another_rate_comes_out_of_a_pipe_before_the_pipe_ends() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb", buffering=0) as writer:
        chunks = audio_chunks(reader, PCM, 480)
        writer.write(riff(fmt(rate=48_000), chunk(b"data", bytes(96 * 200), 0xFFFFFFFF)))  # 200 ms
        assert len(next(chunks)) == 480
        writer.close()
        assert len(b"".join(chunks)) == 48 * 200 - 480


@pytest.mark.parametrize("kind", ["flac", "mp3", "wav ADPCM"])
def test_a_compressed_file_may_come_from_anywhere(kind: str, path_of: Callable[[str], Path]) -> None:
    path, data = path_of(kind), made(kind)
    told = sent(path)
    with path.open("rb") as file:
        assert sent(file) == told
        assert not file.closed
    with path.open("rb", buffering=0) as raw:
        assert sent(raw) == told
    assert sent(str(path)) == told
    behind = path.with_stem("behind")
    behind.write_bytes(b"12345" + data)
    with behind.open("rb") as file:
        file.seek(5)
        assert sent(file) == told
    # A stream that cannot be sought is copied first.
    assert sent(OneByteStream(data)) == sent([data[:100], data[100:]]) == sent(data) == told


def test_a_file_is_decoded_no_further_than_its_chunks_are_taken() -> None:
    reads = 0

    def endless() -> Iterator[bytes]:
        nonlocal reads
        yield riff(fmt(rate=48_000), chunk(b"data", b"", 0xFFFFFFFF))
        while True:
            reads += 1
            yield bytes(9600)

    chunks = audio_chunks(endless(), PCM, 4800)
    for _ in range(5):
        next(chunks)
    assert reads <= 12
    chunks.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors")
def test_no_file_stays_open_when_the_chunks_are_dropped(path_of: Callable[[str], Path]) -> None:
    path, before = path_of("flac"), len(os.listdir("/proc/self/fd"))
    for source in (path, [path.read_bytes()]):
        chunks = audio_chunks(source, PCM, 480)
        next(chunks)
        assert len(os.listdir("/proc/self/fd")) > before
        chunks.close()
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.slow
def test_an_hour_of_a_file_takes_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    code = (
        "import resource, sys, soundfile, numpy\n"
        "from realtime_sync.audio import PCM, audio_chunks\n"
        "with soundfile.SoundFile(sys.argv[1], 'w', 8000, 1, format='WAV', subtype='IMA_ADPCM') as f:\n"
        "    for _ in range(60): f.write(numpy.zeros(8000 * 60, 'int16'))\n"
        "chunks = audio_chunks(sys.argv[1], PCM, 48000)\n"
        "next(chunks); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(sum(map(len, chunks)) // 48000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "hour.wav")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout
    seconds, grown = map(int, told.split())
    assert seconds == pytest.approx(3600, abs=2)
    assert grown < 20_000  # kilobytes; an hour of samples is 172 MB


@pytest.mark.parametrize("kind", ["wav 16-bit 16 kHz", "wav 48 kHz stereo float", "flac", "mp3"])
def test_how_much_there_will_be_is_known_with_the_first_chunk(kind: str, path_of: Callable[[str], Path]) -> None:
    chunks = audio_chunks(path_of(kind), PCM, 4800)
    assert chunks.total_bytes is None
    first = next(chunks)
    assert chunks.total_bytes is not None
    assert chunks.total_bytes == pytest.approx(len(first) + len(b"".join(chunks)), abs=4800 if kind == "mp3" else 4)


def test_how_much_there_will_be_is_known_for_bytes_and_arrays_and_unknown_for_pieces() -> None:
    known: list[tuple[Any, int | None]] = [
        (bytes(9600), 9600),
        (io.BytesIO(bytes(9600)), 9600),
        (riff(fmt(), chunk(b"data", bytes(960))), 960),
        (Samples(np.zeros(16_000), 16_000), 48_000),
        ([bytes(960)], None),
        (riff(fmt(), chunk(b"data", bytes(960), 0xFFFFFFFF)), None),
    ]
    for source, total in known:
        chunks = audio_chunks(source, PCM, 480)
        next(chunks)
        assert chunks.total_bytes == total


# --- arrays


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "float16", "float32", "float64"])
def test_arrays_of_any_type_mean_the_same(dtype: str) -> None:
    wave: Array = tone(1000, 24_000)
    array: Any = wave
    if dtype.startswith("int"):
        array = wave * float(np.iinfo(dtype).max)
    elif dtype == "uint8":
        array = wave * 127 + 128
    samples = pcm(sent(Samples(array.astype(dtype), 24_000)))
    assert np.abs(samples - wave).max() < (0.02 if "8" in dtype else 0.001)


def test_an_array_out_is_an_array_in() -> None:
    data = random.Random(2).randbytes(4800)
    assert sent(Samples(from_bytes(data, PCM), 24_000)) == data
    telephone = random.Random(2).randbytes(800).replace(b"\x7f", b"\xff")  # one of µ-law's two zeros
    assert sent(Samples(from_bytes(telephone, MULAW), 8000), MULAW, 80) == telephone


def test_a_little_too_loud_is_clipped_and_not_wrapped() -> None:
    samples = pcm(sent(Samples(np.array([1.5, 1.0, -1.0, -1.5] * 100), 24_000)))
    assert samples.max() == 32767 / 32768
    assert samples[0] > 0 > samples[-1] == -1


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.full(100, 12_000.0), "16-bit values"),
        (np.array([0.0, np.nan]), "nan"),
        (np.zeros(100, complex), "complex"),
        (np.zeros(100, "uint16"), "uint16"),
        ([12_000, -12_000], r"int64.*astype\('int16'\)"),  # of full scale in 64 bits, these would be silence
        (np.zeros((2, 5, 5)), "shape"),
        (np.zeros((2, 24_000)), r"array\.T"),
        (np.float64(1), "shape"),
        (["text"], "not <U4"),
    ],
)
def test_an_array_that_is_no_audio_is_refused_with_what_to_do(array: Any, told: str) -> None:
    with pytest.raises(AudioFormatError, match=told):
        Samples(array, 24_000)


def test_a_rate_may_be_a_number_of_numpys() -> None:
    for rate in (np.int64(24_000), np.float32(24_000)):
        assert sent(Samples(np.zeros(10), rate)) == bytes(20)


@pytest.mark.parametrize("rate", [0, -1, True, None, "24000", float("nan")])
def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    with pytest.raises(InvalidInputError, match="rate"):
        Samples(np.zeros(10), rate)


def test_an_empty_array_holds_no_audio() -> None:
    with pytest.raises(AudioFormatError, match="no audio"):
        sent(Samples(np.zeros(0), 16_000))


def test_samples_say_what_they_are_and_not_what_they_hold() -> None:
    assert repr(Samples(np.zeros((5, 2), "int16"), 16_000)) == "Samples(array=<int16 (5, 2)>, rate=16000)"
    assert Samples(np.zeros(8000), 16_000).seconds == 0.5


# --- what cannot be read


@pytest.mark.parametrize("data", [b"ID3\4" + bytes(200), b"fLaC" + bytes(200), b"OggS" + b"\1" * 200])
def test_a_broken_file_is_told_with_what_it_claims_to_be(data: bytes) -> None:
    with pytest.raises(AudioFormatError, match=r"This is an? .*cannot be read here"):
        sent(data)


@pytest.mark.parametrize("start", [b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"#!AMR"])
def test_a_kind_that_libsndfile_does_not_know_is_told_with_a_way_to_convert(start: bytes) -> None:
    with pytest.raises(AudioFormatError, match=r"cannot be read here.*ffmpeg -i"):
        sent(start + bytes(200))


@pytest.mark.parametrize("claimed", [4 * 2400 + 2, 10**6])
def test_of_a_wav_file_cut_off_within_a_frame_all_that_is_whole_is_given_with_a_warning(
    claimed: int, caplog: pytest.LogCaptureFixture
) -> None:
    data = riff(fmt(channels=2, rate=24_000), chunk(b"data", bytes(4 * 2400) + b"xy", claimed))
    assert len(sent(data)) == 4800
    (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ("is cut off: its header promises 10.4 s" if claimed == 10**6 else "last 2 bytes are left out") in told


def test_floats_that_are_no_numbers_are_told() -> None:
    data = np.array([0.1, np.inf], "<f4").tobytes()
    with pytest.raises(AudioFormatError, match="finite"):
        sent(riff(fmt(3, 1, 24_000, 32), chunk(b"data", data)))


@pytest.mark.usefixtures("no_audio_extra")
def test_without_the_extra_each_way_says_what_to_install() -> None:
    for source in (EXAMPLES / "hello_16khz.wav", made_before := b"fLaC" + bytes(100), io.BytesIO(made_before)):
        with pytest.raises(AudioFormatError, match=r"pip install 'realtime-sync\[audio\]'"):
            sent(source)
    with pytest.raises(ConfigurationError, match=r"numpy: pip install 'realtime-sync\[audio\]'"):
        Samples([0, 0], 24_000)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"\[audio\]"):
        from_bytes(b"", PCM)
