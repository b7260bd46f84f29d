"""What the server says can be heard; G.711 is the standard's, for every value that there is."""

from __future__ import annotations

import array
import time

import pytest

from realtime_sync.audio import g711
from realtime_sync.server.vad import SpeechStarted, VoiceDetector
from realtime_sync.server.voice import convert, speak

EVERY_SAMPLE = range(-32768, 32768)
CODES = {kind: g711.encode(array.array("h", EVERY_SAMPLE).tobytes(), kind) for kind in ("audio/pcmu", "audio/pcma")}


def ulaw(sample: int) -> int:
    """µ-law by the standard's table of decision values: 14 bits, bias 33, segments that double."""
    value = sample >> 2
    magnitude = min(abs(value), 8158) + 33
    segment = next(s for s in range(8) if magnitude < 64 << s)
    step = (magnitude >> (segment + 1)) & 15
    return ((0x80 if value < 0 else 0) | segment << 4 | step) ^ 0xFF


def alaw(sample: int) -> int:
    """A-law by the standard: 13 bits, even bits inverted, the first two segments linear."""
    value = sample >> 3
    sign, magnitude = (0x80, value) if value >= 0 else (0, -value - 1)
    if magnitude < 32:
        code = magnitude >> 1
    else:
        segment = next(s for s in range(1, 8) if magnitude < 32 << s)
        code = segment << 4 | (magnitude >> segment) & 15
    return (sign | code) ^ 0x55


@pytest.mark.parametrize(("kind", "formula"), [("audio/pcmu", ulaw), ("audio/pcma", alaw)])
def test_every_sample_has_the_code_of_the_standard(kind: str, formula: object) -> None:
    assert callable(formula)
    assert CODES[kind] == bytes(formula(sample) for sample in EVERY_SAMPLE)


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_every_code_decodes_to_a_sample_of_its_own_interval(kind: str) -> None:
    decoded = array.array("h", g711.decode(bytes(range(256)), kind))
    again = g711.encode(decoded.tobytes(), kind)
    # µ-law has two zeros, of which the encoder makes the positive one.
    different = [code for code in range(256) if again[code] != code]
    assert different == ([0x7F] if kind == "audio/pcmu" else [])
    error = max(abs(a - b) for a, b in zip(EVERY_SAMPLE, array.array("h", g711.decode(CODES[kind], kind)), strict=True))
    assert error <= 1024 if kind == "audio/pcma" else error <= 1026


def test_the_voice_is_the_same_each_time_and_another_for_another_name() -> None:
    assert speak("Hello there.") == speak("Hello there.")
    assert speak("Hello there.") != speak("Hello there.", "marin")
    assert speak("") == b""


def test_the_voice_sets_off_the_detector_and_pauses_end_it() -> None:
    detector = VoiceDetector(0.5, 200)
    found = list(detector.feed(speak("Good morning to you. And a very good evening.") + bytes(48 * 400)))
    assert sum(isinstance(event, SpeechStarted) for event in found) == 2
    assert not detector.speaking


def test_the_voice_is_neither_clipped_nor_a_lone_beep() -> None:
    samples = array.array("h", speak("The quick brown fox jumps over the lazy dog."))
    assert 4000 < max(map(abs, samples)) < 20_000
    halves = [sum(map(abs, samples[start : start + 1560])) for start in range(0, len(samples), 1560)]
    assert len(set(halves)) > 10


def test_five_seconds_of_voice_cost_little() -> None:
    text = "Sphinx of black quartz, judge my vow: how vexingly quick daft zebras jump! 0123456789"
    begin = time.process_time()
    pcm = speak(text, "a voice that is new")
    spent = time.process_time() - begin
    assert len(pcm) / 48_000 > 5
    assert spent < 2.0  # 0.1 s on an idle core


def test_g711_output_has_a_third_of_the_samples() -> None:
    pcm = speak("Hello")
    for kind in ("audio/pcmu", "audio/pcma"):
        assert len(convert(pcm, kind)) == len(pcm) // 6
    assert convert(pcm, "audio/pcm") == pcm
