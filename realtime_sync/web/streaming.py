"""An answer as bytes that a view returns: it is cancelled if the browser goes away, and its session is closed.

Servers end a stream in different ways. WSGI servers call ``close()``. Others only forget it, so a stream that is
dropped is closed, too: what makes its bytes must not lead back to it, or it would be a cycle that lives on until
garbage is collected. And some close it on one thread while another waits for the next piece.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from typing import Callable, Optional, Protocol, TypeVar

from realtime_sync.core.response import Response
from realtime_sync.errors import RealtimeSyncError
from realtime_sync.threads import apart, aside_if_nested

S = TypeVar("S", bound="AnswerStream")
T = TypeVar("T")


class Closable(Protocol):
    """What ends with a stream: a session, an ``ExitStack``."""

    def close(self) -> object:
        """Let go of it."""


class Reading:
    """An answer as one stream reads it, and what is to be closed with it. It knows nothing of the stream."""

    def __init__(self, response: Response, then_close: Optional[Closable]) -> None:
        self.response = response
        self._then_close = then_close
        self._stopped = False
        self._open = threading.Lock()  # taken once, by the one who closes

    def pieces(self, kind: type[T], timeout: Optional[float]) -> Iterator[T]:
        """The answer's events of a kind, from the first on; no more once it is stopped."""
        return self.response._pieces(kind, timeout, self.is_stopped)

    def is_stopped(self) -> bool:
        """True once nobody wants any more of it."""
        return self._stopped

    def stop(self) -> None:
        """Have who waits for a piece wait no longer. Waits for nothing itself, so an event loop may call it."""
        self._stopped = True
        self.response._look_again()

    def close(self) -> None:
        """Cancel the answer if it is not finished, and close what is to be closed."""
        self.stop()
        if not self._open.acquire(blocking=False):
            return
        try:
            with suppress(RealtimeSyncError):  # the connection has ended, and the answer with it
                self.response.cancel()  # nothing if it is done
        finally:
            if self._then_close is not None:
                self._then_close.close()

    def drop(self) -> None:
        """As ``close``, on a thread of its own."""
        if not self._open.locked():
            self.stop()
            apart(self.close, "realtime-sync-stream-closer")


class AnswerStream:
    """What is sent of one answer: an iterator of bytes, and a context manager.

    ``close()`` cancels an answer that is not finished; WSGI servers call it, also where they never began to iterate. A
    stream of which nobody knows any more is closed, too.
    """

    def __init__(
        self,
        response: Response,
        pieces: Callable[[Reading], Generator[bytes, None, None]],
        then_close: Optional[Closable],
    ) -> None:
        self._reading = Reading(response, then_close)
        self._pieces = pieces(self._reading)

    def __iter__(self: S) -> S:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        """For an event loop, as ``asgi_stream(stream)``: Starlette and FastAPI ask for this first."""
        from realtime_sync.web.asgi import asgi_stream

        return asgi_stream(self)

    def __next__(self) -> bytes:
        if self._reading.is_stopped():
            self.close()
            raise StopIteration
        try:
            return next(self._pieces)
        except BaseException:  # the end of it is one, too
            self.close()
            raise

    def stop(self) -> None:
        """Have it end before its next piece, also for a thread that waits for that; ``close()`` does the rest.

        It waits for nothing: for who must not wait, as an event loop must not.
        """
        self._reading.stop()

    @aside_if_nested
    def close(self) -> None:
        """Cancel the answer if it is not finished, and close what is to be closed. From any thread; idempotent.

        A thread that waits for the next piece gets none: its iteration ends.
        """
        self._reading.close()

    def __del__(self) -> None:
        self._reading.drop()

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
