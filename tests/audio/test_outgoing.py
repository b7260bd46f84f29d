"""Audio on its way out: at the speed of speech, with silence behind it, and reported on."""

from __future__ import annotations

import io
import random
import threading
import time
import wave
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync.audio import ALAW, MULAW, PCM, Pacer, RealClock, check_commit, outgoing_chunks
from realtime_sync.errors import AudioFormatError, ConfigurationError, InvalidInputError, UsageError
from realtime_sync.protocol.options import TurnDetectionOptions
from tests.audio.audio_files import EXAMPLES

SPEECH = bytes(range(256)) * 375  # 2 s


class FastClock:
    """Time that passes by waiting; every wait is as much too long as a busy machine makes it."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.time = 1000.0
        self.waits = 0
        self._jitter = jitter
        self._chance = random.Random(11)

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.waits += 1
        self.time += seconds + self._chance.random() * self._jitter


# --- the clock


def test_ten_minutes_in_accelerated_time_end_within_5_ms_of_the_clock_however_much_too_long_each_wait_was() -> None:
    clock, minute = FastClock(jitter=0.004), bytes(48_000 * 60)
    sent, latest = 0, 0.0
    for chunk in outgoing_chunks((minute for _ in range(10)), PCM, pace=1.0, clock=clock):
        latest = max(latest, clock.time - 1000 - PCM.seconds(sent))
        assert clock.time - 1000 >= PCM.seconds(sent) - 1e-6  # and never too early
        sent += len(chunk)
    assert sent == 10 * len(minute)
    assert clock.waits == 6000
    assert abs(clock.time - 1600) < 0.005
    assert latest < 0.005


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0, 25])
@pytest.mark.parametrize("format", [PCM, MULAW])
def test_the_pace_is_a_multiple_of_the_speed_of_speech(format: Any, pace: float) -> None:
    clock = FastClock()
    assert b"".join(outgoing_chunks(SPEECH, format, pace=pace, clock=clock)) == SPEECH
    assert clock.time - 1000 == pytest.approx(format.seconds(len(SPEECH)) / pace, abs=1e-6)


def test_the_real_clock_takes_as_long_as_the_audio_lasts() -> None:
    started = time.monotonic()
    list(outgoing_chunks(bytes(48_000), PCM, pace=4.0, chunk_ms=20))
    assert time.monotonic() - started >= 0.25
    started = time.monotonic()
    list(outgoing_chunks(bytes(48_000), PCM, pace=1.0, clock=RealClock(speed=4.0)))
    assert time.monotonic() - started >= 0.25


def test_a_wait_of_the_real_clock_ends_when_it_is_woken() -> None:
    wake = threading.Event()
    wake.set()
    started = time.monotonic()
    RealClock(wake=wake).wait(60)
    assert time.monotonic() - started < 30


def test_after_a_stall_no_more_than_the_bound_is_sent_at_once() -> None:
    clock, times = FastClock(), []

    def stalling() -> Iterator[bytes]:
        for number in range(100):
            if number == 20:
                clock.time += 30.0
            yield bytes(4800)

    for _ in outgoing_chunks(stalling(), PCM, pace=1.0, clock=clock):
        times.append(clock.time - 1000)
    at_once = [moment for moment in times if moment == pytest.approx(times[20])]
    assert len(at_once) == 11  # a second's worth, and the one that is due
    assert times[-1] == pytest.approx(9.9 + 28.9)  # the stall was noticed 29.9 s late


def test_a_pacer_tells_what_it_gave_up() -> None:
    clock = FastClock()
    pacer = Pacer(1.0, clock, most_behind=0.5)
    pacer.wait_until(0)
    clock.time += 2
    pacer.wait_until(1.0)
    assert pacer.delayed == pytest.approx(0.5)
    clock.time += 0.3  # within the bound: caught up with
    pacer.wait_until(1.1)
    assert pacer.delayed == pytest.approx(0.7)


def test_without_a_pace_nothing_waits() -> None:
    clock = FastClock()
    assert b"".join(outgoing_chunks(SPEECH, PCM, clock=clock)) == SPEECH
    assert clock.waits == 0


# --- silence


@pytest.mark.parametrize("format", [PCM, MULAW, ALAW])
def test_silence_follows_the_audio_in_the_formats_own_zero(format: Any) -> None:
    chunks = list(outgoing_chunks(SPEECH, format, chunk_ms=20, trailing_silence_ms=310))
    silence = format.silence(0.31)
    assert b"".join(chunks) == SPEECH + silence
    assert format.silence(0.31) == silence
    assert max(map(len, chunks)) == format.bytes_for(0.02)


# --- progress


def test_progress_is_told_after_each_chunk_was_sent_with_the_silence_counted() -> None:
    told: list[tuple[float, float | None]] = []
    chunks = outgoing_chunks(
        SPEECH, PCM, trailing_silence_ms=500, progress=lambda *now: told.append(now), pace=1.0, clock=FastClock()
    )
    for number, chunk in enumerate(chunks):
        assert len(told) == number
        assert len(chunk) == 4800
    assert [now for now, _ in told] == pytest.approx([0.1 * number for number in range(1, 26)])
    assert {total for _, total in told} == {2.5}


def test_a_source_that_does_not_tell_its_length_has_none_until_its_end() -> None:
    told: list[Any] = []
    list(outgoing_chunks([SPEECH], PCM, chunk_ms=1000, progress=lambda *now: told.append(now)))
    assert told == [(1.0, None), (2.0, None), (2.0, 2.0)]


def test_progress_never_passes_its_total() -> None:
    """Resampled audio may be a sample longer than its length told."""
    told: list[Any] = []
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 48_001))
    list(outgoing_chunks(recording.getvalue(), PCM, progress=lambda *now: told.append(now)))
    assert told[-1][0] > 1.0
    assert all(now <= total for now, total in told)


def test_what_the_callback_raises_ends_the_sending_and_closes_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, real_open = [], open

    def remember(*args: Any, **kwargs: Any) -> Any:
        opened.append(real_open(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr("builtins.open", remember)

    def fail(*now: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(outgoing_chunks(EXAMPLES / "hello.wav", PCM, progress=fail))
    chunks: Any = outgoing_chunks(EXAMPLES / "hello.wav", PCM, trailing_silence_ms=20)
    next(chunks)
    chunks.close()
    assert [file.closed for file in opened] == [True, True]


def test_a_bar_is_shown_in_the_terminal_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert b"".join(outgoing_chunks(SPEECH, PCM, progress=True)) == SPEECH
    assert "2.0/2.0 s" in capsys.readouterr().err
    list(outgoing_chunks(EXAMPLES / "hello.wav", PCM, progress=True))  # tqdm warns of more than there was to be
    assert "3.0/3.0 s" in capsys.readouterr().err  # of 3.025


def test_without_tqdm_the_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with pytest.raises(ConfigurationError, match=r"tqdm: pip install 'realtime-sync\[progress\]'"):
        outgoing_chunks(SPEECH, PCM, progress=True)


# --- what makes no sense


@pytest.mark.parametrize(
    "arguments",
    [
        {"chunk_ms": 0},
        {"chunk_ms": 10_001},
        {"chunk_ms": "100"},
        {"chunk_ms": True},
        {"chunk_ms": float("nan")},
        {"pace": 0},
        {"pace": -1},
        {"pace": True},
        {"pace": "fast"},
        {"pace": float("inf")},
        {"pace": float("nan")},
        {"trailing_silence_ms": -1},
        {"trailing_silence_ms": 10**9},
        {"trailing_silence_ms": None},
        {"progress": "bar"},
        {"progress": 1},
    ],
)
def test_arguments_without_sense_are_refused_when_called(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        outgoing_chunks(SPEECH, PCM, **arguments)


def test_a_source_without_sense_is_refused_when_called_and_without_audio_when_iterated() -> None:
    with pytest.raises(InvalidInputError, match="Audio must be"):
        outgoing_chunks(5, PCM, pace=1.0)  # type: ignore[arg-type]
    with pytest.raises(AudioFormatError, match="no audio"):
        list(outgoing_chunks(b"", PCM, pace=1.0, trailing_silence_ms=100))


# --- committing


@pytest.mark.parametrize(("format", "size"), [(PCM, 4800), (MULAW, 800), (ALAW, 800)])
def test_a_commit_of_less_than_100_ms_is_refused_with_what_is_there(format: Any, size: int) -> None:
    check_commit(size, format, None)
    check_commit(size, format, TurnDetectionOptions.disabled())
    with pytest.raises(UsageError, match=r"Only 99 ms.*at least 100 ms"):
        check_commit(size - format.bytes_for(0.001), format, None)
    with pytest.raises(UsageError, match="Only 0 ms"):
        check_commit(0, format, None)


@pytest.mark.parametrize("detection", [TurnDetectionOptions.server_vad(), TurnDetectionOptions.semantic_vad()])
def test_a_commit_where_the_service_commits_is_refused_with_what_to_do(detection: TurnDetectionOptions) -> None:
    with pytest.raises(UsageError, match=rf"{detection.type}.*trailing_silence_ms.*disabled\(\)"):
        check_commit(10**6, PCM, detection)
