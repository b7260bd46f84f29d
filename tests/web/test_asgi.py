"""A stream on an event loop: prompt, without a thread of anybody's pool, and over however the server drops it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from realtime_sync import InvalidInputError, NoMoreThreadsError, UsageError
from realtime_sync.web.asgi import AsgiStream, asgi_stream
from realtime_sync.web.sse import EventStream, sse_events
from tests.core.answers import WRITTEN, Gate, received
from tests.core.harness import House, until
from tests.web.events import events, words


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    problems: list[Any] = []

    async def bounded() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, problem: problems.append(problem))
        return await asyncio.wait_for(work(), 20)

    result = asyncio.run(bounded())
    assert problems == []
    return result


async def gathered(stream: AsyncIterator[bytes]) -> list[tuple[str, Any]]:
    return list(events([piece async for piece in stream]))


def opened(plain: House) -> EventStream:
    """A stream of an answer that has begun, and goes on for ever."""
    plain.serve(responder=Gate())
    session = plain.open()
    return sse_events(session.respond("Count", WRITTEN), then_close=session)


def waits(go_on: threading.Event) -> Iterator[int]:
    go_on.wait(20)
    yield 1


def is_over(plain: House) -> None:
    assert plain.live.wait_until_closed() == 1000
    assert len(received(plain.live, "response.cancel")) == 1


def test_an_answer_comes_whole_and_its_session_is_closed(plain: House) -> None:
    plain.serve(responder=lambda turn: iter(["A coast ", "redwood", "."]))
    session = plain.open()
    told = run(lambda: gathered(asgi_stream(sse_events(session.respond("Which?", WRITTEN), then_close=session))))
    assert words(told) == "A coast redwood."
    assert told[-1][0] == "done"
    assert session.closed


def test_each_piece_is_there_before_the_next_is_made(plain: House) -> None:
    gate = Gate("one ", "two")
    plain.serve(responder=gate)

    async def read() -> None:
        stream = asgi_stream(sse_events(session.respond("Count", WRITTEN), then_close=session))
        while b"one" not in await anext(stream):
            pass
        gate.opened.set()
        assert words(await gathered(stream)) == "two"

    session = plain.open()
    run(read)


def test_many_streams_that_wait_do_not_keep_each_other_waiting() -> None:
    """More than any pool has threads, and each needs the one behind it to go on."""
    arrived = threading.Barrier(100, timeout=20)

    def pieces() -> Iterator[int]:
        yield arrived.wait()

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(anext(asgi_stream(pieces())) for _ in range(100)))

    assert sorted(run(all_at_once)) == list(range(100))


# --- the ways in which servers end it


async def cancelled(stream: AsgiStream[bytes]) -> None:
    """Starlette, when it learns of it."""
    reading = asyncio.create_task(gathered(stream))
    await asyncio.sleep(0)
    while not stream._relay._asked:  # it waits in there
        await asyncio.sleep(0.001)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def cancelled_while_it_sends(stream: AsgiStream[bytes]) -> None:
    async def read() -> None:
        async for _ in stream:
            await asyncio.sleep(60)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def closed(stream: AsgiStream[bytes]) -> None:
    """Django: on the thread of its synchronous side."""
    async for _ in stream:
        break
    await asyncio.to_thread(stream.close)
    assert [piece async for piece in stream] == []


async def closed_asynchronously(stream: AsgiStream[bytes]) -> None:
    async with aclosing(stream):
        await anext(stream)


async def forgotten(stream: AsgiStream[bytes]) -> None:
    await anext(stream)


async def in_a_generator(stream: AsgiStream[bytes]) -> None:
    """An asynchronous generator around it, which is closed (GeneratorExit)."""

    async def outer() -> AsyncIterator[bytes]:
        async for piece in stream:
            yield piece

    async with aclosing(outer()) as pieces:  # type: ignore[type-var]
        await anext(pieces)


async def never_read(stream: AsgiStream[bytes]) -> None:
    """A HEAD request; or the browser has left already."""


@pytest.mark.parametrize(
    "leave",
    [
        cancelled,
        cancelled_while_it_sends,
        closed,
        closed_asynchronously,
        forgotten,
        in_a_generator,
        never_read,
    ],
    ids=lambda leave: leave.__name__,
)
def test_it_is_over_however_the_server_ends_it(plain: House, leave: Callable[..., Awaitable[None]]) -> None:
    stream: Any = [asgi_stream(opened(plain))]  # no name holds it
    gc.disable()
    try:
        run(lambda: leave(stream.pop()))
        is_over(plain)
    finally:
        gc.enable()


def test_a_task_that_is_cancelled_while_it_sends_ends_it_though_its_frames_live_on(plain: House) -> None:
    """Of anyio's task groups they do, until garbage is collected."""
    kept: list[Any] = []

    async def leave() -> None:
        stream = asgi_stream(opened(plain))
        kept.append(stream)
        await cancelled_while_it_sends(stream)
        is_over(plain)

    run(leave)


