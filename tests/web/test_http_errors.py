"""What a browser is told of an error: a status, words for a person, and nothing of what stands behind."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from realtime_sync import errors
from realtime_sync.web.http_errors import public_error

SECRET = "sk-a-key-that-nobody-may-see at wss://internal.example/v1 for org-1234"
ALL = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.RealtimeSyncError)]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInputError("too long"), 400),
        (errors.WebhookSignatureError("not signed"), 400),
        (errors.WebhookReplayedError("again"), 200),  # else it is delivered again and again
        (errors.AudioSendInProgressError("two"), 409),
        (errors.TooManySessionsError("full"), 503),
        (errors.SessionNotOpenError("closed"), 503),
        (errors.RateLimitedError("slow down", status=429, retry_after=3.0), 503),
        (errors.ServiceUnavailableError("down", status=503), 503),
        (errors.AuthenticationError("wrong key", status=401), 502),
        (errors.ConnectionFailedError("refused"), 502),
        (errors.ConnectTimeoutError("slow"), 504),
        (errors.WaitTimeoutError("slow"), 504),
        (errors.ConnectionLostError("reset"), 502),
        (errors.ServerError("no"), 502),
        (errors.TranscriptionFailedError("no words", code="audio_unintelligible"), 502),
        (errors.ForkedSessionError("forked"), 500),
        (errors.ConfigurationError("unset"), 500),
        (ValueError("a bug"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_the_status_of_whose_fault_it_is(error: Exception, status: int) -> None:
    told = public_error(error)
    assert told.status == status
    assert told.type == type(error).__name__
    assert told.message


def made(kind: type[errors.RealtimeSyncError]) -> errors.RealtimeSyncError:
    needed: dict[type[errors.RealtimeSyncError], dict[str, Any]] = {
        errors.AllEndpointsFailedError: {"failures": []},
        errors.BudgetExceededError: {"spent": 1.0, "usd": 1.0},
        errors.ResponseFailedError: {"answer": None},
        errors.MisreadError: {"answer": None, "pieces": []},
    }
    return kind(SECRET, **needed.get(kind, {}))


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_only_errors_about_a_request_are_told_in_their_own_words(kind: type[errors.RealtimeSyncError]) -> None:
    told = public_error(made(kind))
    shown = issubclass(kind, (errors.InvalidInputError, errors.WebhookError))
    assert (SECRET in told.message) is shown
    assert told.status in (200, 400, 409, 500, 502, 503, 504)


def test_what_is_none_is_not_told() -> None:
    assert public_error(errors.ServerError("no", code="rate_limit_exceeded")).as_dict() == {
        "type": "ServerError",
        "message": "The model service refused the request.",
        "code": "rate_limit_exceeded",
    }
    busy = public_error(errors.RateLimitedError("no", status=429, retry_after=2.5)).as_dict()
    assert busy["retry_after"] == 2.5
