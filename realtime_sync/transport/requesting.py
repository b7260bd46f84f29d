"""``request()``: one HTTP request on a connection of its own, under one deadline, as a handshake is."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Callable, Optional

from realtime_sync.deadline import Deadline
from realtime_sync.errors import ConnectionFailedError
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport.answer import IncomingAnswer
from realtime_sync.transport.handshake import ServerAddress
from realtime_sync.transport.opening import open_channel
from realtime_sync.transport.urls import merge_headers
from realtime_sync.transport.waiting import Cancellation

_MAX_BODY_BYTES = 4 * 2**20  # answers have some kilobytes


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    timeouts: Timeouts,
    proxy: Optional[str] = None,
    ssl_context: Optional[ssl.SSLContext] = None,
    cancellation: Optional[Cancellation] = None,
    into: Optional[Callable[[bytes], object]] = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Send ``body`` to ``url`` (http:// or https://): the answer's status, headers (in lower case) and body.

    ``method``: ``"POST"``, or ``"GET"``, which changes nothing at the other side and has no body.
    All of it is done within ``timeouts.rest`` seconds, and what comes before the request within ``timeouts.connect``.
    ``into`` takes the body of an answer that is no refusal piece by piece, however large it is: then the body is told
    as empty, and ``timeouts.rest`` is for each piece, from the one before it.
    Redirects are answers like others. A connection is not kept: it may die, or be forked, unnoticed.

    Raises ConfigurationError before anything is sent, else a ConnectionFailedError, as ``connect()`` does.
    """
    target = ServerAddress.parse(url, "http", "https")
    asked = f"{method} {target.resource.partition('?')[0]}"
    ours = {"Connection": "close", "Accept-Encoding": "identity"}
    if method != "GET":
        ours["Content-Length"] = str(len(body))
    merged = merge_headers({"Host": target.host_header, "Accept": "*/*"}, headers, ours)
    lines = [f"{method} {target.resource} HTTP/1.1", *(f"{name}: {value}" for name, value in merged.items()), "", ""]

    whole = Deadline(timeouts.rest, "Timeouts.rest")
    connecting = whole if timeouts.rest <= timeouts.connect else Deadline(timeouts.connect, "Timeouts.connect")
    with open_channel(target, timeouts, connecting, proxy, ssl_context, cancellation) as channel:
        channel.deadline = whole
        done = "" if method == "GET" else ", and what it asks for may have been done all the same"
        channel.doing = f"waiting for the answer to {asked}{done}"
        channel.sendall("\r\n".join(lines).encode("latin-1") + body)
        answer = IncomingAnswer.read(channel, target.host_header, asked)
        if into is not None and 200 <= answer.status < 300:
            for piece in answer.pieces():
                into(piece)
                channel.deadline = Deadline(timeouts.rest, "Timeouts.rest")
            return answer.status, answer.headers, b""
        return answer.status, answer.headers, _whole_body(answer)


def _whole_body(answer: IncomingAnswer) -> bytes:
    body = bytearray()
    for piece in answer.pieces():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            raise ConnectionFailedError(
                f"{answer.who} answered {answer.asked} with more than {_MAX_BODY_BYTES} bytes. Check that the endpoint "
                "is the service's."
            )
    return bytes(body)
