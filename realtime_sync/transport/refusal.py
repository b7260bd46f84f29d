"""A refused handshake as a typed error that says what to do, made of its status, headers and body."""

from __future__ import annotations

import json
import re
import time
from typing import Mapping, Optional, Union

import realtime_sync.errors as errors
from realtime_sync.transport.urls import show_url

MAX_BODY_BYTES = 65536
_EXCERPT = 300

_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id")
_COOKIES = ("set-cookie", "set-cookie2")

_PAGE = re.compile(r"[\s\ufeff]*<(!doctype\s+html|html|head|body|title)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]+)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>?")


def handshake_error(
    status: int, headers: Mapping[str, str], body: Union[str, bytes] = "", asked: str = "the connection"
) -> errors.HandshakeError:
    """The error for an HTTP answer that is no 101: its class by ``status``, all else from ``headers`` and ``body``.

    ``headers`` may be in any case; cookies are dropped. ``body`` is decoded leniently and cut at 64 KiB. ``asked``:
    what was refused, for the message.
    """
    if isinstance(body, bytes):
        body = body[:MAX_BODY_BYTES].decode("utf-8", "replace")
    known = readable_headers(headers)
    code, reason = _reason(body)
    request_id = next((known[name] for name in _REQUEST_IDS if known.get(name)), None)
    kind, advice = _classify(status, known)
    if code == "call_id_not_found":
        advice = "The call is over, is not in the state that this needs, or belongs to another project."
    elif code == "session_id_not_found":
        advice = "The session is over, is not in the state that this needs, or belongs to another project."
    message = f"The server refused {asked} with HTTP {status}"
    message += f" ({reason})" if reason else ""
    message += f", request id {request_id}" if request_id else ""
    return kind(
        f"{message}. {advice}",
        status=status,
        body=body[:MAX_BODY_BYTES],
        headers=known,
        request_id=request_id,
        retry_after=_retry_after(known),
        code=code,
    )


def readable_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers with names in lower case and without cookies."""
    return {name.lower(): value for name, value in headers.items() if name.lower() not in _COOKIES}


def _classify(status: int, headers: Mapping[str, str]) -> tuple[type[errors.HandshakeError], str]:
    if status in (401, 403):
        return errors.AuthenticationError, "Check the key or token, and that it may use this endpoint and model."
    if status == 404:
        return errors.NotFoundError, "Check the endpoint's path, the model or deployment name, and the API version."
    if status == 429:
        return errors.RateLimitedError, "Wait (see retry_after) and try again, or check the quota."
    if status >= 500:
        return errors.ServiceUnavailableError, "The service failed; try again later."
    if 300 <= status < 400:
        # Following would hand the key to the host that is named there: wss to ws and to foreign hosts included.
        return errors.HandshakeError, (
            f"It redirects to {_place(headers.get('location', ''))}; redirects are not followed, since the key would "
            "go along. If that place is right, make it the endpoint."
        )
    return errors.HandshakeError, "Check the endpoint, its path and its query."


def _place(location: str) -> str:
    """Where a redirect leads, without what may be a secret."""
    place = "".join(filter(str.isprintable, show_url(location)))[:_EXCERPT]
    if place in ("", "..."):
        return "a place that it does not name"
    return f"{place} on the same host" if place.startswith("/") else place


def _reason(body: str) -> tuple[Optional[str], str]:
    """The service's error code, and its words: the JSON body's, else a short excerpt of the body."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None, _excerpt(body)
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if isinstance(error, dict):
        code = error.get("code")
        words = error.get("message") or error.get("detail")
        return (str(code) if code not in (None, "") else None), _excerpt(words if isinstance(words, str) else body)
    return None, _excerpt(error if isinstance(error, str) else body)


def _excerpt(text: str) -> str:
    """One printable line of ``text``, without a final full stop (the message sets its own); of a page its title."""
    if not _PAGE.match(text):
        return _line(text)
    import html  # late: 1 ms, for pages alone

    title = _TITLE.search(text)
    words = title[1] if title else _TAG.sub(" ", text[: 4 * _EXCERPT])
    return f"an HTML page: {_line(html.unescape(words))}".rstrip(": ")


def _line(text: str) -> str:
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _EXCERPT]).split())
    return line[:_EXCERPT] + "..." if len(line) > _EXCERPT else line.rstrip(".")


def _retry_after(headers: Mapping[str, str]) -> Optional[float]:
    for name, in_a_second in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1)):
        number = _number(headers.get(name, ""))
        if number is not None:
            return number / in_a_second
    if "retry-after" not in headers:
        return None
    from datetime import timezone  # late: 4 ms, for dates alone
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(headers["retry-after"])
        if date.tzinfo is None:  # asctime's form, which is UTC in HTTP (RFC 9110, 5.6.7)
            date = date.replace(tzinfo=timezone.utc)
        # A date is the one place for the wall clock: it is the only clock that we share with the server.
        return max(0.0, date.timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _number(text: str) -> Optional[float]:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
