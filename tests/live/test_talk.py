"""Whole spoken conversations in full duplex, with devices that are files, at the speed of speech."""

from __future__ import annotations

import base64
import io
import itertools
import logging
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_sync import (
    AudioDeviceError,
    AudioFormatError,
    ConversationUpdate,
    InvalidInputError,
    LiveSessionOptions,
    LiveSessionOutputTranscriptDeltaUpdate,
)
from realtime_sync.audio import MULAW, PCM, SampleFormat
from realtime_sync.live.delegation_requests import DelegationRequest
from realtime_sync.live.playout import MOST_SECONDS
from realtime_sync.live.talk import Backlog
from realtime_sync.server import TwinSession
from realtime_sync.server.voice import speak
from realtime_sync.voice import FileMicrophone, FileSpeaker, HalfDuplex, SoundDeviceMicrophone, SoundDeviceSpeaker
from tests.devices.fake_sounddevice import FakeSoundDevice, FakeStream
from tests.live.harness import LiveHouse, Running, until
from tests.live.test_sending import TONE, heard
from tests.live.test_spoken import fragment

pytestmark = pytest.mark.medium

QUESTION = speak("hello there")


class Sounds:
    """A speaker's file: what was sounded, and where."""

    def __init__(self, format: SampleFormat = PCM) -> None:
        self.file = io.BytesIO()
        self.speaker = FileSpeaker(self.file, format=format)

    @property
    def samples(self) -> npt.NDArray[np.int16]:
        with wave.open(io.BytesIO(self.file.getvalue())) as wav:
            return np.frombuffer(wav.readframes(10**9), "<i2")

    @property
    def sound(self) -> npt.NDArray[np.int16]:
        """From the first to the last sample that is no silence."""
        loud = np.flatnonzero(np.abs(self.samples) > 32)
        return self.samples[loud[0] : loud[-1] + 1] if len(loud) else self.samples[:0]


def told(twin: TwinSession) -> npt.NDArray[np.int16]:
    """The model's track, from its first to its last sample that is no silence."""
    track = b"".join(
        base64.b64decode(each["delta"]) for each in twin.sent if each["type"] == "session.output_audio.delta"
    )
    samples = np.frombuffer(track, "<i2")
    loud = np.flatnonzero(np.abs(samples) > 32)
    return samples[loud[0] : loud[-1] + 1]


def test_the_microphone_is_heard_and_what_the_model_says_is_played_to_the_sample(patient: LiveHouse) -> None:
    session, sounds = patient.start(), Sounds()
    updates: list[ConversationUpdate] = []
    session.append_commentary("Good morning to you all.")
    microphone = FileMicrophone(QUESTION, endless=False, pause_ms=200)
    session.talk(microphone, sounds.speaker, on_update=updates.append, linger=1.0)
    assert QUESTION.strip(b"\0") in heard(patient.twin)
    assert np.array_equal(sounds.sound, told(patient.twin))
    words = [each.delta for each in updates if isinstance(each, LiveSessionOutputTranscriptDeltaUpdate)]
    assert "".join(words).strip() == "Good morning to you all."
    assert not session.closed


@pytest.mark.slow
def test_what_is_said_in_a_talk_keeps_its_pauses(plain: LiveHouse) -> None:
    session, sounds, stop = plain.start(), Sounds(), threading.Event()
    talking = Running(lambda: session.talk(FileMicrophone(), sounds.speaker, stop=stop))
    until(lambda: plain.twin.timeline_ms > 300)
    for text in ("One.", "Two."):
        before = plain.twin.timeline_ms
        plain.twin.say(text)
        until(lambda: plain.twin.timeline_ms > before + 2500)  # noqa: B023
    stop.set()
    talking.result()
    lengths = [len(each) for each in (sounds.sound, told(plain.twin))]
    assert abs(lengths[0] - lengths[1]) <= 24 * 60


def test_telephone_audio_goes_both_ways(plain: LiveHouse) -> None:
    session, sounds = plain.start(LiveSessionOptions(audio_format="audio/pcmu")), Sounds(MULAW)
    session.append_commentary("Good morning.")
    session.talk(FileMicrophone(TONE[:8] * 1000, format=MULAW, endless=False), sounds.speaker, linger=1.5)
    assert len(sounds.sound) > 8000 * 0.3


