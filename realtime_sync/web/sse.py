"""Answers as server-sent events (text/event-stream), for any framework whose views may return an iterator of bytes."""

from __future__ import annotations

import functools
import itertools
import json
import logging
from collections.abc import Generator, Iterator
from typing import Optional, Union

from realtime_sync.checks import check_number
from realtime_sync.core.answer import Answer, Delta
from realtime_sync.core.response import Response
from realtime_sync.deadline import Deadline
from realtime_sync.errors import InvalidInputError, RealtimeSyncError, WaitTimeoutError
from realtime_sync.web.http_errors import public_error
from realtime_sync.web.streaming import AnswerStream, Closable, Reading

logger = logging.getLogger(__name__)

SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    # no-transform: a proxy that compresses holds back what it has.
    "Cache-Control": "no-cache, no-transform",
    # nginx gathers what an application says unless it is told not to.
    "X-Accel-Buffering": "no",
}
"""The headers of an answer that is made of ``sse_events``."""

_BEGINNING = b": the answer begins\n\n"
_HEARTBEAT = b": still here\n\n"


def sse_events(
    response: Response,
    heartbeat: Optional[float] = 15.0,
    *,
    timeout: Optional[float] = 300.0,
    then_close: Optional[Closable] = None,
    with_cost: bool = False,
) -> EventStream:
    """An answer as server-sent events, to be returned from a view as it is.

    ::

        session = client.start_conversation_session(options)
        try:
            response = session.respond(question)
        except BaseException:
            session.close()
            raise
        return flask.Response(sse_events(response, then_close=session), headers=SSE_HEADERS)
        return django.http.StreamingHttpResponse(sse_events(response, then_close=session), headers=SSE_HEADERS)

    What is asked before the first byte can still be refused with an honest HTTP status: see ``public_error``. The
    events are, each with JSON as its data: ``text`` and ``transcript``, ``{"text": ...}``, the pieces of what is
    written and of what is spoken; at the end one of ``done``, ``{"status", "reason", "text", "transcript", "usage"}``,
    and ``failed``, ``{"type", "message", ...}`` of ``PublicError`` (not ``error``: an ``EventSource`` has an event of
    that name itself).

    ``heartbeat``: seconds without a piece after which a comment is sent; None sends none. It keeps proxies from closing
    a silent connection, and it is how a server finds out that the browser has gone: then the answer is cancelled.
    ``timeout``: seconds for the whole answer, then it is cancelled and ``failed``; None: as long as the connection
    lives. ``then_close`` (the session, or an ``ExitStack`` that holds it) is closed when the stream ends, in whatever
    way. ``with_cost``: have ``done`` tell the ``cost``, too, in US dollars; most visitors need not know it.

    On the way: the worker must have a thread for each stream (``gunicorn -k gthread --threads 20``, or gevent); an ASGI
    server is given ``asgi_stream(sse_events(...))``. A proxy must not buffer (``SSE_HEADERS`` says so to nginx, others
    want a setting), nor compress, and its read time-out must be above ``heartbeat``; nothing may gather the iterator
    (compressing middleware, ``Response.get_data()``). In the browser, ``fetch`` takes a POST; an ``EventSource`` asks
    again when a stream ends, so close it at ``done`` and ``failed``.

    Raises ``InvalidInputError`` where ``heartbeat`` or ``timeout`` is no number of seconds above 0.
    """
    for name, seconds in (("heartbeat", heartbeat), ("timeout", timeout)):
        check_number(name, seconds, "seconds", above=0, optional=True)
    return EventStream(response, functools.partial(_told, heartbeat, Deadline(timeout), with_cost), then_close)


class EventStream(AnswerStream):
    """The events of one answer: an iterator of bytes, and a context manager. Made by ``sse_events``.

    ``close()`` cancels an answer that is not finished; WSGI servers call it, also where they never began to iterate.
    """


def _told(
    heartbeat: Optional[float], patience: Deadline, with_cost: bool, reading: Reading
) -> Generator[bytes, None, None]:
    yield _BEGINNING  # so that the headers are with the browser before the model has a word
    try:
        for delta in _deltas(reading, heartbeat, patience):
            yield _HEARTBEAT if delta is None else sse_event(delta.kind, {"text": delta.text})
        if not reading.is_stopped():
            yield sse_event("done", _summary(reading.response.wait(0), with_cost))
    except Exception as error:
        # The headers have been sent, so this is the only place left to say it.
        known = isinstance(error, RealtimeSyncError)
        logger.warning("an answer could not be streamed: %s: %s", type(error).__name__, error, exc_info=not known)
        yield sse_event("failed", public_error(error).as_dict())


def _deltas(reading: Reading, heartbeat: Optional[float], patience: Deadline) -> Iterator[Optional[Delta]]:
    """The pieces; None for each time that nothing came for as long as ``heartbeat``."""
    told = 0
    while True:
        waits = (seconds for seconds in (heartbeat, patience.left) if seconds is not None)
        try:
            for delta in itertools.islice(reading.pieces(Delta, min(waits, default=None)), told, None):
                told += 1
                yield delta
                _check_time(patience)
            return
        except WaitTimeoutError:
            _check_time(patience)
            yield None


def _check_time(patience: Deadline) -> None:
    if patience.left == 0:
        raise WaitTimeoutError(f"the answer was not finished within {patience.seconds} s; it is cancelled")


def sse_event(name: str, data: object) -> bytes:
    """One event. ``data`` becomes JSON, in which a line's end is escaped, so no text can forge another event.

    Raises ``InvalidInputError`` for a name with a line's end in it.
    """
    if not name or any(end in name for end in "\r\n\0"):
        raise InvalidInputError(f"an event's name must be a text of one line, not {name!r}")
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")


def _summary(answer: Answer, with_cost: bool) -> dict[str, Union[str, float, dict[str, int], None]]:
    usage = answer.usage
    counted = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens} if usage is not None else None
    cost = {"cost": answer.cost} if with_cost else {}
    return {
        "status": answer.status,
        "reason": answer.reason,
        "text": answer.text,
        "transcript": answer.transcript,
        "usage": None if counted is None else {name: count for name, count in counted.items() if count is not None},
        **cost,
    }
