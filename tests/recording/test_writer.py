"""Writing a recording: what goes in comes out, except secrets; and nothing that goes wrong is the session's trouble."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realtime_sync.audio.wav import read_wav_header
from realtime_sync.errors import CloseInfo, InvalidInputError
from realtime_sync.protocol.dialects import Dialect
from realtime_sync.recording import Recording, RecordingWriter
from realtime_sync.version import __version__
from tests.harness import within
from tests.recording.made import SESSION, Made, tone, writer_that_fails

ROOT = str(Path(__file__).parents[2])
KEY = "sk-proj-a-key-that-nobody-may-see"
SECRET = "a-secret-that-nobody-may-see"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"

FRAMES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["in", "out"]), st.text(st.characters() | st.sampled_from("\ud800\u2028\n\r\0"))),
        st.tuples(st.just("in"), st.binary()),
    ),
    max_size=8,
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


@given(FRAMES, st.sampled_from(["keep", "elide", "beside"]))
@example([("in", '{"delta":"<9600 bytes>","audio":"not base64"}'), ("out", '"audio": "AAAA')], "elide")
def test_every_frame_comes_back_as_it_was(frames: list[tuple[str, Any]], audio: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        with RecordingWriter(path, audio=audio) as writer:
            for at, (direction, frame) in enumerate(frames):
                (writer.sent if direction == "out" else writer.received)(frame, at=float(at))
        read = Recording.read(path)
    assert [(entry.direction, entry.text if entry.binary is None else entry.binary) for entry in read.entries] == frames
    assert [entry.t for entry in read.entries] == [float(at) for at in range(len(frames))]
    assert read.faults == ()


def test_the_first_line_says_what_the_file_is(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r.jsonl", audio="elide") as writer:
        writer.connected("wss://user:pass@example.com/v1/realtime?model=m&key=k", 1, Dialect.PREVIEW)
        writer.received("{}")
    header, connected, frame = lines(tmp_path / "r.jsonl")
    assert header.items() >= {"recording": 1, "library": __version__, "dialect": "preview", "audio": "elide"}.items()
    assert header["started"].endswith("+00:00")
    assert (connected["dir"], connected["n"]) == ("connected", 1)
    assert connected["url"] == "wss://example.com/v1/realtime?model=m&key=..."
    assert (frame["dir"], frame["text"]) == ("in", "{}")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"type": "session.created", "session": {"client_secret": {"value": SECRET, "expires_at": 5}}}),
        json.dumps({"type": "session.update", "session": {"tools": [{"type": "mcp", "authorization": SECRET}]}}),
        json.dumps({"type": "session.update", "session": {"tools": [{"headers": {"X-Key": SECRET, "X": [SECRET]}}]}}),
        json.dumps({"x": {"server_url": f"https://user:{SECRET}@example.com/mcp?token={SECRET}"}}),
        json.dumps({"x": {"API_Key": SECRET, "api-key": SECRET}}),
        json.dumps({"api_key": SECRET}).replace("_", "\\u005f"),
        json.dumps({"type": "error", "error": {"message": f"Incorrect API key provided: {KEY}."}}),
        json.dumps({"type": "error", "error": {"message": f"Bad header: Bearer {SECRET}"}}),
        json.dumps({"type": "session.created", "value": f"ek_{SECRET}"}),
        json.dumps({"type": "session.created", "value": TOKEN}),
        json.dumps({"type": "error", "error": {"message": f"Two lines:\n{KEY}\n{TOKEN}\nBearer {SECRET}"}}),
        f"not JSON: {KEY}",
        '{"api_key": "' + SECRET + '", "deep": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
def test_secrets_are_never_in_the_file(tmp_path: Path, text: str) -> None:
    with RecordingWriter(tmp_path / "r.jsonl") as writer:
        writer.sent(text)
        writer.received(text)
        writer.disconnected(CloseInfo(3000, f"invalid key {KEY}", "remote"))
    told = (tmp_path / "r.jsonl").read_text("utf-8")
    assert not [secret for secret in (KEY, SECRET, TOKEN) if secret in told]
    assert "***" in told or "left_out" in told or "..." in told


def test_a_message_with_a_secret_keeps_its_shape(tmp_path: Path) -> None:
    session = {**SESSION, "client_secret": {"value": SECRET, "expires_at": 5}, "voice": "marin"}
    with RecordingWriter(tmp_path / "r.jsonl") as writer:
        writer.received(json.dumps({"type": "session.created", "event_id": "e", "session": session}))
    (update,) = Recording.read(tmp_path / "r.jsonl").updates()
    told: Any = update
    assert (told.session.client_secret.value, told.session.client_secret.expires_at) == ("***", 5)
    assert update.faults == ()


def test_elided_audio_is_told_by_its_length_and_read_as_silence(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl", audio="elide").says(tone(0.1)).answers(tone(0.2))
    made.told("response.output_audio_transcript.delta", delta="AAAA", item_id="a", response_id="r")
    read = made.done()
    text = (tmp_path / "r.jsonl").read_text("utf-8")
    assert "<4800 bytes>" in text
    assert "<9600 bytes>" in text
    assert len(text) < 2000
    said, answered, transcript = (json.loads(entry.text) for entry in read.entries)
    assert base64.b64decode(said["audio"]) == bytes(4800)
    assert base64.b64decode(answered["delta"]) == bytes(9600)
    assert transcript["delta"] == "AAAA"


def test_elided_telephone_audio_is_read_as_its_own_silence(tmp_path: Path) -> None:
    formats = {"audio": {"input": {"format": {"type": "audio/pcma"}}, "output": {"format": {"type": "audio/pcmu"}}}}
    made = Made(tmp_path / "r.jsonl", audio="elide").told("session.created", session={**SESSION, **formats})
    _, said, answered = made.says(b"\x01\x02").answers(b"\x03\x04\x05").done().entries
    assert base64.b64decode(json.loads(said.text)["audio"]) == b"\xd5" * 2
    assert base64.b64decode(json.loads(answered.text)["delta"]) == b"\xff" * 3


def test_audio_beside_is_two_wav_files_and_the_frames_come_back_verbatim(tmp_path: Path) -> None:
    samples = [tone(0.1, 200), tone(0.1, 300), tone(0.2, 400)]
    kept, beside = (Made(tmp_path / f"{mode}.jsonl", audio=mode) for mode in ("keep", "beside"))
    for made in (kept, beside):
        made.says(samples[0]).says(samples[1]).answers(samples[2])
        part = {"type": "input_audio", "audio": base64.b64encode(samples[0]).decode()}
        item = {"type": "message", "role": "user", "content": [part, part]}
        made.sent("conversation.item.create", item=item)
    assert beside.done().entries == kept.done().entries
    with open(tmp_path / "beside.jsonl.user.wav", "rb") as user:
        info, _ = read_wav_header(user)
        assert str(info) == "16-bit PCM, 24000 Hz, mono"
        assert user.read() == samples[0] + samples[1] + samples[0] * 2
    with open(tmp_path / "beside.jsonl.model.wav", "rb") as model:
        read_wav_header(model)
        assert model.read() == samples[2]
    assert "<4800 bytes at 4800>" in (tmp_path / "beside.jsonl").read_text("utf-8")


def test_a_missing_wav_file_beside_is_told_and_read_as_silence(tmp_path: Path) -> None:
    made = Made(tmp_path / "r.jsonl", audio="beside").says(tone(0.1)).says(tone(0.1))
    made.done()
    os.remove(tmp_path / "r.jsonl.user.wav")
    read = Recording.read(tmp_path / "r.jsonl")
    assert len(read.faults) == 1
    assert "user.wav" in read.faults[0]
    assert [base64.b64decode(json.loads(entry.text)["audio"]) for entry in read.entries] == [bytes(4800)] * 2


def test_another_way_to_keep_audio_is_refused_before_a_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="keep, elide, beside"):
        RecordingWriter(tmp_path / "r.jsonl", audio="all")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_every_line_is_in_the_file_once_it_is_written(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r.jsonl")
    writer.received('{"type": "session.created"}')
    assert len(Recording.read(tmp_path / "r.jsonl").entries) == 1
    writer.close()


def test_what_is_told_after_the_end_is_not_written(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r.jsonl")
    writer.close()
    writer.close()
    writer.received("{}")
    assert writer.closed
    assert writer.error is None
    assert Recording.read(tmp_path / "r.jsonl").entries == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files")
def test_a_disk_that_fails_ends_the_recording_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "realtime_sync"):
        writer = writer_that_fails(tmp_path / "r.jsonl")
        for _ in range(3):
            writer.sent("{}")
            writer.received("{}")
        writer.close()
    assert isinstance(writer.error, OSError)
    assert len(caplog.records) == 1
    assert "r.jsonl" in caplog.text
    assert "failed" in repr(writer)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files")
def test_a_pipe_whose_reader_is_slow_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with within(2), RecordingWriter(tmp_path / "pipe") as writer:
        writer.received('{"type": "session.created"}')
        assert json.loads(os.read(reader, 65536).splitlines()[1])["text"] == '{"type": "session.created"}'
        for _ in range(10):
            writer.received('{"text": "%s"}' % ("x" * 2**16))
    os.close(reader)
    assert isinstance(writer.error, BlockingIOError)


@pytest.mark.parametrize("name", ["", "nowhere/r.jsonl", "folder", "NUL\0.jsonl", "/dev/full", "pipe"])
def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    if name == "/dev/full" and not os.path.exists(name):
        pytest.skip("no device that is always full")
    (tmp_path / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    told = "cannot be written: it is a pipe, and nobody reads it" if name == "pipe" else "cannot be written: "
    with within(2), pytest.raises(InvalidInputError, match=told):
        RecordingWriter(name and os.path.join(tmp_path, name))


@pytest.mark.skipif(os.name != "posix", reason="files have no modes")
def test_new_files_may_be_read_by_nobody_but_their_owner(tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("the mode of a file that is there was somebody's choice")
    old.chmod(0o640)
    mask = os.umask(0)
    try:
        for path in (tmp_path / "new.jsonl", old):
            with RecordingWriter(path, audio="beside") as writer:
                writer.sent(json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA" * 100}))
    finally:
        os.umask(mask)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.pop("old.jsonl") == 0o640
    assert modes == dict.fromkeys(["new.jsonl", "new.jsonl.user.wav", "old.jsonl.user.wav"], 0o600)
    assert Recording.read(old).faults == ()


def test_ctrl_c_in_the_midst_of_a_line_does_not_end_the_recording(tmp_path: Path) -> None:
    class Interrupted(str):
        def split(self, *_: Any) -> list[str]:  # type: ignore[override]
            raise KeyboardInterrupt

    writer = RecordingWriter(tmp_path / "r.jsonl")
    writer.sent("{}")
    with pytest.raises(KeyboardInterrupt):
        writer.sent(Interrupted("{}"))
    writer.received("[]")
    writer.close()
    assert (writer.closed, writer.error) == (True, None)
    assert [entry.text for entry in Recording.read(tmp_path / "r.jsonl").entries] == ["{}", "[]"]


def test_frames_of_many_threads_are_all_written_each_threads_in_order(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r.jsonl")

    def send(name: int) -> None:
        for number in range(300):
            (writer.sent if name % 2 else writer.received)(json.dumps([name, number]))

    threads = [threading.Thread(target=send, args=(name,), daemon=True) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    writer.close()
    read = Recording.read(tmp_path / "r.jsonl")
    frames = [json.loads(entry.text) for entry in read.entries]
    assert [[number for name, number in frames if name == each] for each in range(6)] == [list(range(300))] * 6
    assert read.faults == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    code = """
import os, sys
from realtime_sync.recording import RecordingWriter
writer = RecordingWriter(sys.argv[1], audio="beside")
frame = '{"type":"input_audio_buffer.append","audio":"AAAA"}'
writer.sent(frame)
if os.fork() == 0:
    writer.sent(frame)
    writer.close()
    sys.exit(0)
os.wait()
writer.close()
"""
    path = tmp_path / "r.jsonl"
    subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, timeout=30, env={**os.environ, "PYTHONPATH": ROOT}
    )
    assert len(lines(path)) == 2
    assert Recording.read(path).faults == ()