def test_when_the_microphone_has_ended_the_answer_is_awaited(plain: LiveHouse) -> None:
    session, sounds = plain.start(), Sounds()

    def answer_late(update: ConversationUpdate) -> None:
        if plain.twin.timeline_ms > 1200 and not said:
            said.append("Here I am, and I go on for a while.")
            plain.twin.say(said[0])

    said: list[str] = []
    session.talk(FileMicrophone(QUESTION, endless=False, pause_ms=0), sounds.speaker, on_update=answer_late, linger=1.5)
    before = plain.twin.timeline_ms
    until(lambda: plain.twin.timeline_ms > before + 1500)
    assert np.array_equal(sounds.sound, told(plain.twin))


@pytest.mark.slow
def test_when_the_microphone_has_ended_work_that_is_under_way_is_awaited_and_said(plain: LiveHouse) -> None:
    def look_up(request: DelegationRequest) -> str:
        taken.set()
        request.cancelled.wait(2.5)
        return "It is noon."

    taken, said = threading.Event(), list[str]()
    session, sounds = plain.start(delegate=look_up), Sounds()

    def note(update: ConversationUpdate) -> None:
        if isinstance(update, LiveSessionOutputTranscriptDeltaUpdate):
            said.append(update.delta)

    plain.twin.rules = attrs.evolve(plain.twin.rules, acknowledgement="")
    talking = Running(
        lambda: session.talk(
            FileMicrophone(TONE * 1500, endless=False, pause_ms=0), sounds.speaker, on_update=note, linger=1.5
        )
    )
    until(lambda: plain.twin.timeline_ms > 200)
    plain.twin.hear("What time is it?")
    plain.twin.delegate()
    talking.result(20)
    assert taken.is_set()
    assert "noon" in "".join(said)


@pytest.mark.slow
def test_work_that_nobody_takes_is_not_awaited(plain: LiveHouse) -> None:
    session = plain.start()
    talking = Running(
        lambda: session.talk(FileMicrophone(TONE * 600, endless=False, pause_ms=0), FileSpeaker(), linger=2.0)
    )
    until(lambda: plain.twin.timeline_ms > 200)
    plain.twin.hear("What time is it?")
    plain.twin.delegate()
    talking.result(20)


@pytest.mark.parametrize("how", ["stop", "close"])
def test_it_ends_when_it_is_told_to_though_the_microphone_gives_nothing(plain: LiveHouse, how: str) -> None:
    class Deaf(FileMicrophone):
        def __iter__(self) -> Iterator[bytes]:
            self._stopped.wait(30)
            return iter(())

    session, stop = plain.start(), threading.Event()
    speaker = FileSpeaker()
    talking = Running(lambda: session.talk(Deaf(), speaker, stop=stop, linger=0.2))
    until(lambda: plain.twin.timeline_ms > 1000)
    (session.close if how == "close" else stop.set)()
    talking.result()


def test_the_loss_of_the_connection_is_raised(plain: LiveHouse) -> None:
    session = plain.start()
    talking = Running(lambda: session.talk(FileMicrophone(), FileSpeaker()))
    until(lambda: plain.twin.timeline_ms > 300)
    plain.twin.drop(1011)
    error = talking.join()
    assert error is not None
    assert type(error).__name__ in ("ConnectionClosedError", "ConnectionLostError")


def test_a_device_that_goes_away_is_raised(plain: LiveHouse) -> None:
    class Unplugged(FileMicrophone):
        def __iter__(self) -> Iterator[bytes]:
            yield bytes(960)
            raise AudioDeviceError("unplugged")

    class Torn(FileSpeaker):
        def write(self, item_id: str, content_index: int, samples: bytes) -> None:
            raise AudioDeviceError("torn")

    session = plain.start()
    with pytest.raises(AudioDeviceError, match="unplugged"):
        session.talk(Unplugged(), FileSpeaker())
    session.append_commentary("Good morning.")
    with pytest.raises(AudioDeviceError, match="torn"):
        session.talk(FileMicrophone(), Torn())
    session.send_audio(TONE)