def test_a_reader_that_is_cancelled_and_goes_on_has_ended_it(plain: House) -> None:
    """As ``asyncio.timeout`` has it: the task goes on, and the wait does not."""

    async def leave() -> None:
        stream = asgi_stream(opened(plain))
        over = asyncio.Event()

        async def read() -> int:
            with contextlib.suppress(asyncio.CancelledError):
                await gathered(stream)
            await over.wait()
            return len([piece async for piece in stream])

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.to_thread(is_over, plain)
        over.set()
        assert await reading == 0

    run(leave)


def test_what_was_never_read_is_closed_though_somebody_else_holds_it(plain: House) -> None:
    stream = opened(plain)
    adapted = asgi_stream(stream)
    adapted.close()
    is_over(plain)
    assert list(stream) == []


def test_pieces_may_be_read_by_a_task_each(plain: House) -> None:
    """As ``asyncio.wait_for`` does before Python 3.12."""
    plain.serve(responder=lambda turn: iter(["one ", "two"]))

    async def read() -> list[bytes]:
        stream = asgi_stream(sse_events(session.respond("Count", WRITTEN), then_close=session))
        told = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                told.append(await asyncio.create_task(anext(stream)))  # type: ignore[arg-type]
        return told

    session = plain.open()
    assert words(events(run(read))) == "one two"


def test_a_stream_is_asynchronous_by_itself_for_who_prefers_that(plain: House) -> None:
    plain.serve(responder=lambda turn: "Yes.")
    session = plain.open()
    stream = sse_events(session.respond("So?", WRITTEN), then_close=session)
    assert isinstance(stream, AsyncIterable)  # what Starlette asks
    assert words(run(lambda: gathered(aiter(stream)))) == "Yes."
    assert session.closed


def test_ending_it_does_not_keep_the_event_loop_waiting(plain: House) -> None:
    may_close = threading.Event()

    class Slow:
        def close(self) -> None:
            may_close.wait(20)
            session.close()

    plain.serve(responder=Gate())
    session = plain.open()

    async def leave() -> None:
        for stream in (asgi_stream(slow), asgi_stream(sse_events(slow._reading.response))):
            await asyncio.wait_for(anext(stream), 5)
            await asyncio.wait_for(cancelled(stream), 2)
        may_close.set()

    slow = sse_events(session.respond("Count", WRITTEN), then_close=Slow())
    run(leave)
    until(lambda: session.closed)


def test_a_reader_that_waits_is_told_of_the_end_by_whoever_ends_it(plain: House) -> None:
    async def read() -> None:
        stream = asgi_stream(opened(plain))
        reading = asyncio.create_task(gathered(stream))
        while not stream._relay._asked:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        await stream.aclose()
        told = await asyncio.wait_for(reading, 2)
        assert [name for name, _ in told] in ([":"], [":", "text"])

    run(read)
    is_over(plain)


def test_a_reader_is_told_of_an_end_that_comes_just_when_it_asks() -> None:
    """Of another thread's, between its look at the end and its question."""

    async def read() -> None:
        stream = asgi_stream(iter([1, 2]))
        assert await anext(stream) == 1
        (thread,) = [one for one in threading.enumerate() if one.name == "realtime-sync-asgi-stream"]

        class EndedFirst(list[Any]):
            def append(self, answer: Any) -> None:
                stream.close()
                thread.join(10)
                super().append(answer)

        stream._relay._asked = EndedFirst()
        assert await asyncio.wait_for(anext(stream, "the end"), 2) == "the end"  # type: ignore[arg-type]

    run(read)


