"""A live session is recorded, and its recording served again to a client."""

from __future__ import annotations

from pathlib import Path

from realtime_sync.recording import Recording
from realtime_sync.testing import replay_server
from tests.live.harness import LiveHouse
from tests.recording.made_live import live_session
from tests.recording.test_live_recordings import SAID, words


def test_a_session_records_itself_as_live(plain: LiveHouse, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    session = plain.start(recording=path, keep_clock=False)
    session.send_message({"type": "session.input_audio.append", "audio": "AAAA"})
    session.close()

    recording = Recording.read(path)

    assert recording.protocol == "live"
    assert [type(command).__name__ for command in recording.commands()][:2] == [
        "LiveSessionStartCommand",
        "LiveSessionInputAudioAppendCommand",
    ]
    assert recording.connections[0].url.endswith("/v1/live/sessions")


def test_a_recording_is_served_again(plain: LiveHouse, tmp_path: Path) -> None:
    recording = live_session(tmp_path / "r.jsonl")
    server = plain.stack.enter_context(replay_server(recording, speed=None, timeout=10.0))
    session = plain.stack.enter_context(plain.client(server.url).start_live_session(keep_clock=False))
    turns = session.turns()
    for command in recording.commands():
        assert not isinstance(command, dict)
        if command.wire_type in ("session.start", "session.close"):
            continue
        session.send_message(command)
    session.close()

    assert words(list(turns)) == SAID
    assert server.settings.script is not None
    assert server.settings.script.failures == []
    assert session.close_info is not None
