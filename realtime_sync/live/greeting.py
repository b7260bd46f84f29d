"""Waiting until the service has started a live session, and what it means if it has not."""

from __future__ import annotations

import realtime_sync.errors as errors
from realtime_sync.core.commands import CommandHandle
from realtime_sync.endpoint.connect import refusal, refused


def wait_until_started(start: CommandHandle, seconds: float) -> None:
    """Wait for ``session.started``. ``start``: the command ``session.start``.

    Raises:
        ConnectionFailedError: The service refused the session.
        WaitTimeoutError: It did not answer.
    """
    try:
        start.wait(seconds)
    except errors.ServerError as error:
        raise refused(error.update.message if error.update else str(error), (error.code, error.type)) from None
    except errors.ConnectionClosedError as error:
        raise refusal(error) from error.__cause__
    except errors.WaitTimeoutError as error:
        late = f"The service did not start the session within {seconds} s (Timeouts.greeting); it was closed."
        raise errors.WaitTimeoutError(late) from error.__cause__
