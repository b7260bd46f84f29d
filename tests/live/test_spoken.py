"""What is said in a live session: turns, fragments and the conversation, over a real connection."""

from __future__ import annotations

import base64
import logging
import time
from contextlib import suppress
from typing import Any

import pytest

from realtime_sync import (
    AudioFormat,
    InvalidInputError,
    LiveSession,
    LiveSessionOptions,
    LiveTurn,
    QueueLimits,
    WaitTimeoutError,
)
from realtime_sync.testing import ManualClock
from tests.live.harness import LiveHouse, until, within

pytestmark = pytest.mark.medium

SILENCE = base64.b64encode(bytes(4800)).decode()


def fragment(direction: str, start_ms: int, text: str) -> dict[str, Any]:
    times = {"start_ms": start_ms, "end_ms": start_ms + 200}
    return {
        "type": f"session.{direction}_transcript.delta",
        "delta": text,
        "event_id": f"{direction}{start_ms}",
        **times,
    }


class Conversing:
    """A session whose service's time is a manual clock's; what this side measures is real."""

    def __init__(self, house: LiveHouse, **options: Any) -> None:
        self.clock = ManualClock()
        house.serve(clock=self.clock, ping_interval=None)
        self.session: LiveSession = house.start(keep_clock=False, **options)
        self.twin = house.twin
        self._count = 0

    def silence(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self._count += 1
            self.session.send_message({"type": "session.input_audio.append", "audio": SILENCE})
            self.twin.wait_for_message("session.input_audio.append", count=self._count)
            self.clock.advance(0.1)

    def hang_up(self) -> None:
        """At once: the service's time stands, so that it would not answer a close."""
        self.twin.drop(1011)
        until(lambda: self.session.closed)


def words(turns: list[LiveTurn]) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.text) for turn in turns]


def test_turns_fragments_and_conversation_tell_the_same(house: LiveHouse) -> None:
    talk = Conversing(house)
    turns, fragments = talk.session.turns(), talk.session.transcripts()
    talk.silence(1.0)
    talk.twin.hear("Hello, who is there?")
    talk.silence(4.0)
    talk.twin.say("Nobody but me.")
    talk.silence(6.0)
    conversation = talk.session.conversation

    first, second = next(turns), next(turns)
    assert words([first, second]) == [("user", "Hello, who is there?"), ("assistant", "Nobody but me.")]
    assert words(conversation.turns) == words([first, second])
    assert second.audio
    assert first.audio is None
    assert first.end_ms < second.start_ms
    told = [next(fragments) for _ in range(7)]
    assert "".join(each.text for each in told if each.speaker == "user").strip() == first.text
    assert "".join(each.text for each in told if each.speaker == "assistant").strip() == second.text
    assert [(each.role, each.text) for each in conversation.history()] == words([first, second])
    talk.hang_up()


