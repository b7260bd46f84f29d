"""``answer.play()``: heard to its end, on the speaker that is named."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from realtime_sync import AudioDeviceError, ConfigurationError, ConversationSessionOptions, InvalidInputError
from realtime_sync.audio import g711
from realtime_sync.audio.formats import MULAW
from realtime_sync.server import Reply
from tests.core.answers import WRITTEN
from tests.core.harness import House, Running, until
from tests.devices.fake_sounddevice import FakeSoundDevice

SPEECH = b"\x01\x20" * 4800
BLOCK = 480  # frames that a device takes at once: 20 ms


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeSoundDevice:
    """The machine's devices."""
    backend = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", backend)
    return backend


def spoken(plain: House, **start: Any) -> Any:
    plain.serve(responder=lambda turn: Reply("Hello.", audio=SPEECH))
    return plain.open(start=start).ask("Hello?")


def test_an_answer_is_played_to_its_end_and_the_speaker_given_back(plain: House, machine: FakeSoundDevice) -> None:
    answer = spoken(plain)
    playing = Running(answer.play)
    until(lambda: bool(machine.streams) and machine.streams[0].calls == ["start"])
    (stream,) = machine.streams
    heard = b""
    while len(heard.rstrip(b"\0")) < len(SPEECH) - 2 * BLOCK:
        heard += stream.pull(BLOCK)
    assert playing.alive  # the last of it is not played yet
    heard += stream.pull(BLOCK)
    playing.result()
    assert heard.strip(b"\0") == SPEECH
    assert stream.settings["samplerate"] == 24_000
    assert stream.calls == ["start", "stop", "close"]


def test_an_answer_of_the_telephone_is_played_at_its_rate(plain: House, machine: FakeSoundDevice) -> None:
    plain.serve(responder=lambda turn: Reply("Hello.", audio=SPEECH))
    telephone = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    answer = plain.open(start={"options": ConversationSessionOptions(extra=telephone)}).ask("Hello?")
    playing = Running(answer.play)
    until(lambda: bool(machine.streams) and machine.streams[0].calls == ["start"])
    (stream,) = machine.streams
    heard = b""
    while playing.alive:
        heard += stream.pull(160)
    assert heard.strip(b"\0") == g711.decode(answer.audio, MULAW.wire_type)
    assert stream.settings["samplerate"] == 8_000


def test_it_is_played_on_the_speaker_that_is_named(plain: House, machine: FakeSoundDevice) -> None:
    answer = spoken(plain)
    playing = Running(lambda: answer.play("headset"))
    until(lambda: bool(machine.streams) and machine.streams[0].calls == ["start"])
    while playing.alive:
        machine.streams[0].pull(BLOCK)
    assert machine.streams[0].settings["device"] == 2
    with pytest.raises(AudioDeviceError, match="There is no speaker 'gramophone'"):
        answer.play("gramophone")


def test_ctrl_c_ends_it_at_once(plain: House, machine: FakeSoundDevice) -> None:
    answer = spoken(plain)

    def interrupt() -> None:
        until(lambda: bool(machine.streams) and machine.streams[0].calls == ["start"])
        until(lambda: bool(machine.streams[0].pull(BLOCK).strip(b"\0")))  # it has begun
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = Running(interrupt)
    with pytest.raises(KeyboardInterrupt):
        answer.play()
    interrupting.result()
    assert machine.streams[0].calls == ["start", "abort", "close"]


def test_what_is_missing_is_told(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ConfigurationError, match=r"sounddevice: pip install 'realtime-sync\[devices\]'"):
        spoken(plain).play()


def test_an_answer_without_audio_says_so(plain: House, machine: FakeSoundDevice) -> None:
    plain.serve(responder=lambda turn: "Hello.")
    answer = plain.open().ask("Hello?", WRITTEN)
    with pytest.raises(InvalidInputError, match="this answer has no audio: the model wrote it"):
        answer.play()
    assert machine.streams == []
