"""``realtime-sync transcribe``: files, folders, formats, failures; killed and gone on with."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_sync.cli import main
from realtime_sync.server import RealtimeServer
from tests.cli.pseudo_terminal import PseudoTerminal
from tests.cli.serving import COMMAND, PATIENCE, run
from tests.core.harness import until
from tests.server.sounds import silence, tone
from tests.server.speech.conftest import tongue  # noqa: F401  a fixture
from tests.server.speech.spoken import SENTENCES, Tongue, word_error_rate
from tests.transcribing.serving import AUDIO, HELLO, write_recording
from tests.transcribing.vllm_server import VLLM
from tests.transport.peer import Peer

pytestmark = pytest.mark.medium

Captured = pytest.CaptureFixture[str]
HEARD = "[1.7 seconds of audio]"


def test_one_file_goes_to_the_standard_output(server: RealtimeServer, capsys: Captured) -> None:
    assert main(["transcribe", str(HELLO)]) == 0
    assert capsys.readouterr() == (f"{HEARD}\n", "")
    assert main(["transcribe", str(HELLO), "--format", "srt"]) == 0
    assert capsys.readouterr().out == f"1\n00:00:00,600 --> 00:00:01,820\n{HEARD}\n"


def test_the_session_is_as_the_arguments_say(server: RealtimeServer) -> None:
    assert main(["transcribe", str(HELLO), "--model", "my-scribe", "--language", "en", "--logprobs"]) == 0
    options = server.sessions[0].options
    assert options["audio"]["input"]["transcription"] == {"model": "my-scribe", "language": "en", "prompt": None}
    assert options["include"] == ["item.input_audio_transcription.logprobs"]


def test_without_a_model_it_is_one_that_transcribes(server: RealtimeServer) -> None:
    assert main(["transcribe", str(HELLO)]) == 0
    assert server.sessions[0].options["audio"]["input"]["transcription"]["model"] == "gpt-transcribe"


def test_several_are_told_apart(server: RealtimeServer, capsys: Captured) -> None:
    paths = [str(HELLO), str(AUDIO / "what_is_the_weather.wav")]
    assert main(["transcribe", *paths]) == 0
    assert capsys.readouterr().out.splitlines()[0::2] == [f"==> {path} <==" for path in paths]


def test_a_folder_stands_for_its_recordings_and_is_gone_on_with(
    server: RealtimeServer, capsys: Captured, tmp_path: Path
) -> None:
    output = tmp_path / "texts"
    assert main(["transcribe", str(AUDIO), "-o", str(output), "--format", "vtt", "--jobs", "2"]) == 0
    assert capsys.readouterr() == ("", f"(6 written to {output}, 0 there already, 0 failed)\n")
    assert sorted(path.stem for path in output.iterdir()) == sorted(path.stem for path in AUDIO.glob("*.wav"))
    (output / "hello.vtt").unlink()
    assert main(["transcribe", str(AUDIO), "-o", str(output), "--format", "vtt"]) == 0
    assert capsys.readouterr().err == f"(1 written to {output}, 5 there already, 0 failed)\n"


def test_hidden_files_of_a_folder_are_left_out_and_taken_when_they_are_named(
    server: RealtimeServer, capsys: Captured, tmp_path: Path
) -> None:
    folder, output = tmp_path / ".recordings", tmp_path / "texts"
    folder.mkdir()
    (folder / "._x.wav").write_bytes(bytes.fromhex("0005160700020000") + b"Mac OS X        ")
    hidden = folder / ".trashed-1.wav"
    hidden.write_bytes(HELLO.read_bytes())
    assert main(["transcribe", str(folder)]) == 2
    assert "no recording in the folder" in capsys.readouterr().err
    (folder / "x.wav").write_bytes(HELLO.read_bytes())
    assert main(["transcribe", str(folder), "-o", str(output)]) == 0
    assert [path.name for path in output.iterdir()] == ["x.txt"]
    capsys.readouterr()
    assert main(["transcribe", str(hidden)]) == 0
    assert capsys.readouterr().out == f"{HEARD}\n"


def test_each_that_failed_is_a_line_and_the_exit_code_is_1(
    server: RealtimeServer, capsys: Captured, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"this is no sound")
    assert main(["transcribe", "absent.wav", str(HELLO), str(bad), "-o", str(tmp_path / "texts")]) == 1
    absent, unreadable, summary = capsys.readouterr().err.splitlines()
    assert absent == "realtime-sync: absent.wav: No such file or directory"
    assert unreadable.startswith(f"realtime-sync: {bad}: This is an MP3 file, by its name, and cannot be read")
    assert "(1 written" in summary
    assert "2 failed)" in summary


def test_a_text_is_not_taken_for_sound(server: RealtimeServer, capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Not a sound\n" * 1000)
    assert main(["transcribe", str(tmp_path / "README.md")]) == 1
    assert "README.md is not a sound file of a known kind; bare samples need" in capsys.readouterr().err
    assert server.sessions == []


@pytest.fixture
def half_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A recording of which the service cannot transcribe the last piece."""
    path = write_recording(
        tmp_path / "talk.wav", tone(12_000) + silence(1000) + tone(12_000) + silence(1000) + tone(5000)
    )

    def hear(pcm: bytes, rate: int) -> str:
        if len(pcm) < 2 * rate * 9:
            raise ValueError("I do not get it")
        return "Twelve seconds."

    with RealtimeServer(transcriber=hear) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        yield str(path)


