"""The live sessions of a server: those of sockets and of calls, what is attached to them, and what is kept of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Optional

from realtime_sync.errors import ConfigurationError, WaitTimeoutError
from realtime_sync.server.auth import LiveDoor, Policy
from realtime_sync.server.calls import keep_call
from realtime_sync.server.faults import Faults
from realtime_sync.server.live.calls import TwinCall, TwinCallSession, session_not_found
from realtime_sync.server.live.faults import LiveRules
from realtime_sync.server.live.forks import TwinFork
from realtime_sync.server.live.recordings import TwinRecording
from realtime_sync.server.live.session import TwinSession
from realtime_sync.server.live.sideband import TwinSideband
from realtime_sync.server.served import ServedSession
from realtime_sync.server.settings import SessionSettings
from realtime_sync.server.traffic import Upgrade
from realtime_sync.server.wire import Refused

_KEPT = 1000  # past sessions that a server without a record remembers
_RECORDINGS = 32  # of past sessions: each keeps two files


class LiveSessions:
    """Opens live sessions, and knows them. ``calls``: by id."""

    def __init__(self, policy: Policy, settings: SessionSettings, rules: Optional[LiveRules]) -> None:
        given: object = LiveRules() if rules is None else rules
        if not isinstance(given, LiveRules):
            raise ConfigurationError(f"live is {given!r}, but must be a LiveRules: LiveRules(acknowledgement='').")
        self.rules = given
        self.policy = policy
        self._settings = settings
        self._lock = threading.Lock()  # guards the lists
        self._changed = threading.Condition(self._lock)
        self._sessions: list[TwinSession] = []
        self._calls: dict[str, TwinCall] = {}

    @property
    def all(self) -> list[TwinSession]:
        """Every session so far, live or past, oldest first."""
        with self._lock:
            return list(self._sessions)

    def open(self, door: LiveDoor, upgrade: Upgrade, faults: Faults) -> ServedSession:
        """What serves a handshake that has been let in. Raises ``Refused``."""
        opened: ServedSession
        if door.session_id is None:
            opened = TwinSession(door, self.policy, self.rules, self._settings, upgrade)
        elif door.beside:
            opened = TwinSideband(self.going_on(door.session_id), upgrade)
        else:
            original = self.stored(door.session_id)
            opened = TwinFork(original, door, self.policy, self.rules, self._settings, upgrade)
        opened.set_faults(faults)
        return opened

    def add(self, session: TwinSession) -> None:
        """Its connection is being served, or its call has begun."""
        with self._lock:
            self._sessions.append(session)
            over = [] if self._settings.record else [known for known in self._sessions if known.is_over]
            forgotten = over[: max(0, len(over) - _KEPT)]
            for known in forgotten:
                self._sessions.remove(known)
            recorded = [known for known in self._sessions if known.is_over and known.recording is not None]
            forgotten += recorded[: max(0, len(recorded) - _RECORDINGS)]
            self._changed.notify_all()
        for known in forgotten:
            known.forget_recording()

    def wait_for(self, count: int, timeout: float) -> TwinSession:
        """The ``count``-th session since the start; waits for it. Raises ``WaitTimeoutError``."""
        with self._lock:
            if not self._changed.wait_for(lambda: len(self._sessions) >= count, timeout):
                told = f"Only {len(self._sessions)} of {count} live sessions were opened within {timeout} s."
                raise WaitTimeoutError(told)
            return self._sessions[count - 1]

    # By id; raise Refused -----------------------------------------------------------------------------------------

    def _find(self, session_id: str) -> TwinSession:
        found = next((known for known in self.all if known.id == session_id and known.session is not None), None)
        if found is None:
            raise session_not_found()
        return found

    def going_on(self, session_id: str) -> TwinSession:
        """The session with this id, which has started and not ended."""
        session = self._find(session_id)
        if session.has_ended:
            raise session_not_found()
        return session

    def stored(self, session_id: str) -> TwinSession:
        """The session with this id, which was stored and has ended."""
        session = self._find(session_id)
        if not session.stored:
            raise session_not_found()
        if not session.has_ended:
            told = "The session has not ended, so it cannot be forked, and its recording is not complete."
            raise Refused("session_not_ended", told, "session_id", status=409)
        return session

    def recording(self, session_id: str) -> TwinRecording:
        """That of the session with this id."""
        recording = self.stored(session_id).recording
        if recording is None or recording.is_lost:
            raise session_not_found()
        return recording

    # Calls ----------------------------------------------------------------------------------------------------------

    def new_call(self, *, azure: bool = False, sip_headers: Optional[Mapping[str, str]] = None) -> TwinCall:
        """A call; with headers, one that comes in."""
        call = TwinCall(self._begin_call, azure=azure, sip_headers=sip_headers)
        with self._lock:
            keep_call(self._calls, call)
        return call

    def call(self, session_id: str) -> TwinCall:
        """The call with this id. Raises ``Refused``."""
        with self._lock:
            call = self._calls.get(session_id)
        if call is None:
            raise session_not_found()
        return call

    def _begin_call(self, session_id: str, azure: bool, by_telephone: bool) -> TwinCallSession:
        session = TwinCallSession(
            session_id, LiveDoor(azure), self.policy, self.rules, self._settings, by_telephone=by_telephone
        )
        self.add(session)
        return session

    def close(self) -> None:
        """End every call, and forget what was kept."""
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.hang_up()
        for session in self.all:
            session.forget_recording()
