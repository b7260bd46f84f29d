"""Audio from any source, checked and cut into chunks."""

from __future__ import annotations

import array
import gc
import io
import logging
import os
import re
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.audio.formats import ALAW, MULAW, PCM, SampleFormat
from realtime_sync.audio.source import AudioSource, audio_chunks
from realtime_sync.audio.wav import write_wav
from realtime_sync.errors import AudioFormatError, InvalidInputError
from tests.audio.audio_files import EXAMPLES, OneByteStream, chunk, fmt, riff

SPEECH = EXAMPLES / "hello.wav"


def samples_of(source: AudioSource, format: SampleFormat = PCM, chunk_bytes: int = 4800) -> bytes:
    return b"".join(audio_chunks(source, format, chunk_bytes))


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """``data`` in pieces of these sizes, over and over; a size may be 0."""
    while data:
        for size in (*sizes, 7):
            yield data[:size]
            data = data[size:]


# --- the same bytes, whatever the source


@given(
    samples=st.binary(max_size=200).map(lambda data: b"\0\1" + data * 2),  # the start is no other format's
    sizes=st.lists(st.integers(0, 40), max_size=8),
    chunk_bytes=st.integers(2, 60),
    wav=st.sampled_from([None, "plain", "streamed", "followed"]),
)
def test_any_pieces_of_any_source_give_the_same_samples_in_whole_chunks(
    samples: bytes, sizes: list[int], chunk_bytes: int, wav: str | None
) -> None:
    data = {
        None: samples,
        "plain": riff(fmt(), chunk(b"data", samples)),
        "streamed": riff(chunk(b"LIST", b"odd"), fmt(), chunk(b"data", samples, 0xFFFFFFFF)),
        "followed": riff(fmt(), chunk(b"data", samples), chunk(b"LIST", b"not audio")),
    }[wav]
    whole = list(audio_chunks(data, PCM, chunk_bytes))
    assert b"".join(whole) == samples
    size = chunk_bytes - chunk_bytes % 2
    assert {len(part) for part in whole[:-1]} <= {size}
    assert 0 < len(whole[-1]) <= size
    sources: list[Callable[[], Any]] = [
        lambda: bytearray(data),
        lambda: memoryview(data),
        lambda: io.BytesIO(data),
        lambda: OneByteStream(data),
        lambda: cut(data, sizes),
        lambda: [bytearray(piece) for piece in cut(data, sizes)],
        lambda: (memoryview(piece) for piece in cut(data, sizes)),
        lambda: (data,),
    ]
    for source in sources:
        assert list(audio_chunks(source(), PCM, chunk_bytes)) == whole


def test_a_path_a_text_path_a_file_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    samples = bytes(range(256)) * 100
    path = tmp_path / "a.wav"
    write_wav(path, samples)
    with path.open("rb") as file:
        assert samples_of(file) == samples
        assert not file.closed
    with path.open("rb", buffering=0) as raw:
        assert samples_of(raw) == samples
    assert samples_of(path) == samples_of(str(path)) == samples_of(path.read_bytes()) == samples


def test_a_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"xx" + b"abcdef")
    file.seek(2)
    assert samples_of(file) == b"abcdef"


def test_g711_is_chunked_by_single_bytes() -> None:
    assert [len(part) for part in audio_chunks(bytes(10), MULAW, 3)] == [3, 3, 3, 1]
    assert len(samples_of(EXAMPLES / "hello_ulaw.wav", MULAW)) == len(samples_of(EXAMPLES / "hello_alaw.wav", ALAW))


def test_a_long_piece_is_not_copied_again_and_again() -> None:
    piece = bytes(50 * 2**20)
    assert sum(map(len, audio_chunks([piece], PCM, 4800))) == len(piece)  # quadratic, this would take minutes


def test_a_reused_buffer_is_copied_in_time() -> None:
    def microphone() -> Iterator[bytearray]:
        buffer = bytearray(4)
        for value in range(3):
            buffer[:] = bytes([value] * 4)
            yield buffer

    assert list(audio_chunks(microphone(), PCM, 4)) == [b"\0" * 4, b"\1" * 4, b"\2" * 4]  # type: ignore[arg-type]
    assert list(audio_chunks(microphone(), PCM, 8)) == [b"\0" * 4 + b"\1" * 4, b"\2" * 4]  # type: ignore[arg-type]


# --- as a stream


def test_a_chunk_comes_out_of_a_pipe_before_the_pipe_ends() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as reader, os.fdopen(write_end, "wb", buffering=0) as writer:
        chunks = audio_chunks(reader, PCM, 4)
        writer.write(riff(fmt(), chunk(b"data", b"abcd", 0xFFFFFFFF)))
        assert next(chunks) == b"abcd"
        writer.write(b"efgh")
        writer.close()
        assert list(chunks) == [b"efgh"]


def test_a_source_is_read_no_further_than_its_chunks_are_taken() -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(4)
            yield b"abcd"

    chunks = audio_chunks(endless(), PCM, 4)
    assert taken == []
    next(chunks)
    assert len(taken) <= 4


