"""Texts for the model: placed on the timeline, whole or in parts, and not lost without a word."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from realtime_sync import (
    ClockStoppedError,
    ConnectionClosedError,
    InvalidInputError,
    LiveSessionCommentaryAppendedUpdate,
    ServerError,
    SessionNotOpenError,
    WaitTimeoutError,
)
from realtime_sync.live import appends as appends_room
from realtime_sync.live.handles import PartsHandle
from tests.live.harness import LiveHouse, Running, until

pytestmark = pytest.mark.medium

SENTENCE = "The train to the coast leaves at ten, and it arrives before noon. "


def appended(house: LiveHouse, kind: str = "commentary") -> list[dict[str, Any]]:
    return [each for each in house.twin.received if each["type"] == f"session.{kind}.append"]


@pytest.mark.parametrize("kind", ["commentary", "thinking", "instructions"])
def test_each_kind_is_placed_with_its_delegation_or_null(house: LiveHouse, kind: str) -> None:
    session = house.start()
    append = getattr(session, f"append_{kind}")
    assert append("It rains.").wait().type == f"session.{kind}.appended"
    append("It rains.", delegation_id="item_1").wait()
    assert [each["delegation_id"] for each in appended(house, kind)] == [None, "item_1"]
    assert appended(house, kind)[0]["content"] == "It rains."


def test_the_model_says_what_it_is_given_first(plain: LiveHouse) -> None:
    session = plain.start()
    session.append_commentary("Good morning.")
    said = session.wait_for("session.output_transcript.delta", 10)
    assert "Good" in said.raw_content


def test_a_long_text_goes_out_in_parts_and_is_acknowledged_when_all_are(plain: LiveHouse) -> None:
    session = plain.start()
    handle = session.append_thinking(SENTENCE * 100)
    assert isinstance(handle, PartsHandle)
    sent = [each["content"] for each in appended(plain, "thinking")]
    until(lambda: len(appended(plain, "thinking")) == len(handle.parts))
    sent = [each["content"] for each in appended(plain, "thinking")]
    assert " ".join(sent) == (SENTENCE * 100).strip()
    assert not handle.done
    last = handle.wait()
    assert all(part.done for part in handle.parts)
    assert handle.done
    assert handle.update is last is handle.parts[-1].update


def test_a_part_that_is_refused_refuses_the_whole_at_once(plain: LiveHouse) -> None:
    session = plain.start()
    handle = session.append_commentary(SENTENCE * 60)
    assert isinstance(handle, PartsHandle)
    waiting = Running(handle.wait)
    error = {"type": "invalid_request_error", "message": "No.", "client_event_id": handle.parts[1].event_id}
    until(lambda: len(appended(plain)) == len(handle.parts))
    plain.twin.emit({"type": "error", "error": error})
    assert isinstance(waiting.join(), ServerError)
    assert isinstance(handle.error, ServerError)


def test_several_parts_wait_for_the_clock_too(plain: LiveHouse) -> None:
    handle = plain.start(keep_clock=False).append_commentary(SENTENCE * 60)
    with pytest.raises(ClockStoppedError):
        handle.wait()
    with pytest.raises(WaitTimeoutError):
        handle.wait(0)


def test_what_cannot_be_appended_is_told_at_the_call(plain: LiveHouse) -> None:
    session = plain.start()
    for content in ("", " \n", b"Hello", None):
        with pytest.raises(InvalidInputError):
            session.append_commentary(content)  # type: ignore[arg-type]
    session.close()
    with pytest.raises(SessionNotOpenError):
        session.append_commentary("Hello?")


def test_a_wait_ends_with_the_connection(plain: LiveHouse) -> None:
    session = plain.start()
    waits = [Running(session.append_commentary(text).wait) for text in ("Hello?", SENTENCE * 60)]
    plain.twin.drop(1011)
    assert all(isinstance(each.join(), ConnectionClosedError) for each in waits)


def test_an_append_that_is_not_acknowledged_while_the_clock_runs_is_told_in_the_log(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends_room, "_MOST_SECONDS", 1.0)
    session = plain.start()
    monkeypatch.setattr(plain.twin.appends, "take", lambda message: None)
    handle = session.append_commentary("Are you there?")
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        until(lambda: "was not acknowledged" in caplog.text, 5)
    assert str(handle.event_id) in caplog.text
    assert plain.twin.timeline_ms >= 1000
    assert not handle.done


@pytest.mark.slow
def test_the_watch_does_not_count_the_time_in_which_the_clock_stands(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends_room, "_MOST_SECONDS", 1.0)
    session, pause = plain.start(keep_clock=False), threading.Event()
    session.send_audio(bytes(9600))
    until(lambda: plain.twin.stands, 5)
    handle = session.append_commentary("Are you there?")
    pause.wait(1.5)
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        session.send_audio(bytes(96_000))
        assert isinstance(handle.wait(), LiveSessionCommentaryAppendedUpdate)
    assert "acknowledged" not in caplog.text


def test_an_acknowledged_append_is_not_told_of(
    plain: LiveHouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends_room, "_MOST_SECONDS", 1.2)
    session = plain.start()
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        for _ in range(3):
            session.append_commentary("Hello.").wait()
        until(lambda: plain.twin.timeline_ms > 3500, 10)
    assert "acknowledged" not in caplog.text


def test_appends_for_which_no_time_passes_are_watched_within_a_bound(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    for number in range(1100):
        session.append_thinking(f"{number} is a number.")
    assert len(session._appends._watch._open) == 1024
