"""Many recordings at once: in order, each for itself, kept as soon as it is done."""

from __future__ import annotations

import functools
import json
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import (
    AuthenticationError,
    ConfigurationError,
    FileTranscription,
    InvalidInputError,
    Transcription,
    TranscriptionFailedError,
    transcribe_files,
)
from realtime_sync.server import RealtimeServer
from realtime_sync.transcribing.output import OutputFolder
from tests.core.harness import until
from tests.server.sounds import silence, tone
from tests.transcribing.serving import client_at, client_of, write_recording

pytestmark = pytest.mark.medium


def seconds(pcm: bytes, rate: int) -> str:
    return f"{len(pcm) / 2 / rate:.1f} s"


@pytest.fixture
def server() -> Iterator[RealtimeServer]:
    with RealtimeServer(transcriber=seconds) as running:
        yield running


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    """Six, of 1.0 to 1.5 s."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    return [
        write_recording(folder / f"{number}.wav", silence(500) + tone(1000 + 100 * number) + silence(500))
        for number in range(6)
    ]


TEXTS = [f"{1.4 + number / 10:.1f} s" for number in range(6)]  # with 0.2 s of margin at both ends


def texts(results: list[FileTranscription]) -> list[str]:
    return [result.transcription.text if result.transcription else "" for result in results]


def no_threads_are_left() -> None:
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("realtime-sync")], 10)


def test_results_are_in_the_order_of_the_files(server: RealtimeServer, recordings: list[Path]) -> None:
    results = transcribe_files(recordings, client_of(server), jobs=3)
    assert [result.path for result in results] == [str(path) for path in recordings]
    assert texts(results) == TEXTS
    assert all(result.ok and result.output is None and not result.skipped for result in results)
    no_threads_are_left()


def test_the_callers_client_stays_open(server: RealtimeServer, recordings: list[Path]) -> None:
    client = client_of(server)
    transcribe_files(recordings[:1], client)
    with client.start_transcription_session() as session:
        assert not session.closed


def test_one_bad_file_stops_no_other(server: RealtimeServer, recordings: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"this is no sound")
    results = transcribe_files([recordings[0], bad, tmp_path / "absent.wav", recordings[1]], client_of(server))
    assert [result.ok for result in results] == [True, False, False, True]
    assert isinstance(results[2].error, FileNotFoundError)


def test_a_transcription_that_fails_is_that_files_error(recordings: list[Path]) -> None:
    def fails_once(pcm: bytes, rate: int) -> str:
        if seconds(pcm, rate) == TEXTS[2]:
            raise ValueError("I do not get it")
        return seconds(pcm, rate)

    with RealtimeServer(transcriber=fails_once) as server:
        results = transcribe_files(recordings, client_of(server), retries=0)
    assert [type(result.error) for result in results if not result.ok] == [TranscriptionFailedError]
    assert texts(results) == [*TEXTS[:2], "", *TEXTS[3:]]


def test_any_executor_will_do(server: RealtimeServer, recordings: list[Path]) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert texts(transcribe_files(recordings, client_of(server), executor=pool)) == TEXTS
        assert pool.submit(int, "3").result() == 3  # it is left running


def test_other_processes_make_clients_of_their_own(server: RealtimeServer, recordings: list[Path]) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        make = functools.partial(client_at, server.url)
        assert texts(transcribe_files(recordings, make, executor=pool, logprobs=True)) == TEXTS


def test_a_client_is_not_sent_to_another_process(server: RealtimeServer, recordings: list[Path]) -> None:
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        pytest.raises(ConfigurationError, match="pass the function that makes one there"),
    ):
        transcribe_files(recordings, client_of(server), executor=pool)


def test_threads_take_a_function_as_well(server: RealtimeServer, recordings: list[Path]) -> None:
    assert texts(transcribe_files(recordings, lambda: client_of(server))) == TEXTS


def test_each_is_written_and_a_second_run_skips_it(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "texts"
    first = transcribe_files(recordings[:4], client_of(server), output=output)
    assert [result.output for result in first] == [output / f"{number}.json" for number in range(4)]
    told = json.loads((output / "0.json").read_text(encoding="utf-8"))
    assert (told["text"], told["model"]) == (TEXTS[0], "gpt-transcribe")
    sessions = len(server.sessions)
    second = transcribe_files(recordings, client_of(server), output=output)
    assert [result.skipped for result in second] == [True] * 4 + [False] * 2
    assert texts(second) == TEXTS  # those that were skipped are read
    assert len(server.sessions) == sessions + 2
    third = transcribe_files(recordings, client_of(server), output=output, overwrite=True)
    assert not any(result.skipped for result in third)


def test_in_another_format_a_skipped_one_has_no_transcription(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path
) -> None:
    for skipped in (False, True):
        (result,) = transcribe_files(recordings[:1], client_of(server), output=tmp_path, format="txt")
        assert (result.skipped, result.transcription is None) == (skipped, skipped)
    assert (tmp_path / "0.txt").read_text() == "1.4 s\n"


def test_a_half_written_file_is_not_taken_for_a_finished_one(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        (result,) = transcribe_files(recordings[:1], client_of(server), output=tmp_path, format="srt")
    assert isinstance(result.error, OSError)
    assert not list(tmp_path.glob("*.srt")) + list(tmp_path.glob(".*.part"))
    (tmp_path / ".0.srt.abcd.part").write_text("1\n00:00")  # as a process leaves it that is killed meanwhile
    (result,) = transcribe_files(recordings[:1], client_of(server), output=tmp_path, format="srt")
    assert result.ok
    assert not result.skipped


def test_a_finished_file_that_is_no_transcription_is_told_and_left(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "0.json").write_text("mine")
    bad, good = transcribe_files(recordings[:2], client_of(server), output=tmp_path)
    assert "remove it to have it made again" in str(bad.error)
    assert good.ok
    assert (tmp_path / "0.json").read_text() == "mine"


def test_an_output_that_is_no_folder_is_told_before_anything_is_transcribed(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "texts").write_text("mine")
    for output in (tmp_path / "texts", tmp_path / "texts" / "below"):
        with pytest.raises(NotADirectoryError):
            transcribe_files(recordings, client_of(server), output=output)
    assert server.sessions == []


def test_two_files_that_would_share_an_output_are_refused(
    server: RealtimeServer, recordings: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="would both be written"):
        transcribe_files([recordings[0], "elsewhere/0.mp3"], client_of(server), output=tmp_path)
    assert server.sessions == []


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


def test_an_interruption_keeps_what_is_done_and_ends_the_rest(recordings: list[Path], tmp_path: Path) -> None:
    release = threading.Event()

    def slow_but_for_the_first(pcm: bytes, rate: int) -> str:
        if seconds(pcm, rate) != TEXTS[0]:
            release.wait(30)
        return seconds(pcm, rate)

    def interrupt(result: FileTranscription) -> None:
        raise Interrupted

    with RealtimeServer(transcriber=slow_but_for_the_first) as server:
        with pytest.raises(Interrupted):
            transcribe_files(recordings, client_of(server), output=tmp_path, jobs=2, on_done=interrupt)
        no_threads_are_left()
        release.set()
        assert [path.name for path in tmp_path.glob("*.json")] == ["0.json"]
        results = transcribe_files(recordings, client_of(server), output=tmp_path)
    assert [result.skipped for result in results] == [True] + [False] * 5


def test_a_key_that_is_refused_ends_the_run_at_once(recordings: list[Path]) -> None:
    with RealtimeServer(api_keys=["another"]) as server, pytest.raises(AuthenticationError):
        transcribe_files(recordings, client_of(server))


def test_progress_counts_files_and_parts_of_files(server: RealtimeServer, tmp_path: Path) -> None:
    told: list[tuple[float, int]] = []
    long = write_recording(tmp_path / "long.wav", (tone(3000) + silence(1000)) * 3)
    transcribe_files([long], client_of(server), progress=lambda done, total: told.append((done, total)))
    done = [one for one, _ in told]
    assert done == sorted(done)
    assert done[-1] == 1
    assert any(0 < one < 1 for one in done)
    assert {total for _, total in told} == {1}


def test_a_bar_is_shown_where_it_is_asked_for(
    server: RealtimeServer, recordings: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    transcribe_files(recordings, client_of(server), progress=True)
    assert "6.0/6 files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("paths", "arguments", "told"),
    [
        ("one.wav", {}, "paths must be a list"),
        ([3], {}, "a path must be"),
        ([], {"jobs": 0}, "jobs"),
        ([], {"output": "x", "format": "docx"}, "txt, srt, vtt, json"),
        ([], {"progress": 3}, "progress"),
    ],
)
def test_arguments_without_sense_are_refused(
    server: RealtimeServer, paths: Any, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        transcribe_files(paths, client_of(server), **arguments)


def test_no_files_are_no_results(server: RealtimeServer) -> None:
    assert transcribe_files([], client_of(server)) == []


def test_two_writers_of_one_file_leave_a_whole_one(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path, "json")
    (target,) = folder.targets(["a.wav"])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: folder.write(target, Transcription(duration=number)), range(50)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert folder.read(target) is not None
