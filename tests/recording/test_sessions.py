"""Sessions with ``recording=``: the wire is written down, and nothing of the recording is the session's trouble."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from realtime_sync import ConversationSessionOptions, InvalidInputError, OpenAIClient, ServerError
from realtime_sync.recording import Recording, RecordingWriter
from realtime_sync.server import RealtimeServer
from realtime_sync.testing.replay import ReplayScript, replay_server
from tests.core.harness import client_threads, until
from tests.recording.made import writer_that_fails

KEY = "sk-a-key-that-nobody-may-see"


def talk(server: RealtimeServer, recording: Any) -> list[str]:
    """The frames that the session has received, by its own account."""
    client = OpenAIClient(KEY, endpoint=server.url, proxy=False).get_realtime_conversation_client("m")
    with client, client.start_conversation_session(ConversationSessionOptions(), recording=recording) as session:
        session.add_item("Hello")
        session.start_response().wait()  # by hand: an ask would take its updates
        until(lambda: session.conversation.responses[0].status == "completed")
        with pytest.raises(ServerError):
            session.delete_item("none").wait()
    received = [update.raw_content for update in session.updates()]
    until(lambda: not client_threads())
    return received


def test_a_recorded_session_replays_to_the_same_updates(tmp_path: Path) -> None:
    with RealtimeServer() as server:
        received = talk(server, tmp_path / "r.jsonl")
        sent = server.sessions[0].received_count
    recording = Recording.read(tmp_path / "r.jsonl")
    assert recording.faults == ()
    assert [update.raw_content for update in recording.updates()] == received
    assert len(list(recording.commands())) == sent
    assert str(recording.connections[0].info) == "closed here (1000)"
    assert KEY not in (tmp_path / "r.jsonl").read_text("utf-8")
    with replay_server(recording) as server:
        talk(server, RecordingWriter(tmp_path / "again.jsonl"))
        script = server.settings.script
        assert isinstance(script, ReplayScript)
        assert script.failures == []
    again = Recording.read(tmp_path / "again.jsonl")
    assert [update.type for update in again.updates()] == [update.type for update in recording.updates()]
    assert again.conversation().usage == recording.conversation().usage


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files")
def test_a_disk_that_fails_does_not_end_the_session(tmp_path: Path) -> None:
    with RealtimeServer() as server:
        writer = writer_that_fails(tmp_path / "r.jsonl")
        talk(server, writer)
    assert isinstance(writer.error, OSError)


def test_a_file_that_cannot_be_made_is_told_before_a_connection_is(tmp_path: Path) -> None:
    with RealtimeServer() as server:
        client = OpenAIClient(KEY, endpoint=server.url, proxy=False).get_realtime_conversation_client("m")
        with client, pytest.raises(InvalidInputError, match="No such file or directory"):
            client.start_conversation_session(recording=tmp_path / "nowhere" / "r.jsonl")
        assert server.sessions == []


def test_a_session_that_could_not_be_started_leaves_a_complete_file(tmp_path: Path) -> None:
    with RealtimeServer(api_keys=["another"]) as server:
        client = OpenAIClient(KEY, endpoint=server.url, proxy=False).get_realtime_conversation_client("m")
        writer = RecordingWriter(tmp_path / "r.jsonl")
        with client, pytest.raises(ConnectionError):
            client.start_conversation_session(recording=writer)
    until(lambda: writer.closed and not client_threads())
    assert Recording.read(tmp_path / "r.jsonl").faults == ()
