"""The machine's microphone and speaker, with a backend that behaves as sounddevice does: there is no sound here."""

from __future__ import annotations

import logging
import random
import sys
from typing import Any, Optional

import pytest

from realtime_sync.audio import MULAW, PCM, g711
from realtime_sync.devices import sound_devices
from realtime_sync.errors import (
    AudioDeviceError,
    ConfigurationError,
    InvalidInputError,
    UsageError,
    WaitTimeoutError,
)
from realtime_sync.voice import (
    Device,
    FileMicrophone,
    FileSpeaker,
    Microphone,
    SoundDeviceMicrophone,
    SoundDeviceSpeaker,
    Speaker,
    devices,
    find_device,
)
from tests.audio.tones import pcm, purity, tone
from tests.core.harness import Running
from tests.devices.fake_sounddevice import FakeSoundDevice

NOISE = random.Random(1).randbytes(2 * 24_000)


@pytest.fixture
def backend() -> FakeSoundDevice:
    return FakeSoundDevice()


def tone_bytes(rate: int) -> bytes:
    return (tone(1000, rate) * 32768).astype("<i2").tobytes()


# --- which device


def test_devices_are_listed_by_what_they_do(backend: FakeSoundDevice) -> None:
    assert devices("input", backend=backend) == [
        Device(0, "Webcam: USB Audio", 48_000),
        Device(1, "Built-in Microphone", 48_000),
    ]
    assert [each.index for each in devices("output", backend=backend)] == [2, 3]


@pytest.mark.parametrize("wanted", [0, "webcam", "USB", "Webcam: USB Audio"])
def test_a_device_is_found_by_number_name_or_a_part_of_it(backend: FakeSoundDevice, wanted: Any) -> None:
    assert find_device(wanted, "input", backend=backend).index == 0
    assert SoundDeviceMicrophone(wanted, backend=backend).name == "Webcam: USB Audio"


def test_no_device_named_is_the_systems_default(backend: FakeSoundDevice) -> None:
    assert SoundDeviceMicrophone(backend=backend).name == "Built-in Microphone"
    assert SoundDeviceSpeaker(backend=backend).name == "Built-in Speaker"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("sony", r"no microphone 'sony'\. There are: 0 'Webcam: USB Audio'; 1 'Built-in Microphone'\."),
        ("u", "more than one microphone 'u'. There are: 0 "),
        (2, "no microphone 2"),
    ],
)
def test_a_name_that_fits_none_or_several_is_told_with_those_that_there_are(
    backend: FakeSoundDevice, wanted: Any, told: str
) -> None:
    with pytest.raises(AudioDeviceError, match=told):
        SoundDeviceMicrophone(wanted, backend=backend)


def test_a_machine_without_sound_is_told_of_the_file_that_will_do() -> None:
    silent = FakeSoundDevice(devices=False)
    with pytest.raises(AudioDeviceError, match=r"no default microphone.*has no microphone.*FileMicrophone"):
        SoundDeviceMicrophone(backend=silent)
    with pytest.raises(AudioDeviceError, match="FileSpeaker"):
        SoundDeviceSpeaker("any", backend=silent)


def test_without_sounddevice_or_portaudio_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ConfigurationError, match=r"sounddevice: pip install 'realtime-sync\[devices\]'"):
        SoundDeviceMicrophone()

    class NoPortAudio:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr(sys, "meta_path", [NoPortAudio(), *sys.meta_path])
    with pytest.raises(ConfigurationError, match="libportaudio2"):
        devices("input")


def test_a_device_that_cannot_be_opened_is_told_with_its_name(backend: FakeSoundDevice) -> None:
    backend.refuses = "Device unavailable [PaErrorCode -9985]"
    for device in (SoundDeviceMicrophone(backend=backend), SoundDeviceSpeaker(backend=backend)):
        with pytest.raises(AudioDeviceError, match=f"'{device.name}' cannot be opened: Device unavailable"):
            device.start()
        assert backend.streams[-1].calls == ["start", "close"]


@pytest.mark.parametrize("length", [0, -20, float("nan"), "20", True, 10_001])
def test_pieces_have_a_length_that_makes_sense(backend: FakeSoundDevice, length: Any) -> None:
    with pytest.raises(InvalidInputError, match="chunk_ms must be a number of milliseconds from 1 to 1,000"):
        SoundDeviceMicrophone(chunk_ms=length, backend=backend)
    with pytest.raises(InvalidInputError, match="block_ms must be a number of milliseconds from 1 to 1,000"):
        SoundDeviceSpeaker(block_ms=length, backend=backend)
    with pytest.raises(InvalidInputError, match="chunk_ms"):
        FileMicrophone(chunk_ms=length)
    with pytest.raises(InvalidInputError, match="block_ms"):
        FileSpeaker(block_ms=length)


