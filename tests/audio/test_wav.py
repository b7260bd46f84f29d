"""WAV headers of every kind read from streams, and WAV files written."""

from __future__ import annotations

import array
import io
import os
import struct
import wave
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.audio.byte_stream import ByteStream
from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
from realtime_sync.audio.wav import WavInfo, WavWriter, placed, read_wav_header, write_wav
from realtime_sync.errors import AudioFormatError, InvalidInputError
from realtime_sync.protocol.options import AudioFormat
from tests.audio.audio_files import EXAMPLES, TAIL, OneByteStream, chunk, fmt, riff

pytestmark = pytest.mark.medium


def header(data: bytes) -> WavInfo:
    """The header as read from both kinds of stream; what follows it must be the samples."""
    stream = io.BytesIO(data)
    info, rest = read_wav_header(stream)
    assert info is not None
    assert rest == b""
    assert read_wav_header(OneByteStream(data)) == (info, b"")
    return info


# --- reading


def test_a_plain_header_is_read_up_to_the_first_sample() -> None:
    stream = io.BytesIO(riff(fmt(), chunk(b"data", b"abcd")))
    assert read_wav_header(stream) == (WavInfo(1, 1, 24000, 16, 4), b"")
    assert stream.read() == b"abcd"


def test_chunks_before_the_samples_are_skipped_with_their_padding() -> None:
    stream = io.BytesIO(riff(chunk(b"JUNK", b"\1" * 3), fmt(), chunk(b"LIST", b"INFOISFTabc"), chunk(b"data", b"ab")))
    info, _ = read_wav_header(stream)
    assert info == WavInfo(1, 1, 24000, 16, 2)
    assert stream.read() == b"ab"


@pytest.mark.parametrize(
    "claimed", [0, 0xFFFFFFFF, 0xFFFFFFD8, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0x7FFFFF00, 0x7FFFF000 - 36]
)
def test_a_stream_writers_length_means_to_the_end(claimed: int) -> None:
    assert header(riff(fmt(), chunk(b"data", b"abcd", claimed), size=claimed)).data_bytes is None


def test_a_length_beyond_the_end_is_reported_as_claimed() -> None:
    assert header(riff(fmt(), chunk(b"data", b"abcd", 0x70000000))).data_bytes == 0x70000000


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
def test_a_wide_files_length_is_in_its_ds64_chunk(magic: bytes) -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 5 * 2**32, 4 * 2**32, 0, 0))
    data = chunk(b"data", b"abcd", 0xFFFFFFFF)
    assert header(riff(ds64, fmt(), data, magic=magic, size=0xFFFFFFFF)).data_bytes == 4 * 2**32
    assert header(riff(chunk(b"ds64", bytes(28)), fmt(), data, magic=magic)).data_bytes is None
    assert header(riff(chunk(b"ds64", b""), fmt(), data, magic=magic)).data_bytes is None
    assert header(riff(chunk(b"ds64", b"\xff" * 28), fmt(), data, magic=magic)).data_bytes is None


def test_an_extensible_header_tells_its_codec_in_the_subformat() -> None:
    extra = struct.pack("<HHI", 22, 16, 4)
    assert header(riff(fmt(0xFFFE, extra=extra + b"\1\0" + TAIL), chunk(b"data", b"ab"))).codec == 1
    assert header(riff(fmt(0xFFFE, extra=extra + b"\7\0" + TAIL), chunk(b"data", b"ab"))).codec == 7
    assert header(riff(fmt(0xFFFE, extra=extra + b"\1\0" + bytes(14)), chunk(b"data", b"ab"))).codec == 0xFFFE
    assert header(riff(fmt(0xFFFE), chunk(b"data", b"ab"))).codec == 0xFFFE