def test_a_turn_is_over_though_no_update_comes(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    turns = session.turns(timeout=10)
    begin = time.monotonic()
    plain.twin.emit(fragment("input", 600, "Hello."))

    with within(6):
        turn = next(turns)

    assert (turn.text, turn.reason) == ("Hello.", "gap")
    assert time.monotonic() - begin > 1.5


def test_a_turn_is_over_when_the_models_track_stands(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    turns = session.turns(timeout=10)
    plain.twin.emit({"type": "session.output_audio.delta", "delta": SILENCE})
    plain.twin.emit(fragment("input", 600, "Hello."))

    with within(1.9):
        assert next(turns).reason == "stood_still"


def test_a_turn_that_does_not_come_in_time_comes_later(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    turns = session.turns(timeout=0.2)
    plain.twin.emit(fragment("input", 600, "Hello."))

    with pytest.raises(WaitTimeoutError, match="nothing more was complete"):
        next(turns)
    for _ in range(40):
        try:
            turn = next(turns)
            break
        except WaitTimeoutError:
            pass
    assert turn.text == "Hello."


def test_the_end_of_the_session_gives_out_what_is_open(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    turns = session.turns()
    fragments = session.transcripts()
    plain.twin.emit(fragment("input", 600, "Good"))
    plain.twin.emit(fragment("output", 800, "Bye."))
    plain.twin.emit(fragment("input", 800, "bye."))

    session.close()

    assert [(turn.speaker, turn.text, turn.reason) for turn in turns] == [
        ("user", "Good bye.", "closed"),
        ("assistant", "Bye.", "closed"),
    ]
    assert [each.text for each in fragments] == ["Good", "Bye.", "bye."]
    assert words(session.conversation.turns) == [("user", "Good bye."), ("assistant", "Bye.")]


def test_a_stream_that_begins_in_the_middle_says_that_its_first_turn_continues(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    plain.twin.emit(fragment("input", 600, "Good"))
    until(lambda: bool(session.conversation.turns))
    turns = session.turns()
    plain.twin.emit(fragment("input", 600, "Good"))  # as a sideband repeats it, under the same id
    plain.twin.emit(fragment("input", 800, " bye."))
    until(lambda: session.conversation.words("user") == "Good bye.")
    session.close()

    assert [(turn.text, turn.continues) for turn in turns] == [("bye.", True)]


def test_without_sound_a_stream_of_turns_keeps_little_of_it(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    with_sound, without = session.turns(), session.turns(keep_audio=False)
    for _ in range(50):
        plain.twin.emit({"type": "session.output_audio.delta", "delta": SILENCE})
    plain.twin.emit(fragment("output", 600, "Hello."))
    until(lambda: bool(session.conversation.turns))

    assert with_sound._updates.waiting_bytes > 50 * 6400
    assert without._updates.waiting_bytes < 20 * 6400
    session.close()
    assert next(without).audio is None
    assert next(with_sound).audio is not None


def test_a_turn_has_the_format_in_which_the_session_speaks(plain: LiveHouse) -> None:
    session = plain.start(LiveSessionOptions(audio_format=AudioFormat(rate=16000)), keep_clock=False)
    turns = session.turns()
    plain.twin.emit({"type": "session.output_audio.delta", "delta": SILENCE})
    plain.twin.emit(fragment("output", 600, "Hello."))
    until(lambda: bool(session.conversation.turns))
    session.close()

    turn = next(turns)
    assert turn.audio_format is not None
    assert turn.audio_format.rate == 16000


def test_the_conversation_is_bounded(plain: LiveHouse, caplog: pytest.LogCaptureFixture) -> None:
    session = plain.start(client={"limits": QueueLimits(conversation=3000)}, keep_clock=False)
    with caplog.at_level(logging.WARNING, "realtime_sync"):
        for index in range(20):
            plain.twin.emit(fragment("input", 3000 * index, f"Word {index}."))
        until(lambda: session.conversation.words("user").endswith("Word 19."))

    assert session.conversation.forgotten > 5
    assert "QueueLimits.conversation" in caplog.text


def test_a_session_shows_itself_in_a_notebook(plain: LiveHouse) -> None:
    session = plain.start(keep_clock=False)
    plain.twin.emit(fragment("input", 600, "<b>Hello.</b>"))
    until(lambda: bool(session.conversation.turns))

    page = session._repr_html_()

    assert f"Live session {session.id}" in page
    assert "gpt-live-1.1" in page
    assert "&lt;b&gt;Hello.&lt;/b&gt;" in page
    session.close()
    assert "open" not in session._repr_html_().split("<table>")[1]


@pytest.mark.parametrize("gap_ms", [0, -1, "long"])
def test_a_gap_that_is_none_is_refused(plain: LiveHouse, gap_ms: Any) -> None:
    session = plain.start(keep_clock=False)
    with pytest.raises(InvalidInputError, match="gap_ms"):
        session.turns(gap_ms=gap_ms)


def test_whoever_only_looks_gets_a_turn_too_that_is_over_because_time_has_passed(plain: LiveHouse) -> None:
    talk = Conversing(plain)
    turns = talk.session.turns(timeout=0)
    talk.silence(1.0)
    talk.twin.hear("Hello.")
    talk.silence(1.6)  # and then the clock stands, so that no update comes any more

    def turn() -> LiveTurn | None:
        with suppress(WaitTimeoutError):
            return next(turns)
        return None

    found = until(turn)
    assert words([found]) == [("user", "Hello.")]
    talk.hang_up()
