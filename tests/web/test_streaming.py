"""Streams of answers: closed by whom and where it may be, dropped without a word, and never a session left behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from realtime_sync.core.answer import Delta
from realtime_sync.server import Reply, faults
from realtime_sync.web.background import BackgroundSessions
from realtime_sync.web.speech import wav_stream
from realtime_sync.web.sse import sse_events
from realtime_sync.web.streaming import AnswerStream
from tests.core.answers import WRITTEN, Gate, received
from tests.core.harness import House, Running, until, within
from tests.web.events import events

Make = Callable[..., AnswerStream]
STREAMS = pytest.mark.parametrize("make", [sse_events, wav_stream], ids=["sse", "wav"])


def opened(plain: House, make: Make) -> tuple[Any, AnswerStream]:
    """A session whose answer has begun and goes on, and the stream of it."""
    before: Any = "one " if make is sse_events else Reply("one ", audio=bytes(4800))
    plain.serve(responder=Gate(before=before))
    session = plain.open()
    response = session.respond("Count", WRITTEN if make is sse_events else None)
    return session, make(response, then_close=session)


def to_the_gate(stream: AnswerStream) -> Running:
    """Read all that comes, on a thread; returns once that waits for more."""
    reading = Running(lambda: list(stream))
    until(lambda: stream._reading.response.has_begun_to_come and stream._reading.response._changed._waiting)
    return reading


@STREAMS
@pytest.mark.parametrize("begun", [True, False], ids=["begun", "never read"])
def test_a_stream_that_is_dropped_closes_its_session(plain: House, make: Make, begun: bool) -> None:
    session, stream = opened(plain, make)
    gc.disable()  # so that nothing but the last reference is what ends it
    try:
        if begun:
            for _ in range(2):
                next(stream)
        del stream
        assert plain.live.wait_until_closed() == 1000
    finally:
        gc.enable()
    assert len(received(plain.live, "response.cancel")) == 1
    until(lambda: session.closed)


def test_dropping_it_waits_for_nobody(plain: House) -> None:
    """Which may be on the thread of an event loop."""
    session, stream = opened(plain, sse_events)
    may_close = threading.Event()
    closed_on: list[threading.Thread] = []

    class Slow:
        def close(self) -> None:
            may_close.wait(20)
            closed_on.append(threading.current_thread())

    slow = sse_events(stream._reading.response, then_close=Slow())
    with within(2):
        del slow
    may_close.set()
    until(lambda: closed_on)
    assert closed_on != [threading.current_thread()]
    stream.close()
    assert session.closed


@STREAMS
def test_it_is_closed_beside_a_reader_that_waits(plain: House, make: Make) -> None:
    session, stream = opened(plain, make)
    reading = to_the_gate(stream)
    with within(2):
        stream.close()
        assert reading.result(2)  # the pieces before; its iteration has ended
    assert session.closed
    assert plain.live.wait_until_closed() == 1000
    assert len(received(plain.live, "response.cancel")) == 1
    assert list(stream) == []


def test_a_signal_handler_closes_what_its_own_thread_reads(plain: House) -> None:
    session, stream = opened(plain, sse_events)
    before = signal.signal(signal.SIGUSR2, lambda number, frame: stream.close())
    try:
        response = stream._reading.response
        interrupting = Running(
            lambda: (
                until(lambda: response.has_begun_to_come and response._changed._waiting)
                and os.kill(os.getpid(), signal.SIGUSR2)
            )
        )
        with within(5):
            assert [name for name, _ in events(stream)] == [":", "text"]
        interrupting.result(5)
    finally:
        signal.signal(signal.SIGUSR2, before)
    until(lambda: session.closed)


def test_a_reader_that_waits_is_woken_before_anything_is_closed(plain: House) -> None:
    _, stream = opened(plain, sse_events)
    reading = to_the_gate(stream)
    stream.stop()
    told = list(events(reading.result(2)))
    assert [name for name, _ in told] == [":", "text"]  # neither done nor failed: nobody would read it
    assert plain.live.wait_until_closed() == 1000  # the reader's end closes it


def test_who_has_enough_is_not_told_that_the_answer_has_failed(plain: House) -> None:
    """Which is what the closing of its session looks like to a thread that wakes late."""
    plain.serve(responder=Gate())
    response = plain.open().respond("Count", WRITTEN)
    next(response.deltas())
    plain.live.inject(faults.drop())
    until(lambda: response.done)
    assert list(response._pieces(Delta, 5, lambda: True)) == []


def test_any_number_of_threads_may_close_it(plain: House) -> None:
    plain.serve(responder=Gate())
    sessions = BackgroundSessions()
    stack = ExitStack()
    session = stack.enter_context(sessions.hold(plain.open))
    stream = sse_events(session.respond("Count", WRITTEN), then_close=stack)
    reading = to_the_gate(stream)
    for closing in [Running(stream.close) for _ in range(8)]:
        closing.result(5)
    reading.result(5)
    until(lambda: not sessions.running)
    assert len(received(plain.live, "response.cancel")) == 1


def test_what_ends_while_it_is_read_is_closed_by_its_end(plain: House) -> None:
    plain.serve(responder=lambda turn: "Yes.")
    session = plain.open()
    stream = sse_events(session.respond("So?", WRITTEN), then_close=session)
    assert [name for name, _ in events(stream)][-1] == "done"
    assert session.closed
    stream.stop()
    stream.close()