def test_a_codec_that_has_no_bits_a_sample_may_say_so_and_samples_may_not() -> None:
    assert str(header(riff(fmt(0x31, bits=0), chunk(b"data", b"ab")))) == "codec 0x0031, 24000 Hz, mono"
    for bits in (0, 8, 16):
        assert header(riff(fmt(7, rate=8000, bits=bits), chunk(b"data", b"ab"))) == WavInfo(7, 1, 8000, 8, 2)
    for codec in (1, 3):
        with pytest.raises(AudioFormatError, match="no sense"):
            read_wav_header(io.BytesIO(riff(fmt(codec, bits=0), chunk(b"data", b"ab"))))


def test_room_around_a_sample_is_believed_if_there_can_be_some() -> None:
    roomy = header(riff(fmt(bits=24, channels=2, align=8), chunk(b"data", b"ab")))
    assert (roomy.frame_bytes, str(roomy)) == (8, "24-bit PCM in 4 bytes, 24000 Hz, stereo")
    assert not header(riff(fmt(align=4), chunk(b"data", b"ab"))).matches(PCM)
    for channels, bits, align in ((2, 16, 2), (2, 16, 0), (1, 16, 1), (2, 24, 7), (1, 16, 5), (1, 8, 2)):
        packed = header(riff(fmt(channels=channels, bits=bits, align=align), chunk(b"data", b"ab")))
        assert packed.frame_bytes == channels * bits // 8


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("hello.wav", "16-bit PCM, 24000 Hz, mono"),
        ("what_is_the_tallest_tree.wav", "16-bit PCM, 24000 Hz, mono"),
        ("what_is_the_weather.wav", "16-bit PCM, 24000 Hz, mono"),
        ("hello_16khz.wav", "16-bit PCM, 16000 Hz, mono"),
        ("hello_ulaw.wav", "G.711 µ-law, 8000 Hz, mono"),
        ("hello_alaw.wav", "G.711 A-law, 8000 Hz, mono"),
    ],
)
def test_the_sample_speech_is_what_its_readme_says(name: str, info: str) -> None:
    path = EXAMPLES / name
    assert path.stat().st_size < 200_000
    with path.open("rb") as file:
        read, _ = read_wav_header(file)
        assert read is not None
        assert str(read) == info
        samples = file.read()
    assert len(samples) == read.data_bytes
    start = read.rate * read.bits // 8 * 300 // 1000
    end = read.rate * read.bits // 8 * 690 // 1000
    assert len(set(samples[:start])) <= 2
    assert len(set(samples[-end:])) <= 3  # resampling rings by one step
    assert len(set(samples)) > 50


def test_a_header_says_what_it_is_in_words() -> None:
    assert str(WavInfo(3, 2, 48000, 32)) == "32-bit floating point, 48000 Hz, stereo"
    assert str(WavInfo(0x55, 6, 44100, 16)) == "16-bit codec 0x0055, 44100 Hz, 6 channels"


def test_a_header_matches_only_its_very_format() -> None:
    assert WavInfo(1, 1, 24000, 16).matches(PCM)
    assert WavInfo(7, 1, 8000, 8).matches(MULAW)
    assert WavInfo(6, 1, 8000, 8).matches(ALAW)
    for other in (
        WavInfo(1, 2, 24000, 16),
        WavInfo(1, 1, 16000, 16),
        WavInfo(1, 1, 24000, 24),
        WavInfo(3, 1, 24000, 16),
        WavInfo(7, 1, 8000, 8),
    ):
        assert not other.matches(PCM)
    assert not WavInfo(1, 1, 8000, 8).matches(MULAW)


