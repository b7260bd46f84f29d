"""What a session has sent and received, for tests to look at and to wait for.

``Traffic._lock`` guards the record, and is held for list operations alone: a test's own predicates run without it.
"""

from __future__ import annotations

import threading
import time
from typing import Callable, Mapping, Optional, Union

import attrs

from realtime_sync.errors import UsageError, WaitTimeoutError
from realtime_sync.secret import reportable
from realtime_sync.server.wire import Json

Match = Union[str, Callable[[Json], bool]]


@attrs.frozen
class Upgrade:
    """The request that opened a WebSocket. ``headers``: names in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)


@reportable
class Traffic:
    """The record of one connection.

    ``path``, ``query``, ``headers`` (names in lower case): of the upgrade request. ``received``: the client's messages
    as it sent them, parsed; ``sent``: the server's, as the client saw them, without the texts and bytes that faults and
    scripts send. ``close_code`` and ``close_reason``: None while the connection is open, 1006 if it ended without a
    close frame; ``closed_by_client``: whether the client closed first. ``turns``: how many responses are done;
    ``opened_at``: of ``time.monotonic``.
    """

    def __init__(self, upgrade: Upgrade, *, keep: bool = True) -> None:
        self.path, self.query, self.headers = upgrade.path, dict(upgrade.query), dict(upgrade.headers)
        self.received: list[Json] = []
        self.sent: list[Json] = []
        self.received_count = self.sent_count = self.turns = 0
        self._in_hand: set[int] = set()  # positions of messages that were received and are not handled yet
        self.opened_at = time.monotonic()
        self.close_code: Optional[int] = None
        self.close_reason: Optional[str] = None
        self.closed_by_client = False
        self._keep = keep
        self._lock = threading.Lock()  # guards the record
        self._changed = threading.Condition(self._lock)

    def __repr__(self) -> str:
        state = "open" if self.close_code is None else f"closed with {self.close_code}"
        counts = f"{self.received_count} received, {self.sent_count} sent"
        return f"<{type(self).__name__} {self.path} {state}, {counts}>"

    def wait_for_message(self, match: Match, timeout: float = 5.0, *, count: int = 1) -> Json:
        """The ``count``-th message of the client that is of this type, or fulfils this predicate; waits for it.

        Returns once the server has handled it, so that what is done next comes after it. Raises ``WaitTimeoutError``
        after ``timeout`` seconds, ``UsageError`` if the server keeps no record.
        """
        deadline = time.monotonic() + timeout
        position = self._search(self.received, match, timeout, count, "received from the client", 0)
        with self._lock:
            if not self._changed.wait_for(lambda: self._is_handled(position), deadline - time.monotonic()):
                raise WaitTimeoutError(f"The message was received, but not handled within {timeout} s.")
        return self.received[position - 1]

    def wait_for_sent(self, match: Match, timeout: float = 5.0, *, count: int = 1) -> Json:
        """Like ``wait_for_message``, for what the server sends."""
        return self.sent[self._search(self.sent, match, timeout, count, "sent to the client", 0) - 1]

    def wait_until_closed(self, timeout: float = 5.0) -> int:
        """The close code, once the connection has ended. Raises ``WaitTimeoutError``."""
        with self._lock:
            if not self._changed.wait_for(lambda: self.close_code is not None, timeout):
                raise WaitTimeoutError(f"The connection was still open after {timeout} s.")
            assert self.close_code is not None
            return self.close_code

    def wait_after(self, position: int, match: Match, timeout: float) -> int:
        """Wait for a client's message that matches, from the ``position``-th on; returns the position after it."""
        return self._search(self.received, match, timeout, 1, "received from the client", position)

    def _is_handled(self, position: int) -> bool:
        return position not in self._in_hand or self.close_code is not None

    def _search(self, messages: list[Json], match: Match, timeout: float, count: int, what: str, position: int) -> int:
        if not self._keep:
            raise UsageError(
                "There is no record to wait for: the server has record=False, or this is a socket of a call, whose "
                "session keeps the record."
            )
        matches = (lambda message: message.get("type") == match) if isinstance(match, str) else match
        deadline = time.monotonic() + timeout
        while True:
            # The predicate is the caller's: the lock is not held while it runs (the lists only ever grow).
            while position < len(messages):
                count -= bool(matches(messages[position]))
                position += 1
                if not count:
                    return position
            with self._lock:
                left = deadline - time.monotonic()
                if left <= 0 or (self.close_code is not None and position == len(messages)):
                    raise WaitTimeoutError(self._in_vain(messages, what, timeout))
                if position == len(messages):
                    self._changed.wait(left)

    def _in_vain(self, messages: list[Json], what: str, timeout: float) -> str:
        closed = self.close_code is not None
        until = f"before the connection ended with {self.close_code}" if closed else f"within {timeout} s"
        return f"No such message was {what} {until}; the last were {[each.get('type') for each in messages[-20:]]}"

    def note_received(self, message: Json) -> int:
        """Add a message of the client's; returns its position, from 1, for ``note_handled``."""
        with self._lock:
            self.received_count += 1
            self._in_hand.add(self.received_count)
            if self._keep:
                self.received.append(message)
            self._changed.notify_all()
            return self.received_count

    def note_handled(self, position: int) -> None:
        """Record that a message has been handled; several sockets of a call may have theirs handled in any order."""
        with self._lock:
            self._in_hand.discard(position)
            self._changed.notify_all()

    def note_sent(self, message: Json) -> None:
        """Add a message of the server's."""
        with self._lock:
            self.sent_count += 1
            self.turns += message.get("type") == "response.done"
            if self._keep:
                self.sent.append(message)
            self._changed.notify_all()

    def note_closed(self, code: int, reason: str, by_client: bool) -> None:
        """Record the end."""
        with self._lock:
            self.close_code, self.close_reason, self.closed_by_client = code, reason, by_client
            self._changed.notify_all()
