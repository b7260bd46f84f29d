"""G.711, for every value that there is, against the standard's tables, audioop and libsndfile."""

from __future__ import annotations

import array
import bisect
import io
import itertools
import sys
import warnings

import pytest
import soundfile

from realtime_sync.audio import g711
from realtime_sync.audio.formats import ALAW, MULAW
from tests.audio.audio_files import chunk, fmt, riff

EVERY_SAMPLE = range(-32768, 32768)
EVERY_PCM = array.array("h", EVERY_SAMPLE).tobytes()
KINDS = {"audio/pcmu": 7, "audio/pcma": 6}  # and their codec in a WAV file


def decision_values(*segments: tuple[int, int]) -> list[int]:
    """The standard's x1, x2, ...: so many intervals of such a width, one segment after the other."""
    return list(itertools.accumulate(width for count, width in segments for _ in range(count)))


# Table 2a of G.711 (14-bit magnitudes) and table 1a (13-bit): 16 intervals a segment, each segment's twice as wide.
MU_VALUES = decision_values((1, 1), (15, 2), *((16, 4 << segment) for segment in range(7)))
A_VALUES = decision_values((32, 2), *((16, 4 << segment) for segment in range(6)))


def mu_law(sample: int) -> int:
    value = sample >> 2
    number = min(bisect.bisect_right(MU_VALUES, abs(value)), 127)
    return (0x7F if value < 0 else 0xFF) - number


def a_law(sample: int) -> int:
    value = sample >> 3
    magnitude, sign = (value, 0x80) if value >= 0 else (-value - 1, 0)
    return (sign | min(bisect.bisect_right(A_VALUES, magnitude), 127)) ^ 0x55


def test_the_tables_are_the_standards() -> None:
    assert (MU_VALUES[15], MU_VALUES[31], MU_VALUES[-1]) == (31, 95, 8159)
    assert (A_VALUES[31], A_VALUES[47], A_VALUES[-1]) == (64, 128, 4096)


@pytest.mark.parametrize(("kind", "law"), [("audio/pcmu", mu_law), ("audio/pcma", a_law)])
def test_every_sample_has_the_code_of_the_standards_table(kind: str, law: object) -> None:
    assert callable(law)
    assert g711.encode(EVERY_PCM, kind) == bytes(map(law, EVERY_SAMPLE))


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 has no audioop")
@pytest.mark.parametrize(("kind", "name"), [("audio/pcmu", "ulaw"), ("audio/pcma", "alaw")])
def test_every_sample_and_every_code_is_as_audioop_has_it(kind: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    codes = bytes(range(256))
    assert g711.encode(EVERY_PCM, kind) == getattr(audioop, f"lin2{name}")(EVERY_PCM, 2)
    assert g711.decode(codes, kind) == getattr(audioop, f"{name}2lin")(codes, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_code_is_decoded_as_libsndfile_decodes_it(kind: str) -> None:
    codes = bytes(range(256))
    file = io.BytesIO(riff(fmt(KINDS[kind], 1, 8000, 8), chunk(b"data", codes)))
    samples, _ = soundfile.read(file, dtype="int16")
    assert g711.decode(codes, kind) == samples.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoded_code_is_encoded_to_itself(kind: str) -> None:
    again = g711.encode(g711.decode(bytes(range(256)), kind), kind)
    different = [code for code in range(256) if again[code] != code]
    assert different == ([0x7F] if kind == "audio/pcmu" else [])  # µ-law has two zeros


def test_silence_is_silent_and_half_a_sample_left_out() -> None:
    assert g711.decode(MULAW.silence(0.001), MULAW.wire_type) == bytes(16)
    assert set(array.array("h", g711.decode(ALAW.silence(0.001), ALAW.wire_type))) == {8}
    assert g711.encode(b"", "audio/pcmu") == g711.encode(b"\0", "audio/pcmu") == b""
