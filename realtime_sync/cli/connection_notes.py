"""What a person is told of a connection that is lost: one note when it is, one when it is there again or given up."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Callable

from realtime_sync.cli.terminal import note
from realtime_sync.errors import RealtimeSyncError, ReconnectFailedError
from realtime_sync.protocol.connection_updates import SessionReconnectedUpdate
from realtime_sync.protocol.update_base import ConversationUpdate

Tell = Callable[[str], object]


@contextmanager
def noting_losses(tell: Tell) -> Iterator[None]:
    """Within, ``tell`` is called once for each loss, from the first attempt in vain on; any thread may call it."""
    logger = logging.getLogger("realtime_sync.reconnect.reconnector")
    level, losses = logger.level, _Losses(tell)
    logger.setLevel(logging.INFO)
    logger.addFilter(losses)
    try:
        yield
    finally:
        logger.removeFilter(losses)
        logger.setLevel(level)


class _Losses(logging.Filter):
    """The log is where a loss is told while it lasts; an update tells of it when it is over."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell = tell
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.INFO:
            return True
        if "reconnected after" in record.msg:
            self._told = False
        elif "to reconnect failed" in record.msg and not self._told:
            self._told = True
            self._tell("connection lost; trying again, Ctrl-C stops")
        return False


def note_endings(updates: Iterable[ConversationUpdate], tell: Tell) -> None:
    """Call ``tell`` for each connection that was made anew, and where none came about; returns at the session's end."""
    try:
        for update in updates:
            if isinstance(update, SessionReconnectedUpdate):
                tell(there_again(update))
    except ReconnectFailedError:
        tell("connection lost for good")
    except RealtimeSyncError:  # whoever asks next hears of it
        pass


def there_again(update: SessionReconnectedUpdate) -> str:
    """For how long there was no connection, and what was lost with the old one."""
    losses = f"; lost: {'; '.join(update.losses)}" if update.losses else ""
    return f"the connection was lost and is there again after {update.seconds:.1f} s{losses}"


def note_over_status(text: str) -> None:
    """A note in the place of a status line, which another thread writes and will write anew."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    note(text)
