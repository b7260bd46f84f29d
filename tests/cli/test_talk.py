"""``realtime-sync talk`` and ``record``, with files for ears and mouth."""

from __future__ import annotations

import json
import re
import signal
import sys
import wave
from pathlib import Path
from typing import Callable

import pytest

from realtime_sync import Recording, write_wav
from realtime_sync.audio.devices import sound_devices
from realtime_sync.cli import main
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from realtime_sync.server.voice import speak
from tests.audio.fake_sounddevice import FakeSoundDevice
from tests.cli.pseudo_terminal import PseudoTerminal

Captured = pytest.CaptureFixture[str]
Answering = Callable[[Callable[[Turn], Reply]], None]
HELLO = str(Path(__file__).parents[2] / "examples" / "audio" / "hello.wav")


@pytest.fixture
def question(tmp_path: Path) -> str:
    """A recording that is short, for it is heard at the speed of speech."""
    write_wav(tmp_path / "question.wav", speak("hi"))
    return str(tmp_path / "question.wav")


@pytest.fixture
def brief(answering: Answering) -> None:
    """A server whose answers are short, for the same reason."""
    answering(lambda turn: Reply("Yes.", audio=speak("yes")))


def loud(path: Path) -> bool:
    with wave.open(str(path)) as file:
        return any(file.readframes(file.getnframes()))


def test_a_recorded_question_is_answered_into_a_file(
    brief: None, question: str, tmp_path: Path, capsys: Captured
) -> None:
    output = tmp_path / "answer.wav"
    assert main(["talk", "--input", question, "--output", str(output)]) == 0
    told = capsys.readouterr()
    shown = r"you    \[\d+\.\d seconds of audio\]\nmodel  Yes\.  \[\d+\.\d\d s\]\n"
    assert re.fullmatch(shown, told.out), told.out
    assert "by list prices" in told.err
    assert loud(output)


@pytest.mark.slow
def test_json_is_a_line_a_turn(brief: None, tmp_path: Path, capsys: Captured) -> None:
    output = str(tmp_path / "answer.wav")
    assert main(["talk", "--json", "--input", HELLO, "--input", HELLO, "--output", output]) == 0
    turns = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [turn["model"] for turn in turns] == ["Yes.", "Yes."]
    assert all(turn["latency"] is not None and "seconds of audio" in turn["user"] for turn in turns)


def test_tools_are_served_while_it_talks(answering: Answering, question: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "tools.py").write_text('def clock() -> str:\n    """Tells the time."""\n    return "noon"\n')

    def answer(turn: Turn) -> Reply:
        assert turn.last is not None
        if turn.last["type"] == "function_call_output":
            return Reply(f"It is {turn.last['output']}.")
        return Reply(function_calls=[FunctionCall("clock")])

    answering(answer)
    output = str(tmp_path / "answer.wav")
    assert main(["talk", "--json", "--tools", str(tmp_path / "tools.py"), "--input", question, "--output", output]) == 0
    assert "It is noon." in [json.loads(line)["model"] for line in capsys.readouterr().out.splitlines()]


def test_record_keeps_the_session_and_says_where(brief: None, question: str, tmp_path: Path, capsys: Captured) -> None:
    recording = tmp_path / "talk.jsonl"
    assert main(["record", str(recording), "--input", question, "--output", str(tmp_path / "answer.wav")]) == 0
    assert f"realtime-sync timeline {recording}" in capsys.readouterr().err
    (turn,) = Recording.read(recording).turns()
    assert turn.transcript == "Yes."


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--input", "{}/nowhere.wav", "--output", "{}/a.wav"], 1, "nowhere.wav: No such file"),
        (["--input", HELLO, "--output", "{}/nowhere/a.wav"], 1, "a.wav: No such file"),
        (["--input", "{}/text.txt", "--output", "{}/a.wav"], 2, "is it 16-bit PCM"),
        (["--input", HELLO, "--output", "{}/a.wav", "--half-duplex"], 2, "--half-duplex is for a microphone"),
        (["--input", HELLO, "--output", "{}/a.mp3"], 2, "a.mp3: --output writes WAV"),
        (["--input", HELLO, "--output", "{}/a.wav", "--key-env", "NOT_SET"], 2, "NOT_SET"),
        ([], 2, "pip install 'realtime-sync[devices]'"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    server: RealtimeServer,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    (tmp_path / "text.txt").write_text("abc", "utf-8")
    assert main(["talk", *(each.format(tmp_path) for each in arguments)]) == code
    error = capsys.readouterr().err
    assert error.startswith("realtime-sync: error: ")
    assert error.count("\n") == 1
    assert told.lower() in error.lower()


def test_devices_are_named_and_one_that_goes_away_is_told(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice())
    monkeypatch.setattr(sound_devices, "_GONE_SECONDS", 0.05)
    assert main(["talk", "--half-duplex", "--speaker", "headset"]) == 1
    named, gone = capsys.readouterr().err.splitlines()
    assert named == "(Built-in Microphone (half duplex) hears, Headset: USB Audio speaks; Ctrl-C ends)"
    assert (
        gone == "realtime-sync: error: the microphone 'Built-in Microphone' gives no sound any more; was it unplugged?"
    )


def test_what_is_refused_at_once_leaves_no_file_and_touches_none(tmp_path: Path) -> None:
    new, old = tmp_path / "new.wav", tmp_path / "old.wav"
    old.write_bytes(b"from before")
    for output in (new, old):
        assert main(["talk", "--input", HELLO, "--output", str(output)]) == 2  # there is no key
    assert not new.exists()
    assert old.read_bytes() == b"from before"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_files_are_whole(server: RealtimeServer, tmp_path: Path, how: signal.Signals) -> None:
    output, recording = tmp_path / "answer.wav", tmp_path / "talk.jsonl"
    arguments = [each for _ in range(20) for each in ("--input", HELLO)]
    with PseudoTerminal("record", str(recording), "--output", str(output), *arguments) as terminal:
        terminal.expect("you speak")
        terminal.expect(re.compile(r"model  You said: .* s\]"))
        if how is signal.SIGINT:
            terminal.type("\x03")
        else:
            terminal.process.send_signal(how)
        terminal.expect("realtime-sync timeline")
        assert terminal.end() == 0
    assert "Traceback" not in terminal.text
    with wave.open(str(output)) as file:
        assert file.getnframes() * 2 == output.stat().st_size - 44 > 0
    assert Recording.read(recording).faults == ()


def test_locally_without_the_extra_voice_it_says_what_it_cannot(
    question: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["talk", "--local", "--input", question, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    assert "pip install 'realtime-sync[voice]'" in told.err
    assert re.search(r"model  I heard \d\.\d seconds of audio\.", told.out), told.out


@pytest.mark.slow
def test_locally_it_hears_and_speaks(tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("hibari")
    pytest.importorskip("faster_whisper")
    assert main(["talk", "--local", "--input", HELLO, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    assert "Hello! Yes, I can hear you." in told.out
    assert "hears and speaks" in told.err
    assert loud(tmp_path / "answer.wav")