# --- the microphone


def test_a_microphone_gives_what_it_hears_until_it_is_stopped(backend: FakeSoundDevice) -> None:
    microphone: Microphone = SoundDeviceMicrophone(chunk_ms=20, backend=backend)
    microphone.start()
    microphone.start()
    (stream,) = backend.streams
    assert (stream.settings["samplerate"], stream.settings["blocksize"]) == (24_000, 480)
    heard = iter(microphone)
    for start in range(0, len(NOISE), 960):
        stream.feed(NOISE[start : start + 960])
        assert next(heard) == NOISE[start : start + 960]
    ended = Running(lambda: list(heard))
    microphone.stop()
    assert ended.result() == []
    assert stream.calls == ["start", "abort", "close"]
    microphone.stop()


def test_a_microphone_can_be_started_again_and_has_forgotten_what_was_before(backend: FakeSoundDevice) -> None:
    with SoundDeviceMicrophone(backend=backend) as microphone:
        backend.streams[0].feed(b"\1\1" * 480)
    assert list(microphone) == []
    with microphone:
        backend.streams[1].feed(b"\2\2" * 480)
        assert next(iter(microphone)) == b"\2\2" * 480


def test_a_microphone_gives_g711_where_that_is_wanted(backend: FakeSoundDevice) -> None:
    with SoundDeviceMicrophone(format=MULAW, backend=backend) as microphone:
        backend.streams[0].feed(NOISE[:320])
        assert backend.streams[0].settings["samplerate"] == 8000
        assert next(iter(microphone)) == g711.encode(NOISE[:320], "audio/pcmu")


def test_a_microphone_that_does_not_take_the_rate_is_resampled() -> None:
    backend = FakeSoundDevice(rates={48_000})
    microphone, heard = SoundDeviceMicrophone(backend=backend), b""
    microphone.start()
    (stream,) = backend.streams
    assert stream.settings["blocksize"] == 960
    data, pieces = tone_bytes(48_000), iter(microphone)
    for start in range(0, len(data), 1920):
        stream.feed(data[start : start + 1920])
        heard += next(pieces)
    microphone.stop()
    samples = pcm(heard + b"".join(pieces))
    level, below = purity(samples, 1000, 24_000)
    assert len(samples) == 24_000
    assert level == pytest.approx(0.5, rel=0.001)
    assert below > 80


def test_a_microphone_that_is_unplugged_raises_and_ends(backend: FakeSoundDevice) -> None:
    with SoundDeviceMicrophone(backend=backend) as microphone:
        heard = iter(microphone)
        backend.streams[0].feed(b"\1\1" * 480)
        assert next(heard) == b"\1\1" * 480
        backend.streams[0].vanish()
        with pytest.raises(AudioDeviceError, match="'Built-in Microphone' gives no sound any more"):
            next(heard)
        assert list(heard) == []


def test_a_microphone_that_falls_silent_for_good_raises(
    backend: FakeSoundDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_devices, "_GONE_SECONDS", 0.05)
    with SoundDeviceMicrophone(backend=backend) as microphone, pytest.raises(AudioDeviceError, match="unplugged"):
        next(iter(microphone))


def test_what_nobody_takes_in_time_is_lost_and_said(backend: FakeSoundDevice, caplog: pytest.LogCaptureFixture) -> None:
    with SoundDeviceMicrophone(backend=backend) as microphone:
        heard = iter(microphone)
        for number in range(510):
            backend.streams[0].feed(number.to_bytes(2, "little") * 480)
        with caplog.at_level(logging.WARNING, "realtime_sync"):
            assert [int.from_bytes(next(heard)[:2], "little") for _ in range(500)] == list(range(500))
    assert "10 pieces of the microphone's audio were lost" in caplog.text


# --- the speaker


def played(speaker: Speaker) -> Optional[tuple[str, int, int]]:
    current = speaker.position.current
    return None if current is None else (current.item_id, current.content_index, current.ms)


def test_a_speaker_plays_in_order_counts_to_the_sample_and_is_silent_otherwise(backend: FakeSoundDevice) -> None:
    speaker: Speaker = SoundDeviceSpeaker(backend=backend)
    speaker.start()
    (stream,) = backend.streams
    assert (stream.settings["samplerate"], stream.settings["blocksize"]) == (24_000, 480)
    assert stream.pull(480) == bytes(960)
    assert played(speaker) is None
    speaker.write("a", 0, NOISE[:1000])
    speaker.write("b", 1, NOISE[1000:2000])
    assert speaker.playing
    assert stream.pull(240) == NOISE[:480]
    assert played(speaker) == ("a", 0, 10)
    assert stream.pull(480) == NOISE[480:1440]
    assert played(speaker) == ("b", 1, 9)
    assert stream.pull(480) == NOISE[1440:2000] + bytes(400)
    assert played(speaker) == ("b", 1, 20)
    assert not speaker.playing
    assert stream.pull(480) == bytes(960)
    assert played(speaker) == ("b", 1, 20)
    speaker.close()
    assert stream.calls == ["start", "stop", "close"]  # what the device has taken is heard


