"""Where no thread can be started: a typed error, and nothing is left of what had been begun."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from realtime_sync import (
    Budget,
    ConversationSessionOptions,
    NoMoreThreadsError,
    PlaybackPosition,
    RealtimeSyncError,
    ToolRunner,
    function_tool,
    transcribe_files,
)
from realtime_sync.protocol.items import FunctionCallItem
from realtime_sync.server import RealtimeServer
from realtime_sync.voice import FileSpeaker
from realtime_sync.web.background import BackgroundSessions
from tests.core.harness import House, client_threads, descriptors, until

TOOLS = [function_tool(lambda: "found", name="look_up")]


@contextlib.contextmanager
def no_threads(after: int = 0, of: str = "realtime-sync") -> Iterator[None]:
    """Let so many more threads of these names be started, and no other one."""
    left, start = [after], threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(of):
            if left[0] <= 0:
                raise RuntimeError("can't start new thread")  # as Python says it
            left[0] -= 1
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield


def test_a_session_that_gets_no_thread_is_not_there_and_leaves_nothing(plain: House, tmp_path: Path) -> None:
    client = plain.client()
    client.start_conversation_session().close()
    before = until(lambda: not client_threads() and descriptors())
    with no_threads(), pytest.raises(NoMoreThreadsError, match="ulimit"):
        client.start_conversation_session(recording=tmp_path / "a.jsonl")
    until(lambda: descriptors() <= before)


def test_a_name_cannot_be_looked_up_without_a_thread(plain: House) -> None:
    client = plain.client(plain.server.url.replace("127.0.0.1", "localhost"))
    before = descriptors()
    with no_threads(), pytest.raises(NoMoreThreadsError):
        client.start_conversation_session()
    assert descriptors() == before


def interrupter(session: Any) -> None:
    with session.interrupt_on_speech(PlaybackPosition()):
        pytest.fail("it began")


def approver(session: Any) -> None:
    with session.approve_mcp(lambda request: True):
        pytest.fail("it began")


STARTS: dict[str, Callable[[Any], object]] = {
    "start_sending_audio": lambda session: session.start_sending_audio(bytes(4800)),
    "interrupt_on_speech": interrupter,
    "approve_mcp": approver,
    "tools in the settings": lambda session: session.configure_session(ConversationSessionOptions(tools=TOOLS)),
}


@pytest.mark.parametrize("what", STARTS)
def test_a_feature_without_a_thread_gives_back_what_it_had_taken(plain: House, what: str) -> None:
    session = plain.open()
    listeners = session._engine._listeners
    with no_threads(), pytest.raises(NoMoreThreadsError):
        STARTS[what](session)
    assert session._engine._listeners == listeners
    session.start_sending_audio(bytes(4800)).wait(5)  # nobody has the right to send
    with session.approve_mcp(lambda request: True):  # nobody decides
        session.configure_session(ConversationSessionOptions(tools=TOOLS)).wait()
        assert session.ask("please look_up", timeout=10).status == "completed"


def test_a_source_that_was_opened_is_closed_if_its_audio_gets_no_thread(plain: House, tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(96000))
    session = plain.open()
    before = descriptors()
    with path.open("rb") as file, no_threads(), pytest.raises(NoMoreThreadsError):
        session.start_sending_audio(file)
    with no_threads(), pytest.raises(NoMoreThreadsError):
        session.start_sending_audio(path)
    assert descriptors() == before


def test_a_call_of_a_tool_without_a_thread_tells_the_model_why() -> None:
    call = FunctionCallItem(call_id="call_1", name="look_up", arguments="{}")
    with ToolRunner(TOOLS) as runner:
        with no_threads():
            outcome = runner.start(call).outcome(5)
        assert "ulimit" in outcome.output
        assert runner.start(call).outcome(5).output == "found"


def test_a_reconnect_without_a_thread_ends_the_session(plain: House) -> None:
    session = plain.open(start={"reconnect": True})
    with no_threads():
        plain.live.connection.abort()  # type: ignore[union-attr]
        with pytest.raises(RealtimeSyncError, match="No thread can be started"):
            list(session.updates())
    assert session.closed


def test_a_budget_that_is_passed_ends_the_session_without_a_thread(plain: House) -> None:
    client = plain.client()
    client.model = "gpt-realtime-2.1"  # which has a price
    session = client.start_conversation_session(budget=Budget(1e-9))
    with no_threads():
        session.start_response()
        with pytest.raises(RealtimeSyncError, match="budget"):
            list(session.updates())
    assert session.close_info is not None
    assert session.close_info.code == 4002


def test_background_sessions_do_not_count_one_without_a_thread(plain: House) -> None:
    with BackgroundSessions(max_sessions=1) as sessions:
        with no_threads(), pytest.raises(NoMoreThreadsError):
            sessions.start(plain.client().start_conversation_session, lambda session: None)
        assert sessions.running == 0
        assert sessions.start(plain.client().start_conversation_session, lambda session: 1).wait(10) == 1


def test_a_file_speaker_without_a_thread_closes_its_file_and_may_be_started_again(tmp_path: Path) -> None:
    speaker = FileSpeaker(tmp_path / "a.wav", pace=100)
    before = descriptors()
    with no_threads(), pytest.raises(NoMoreThreadsError):
        speaker.start()
    assert descriptors() == before
    with speaker:
        speaker.write("item", 0, bytes(4800))
        speaker.wait(5)


def test_files_are_not_transcribed_without_a_thread(plain: House, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    with no_threads(), pytest.raises(NoMoreThreadsError):
        transcribe_files([tmp_path / "a.wav"], plain.client(), progress=False)


def test_a_server_without_a_thread_does_not_listen() -> None:
    before = descriptors()
    with no_threads(of="realtime-server"), pytest.raises(NoMoreThreadsError):
        RealtimeServer()
    assert descriptors() == before
