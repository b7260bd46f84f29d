"""``realtime-sync talk --live`` and ``record --live``, with files for ears and mouth."""

from __future__ import annotations

import json
import re
import signal
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_sync import Recording
from realtime_sync.cli import main
from realtime_sync.server import LiveFaults, LiveRules, RealtimeServer
from realtime_sync.server.speech import recorded_speech
from tests.cli.pseudo_terminal import PseudoTerminal

pytestmark = pytest.mark.medium

Captured = pytest.CaptureFixture[str]
AUDIO = Path(__file__).parents[2] / "examples" / "audio"
HELLO, WEATHER = str(AUDIO / "hello.wav"), str(AUDIO / "what_is_the_weather.wav")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealtimeServer]:
    """A server that the environment tells of, and that knows the sample recordings by heart."""
    monkeypatch.delenv("OPENAI_LIVE_MODEL", raising=False)
    with RealtimeServer(speech=recorded_speech()) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "any-key")
        yield running


def turns_of(told: str) -> list[tuple[str, str]]:
    return [(turn["speaker"], turn["text"]) for turn in map(json.loads, told.splitlines())]


def seconds_of(path: Path) -> float:
    with wave.open(str(path)) as file:
        assert any(file.readframes(file.getnframes()))
        return file.getnframes() / file.getframerate()


@pytest.mark.slow
def test_both_sides_are_printed_with_their_times_and_the_model_is_written_into_a_file(
    server: RealtimeServer, tmp_path: Path, capsys: Captured
) -> None:
    output = tmp_path / "answer.wav"
    assert main(["talk", "--live", "--voice", "cedar", "--input", HELLO, "--output", str(output)]) == 0
    told = capsys.readouterr()
    shown = r"you    Hello, can you hear me\?  \[\d\.\d s\]\nmodel  Hello! Yes, I can hear you\.  \[\d\.\d s\]\n"
    assert re.fullmatch(shown, told.out), told.out
    assert re.search(r"\d+ seconds of GPT-Live, \$0\.\d{4} by list prices", told.err), told.err
    assert seconds_of(output) > 2
    (session,) = server.live_sessions
    assert session.options["model"] == "gpt-live-1.1"
    assert session.options["audio"]["output"]["voice"] == "cedar"
    assert session.ended_by == "close_requested"


@pytest.mark.slow
def test_json_is_a_line_a_turn_and_record_keeps_the_session(
    server: RealtimeServer, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_LIVE_MODEL", "gpt-live-1")
    recording = tmp_path / "talk.jsonl"
    output = str(tmp_path / "answer.wav")
    assert main(["record", str(recording), "--live", "--json", "--input", HELLO, "--output", output]) == 0
    told = capsys.readouterr()
    assert turns_of(told.out) == [("user", "Hello, can you hear me?"), ("assistant", "Hello! Yes, I can hear you.")]
    assert f"realtime-sync timeline {recording}" in told.err
    assert Recording.read(recording).faults == ()
    assert server.live_sessions[0].options["model"] == "gpt-live-1"


@pytest.mark.slow
def test_the_backend_calls_the_tools(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    tools = tmp_path / "tools.py"
    tools.write_text('def get_weather(city: str) -> str:\n    """Tells the weather."""\n    return f"Sun in {city}."\n')
    arguments = ["--tools", str(tools), "--input", WEATHER, "--output", str(tmp_path / "answer.wav")]
    assert main(["talk", "--live", "--json", "--model", "gpt-live-1", *arguments]) == 0
    said = " ".join(text for speaker, text in turns_of(capsys.readouterr().out) if speaker == "assistant")
    assert "Sun in Paris." in said
    options = server.live_sessions[0].options
    assert (options["model"], options["delegation"]["responses"]["model"]) == ("gpt-live-1", "gpt-5.6-luna")


@pytest.mark.slow
def test_work_that_nobody_does_is_answered_and_told(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    assert main(["talk", "--live", "--input", WEATHER, "--output", str(tmp_path / "answer.wav")]) == 0
    told = capsys.readouterr()
    assert "This cannot be looked up in this call." in told.out
    assert "--backend NAME names a model that does" in told.err


def test_a_budget_ends_it_and_what_was_said_is_printed(
    server: RealtimeServer, tmp_path: Path, capsys: Captured
) -> None:
    output = tmp_path / "answer.wav"
    arguments = ["--budget", "0.0034", "--input", HELLO, "--output", str(output)]  # 4 s
    assert main(["talk", "--live", *arguments]) == 1
    told = capsys.readouterr()
    assert "budget" in told.err
    assert re.match(r"you    Hello, can you hear me\?  \[\d\.\d s\]\n", told.out), told.out
    assert seconds_of(output) > 2
    assert server.live_sessions[0].ended_by == "close_requested"


@pytest.mark.slow
def test_a_lost_connection_is_told_and_survived(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = LiveRules(faults=LiveFaults(drop_after_words=2))
    monkeypatch.setenv("OPENAI_API_KEY", "any-key")
    with RealtimeServer(speech=recorded_speech(), live=rules) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        arguments = ["--input", HELLO, "--input", HELLO, "--output", str(tmp_path / "answer.wav")]
        assert main(["talk", "--live", "--json", *arguments]) == 0
    told = capsys.readouterr()
    assert "connection lost" in told.err
    assert "the connection is there again" in told.err
    assert turns_of(told.out)[0] == ("user", "Hello, can you hear me?")
    assert len(server.live_sessions) > 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--backend", "gpt-5.6-luna"], "--backend is for --live"),
        (["--live", "--transcription-model", "whisper-1"], "--transcription-model is not for --live"),
    ],
)
def test_what_contradicts_itself_is_one_line(arguments: list[str], told: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["talk", *arguments, "--local", "--input", HELLO, "--output", str(tmp_path / "a.wav")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_files_are_whole(server: RealtimeServer, tmp_path: Path, how: signal.Signals) -> None:
    output, recording = tmp_path / "answer.wav", tmp_path / "talk.jsonl"
    arguments = [each for _ in range(20) for each in ("--input", HELLO)]
    with PseudoTerminal("record", str(recording), "--live", "--output", str(output), *arguments) as terminal:
        terminal.expect(re.compile(r"you +Hello, can you hear me\?"))
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
def test_locally_it_needs_no_key(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    output = str(tmp_path / "answer.wav")
    assert main(["talk", "--live", "--local", "--json", "--input", HELLO, "--output", output]) == 0
    told = capsys.readouterr()
    assert turns_of(told.out)[-1] == ("assistant", "Hello! Yes, I can hear you.")
    assert "by list prices" not in told.err