def test_a_stopped_speaker_drops_the_rest_at_once_and_what_comes_of_it(backend: FakeSoundDevice) -> None:
    with SoundDeviceSpeaker(backend=backend) as speaker:
        (stream,) = backend.streams
        speaker.write("a", 0, NOISE[:4800])
        speaker.write("behind", 0, NOISE[:4800])
        stream.pull(720)
        heard = speaker.stop()
        assert heard is not None
        assert (heard.item_id, heard.ms) == ("a", 30)
        for item in ("a", "behind"):
            speaker.write(item, 0, NOISE[:4800])
        assert not speaker.playing
        assert stream.pull(480) == bytes(960)
        assert played(speaker) == ("a", 0, 30)
        speaker.write("next", 0, NOISE[:960])
        assert stream.pull(480) == NOISE[:960]
        speaker.write("next", 0, NOISE)
    assert stream.calls == ["start", "abort", "close"]


def test_a_speaker_plays_g711_and_counts_its_samples(backend: FakeSoundDevice) -> None:
    with SoundDeviceSpeaker(format=MULAW, backend=backend) as speaker:
        data = g711.encode(NOISE[:1600], "audio/pcmu")
        speaker.write("a", 0, data)
        assert backend.streams[0].pull(800) == g711.decode(data, "audio/pcmu")
        assert played(speaker) == ("a", 0, 100)


def test_a_speaker_that_does_not_take_the_rate_is_resampled_and_counts_milliseconds_all_the_same() -> None:
    backend = FakeSoundDevice(rates={48_000})
    with SoundDeviceSpeaker(backend=backend) as speaker:
        (stream,) = backend.streams
        data, out = tone_bytes(24_000), b""
        for start in range(0, len(data), 4801 * 2):
            speaker.write("a", 0, data[start : start + 4801 * 2])
        speaker.write("b", 0, data[:4800])
        waiting = Running(lambda: speaker.wait(20))
        while waiting.alive:
            out += stream.pull(960)
        waiting.result()
        a, b = speaker.position.of_item("a"), speaker.position.of_item("b")
        assert a is not None
        assert b is not None
        assert (a.ms, b.ms) == (1000, 100)
        level, below = purity(pcm(out[: 96 * 1000]), 1000, 48_000)
        assert level == pytest.approx(0.5, rel=0.001)
        assert below > 80


def test_waiting_ends_when_all_was_played_or_the_time_is_up(backend: FakeSoundDevice) -> None:
    with SoundDeviceSpeaker(backend=backend) as speaker:
        speaker.wait(0)
        speaker.write("a", 0, NOISE[:960])
        with pytest.raises(WaitTimeoutError, match=r"within 0\.01 s"):
            speaker.wait(0.01)
        waiting = Running(lambda: speaker.wait(20))
        backend.streams[0].pull(480)
        waiting.result()
        speaker.write("a", 0, NOISE[:960])
        waiting = Running(lambda: speaker.wait(20))
        speaker.stop()
        waiting.result()


def test_a_speaker_that_is_unplugged_releases_who_waits_with_an_error(backend: FakeSoundDevice) -> None:
    speaker = SoundDeviceSpeaker(backend=backend)
    with speaker:
        speaker.write("a", 0, NOISE)
        waiting = Running(lambda: speaker.wait(20))
        backend.streams[0].vanish()
        assert isinstance(waiting.join(), AudioDeviceError)
        with pytest.raises(AudioDeviceError, match="'Built-in Speaker' takes no sound any more"):
            speaker.write("a", 0, NOISE)
    with speaker:  # plugged in again
        speaker.write("b", 0, NOISE[:960])
        assert backend.streams[1].pull(480) == NOISE[:960]


def test_a_speaker_that_takes_nothing_for_good_is_gone(
    backend: FakeSoundDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_devices, "_GONE_SECONDS", 0.05)
    with SoundDeviceSpeaker(backend=backend) as speaker:
        speaker.write("a", 0, NOISE)
        with pytest.raises(AudioDeviceError, match="unplugged"):
            speaker.wait()


def test_a_speaker_that_was_not_started_says_so(backend: FakeSoundDevice) -> None:
    speaker = SoundDeviceSpeaker(backend=backend)
    with pytest.raises(UsageError, match="start"):
        speaker.write("a", 0, NOISE)
    speaker.close()
    with speaker:
        pass
    with pytest.raises(UsageError, match="start"):
        speaker.write("a", 0, PCM.silence(1))
