"""Waiting until the service has started a live session, and what it means if it has not."""

from __future__ import annotations

from typing import Callable

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle
from realtime_sync.endpoint.connect import refusal, refused


def wait_until_started(send: Callable[[], CommandHandle], seconds: float) -> None:
    """Wait for ``session.started``.

    ``send``: sends ``session.start``; a service may have refused the connection before that goes out.

    Raises:
        ConnectionFailedError: The service refused the session.
        WaitTimeoutError: It did not answer.
    """
    try:
        send().wait(seconds)
    except errors.ServerError as error:
        raise refused(error.update.message if error.update else str(error), (error.code, error.type)) from None
    except errors.ConnectionClosedError as error:
        raise refusal(error) from error.__cause__
    except errors.WaitTimeoutError as error:
        late = f"The service did not start the session within {seconds} s (Timeouts.greeting); it was closed."
        raise errors.WaitTimeoutError(late) from error.__cause__
