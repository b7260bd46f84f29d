"""The live sessions of a server."""

from __future__ import annotations

import threading
from typing import Optional

from realtime_sync.errors import WaitTimeoutError
from realtime_sync.server.auth import LiveDoor, Policy
from realtime_sync.server.faults import Faults
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade

_KEPT = 1000  # past sessions that a server without a record remembers


class LiveSessions:
    """Opens live sessions, and knows them."""

    def __init__(self, policy: Policy, settings: SessionSettings, rules: Optional[LiveRules]) -> None:
        self.rules = rules or LiveRules()
        self._policy = policy
        self._settings = settings
        self._lock = threading.Lock()  # guards the list
        self._changed = threading.Condition(self._lock)
        self._sessions: list[TwinSession] = []

    @property
    def all(self) -> list[TwinSession]:
        """Every session so far, live or past, oldest first."""
        with self._lock:
            return list(self._sessions)

    def open(self, door: LiveDoor, upgrade: Upgrade, faults: Faults) -> TwinSession:
        """What serves a handshake that has been let in."""
        session = TwinSession(door, self._policy, self.rules, self._settings, upgrade)
        session.set_faults(faults)
        return session

    def add(self, session: TwinSession) -> None:
        """Its connection is being served."""
        with self._lock:
            self._sessions.append(session)
            over = [] if self._settings.record else [known for known in self._sessions if known.is_over]
            for known in over[: max(0, len(over) - _KEPT)]:
                self._sessions.remove(known)
            self._changed.notify_all()

    def wait_for(self, count: int, timeout: float) -> TwinSession:
        """The ``count``-th session since the start; waits for it. Raises ``WaitTimeoutError``."""
        with self._lock:
            if not self._changed.wait_for(lambda: len(self._sessions) >= count, timeout):
                told = f"Only {len(self._sessions)} of {count} live sessions were opened within {timeout} s."
                raise WaitTimeoutError(told)
            return self._sessions[count - 1]
