"""Calls (WebRTC and SIP): made or placed, accepted, watched from any number of sockets, ended. No media is carried.

The caller's leg is played by the test: ``Call.say`` is what the caller says, ``Call.heard`` what it was told.
"""

from __future__ import annotations

import threading
from typing import Callable, Mapping, Optional

from realtime_sync.errors import UsageError
from realtime_sync.server.call_session import CallSession
from realtime_sync.server.client_secrets import Configuration
from realtime_sync.server.wire import Json, Refused, new_id

_KEPT = 1000  # calls that are over
Begin = Callable[[str, Configuration], CallSession]


def call_not_found() -> Refused:
    """No call has this id, or none that is in the state that was asked for."""
    return Refused("call_id_not_found", "No session found for the provided call_id", "call_id", status=404)


class Call:
    """One call.

    ``id``: ``rtc_...``. ``sip_headers``: name and value each, as the webhook tells them; empty for WebRTC.
    ``reject_status``: the SIP status with which it was rejected, else None. ``referred_to``: the URI to which it was
    referred, else None. ``session``: what it was accepted into, live or past; None before.
    """

    def __init__(self, sip_headers: list[Json], begin: Begin) -> None:
        self.id = new_id("rtc", 32)
        self.sip_headers = sip_headers
        self.reject_status: Optional[int] = None
        self.referred_to: Optional[str] = None
        self.session: Optional[CallSession] = None
        self._begin = begin
        self._lock = threading.Lock()  # guards the passage from one state to the next

    def __repr__(self) -> str:
        return f"<Call {self.id} {self.state}>"

    @property
    def state(self) -> str:
        """``incoming``, ``rejected``, ``active`` or ``ended``."""
        if self.reject_status is not None:
            return "rejected"
        if self.session is None:
            return "incoming"
        return "ended" if self.session.is_over else "active"

    @property
    def heard(self) -> bytes:
        """The audio that the caller has been told so far, in the session's output format."""
        return bytes(self._active().caller_heard) if self.session is not None else b""

    def say(self, audio: bytes) -> None:
        """The caller says this, in the session's input format. Raises ``UsageError`` if the call is not active."""
        self._active().caller_says(audio)

    def press(self, key: str) -> None:
        """The caller presses a key of the telephone. Raises ``UsageError`` if the call is not active."""
        self._active().caller_presses(key)

    def hang_up(self) -> None:
        """End it, from either side; nothing if it has ended."""
        with self._lock:
            if self.session is None and self.reject_status is None:
                self.reject_status = 487  # SIP's "request terminated": the caller gave up before an answer
        if self.session is not None:
            self.session.close(1000, "")

    # What the REST operations do; raise Refused -------------------------------------------------------------------

    def accept(self, configuration: Configuration) -> CallSession:
        """Begin its session."""
        with self._lock:
            self._require("incoming")
            self.session = self._begin(self.id, configuration)
            return self.session

    def reject(self, status: int) -> None:
        """Decline it with a SIP status."""
        with self._lock:
            self._require("incoming")
            self.reject_status = status

    def active_session(self) -> CallSession:
        """Its session, which goes on."""
        self._require("active")
        return self._active()

    def _require(self, state: str) -> None:
        if self.state != state:
            raise call_not_found()

    def refer(self, target: str) -> None:
        """Transfer it, which ends the session here."""
        with self._lock:
            self._require("active")
            self.referred_to = target
        self.hang_up()

    def _active(self) -> CallSession:
        if self.session is None:
            raise UsageError(f"The call {self.id} is {self.state}: it has no session before it is accepted.")
        return self.session


class CallRegistry:
    """The calls of a server, by id. Of those that are over, the oldest are forgotten."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._lock = threading.Lock()  # guards _calls
        self._calls: dict[str, Call] = {}

    def place(self, sip_headers: Mapping[str, str]) -> Call:
        """A new incoming call."""
        call = Call([{"name": name, "value": value} for name, value in sip_headers.items()], self._begin)
        with self._lock:
            self._calls[call.id] = call
            over = [known.id for known in self._calls.values() if known.state in ("rejected", "ended")]
            for call_id in over[: max(0, len(over) - _KEPT)]:
                del self._calls[call_id]
        return call

    def get(self, call_id: str) -> Call:
        """The call with this id. Raises ``Refused``."""
        with self._lock:
            call = self._calls.get(call_id)
        if call is None:
            raise call_not_found()
        return call

    def close(self) -> None:
        """End every call."""
        with self._lock:
            calls = list(self._calls.values())
        for call in calls:
            call.hang_up()
