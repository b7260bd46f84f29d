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

from realtime_sync import Recording
from realtime_sync.cli import main
from realtime_sync.server import FunctionCall, RealtimeServer, Reply, Turn
from tests.cli.pseudo_terminal import PseudoTerminal

Captured = pytest.CaptureFixture[str]
HELLO = str(Path(__file__).parents[2] / "examples" / "audio" / "hello.wav")


def loud(path: Path) -> bool:
    with wave.open(str(path)) as file:
        return any(file.readframes(file.getnframes()))


def test_a_recorded_question_is_answered_into_a_file(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    output = tmp_path / "answer.wav"
    assert main(["talk", "--input", HELLO, "--output", str(output)]) == 0
    told = capsys.readouterr()
    shown = r"you    (\[\d+\.\d seconds of audio\])\nmodel  You said: \1  \[\d+\.\d\d s\]\n"
    assert re.fullmatch(shown, told.out), told.out
    assert "by list prices" in told.err
    assert loud(output)


def test_json_is_a_line_a_turn(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    output = str(tmp_path / "answer.wav")
    assert main(["talk", "--json", "--half-duplex", "--input", HELLO, "--input", HELLO, "--output", output]) == 0
    turns = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [turn["model"] for turn in turns] == [f"You said: {turn['user']}" for turn in turns]
    assert len(turns) == 2
    assert all(turn["latency"] is not None for turn in turns)


def test_tools_are_served_while_it_talks(
    answering: Callable[[Callable[[Turn], Reply]], None], tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "tools.py").write_text('def clock() -> str:\n    """Tells the time."""\n    return "noon"\n')

    def answer(turn: Turn) -> Reply:
        assert turn.last is not None
        if turn.last["type"] == "function_call_output":
            return Reply(f"It is {turn.last['output']}.")
        return Reply(function_calls=[FunctionCall("clock")])

    answering(answer)
    output = str(tmp_path / "answer.wav")
    assert main(["talk", "--tools", str(tmp_path / "tools.py"), "--input", HELLO, "--output", output]) == 0
    assert "model  It is noon." in capsys.readouterr().out


def test_record_keeps_the_session_and_says_where(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    recording = tmp_path / "talk.jsonl"
    assert main(["record", str(recording), "--input", HELLO, "--output", str(tmp_path / "answer.wav")]) == 0
    assert f"realtime-sync timeline {recording}" in capsys.readouterr().err
    (turn,) = Recording.read(recording).turns()
    assert turn.transcript.startswith("You said: [")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--input", "{}/nowhere.wav", "--output", "{}/a.wav"], 1, "nowhere.wav: No such file"),
        (["--input", HELLO, "--output", "{}/nowhere/a.wav"], 1, "a.wav: No such file"),
        (["--input", "{}/text.txt", "--output", "{}/a.wav"], 2, "is it 16-bit PCM"),
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
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["talk", "--local", "--input", HELLO, "--output", str(tmp_path / "answer.wav")]) == 0
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