@pytest.mark.parametrize("start", [b"", b"R", b"\0" * 12, b"ID3 something else", b"RIFE1234WAVE", b"RIFX1234WAVE"])
def test_what_is_no_riff_file_is_handed_back(start: bytes) -> None:
    stream = io.BytesIO(start)
    info, read = read_wav_header(stream)
    assert info is None
    assert read + stream.read() == start


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"RIFF", "cut off"),
        (b"RIFF1234AVI LIST", "not a WAV"),
        (riff(), "cut off"),
        (riff(fmt()), "cut off"),
        (riff(fmt())[:-3], "cut off"),
        (riff(fmt(), b"da"), "cut off"),
        (riff(chunk(b"data", b"ab"), fmt()), "before their format"),
        (riff(chunk(b"fmt ", b"short"), chunk(b"data", b"ab")), "cut short"),
        (riff(fmt(channels=0), chunk(b"data", b"ab")), "no sense"),
        (riff(fmt(rate=0), chunk(b"data", b"ab")), "no sense"),
        (riff(fmt(), chunk(b"LIST", b"", 0xFFFFFFFF), chunk(b"data", b"ab")), "before its samples"),
        (riff(fmt(), chunk(b"LIST", b"", 1000), chunk(b"data", b"ab")), "cut off"),
    ],
)
def test_a_broken_header_is_an_error_that_says_what_is_broken(data: bytes, told: str) -> None:
    for stream in (io.BytesIO(data), OneByteStream(data)):
        with pytest.raises(AudioFormatError, match=told):
            read_wav_header(stream)


def test_a_claimed_length_never_takes_more_than_the_bound() -> None:
    class Endless:
        taken = 0

        def read(self, size: int, /) -> bytes:
            self.taken += size
            return bytes(size)

    class Start(Endless):
        head = riff(fmt(), chunk(b"LIST", b"", 2**31))

        def read(self, size: int, /) -> bytes:
            part, self.head = self.head[:size], self.head[size:]
            return part or super().read(size)

    stream = Start()
    with pytest.raises(AudioFormatError, match="before its samples"):
        read_wav_header(stream)
    assert stream.taken == 0


def test_where_samples_lie_is_looked_for_within_a_bound_whatever_the_header_claims() -> None:
    class Silence:
        taken = 0

        def read(self, size: int, /) -> bytes:
            self.taken += size
            return bytes(size)

    source = Silence()
    info = WavInfo(1, 1000, 2**30, 24, None, 4000)
    assert placed(info, ByteStream(source)) == info
    assert source.taken <= 10 * 2**20


WHOLE = riff(
    chunk(b"JUNK", b"\1" * 5),
    fmt(0xFFFE, extra=struct.pack("<HHI", 22, 16, 4) + b"\1\0" + TAIL),
    chunk(b"ds64", bytes(28)),
    chunk(b"data", bytes(range(64))),
)


@given(st.data())
def test_no_mutation_of_a_header_raises_anything_but_an_audio_format_error(data: st.DataObject) -> None:
    mutated = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert", "drop"])):
            case "set":
                mutated[place] = data.draw(st.integers(0, 255))
            case "cut":
                del mutated[place + 1 :]
            case "insert":
                mutated[place:place] = data.draw(st.binary(max_size=9))
            case "drop":
                del mutated[place : min(place + 4, len(mutated) - 1)]
    stream = io.BytesIO(bytes(mutated))
    try:
        info, read = read_wav_header(stream)
    except AudioFormatError:
        return
    if info is None:
        assert read == mutated[:12]
    else:
        assert mutated.endswith(stream.read())


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_but_an_audio_format_error(data: bytes) -> None:
    for whole in (data, b"RIFF\0\0\0\0WAVE" + data):
        try:
            read_wav_header(io.BytesIO(whole))
        except AudioFormatError:
            pass


# --- writing


