"""How a session survives: its settings, which ends are survivable, and which failed attempts are worth another one.

Rules:

1. An end is survivable if another connection may do better: the connection broke, the service's time limit was reached,
   or the server closed with a code for passing trouble. It is not if this side ended the session (a consumer that is
   too slow, a broken protocol), if the server closed in an orderly way with nothing under way, or if its last message
   was an error that will come again (a bad key, an empty account).
2. A failed attempt is followed by another one unless a server has given a verdict: a bad key, an unknown model, no
   money left, a broken certificate, a refused setting.
3. Pauses double from attempt to attempt and are varied, so that many clients do not come back together. A server's
   ``Retry-After`` lengthens them.

Everything here is pure: no state, no thread, no lock.
"""

from __future__ import annotations

import random
from typing import Optional

import attrs

import realtime_sync.errors as errors
from realtime_sync.advice import NamedFields
from realtime_sync.checks import check_number, check_whole, validated_by
from realtime_sync.endpoint.connect import backoff

# Close codes after which the same session may be had again: going away, internal error, restart, try again later, bad
# gateway, and no close frame at all. Others are a verdict: 1008 policy, 3000 and 4000 bad key or model (OpenAI, 2026).
PASSING_CODES = frozenset({1001, 1006, 1011, 1012, 1013, 1014})
FATAL_ERRORS = frozenset(
    {"invalid_api_key", "insufficient_quota", "invalid_model", "missing_model", "model_not_found", "billing_hard_limit"}
    | {"credit_balance_exhausted", "account_deactivated", "billing_hard_limit_reached", "forbidden"}
)
"""The codes of errors that will come again."""

_bytes = validated_by(check_whole, "bytes")
_seconds = validated_by(check_number, "seconds")
_seconds_or_none = validated_by(check_number, "seconds", optional=True)


@attrs.frozen(kw_only=True)
class Reconnect(metaclass=NamedFields):
    """How a session survives the loss of its connection, and the service's time limit.

    A GPT-Live session holds no audio (``hold_audio``, ``keep_audio``): sent later, it would be heard at a wrong time.

    Attributes:
        give_up_after: Seconds (default: 120.0) in which a new connection has to be there, all attempts together.
        base_delay: Seconds (default: 0.5) before the second attempt. It doubles from attempt to attempt and is varied
            by a half up and down; before the first attempt, too, there is a short pause, so that many clients do not
            come back together.
        max_delay: The most seconds (default: 15.0) between two attempts, before they are varied.
        renew_before: Seconds (default: 120.0) before the service's time limit, which the service announces, from which
            on the connection is replaced as soon as the user is silent and no answer is in progress. None waits for the
            limit and survives that.
        hold_audio: Seconds (default: 30.0) of audio that are kept to be sent again: audio of which the service has not
            yet made a message, and audio that is sent while there is no connection. 0 keeps none, and refuses audio
            meanwhile.
        hold_commands: Bytes (default: 64 MiB) of commands that are kept until the service acknowledges them, to be sent
            again; a whole number. Beyond it the oldest are not kept any more. If the connection is lost then, each is
            reported as a loss, and its handle says that it is not sent again.
        keep_audio: True keeps the user's audio, to carry it over if there is no transcript (3 MB a minute), for
            messages of up to ``hold_audio`` seconds. False (the default): audio is kept until its transcript has come
            or, without one, the answer.
    """

    give_up_after: float = attrs.field(default=120.0, validator=_seconds)
    base_delay: float = attrs.field(default=0.5, validator=_seconds)
    max_delay: float = attrs.field(default=15.0, validator=_seconds)
    renew_before: Optional[float] = attrs.field(default=120.0, validator=_seconds_or_none)
    hold_audio: float = attrs.field(default=30.0, validator=_seconds)
    hold_commands: int = attrs.field(default=64 * 2**20, validator=_bytes)
    keep_audio: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.keep_audio and not self.hold_audio:
            raise errors.ConfigurationError("Reconnect.keep_audio keeps what hold_audio holds, so that must not be 0")

    def pause(self, attempt: int, error: Optional[BaseException] = None) -> float:
        """Seconds to wait before ``attempt`` (from 1), which follows ``error``."""
        if attempt == 1:
            return random.uniform(0, self.base_delay)
        delay = backoff(self.base_delay, attempt - 1, self.max_delay)
        asked = error.retry_after if isinstance(error, errors.HandshakeError) else None
        return max(delay, asked or 0.0)


def is_survivable(reason: errors.ConnectionClosedError, clean: bool, last_error: Optional[errors.ErrorEvent]) -> bool:
    """True if another connection may do better.

    ``clean``: the server closed with nothing under way. ``last_error``: an error event without ``event_id`` that was
    the server's last message; None if its last message was another one.
    """
    if isinstance(reason, (errors.ConsumerTooSlowError, errors.ProtocolViolationError)):
        return False
    if isinstance(reason, errors.SessionExpiredError):
        return True
    if last_error is not None and last_error.code in FATAL_ERRORS:
        return False
    if isinstance(reason, errors.ConnectionLostError):
        return True
    code = reason.close_info.code
    return code in PASSING_CODES or (not clean and code in (1000, 1005))


def is_worth_another_try(error: errors.RealtimeSyncError) -> bool:
    """True if connecting failed in a way that may pass."""
    if isinstance(error, errors.RateLimitedError):
        return error.code not in FATAL_ERRORS  # it lasts until the account is paid
    if isinstance(error, errors.ServiceUnavailableError):
        return True
    if isinstance(error, errors.HandshakeError):
        if error.status is None and error.close_info is None and error.code is None:
            return True  # no server has answered: for example, no token could be had because the network is down
        # Other refusals: 408 and 425 ask the client to come back, all other 4xx are a verdict.
        verdict = isinstance(error, (errors.AuthenticationError, errors.NotFoundError))
        return not verdict and (error.status is None or error.status in (408, 425) or error.status >= 500)
    if isinstance(error, errors.ConnectionClosedError):
        return is_survivable(error, clean=False, last_error=error.error)
    failed = isinstance(error, (errors.ConnectionFailedError, errors.WaitTimeoutError))
    return failed and not isinstance(error, (errors.TLSError, errors.ConnectCancelledError))