def test_what_is_there_comes_several_chunks_at_once_and_what_is_waited_for_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_wav(path, bytes(48_000))
    for source in (bytes(48_000), path.read_bytes(), path):
        assert [len(several) for several in audio_chunks(source, PCM, 4800).several()] == [8, 2]
    for source in (io.BytesIO(bytes(48_000)), iter([bytes(48_000)])):
        assert [len(several) for several in audio_chunks(source, PCM, 4800).several()] == [1] * 10
    assert [len(several) for several in audio_chunks(bytes(96_000), PCM, 48_000).several()] == [1, 1]
    assert max(len(several) for several in audio_chunks(bytes(48_000), PCM, 48).several()) <= 16


def test_chunks_before_an_error_come_out_also_if_there_are_too_few_of_them() -> None:
    found = []
    with pytest.raises(AudioFormatError):
        found.extend(audio_chunks(bytes(4801), PCM, 480).several())
    assert b"".join(map(b"".join, found)) == bytes(4800)


def test_an_opened_file_is_closed_at_the_end_and_when_the_iterator_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real_open = open

    def remember(*args: Any, **kwargs: Any) -> Any:
        opened.append(real_open(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr("builtins.open", remember)
    samples_of(SPEECH)
    dropped = audio_chunks(SPEECH, PCM, 4800)
    next(dropped)
    assert [file.closed for file in opened] == [True, False]
    gone = weakref.ref(dropped)
    del dropped
    gc.collect()
    assert gone() is None
    assert opened[1].closed
    samples_of(SPEECH, MULAW)
    assert opened[2].closed
    with pytest.raises(AudioFormatError):
        samples_of(EXAMPLES / "README.md", PCM, 4800)  # an odd number of bytes
    assert opened[3].closed


# --- what is refused


@pytest.mark.usefixtures("no_audio_extra")
def test_a_wav_file_in_another_format_is_told_with_both_formats_and_a_way_to_convert() -> None:
    with pytest.raises(AudioFormatError) as caught:
        samples_of(EXAMPLES / "hello_16khz.wav")
    message = str(caught.value)
    assert "is 16-bit PCM, 16000 Hz, mono, but" in message
    assert "16-bit PCM, 24000 Hz, mono (audio/pcm)" in message
    assert "hello_16khz.wav -ac 1 -ar 24000 -c:a pcm_s16le" in message
    assert "sox " in message
    assert "input_audio_format" not in message


@pytest.mark.usefixtures("no_audio_extra")
def test_a_wav_file_in_another_format_of_the_service_also_tells_the_setting() -> None:
    with pytest.raises(AudioFormatError, match="input_audio_format='audio/pcmu'"):
        samples_of(EXAMPLES / "hello_ulaw.wav")
    with pytest.raises(AudioFormatError, match=r"pcm_alaw.*a-law -b 8.*input_audio_format='audio/pcm'"):
        samples_of(SPEECH.read_bytes(), ALAW)


@pytest.mark.usefixtures("no_audio_extra")
@pytest.mark.parametrize(
    "header",
    [fmt(channels=2), fmt(bits=8), fmt(bits=24), fmt(codec=3, bits=32), fmt(codec=0x55), fmt(rate=23999)],
)
def test_no_other_rate_width_channels_or_codec_passes_for_pcm(header: bytes) -> None:
    with pytest.raises(AudioFormatError, match="noise"):
        samples_of(riff(header, chunk(b"data", bytes(48))))


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"ID3\4", "MP3"),
        (b"fLaC", "FLAC"),
        (b"OggS", "Ogg"),
        (b"\0\0\0\x20ftypM4A ", "MP4"),
        (b"\x1a\x45\xdf\xa3", "WebM"),
        (b"FORM\0\0\0\0AIFF", "AIFF"),
        (b"RIFF\0\0\0\0AVI ", "not a WAV"),
        (b"RIFX\0\0\0\0WAVE", "big-endian"),
        (b"riff\x2e\x91\xcf\x11", "W64"),
    ],
)
def test_a_compressed_file_or_another_container_is_refused_by_its_first_bytes(start: bytes, told: str) -> None:
    with pytest.raises(AudioFormatError, match=told):
        samples_of(start + bytes(100))


@pytest.mark.usefixtures("no_audio_extra")
def test_an_mp3_file_without_a_tag_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "it's music.MP3"
    path.write_bytes(b"\xff\xfb\x90\x00" * 100)
    for source in (path, str(path), path.open("rb")):
        with pytest.raises(AudioFormatError, match=r"MP3 file, by its name.*ffmpeg -i '"):
            samples_of(source)
        if hasattr(source, "close"):
            source.close()
    assert samples_of(path.read_bytes()) == path.read_bytes()  # bare samples may start like this