def test_a_written_file_is_read_by_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with WavWriter(path) as writer:
        writer.write(b"\1\2")
        writer.write(bytearray(b"\3\4"))
        writer.write(memoryview(b"\5\6"))
        assert writer.seconds == pytest.approx(3 / 24000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(10) == b"\1\2\3\4\5\6"


def test_write_wav_writes_a_whole_file_of_any_rate(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", b"abcd", 16000)
    with (tmp_path / "a.wav").open("rb") as file:
        assert read_wav_header(file)[0] == WavInfo(1, 1, 16000, 16, 4)
        assert file.read() == b"abcd"


def test_arrays_of_samples_are_written_whole_and_what_is_none_is_refused(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.wav", array.array("h", range(-500, 500))
    write_wav(path, samples)  # type: ignore[arg-type]
    with wave.open(str(path)) as file:
        assert file.readframes(2000) == samples.tobytes()
    stereo = memoryview(samples).cast("B").cast("h", (500, 2))
    for wrong in (array.array("f", [0.5] * 100), array.array("d", [0.5]), stereo):
        with pytest.raises(InvalidInputError, match="16-bit"):
            write_wav(path, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1, 24000.0, "24000", True, 10**7])
def test_a_rate_that_is_none_is_refused_before_the_file_is_touched(rate: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"from before")
    with pytest.raises(InvalidInputError, match="rate"):
        write_wav(path, b"abcd", rate)
    assert path.read_bytes() == b"from before"


@pytest.mark.parametrize("format", [PCM, MULAW, ALAW])
@given(pieces=st.lists(st.binary(max_size=50)))
def test_what_is_written_in_a_format_is_read_back_in_it(format: SampleFormat, pieces: list[bytes]) -> None:
    file = io.BytesIO(b"....")
    file.seek(4)  # a writer starts where the file stands
    with WavWriter(file, format) as writer:
        for piece in pieces:
            writer.write(piece)
    assert file.tell() == len(file.getvalue())
    file.seek(4)
    info, _ = read_wav_header(file)
    assert info is not None
    assert info.matches(format)
    samples = b"".join(pieces)
    assert info.data_bytes == (len(samples) or None)
    assert file.read() == samples + b"\0" * (len(samples) % 2)
    assert struct.unpack_from("<I", file.getvalue(), 8)[0] == len(file.getvalue()) - 4 - 8


def test_a_pipe_gets_a_header_that_says_length_unknown() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb") as target:
        with WavWriter(target) as writer:
            writer.write(b"abcd")
        target.close()
        assert read_wav_header(reader) == (WavInfo(1, 1, 24000, 16, None), b"")
        assert reader.read() == b"abcd"


def test_the_header_is_completed_even_when_the_writing_failed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), WavWriter(tmp_path / "a.wav") as writer:  # noqa: PT012
        writer.write(b"abcd")
        raise KeyError
    with (tmp_path / "a.wav").open("rb") as file:
        assert read_wav_header(file)[0] == WavInfo(1, 1, 24000, 16, 4)


def test_closing_twice_is_nothing_and_writing_afterwards_an_error() -> None:
    file: BinaryIO = io.BytesIO()
    writer = WavWriter(file)
    writer.close()
    writer.close()
    assert not file.closed
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"ab")


# --- formats


def test_a_format_is_found_by_the_names_of_both_dialects() -> None:
    assert SampleFormat.of("audio/pcm") is SampleFormat.of("pcm16") is SampleFormat.of(PCM) is PCM
    assert SampleFormat.of("audio/pcmu") is SampleFormat.of("g711_ulaw") is MULAW
    assert SampleFormat.of("audio/pcma") is SampleFormat.of("g711_alaw") is ALAW
    assert SampleFormat.of(AudioFormat(type="audio/pcm")) == PCM
    assert SampleFormat.of(AudioFormat(type="audio/pcm", rate=16000)).rate == 16000
    assert SampleFormat.of(AudioFormat(type="audio/pcmu", rate=8000)) is MULAW
    with pytest.raises(AudioFormatError, match="audio/opus"):
        SampleFormat.of("audio/opus")


def test_durations_and_bytes_agree_in_whole_samples() -> None:
    assert PCM.bytes_for(0.1) == 4800
    assert MULAW.bytes_for(0.1) == 800
    assert PCM.bytes_for(1 / 48000 * 3) == 2 * 2
    assert PCM.seconds(48000) == ALAW.seconds(8000) == 1.0
    assert PCM.silence(0.5) == bytes(24000)
    assert MULAW.silence(0.001) == b"\xff" * 8
    assert ALAW.silence(0.001) == b"\xd5" * 8
    assert str(MULAW) == "G.711 µ-law, 8000 Hz, mono"
