"""A stream of answers for ASGI servers (uvicorn, hypercorn, daphne): FastAPI, Starlette, Django's asynchronous side.

::

    @app.post("/ask")
    def ask(question: Question):
        return StreamingResponse(asgi_stream(sse_events(response, then_close=session)), headers=SSE_HEADERS)

An ASGI server reads an asynchronous iterator on its event loop. What a framework makes of a plain one by itself fails:
Starlette has each wait for a piece take one of 40 threads that all requests share, and closes nothing; Django gathers
the whole. (Starlette and FastAPI need not be told: a stream of ours is an asynchronous iterable, too, and that they
prefer. Django prefers the plain one.)

Why a thread for each stream, which only waits: no pool (of Starlette's, or the loop's own, of some five to 32 threads)
may run dry, whoever else uses it; any iterator works, not only ours; and what has to be waited for at the end (the
session's goodbye) is waited for there, not on the event loop. The thread takes a piece only when the server asks for
one, so a slow browser slows it down; it ends with the stream.

The loop and the thread talk by one object, ``_Relay``, which the server never sees. The server holds an ``AsgiStream``;
if it drops that without a word, as servers do when a browser leaves, the work ends.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Any, Generic, Optional, TypeVar, Union, cast

from realtime_sync.deadline import Deadline
from realtime_sync.errors import InvalidInputError, UsageError
from realtime_sync.interrupts import Change
from realtime_sync.threads import apart, start_thread
from realtime_sync.web.streaming import AnswerStream

logger = logging.getLogger(__name__)
T = TypeVar("T")

_FOR_EVER = Deadline(None)


def asgi_stream(pieces: Iterable[T]) -> AsgiStream[T]:
    """A stream for an ASGI server: ``StreamingResponse`` of FastAPI and Starlette, ``StreamingHttpResponse`` of Django.

    It ends when the browser leaves, however the server tells that: by ``close()`` or ``aclose()``, by cancelling its
    task, or by forgetting the stream, also one that it never began to read. The answer is cancelled then, and its
    session closed, on the stream's thread. It needs asyncio (uvicorn, daphne, hypercorn; not trio).

    Args:
        pieces: What ``sse_events`` or ``wav_stream`` returned; or any other iterable whose reading may wait, such as a
            generator of the application's with a session in it. That is read and closed (``close()``) on one thread,
            with the context variables of the task that reads the stream. A generator notices only at its next piece
            that the browser has left.

    Returns:
        An asynchronous iterator of the same pieces, for one reader. What reading them raises is raised in it.

    Raises:
        InvalidInputError: ``pieces`` cannot be iterated over, or is asynchronous already.
    """
    if not isinstance(pieces, Iterable) or isinstance(pieces, (str, bytes)):
        raise InvalidInputError(
            "asgi_stream takes what sse_events or wav_stream returned, or another plain iterator, "
            f"not {type(pieces).__name__}"
        )
    return AsgiStream(pieces)


class AsgiStream(AsyncIterator[T]):
    """The pieces of a stream, one by one, for an event loop. Made by ``asgi_stream``."""

    def __init__(self, pieces: Iterable[T]) -> None:
        self._relay = _Relay(pieces)

    async def __anext__(self) -> T:
        answer = self._relay.ask()
        try:
            done, piece = await answer
        except BaseException:  # most often the cancellation of the task that reads
            self.close()
            raise
        if done:
            raise StopAsyncIteration
        return cast(T, piece)

    def close(self) -> None:
        """End it, and wait for nothing: its thread cancels the answer and closes the session. Idempotent."""
        self._relay.end()

    async def aclose(self) -> None:
        """As ``close()``; for ``contextlib.aclosing``."""
        self.close()

    def __del__(self) -> None:
        self.close()


# Whether it was the end, and else the piece.
Answer = tuple[bool, Optional[T]]


class _Relay(Generic[T]):
    """What the thread does for the event loop. Each field is changed by single operations; ``_changed`` tells of it."""

    def __init__(self, pieces: Iterable[T]) -> None:
        self._pieces = pieces
        self._stream: object = pieces  # the same; no checker of types believes that an iterable of T may be one of ours
        self._asked: list[asyncio.Future[Answer[T]]] = []  # none or one
        self._changed = Change()
        self._reader: Optional[weakref.ref[asyncio.Task[Any]]] = None  # the task that has asked last
        self._started = False
        self._over = False

    def ask(self) -> asyncio.Future[Answer[T]]:
        """The next piece, or the end, once it is there. On the event loop."""
        if self._asked:
            raise UsageError("this stream is being read already, and its pieces are for one reader")
        answer: asyncio.Future[Answer[T]] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        if self._over:  # looked at only now, so that whoever ends it meanwhile finds who has asked
            self._tell((True, None))
            return answer
        self._watch(asyncio.current_task())
        if not self._started:
            self._start()
        self._changed.tell()
        return answer

    def end(self) -> None:
        """No piece is wanted any more. From any thread, also for a finaliser."""
        if self._over:
            return
        self._over = True
        if not self._started:
            apart(self._close, "realtime-sync-stream-closer")
        elif isinstance(self._stream, AnswerStream):
            self._stream.stop()  # the thread may be waiting in there
        self._tell((True, None))
        self._changed.tell()

    def _watch(self, task: Optional[asyncio.Task[Any]]) -> None:
        """Have it end with a task that is cancelled while it sends a piece: nobody may tell us, nor forget us soon.

        The frames of a cancelled task can be garbage that waits for its collection (of anyio's task groups it is).
        """
        if task is not None and (self._reader is None or self._reader() is not task):
            self._reader = weakref.ref(task)
            # Weak, for a task may live on for long, and read one stream after the other.
            task.add_done_callback(functools.partial(_task_is_done, weakref.ref(self)))

    def _start(self) -> None:
        context = contextvars.copy_context()
        self._started = True
        try:
            start_thread(lambda: context.run(self._run), "realtime-sync-asgi-stream")
        except BaseException:
            self._over = True
            self._tell((True, None))
            self._changed.tell()
            apart(self._close, "realtime-sync-stream-closer")
            raise

    def _run(self) -> None:
        """Take a piece whenever the loop asks for one, until there is none, or none is wanted."""
        try:
            iterator = iter(self._pieces)
            while self._changed.wait_for(lambda: self._over or self._asked, _FOR_EVER) and not self._over:
                piece = next(iterator, self)
                if piece is self:
                    break
                self._tell((False, cast(T, piece)))
        except BaseException as error:
            self._over = True
            self._tell(error)
        else:
            self._over = True
            self._tell((True, None))
        finally:
            self._close()

    def _tell(self, answer: Union[Answer[T], BaseException]) -> None:
        """Answer the one who has asked; nothing if there is nobody."""
        try:
            asked = self._asked.pop()
            asked.get_loop().call_soon_threadsafe(_settle, asked, answer)
        except IndexError:
            pass
        except RuntimeError:  # the loop is closed, and the server with it
            self._over = True

    def _close(self) -> None:
        close = getattr(self._stream, "close", None)
        try:
            if close is not None:
                close()
        except Exception as error:
            logger.warning("a stream could not be closed: %s: %s", type(error).__name__, error, exc_info=True)


def _task_is_done(relay: weakref.ref[_Relay[Any]], task: asyncio.Task[Any]) -> None:
    known = relay()
    if known is not None and task.cancelled():
        known.end()


def _settle(asked: asyncio.Future[Answer[T]], answer: Union[Answer[T], BaseException]) -> None:
    if asked.done():  # cancelled meanwhile
        return
    if isinstance(answer, BaseException):
        asked.set_exception(answer)
    else:
        asked.set_result(answer)
