"""Errors as a browser may see them: an HTTP status and a sentence, without any detail of the cause.

The messages of this library hold no secrets, but they do tell hosts, models and what the service said about an account.
That is for the log of an application, not for whoever uses it.
"""

from __future__ import annotations

from typing import Optional, Union

import attrs

from realtime_sync.errors import (
    AudioNotHeldError,
    AudioSendInProgressError,
    BudgetExceededError,
    ConnectionClosedError,
    ConnectionFailedError,
    ConnectTimeoutError,
    HandshakeError,
    InvalidInputError,
    MisreadError,
    RateLimitedError,
    ResponseFailedError,
    ServerError,
    ServiceUnavailableError,
    SessionExpiredError,
    SessionNotOpenError,
    TooManySessionsError,
    TranscriptionFailedError,
    WaitTimeoutError,
    WebhookError,
)

_BUSY = "The model service is busy. Please try again in a moment."
_ENDED = "This application has ended the conversation, or begins none just now. Please try again in a moment."
# The first that fits; a class stands before those that it derives from.
_TOLD: tuple[tuple[type[BaseException], int, str], ...] = (
    (AudioSendInProgressError, 409, "This conversation is being spoken to already."),
    (AudioNotHeldError, 503, "The connection to the model service is being restored. Please say that again."),
    (TooManySessionsError, 503, "Too many conversations are being held here. Please try again in a moment."),
    (SessionNotOpenError, 503, _ENDED),  # most often at a restart
    (RateLimitedError, 503, _BUSY),
    (ServiceUnavailableError, 503, _BUSY),
    (ConnectTimeoutError, 504, "The model service did not answer in time."),
    (ConnectionFailedError, 502, "The model service cannot be reached, or does not let this application in."),
    (BudgetExceededError, 503, "This conversation has used up what it may cost."),
    (SessionExpiredError, 502, "This conversation has reached the time limit of the model service."),
    (ConnectionClosedError, 502, "The connection to the model service ended before the answer did."),
    (ServerError, 502, "The model service refused the request."),
    (ResponseFailedError, 502, "The model service could not finish the answer."),
    (MisreadError, 502, "The model service did not read the text as it is written."),
    (TranscriptionFailedError, 502, "The model service could not write down what was said."),
    (WaitTimeoutError, 504, "The model service did not answer in time."),
    (BaseException, 500, "Something went wrong in this application; its log says what."),
)


@attrs.frozen(kw_only=True)
class PublicError:
    """An error as a browser may see it.

    ``status``: of the HTTP answer. ``type``: the name of the error's class. ``code``: the service's, None if it told
    none. ``message``: a sentence for a person. ``retry_after``: seconds that the service asked to wait, None if it
    did not.
    """

    status: int
    type: str
    message: str
    code: Optional[str] = None
    retry_after: Optional[float] = None

    def as_dict(self) -> dict[str, Union[str, float]]:
        """The fields for a JSON body, without the status and without those that are None."""
        told = {"type": self.type, "message": self.message, "code": self.code, "retry_after": self.retry_after}
        return {name: value for name, value in told.items() if value is not None}


def public_error(error: BaseException) -> PublicError:
    """What to tell a browser of this error, whatever it is. The rest belongs into the log."""
    kind = type(error).__name__
    # They say what is wrong with an argument or a request, which most often came from outside.
    if isinstance(error, (InvalidInputError, WebhookError)):
        status = error.status if isinstance(error, WebhookError) else 400
        return PublicError(status=status, type=kind, message=str(error))
    told_code = (HandshakeError, ServerError, ResponseFailedError, TranscriptionFailedError)
    code = error.code if isinstance(error, told_code) else None
    retry_after = error.retry_after if isinstance(error, HandshakeError) else None
    status, message = next((status, message) for wanted, status, message in _TOLD if isinstance(error, wanted))
    return PublicError(status=status, type=kind, message=message, code=code, retry_after=retry_after)
