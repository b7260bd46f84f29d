"""MP3 and AAC without a container, told from samples by their frames."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync.audio import PCM, audio_chunks
from realtime_sync.audio.containers import container
from realtime_sync.errors import AudioFormatError
from tests.audio.audio_files import OneByteStream


def kind(data: bytes) -> str | None:
    return container(lambda size: data[:size], None)


def mp3(version: int = 3, layer: int = 1, index: int = 9, rate: int = 0, padding: int = 0, size: int = 417) -> bytes:
    """A frame of MP3; the numbers are those of the header's fields, as ISO 11172-3 names them."""
    header = bytes([0xFF, 0xE1 | version << 3 | layer << 1, index << 4 | rate << 2 | padding << 1, 0x44])
    return header + random.Random(size).randbytes(size - 4)


def adts(size: int = 300, rate: int = 3) -> bytes:
    """A frame of AAC."""
    header = bytes([0xFF, 0xF1, 0x40 | rate << 2, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC])
    return header + random.Random(size).randbytes(size - 7)


@pytest.mark.parametrize(
    "frame",
    [
        mp3(),  # MPEG-1, 128 kbit/s at 44,100 Hz
        mp3(padding=1, size=418),
        mp3(rate=1, index=14, size=960),  # 320 kbit/s at 48,000 Hz
        mp3(version=2, rate=1, index=14, size=480),  # MPEG-2, 160 kbit/s at 24,000 Hz
        mp3(version=0, rate=2, index=1, size=72),  # MPEG-2.5, 8 kbit/s at 8,000 Hz
        mp3(layer=2, rate=1, index=14, size=1152),  # layer II, 384 kbit/s
    ],
)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_mp3_without_a_tag_is_known_by_its_frames(frame: bytes, count: int) -> None:
    assert kind(frame * count) == "an MP3 file"
    assert kind(frame * 3 + b"cut") == "an MP3 file"


def test_frames_of_other_bit_rates_belong_to_the_same_file() -> None:
    assert kind(mp3() + mp3(index=14, size=1044) + mp3(index=1, size=104) + b"more") == "an MP3 file"


@pytest.mark.parametrize("sizes", [(300, 300), (8000, 9, 300, 20)])
def test_aac_without_a_container_is_known_by_its_frames(sizes: tuple[int, ...]) -> None:
    assert kind(b"".join(map(adts, sizes))) == "an AAC file"


@pytest.mark.parametrize(
    "data",
    [
        mp3(),  # one header is an accident
        mp3() + b"ab",
        mp3() * 2 + bytes(100),
        mp3(size=416) * 5,  # not where the first says
        mp3() + mp3(rate=1, index=14, size=960) * 2,  # another rate
        mp3(version=1) * 5,
        mp3(layer=3, index=9, size=313) * 5,
        mp3(index=0) * 5,
        mp3(index=15) * 5,
        mp3(rate=3) * 5,
        adts(rate=13) * 5,
        adts() + adts(rate=4) * 3,
        adts(size=7) * 5,
        b"\xff" * 5000,
        b"\xff\xfb" * 5000,
    ],
)
def test_what_is_not_a_row_of_frames_may_be_samples(data: bytes) -> None:
    assert kind(data) is None
    samples = data + bytes(len(data) % 2)
    assert b"".join(audio_chunks([samples], PCM, 4800)) == b"".join(audio_chunks(samples, PCM, 4800)) == samples


@given(st.data())
def test_quiet_samples_and_loud_ones_are_never_taken_for_a_file(data: st.DataObject) -> None:
    level = data.draw(st.sampled_from([1, 3, 300, 3000, 32767]))
    start = data.draw(st.sampled_from([b"", mp3()[:4], adts()[:7], b"\xff\xff", b"\xff\xfb"]))
    noise = random.Random(data.draw(st.integers(0, 2**32)))
    samples = b"".join(noise.randint(-level, level).to_bytes(2, "little", signed=True) for _ in range(2000))
    assert kind(start + samples) is None


@pytest.mark.usefixtures("no_audio_extra")
@pytest.mark.parametrize("frame", [mp3(), adts()])
def test_frames_are_refused_from_any_source_with_a_way_to_convert(frame: bytes) -> None:
    for source in (frame * 4, bytearray(frame * 4), io.BytesIO(frame * 4), OneByteStream(frame * 4), [frame] * 4):
        with pytest.raises(AudioFormatError, match=r"This is an (MP3|AAC) file.*ffmpeg -i"):
            list(audio_chunks(source, PCM, 4800))  # type: ignore[arg-type]


def test_no_more_is_read_than_the_headers_need() -> None:
    asked = []

    def peek(size: int) -> bytes:
        asked.append(size)
        return (mp3() + b"\0" * 5000)[:size]

    assert container(peek, None) is None
    assert max(asked) < 430


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"\0\0\0\x20moov", "MP4"),
        (b"\0\0\xff\x20mdat", "MP4"),
        (b"MAC \x96\x0f\0\0", "Monkey"),
        (b"#!SILK_V3", "SILK"),
        (b"\x02#!SILK_V3", "SILK"),
        (b"NIST_1A\n", "SPHERE"),
        (b"Creative Voice File", "VOC"),
        (b"FLV\x01", "Flash"),
    ],
)
def test_other_kinds_are_known_by_their_first_bytes(start: bytes, told: str) -> None:
    assert told in (kind(start + bytes(100)) or "")
