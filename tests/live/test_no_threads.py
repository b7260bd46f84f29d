"""Where no thread can be started for a live session: a typed error, and nothing is left of what had been begun."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_sync import LiveSession, NoMoreThreadsError
from realtime_sync.voice import FileMicrophone, FileSpeaker
from tests.core.harness import descriptors
from tests.live.harness import LiveHouse, client_threads, until, within

SOUND = bytes(48_000)


@contextlib.contextmanager
def without(*roles: str) -> Iterator[list[str]]:
    """Refuse the threads of sessions that have one of these roles; gives the roles that were refused."""
    start, refused = threading.Thread.start, list[str]()

    def refuse(thread: threading.Thread) -> None:
        role = thread.name.partition("-")[2].rpartition("-")[2]
        if thread.name.startswith("realtime-sync-") and role in roles:
            refused.append(role)
            raise RuntimeError("can't start new thread")  # as Python says it
        start(thread)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield refused


@pytest.mark.parametrize("role", ["reader", "watch", "keeper"])
def test_a_session_that_lacks_a_thread_is_not_there_and_leaves_nothing(
    plain: LiveHouse, tmp_path: Path, role: str
) -> None:
    client = plain.client()
    client.start_live_session().close()
    before = until(lambda: not client_threads() and descriptors())
    with without(role, "closer") as refused, within(5), pytest.raises(NoMoreThreadsError, match="ulimit"):
        client.start_live_session(budget=1.0, reconnect=True, recording=tmp_path / "a.jsonl")
    assert role in refused
    until(lambda: not client_threads() and descriptors() <= before)


def test_a_session_is_closed_also_if_that_gets_no_thread(plain: LiveHouse) -> None:
    session = plain.start()
    with without("closer") as refused, within(5):
        session.close()
    assert refused
    assert session.close_info is not None
    assert session.close_info.reason == "close_requested"


def test_audio_that_gets_no_thread_leaves_the_right_to_send(plain: LiveHouse) -> None:
    session = plain.start()
    with without("audio"), pytest.raises(NoMoreThreadsError):
        session.start_sending_audio(SOUND)
    session.start_sending_audio(SOUND[:4800]).wait(5)


@pytest.mark.parametrize("role", ["microphone", "speaker"])
def test_a_conversation_that_lacks_a_thread_lets_go_of_its_devices(plain: LiveHouse, tmp_path: Path, role: str) -> None:
    session: LiveSession = plain.start()
    microphone, speaker = FileMicrophone(SOUND), FileSpeaker(tmp_path / "a.wav")
    with without(role), within(5), pytest.raises(NoMoreThreadsError):
        session.talk(microphone, speaker)
    session.start_sending_audio(SOUND[:4800]).wait(5)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"