@pytest.mark.parametrize("name", ["README.md", "noise", "samples.bin", ".pcm", "a.pcm.txt"])
def test_a_path_that_names_no_sound_is_refused_and_its_bytes_and_file_are_bare_samples(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(b"# A heading\n")
    for source in (path, str(path)):
        with pytest.raises(AudioFormatError, match=rf"{name} is not a sound file of a known kind; bare .* \.pcm or"):
            samples_of(source)
    with path.open("rb") as file:
        assert samples_of(file) == samples_of(path.read_bytes()) == b"# A heading\n"


def test_a_wav_file_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "speech.WAV"
    path.write_bytes(b"abcd" * 100)
    with pytest.raises(
        AudioFormatError, match=r"speech\.WAV is named like a WAV file, .* begin with RIFF; bare samples need"
    ):
        samples_of(path)


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.pcm", PCM),
        ("a.RAW", PCM),
        ("a.raw", MULAW),
        ("a.ul", MULAW),
        ("a.ulaw", MULAW),
        ("a.al", ALAW),
        ("a.alaw", ALAW),
    ],
)
def test_bare_samples_are_known_by_their_suffix(tmp_path: Path, name: str, format: SampleFormat) -> None:
    path = tmp_path / name
    path.write_bytes(b"abcdefgh")
    chunks = audio_chunks(path, format, 4)
    assert list(chunks) == [b"abcd", b"efgh"]
    assert chunks.total_bytes == 8


def test_an_empty_path_holds_no_audio_whatever_its_name(tmp_path: Path) -> None:
    for name in ("a.wav", "a.ul", "a.pcm", "README.md"):
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(AudioFormatError, match="holds no audio"):
            samples_of(tmp_path / name)


@pytest.mark.parametrize("empty", [b"", [], [b"", b""], io.BytesIO(), riff(fmt(), chunk(b"data", b""))])
def test_a_source_without_a_sample_is_refused(empty: Any) -> None:
    with pytest.raises(AudioFormatError, match="holds no audio"):
        samples_of(empty)


@pytest.mark.parametrize("data", [b"abcde", b"a"])
def test_half_a_sample_at_the_end_of_bare_samples_is_told_after_all_whole_ones_were_handed_out(data: bytes) -> None:
    for source in (data, OneByteStream(data)):
        chunks = audio_chunks(source, PCM, 4)  # type: ignore[arg-type]
        if data != b"a":
            assert next(chunks) == b"abcd"
        with pytest.raises(AudioFormatError, match="ends within a sample"):
            next(chunks)


def test_a_file_that_ends_within_a_sample_is_sent_as_far_as_it_is_whole_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.pcm"
    path.write_bytes(b"abcde")
    cut_off = riff(fmt(), chunk(b"data", b"", 9)) + b"abcde"
    with path.open("rb") as bare:
        sources: list[Any] = [cut_off, OneByteStream(cut_off), riff(fmt(), chunk(b"data", b"abcde")), path, bare]
        for source in sources:
            caplog.clear()
            assert samples_of(source) == b"abcd"
            (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
            assert re.search("is cut off|its last 1 bytes are left out", told.getMessage())
    with pytest.raises(AudioFormatError, match="ends within a sample"):
        samples_of(riff(fmt(), chunk(b"data", b"a")))


def test_a_file_cut_off_after_whole_samples_is_sent_as_far_as_it_goes_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert samples_of(riff(fmt(), chunk(b"data", b"abcd" * 6000, 96_000))) == b"abcd" * 6000
    (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert told.getMessage() == "the WAV file is cut off: its header promises 2.0 s, and it holds 0.5 s"


def test_a_file_in_text_mode_is_refused_with_the_mode_to_use(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="'rb'"):
        audio_chunks(io.StringIO("abc"), PCM, 4800)  # type: ignore[arg-type]
    with SPEECH.open(encoding="latin-1") as file, pytest.raises(InvalidInputError, match="'rb'"):
        audio_chunks(file, PCM, 4800)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 3, 3.5, object(), len])
def test_what_can_be_no_source_is_refused_when_called(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="Audio must be"):
        audio_chunks(wrong, PCM, 4800)


@pytest.mark.parametrize(
    ("pieces", "told"),
    [(["text"], "text"), (array.array("h", [1, 2]), "tobytes"), ([None], "blocking"), ([b"ab", 1], "int")],
)
def test_pieces_that_are_not_bytes_are_refused(pieces: Any, told: str) -> None:
    with pytest.raises(AudioFormatError, match=told):
        samples_of(pieces)


@pytest.mark.parametrize("size", [0, 1, -2, 2.0, True, None])
def test_a_chunk_holds_at_least_one_sample(size: Any) -> None:
    with pytest.raises(InvalidInputError, match="chunk_bytes"):
        audio_chunks(b"abcd", PCM, size)


def test_errors_of_the_source_pass_through() -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(4800)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        samples_of(failing())
    with pytest.raises(FileNotFoundError):
        samples_of("no such file.wav")


@given(st.binary(max_size=60), st.integers(0, 5))
def test_no_source_at_all_raises_anything_but_an_audio_format_error(data: bytes, kind: int) -> None:
    start = (b"", b"RIFF\0\0\0\0WAVE", riff(fmt()), riff(fmt(), b"data"), b"ID3", b"\0\0\0\0ftyp")[kind]
    try:
        samples_of(start + data, PCM, 6)
    except AudioFormatError:
        pass
