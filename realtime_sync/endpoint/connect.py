"""Opening a connection to an endpoint, with retries while the service is busy."""

from __future__ import annotations

import logging
import math
import random
import re
import time
from collections.abc import Sequence
from typing import Callable, Optional, TypeVar

import attrs

import realtime_sync.errors as errors
from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_number, check_whole, validated_by
from realtime_sync.endpoint.endpoint import Target
from realtime_sync.secret import discreet
from realtime_sync.timeouts import Timeouts
from realtime_sync.transport import MAX_MESSAGE_BYTES, Cancellation, Connection, connect
from realtime_sync.transport.urls import show_url
from realtime_sync.values import Value

logger = logging.getLogger(__name__)
T = TypeVar("T")
_seconds = validated_by(check_number, "seconds", at_most=1_000_000)


@attrs.frozen(kw_only=True, repr=False, eq=False)
class ConnectRetries(Value, metaclass=NamedFields):
    """How often and how long to try again after 429 (rate limited) and 5xx (unavailable); nothing else is retried.

    Attributes:
        attempts: How many attempts (default: 3) in all, the first included; 1 never retries.
        max_wait: The most seconds (default: 30.0) that all the pauses between attempts may take together; 0 never
            pauses, so it retries only what the service allows to be retried at once.
        base_delay: Seconds (default: 0.5) before the first retry, if the service does not say how long to wait with
            ``Retry-After``. It doubles each time, and is varied by a half up and down so that many clients do not come
            back together.
    """

    attempts: int = attrs.field(default=3, validator=validated_by(check_whole, at_least=1))
    max_wait: float = attrs.field(default=30.0, validator=_seconds)
    base_delay: float = attrs.field(default=0.5, validator=_seconds)

    def pause(self, error: errors.HandshakeError, attempt: int, waited: float) -> Optional[float]:
        """Seconds to wait after ``attempt`` (from 1) failed with ``error``; None if the error is to be raised."""
        if attempt >= self.attempts or not isinstance(error, (errors.RateLimitedError, errors.ServiceUnavailableError)):
            return None
        if error.code == "insufficient_quota":
            return None  # also a 429, but it lasts until somebody pays
        delay = backoff(self.base_delay, attempt) if error.retry_after is None else error.retry_after
        return delay if waited + delay <= self.max_wait else None


def backoff(base_delay: float, retry: int, max_delay: float = math.inf) -> float:
    """Seconds before the ``retry``-th retry (from 1): doubling, and varied so that clients do not come together."""
    return min(max_delay, base_delay * 2.0 ** min(retry - 1, 30)) * random.uniform(0.5, 1.5)


@discreet
def open_connection(
    target: Callable[[], Target],
    *,
    timeouts: Timeouts,
    retries: Optional[ConnectRetries] = None,
    cancellation: Optional[Cancellation] = None,
    max_message_bytes: Optional[int] = MAX_MESSAGE_BYTES,
) -> Connection:
    """Connect to an endpoint, and return the open connection; nothing has been sent or read on it.

    Args:
        target: Works out one attempt (``Endpoint.target``). It is called for each attempt, so that a credential is
            asked anew.
        timeouts: An attempt has ``timeouts.connect`` seconds; what the credential takes is not counted.
        retries: What is tried again. None: ``ConnectRetries()``.
        cancellation: Its ``cancel()``, from any thread, ends an attempt or a pause at once. None: nothing does.
        max_message_bytes: The largest message that the server may send, in bytes. None: no limit.

    Raises:
        ConfigurationError: The endpoint's settings contradict each other.
        ConnectionFailedError: No connection came about; its class says why.
    """

    def attempt(target: Target) -> Connection:
        shown = show_url(target.url)
        connection = connect(
            target.url,
            headers=target.headers,
            timeouts=timeouts,
            proxy=target.proxy,
            ssl_context=target.ssl_context,
            max_message_bytes=max_message_bytes,
            cancellation=cancellation,
        )
        connection.url = shown
        return connection

    return with_retries(target, attempt, retries or ConnectRetries(), cancellation)


def with_retries(
    target: Callable[[], Target],
    attempt: Callable[[Target], T],
    retries: ConnectRetries,
    cancellation: Optional[Cancellation],
    *,
    may_repeat: Callable[[errors.HandshakeError], bool] = lambda error: True,
) -> T:
    """What ``attempt(target())`` returns; both are called again after refusals, as ``retries`` says.

    ``may_repeat(error)``: False for a refusal that is to be raised all the same. Raises what the two raise, or
    ``ConnectCancelledError`` if a pause was cancelled.
    """
    waited = 0.0
    number = 1
    while True:
        aim = target()
        try:
            return attempt(aim)
        except errors.HandshakeError as error:
            delay = retries.pause(error, number, waited) if may_repeat(error) else None
            if delay is None:
                raise
            request = f" (request {error.request_id})" if error.request_id else ""
            again = f"trying again in {delay:.1f} s (attempt {number + 1} of {retries.attempts})"
            logger.info("%s answered %s%s; %s", show_url(aim.url), error.status, request, again)
            _wait(delay, cancellation, error)
        waited += delay
        number += 1


def _wait(seconds: float, cancellation: Optional[Cancellation], error: errors.HandshakeError) -> None:
    if cancellation is None:
        time.sleep(seconds)
    elif cancellation.wait(seconds):
        raise errors.ConnectCancelledError("The client was closed while it waited to connect again.") from error


_KEY = re.compile(r"\b((?:sk|ek)[-_])[\w-]{6,}")
_REFUSALS: dict[str, type[errors.HandshakeError]] = {
    "invalid_api_key": errors.AuthenticationError,
    "account_deactivated": errors.AuthenticationError,
    "forbidden": errors.AuthenticationError,
    "invalid_model": errors.NotFoundError,
    "missing_model": errors.NotFoundError,
    "model_not_found": errors.NotFoundError,
    "insufficient_quota": errors.RateLimitedError,
    "credit_balance_exhausted": errors.RateLimitedError,
    "billing_hard_limit_reached": errors.RateLimitedError,
    "rate_limit_exceeded": errors.RateLimitedError,
    "server_error": errors.ServiceUnavailableError,
}


def refusal(closed: errors.ConnectionClosedError) -> errors.ConnectionFailedError:
    """What a connection that ended before the server's first word means: the same errors as a refused handshake.

    OpenAI accepts every handshake (101), then sends one ``error`` event and closes: 3000 for a bad key, 4000 for a bad
    model or shape, with ``invalid_request_error.CODE`` as the reason (2026-09).
    """
    event = closed.error
    if event is None and closed.close_info.initiator != "remote":
        return errors.ConnectionFailedError(
            f"The connection was {closed.close_info} before the server said anything. Check the endpoint, or try again."
        )
    told, tail = closed.close_info.reason, closed.close_info.reason.rpartition(".")[2]
    if event is None:
        return refused(told, (tail,), closed.close_info)
    return refused(event.message or told, (event.code or tail,), closed.close_info)


def refused(
    reason: Optional[str], codes: Sequence[Optional[str]], close_info: Optional[errors.CloseInfo] = None
) -> errors.HandshakeError:
    """A server's refusal of a session. ``codes``: for programs; some servers tell the code as the error's type."""
    known = (code for code in codes if code in _REFUSALS)
    code = next(known, None) or next(filter(None, codes), None)
    cls = _REFUSALS.get(code or "", errors.HandshakeError)
    told = _KEY.sub(r"\1***", reason or "no reason given")  # some servers repeat the key that they refuse
    return cls(f"The server refused the session: {told}", code=code, close_info=close_info)
