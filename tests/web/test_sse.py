"""Answers as server-sent events, without any framework: what is said, what fails, and who goes away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from realtime_sync import ConversationResponseOptions, InvalidInputError
from realtime_sync.server import Reply, Turn, faults
from realtime_sync.web.sse import SSE_HEADERS, sse_event, sse_events
from tests.core.answers import WRITTEN, Gate, received
from tests.core.harness import House, until
from tests.web.events import events, words


def test_a_written_answer_comes_in_pieces_and_ends_with_its_usage(plain: House) -> None:
    plain.serve(responder=lambda turn: iter(["A coast ", "redwood", "."]))
    with plain.open() as session, sse_events(session.respond("Which?", WRITTEN)) as stream:
        told = list(events(stream))
    assert told[0][0] == ":"
    assert [data["text"] for name, data in told if name == "text"] == ["A coast ", "redwood", "."]
    name, done = told[-1]
    assert name == "done"
    assert done["status"] == "completed"
    assert done["text"] == "A coast redwood."
    assert done["usage"]["output_tokens"] > 0
    assert "cost" not in done  # a visitor need not know it


def test_the_cost_is_told_if_it_is_asked_for(plain: House) -> None:
    plain.serve(responder=lambda turn: "Yes.")
    with plain.open() as session:
        told = list(events(sse_events(session.respond("So?", WRITTEN), with_cost=True)))
    assert "cost" in told[-1][1]  # None of this model, whose prices nobody knows


def test_a_spoken_answer_comes_as_its_transcript(plain: House) -> None:
    plain.serve(responder=lambda turn: "Good morning.")
    with plain.open() as session:
        told = list(events(sse_events(session.respond("Hello"))))
    assert words(told, "transcript") == "Good morning."
    assert told[-1][1]["transcript"] == "Good morning."


@pytest.mark.parametrize(
    "text", ["a\nb\r\nc\rd", "\n\nevent: done\ndata: {}\n\n", "\u2028\u2029\x00\x85", "naïve 🌲", ": x"]
)
def test_no_text_can_end_its_event_or_forge_another(plain: House, text: str) -> None:
    plain.serve(responder=lambda turn: text)
    with plain.open() as session:
        told = list(events(sse_events(session.respond("Say it", WRITTEN))))
    assert words(told) == text
    assert [name for name, _ in told] == [":", *["text"] * (len(told) - 2), "done"]


def test_half_a_character_does_not_end_the_stream() -> None:
    assert list(events([sse_event("text", {"text": "\ud83c"})])) == [("text", {"text": "?"})]


@pytest.mark.parametrize("name", ["", "a\nb", "a\rb"])
def test_a_name_that_would_forge_an_event_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="one line"):
        sse_event(name, {})


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "15", True])
@pytest.mark.parametrize("which", ["heartbeat", "timeout"])
def test_what_is_no_number_of_seconds_is_refused(plain: House, which: str, seconds: Any) -> None:
    with plain.open() as session, session.respond("Hello") as response:
        with pytest.raises(InvalidInputError, match=which):
            sse_events(response, **{which: seconds})
        response.wait(10)


def test_heartbeats_fill_the_silence_and_no_piece_is_lost_or_told_twice(plain: House) -> None:
    gate = Gate("one ", "two")
    plain.serve(responder=gate)
    with plain.open() as session:
        told = []
        silences = 0
        for name, data in events(sse_events(session.respond("Count", WRITTEN), heartbeat=0.02)):
            told.append((name, data))
            silences += name == ":" and words(told) == "one "
            if silences == 3:
                gate.opened.set()
    assert silences >= 3
    assert words(told) == "one two"
    assert told[-1][0] == "done"


def test_who_goes_away_cancels_the_answer_and_closes_the_session(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    stream = sse_events(session.respond("Count", WRITTEN), then_close=session)
    next(event for event in events(stream) if event[0] == "text")
    stream.close()
    stream.close()
    assert session.closed
    assert plain.live.wait_until_closed() == 1000
    assert len(received(plain.live, "response.cancel")) == 1


def test_a_stream_that_nobody_read_is_cancelled_too(plain: House) -> None:
    # A HEAD request: the server closes what it never iterated, and a generator would not run at all.
    plain.serve(responder=Gate())
    session = plain.open()
    sse_events(session.respond("Count", WRITTEN), then_close=session).close()
    plain.live.wait_until_closed()
    assert len(received(plain.live, "response.cancel")) == 1


def test_a_finished_answer_is_not_cancelled_and_its_session_is_closed(plain: House) -> None:
    plain.serve(responder=lambda turn: "Yes.")
    session = plain.open()
    assert list(sse_events(session.respond("So?", WRITTEN), then_close=session))
    assert session.closed
    plain.live.wait_until_closed()
    assert received(plain.live, "response.cancel") == []


def test_an_answer_that_takes_too_long_is_cancelled_and_told_so(plain: House) -> None:
    def endless(turn: Turn) -> Iterator[str]:
        while not turn.cancelled.wait(0.01):
            yield "more "

    plain.serve(responder=endless)
    session = plain.open()
    response = session.respond("Talk", WRITTEN)
    next(response.text_deltas(20))  # the time counts from the stream's beginning, and what has come is told at once
    told = list(events(sse_events(response, timeout=0.5, then_close=session)))
    name, failed = told[-1]
    assert name == "failed"
    assert failed["type"] == "WaitTimeoutError"
    assert words(told).startswith("more ")
    plain.live.wait_for_message("response.cancel")


@pytest.mark.parametrize("heartbeat", [0.05, None])
def test_an_answer_that_never_comes_ends_at_its_time(plain: House, heartbeat: Any) -> None:
    plain.serve(responder=Gate(before=""))
    session = plain.open()
    told = list(events(sse_events(session.respond("?", WRITTEN), heartbeat, timeout=0.4, then_close=session)))
    assert told[-1][1]["type"] == "WaitTimeoutError"


def test_what_the_service_could_not_finish_is_told_in_words_for_a_person(plain: House, caplog: Any) -> None:
    def fails(turn: Turn) -> Iterator[str]:
        yield "I was "
        raise ValueError("the account org-1234 has no credit left")

    plain.serve(responder=fails)
    with plain.open() as session:
        told = list(events(sse_events(session.respond("?", WRITTEN))))
    name, failed = told[-1]
    assert name == "failed"
    assert failed["type"] == "ResponseFailedError"
    assert "could not finish" in failed["message"]
    assert "org-1234" not in str(failed)
    assert words(told) == "I was "


def test_a_lost_connection_is_told_and_logged(plain: House, caplog: Any) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    stream = events(sse_events(session.respond("Count", WRITTEN), then_close=session))
    next(event for event in stream if event[0] == "text")
    with caplog.at_level(logging.WARNING, "realtime_sync.web.sse"):
        plain.live.inject(faults.drop())
        assert [name for name, _ in stream][-1] == "failed"
    assert "ConnectionLostError" in caplog.text
    assert not any(record.exc_info for record in caplog.records if record.name == "realtime_sync.web.sse")


def test_both_kinds_of_pieces_come_in_their_order(plain: House) -> None:
    plain.serve(responder=lambda turn: Reply("One two three."))
    with plain.open() as session:
        response = session.respond("Hello", ConversationResponseOptions())
        answer = response.wait(10)
        deltas = list(response.deltas())
    assert "".join(delta.text for delta in deltas) == answer.transcript
    assert {delta.kind for delta in deltas} == {"transcript"}


def test_a_session_that_its_owner_closes_ends_the_stream(plain: House) -> None:
    plain.serve(responder=Gate())
    session = plain.open()
    stream = events(sse_events(session.respond("Count", WRITTEN), then_close=session))
    next(event for event in stream if event[0] == "text")
    session.close()
    name, failed = list(stream)[-1]
    assert (name, failed["type"]) in (("failed", "ConnectionClosedError"), ("failed", "SessionNotOpenError"))
    until(lambda: plain.live.close_code == 1000)


def test_proxies_are_told_neither_to_keep_nor_to_gather() -> None:
    assert SSE_HEADERS["Content-Type"].startswith("text/event-stream")
    assert "no-transform" in SSE_HEADERS["Cache-Control"]
    assert SSE_HEADERS["X-Accel-Buffering"] == "no"