def test_what_was_done_before_a_piece_that_fails_is_printed(half_heard: str, capsys: Captured) -> None:
    assert main(["transcribe", half_heard, "--retries", "0"]) == 1
    told = capsys.readouterr()
    assert told.out == "Twelve seconds.\nTwelve seconds.\n"
    why, what = told.err.splitlines()
    assert "the service could not transcribe 26.0 to 31.0 s" in why
    assert what == "(what came before that is above, up to 25.0 s)"
    assert main(["transcribe", half_heard, "--retries", "0", "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert "could not transcribe" in result["error"]
    assert len(result["segments"]) == 2


def test_what_was_done_before_a_piece_that_fails_is_written_beside_and_made_anew(
    half_heard: str, capsys: Captured, tmp_path: Path
) -> None:
    output = tmp_path / "texts"
    for _ in range(2):  # it is not taken for a whole one
        assert main(["transcribe", half_heard, "--retries", "0", "-o", str(output)]) == 1
        assert f"(what came before that is in {output / 'talk.partial.txt'}, up to 25.0 s)" in capsys.readouterr().err
    assert [path.name for path in output.iterdir()] == ["talk.partial.txt"]
    assert (output / "talk.partial.txt").read_text() == "Twelve seconds.\nTwelve seconds.\n"


def test_json_is_a_line_for_each_file(server: RealtimeServer, capsys: Captured, tmp_path: Path) -> None:
    arguments = ["transcribe", str(HELLO), "absent.wav", "--json", "-o", str(tmp_path), "--format", "txt"]
    assert main(arguments) == 1
    hello, absent = map(json.loads, capsys.readouterr().out.splitlines())
    assert (hello["file"], hello["output"], hello["text"]) == (str(HELLO), str(tmp_path / "hello.txt"), HEARD)
    assert hello["segments"][0]["start"] == 0.6
    assert absent == {"file": "absent.wav", "error": "No such file or directory"}
    main(arguments)
    again = json.loads(capsys.readouterr().out.splitlines()[0])
    assert again == {"file": str(HELLO), "output": str(tmp_path / "hello.txt"), "skipped": True}


def test_a_refused_key_is_told_once(server: RealtimeServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-bad-key")
    assert main(["transcribe", str(AUDIO)]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Incorrect API key" in told
    assert "a-bad-key" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.wav", "b.wav", "--format", "srt"], "-o FOLDER"),
        (["EMPTY"], "no recording in the folder"),
        (["x/a.wav", "y/a.wav", "-o", "texts"], "would both be written"),
    ],
)
def test_wrong_settings_are_told_in_a_line(
    server: RealtimeServer, capsys: Captured, tmp_path: Path, arguments: list[str], told: str
) -> None:
    assert main(["transcribe", *(str(tmp_path) if one == "EMPTY" else one for one in arguments)]) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["absent.wav", "gone.wav"], 1, "realtime-sync: error: absent.wav: No such file or directory\n"),
        (["x/a.wav", "y/a.wav", "-o", "texts"], 2, "realtime-sync: error: x/a.wav and y/a.wav would both be written"),
    ],
)
def test_what_can_be_seen_at_once_is_told_before_models_are_loaded(
    capsys: Captured, arguments: list[str], code: int, told: str
) -> None:
    assert main(["transcribe", *arguments, "--local"]) == code
    assert capsys.readouterr().err.startswith(told)


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--retries", "x"], ["--format", "docx"], []])
def test_wrong_arguments_are_told_by_their_names(capsys: Captured, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["transcribe", *([*arguments, "a.wav"] if arguments else [])])
    assert ended.value.code == 2
    assert (arguments[0] if arguments else "FILE") in capsys.readouterr().err