def test_a_task_that_goes_on_keeps_nothing_of_a_stream_that_it_has_read() -> None:
    class Pieces(list[int]):
        pass

    async def read() -> None:
        pieces = Pieces([1, 2])
        known = weakref.ref(pieces)
        assert [piece async for piece in asgi_stream(pieces)] == [1, 2]
        del pieces
        await asyncio.to_thread(until, lambda: known() is None)

    gc.disable()
    try:
        run(read)
    finally:
        gc.enable()


def test_a_stream_whose_thread_cannot_be_started_is_closed(plain: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*told: object) -> None:
        raise NoMoreThreadsError("no more")

    async def read() -> None:
        stream = asgi_stream(opened(plain))
        with monkeypatch.context() as patched:
            patched.setattr("realtime_sync.web.asgi.start_thread", refuse)
            with pytest.raises(NoMoreThreadsError):
                await anext(stream)
        assert [piece async for piece in stream] == []
        await asyncio.to_thread(is_over, plain)

    run(read)


# --- iterators of the application's


def test_what_reading_raises_is_raised_in_the_reader() -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise LookupError("no such answer")

    async def read() -> None:
        stream = asgi_stream(pieces())
        assert await anext(stream) == 1
        with pytest.raises(LookupError, match="no such answer"):
            await anext(stream)
        assert [piece async for piece in stream] == []

    run(read)


def test_a_generator_is_read_and_closed_on_one_thread_in_the_readers_context() -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request")
    told: list[Any] = []

    def pieces() -> Iterator[str]:
        told.append(threading.get_ident())
        try:
            while True:
                yield request.get()
        finally:
            told.append(threading.get_ident())

    async def read() -> None:
        request.set("number 7")
        stream = asgi_stream(pieces())
        assert [await anext(stream) for _ in range(3)] == ["number 7"] * 3
        stream.close()
        stream.close()

    run(read)
    until(lambda: len(told) == 2)
    assert told[0] == told[1] != threading.get_ident()


def test_a_reader_is_told_of_the_end_though_the_generator_waits() -> None:
    go_on = threading.Event()

    async def read() -> None:
        stream = asgi_stream(waits(go_on))
        reading = asyncio.create_task(anext(stream, "the end"))  # type: ignore[arg-type]
        while not stream._relay._asked:
            await asyncio.sleep(0.001)
        await stream.aclose()
        assert await asyncio.wait_for(reading, 2) == "the end"
        go_on.set()

    run(read)


def test_it_reads_no_further_than_it_is_asked() -> None:
    made: list[int] = []

    async def read() -> None:
        stream = asgi_stream(made.append(number) or number for number in range(100))  # type: ignore[func-returns-value]
        assert await anext(stream) == 0
        await asyncio.sleep(0.05)
        assert made == [0]
        stream.close()

    run(read)


def test_two_readers_are_one_too_many() -> None:
    go_on = threading.Event()

    async def read() -> None:
        stream = asgi_stream(waits(go_on))
        first = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        while not stream._relay._asked:
            await asyncio.sleep(0.001)
        with pytest.raises(UsageError, match="one reader"):
            await anext(stream)
        go_on.set()
        assert await first == 1

    run(read)


def test_a_loop_that_has_ended_meanwhile_ends_the_stream(plain: House) -> None:
    stream: Any = [asgi_stream(opened(plain))]
    loop = asyncio.new_event_loop()
    for _ in range(2):
        loop.run_until_complete(anext(stream[0]))
    asked = loop.create_task(anext(stream[0]))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert not asked.done()
    asked._log_destroy_pending = False
    plain.live.close()  # the next piece: the failure
    until(lambda: stream[0]._relay._over)


@pytest.mark.parametrize("wrong", [None, 5, b"text", "text", (piece async for piece in asgi_stream([]))])
def test_what_is_no_stream_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="asgi_stream takes"):
        asgi_stream(wrong)