def test_a_callback_that_raises_ends_it_and_one_that_is_slow_does_not_disturb_the_sound(plain: LiveHouse) -> None:
    session, sounds = plain.start(), Sounds()

    def raise_it(update: ConversationUpdate) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        session.talk(FileMicrophone(), FileSpeaker(), on_update=raise_it)
    slow, stop = threading.Event(), threading.Event()
    talking = Running(
        lambda: session.talk(FileMicrophone(), sounds.speaker, on_update=lambda update: slow.wait(0.5), stop=stop)
    )
    until(lambda: session._audio._claim)
    plain.twin.say("Nobody hears that this is slow.")
    before = plain.twin.timeline_ms
    until(lambda: plain.twin.timeline_ms > before + 4500, 10)
    slow.set()
    stop.set()
    talking.result()
    assert np.array_equal(sounds.sound, told(plain.twin))


def test_wrong_arguments_are_told_before_anything_is_opened(plain: LiveHouse) -> None:
    session = plain.start()
    for wrong in ({"linger": -1}, {"on_update": 3}):
        with pytest.raises(InvalidInputError):
            session.talk(FileMicrophone(), FileSpeaker(), **wrong)  # type: ignore[arg-type]
    devices: list[Any] = ["question.wav", FileSpeaker(), FileMicrophone()]
    for microphone, speaker in itertools.pairwise(devices):
        with pytest.raises(InvalidInputError, match="microphone must be a device, or None"):
            session.talk(microphone, speaker)
    with pytest.raises(InvalidInputError, match="speaker must be a device, or None, not str; a file is FileSpeaker"):
        session.talk(FileMicrophone(), devices[0])
    with pytest.raises(AudioFormatError, match="sample_format"):
        session.talk(FileMicrophone(format=MULAW), FileSpeaker())
    with pytest.raises(AudioFormatError, match="sample_format"):
        session.talk(FileMicrophone(), FileSpeaker(format=MULAW))


# --- half duplex


def test_half_duplex_sends_silence_while_the_model_is_heard_and_the_user_while_it_is_not(plain: LiveHouse) -> None:
    session = plain.start()
    speaker = FileSpeaker()
    microphone = HalfDuplex(FileMicrophone(TONE * 60_000), speaker)
    stop = threading.Event()
    talking = Running(lambda: session.talk(microphone, speaker, stop=stop))
    until(lambda: TONE * 900 in heard(plain.twin), 10, "the user is not heard before the model speaks")
    at, began = len(heard(plain.twin)), plain.twin.timeline_ms

    def silent() -> int:
        """How many milliseconds; in pieces, if a busy machine's speaker runs dry in the middle of a word."""
        return heard(plain.twin)[at:].count(bytes(len(TONE)))

    plain.twin.say("Now it is my turn to say a word.")
    until(lambda: silent() > 800, 10, "the user is heard while the model speaks")
    until(lambda: heard(plain.twin).endswith(TONE * 300), 10, "the user is not heard afterwards")
    assert plain.twin.timeline_ms - began > 800  # silence was sent all the while, or the clock would stand
    stop.set()
    talking.result()


# --- what is late


class Device(FileMicrophone):
    """Gives numbered pieces of 20 ms in real time, also those that nobody took in time."""

    def __iter__(self) -> Iterator[bytes]:
        began = time.monotonic()
        for number in range(200):
            self._stopped.wait(max(0.0, began + 0.02 * number - time.monotonic()))
            yield (1000 + number).to_bytes(2, "little") * 480


