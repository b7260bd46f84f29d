"""Microphones and speakers of files, and the gate between the two."""

from __future__ import annotations

import io
import random
import threading
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realtime_sync.audio import MULAW, PCM, RealClock, SampleFormat, g711
from realtime_sync.audio.playback import PlaybackPosition
from realtime_sync.devices.play_queue import PlayQueue
from realtime_sync.errors import AudioDeviceError, AudioFormatError, InvalidInputError, UsageError, WaitTimeoutError
from realtime_sync.voice import FileMicrophone, FileSpeaker, HalfDuplex, Microphone, Speaker
from tests.audio.audio_files import EXAMPLES
from tests.core.harness import Running, client_threads, until

NOISE = random.Random(1).randbytes(2 * 24_000)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not client_threads())


class SteppedClock:
    """Time that passes when the test says so, a wait of the device's after the other."""

    def __init__(self) -> None:
        self._time = 0.0
        self._steps = threading.Semaphore(0)

    def now(self) -> float:
        return self._time

    def wait(self, seconds: float) -> None:
        assert self._steps.acquire(timeout=20)
        self._time += seconds

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()


class NoClock:
    """Waits take no time at all."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds


# --- the microphone


def test_a_microphone_hears_its_recordings_with_a_pause_behind_each() -> None:
    clock = NoClock()
    microphone: Microphone = FileMicrophone(NOISE, [NOISE[:960]], chunk_ms=20, pause_ms=200, endless=False, clock=clock)
    microphone.start()
    pieces = list(microphone)
    assert b"".join(pieces) == NOISE + bytes(9600) + NOISE[:960] + bytes(9600)
    assert {len(piece) for piece in pieces} == {960}
    assert clock.time == pytest.approx(1 + 0.2 + 0.02 + 0.2 - 0.02)


def test_a_microphone_goes_on_with_silence_and_hears_what_it_is_told_next() -> None:
    microphone = FileMicrophone(pause_ms=0, clock=NoClock())
    heard = iter(microphone)
    assert [next(heard) for _ in range(5)] == [bytes(960)] * 5
    microphone.say(NOISE[:1920])
    assert [next(heard) for _ in range(3)] == [NOISE[:960], NOISE[960:1920], bytes(960)]
    microphone.stop()
    assert list(heard) == []
    with pytest.raises(UsageError, match="new one"):
        microphone.start()


def test_a_microphone_hears_any_file_in_the_sessions_format() -> None:
    for format in (PCM, MULAW):
        with FileMicrophone(
            EXAMPLES / "hello_16khz.wav", format=format, pause_ms=0, endless=False, clock=NoClock()
        ) as microphone:
            heard = b"".join(microphone)
        assert format.seconds(len(heard)) == pytest.approx(96_800 / 32_000, abs=0.01)


def test_a_stopped_microphone_ends_at_once() -> None:
    microphone = FileMicrophone(chunk_ms=10_000, pace=0.01)
    heard = iter(microphone)
    next(heard)
    rest = Running(lambda: list(heard))
    microphone.stop()
    assert rest.result() == []


def test_what_a_recording_raises_is_raised_by_the_microphone() -> None:
    with pytest.raises(FileNotFoundError):
        list(FileMicrophone("nothing.wav", clock=NoClock()))
    with pytest.raises(AudioFormatError, match="no audio"):
        list(FileMicrophone(b"", clock=NoClock()))
    with pytest.raises(InvalidInputError, match="pace"):
        FileMicrophone(pace=0)


# --- the speaker


def heard_from(path: Path) -> tuple[int, bytes]:
    with wave.open(str(path)) as file:
        return file.getframerate(), file.readframes(file.getnframes())


def test_a_speaker_plays_into_a_file_what_a_room_would_hear(tmp_path: Path) -> None:
    path, clock = tmp_path / "heard.wav", SteppedClock()
    speaker: Speaker = FileSpeaker(path, clock=clock)
    speaker.write("a", 0, NOISE[:2400])  # 50 ms
    speaker.start()
    clock.step(4)
    until(lambda: not speaker.playing)
    current = speaker.position.current
    assert current is not None
    assert (current.item_id, current.ms) == ("a", 50)
    clock.step(20)
    closing = Running(speaker.close)
    clock.step(1)
    closing.result()
    rate, data = heard_from(path)
    assert rate == 24_000
    assert data.startswith(NOISE[:2400])
    assert set(data[2400:]) == {0}
    assert len(data) % 960 == 0


def test_a_stopped_speaker_has_played_exactly_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "heard.wav"
    with FileSpeaker(path, pace=20, block_ms=10) as speaker:
        speaker.write("a", 2, NOISE * 60)  # a minute
        until(lambda: speaker.position.current is not None)
        heard = speaker.stop()
        assert heard is not None
        assert (heard.item_id, heard.content_index) == ("a", 2)
        assert not speaker.playing
        speaker.write("a", 2, NOISE)  # still on its way
        assert not speaker.playing
        speaker.wait(20)
    _, data = heard_from(path)
    loud = data.strip(b"\0")
    assert heard.ms == pytest.approx(len(loud) / 48, abs=1)
    assert (NOISE * 60).startswith(loud)


def test_a_speaker_waits_until_all_is_played_and_keeps_the_pace() -> None:
    with FileSpeaker(pace=10) as speaker:
        assert speaker.name == "nothing"
        speaker.write("so long that no machine is slow enough", 0, NOISE * 600)
        with pytest.raises(WaitTimeoutError, match="within 0 s"):
            speaker.wait(0)
        speaker.stop()
        speaker.write("a", 0, NOISE)
        speaker.wait(20)
        current = speaker.position.current
    assert current is not None
    assert current.ms == 1000


def test_a_speaker_of_telephone_audio_writes_what_is_heard_of_it() -> None:
    file = io.BytesIO()
    data = g711.encode(NOISE[:3200], "audio/pcmu")
    with FileSpeaker(file, format=MULAW, clock=RealClock(speed=50)) as speaker:
        speaker.write("a", 0, data)
        speaker.wait(20)
    with wave.open(io.BytesIO(file.getvalue())) as heard:
        assert heard.getframerate() == 8000
        assert heard.readframes(10**6).lstrip(b"\0").rstrip(b"\0") in g711.decode(data, "audio/pcmu")


def test_a_full_disk_is_told_to_who_writes_next(tmp_path: Path) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 100:
                raise OSError(28, "No space left on device")
            return super().write(data)

    with FileSpeaker(FullDisk(), pace=20) as speaker:
        until(lambda: not client_threads())
        with pytest.raises(AudioDeviceError, match="No space left"):
            speaker.write("a", 0, NOISE)


def test_a_speaker_is_started_once_and_closed_once(tmp_path: Path) -> None:
    speaker = FileSpeaker(tmp_path / "heard.wav")
    with pytest.raises(UsageError, match="start"):
        speaker.wait()
    speaker.start()
    speaker.start()
    assert len(client_threads()) == 1
    speaker.close()
    speaker.close()
    with pytest.raises(UsageError, match="new one"):
        speaker.start()
    with pytest.raises(FileNotFoundError):
        FileSpeaker(tmp_path / "no folder" / "heard.wav").start()
    with pytest.raises(InvalidInputError, match="block_ms"):
        FileSpeaker(block_ms=0)


# --- the queue, under all threads at once


def test_no_sample_is_counted_after_it_was_dropped() -> None:
    for _ in range(200):
        queue = PlayQueue(PlaybackPosition())
        queue.put("a", 0, NOISE)
        taking = Running(lambda queue=queue: sum(any(queue.take(48)) for _ in range(100)))  # type: ignore[misc]
        heard = queue.drop()
        queue.put("a", 0, NOISE)
        loud = taking.result()
        assert (heard.ms if heard else 0) == 2 * loud == queue.taken // 24
        assert queue.empty


# --- the gate


class Sounds:
    """A microphone that hears the same for ever, and a speaker that plays when it is told to."""

    name, format, playing = "a room", PCM, False

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"\1\1" * 480


def test_a_half_duplex_microphone_is_deaf_while_the_speaker_plays_and_a_while_longer() -> None:
    room: Any = Sounds()
    gate: Microphone = HalfDuplex(room, room, tail_ms=50)
    gate.start()
    pieces = iter(gate)
    loud, silent = b"\1\1" * 480, bytes(960)
    assert [next(pieces) for _ in range(2)] == [loud] * 2
    room.playing = True
    assert [next(pieces) for _ in range(3)] == [silent] * 3
    room.playing = False
    assert [next(pieces) for _ in range(5)] == [silent] * 3 + [loud] * 2  # 50 ms begin within a third piece
    gate.stop()
    assert room.calls == ["start", "stop"]
    assert gate.name == "a room (half duplex)"


def test_the_gates_silence_is_the_formats() -> None:
    room: Any = Sounds()
    room.format = SampleFormat.of("audio/pcmu")
    room.playing = True
    assert next(iter(HalfDuplex(room, room))) == b"\xff" * 960
    with pytest.raises(InvalidInputError, match="tail_ms"):
        HalfDuplex(room, room, tail_ms=-1)
