"""An answer as bytes that a view returns: it is cancelled if the browser goes away, and its session is closed."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Optional, Protocol, TypeVar

from realtime_sync.core.response import Response
from realtime_sync.errors import RealtimeSyncError

S = TypeVar("S", bound="AnswerStream")


class Closable(Protocol):
    """What ends with a stream: a session, an ``ExitStack``."""

    def close(self) -> object:
        """Let go of it."""


class AnswerStream:
    """What is sent of one answer: an iterator of bytes, and a context manager.

    ``close()`` cancels an answer that is not finished; WSGI servers call it, also where they never began to iterate.
    """

    def __init__(
        self, response: Response, pieces: Generator[bytes, None, None], then_close: Optional[Closable]
    ) -> None:
        self._response = response
        self._pieces = pieces
        self._then_close = then_close
        self._closed = False

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except BaseException:  # the end of it is one, too
            self.close()
            raise

    def close(self) -> None:
        """Cancel the answer if it is not finished, and close what is to be closed. Idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            self._pieces.close()
            with suppress(RealtimeSyncError):  # the connection has ended, and the answer with it
                self._response.cancel()  # nothing if it is done
        finally:
            if self._then_close is not None:
                self._then_close.close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