def test_sound_that_waits_in_the_microphone_is_left_out_and_told(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = plain.start()
    send, numbers, stall = session._audio._track.send, itertools.count(), threading.Event()

    def send_slowly(samples: bytes) -> None:
        if next(numbers) == 25:  # the connection takes nothing for a while
            stall.wait(1.2)
        send(samples)

    monkeypatch.setattr(session._audio._track, "send", send_slowly)
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        session.talk(Device(), FileSpeaker(), linger=0)
    assert "came too late to be sent" in caplog.text
    samples = np.frombuffer(heard(plain.twin), "<i2")
    sent = set((samples[samples != 0] - 1000).tolist())
    missing = [number for number in range(200) if number not in sent]
    assert 40 <= len(missing) <= 75
    assert missing == list(range(missing[0], missing[-1] + 1))


def test_a_microphone_that_gives_faster_than_real_time_loses_nothing(plain: LiveHouse) -> None:
    session = plain.start()
    session.talk(FileMicrophone(TONE * 1500, pace=4.0, endless=False, pause_ms=0), FileSpeaker(), linger=0)
    assert TONE * 1500 in heard(plain.twin)


@given(st.lists(st.sampled_from([0.0, 0.3, 2.0]), max_size=60))
def test_the_backlog_is_what_the_device_has_and_did_not_give(stalls: list[float]) -> None:
    backlog, now = Backlog(), 0.0
    for number, stall in enumerate(stalls, 1):
        asked = now
        now = max(now, number * 0.02)  # the device makes a piece each 20 ms
        waits = now - number * 0.02
        assert abs(backlog.after(asked, now, 0.02) - waits) <= 0.021
        now += stall


def test_a_track_that_comes_too_fast_is_cut_to_the_bound_and_told(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture
) -> None:
    session, sounds, stop = plain.start(), Sounds(), threading.Event()
    talking = Running(lambda: session.talk(FileMicrophone(), sounds.speaker, stop=stop))
    until(lambda: session._audio._claim)
    loud = base64.b64encode(b"\x10\x27" * 2400).decode()
    began, stream = time.monotonic(), session.subscribe()
    for _ in range(50):
        plain.twin.emit({"type": "session.output_audio.delta", "delta": loud})
    plain.twin.emit(fragment("output", 0, "That is all."))
    stream.wait_for(LiveSessionOutputTranscriptDeltaUpdate, 20)
    came = time.monotonic() - began  # some of it is sounded meanwhile
    before = plain.twin.timeline_ms
    until(lambda: plain.twin.timeline_ms > before + 2000)
    with caplog.at_level(logging.INFO, "realtime_sync"):
        stop.set()
        talking.result()
    assert 0.5 <= np.count_nonzero(sounds.samples == 10_000) / 24_000 <= MOST_SECONDS + 0.1 + came
    assert "of speech were left out" in caplog.text


class Machine(FakeSoundDevice):
    """Devices of 48,000 Hz, with a sound card that goes by the real time."""

    def __init__(self) -> None:
        super().__init__(rates={48_000})
        self.sounded = bytearray()

    def _open(self, settings: dict[str, Any]) -> FakeStream:
        stream = super()._open(settings)
        Running(lambda: self._run(stream, is_speaker=len(self.streams) == 1))
        return stream

    def _run(self, stream: FakeStream, is_speaker: bool) -> None:
        began = time.monotonic()
        for number in range(2000):
            threading.Event().wait(max(0.0, began + 0.01 * number - time.monotonic()))
            if {"stop", "abort", "close"}.intersection(stream.calls):
                return
            if is_speaker:
                self.sounded += stream.pull(480)
            elif "start" in stream.calls:
                stream.feed((1000).to_bytes(2, "little") * 480)


def test_the_devices_of_a_machine_are_used_at_their_own_rate(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture
) -> None:
    session, machine, stop = plain.start(), Machine(), threading.Event()
    speaker = SoundDeviceSpeaker(backend=machine)
    microphone = SoundDeviceMicrophone(backend=machine)
    talking = Running(lambda: session.talk(microphone, speaker, stop=stop))
    until(lambda: session._audio._claim)
    plain.twin.say("This is said in the middle of nothing.")
    until(lambda: speaker.playing, 10)
    until(lambda: not speaker.playing, 10)
    with caplog.at_level(logging.INFO, "realtime_sync"):
        stop.set()
        talking.result()
    assert "ran dry" not in caplog.text
    samples = np.frombuffer(bytes(machine.sounded), "<i2")
    loud = np.flatnonzero(np.abs(samples) > 32)
    assert abs((loud[-1] - loud[0]) / 48_000 - len(told(plain.twin)) / 24_000) < 0.05
    assert np.mean(np.frombuffer(heard(plain.twin), "<i2")[24_000:48_000] == 1000) > 0.8


# --- Ctrl-C

TALKS = """
import sys
from realtime_sync import OpenAIClient
from realtime_sync.voice import FileMicrophone, FileSpeaker
client = OpenAIClient("a-key", endpoint=sys.argv[1]).get_realtime_conversation_client("m")
with client.start_live_session() as session:
    session.talk(FileMicrophone(), FileSpeaker(), on_update=lambda update: print("update", flush=True))
    print("over", session.closed, flush=True)
"""


def test_ctrl_c_ends_the_talk_and_not_the_session(plain: LiveHouse) -> None:
    url = plain.serve().url
    with subprocess.Popen([sys.executable, "-c", TALKS, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "update\n"
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert rest.splitlines()[-1] == "over False"
    assert process.returncode == 0
    assert plain.twin.ended_by == "close_requested"
