"""``realtime-sync talk`` and ``record``, with files for ears and mouth."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import wave
from pathlib import Path
from typing import Callable

import pytest

from realtime_sync import ConfigurationError, Recording, write_wav
from realtime_sync.cli import main
from realtime_sync.devices import sound_devices
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from realtime_sync.server.speech import Speech
from realtime_sync.server.speech.recorded import recording_of
from realtime_sync.server.voice import speak
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.devices.fake_sounddevice import FakeSoundDevice

pytestmark = pytest.mark.medium

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


def test_who_speaks_has_a_colour(
    brief: None, question: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["talk", "--input", question, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("\x1b[1;36myou    \x1b[0m[")
    assert "\n\x1b[32mmodel  \x1b[0mYes." in told


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
        (["--input", "{}/text.txt", "--output", "{}/a.wav"], 2, "text.txt is not a sound file of a known kind"),
        (["--input", HELLO, "--output", "{}/a.wav", "--half-duplex"], 2, "--half-duplex is for a microphone"),
        (["--input", HELLO, "--output", "{}/a.mp3"], 2, "a.mp3: --output writes WAV"),
        (["--input", HELLO, "--output", "-"], 2, "--output cannot go to -, the standard output: give the name"),
        (["--input", HELLO, "--output", "{}/a.wav", "--record", "-"], 2, "the recording cannot go to -"),
        (["--input", HELLO, "--output", "{}/a.wav", "--key-env", "NOT_SET"], 2, "NOT_SET"),
        ([], 2, "pip install 'realtime-sync[devices]'; or --input FILE and --output FILE"),
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
    assert server.sessions == []


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


def test_a_machine_without_devices_is_told_that_files_will_do(
    server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice(devices=False))
    assert main(["talk"]) == 1
    error = capsys.readouterr().err
    assert "no speaker" in error
    assert error.endswith("; or --input FILE and --output FILE\n")


def test_what_is_refused_at_once_leaves_no_file_and_touches_none(tmp_path: Path) -> None:
    new, old = tmp_path / "new.wav", tmp_path / "old.wav"
    old.write_bytes(b"from before")
    for output in (new, old):
        assert main(["talk", "--input", HELLO, "--output", str(output)]) == 2  # there is no key
    assert not new.exists()
    assert old.read_bytes() == b"from before"


@pytest.mark.parametrize("spelling", ["{}/hh.wav", "{}/../{name}/hh.wav", "{}/link.wav", "{}/hard.wav"])
@pytest.mark.parametrize("command", ["talk", "record"])
def test_a_recording_is_not_spoken_over(tmp_path: Path, capsys: Captured, command: str, spelling: str) -> None:
    question = tmp_path / "hh.wav"
    question.write_bytes(Path(HELLO).read_bytes())
    (tmp_path / "link.wav").symlink_to(question)
    os.link(question, tmp_path / "hard.wav")
    output = spelling.format(tmp_path, name=tmp_path.name)
    where = [str(tmp_path / "new.jsonl")] if command == "record" else []
    assert main([command, *where, "--local", "--input", HELLO, "--input", str(question), "--output", output]) == 2
    assert "one file for two purposes" in capsys.readouterr().err
    assert question.read_bytes() == Path(HELLO).read_bytes()
    assert not (tmp_path / "new.jsonl").exists()


def test_sound_and_recording_are_two_files(tmp_path: Path, capsys: Captured) -> None:
    both = str(tmp_path / "both")
    assert main(["record", both, "--input", HELLO, "--output", f"{tmp_path}/./both"]) == 2
    assert "one file for two purposes" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["record", "{}", "--input", HELLO, "--output", "a.wav"],
        ["talk", "--record", "{}", "--input", HELLO, "--output", "a.wav"],
        ["say", "--record", "{}", "Hello", "-o", "a.wav"],
        ["chat", "--record", "{}", "Hello"],
    ],
)
def test_what_is_no_recording_is_not_recorded_over(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("hh.wav", Path(HELLO).read_bytes()), ("talk.json", b'{"items": []}'), ("list", b"[1]")):
        Path(name).write_bytes(content)
        assert main([*(each.format(name) for each in command), "--overwrite"]) == 2
        assert f"{name} is there already, and is no recording" in capsys.readouterr().err
        assert Path(name).read_bytes() == content
    assert not Path("a.wav").exists()


def test_an_earlier_recording_is_recorded_over_only_on_demand(brief: None, tmp_path: Path, capsys: Captured) -> None:
    recording = tmp_path / "talk.jsonl"
    recording.touch()  # as mktemp does: there is nothing to lose
    assert main(["chat", "--record", str(recording), "Hello"]) == 0
    before = recording.read_bytes()
    assert main(["chat", "--record", str(recording), "Hello"]) == 2
    assert "talk.jsonl holds an earlier recording: give another name, or --overwrite" in capsys.readouterr().err
    assert recording.read_bytes() == before
    assert main(["chat", "--record", str(recording), "--overwrite", "Hello"]) == 0
    assert recording.read_bytes() != before


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


@pytest.mark.slow
def test_locally_without_the_extra_voice_it_says_what_it_cannot(
    question: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["talk", "--local", "--input", question, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    assert re.search(r"you    \[\d\.\d seconds of audio\]", told.out), told.out
    assert "model  I did not understand any words. Only the three sample recordings are known here" in told.out


def test_locally_without_the_extra_voice_a_sample_recording_is_answered_in_speech(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["talk", "--local", "--input", HELLO, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    hint = told.err.splitlines()[0]
    assert hint.startswith("(the embedded server answers, by rules. Only the three sample recordings are known here")
    assert hint.endswith("pip install 'realtime-sync[voice]')")
    assert "you    Hello, can you hear me?" in told.out
    assert "model  Hello! Yes, I can hear you." in told.out
    with wave.open(str(tmp_path / "answer.wav")) as file:
        spoken = file.readframes(file.getnframes())
    said = [recording_of(sentence) for sentence in ("Hello!", "Yes, I can hear you.")]
    assert b"".join(filter(None, said)) in spoken


def test_locally_what_else_keeps_it_from_hearing_is_told(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hibari", reason="needs the extra voice")
    pytest.importorskip("faster_whisper", reason="needs the extra voice")

    def fail(speech: Speech) -> None:
        raise ConfigurationError("the model file is missing")

    monkeypatch.setattr(Speech, "load", fail)
    assert main(["say", "--local", "Hello!", "-o", str(tmp_path / "hello.wav")]) == 0  # sooner over than a talk
    told = capsys.readouterr().err.splitlines()[1]
    assert told.endswith("are known here, by heart, because the model file is missing)")


@pytest.mark.slow
def test_locally_it_hears_and_speaks(tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("hibari", reason="needs the extra voice")
    pytest.importorskip("faster_whisper", reason="needs the extra voice")
    assert main(["talk", "--local", "--input", HELLO, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    assert "Hello! Yes, I can hear you." in told.out
    assert "loading the models with which it hears and speaks" in told.err
    assert re.search(r"\(loaded in \d+\.\d s\)", told.err)
    assert loud(tmp_path / "answer.wav")