def test_without_a_key_it_says_what_to_set() -> None:
    ended = run("transcribe", str(HELLO))
    assert ended.returncode == 2
    assert "OPENAI_API_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_help_gives_examples(capsys: Captured) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["transcribe", "--help"])
    told = capsys.readouterr().out
    for word in ("--jobs", "--output", "--format", "--language", "--retries", "--local", "examples:", "exit code"):
        assert word in told


def test_on_a_terminal_there_is_a_bar(server: RealtimeServer, tmp_path: Path) -> None:
    with PseudoTerminal("transcribe", str(AUDIO), "-o", str(tmp_path / "texts")) as terminal:
        terminal.expect("6.0/6 files")
        terminal.expect("6 written")
        assert terminal.end() == 0


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    release = threading.Event()

    def slow_for_the_long(pcm: bytes, rate: int) -> str:
        if len(pcm) > 2 * 2 * rate:
            release.wait(50)
        return "heard"

    short = write_recording(tmp_path / "short.wav", tone(500))
    long = write_recording(tmp_path / "long.wav", tone(3000) + silence(500))
    output = tmp_path / "texts"
    with RealtimeServer(transcriber=slow_for_the_long) as server:
        environment = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "any-key"}
        with PseudoTerminal("transcribe", str(long), str(short), "-o", str(output), **environment) as terminal:
            until((output / "short.txt").is_file, PATIENCE)
            terminal.type("\x03")
            # The file is there a moment before it is counted.
            terminal.expect(re.compile(r"[01] of 2 files done; start it again to go on"))
            assert terminal.end() == 130
        release.set()
    assert [path.name for path in output.iterdir()] == ["short.txt"]


@pytest.mark.slow
def test_a_folder_of_speech_is_understood_though_the_process_is_killed_in_the_middle(
    tongue: Tongue,  # noqa: F811
    tmp_path: Path,
) -> None:
    recordings, output = tmp_path / "recordings", tmp_path / "texts"
    recordings.mkdir()
    said = {f"{number:02}": sentence for number, sentence in enumerate(SENTENCES * 3)}
    for name, sentence in said.items():
        write_recording(recordings / f"{name}.wav", silence(300) + tongue.say(sentence) + silence(300))
    command = ["transcribe", str(recordings), "-o", str(output), "--jobs", "4", "--local"]
    process = subprocess.Popen([*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: len(list(output.glob("*.txt"))) >= 3, PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)
    done = {path: path.stat().st_mtime_ns for path in output.glob("*.txt")}
    assert 3 <= len(done) < len(said)
    assert all(path.read_text().endswith("\n") for path in done)
    finished = run(*command)
    assert finished.returncode == 0, finished.stderr
    assert f"{len(said) - len(done)} written to {output}, {len(done)} there already, 0 failed" in finished.stderr
    assert {path: path.stat().st_mtime_ns for path in done} == done
    heard = [(sentence, (output / f"{name}.txt").read_text()) for name, sentence in said.items()]
    assert word_error_rate(heard) <= 0.1


def test_vllms_own_endpoint_is_spoken_to_in_its_own_way(capsys: Captured) -> None:
    with Peer(VLLM("voxtral")) as peer:
        endpoint = peer.url.partition("/realtime")[0]
        assert main(["transcribe", str(HELLO), "--server", "vllm", "--endpoint", endpoint, "--model", "voxtral"]) == 0
    assert capsys.readouterr() == ("1.7\n", "")
