"""What an error of an attempt says: whether another service may do better, and whether this one is down.

| the attempt failed because | the next service is tried | the circuit |
|---|---|---|
| of the caller or this machine: an argument, settings, a budget, no thread, the client was closed | no | - |
| the service refused the options (``ServerError``) | no | - |
| the service has no such sessions (``UnsupportedByDialectError``) | yes | - |
| 400 or another refusal of this very request | yes | - |
| 401, 403, 404 or an unknown model, an empty account, a bad certificate | yes | opens at once |
| 429 or 5xx with ``Retry-After`` | yes | opens at once, for so long |
| 429, 5xx, no address, refused, unreachable, a proxy, a time-out, the end of the connection | yes | counts it |
"""

from __future__ import annotations

import enum

import realtime_sync.errors as errors
from realtime_sync.reconnect.policy import is_worth_another_try


class Verdict(enum.Enum):
    """What follows of an error."""

    STAY = "no other service would do better"
    MOVE = "another one may do better; this one is not down"
    COUNT = "another one may do better, and this one may be down"
    OPEN = "another one may do better, and this one is down"


_OF_THE_SERVICE = (errors.ConnectionFailedError, errors.ConnectionClosedError, errors.WaitTimeoutError)
_OURS = (errors.ConnectCancelledError, errors.BudgetExceededError, errors.ConsumerTooSlowError)
_LASTING = (errors.AuthenticationError, errors.NotFoundError, errors.RateLimitedError, errors.TLSError)


def verdict(error: BaseException) -> Verdict:
    """See the module."""
    if isinstance(error, errors.UnsupportedByDialectError):
        return Verdict.MOVE
    if not isinstance(error, _OF_THE_SERVICE) or isinstance(error, _OURS):
        return Verdict.STAY
    if is_worth_another_try(error):
        return Verdict.COUNT if retry_after(error) is None else Verdict.OPEN
    if isinstance(error, _LASTING):
        return Verdict.OPEN
    return Verdict.MOVE if isinstance(error, errors.HandshakeError) else Verdict.COUNT


def retry_after(error: BaseException) -> float | None:
    """Seconds for which the service asked to be left alone; None if it did not."""
    return error.retry_after if isinstance(error, errors.HandshakeError) else None
