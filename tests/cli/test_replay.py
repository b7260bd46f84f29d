"""``realtime-sync replay``: where it listens. What it serves is tested with the recordings."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from realtime_sync.cli import main
from tests.recording.made import spoken_conversation

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("command", ["replay", "serve"])
@pytest.mark.parametrize("port", ["99999", "-1", "x", "²"])
def test_what_is_no_port_is_told_by_its_name(command: str, port: str, tmp_path: Path, capsys: Captured) -> None:
    spoken_conversation(tmp_path / "r.jsonl", 1)
    recording = [str(tmp_path / "r.jsonl")] if command == "replay" else []
    with pytest.raises(SystemExit) as ended:
        main([command, *recording, f"--port={port}"])
    assert ended.value.code == 2
    assert f"--port: '{port}' is no port: 0 to 65535" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told_with_what_to_do(tmp_path: Path, capsys: Captured) -> None:
    spoken_conversation(tmp_path / "r.jsonl", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["replay", str(tmp_path / "r.jsonl"), "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"realtime-sync: error: cannot listen on 127.0.0.1 port {port}: ")
    assert "--port 0" in error
