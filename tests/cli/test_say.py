"""``realtime-sync say``: a text as sound."""

from __future__ import annotations

import io
import subprocess
import sys
import wave
from pathlib import Path
from typing import Callable

import pytest

from realtime_sync.cli import main
from realtime_sync.server import RealtimeServer, Reply, Turn
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.cli.serving import COMMAND, PATIENCE

pytestmark = pytest.mark.medium

Captured = pytest.CaptureFixture[str]
Answering = Callable[[Callable[[Turn], Reply]], None]

SECOND = b"\x01\x02" * 24_000


@pytest.fixture
def spoken(answering: Answering) -> list[str]:
    """What was asked to be said, of a server that says each piece in one second."""
    texts: list[str] = []

    def speak(turn: Turn) -> Reply:
        assert turn.last is not None
        texts.append(turn.text_of(turn.last))
        return Reply(texts[-1], audio=SECOND)

    answering(speak)
    return texts


def test_a_text_becomes_a_wav_file(spoken: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main(["say", "Good", "morning.", "-o", str(tmp_path / "a.wav")]) == 0
    assert spoken == ["Good morning."]
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.readframes(100_000) == SECOND
    assert "(1.0 s of speech)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_long_text_from_a_pipe_is_said_piece_by_piece(
    spoken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "One sentence is like another. " * 50 + "\n\nA new paragraph."
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["say", "-o", str(tmp_path / "a.pcm")]) == 0
    assert " ".join(spoken).split() == text.split()
    assert spoken[-1] == "A new paragraph."
    assert (tmp_path / "a.pcm").read_bytes() == SECOND * len(spoken)


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".ogg", ".aiff"])
def test_the_suffix_chooses_the_kind_of_file(spoken: list[str], tmp_path: Path, suffix: str) -> None:
    soundfile = pytest.importorskip("soundfile", reason="needs the extra audio")
    assert main(["say", "Hello", "-o", str(tmp_path / f"a{suffix}")]) == 0
    told = soundfile.info(tmp_path / f"a{suffix}")
    assert (told.samplerate, told.channels) == (24_000, 1)
    assert told.duration == pytest.approx(1.0, abs=0.1)


def test_a_pipe_gets_a_wav_file(spoken: list[str]) -> None:
    told = subprocess.run(
        [*COMMAND, "say", "Hello", "-o", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    assert told.stdout.startswith(b"RIFF")
    assert told.stdout.endswith(SECOND)


def test_a_piece_that_was_not_said_at_all_is_told_and_no_success(
    answering: Answering, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave_out(turn: Turn) -> Reply:
        assert turn.last is not None
        text = turn.text_of(turn.last)
        return Reply() if text.startswith("The second") else Reply(text, audio=SECOND)

    answering(leave_out)
    monkeypatch.setattr("sys.stdin", io.StringIO("The first one.\n\nThe second one.\n\nThe third one."))
    assert main(["say", "-o", str(tmp_path / "a.pcm")]) == 1
    assert "not read as it is written: 'The second one.'; the model said ''" in capsys.readouterr().err
    assert (tmp_path / "a.pcm").read_bytes() == SECOND * 2


@pytest.mark.parametrize("reply", ["You said: {}", "Hello! {}", "{} How can I help you?", "I am called Robo."])
def test_an_answer_or_an_addition_in_place_of_the_reading_is_told_and_no_success(
    answering: Answering, tmp_path: Path, capsys: Captured, reply: str
) -> None:
    answering(lambda turn: Reply(reply.format(turn.text_of(turn.last) if turn.last else ""), audio=SECOND))
    assert main(["say", "What is your name?", "-o", str(tmp_path / "a.pcm")]) == 1
    told = capsys.readouterr().err
    assert "not read as it is written: 'What is your name?'; the model said" in told
    assert (tmp_path / "a.pcm").read_bytes() == SECOND


def test_nothing_is_left_of_a_file_that_was_not_finished(
    answering: Answering, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "a.wav").write_bytes(b"from before")

    def fail(turn: Turn) -> Reply:
        raise ValueError("no voice today")

    answering(fail)
    assert main(["say", "Hello", "-o", str(tmp_path / "a.wav")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"from before"


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
def test_a_full_disk_is_told_in_a_line_and_leaves_nothing(spoken: list[str], tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("soundfile", reason="needs the extra audio")
    # As if it were: no file may be longer than some kilobytes. So Python writes none of its own, which would be cut.
    full = ["sh", "-c", 'ulimit -f 8; PYTHONDONTWRITEBYTECODE=1 exec "$@"', "sh"]
    ended = subprocess.run(
        [*full, *COMMAND, "say", "Hello", "-o", str(tmp_path / f"a{suffix}")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("realtime-sync: error: ")
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["Hello", "-o", "{}/a.xyz"], 2, "what kind of sound is .xyz?"),
        (["Hello", "-o", "{}/a"], 2, "a file without a suffix"),
        (["Hello", "-o", "{}/nowhere/a.wav"], 1, "nowhere: there is no such folder"),
        (["Hello", "-o", "{}/folder.wav"], 1, "folder.wav: is a folder"),
        (["", "-o", "{}/a.wav"], 2, "the text is empty"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_said(
    spoken: list[str], tmp_path: Path, capsys: Captured, arguments: list[str], code: int, told: str
) -> None:
    (tmp_path / "folder.wav").mkdir()
    assert main(["say", *(each.format(tmp_path) for each in arguments)]) == code
    error = capsys.readouterr().err
    assert error.startswith("realtime-sync: error: ")
    assert error.count("\n") == 1
    assert told in error
    assert spoken == []


@pytest.mark.usefixtures("no_audio_extra")
def test_without_the_extra_audio_wav_is_written_and_what_needs_it_says_so(
    spoken: list[str], tmp_path: Path, capsys: Captured
) -> None:
    assert main(["say", "Hello", "-o", str(tmp_path / "a.mp3")]) == 2
    assert "pip install 'realtime-sync[audio]'" in capsys.readouterr().err
    assert main(["say", "Hello", "-o", str(tmp_path / "a.wav")]) == 0


def test_without_the_extra_devices_the_speaker_is_told_to_need_it(
    spoken: list[str], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["say", "Hello"]) == 2
    assert capsys.readouterr().err.endswith("pip install 'realtime-sync[devices]'; or -o FILE\n")


def test_a_terminal_sees_how_far_it_is_and_no_sound(spoken: list[str], tmp_path: Path) -> None:
    with PseudoTerminal("say", "Hello", "-o", str(tmp_path / "a.wav")) as terminal:
        assert terminal.end() == 0
    assert "\r\x1b[K1.0 s of speech\r\x1b[K" in terminal.seen
    assert "".join(terminal.text.split()).endswith(f"(writtento{tmp_path}/a.wav)")
    with PseudoTerminal("say", "Hello", "-o", "-") as terminal:
        assert terminal.end() == 2
    assert "a terminal cannot show" in " ".join(terminal.text.split())


@pytest.mark.parametrize("with_voice", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_locally_the_text_itself_is_read_and_no_answer_to_it(
    with_voice: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in () if with_voice else ("hibari", "faster_whisper", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    assert main(["say", "--local", "What is your name?", "-o", str(tmp_path / "a.wav")]) == 0
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() > 12_000


def test_a_server_that_does_not_speak_is_an_error(server: RealtimeServer, tmp_path: Path, capsys: Captured) -> None:
    server.close()
    assert main(["say", "Hello", "-o", str(tmp_path / "a.wav")]) == 1
    assert list(tmp_path.iterdir()) == []
