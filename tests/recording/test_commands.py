"""``realtime-sync timeline`` and ``realtime-sync replay``, in this process and as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import websocket

from realtime_sync import timeline
from realtime_sync.cli import main
from tests.cli.serving import run
from tests.core.harness import Running
from tests.recording.made import SESSION, Made, spoken_conversation

pytestmark = pytest.mark.medium

ROOT = Path(__file__).parents[2]
PATIENCE = 50.0  # seconds; an interpreter starts slowly where six run at once


def test_timeline_prints_the_table_and_writes_what_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    recording = spoken_conversation(tmp_path / "r.jsonl", 2)
    picture, audio = tmp_path / "r.svg", tmp_path / "r.wav"
    arguments = ["timeline", str(tmp_path / "r.jsonl"), "--picture", str(picture), "--audio", str(audio)]
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert told.out == timeline.text(recording) + "\n"
    assert told.err == f"(written to {picture})\n(written to {audio})\n"
    assert picture.read_bytes().startswith(b"<?xml")
    assert audio.read_bytes().startswith(b"RIFF")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--picture", "{}/r.gif"], 2, "the picture's suffix"),
        (["--audio", "{}/r.mp3"], 2, "--audio writes WAV"),
        (["--audio", "{}/r"], 2, "one file for two purposes"),
        (["--audio", "{}/nowhere/a.wav"], 1, "a.wav: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_told_in_a_line_in_place_of_the_table(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    Made(tmp_path / "r").told("session.created", session=SESSION).done()
    before = (tmp_path / "r").read_bytes()
    # A process of its own: what an object complains of when it is collected goes past pytest.
    ended = run("timeline", str(tmp_path / "r"), *(each.format(tmp_path) for each in arguments))
    assert (ended.returncode, ended.stdout) == (code, "")
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert (tmp_path / "r").read_bytes() == before


def test_without_matplotlib_it_says_so_in_place_of_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).done()
    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["timeline", str(tmp_path / "r.jsonl"), "--picture", str(tmp_path / "r.png")]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "pip install 'realtime-sync[plot]'" in told.err


@pytest.mark.parametrize("command", ["timeline", "replay"])
def test_a_file_that_is_no_recording_is_one_line_on_the_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "r.jsonl").write_text("{}\n", "utf-8")
    assert main([command, str(tmp_path / "r.jsonl")]) == 2
    assert "is not a recording" in capsys.readouterr().err
    assert main([command, str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_replay_prints_the_messages_with_audio_as_a_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).answers(bytes(9600)).done()
    assert main(["replay", str(tmp_path / "r.jsonl"), "--print", "--fast"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert '"session.created"' in first
    assert "<12800 characters>" in second


def test_replay_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    Made(tmp_path / "r.jsonl").told("session.created", session=SESSION).done()
    command = [sys.executable, "-m", "realtime_sync", "replay", str(tmp_path / "r.jsonl"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        told = Running(process.stdout.readline).result(PATIENCE)
        url = re.search(r"http://\S+", told)
        assert url is not None, told
        peer = websocket.create_connection(url[0].replace("http", "ws", 1) + "/realtime?model=m", timeout=PATIENCE)
        assert '"session.created"' in peer.recv()
        peer.shutdown()  # type: ignore[no-untyped-call]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
