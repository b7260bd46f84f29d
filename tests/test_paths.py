"""What takes a path says so of what is none: in a typed error, at the call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from realtime_sync import OpenAIClient, transcribe, transcribe_files
from realtime_sync.audio import PCM, WavWriter, audio_chunks, write_wav
from realtime_sync.errors import ConfigurationError, InvalidInputError
from realtime_sync.recording import Recording
from realtime_sync.timeline import save_picture, save_stereo
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.recording.made import Made


def nobody() -> Any:
    """A client of a server that there is not: nothing may be connected."""
    return OpenAIClient("key", endpoint="http://127.0.0.1:1/v1").get_realtime_conversation_client("m")


@pytest.mark.parametrize(
    "take",
    [
        lambda path, made: nobody().start_conversation_session(recording=path),
        lambda path, made: nobody().start_transcription_session(recording=path),
        lambda path, made: audio_chunks(path, PCM, 4800),
        lambda path, made: transcribe(path, nobody()),
        lambda path, made: transcribe_files([path], nobody()),
        lambda path, made: transcribe_files([], nobody(), output=path),
        lambda path, made: list(FileMicrophone(path)),
        lambda path, made: FileSpeaker(path).start(),
        lambda path, made: WavWriter(path),
        lambda path, made: write_wav(path, b""),
        lambda path, made: Recording.read(path),
        lambda path, made: save_picture(made, path),
        lambda path, made: save_stereo(made, path),
    ],
)
@pytest.mark.parametrize("wrong", ["a\0b.wav", Path("a\0b.png"), 5])
def test_what_is_no_path_is_refused_at_the_call(take: Callable[[Any, Any], object], wrong: Any, tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl").done()
    with pytest.raises(InvalidInputError):
        take(wrong, made)


@pytest.mark.parametrize("wrong", ["a\0b.pem", 5])
def test_a_ca_file_that_is_no_path_is_a_wrong_setting(wrong: Any) -> None:
    client = OpenAIClient("key", endpoint="https://127.0.0.1:1/v1", ca_file=wrong)
    with pytest.raises(ConfigurationError, match="ca_file"):
        client.get_realtime_conversation_client("m").start_conversation_session()


def test_an_endless_file_is_no_recording() -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("no endless file")
    with pytest.raises(InvalidInputError, match="not a recording"):
        Recording.read("/dev/zero")
